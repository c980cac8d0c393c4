# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each stage that meets a host without a Docker daemon, in a run of its own: it reports what the preflight would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import START
from ansible_run import ROOT, run
from docker_daemon import Answers
from one_without_docker import HOST, failed_run

NO_CONTAINER = Answers(
    {
        "/version": {"Version": "26.1.3", "ApiVersion": "1.45", "MinAPIVersion": "1.24"},
        "/info": {"ServerVersion": "26.1.3", "DockerRootDir": "/"},
        "/containers/json": [],
    }
)
TASKS = (
    ("container", "main"),
    ("container", "smoke_test"),
    ("patch", "smoke_test"),
    ("serve", "main"),
    ("serve", "stop"),
)


def failed(folder: Path, role: str, tasks: str, **variables: Any) -> str:
    names = {"name": f"ascend_ops.vllm.{role}", "tasks_from": tasks}
    return failed_run(folder, names, NO_CONTAINER, **variables)


@pytest.mark.parametrize(("role", "tasks"), TASKS, ids=[" ".join(one) for one in TASKS])
def test_the_stage_reports_what_the_preflight_reports(tmp_path: Path, role: str, tasks: str):
    said = failed(tmp_path, role, tasks)
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
    said = failed(tmp_path, "serve", "stop", plan_offline=True)
    last = said.rpartition("fatal: [node0]")[2]
    assert "Host node0, stage serve" in last
    assert "Found: Error connecting: " in last
    assert "Remedy: Look at Docker on the host" in last


def test_status_reports_the_host_with_the_reason(tmp_path: Path):
    host = {**HOST, "vllm_service_ip": "127.0.0.1", "vllm_api_port": 1}
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
