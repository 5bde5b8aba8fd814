#!/usr/bin/env bash
#
# Installs the JavaScript that a module's package-lock.json names, if it has
# one and that is not done already. No script of a package is run.
#
# Usage: ci/npm.sh MODULE...   (directories)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The lock file is kept beside what was installed from it, and so tells whether
# that is still the same.
for module; do
	[ -f "$module/package-lock.json" ] || continue
	cmp -s "$module/package-lock.json" "$module/node_modules/.installed" && continue
	echo "npm ci in $module"
	(cd "$module" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	mkdir -p "$module/node_modules" # there is none without dependencies
	cp "$module/package-lock.json" "$module/node_modules/.installed"
done
