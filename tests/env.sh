#!/usr/bin/env bash
# Makes .venv and installs what tests/requirements.txt pins. PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}

fail() {
    echo "make env: $*" >&2
    exit 1
}

has_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null
}

if [[ $python == python3 ]] && ! has_venv && [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "make env: installing the package python3-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
fi
command -v "$python" >/dev/null ||
    fail "no $python found, expected Python 3.11 or later. Install it (apt-get install python3-venv), or name it: make env PYTHON=python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V), expected Python 3.11 or later. Install one with its venv package and name it: make env PYTHON=python3.11"
has_venv || fail "$python cannot make virtual environments. Install its venv package: apt-get install python3-venv"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep -o '^uv==[^ ]*' tests/requirements.txt)"
.venv/bin/uv pip install --quiet --python .venv/bin/python --requirement tests/requirements.txt
echo "make env: .venv is ready ($(.venv/bin/python -V))"
