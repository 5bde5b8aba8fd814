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

failed=
for module in $(modules); do
	lacks=$(missing "$module")
	if [ -n "$lacks" ]; then
		heading "SKIPPED: tests of $module, which needs $lacks"
		continue
	fi
	heading "Tests of $module"
	(cd "$module" && go test $race $flags ./...) || failed+=" $module"
done

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
