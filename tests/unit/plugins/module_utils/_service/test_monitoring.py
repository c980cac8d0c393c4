# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import monitoring

SERVICE = {
    "name": "glm47", "api_port": 8080, "rpc_port": 8082, "supervisor_port": 8083,
    "hosts": [{"address": "10.0.0.10"}, {"address": "fd00::11"}],
}  # fmt: skip


def written(service: str, *targets: str) -> str:
    return json.dumps([{"targets": [target], "labels": {"service": service}} for target in targets])


def found(exporters: dict[str, Any], former: str = "", **thresholds: Any) -> list[str]:
    options = {"monitoring_exporters": exporters, "monitoring_thresholds": thresholds}
    return [
        problem.found for problem in monitoring.problems(SERVICE, options, "glm47", "/etc/t.json", former)
    ]


@pytest.mark.parametrize(
    "former",
    [
        "",
        "[{",
        "null",
        '[{"targets": []}]',
        '[{"targets": [1], "labels": {"service": "glm/47"}}]',
        written("glm47", "10.0.0.10:8080", "10.0.0.12:8080"),
        written("glm47", "[fd00::11]:9000"),
    ],
)
def test_the_services_own_targets_are_replaced(former: str):
    assert found({"node": 9100, "npu": "8090"}, former) == []


@pytest.mark.parametrize(
    ("exporters", "said"),
    [
        ({"npu": 8082}, "port 8082 in monitoring_exporters, a port of the service itself"),
        ({"node": 8083}, "port 8083 in monitoring_exporters, a port of the service itself"),
        ({"node": 91000}, "monitoring_exporters has port 91000 for node"),
        ({"node": 0}, "monitoring_exporters has port 0 for node"),
        ({"node": None, "npu": 8090}, "monitoring_exporters has no port for node"),
        ({"node": 9100, "npu": "9100"}, "port 9100 in monitoring_exporters for node and npu"),
    ],
)
def test_a_wrong_port_is_named(exporters: dict[str, Any], said: str):
    assert found(exporters) == [said]


@pytest.mark.parametrize(
    "former",
    [
        written("glm47", "10.0.1.10:8080"),  # another cluster with the same model
        written("glm/47", "10.0.0.10:9000"),  # another name, but the same file
    ],
)
def test_another_services_targets_are_not_replaced(former: str):
    (said,) = found({}, former)
    assert said.startswith("/etc/t.json has the targets of glm")


@pytest.mark.parametrize("value", [-1, 0, None, float("nan"), float("inf")])
def test_a_threshold_that_no_alert_can_have_is_named(value: Any):
    assert found({}, down_minutes=value) == [f"monitoring_thresholds has {value} for down_minutes"]


@pytest.mark.parametrize("value", [95, 1])
def test_a_part_is_no_percentage_and_less_than_the_whole(value: Any):
    assert found({}, kv_cache_ratio=value) == [f"monitoring_thresholds has {value} for kv_cache_ratio"]
    assert found({}, kv_cache_ratio=0.9, npu_celsius="85", first_token_seconds="0.5") == []
