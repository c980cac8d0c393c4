# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play on two hosts, of which one has no Docker daemon and fails."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_run import ROOT, run
from docker_daemon import docker_daemon

HOST = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "vllm_service_nic": "lo",
}


def failed_run(
    folder: Path, role: Mapping[str, str], answers: dict[str, Any], *options: str, **variables: Any
) -> str:
    """Import a role on node0, which has no daemon, and on node1, which gives *answers*. Return what Ansible says.

    Only node0 fails, and the play ends.
    """
    inventory = {
        "vllm_head": {"hosts": {"node0": {"vllm_service_ip": "10.0.0.10", "docker": str(folder / "none.sock")}}},
        "vllm_workers": {"hosts": {"node1": {"vllm_service_ip": "10.0.0.11", "docker": str(folder / "docker.sock")}}},
        "all": {"vars": {**HOST, **variables}},
    }  # fmt: skip
    play = {
        "hosts": "vllm_head:vllm_workers",
        "gather_facts": False,
        "any_errors_fatal": True,
        "environment": {"DOCKER_HOST": "unix://{{ docker }}"},
        "tasks": [
            {"name": "Run the role", "ansible.builtin.import_role": role},
            {"name": "Go on", "ansible.builtin.debug": {"msg": "what must not run"}},
        ],
    }
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = ("ansible-playbook", "play.yml", "-i", "hosts.json", *options)
    with docker_daemon(folder, answers):
        done = run(*command, cwd=folder, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "what must not run" not in said
    assert re.search(r"^node1 +: .* failed=0 ", said, re.M), said
    return said
