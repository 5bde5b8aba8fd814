#!/usr/bin/env bash
#
# Sets up what the tests need, and runs all of them: every module's, with the
# race detector and in random order, then the fuzz targets for a few seconds
# each. Every part runs, whatever failed before it.
#
# The whole is to stay under ten minutes on two cores.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

heading "Set-up"
ci/setup.sh race $(modules)
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
	(cd "$module" && go test $race -shuffle=on -timeout=8m ./...) || failed+=" $module"
done

heading "Tests under full load, without the race detector"
go test -count=1 -run 'Thousand|Leaks|Large|Load|Readers|Allocations|Memory' . || failed+=" load"

heading "Fuzzing"
ci/fuzz.sh || failed+=" fuzzing"

if [ -n "$failed" ]; then
	heading "FAILED:$failed"
	exit 1
fi
