#!/usr/bin/env bash
# Runs all of ansible-test sanity on what the built collection holds: ansible-test wants a git checkout in a folder
# ansible_collections/NAMESPACE/NAME. Arguments go to ansible-test, for example: tests/sanity.sh --test validate-modules
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
target=$copy/ansible_collections/ascend_ops/vllm
mkdir -p "$target"
ansible-galaxy collection build --output-path "$copy" >/dev/null
tar --extract --file "$copy"/*.tar.gz --directory "$target"
cd "$target"
git init --quiet
echo tests/output/ >.gitignore

# ansible-test fetches this script from a host that not every network reaches; Python's own ensurepip does the same.
bootstrap_url=https://ci-files.testing.ansible.com/ansible-test/get-pip-24.2.py
bootstrap=~/.ansible/test/cache/get_pip_24_2.py
if [[ ! -e $bootstrap ]] && ! python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "$bootstrap_url" 2>/dev/null; then
    echo "make sanity: $bootstrap_url cannot be reached; $bootstrap calls ensurepip instead"
    mkdir -p "$(dirname "$bootstrap")"
    echo 'import ensurepip; ensurepip.bootstrap()' >"$bootstrap"
fi

controller=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ansible-test sanity --color no --python "$controller" "$@"
[[ $# -eq 0 ]] || exit 0

# The hosts may have other Pythons than the controller: those of them that are here must compile and import the plugins, too.
mkdir "$copy/bin"
for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
    interpreter=$("$root/tests/find-python.sh" "$version")
    if [[ -n $interpreter && $version != "$controller" ]]; then
        ln -s "$interpreter" "$copy/bin/"
        PATH=$copy/bin:$PATH ansible-test sanity --color no --python "$version" --test compile --test import
    fi
done
