#!/usr/bin/env bash
#
# Measures the cost of a log that processes share, beside a log in memory, and all
# clients of a process reconnecting at once; prints the report. With FULL=1 it takes
# about ten minutes, and the report replaces the one in BENCHMARKS.md: leave the
# machine alone meanwhile.
#
# Usage: ci/bench-logs.sh [--logs 'memory;redis' …]   (--help lists the flags)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
bench logs logs "$@"
