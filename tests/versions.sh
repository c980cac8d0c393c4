#!/usr/bin/env bash
# Runs what depends on the controller's Ansible with the oldest that meta/runtime.yml allows and with the newest that can be had: the syntax of
# the playbooks, rendering for inventories/prod, the units of the plugins. Each in a virtual environment of its own under .cache/.
set -euo pipefail
cd "$(dirname "$0")/.."

with() { # NAME PYTHON TESTS PACKAGE...
    local venv=$PWD/.cache/versions/$1
    uv venv --quiet --no-python-downloads --clear --python "$2" "$venv"
    uv pip install --quiet --python "$venv/bin/python" "${@:4}" "${tools[@]}"
    (
        export PATH=$venv/bin:$PATH
        version=$(ansible --version | sed -n '1p; s/.*python version = \([0-9.]*\).*/Python \1/p' | paste --serial --delimiters ' ')
        echo "--- $1: $version"
        trap '[[ $? -eq 0 ]] || echo "--- failed with the $1: $version" >&2' EXIT
        # awx.awx, which awx_setup.yml needs, is not in every package ansible.
        find site.yml playbooks -maxdepth 1 -name '*.yml' ! -name awx_setup.yml -exec ansible-playbook --syntax-check -i inventories/lab {} + >/dev/null
        # Without test_target_python.py, as ansible-core 2.20 and later needs Python 3.9 on hosts, and without what needs awx.awx or ansible-builder.
        python -m pytest -p no:cacheprovider --numprocesses auto --dist loadfile "$3" \
            tests/component/test_{render,modelscope_download,roce_tls}.py
    )
}

mapfile -t tools < <(grep -E '^(hypothesis|pytest|pytest-xdist|requests)==' tests/requirements.txt)
newest=.venv/bin/python # newer Ansible wants newer Python: the newest that is here
for version in 3.12 3.13 3.14; do
    interpreter=$(tests/find-python.sh "$version")
    newest=${interpreter:-$newest}
done

# module_utils know nothing of Ansible; with this Python `make units` runs them.
with oldest .venv/bin/python tests/unit/plugins/modules ansible-core==2.17.0 ansible==10.0.1
with newest "$newest" tests/unit/plugins ansible
