# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host accepts what: preflight_check in Ansible, on two hosts with a chip that is Critical each."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_run import run
from two_hosts import npu, pair

PLAY = """
- hosts: node0:node1
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        vllm_npu: "{{ facts[inventory_hostname].npu }}"
        vllm_host_facts: "{{ facts[inventory_hostname].facts }}"
        vllm_plan: "{{ facts[inventory_hostname].plan }}"
    - ascend_ops.vllm.preflight_check:
        accept: "{{ preflight_accept | default([]) }}"
        on_failure: report
      register: report
    - ansible.builtin.debug:
        msg: "{{ report.findings | map(attribute='severity') }}"
      run_once: true
"""


@pytest.fixture(scope="module", name="facts")
def two_sick_hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("nodes")
    hosts = pair([npu(folder / str(index), index, health={"3": "Critical"}) for index in (0, 1)])
    return {host.name: {"npu": host.npu, "facts": host.facts, "plan": host.plan} for host in hosts}


def check(facts: dict[str, Any], folder: Path, **accept: Any) -> tuple[str, list[str]]:
    """Return the output, and the severity of the finding on each host. *accept* is for all, node0 or node1."""
    own = {name: {"preflight_accept": accept[name]} if name in accept else {} for name in ("node0", "node1")}
    play = PLAY
    if "play" in accept:
        play = play.replace(
            "gather_facts: false",
            f"gather_facts: false\n  vars: {{preflight_accept: {json.dumps(accept['play'])}}}",
        )
    (folder / "play.yml").write_text(play, encoding="ascii")
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": own}}), encoding="ascii")
    variables = {"facts": facts, "ansible_python_interpreter": sys.executable}
    if "extra" in accept:
        variables["preflight_accept"] = accept["extra"]
    (folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    done = run(
        "ansible-playbook", str(folder / "play.yml"), "-i", str(folder / "hosts.yml"), "-e",
        f"@{folder / 'variables.json'}",
    )  # fmt: skip
    shown = done.stdout.partition("TASK [ansible.builtin.debug]")[2]
    return done.stdout + done.stderr, re.findall(r"^ +- (\w+)$", shown, re.M)


@pytest.mark.parametrize(
    ("accept", "severities"),
    [
        ({"node0": ["chip_health"]}, ["warn", "fail"]),
        ({"node1": ["chip_health"]}, ["fail", "warn"]),
        ({"play": ["chip_health"]}, ["warn", "warn"]),
        ({"extra": "chip_health, hbm"}, ["warn", "warn"]),
        ({"extra": ["chip_health"], "node1": ["hbm"]}, ["warn", "warn"]),
    ],
)
def test_what_a_host_accepts(facts, tmp_path, accept, severities):
    output, found = check(facts, tmp_path, **accept)
    assert found == severities, output


def test_an_id_that_does_not_exist(facts, tmp_path):
    output, found = check(facts, tmp_path, node1=["chip_helth"])
    assert "chip_helth on host node1" in output
    assert "chip_health" in output
    assert found == []
