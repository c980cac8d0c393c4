# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run by Ansible on a host with Python 3.8, or the oldest newer one that this machine has."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.modules import npu_facts
from ansible_run import module
from ansible_run import run as ansible
from locks import alone_with
from npu_sim import install
from pythons import interpreters


@pytest.fixture(scope="session")
def python() -> str:
    return interpreters()[0]


def run(python: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Return the facts of a module that Ansible ran with that Python on this machine."""
    return result(python, name, **arguments)["ansible_facts"]


def result(python: str, name: str, **arguments: Any) -> dict[str, Any]:
    found = module(name, arguments, python=python)
    assert not found.get("failed"), found
    return found


def test_the_npus_are_read(python, tmp_path):
    install.apply(tmp_path, {"health": [1], "busy": [1], "link_down": [2]}, 0, "node0")
    paths = {
        "npu_smi_path": tmp_path / install.NPU_SMI,
        "hccn_tool_path": tmp_path / install.HCCN_TOOL,
        "driver_root": tmp_path / "usr/local/Ascend",
    }
    arguments = {key: str(path) for key, path in paths.items()}
    assert run(python, "npu_facts", **arguments) == {
        "vllm_npu": npu_facts.facts({**arguments, "gather": npu_facts.GATHER})
    }


def test_the_host_is_read(python):
    facts = run(python, "host_facts", service_ip="127.0.0.1", disks=["/nowhere"], ports=[1])[
        "vllm_host_facts"
    ]
    version = subprocess.run(
        [python, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (facts["python_version"], facts["service_nic"]) == (version.strip(), "lo")


CONNECTIVITY = """
- hosts: all
  connection: local
  gather_facts: false
  vars:
    address: "{{ '127.0.0.6' if inventory_hostname == 'node0' else '127.0.0.7' }}"
    port: "{{ {'device': 0, 'link': 'UP', 'lldp_port': 'p', 'ip': '10.20.11.' ~ (11 if inventory_hostname == 'node0' else 19)} }}"
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        vllm_host_facts: {}
        vllm_npu: {fabric: ["{{ port }}"], hccn_tool_path: "{{ tool }}"}
        vllm_plan: {hosts: [node0, node1], service_ip: "{{ address }}", npu: {ids: [0]}}
    - when: inventory_hostname == 'node0' # a second listener on this machine would end the first
      ascend_ops.vllm.peer_listener: {address: "{{ address }}", callers: 1}
    - ascend_ops.vllm.peer_probe:
    - ansible.builtin.copy:
        dest: "{{ results }}/{{ inventory_hostname }}.json"
        content: "{{ ansible_facts.vllm_peers | to_json }}"
        mode: "0600"
"""


def test_the_hosts_call_each_other(python, tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    (tmp_path / "play.yml").write_text(CONNECTIVITY, encoding="ascii")
    variables = {
        "ansible_python_interpreter": python,
        "tool": str(tmp_path / install.HCCN_TOOL),
        "results": str(tmp_path),
    }
    with alone_with("listener"):
        done = ansible(
            "ansible-playbook", tmp_path / "play.yml", "-i", "node0,node1,", "-e", json.dumps(variables)
        )
    assert done.returncode == 0, done.stdout + done.stderr
    head, worker = (json.loads((tmp_path / f"node{index}.json").read_text()) for index in range(2))
    assert [(call["host"], call["error"]) for call in worker["calls"]] == [("node0", None)] * 4
    assert head["calls"] == []
    assert [(ping["host"], ping["received"]) for ping in head["pings"]] == [("node1", 3)]


def test_logs_are_diagnosed(python, tmp_path):
    head, worker = tmp_path / "head.log", tmp_path / "worker.log"
    head.write_text(
        "RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.11]:44773\n",
        encoding="utf-8",
    )
    worker.write_bytes(b"\xff\nRuntimeError: NPU out of memory. Tried to allocate 3.47 GiB\n")
    found = result(python, "log_diagnosis", paths=[str(head), str(worker)])["findings"]
    assert [(finding["id"], finding["path"]) for finding in found] == [
        ("out_of_memory", str(worker)),
        ("peer_gone", str(head)),
    ]
    found = result(python, "log_diagnosis", text=worker.read_text(errors="replace"))["findings"]
    assert [set(finding) for finding in found] == [{"id", "severity", "cause", "remedy", "line", "source"}]


def test_the_records_of_a_container_that_is_not_there(python):
    records = run(python, "service_records", container="no-such-container")["vllm_records"]
    assert (records["container"], records["log"]) == (None, "")
