#!/usr/bin/env bash
#
# Runs golangci-lint, at the version in versions.sh, on every module, and
# ShellCheck on the scripts. The first run builds golangci-lint, which takes some
# minutes, and keeps it in bin/.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ci/setup.sh lint
linter=$PWD/bin/golangci-lint-$golangci_lint
if [ ! -x "$linter" ]; then
	heading "Building golangci-lint $golangci_lint"
	GOBIN=$PWD/bin go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_lint"
	mv bin/golangci-lint "$linter"
fi

failed=
config=$PWD/.golangci.yml
for module in $(modules); do
	heading "Lint of $module"
	ci/npm.sh "$module" # installs what Go embeds
	(cd "$module" && "$linter" run --config "$config" --allow-parallel-runners ./...) || failed+=" $module"
done
if [ -z "$(missing lint)" ]; then
	heading "Lint of scripts"
	if shellcheck .ci/run ci/*.sh; then echo "0 issues."; else failed+=" scripts"; fi
fi
if [ -n "$failed" ]; then
	heading "FAILED:$failed"
	exit 1
fi
