#!/usr/bin/env bash
#
# Runs every fuzz target of the root module for FUZZTIME, by default 5s, which
# suffices to find what a change broke. An input that fails is written to
# testdata/fuzz: commit it with the fix.
#
# To search for longer: FUZZTIME=10m ci/fuzz.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# fuzz runs a target, and once more if it failed only because its time was up: before
# Go 1.27 the end of -fuzztime can be reported as a failure (go.dev/issue/75804).
fuzz() {
	run "$@" && return
	if grep -q 'Failing input' "$log" || ! grep -qx '    context deadline exceeded' "$log"; then
		return 1
	fi
	echo "again: its time was up"
	run "$@"
}

run() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-5s}" "$1" 2>&1 | tee "$log"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
packages=$(go list ./...)
for package in $packages; do
	tests=$(go test -list '^Fuzz' "$package")
	for target in $(echo "$tests" | grep '^Fuzz'); do
		echo "$package $target"
		fuzz "$package" "$target" || status=1
	done
done
exit $status
