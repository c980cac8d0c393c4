# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in the docs work, on the lab in the place of production. What another test runs is in docs_commands.py."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_run import ROOT, environment
from docs_commands import DOCS, HERE, UNINSTALL, UNINSTALL_ONE, commands
from lab import INVENTORY, NODES, assert_names, on, place, playbook


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
