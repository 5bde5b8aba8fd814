#!/usr/bin/env bash
#
# Checks what tests and linters cannot: the go.mod files, that the generated files
# are up to date, the subjects of commits, and that the library builds for systems
# on which it cannot be tested. A failure does not stop the checks after it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

failed=
check() { # what, command...
	local what=$1
	shift
	heading "$what"
	if "$@"; then echo ok; else failed+="; $what"; fi
}

formatted() {
	local files
	files=$(ours '*.go' | xargs gofmt -l) || return
	[ -z "$files" ] || { echo "$files"; false; }
}

# A requirement takes part in the selection of our users' versions even if nothing
# imports it.
requires_nothing() { [ "$(go list -m all)" = "$(go list -m)" ] && [ ! -e go.sum ]; }

workspace() {
	diff <(modules | sed "s|^\.|$PWD|" | sort) \
		<(GOWORK=$PWD/go.work go list -m -f '{{.Dir}}' | sort) ||
		{ echo "to fix it: go work use -r ."; false; }
}

generated() {
	local module before
	before=$(git status --porcelain; git diff)
	for module in $(modules); do
		(cd "$module" && go generate ./...) || return
	done
	[ "$before" = "$(git status --porcelain; git diff)" ] || { git status --short; false; }
}

builds() ( # os/arch
	export CGO_ENABLED=0 GOOS=${1%/*} GOARCH=${1#*/}
	go build ./... && go vet ./...
)

ci/npm.sh $(modules)
check "gofmt" formatted
check "commit subjects" ci/commits.sh
check "go.work has every module" workspace
check "the root module requires nothing" requires_nothing
for module in $(modules); do
	check "go mod tidy: $module" go -C "$module" mod tidy -diff
	check "go vet: $module" go -C "$module" vet ./...
done
check "generated files" generated
for target in $targets; do
	check "builds for $target" builds "$target"
done
[ -z "$failed" ] || { heading "FAILED${failed/;/:}"; false; }
