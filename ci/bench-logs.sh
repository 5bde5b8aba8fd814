#!/usr/bin/env bash
#
# Measures the cost of logs that processes share, compared with a log in memory,
# and of all clients of a process reconnecting at once, and prints the results.
# With FULL=1 it takes about ten minutes, and the results replace those in
# BENCHMARKS.md: run nothing else meanwhile.
#
# Usage: ci/bench-logs.sh [--logs 'memory;redis' …]   (--help lists all flags)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$(uname)" != Linux ]; then
	echo "SKIPPED: the benchmark of logs, which runs only on Linux"
	exit
fi
mkdir -p bin
go -C internal/bench build -o ../../bin/bench .
results=bin/logs.json # kept to write the report again
if [ -n "${FULL:-}" ]; then
	bin/bench logs --full --json "$results" --command "make bench-logs FULL=1${*:+ ARGS='$*'}" "$@"
	bin/bench report "$results"
else
	bin/bench logs --json "$results" --command "make bench-logs${*:+ ARGS='$*'}" "$@"
fi
