#!/usr/bin/env bash
#
# Installs the pages' scripts, builds a program of the demo, and runs it in the demo's
# folder: "demo", or "demo-nodes" for several nodes behind a proxy. The program
# replaces this script, so that it gets the interrupt, and make its exit status.
#
# Usage: ci/demo.sh demo|demo-nodes [FLAG...]   (--help lists the program's flags)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
demo) module=demo ;;
demo-nodes) module=demo/nodes ;;
*)
	echo "usage: ci/demo.sh demo|demo-nodes [FLAG...]" >&2
	exit 2
	;;
esac
program=$PWD/bin/$1
shift

for command in go npm; do
	command -v "$command" >/dev/null || { echo "The demo needs $command, which is not installed." >&2; exit 1; }
done

ci/npm.sh ./demo
if [ -x "$program" ]; then
	echo "Building $module"
else
	echo "Building $module. The first build takes a minute or two; most of that is SQLite."
fi
# -v prints each package as its compilation starts. SQLite's alone can take a minute.
(while sleep 10 >/dev/null; do echo "... still building after $SECONDS s"; done) &
ticker=$!
trap 'kill "$ticker"' EXIT
go -C "$module" build -v -o "$program" .
kill "$ticker"
trap - EXIT
cd demo
exec "$program" "$@"
