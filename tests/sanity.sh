#!/usr/bin/env bash
# Runs ansible-test sanity on the content of the built collection, with the oldest and the newest Ansible. Arguments go to ansible-test, for
# example: tests/sanity.sh --test validate-modules
set -euo pipefail
cd "$(dirname "$0")/.."

# ansible-test expects a git repository in a folder ansible_collections/NAMESPACE/NAME.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/bin"
ansible-galaxy collection build --output-path "$copy" >/dev/null
prepare() { # TARGET
    mkdir -p "$1/tests"
    tar --extract --file "$copy"/*.tar.gz --directory "$1"
    cp tests/config.yml "$1/tests/"
    git init --quiet "$1"
    echo tests/output/ >"$1/.gitignore"
}

# Every Python here that ansible-test supports compiles and imports the plugins. The shims of pyenv are no Pythons: they stay out of PATH.
for version in 3.8 3.9 3.10 3.11 3.12 3.13 3.14; do
    interpreter=$(tests/find-python.sh "$version")
    [[ -z $interpreter ]] || ln -s "$interpreter" "$copy/bin/"
done

# ansible-test downloads get-pip.py from a host that not every network reaches. Python's own ensurepip does the same.
provide_pip() {
    local version url script
    version=$("$1/bin/python" -c 'from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="3"))["pip"])')
    url=https://ci-files.testing.ansible.com/ansible-test/get-pip-$version.py
    script=~/.ansible/test/cache/get_pip_${version//./_}.py
    if [[ ! -e $script ]] && ! python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "$url" 2>/dev/null; then
        echo "make sanity: $url cannot be reached; $script calls ensurepip instead"
        mkdir -p "$(dirname "$script")"
        echo 'import ensurepip; ensurepip.bootstrap()' >"$script"
    fi
}

# Side by side: most of its tests use one processor.
runs=()
for name in oldest newest; do
    venv=$(tests/ansible-venv.sh "$name")
    provide_pip "$venv"
    target=$copy/$name/ansible_collections/ascend_ops/vllm
    prepare "$target"
    (cd "$target" && PATH=$copy/bin:$venv/bin:/usr/local/bin:/usr/bin:/bin exec ansible-test sanity --color no "$@") \
        >"$copy/$name.log" 2>&1 &
    runs+=("$!")
done
failed=0
for run in "${runs[@]}"; do
    wait "$run" || failed=1
done
cat "$copy"/{oldest,newest}.log
exit "$failed"
