#!/usr/bin/env bash
#
# Installs the JavaScript packages in a module's package-lock.json, if it has one
# and they are not installed yet. It does not run the packages' scripts.
#
# Usage: ci/npm.sh MODULE...   (directories)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# A copy of the lock file is kept with the packages, to see when it has changed.
for module; do
	[ -f "$module/package-lock.json" ] || continue
	cmp -s "$module/package-lock.json" "$module/node_modules/.installed" && continue
	echo "npm ci in $module"
	(cd "$module" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	mkdir -p "$module/node_modules" # npm makes none without dependencies
	cp "$module/package-lock.json" "$module/node_modules/.installed"
done
