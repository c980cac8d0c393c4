# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role alone, in a user's playbook with nothing but an inventory, after the roles before it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_run import ROOT, run
from lab import CONTAINER, INVENTORY, NODES, on, site

HOSTS = {"verify": "vllm_head"}
CHANGES = ("container", "patch", "serve")  # once their container is gone


@pytest.fixture(scope="module", autouse=True)
def hosts_without_a_container() -> None:
    site(*INVENTORY, "--tags", "image,weights").succeeded()
    for node in NODES:
        on(node, "docker", "rm", "--force", CONTAINER)


def changes(role: str, folder: Path) -> int:
    """Run the role as an installed collection's, and return how many tasks changed something."""
    play = {"hosts": HOSTS.get(role, "vllm_head:vllm_workers"), "roles": [f"ascend_ops.vllm.{role}"]}
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    (folder / "ansible.cfg").write_text(
        f"[defaults]\ncollections_path = {ROOT}/collections\n", encoding="utf-8"
    )
    command = ("ansible-playbook", "play.yml", "-i", str(ROOT / "inventories/lab"))
    done = run(*command, cwd=folder, ANSIBLE_CONFIG=str(folder / "ansible.cfg"))
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


@pytest.mark.parametrize("role", ["preflight", "image", "weights", "container", "patch", "serve", "verify"])
def test_a_role_does_its_work_alone(role, tmp_path):
    assert (changes(role, tmp_path) > 0) == (role in CHANGES)


@pytest.mark.campaign  # scenario default runs all of them a second time
@pytest.mark.parametrize("role", ["container", "patch", "serve"])
def test_and_nothing_the_second_time(role, tmp_path):
    assert changes(role, tmp_path) == 0
