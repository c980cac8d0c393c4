#!/usr/bin/env bash
# Makes .cache/versions/NAME with what the tests of the plugins need, and prints its path. NAME is oldest: the first ansible-core that
# meta/runtime.yml allows; or newest: the newest package ansible, with the newest Python of this machine that it supports.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
oldest) pythons=(3.11 3.12) packages=(ansible-core==2.17.0 ansible==10.0.1) ;; # its ansible-test does not know newer Pythons
newest) pythons=(3.11 3.12 3.13 3.14) packages=(ansible) ;;
*) echo "usage: tests/ansible-venv.sh oldest|newest" >&2 && exit 2 ;;
esac
for version in "${pythons[@]}"; do
    found=$(tests/find-python.sh "$version")
    python=${found:-${python:-.venv/bin/python}}
done
mapfile -t tools < <(grep -oE '^(hypothesis|pytest|pytest-xdist|requests)==[^ ]*' tests/requirements.txt)

venv=$PWD/.cache/versions/$1
uv venv --quiet --no-python-downloads --clear --python "$python" "$venv"
uv pip install --quiet --python "$venv/bin/python" "${packages[@]}" "${tools[@]}"
version=$("$venv/bin/python" -c 'import sys, ansible.release; print("ansible-core", ansible.release.__version__, "Python", sys.version.split()[0])')
echo "--- $1: $version" >&2
echo "$venv"
