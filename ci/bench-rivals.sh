#!/usr/bin/env bash
#
# Measures the library, other packages and bare writes, and prints the results.
# With FULL=1 it takes about twenty minutes, and the results replace those in
# BENCHMARKS.md and docs/bench/: run nothing else meanwhile. Otherwise it takes two
# minutes, which suffices to try a change. The figures of compressed pages are printed
# only, and not with arguments unless FULL is set.
#
# Usage: ci/bench-rivals.sh [--subjects loop,detached …]   (--help lists all flags)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$(uname)" != Linux ]; then
	echo "SKIPPED: the benchmark of other packages, which runs only on Linux"
	exit
fi
mkdir -p bin
go -C internal/bench build -o ../../bin/bench .
results=bin/rivals.json # kept to write the report again
go -C internal/bench build -o ../../bin/compression ./compression
if [ -n "${FULL:-}" ]; then
	bin/bench run --full --json "$results" --command "make bench-rivals FULL=1${*:+ ARGS='$*'}" "$@"
	bin/bench report "$results"
	bin/compression -full
else
	bin/bench run --json "$results" --command "make bench-rivals${*:+ ARGS='$*'}" "$@"
	[ $# -gt 0 ] || bin/compression
fi
