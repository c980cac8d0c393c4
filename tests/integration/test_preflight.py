# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight playbook on the running lab: a healthy pair passes, whatever is wrong is in one table, and nothing is changed."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ansible_run
import pytest
from lab import INVENTORY, NET, Run, assert_names, finding_ids, lab, on, place, playbook, state

# New connections only: the service's own go on.
FIREWALL = (
    "INPUT",
    "-p",
    "tcp",
    "--syn",
    "-s",
    f"{NET}.10",
    "-d",
    f"{NET}.11",
    "!",
    "--dport",
    "22",
    "-j",
    "DROP",
)


@pytest.fixture(autouse=True)
def nothing_is_changed():
    before = state()
    yield
    assert state() == before


@contextmanager
def done(make: tuple[str, ...], undo: tuple[str, ...]):
    with ExitStack() as stack:
        stack.callback(lab, *undo)
        lab(*make)
        yield


def preflight(path: Path, *options: str) -> tuple[Run, dict]:
    run = playbook("playbooks/preflight.yml", *INVENTORY, "-e", f"preflight_json={path}", *options)
    assert path.exists(), run.output
    return run, json.loads(path.read_text(encoding="utf-8"))


def found(report: dict) -> list[tuple[str, str, str]]:
    return finding_ids(report["findings"])


def test_a_healthy_pair_passes(tmp_path):
    run, report = preflight(tmp_path / "report.json")
    run.succeeded()
    assert report["findings"] == report["not_checked"] == []
    assert set(report["checks"].pop("image_versions").values()) <= {
        "ok",
        None,
    }  # None before the image is pulled
    assert {"tcp", "roce_ping", "weights", "chip_health"} <= set(report["checks"])
    healthy = {"node0": "ok", "node1": "ok"}
    assert {name: hosts for name, hosts in report["checks"].items() if hosts != healthy} == {}


DRIVER_UNIT = "/etc/systemd/system/host_sys_init.service"
DROP_IN = "/etc/systemd/system/docker.service.d/ascend-ops-*.conf"
INSTALL = (
    f"printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >{DRIVER_UNIT} && systemctl daemon-reload"
)
UNINSTALL = f"rm -f {DRIVER_UNIT} {DROP_IN} && systemctl daemon-reload"


@pytest.mark.campaign
def test_docker_that_may_start_before_the_driver_is_a_warning_until_a_drop_in_orders_it(tmp_path):
    with done(("exec", "node1", "sh", "-c", INSTALL), ("exec", "node1", "sh", "-c", UNINSTALL)):
        run, report = preflight(tmp_path / "before.json")
        run.succeeded()
        assert found(report) == [("node1", "docker_order", "warn")]
        order = json.dumps({"name": "ascend_ops.vllm.container", "tasks_from": "docker_order"})
        role = ("-m", "ansible.builtin.include_role", "-a", order)
        written = ansible_run.run("ansible", "node1", *INVENTORY, *role)
        assert written.returncode == 0, written.stdout
        after = on("node1", "systemctl", "show", "docker", "--property=After", "--value")
        assert "host_sys_init.service" in after.split()
        _run, report = preflight(tmp_path / "after.json")
        assert found(report) == []


@pytest.mark.campaign
def test_this_machine_needs_no_sudo_where_the_hosts_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSIBLE_BECOME_ALLOW_SAME_USER", "1")  # as if it were not root who runs this
    here = "hosts: {localhost: {ansible_connection: local, ansible_become_exe: no-such-sudo}}"
    (tmp_path / "sudo.yml").write_text(f"all: {{vars: {{ansible_become: true}}, {here}}}\n", encoding="utf-8")
    run, report = preflight(tmp_path / "report.json", "-i", str(tmp_path / "sudo.yml"))
    run.succeeded()
    assert report["findings"] == []


def test_two_sick_hosts_are_reported_together(tmp_path):
    with (
        done(("sick", "node0", 'health={"3": "Critical"}'), ("heal", "node0")),
        done(("sick", "node1", "lldp=false", "chips=7"), ("heal", "node1")),
    ):
        run, report = preflight(tmp_path / "report.json")
    assert "2" in run.failed()["localhost"]
    assert found(report) == [
        ("node0", "chip_health", "fail"),
        ("node1", "chip_count", "fail"),
        ("node1", "roce_switch", "warn"),
    ]
    assert_names(run.output, "chip_health FAIL ok", "80E01801")


@pytest.mark.campaign
def test_pings_that_do_not_come_back(tmp_path):
    with (
        done(("sick", "node0", 'unreachable=["10.20.11.22"]'), ("heal", "node0")),
        done(("sick", "node1", "ping_loss=[5]"), ("heal", "node1")),
    ):
        run, report = preflight(tmp_path / "report.json")
        run.failed()
        assert found(report) == [("node0", "roce_ping", "fail"), ("node1", "roce_ping", "warn")]
        assert report["findings"][0]["found"].count("10.20.11.22") == 1
        full = preflight(tmp_path / "full.json", "-e", "preflight_pings=full")[1]
    assert full["findings"][0]["found"].count("10.20.11.22") == 8  # from each port of node0


def test_a_firewall_between_the_hosts(tmp_path):
    with done(("exec", "node1", "iptables", "-I", *FIREWALL), ("exec", "node1", "iptables", "-D", *FIREWALL)):
        run, report = preflight(tmp_path / "report.json")
    run.failed()
    assert found(report) == [("node1", "tcp", "fail")]
    assert_names(report["findings"][0]["found"], "node0", "32768, 42178, 51588, 60999")


@pytest.fixture(scope="module")
def pulled():
    """The image is on the hosts: without it, its versions are not checked."""
    playbook("site.yml", *INVENTORY, "--tags", "image").succeeded()


@pytest.mark.usefixtures("pulled")
def test_an_image_and_weights_that_are_not_the_expected_ones(tmp_path):
    versions = {"vllm": "0.14.0", "cann": "8.5.0", "torch": None, "torch_npu": None, "vllm_ascend": None}
    wishes = {
        "vllm_model_dir": "/opt/data/preflight/GLM-4.7",
        "weights_token": "somebody-elses",
        "vllm_image_versions": versions,
    }
    run, report = preflight(tmp_path / "report.json", "-e", json.dumps(wishes))
    run.failed()
    expected = [(host, name, "fail") for host in ("node0", "node1") for name in ("image_versions", "weights")]
    assert sorted(found(report)) == expected
    texts = {finding["id"]: " ".join(map(str, finding.values())) for finding in report["findings"]}
    assert_names(texts["weights"], "10010103009", "weights_token")
    assert_names(texts["image_versions"], "cann 8.5.0", "vllm 0.14.0")


def test_a_host_that_cannot_be_looked_at_fails(tmp_path):
    port = '{"ansible_port": "{{ 9 if inventory_hostname == \'node1\' else 22 }}"}'
    run, report = preflight(tmp_path / "report.json", "-e", port)
    run.failed()
    assert report["not_checked"] == ["node1"]
    assert "FAIL node1" in run.output


@pytest.mark.campaign  # test_roce_tls.py switches it with the same simulated tool
def test_tls_is_switched_off_by_choice_only(tmp_path):
    with done(("sick", "node1", "tls=[2]"), ("heal", "node1")):
        report = preflight(tmp_path / "report.json", "-e", "preflight_roce_tls_off=true")[1]
        assert found(report) == [("node1", "roce_tls", "fail")]
        options = (*INVENTORY, "--tags", "preflight")
        run = playbook("site.yml", *options)
        assert "preflight_roce_tls_off" in run.failed()["node0"]
        assert ("node1", "roce_tls", "fail") in run.findings()
        playbook("site.yml", *options, "-e", "preflight_roce_tls_off=true").succeeded()
        playbook("site.yml", *options).succeeded()


@pytest.mark.campaign
def test_the_stage_image_refuses_other_versions():
    # A container of another name, for the service that runs from this image is the proof that it was found right.
    wishes = {
        "vllm_container_name": "preflight",
        "vllm_image_versions": {"vllm": "0.14.0", "torch": None, "torch_npu": None, "vllm_ascend": None},
    }
    run = playbook("site.yml", *INVENTORY, "--tags", "image", "-e", json.dumps(wishes))
    for node, message in run.failed().items():
        assert_names(message, place(node, "image"), "vllm 0.13.0+cpu", "vllm 0.14.0", "vllm_image_versions")
