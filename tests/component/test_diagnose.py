# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagnosis as Ansible runs it, on records given as variables, and on hosts that are not there."""

from __future__ import annotations

import json
import re
import stat
import tarfile
from pathlib import Path

import pytest
from ansible_run import ROOT, run

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        vllm_plan: "{{ plan }}"
        vllm_records: "{{ records }}"
        cacheable: true
      when: records is defined
- hosts: localhost
  gather_facts: false
  tasks:
    - ascend_ops.vllm.log_diagnosis:
        bundle: "{{ bundle }}"
      register: diagnosed
    - ansible.builtin.copy:
        dest: "{{ bundle }}.json"
        content: "{{ diagnosed | to_json }}"
        mode: "0600"
      check_mode: false
"""
STATE = {
    "Running": False,
    "Status": "exited",
    "ExitCode": 1,
    "OOMKilled": False,
    "StartedAt": "2026-11-25T04:00:00Z",
    "FinishedAt": "2026-11-25T04:01:00.5Z",
}
SECRETS = ["planted-token-1", "planted-key-2", "planted-password-3", "planted-proxy-4", "planted-env-5"]


def ansible(folder: Path, *command: str) -> str:
    done = run("ansible-playbook", *command, cwd=folder, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def unpack(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive}


def records(role: str, *lines: str) -> dict:
    container = {
        "State": STATE,
        "RestartCount": 0,
        "Config": {
            "Env": [f"A_TOKEN={SECRETS[4]}", f"HTTPS_PROXY=http://me:{SECRETS[3]}@proxy:3128", "PATH=/bin"]
        },
    }
    log = "\n".join(f"2026-11-25T04:00:{second:02}.0Z {line}" for second, line in enumerate(lines))
    return {
        "plan": {"role": role, "patch": None},
        "records": {"container": container, "log": log, "npu_log": "", "kernel": "", "errors": []},
    }


@pytest.fixture(name="inventory")
def written_inventory(tmp_path) -> Path:
    """Two hosts whose records hold secrets, by their names and anywhere else, and one of which nothing is known."""
    head = {"weights_token": SECRETS[0], "vllm_api_key": "{{ lookup('ansible.builtin.file', '/nowhere') }}"}
    head.update(
        records(
            "head",
            f"they said {SECRETS[0]} and {SECRETS[2]}",
            "[supervisor] stopping: host 1 reported: vLLM on host 1 exited with code 0",
        )
    )
    worker = {"image_registry_password": SECRETS[2], "vllm_api_key": SECRETS[1]}
    worker.update(
        records(
            "worker",
            f"serving with {SECRETS[1]}",
            "RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB",
        )
    )
    inventory = {
        "vllm_head": {"hosts": {"node0": head}},
        "vllm_workers": {"hosts": {"node1": worker, "node2": {}}},
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    return tmp_path


def test_the_first_cause_is_told_and_the_bundle_holds_no_secret(inventory):
    bundle = inventory / "new" / "support.tar.gz"
    ansible(inventory, "play.yml", "-i", "hosts.json", "-e", f"bundle={bundle}")
    result = json.loads(bundle.with_name("support.tar.gz.json").read_text(encoding="utf-8"))
    assert result["findings"][0]["cause"] in result["verdict"]
    assert "2026-11-25 04:00:01 UTC" in result["verdict"]
    assert [(finding["host"], finding["id"]) for finding in result["findings"]] == [
        ("node1", "out_of_memory"),
        ("node0", "other_host_failed"),
    ]
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    texts = unpack(bundle)
    assert {
        "support/verdict.txt",
        "support/findings.json",
        "support/node0/container.log",
        "support/node1/container.json",
    } <= set(texts)
    everything = "\n".join([*texts.values(), json.dumps(result)])
    assert [secret for secret in SECRETS if secret in everything] == []
    assert "they said *** and ***" in texts["support/node0/container.log"]
    assert "PATH=/bin" in texts["support/node1/container.json"]


def test_a_check_writes_nothing(inventory):
    bundle = inventory / "support.tar.gz"
    ansible(inventory, "play.yml", "-i", "hosts.json", "-e", f"bundle={bundle}", "--check")
    assert not bundle.exists()
    assert json.loads((inventory / "support.tar.gz.json").read_text(encoding="utf-8"))["bundle"] is None


def test_hosts_out_of_reach_do_not_hinder_the_verdict(tmp_path):
    (tmp_path / "hosts.yml").write_text(
        "vllm_head: {hosts: {node0: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n"
        "vllm_workers: {hosts: {node1: {ansible_host: 127.0.0.2, ansible_port: 1}}}\n"
        "all: {vars: {vllm_service_ip: '10.0.0.{{ 10 if inventory_hostname == \"node0\" else 11 }}'}}\n",
        encoding="utf-8",
    )
    ansible(tmp_path, str(ROOT / "playbooks/diagnose.yml"), "-i", "hosts.yml", "-e", "diagnose_dir=out")
    texts = unpack(tmp_path / "out/support-bundle.tar.gz")
    assert json.loads(texts["support-bundle/findings.json"]) == []
    assert re.findall(r"^(node\d) .*unreachable", texts["support-bundle/verdict.txt"], re.M) == [
        "node0",
        "node1",
    ]
