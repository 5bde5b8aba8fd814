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
	local output status again
	for again in yes no; do
		status=0
		output=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-5s}" "$1" 2>&1) || status=$?
		echo "$output"
		if [ "$status" = 0 ] || [ "$again" = no ] || ! overtime "$output"; then
			return "$status"
		fi
		echo "again: its time was up"
	done
}

# overtime reports whether that is the only failure in the output.
overtime() {
	grep -qx '    context deadline exceeded' <<<"$1" && ! grep -q 'Failing input' <<<"$1"
}

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
