#!/usr/bin/env bash
#
# Installs what the given ones need and the machine lacks: the programs of
# versions.sh by apt-get, where that is allowed without a question, and
# JavaScript by npm. What is there already is left alone.
#
# A program that is still missing fails CI. Elsewhere it is said aloud, and what
# needs it is skipped.
#
# Usage: ci/setup.sh WHO...   (a module's directory, "race", "lint")
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=$(for who; do missing "$who"; done)
if [ -n "$packages" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo='sudo -n'
	if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
		echo "installing" $packages
		log=$(mktemp)
		$sudo apt-get update -qq >"$log" 2>&1 || true # old lists may do
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
