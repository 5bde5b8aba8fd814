#!/usr/bin/env bash
#
# Measures the library beside the bare limit and other packages, and prints what
# it found. With FULL=1 it takes about twenty minutes, and the results replace
# those in BENCHMARKS.md and docs/bench/: leave the machine alone meanwhile.
# Otherwise it takes a minute, which is enough to try a change out.
#
# Usage: ci/bench-rivals.sh [--subjects loop,detached …]   (--help tells all)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$(uname)" != Linux ]; then
	echo "SKIPPED: the rivals, which are measured on Linux alone"
	exit
fi
mkdir -p bin
go -C internal/bench build -o ../../bin/bench .
results=bin/rivals.json # kept, so that the report can be written again
if [ -n "${FULL:-}" ]; then
	bin/bench run --full --json "$results" --command "make bench-rivals FULL=1${*:+ ARGS='$*'}" "$@"
	bin/bench report "$results"
else
	bin/bench run --json "$results" --command "make bench-rivals${*:+ ARGS='$*'}" "$@"
fi
