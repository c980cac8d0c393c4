# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role monitoring on this machine: what it writes, what a second run and check mode do, and what it refuses."""

from __future__ import annotations

import json
import re

import yaml
from monitoring import watch
from shipped import ROOT, options, read


def counts(output: str) -> str:
    return re.search(r"^watch .*changed=(\d+)", output, re.M)[1]


def test_targets_have_labels_and_a_second_run_changes_nothing(tmp_path):
    """For a service of any name, which has files and labels of its own. Grafana finds the dashboard."""
    name = 'Qwen/3 "big"'
    provisioning = tmp_path / "grafana/provisioning/dashboards"
    provisioning.mkdir(parents=True)
    given = {
        "hosts": {"node0": {"ansible_host": "10.0.0.10"}, "node1": {"vllm_service_ip": "fd00::11"}},
        "monitoring_exporters": {"node": 9100, "npu": "8090"},
        "monitoring_service": name,
        "monitoring_grafana_dir": str(tmp_path / "grafana"),
    }
    done, _failures = watch(tmp_path, "--check", **given)
    assert (done.returncode, counts(done.stdout)) == (0, "2"), done.stdout
    assert not (tmp_path / "written").exists()

    done, _failures = watch(tmp_path, **given)
    assert done.returncode == 0, done.stdout
    assert "node0 :" not in done.stdout  # in the recap: no host of the service was contacted
    targets = json.loads((tmp_path / "written/targets-Qwen-3--big-.json").read_text(encoding="utf-8"))
    assert {(one["labels"]["job"], one["labels"]["rank"], one["targets"][0]) for one in targets} == {
        ("vllm", "0", "10.0.0.10:8080"),
        ("node", "0", "10.0.0.10:9100"),
        ("npu", "0", "10.0.0.10:8090"),
        ("node", "1", "[fd00::11]:9100"),
        ("npu", "1", "[fd00::11]:8090"),
    }
    assert {one["labels"]["service"] for one in targets} == {name}
    assert json.loads((tmp_path / "written/dashboards/vllm.json").read_text(encoding="utf-8"))["uid"]
    (provider,) = read(provisioning / "ascend-ops.yml")["providers"]
    assert provider["options"]["path"] == str(tmp_path / "written/dashboards")
    rules = yaml.safe_load((tmp_path / "written/rules-Qwen-3--big-.yml").read_text(encoding="utf-8"))
    service = f"service={json.dumps(name)}"
    stopped = f'ascend_ops_supervisor_state{{job="node",{service},port="8080",state="stopped"}} == 1'
    assert rules["groups"][0]["rules"][0]["expr"].startswith(
        f'up{{job="vllm",{service}}} == 0 unless on (service, host) {stopped}'
    )

    done, _failures = watch(tmp_path, "--check", "--diff", **given)
    assert (done.returncode, counts(done.stdout)) == (0, "0"), done.stdout
    another = ("--check", "--diff", "-e", "vllm_api_port=9000")
    done, _failures = watch(tmp_path, *another, **given, monitoring_thresholds={"error_ratio": 0.25})
    assert (done.returncode, counts(done.stdout)) == (0, "2"), done.stdout
    assert re.search(r"^\+.*10\.0\.0\.10:9000", done.stdout, re.M)
    assert re.search(r"^\+.*> 0\.25", done.stdout, re.M)


def test_another_service_of_the_same_name_is_not_replaced(tmp_path):
    """Two clusters serve the same model, and have one Prometheus. A cluster that has lost or got hosts is the same."""
    hosts = {"node0": {"vllm_service_ip": "10.0.0.10"}, "node1": {"vllm_service_ip": "fd00::11"}}
    done, _failures = watch(tmp_path, hosts=hosts)
    assert done.returncode == 0, done.stdout
    before = (tmp_path / "written/targets-glm47.json").read_text(encoding="utf-8")
    done, failures = watch(
        tmp_path, hosts={"a": {"ansible_host": "10.0.1.10"}}, monitoring_exporters={"npu": 8082}
    )
    assert done.returncode != 0
    for part in ("has the targets of glm47 on 10.0.0.10, fd00::11", "set monitoring_service", "port 8082 in"):
        assert part in failures[0].message
    assert (tmp_path / "written/targets-glm47.json").read_text(encoding="utf-8") == before
    done, _failures = watch(
        tmp_path, hosts={"node1": {"ansible_host": "fd00::11"}, "x": {"ansible_host": "fd00::12"}}
    )
    assert done.returncode == 0, done.stdout


def test_a_gateway_of_its_own_host_is_a_target(tmp_path):
    gateways = {"vllm_gateway": {"hosts": {"node0": {}, "door": {"ansible_host": "fd00::5"}}}}
    (tmp_path / "gateways.json").write_text(json.dumps(gateways), encoding="utf-8")
    done, _failures = watch(tmp_path, "-i", str(tmp_path / "gateways.json"))
    assert done.returncode == 0, done.stdout
    targets = json.loads((tmp_path / "written/targets-glm47.json").read_text(encoding="utf-8"))
    (door,) = (target for target in targets if target["labels"]["host"] == "door")
    assert door == {
        "targets": ["[fd00::5]:9100"],
        "labels": {"service": "glm47", "host": "door", "job": "node"},
    }
    assert len(targets) == 4


def test_the_group_must_have_hosts(tmp_path):
    done, failures = watch(tmp_path, "-e", "vllm_monitoring_group=nobody")
    assert done.returncode != 0
    assert "no host in the group nobody" in failures[0].message


def test_the_thresholds_are_as_documented():
    documented = options("monitoring")["monitoring_thresholds"]["options"]
    used = read(ROOT / "roles/monitoring/vars/main.yml")["__monitoring_default_thresholds"]
    assert {name: option["default"] for name, option in documented.items()} == used
