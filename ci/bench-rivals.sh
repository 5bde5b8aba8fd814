#!/usr/bin/env bash
#
# Measures the library, other packages and bare writes, and prints the results.
# With FULL=1 it takes about half an hour, and the results replace those in
# BENCHMARKS.md and docs/bench/: run nothing else meanwhile. Otherwise it takes two
# minutes, which suffices to try a change. Compressed pages are not measured with
# arguments, which are for the other figures.
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
results=bin/rivals.json pages=bin/pages.json # kept to write the report again
full=() command="make bench-rivals"
[ -z "${FULL:-}" ] || full=(--full) command+=" FULL=1"
bin/bench run "${full[@]}" --json "$results" --command "$command${*:+ ARGS='$*'}" "$@"
[ $# -gt 0 ] || bin/bench pages "${full[@]}" --json "$pages" --command "$command"
if [ -n "${FULL:-}" ]; then
	bin/bench report "$results"
	[ $# -gt 0 ] || bin/bench report "$pages"
fi
