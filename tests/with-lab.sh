#!/usr/bin/env bash
# Runs a command with the lab up, and takes the lab down afterwards unless it was up before.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(tests/lab/lab status) == *"the lab is down"* ]]; then
    trap 'tests/lab/lab down' EXIT
fi
tests/lab/lab build
tests/lab/lab up
"$@"
