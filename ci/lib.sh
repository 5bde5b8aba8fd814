# shellcheck shell=bash
#
# Common code of the scripts. Each sources it first, which also changes to the root
# of the repository. All must run in bash 3.2, which is the one on macOS.

cd -P "$(dirname "${BASH_SOURCE[0]}")/.." || exit
. ci/versions.sh

# Modules are built without go.work, as their users build them.
export GOWORK=off

# Debian installs servers such as nginx there.
export PATH="$PATH:/usr/sbin"

heading() { printf '\n=== %s\n' "$*"; }

# ours prints the files with a name, except those of tools and packages, and test
# data.
ours() { # name or pattern
	find . \( -name '.?*' -o -name bin -o -name node_modules -o -name testdata -o -name vendor \) -prune \
		-o -type f -name "$1" -print | sort
}

# modules prints the directories of all modules, the root first. It finds new ones
# by itself.
modules() { ours go.mod | sed 's|/go\.mod$||' | sort; }

# missing prints the packages that this machine lacks for a module or another entry
# in the last column of versions.sh.
missing() { # entry
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
