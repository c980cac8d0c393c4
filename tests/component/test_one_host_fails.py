# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage that fails on one of two hosts: with any_errors_fatal, Ansible takes the other one to the rescue, too."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from ansible_run import ROOT, run
from docker_daemon import docker_daemon

SHARED = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "vllm_service_nic": "lo",
    "plan_offline": True,
}


def test_only_the_host_that_failed_is_named(tmp_path):
    hosts = {
        "node0": {"vllm_service_ip": "10.0.0.10", "docker": str(tmp_path / "none.sock")},
        "node1": {"vllm_service_ip": "10.0.0.11", "docker": str(tmp_path / "docker.sock")},
    }
    inventory = {
        "vllm_head": {"hosts": {"node0": hosts["node0"]}},
        "vllm_workers": {"hosts": {"node1": hosts["node1"]}},
        "all": {"vars": SHARED},
    }
    play = {
        "hosts": "vllm_head:vllm_workers",
        "gather_facts": False,
        "any_errors_fatal": True,
        "environment": {"DOCKER_HOST": "unix://{{ docker }}"},
        "roles": ["ascend_ops.vllm.patch"],
        "post_tasks": [{"name": "Go on", "ansible.builtin.debug": {"msg": "what must not run"}}],
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = ("ansible-playbook", "play.yml", "-i", "hosts.json", "--check")
    with docker_daemon(tmp_path, {}):
        done = run(*command, cwd=tmp_path, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Host node0, stage patch: container" in said
    assert "Host node1, stage patch: container" not in said
    assert re.search(r"^node1 +: .* failed=0 ", said, re.M), said
    assert "what must not run" not in said


def rescues(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the tasks of all rescues, at any depth."""
    for task in tasks:
        yield from task.get("rescue", [])
        for part in ("block", "rescue", "always"):
            yield from rescues(task.get(part, []))


def test_each_rescue_of_a_role_is_for_the_host_that_failed():
    files = sorted(ROOT.glob("roles/*/tasks/*.yml"))
    found = [task for file in files for task in rescues(yaml.safe_load(file.read_text(encoding="utf-8")))]
    assert len(found) >= 5
    assert [task["name"] for task in found if task.get("when") != "ansible_failed_result is defined"] == []
