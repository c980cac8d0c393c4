#!/usr/bin/env bash
# Runs what depends on the controller's Ansible with the oldest and the newest one: the syntax of the playbooks, rendering for inventories/prod,
# and modules: with the oldest one their unit tests, with the newest one the one that has an action. Arguments: what to test with the newest one
# besides, for example tests/unit/plugins.
set -euo pipefail
cd "$(dirname "$0")/.."

with() { # NAME [TESTS...]
    local venv
    venv=$(tests/ansible-venv.sh "$1")
    (
        export PATH=$venv/bin:$PATH
        # awx.awx, which awx_setup.yml needs, is not in every package ansible.
        find site.yml playbooks -maxdepth 1 -name '*.yml' ! -name awx_setup.yml \
            -exec ansible-playbook --syntax-check -i inventories/lab {} + >/dev/null
        # Without test_target_python.py, as ansible-core 2.20 and later needs Python 3.9 on hosts, and without what needs awx.awx or ansible-builder.
        python -m pytest -p no:cacheprovider --numprocesses auto --dist loadfile "${@:2}" \
            tests/component/test_{render,roce_tls}.py
    )
}

# module_utils know nothing of Ansible; `make units` tests them with another Python.
with oldest tests/unit/plugins/modules
with newest tests/component/test_weights_download.py "$@"
