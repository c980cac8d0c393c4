#!/usr/bin/env bash
# Runs all of ansible-test sanity on a copy of the tree: it wants a git checkout in a folder ansible_collections/NAMESPACE/NAME.
# Arguments go to ansible-test, for example: tests/sanity.sh --test validate-modules
set -euo pipefail
cd "$(dirname "$0")/.."

controller=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
target=$copy/ansible_collections/ascend_ops/vllm
mkdir -p "$target"
# collections/ only holds a link back to the checkout.
git ls-files -z --cached --others --exclude-standard -- . ':!collections' | while IFS= read -rd '' file; do
    [[ ! -e $file ]] || printf '%s\0' "$file"
done | tar --create --null --files-from=- | tar --extract --directory "$target"
cd "$target"
git init --quiet

# ansible-test fetches this script from a host that not every network reaches; Python's own ensurepip does the same.
bootstrap_url=https://ci-files.testing.ansible.com/ansible-test/get-pip-24.2.py
bootstrap=~/.ansible/test/cache/get_pip_24_2.py
if [[ ! -e $bootstrap ]] && ! python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "$bootstrap_url" 2>/dev/null; then
    echo "make sanity: $bootstrap_url cannot be reached; $bootstrap calls ensurepip instead"
    mkdir -p "$(dirname "$bootstrap")"
    echo 'import ensurepip; ensurepip.bootstrap()' >"$bootstrap"
fi

ansible-test sanity --color no --python "$controller" "$@"
# The hosts may have other Pythons than the controller: those of them that are here must compile and import the plugins, too.
for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
    if [[ $# -eq 0 && $version != "$controller" ]] && "python$version" -c '' 2>/dev/null; then
        ansible-test sanity --color no --python "$version" --test compile --test import
    fi
done
