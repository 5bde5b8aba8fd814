# shellcheck shell=bash
#
# What the scripts have in common: each sources it first, and is then in the
# root of the repository. They run in the bash of macOS too, which is of 2007.

cd -P "$(dirname "${BASH_SOURCE[0]}")/.." || exit
. ci/versions.sh

# Each module is built as its own go.mod says, since that is what its users
# get. That go.work agrees is for check.sh to find out.
export GOWORK=off

# Where Debian has its servers, nginx for one; not everybody's PATH has it.
export PATH="$PATH:/usr/sbin"

heading() { printf '\n=== %s\n' "$*"; }

# ours prints the files of that name, but for those of others: tools, packages,
# test data.
ours() { # name, or a pattern
	find . \( -name '.?*' -o -name bin -o -name node_modules -o -name testdata -o -name vendor \) -prune \
		-o -type f -name "$1" -print | sort
}

# modules prints the directories of all modules, the root's first. Nobody has to
# list a new one.
modules() { ours go.mod | sed 's|/go\.mod$||' | sort; }

# missing prints the packages that who needs and this machine lacks.
missing() { # who
	local commands command packages who
	while IFS=: read -r commands packages who; do
		[ "$who" = "$1" ] || continue
		for command in ${commands//,/ }; do
			command -v "$command" >/dev/null && continue 2
		done
		echo "$packages"
	done <<<"$tools"
}

# bench measures, and with FULL=1 writes the report.
bench() { # name, command, flags...
	local results=bin/$1.json name="make bench-$1${FULL:+ FULL=1}" command=$2
	shift 2
	if [ "$(uname)" != Linux ]; then
		echo "SKIPPED: bench, which needs Linux"
		return
	fi
	mkdir -p bin
	go -C internal/bench build -o ../../bin/bench .
	bin/bench "$command" ${FULL:+--full} --json "$results" --command "$name${*:+ ARGS='$*'}" "$@"
	[ -z "${FULL:-}" ] || bin/bench report "$results"
}
