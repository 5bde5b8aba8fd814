#!/usr/bin/env bash
#
# Runs every fuzz target of the root module for FUZZTIME, by default 5s, which
# suffices to find what a change broke. An input that fails is written to
# testdata/fuzz: commit it with the fix.
#
# To search for longer: FUZZTIME=10m ci/fuzz.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

status=0
packages=$(go list ./...)
for package in $packages; do
	tests=$(go test -list '^Fuzz' "$package")
	for target in $(echo "$tests" | grep '^Fuzz'); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-5s}" "$package" || status=1
	done
done
exit $status
