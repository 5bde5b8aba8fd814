#!/usr/bin/env bash
#
# Sets up the demo and runs it. The demo takes this script's place, so that an
# interrupt reaches it, and make sees how it ended and nothing else.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ci/setup.sh ./demo
cd demo
go build -o ../bin/demo .
exec ../bin/demo "$@"
