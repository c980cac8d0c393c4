# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks say when something was forgotten, without contact to a host."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
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


def test_wrong_and_misspelt_options_of_a_playbook_are_refused_together(inventory):
    given = "status_strict=perhaps status_jsn=report.json benchmark_minutes=0"
    _done, failures = playbook("playbooks/status.yml", "-i", inventory, "-e", given)
    for text in ("status_strict is 'perhaps'", "rename it to status_json", "benchmark_minutes is '0'"):
        assert text in failures[0].message


def test_hosts_in_a_file_that_cannot_be_read_are_not_left_out(inventory):
    workers = Path(inventory).with_name("workers.yml")
    workers.write_text("vllm_workers:\n  hosts:\n    node1:\n    ansible_host: 10.0.0.11\n", encoding="utf-8")
    done, _failures = playbook("playbooks/lint.yml", "-i", str(workers.parent))
    assert done.returncode != 0
    assert f"failed to parse inventory source {workers}" in done.stdout + done.stderr


def test_a_vault_without_its_password_is_told_once_with_the_option_that_gives_it(inventory):
    secret = VaultLib([("default", VaultSecret(b"right"))]).encrypt("ms-0123456789").decode()
    lines = "\n".join(f"  {line}" for line in secret.splitlines())
    group_vars = Path(inventory).parent / "group_vars"
    group_vars.mkdir()
    (group_vars / "all.yml").write_text(f"weights_token: !vault |\n{lines}\n", encoding="utf-8")
    done, (failure,) = playbook("playbooks/lint.yml", "-i", inventory)
    assert "weights_token of host node0 cannot be decrypted" in failure.message
    assert "Remedy: add --ask-vault-pass" in failure.message
    # Once by the error, once by the result of the task, as Ansible prints each failure.
    assert (done.stdout + done.stderr).count("cannot be decrypted") == 2


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


def test_a_misspelt_tag_is_named_and_not_taken_for_a_lost_connection(nobody):
    done, failures = playbook("site.yml", "-i", nobody, "--tags", "weight")
    assert done.returncode != 0
    assert "--tags weight, which chooses no stage" in failures[-1].message
    assert "was reached" not in failures[-1].message


def test_status_shows_hosts_that_it_cannot_reach_also_as_json(nobody, tmp_path):
    status = tmp_path / "status.json"
    done, failures = playbook("playbooks/status.yml", "-i", nobody, "-e", f"status_json={status}")
    assert done.returncode == 0, done.stdout
    assert [failure for failure in failures if "vllm_plan" in failure.message] == []
    assert done.stdout.count("unreachable  ") == 2
    assert "diagnose.yml finds the cause" in done.stdout
    assert status.stat().st_mode & 0o777 == 0o600
    state = json.loads(status.read_text(encoding="utf-8"))
    assert state["service"]["answers"] is False
    assert state["service"]["error"] == "the head cannot be reached"
    nothing = {"reachable": False, "role": None, "docker_error": None, "container": None, "npus": None}
    assert state["hosts"] == [{"name": name, **nothing} for name in ("node0", "node1")]


@pytest.mark.parametrize(
    ("group", "expected"), [("", "node0"), ("vllm_gateway: {hosts: {door: }}\n", "door")]
)
def test_the_gateway_is_on_its_own_group_or_on_the_head(tmp_path, group, expected):
    (tmp_path / "hosts.yml").write_text(HOSTS + group, encoding="utf-8")
    given = ("-i", str(tmp_path / "hosts.yml"), "--list-hosts")
    done, _failures = playbook("playbooks/gateway.yml", "playbooks/uninstall.yml", *given)
    for plays in done.stdout.split("\nplaybook: ")[1:]:
        assert plays.split("  play #")[-1].split()[-1] == expected


def test_a_head_that_is_dead_does_not_keep_the_service_on_the_other_hosts(tmp_path: Path):
    """Nothing is removed here: --check, and no Docker, which ends the run where it would begin to."""
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1, "vllm_service_ip": "10.0.0.10"}
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "vllm_service_ip": "10.0.0.11",
    }
    inventory = {"vllm_head": {"hosts": {"node0": away}}, "vllm_workers": {"hosts": {"node1": here}}}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    given = ("-i", str(tmp_path / "hosts.json"), "-e", "uninstall_confirm=yes", "--check")
    nowhere = f"unix://{tmp_path}/docker.sock"
    done, failures = playbook("playbooks/uninstall.yml", *given, DOCKER_HOST=nowhere)
    assert done.returncode != 0
    assert failures[-1].host == "node1"
    assert failures[-1].message.startswith("Host node1, stage container Found: no Docker daemon answers")
    assert re.search(r"node0 .*unreachable=1", done.stdout)


REPORT = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        status_container: {container: "{{ container }}"}
        vllm_plan: {role: head, url: "http://10.0.0.10:8080", served_model_name: glm47, image: img, container: {name: vllm}}
        vllm_npu: {error: null, chip_count: 8, model: 910B2, chips: []}
        cacheable: true
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: "{{ out }}/{{ item }}"
        content: "{{ {'lines': text | ascend_ops.vllm.report, 'json': json | from_json} | to_json }}"
        mode: "0644"
      loop: "{{ services }}"
      vars:
        awx_job_id: 7
        vllm_head_group: "{{ item }}_head"
        vllm_worker_group: "{{ item }}_workers"
        status_head: "{{ item }}0"
        text: "{{ lookup('ansible.builtin.template', template) }}"
        json: "{{ lookup('ansible.builtin.template', template | replace('.txt.', '.json.')) }}"
"""
STOPPED = {"Status": "exited", "ExitCode": 0, "Running": False, "FinishedAt": "2026-11-28T01:19:31.5Z"}
KILLED = {**STOPPED, "ExitCode": 137}
SERVICES = {"stopped": (STOPPED, STOPPED), "killed": (STOPPED, KILLED), "absent": (STOPPED, None)}


@pytest.fixture(scope="module", name="reports")
def reports_of_services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for each of SERVICES, which do not answer: what playbooks/status.yml reports, as lines and as JSON."""
    folder = tmp_path_factory.mktemp("status")
    inventory = {
        f"{service}_{group}": {
            "hosts": {
                f"{service}{index}": {
                    "ansible_connection": "local", "container": states[index] and {"State": states[index]}
                }
            }
        }
        for service, states in SERVICES.items()
        for index, group in enumerate(("head", "workers"))
    }  # fmt: skip
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "play.yml").write_text(REPORT, encoding="utf-8")
    template = str(ROOT / "playbooks/templates/status.txt.j2")
    variables = {"out": str(folder), "template": template, "services": list(SERVICES)}
    command = ("ansible-playbook", str(folder / "play.yml"), "-i", str(folder / "hosts.json"))
    done = run(*command, "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.parametrize(
    ("service", "advice"),
    [("stopped", "start.yml"), ("killed", "diagnose.yml"), ("absent", "diagnose.yml")],
)
def test_status_tells_what_to_run_for_a_service_that_does_not_answer(reports, service, advice):
    report = json.loads((reports / service).read_text(encoding="utf-8"))
    hosts = report["json"]["hosts"]
    codes = [host["container"] and host["container"]["exit_code"] for host in hosts]
    assert codes == [state and state["ExitCode"] for state in SERVICES[service]]
    assert hosts[0]["container"]["since"] == STOPPED["FinishedAt"]
    assert hosts[1]["npus"] == {"count": 8, "model": "910B2", "error": None, "not_ok": []}
    assert "exited since 2026-11-28T01:19:31Z" in report["lines"][1]
    assert report["lines"][-1].endswith(
        (f"playbooks/{advice} starts the service.", f"playbooks/{advice} finds the cause.")
    )


@pytest.mark.parametrize("name", ["start", "stop", "uninstall", "gateway", "benchmark", "status", "diagnose"])
def test_an_inventory_without_hosts_of_the_service_is_no_success(tmp_path: Path, name: str):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("vllm_heads: {hosts: {node0: {ansible_connection: local}}}\n", encoding="utf-8")
    command = [
        "ansible-playbook",
        f"playbooks/{name}.yml",
        "-i",
        str(inventory),
        "-e",
        "uninstall_confirm=yes",
    ]
    done = run(*command)
    assert done.returncode == 2, done.stdout
    assert "Found: no host in the group vllm_head." in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [
        ("node0:localhost", None),
        ("node0, localhost", None),
        ("node0", "Run with --limit 'node0,localhost'."),
        ("node0,localhost2", "Run with --limit 'node0,localhost2,localhost'."),
        ("all:!localhost", "Take !localhost out of it."),
    ],
)
def test_a_limit_without_localhost_is_refused_where_localhost_reports(inventory, tmp_path, limit, remedy):
    tasks = [{"name": "Ask", "ansible.builtin.import_tasks": f"{ROOT}/playbooks/tasks/require_localhost.yml"}]
    play = [{"hosts": "vllm_head", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    done, failures = playbook(str(tmp_path / "play.yml"), "-i", inventory, "--limit", limit)
    assert bool(failures) == bool(remedy), done.stdout + done.stderr
    assert (remedy or "") in "".join(failure.message for failure in failures)
