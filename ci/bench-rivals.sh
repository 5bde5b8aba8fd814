#!/usr/bin/env bash
#
# Measures the library beside the bare limit and other packages, and prints the
# report. With FULL=1 it takes about twenty minutes, and the report replaces the one
# in BENCHMARKS.md and docs/bench/: leave the machine alone meanwhile. Otherwise it
# takes a minute, which is enough to try a change.
#
# Usage: ci/bench-rivals.sh [--subjects loop,detached …]   (--help lists the flags)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
bench rivals run "$@"
