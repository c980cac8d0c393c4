# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command in the docs is run, here on the lab in the place of production, or by the test that is named here."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_run import ROOT, environment
from lab import INVENTORY, NODES, assert_names, on, place, playbook

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
    "make demo": ("Makefile", "demo: lab-up"),
    "make test": (".ci/run", "exec make test"),
    "make lab-down": ("tests/steps.sh", "lab-down"),
    "make site": ("Makefile", "site sanity"),
    "make docs": ("Makefile", "site: docs"),
    "make faults": ("Makefile", "faults weights runner"),
    "make runner": ("Makefile", "faults weights runner"),
    "make bench-weights": ("Makefile", "tests/bench/weights.py"),
    "make bench-stage": ("Makefile", "tests/bench/stage.py"),
    "make releases": ("Makefile", "tests/integration/test_releases.py"),
    "make watched": ("Makefile", "tests/integration/test_watched.py"),
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


HERE = [command for command in commands(*DOCS) if command not in (*ELSEWHERE, UNINSTALL_ONE, UNINSTALL)]


def run(command: str, folder: Path) -> str:
    """Run a command as it stands, but against the lab and with names of the reader's choice filled in."""
    given = {
        "inventories/prod": "inventories/lab",
        "INVENTORY": "inventories/lab",
        "render_dir=DIR": f"render_dir={folder}/rendered",
    }
    given["render_dir=rendered"] = given["render_dir=DIR"]
    for said, meant in given.items():
        command = command.replace(said, meant)
    arguments = shlex.split(command)
    if arguments[0] == "ansible-playbook":
        arguments += ["-e", f"diagnose_dir={folder}"]
    if "playbooks/render.yml" in arguments:
        arguments += ["-e", "vllm_service_nic=eth0"]
    where = folder if arguments[0] == "ansible" else ROOT
    variables = environment(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    done = subprocess.run(
        arguments, cwd=where, env=variables, input="a-secret", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def service() -> None:
    playbook("site.yml", *INVENTORY).succeeded()


@pytest.fixture(scope="module")
def logs(service) -> dict[str, str]:
    command = ("sh", "-c", "docker logs --timestamps vllm-ascend-v0.13.0rc1 2>&1")
    return {f"{node}.log": on(node, *command) for node in NODES}


@pytest.fixture(name="folder")
def a_folder(tmp_path: Path, logs: dict[str, str]) -> Path:
    for name, text in {"password": "of a vault", **logs}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", HERE)
def test_a_command_of_the_docs_works(command, folder, monkeypatch):
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(folder / "password"))
    assert run(command, folder)


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_there_and_still_in_the_docs(command):
    file, sign = ELSEWHERE[command]
    assert sign in (ROOT / file).read_text(encoding="utf-8")
    assert command in commands(*DOCS)


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_command_is_overlooked(file):
    text = PICTURE.sub("", file.read_text(encoding="utf-8"))
    assert "```" not in text, "commands are indented by four blanks"
    lines = re.findall(r"^ {4}\S.*$", text, re.MULTILINE)
    assert [
        line for line in lines if not IN_BLOCK.fullmatch(line) and not NO_COMMAND.match(line.strip())
    ] == []


def test_no_campaign_is_run_here():
    assert [command for command in HERE if command.startswith("make ")] == []


def test_both_readmes_have_the_same_commands():
    english, chinese = commands(ROOT / "README.md"), commands(ROOT / "README.zh-CN.md")
    assert english == chinese
    assert len(english) > 15


def uninstall(command: str) -> None:
    assert command in commands(*DOCS)
    playbook(*shlex.split(command.replace("prod", "lab"))[1:]).succeeded()


@pytest.mark.usefixtures("service")
def test_a_host_is_taken_out():
    uninstall(UNINSTALL_ONE)
    assert [bool(on(node, "docker", "ps", "--all", "--quiet")) for node in NODES] == [True, False]
    # A host that was replaced looks like this one.
    refused = playbook("playbooks/upgrade.yml", *INVENTORY).failed()
    assert_names(refused["node1"], place("node1", "container"), "vllm-ascend-v0.13.0rc1-backup", "site.yml")


@pytest.mark.usefixtures("service")
def test_uninstalling_leaves_the_weights_and_nothing_else():
    uninstall(UNINSTALL)
    for node in NODES:
        assert on(node, "docker", "ps", "--all", "--quiet") == ""
        assert on(node, "docker", "image", "ls", "--quiet") == ""
        assert "manifest" in on(node, "ls", "-a", "/opt/data/verification/models/GLM-4.7")
