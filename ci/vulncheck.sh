#!/usr/bin/env bash
#
# Runs govulncheck, at the version in versions.sh, on every module. It fails if the
# code calls a function with a known vulnerability. Where govulncheck cannot be
# built or cannot reach the database of vulnerabilities, it is skipped.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

checker=$PWD/bin/govulncheck-$govulncheck
if [ ! -x "$checker" ]; then
	heading "Building govulncheck $govulncheck"
	if ! GOBIN=$PWD/bin go install "golang.org/x/vuln/cmd/govulncheck@$govulncheck"; then
		echo "SKIPPED: govulncheck, which cannot be built"
		exit
	fi
	mv bin/govulncheck "$checker"
fi

failed=
for module in $(modules); do
	heading "Vulnerabilities of $module"
	ci/npm.sh "$module" # installs what Go embeds
	status=0
	out=$("$checker" -C "$module" ./... 2>&1) || status=$?
	if [ $status = 1 ] && grep -q 'fetching vulnerabilities' <<<"$out"; then
		tail -n 1 <<<"$out"
		echo "SKIPPED: govulncheck, which cannot reach the database of vulnerabilities"
		break
	fi
	echo "$out"
	[ $status = 0 ] || failed+=" $module"
done
if [ -n "$failed" ]; then
	heading "FAILED:$failed"
	exit 1
fi
