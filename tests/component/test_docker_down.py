# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each stage that meets a host without a Docker daemon, in a run of its own: it reports what the preflight would."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import START
from ansible_run import ROOT, run
from docker_daemon import Answers, docker_daemon

NO_CONTAINER = Answers(
    {
        "/version": {"Version": "26.1.3", "ApiVersion": "1.45", "MinAPIVersion": "1.24"},
        "/info": {"ServerVersion": "26.1.3", "DockerRootDir": "/"},
        "/containers/json": [],
    }
)
SHARED = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "vllm_service_nic": "lo",
}
TASKS = (
    ("container", "main"),
    ("container", "smoke_test"),
    ("patch", "smoke_test"),
    ("serve", "main"),
    ("serve", "stop"),
)


def failed_run(folder: Path, role: str, tasks: str, **variables: Any) -> str:
    """Run tasks of a role on node0, which has no daemon, and on node1, which has one. Return what Ansible says."""
    hosts = {
        "node0": {"vllm_service_ip": "10.0.0.10", "docker": str(folder / "none.sock")},
        "node1": {"vllm_service_ip": "10.0.0.11", "docker": str(folder / "docker.sock")},
    }
    inventory = {
        "vllm_head": {"hosts": {"node0": hosts["node0"]}},
        "vllm_workers": {"hosts": {"node1": hosts["node1"]}},
        "all": {"vars": {**SHARED, **variables}},
    }
    role_tasks = {"name": f"ascend_ops.vllm.{role}", "tasks_from": tasks}
    play = {
        "hosts": "vllm_head:vllm_workers",
        "gather_facts": False,
        "any_errors_fatal": True,
        "environment": {"DOCKER_HOST": "unix://{{ docker }}"},
        "tasks": [
            {"name": "Run them", "ansible.builtin.import_role": role_tasks},
            {"name": "Go on", "ansible.builtin.debug": {"msg": "what must not run"}},
        ],
    }
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    with docker_daemon(folder, NO_CONTAINER):
        done = run(
            "ansible-playbook",
            "play.yml",
            "-i",
            "hosts.json",
            cwd=folder,
            ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
        )
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "what must not run" not in said
    assert re.search(r"^node1 +: .* failed=0 ", done.stdout, re.M), said
    return said


@pytest.mark.parametrize(("role", "tasks"), TASKS, ids=[" ".join(one) for one in TASKS])
def test_the_stage_reports_what_the_preflight_reports(tmp_path: Path, role: str, tasks: str):
    said = failed_run(tmp_path, role, tasks)
    expected = [
        f"Host node0, stage {role}",
        f"Found: no Docker daemon answers on {tmp_path}/none.sock: No such file or directory.",
        "Expected: a running Docker daemon.",
        f"Remedy: {START}.",
    ]
    last = said.rpartition("fatal: [node0]")[2]
    assert [line.strip() for line in last.splitlines()][3:7] == expected, said
    assert "Host node1" not in said


def test_without_facts_of_docker_the_message_of_the_task_is_reported(tmp_path: Path):
    said = failed_run(tmp_path, "serve", "stop", plan_offline=True)
    last = said.rpartition("fatal: [node0]")[2]
    assert "Host node0, stage serve" in last
    assert "Found: Error connecting: " in last
    assert "Remedy: Look at Docker on the host" in last


def test_status_reports_the_host_with_the_reason(tmp_path: Path):
    host = {**SHARED, "vllm_service_ip": "127.0.0.1", "vllm_api_port": 1}
    inventory, state = tmp_path / "hosts.json", tmp_path / "status.json"
    inventory.write_text(json.dumps({"vllm_head": {"hosts": {"node0": host}}}), encoding="utf-8")
    command = ("ansible-playbook", "playbooks/status.yml", "-i", str(inventory), "-e", f"status_json={state}")
    done = run(*command, cwd=ROOT, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 0, done.stdout + done.stderr
    error = f"no Docker daemon answers on {tmp_path}/none.sock: No such file or directory"
    assert re.search(r"node0 +head +unknown ", done.stdout)
    assert f"Docker: {error}" in done.stdout
    (reported,) = json.loads(state.read_text(encoding="utf-8"))["hosts"]
    assert (reported["reachable"], reported["container"], reported["docker_error"]) == (True, None, error)
