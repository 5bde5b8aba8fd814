#!/usr/bin/env bash
#
# Compares the library with another version of it: the servers of both run at once and
# take turns under the same clients, so that what else the machine does slows down both.
# The older version is a commit, or the root of another checkout.
#
# Usage: ci/bench-compare.sh COMMIT|DIR [--streams 1000 …]
#
# By default it measures detached and attached streams, 1,000 and 8,000: the memory of
# an idle stream, one event at a time, and flat out. It opens the streams three times and
# takes ten turns each time, in about eight minutes; --repeats 10 makes the confidence
# intervals narrower. bin/bench run --help lists the flags.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

base=${1:?a commit, or the root of another checkout}
shift
mkdir -p bin
if [ ! -d "$base" ]; then
	rm -rf bin/baseline
	mkdir bin/baseline
	git archive "$base" | tar -x -C bin/baseline
	base=bin/baseline
fi
base=$(cd -P "$base" && pwd)
cp internal/bench/go.mod bin/baseline.mod
cp internal/bench/go.sum bin/baseline.sum
for module in "" /natslog /redislog /pglog /zstd; do
	go mod edit -replace "example.org/sse$module=$base$module" bin/baseline.mod
done
go -C internal/bench build -mod=mod -modfile ../../bin/baseline.mod -o ../../bin/bench-baseline .
go -C internal/bench build -o ../../bin/bench .
bin/bench run --baseline bin/bench-baseline --json bin/compare.json "$@"
