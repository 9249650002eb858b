#!/bin/bash
# Runs Node for Windows under wine: tools/windows/node.sh FILE …. Give it files as standard output
# and error: with pipes of Linux, Node for Windows cannot write under wine.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
. tools/windows/environment.sh
exec /usr/lib/wine/wine64 .cache/windows/node.exe --disable-warning=ExperimentalWarning "$@"
