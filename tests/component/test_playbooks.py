# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks say when something was forgotten, without contact to a host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_run import ROOT, playbook, run

HOSTS = "vllm_head: {hosts: {node0: {ansible_host: 10.0.0.10}}}\n"


@pytest.fixture(name="inventory")
def one_host(tmp_path: Path) -> str:
    (tmp_path / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    return str(tmp_path / "hosts.yml")


@pytest.mark.parametrize("given", [(), ("-e", "fetch_dir=airgap")])
def test_a_folder_to_fill_must_be_given(inventory, given):
    _done, failures = playbook("playbooks/fetch.yml", "-i", inventory, *given)
    assert "-e fetch_dir=/data/airgap" in failures[0].message
    assert not (ROOT / "playbooks/airgap").exists()


@pytest.mark.parametrize("value", ["abc", "0"])
def test_a_benchmark_of_no_length_is_refused(inventory, value):
    _done, failures = playbook("playbooks/benchmark.yml", "-i", inventory, "-e", f"benchmark_minutes={value}")
    assert f"benchmark_minutes is {value}" in failures[0].message


@pytest.fixture(name="nobody")
def hosts_out_of_reach(tmp_path: Path) -> str:
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory = {
        "vllm_head": {"hosts": {"node0": {**away, "vllm_service_ip": "10.0.0.10"}}},
        "vllm_workers": {"hosts": {"node1": {**away, "vllm_service_ip": "10.0.0.11"}}},
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    return str(tmp_path / "hosts.json")


def test_a_run_that_reached_nobody_says_so_last(nobody):
    done, failures = playbook("site.yml", "-i", nobody)
    assert done.returncode != 0
    assert "none of node0, node1 was reached" in failures[-1].message
    assert done.stdout.rindex("TASK [") == done.stdout.index("TASK [Assert that a host was reached")


def test_status_shows_hosts_that_it_cannot_reach(nobody):
    done, failures = playbook("playbooks/status.yml", "-i", nobody)
    assert done.returncode == 0, done.stdout
    assert [failure for failure in failures if "vllm_plan" in failure.message] == []
    assert done.stdout.count("unreachable  ") == 2
    assert "diagnose.yml finds the cause" in done.stdout


@pytest.mark.parametrize(
    ("group", "expected"), [("", "node0"), ("vllm_gateway: {hosts: {door: }}\n", "door")]
)
def test_the_gateway_is_on_its_own_group_or_on_the_head(tmp_path, group, expected):
    (tmp_path / "hosts.yml").write_text(HOSTS + group, encoding="utf-8")
    for name, play in (("gateway", 1), ("uninstall", 1)):
        done, _failures = playbook(f"playbooks/{name}.yml", "-i", str(tmp_path / "hosts.yml"), "--list-hosts")
        assert done.stdout.split("  play #")[play + 1].split()[-1] == expected


def test_status_writes_json_also_of_hosts_that_it_cannot_reach(nobody, tmp_path):
    done, _failures = playbook(
        "playbooks/status.yml", "-i", nobody, "-e", f"status_json={tmp_path}/status.json"
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o600
    state = json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))
    assert state["service"]["answers"] is False
    assert state["service"]["error"] == "the head cannot be reached"
    nothing = {"reachable": False, "role": None, "container": None, "npus": None}
    assert state["hosts"] == [{"name": name, **nothing} for name in ("node0", "node1")]


REPORT = """\
- hosts: vllm_head:vllm_workers
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        status_container: {container: "{{ container }}"}
        vllm_plan: {role: head, url: "http://10.0.0.10:8080", served_model_name: glm47, image: img, container: {name: vllm}}
        vllm_npu: {error: null, chip_count: 8, model: 910B2, chips: []}
        cacheable: true
- hosts: localhost
  gather_facts: false
  vars: {status_head: node0, awx_job_id: 7}
  tasks:
    - ansible.builtin.copy:
        dest: "{{ out }}"
        content: "{{ lookup('ansible.builtin.template', template) | ascend_ops.vllm.report | to_json }}"
        mode: "0644"
    - ansible.builtin.copy:
        dest: "{{ out }}.json"
        content: "{{ lookup('ansible.builtin.template', template | replace('.txt.', '.json.')) }}"
        mode: "0644"
"""
STOPPED = {"Status": "exited", "ExitCode": 0, "Running": False, "FinishedAt": "2026-11-28T01:19:31.5Z"}
KILLED = {**STOPPED, "ExitCode": 137}


@pytest.mark.parametrize(
    ("states", "advice"),
    [
        ((STOPPED, STOPPED), "start.yml"),
        ((STOPPED, KILLED), "diagnose.yml"),
        ((STOPPED, None), "diagnose.yml"),
    ],
    ids=["stopped", "killed", "absent"],
)
def test_status_tells_what_to_run_for_a_service_that_does_not_answer(tmp_path, states, advice):
    hosts = {
        f"node{index}": {"ansible_connection": "local", "container": state and {"State": state}}
        for index, state in enumerate(states)
    }
    inventory = {
        "vllm_head": {"hosts": {"node0": hosts["node0"]}},
        "vllm_workers": {"hosts": {"node1": hosts["node1"]}},
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (tmp_path / "play.yml").write_text(REPORT, encoding="utf-8")
    variables = {"out": str(tmp_path / "out"), "template": str(ROOT / "playbooks/templates/status.txt.j2")}
    command = ("ansible-playbook", str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.json"))
    done = run(*command, "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout
    hosts = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["hosts"]
    codes = [host["container"] and host["container"]["exit_code"] for host in hosts]
    assert codes == [state and state["ExitCode"] for state in states]
    assert hosts[0]["container"]["since"] == STOPPED["FinishedAt"]
    assert hosts[1]["npus"] == {"count": 8, "model": "910B2", "error": None, "not_ok": []}
    lines = json.loads((tmp_path / "out").read_text(encoding="utf-8"))
    assert "exited since 2026-11-28T01:19:31Z" in lines[1]
    assert lines[-1].endswith(
        (f"playbooks/{advice} starts the service.", f"playbooks/{advice} finds the cause.")
    )
