# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in the docs, and which of them a test runs elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_run import ROOT

DOCS = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "roles").glob("*/README.md")),
]
PROGRAMS = "ansible|ansible-playbook|ansible-doc|ansible-galaxy|ansible-vault|ansible-builder|cd|docker logs|make|pip install|python3 -m pip"
# Of a command in a line of its own, or between backticks; what follows blanks and # is for the reader.
IN_BLOCK = re.compile(rf"^ {{4}}((?:{PROGRAMS}) .*?)(?: +#.*)?$", re.MULTILINE)
IN_TEXT = re.compile(rf"`((?:{PROGRAMS}) [^`]+)`")
# Pictures, settings and output, which are no commands.
PICTURE = re.compile(r"^ *```(?:mermaid|text|yaml|python)\n.*?^ *```$", re.MULTILINE | re.DOTALL)
# Lines of their own that are no commands: an inventory, and what a command needs in the environment.
NO_COMMAND = re.compile(r"(?:vllm_head|vllm_workers|all): \{|export CONTROLLER_HOST=")

# What is run elsewhere: in which file, and what shows it there.
ELSEWHERE = {
    "python3 -m pip install 'ansible>=11'": ("tests/requirements.txt", "ansible=="),
    "ansible-galaxy collection build": ("tests/integration/test_install.py", '"collection", "build"'),
    "ansible-galaxy collection install ascend_ops.vllm": (  # of the tarball, which Galaxy would send
        "tests/integration/test_install.py",
        '"install"',
    ),
    "ansible-galaxy collection install --offline ascend_ops-vllm-*.tar.gz": (
        "tests/integration/test_install.py",
        '"--offline"',
    ),
    "ansible-playbook ascend_ops.vllm.site -i inventory": (
        "tests/integration/test_install.py",
        '.site", "-i", "inventory',
    ),
    "ansible-builder build": ("tests/component/test_execution_environment.py", "ansible-builder"),
    "ansible-playbook playbooks/awx_setup.yml -e awx_setup_project_url=https://git.example.com/us/ascend_ops.vllm.git": (
        "tests/component/test_awx_setup.py",
        "awx_setup.yml",
    ),
    "ansible-playbook playbooks/fetch.yml -i inventories/prod -e fetch_dir=/data/airgap": (
        "extensions/molecule/airgap/prepare.yml",
        "playbooks/fetch.yml",
    ),
    "ansible-playbook site.yml -i inventories/prod -e vllm_airgap_dir=/data/airgap": (
        "extensions/molecule/airgap/molecule.yml",
        "vllm_airgap_dir=",
    ),
    "cd /data/airgap && sha256sum --check --quiet SHA256SUMS": (
        "extensions/molecule/airgap/prepare.yml",
        "sha256sum --check --quiet SHA256SUMS",
    ),
    "pip install --no-index --find-links python requests": (
        "extensions/molecule/airgap/prepare.yml",
        "--no-index --find-links",
    ),
    "ansible-playbook playbooks/monitoring.yml -i inventories/prod": (
        "tests/support/monitoring.py",
        '"playbooks/monitoring.yml"',
    ),
    "ansible-playbook playbooks/stop.yml -i inventories/prod": (
        "tests/integration/test_diagnosis.py",
        '"playbooks/stop.yml"',
    ),
    "ansible-playbook playbooks/start.yml -i inventories/prod": (
        "tests/integration/test_recovery.py",
        '"playbooks/start.yml"',
    ),
    "ansible-playbook playbooks/upgrade.yml -i inventories/prod": (
        "extensions/molecule/upgrade/verify.yml",
        "playbooks/upgrade.yml",
    ),
    "ansible-playbook playbooks/benchmark.yml -i inventories/prod": (
        "extensions/molecule/benchmark/molecule.yml",
        "playbooks/benchmark.yml",
    ),
    "ansible-playbook playbooks/gateway.yml -i inventories/prod": (
        "tests/component/test_gateway.py",
        "roles: [ascend_ops.vllm.gateway]",
    ),
    "ansible-playbook playbooks/gateway.yml -i inventories/prod -e gateway_state=absent": (
        "tests/component/test_gateway.py",
        'gateway_state="absent"',
    ),
    "ansible-playbook site.yml -i inventories/prod": (
        "Makefile",
        "ansible-playbook site.yml -i inventories/lab",
    ),
    "ansible-playbook site.yml -i inventories/prod --check --diff": (
        "extensions/molecule/default/check.yml",
        "run_options: [--check, --diff]",
    ),
    "ansible-playbook playbooks/diagnose.yml -i inventories/prod": (
        "tests/integration/test_runner.py",
        '"playbooks/diagnose.yml"',
    ),
    "ansible-playbook playbooks/lint.yml -i inventories/prod": (
        "tests/integration/test_runner.py",
        '"playbooks/lint.yml"',
    ),
    "ansible-playbook playbooks/preflight.yml -i inventories/prod": (
        "tests/integration/test_runner.py",
        '"playbooks/preflight.yml"',
    ),
    "ansible-playbook playbooks/status.yml -i inventories/prod": (
        "tests/integration/test_runner.py",
        '"playbooks/status.yml"',
    ),
    "docker logs -f vllm-ascend-v0.13.0rc1": ("tests/integration/test_diagnosis.py", "docker logs"),
}
# Last, and in this order.
UNINSTALL_ONE = (
    "ansible-playbook playbooks/uninstall.yml -i inventories/prod --limit node1 -e uninstall_confirm=yes"
)
UNINSTALL = "ansible-playbook playbooks/uninstall.yml -i inventories/prod -e uninstall_confirm=yes"


def commands(*files: Path) -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in files]
    return sorted(
        {
            " ".join(command.split())
            for text in texts
            for form in (IN_BLOCK, IN_TEXT)
            for command in form.findall(text)
        }
    )


# What can be run against the lab as it stands. The steps of the Makefile are tests and campaigns themselves.
HERE = [
    command
    for command in commands(*DOCS)
    if command not in (*ELSEWHERE, UNINSTALL_ONE, UNINSTALL) and not command.startswith("make ")
]
