#!/usr/bin/env bash
# Runs a command with the lab up, and takes the lab down afterwards unless it was up before.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! tests/lab/lab status >/dev/null 2>&1; then
    trap 'tests/lab/lab down' EXIT
    tests/lab/lab build
    tests/lab/lab up
fi
"$@"
