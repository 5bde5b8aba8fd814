#!/usr/bin/env bash
#
# Tests every module with the race detector, in random order. A failure does not
# stop the modules after it.
#
# It runs go test -short, which skips the long tests: those that load the machine,
# start a browser, kill processes or cut networks. With the argument "all" it runs
# these, too, then the root package without the race detector, which allows more
# load, and the fuzz targets.
#
# Without "all" it takes less than five minutes on two idle cores. A busy machine
# may take longer: the timeout is for tests that hang.
#
# Usage: ci/test.sh [all]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

all=
needs="race $(modules)"
flags='-shuffle=on -timeout=40m'
case ${1:-} in
'') flags+=' -short' ;;
all)
	all=1
	needs+=' browser faults'
	;;
*)
	echo "usage: ci/test.sh [all]" >&2
	exit 2
	;;
esac

heading "Setup"
ci/setup.sh $needs
race=-race
if [ "$(go env CGO_ENABLED)" != 1 ]; then
	race=
	echo "SKIPPED: the race detector, which needs a C compiler and CGO_ENABLED=1"
fi

# test_module tests a module, unless this machine lacks what it needs.
test_module() { # directory
	local lacks
	lacks=$(missing "$1")
	if [ -n "$lacks" ]; then
		heading "SKIPPED: tests of $1, which needs $lacks"
		return
	fi
	heading "Tests of $1"
	(cd "$1" && go test $race $flags ./...)
}

# The root's short tests use one processor most of the time, so the other modules are
# tested beside them. The long ones load the machine.
failed=
root=
if [ -z "$all" ]; then
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	test_module . >"$log" 2>&1 &
	root=$!
fi
for module in $(modules); do
	[ "$module" = . ] && [ -n "$root" ] && continue
	test_module "$module" || failed+=" $module"
done
if [ -n "$root" ]; then
	wait "$root" || failed+=" ."
	cat "$log"
fi

if [ -n "$all" ]; then
	heading "Tests of the root package without the race detector"
	go test $flags -count=1 . || failed+=" load"

	heading "Fuzzing"
	ci/fuzz.sh || failed+=" fuzzing"
fi

if [ -n "$failed" ]; then
	heading "FAILED:$failed"
	exit 1
fi
