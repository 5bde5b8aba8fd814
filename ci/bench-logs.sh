#!/usr/bin/env bash
#
# Measures what it costs that processes share a log, beside a log in memory, and
# that all clients of a process come back at once; prints what it found. With
# FULL=1 it takes about ten minutes, and the results replace those in
# BENCHMARKS.md: leave the machine alone meanwhile.
#
# Usage: ci/bench-logs.sh [--logs 'memory;redis' …]   (--help tells all)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$(uname)" != Linux ]; then
	echo "SKIPPED: the logs, which are measured on Linux alone"
	exit
fi
mkdir -p bin
go -C internal/bench build -o ../../bin/bench .
results=bin/logs.json # kept, so that the report can be written again
if [ -n "${FULL:-}" ]; then
	bin/bench logs --full --json "$results" --command "make bench-logs FULL=1${*:+ ARGS='$*'}" "$@"
	bin/bench logs-report "$results"
else
	bin/bench logs --json "$results" --command "make bench-logs${*:+ ARGS='$*'}" "$@"
fi
