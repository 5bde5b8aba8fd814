#!/usr/bin/env bash
#
# Installs what modules and tools need and this machine lacks: programs in
# versions.sh with apt-get, where that works without a password, and JavaScript
# packages with npm.
#
# A program that is still missing fails CI. Elsewhere the script prints a line that
# begins with SKIPPED, and tests that need the program are skipped.
#
# Usage: ci/setup.sh WHO...   (entries of the last column in versions.sh)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=$(for who; do missing "$who"; done)
if [ -n "$packages" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo='sudo -n'
	if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
		echo "installing" $packages
		log=$(mktemp)
		$sudo apt-get update -qq >"$log" 2>&1 || true # old lists may suffice
		$sudo env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $packages >>"$log" 2>&1 || cat "$log" >&2
		rm -f "$log"
	fi
fi
status=0
for who; do
	lacks=$(missing "$who")
	[ -n "$lacks" ] || continue
	if [ "${CI:-}" = true ]; then
		echo "MISSING: $who needs" $lacks >&2
		status=1
	else
		echo "SKIPPED: $who, which needs" $lacks
	fi
done

ci/npm.sh "$@"
exit $status
