#!/usr/bin/env bash
# Prints the path of the Python of a version, such as 3.8, or nothing if it is not on this machine.
set -euo pipefail
if command -v pyenv >/dev/null; then
    { pyenv whence --path "python$1" 2>/dev/null || true; } | tail -n 1 # its shims run only the versions that are switched on
else
    command -v "python$1" || true
fi
