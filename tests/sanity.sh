#!/usr/bin/env bash
# Runs ansible-test sanity on the content of the built collection. The first argument is the Ansible of tests/ansible-venv.sh; the others go to
# ansible-test, for example: tests/sanity.sh oldest --test validate-modules
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(tests/ansible-venv.sh "${1:-}")

# ansible-test expects a git repository in a folder ansible_collections/NAMESPACE/NAME.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/bin"
ansible-galaxy collection build --output-path "$copy" >/dev/null
target=$copy/ansible_collections/ascend_ops/vllm
mkdir -p "$target/tests"
tar --extract --file "$copy"/*.tar.gz --directory "$target"
cp tests/config.yml "$target/tests/"
git init --quiet "$target"
echo tests/output/ >"$target/.gitignore"

# The Pythons that compile and import the plugins, as far as they are here: with the newest Ansible the first and the last that it supports, which
# `make test` has time for. The shims of pyenv are no Pythons: they stay out of PATH.
pythons=(3.8 3.9 3.10 3.11 3.12)
[[ $1 == oldest ]] || pythons=(3.9 3.14)
for version in "${pythons[@]}"; do
    interpreter=$(tests/find-python.sh "$version")
    [[ -z $interpreter ]] || ln -s "$interpreter" "$copy/bin/"
done

# ansible-test downloads get-pip.py from a host that not every network reaches. Python's own ensurepip does the same.
pip=$("$venv/bin/python" -c 'from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="3"))["pip"])')
url=https://ci-files.testing.ansible.com/ansible-test/get-pip-$pip.py
script=~/.ansible/test/cache/get_pip_${pip//./_}.py
if [[ ! -e $script ]] && ! python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "$url" 2>/dev/null; then
    echo "make sanity: $url cannot be reached; $script calls ensurepip instead"
    mkdir -p "$(dirname "$script")"
    echo 'import ensurepip; ensurepip.bootstrap()' >"$script"
fi

cd "$target"
PATH=$copy/bin:$venv/bin:/usr/local/bin:/usr/bin:/bin ansible-test sanity --color no "${@:2}"
