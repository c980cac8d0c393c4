# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import container, plan
from shipped import FLAGS, settings
from two_hosts import planned


@pytest.mark.parametrize(("seconds", "refuses"), [(0, False), (300, True)])
def test_a_stop_has_time_to_drain(seconds: int, refuses: bool):
    head, worker = (planned(host, vllm_drain_seconds=seconds)["container"] for host in ("node0", "node1"))
    assert {head["stop_timeout"], worker["stop_timeout"]} == {seconds + 20}
    assert f"--drain-seconds={seconds}" in head["command"]
    assert f"--drain-seconds={seconds}" in worker["command"]
    assert (f"--middleware={container.MIDDLEWARE}" in head["command"]) == refuses
    assert not any(word.startswith("--middleware") for word in worker["command"])


def test_the_container_has_the_chips_that_are_chosen():
    chosen = settings(vllm_npu_ids=[4, 5], vllm_tensor_parallel_size=2)
    built = plan.build(plan.Member("node0", {"node0": "10.0.0.10"}, "enp1"), chosen, FLAGS)
    devices = built["container"]["devices"]
    assert [path for path in devices if path.removeprefix("/dev/davinci").isdigit()] == [
        "/dev/davinci4",
        "/dev/davinci5",
    ]
    assert "/dev/davinci_manager" in devices
    assert built["serve"]["env"]["ASCEND_RT_VISIBLE_DEVICES"] == "0,1"
    assert built["npu"]["ids"] == [4, 5]


WEIGHTS = {
    "source": "/opt/data/verification/models/GLM-4.7",
    "target": "/root/.cache/verification/models/GLM-4.7",
}


def test_a_hardened_container_can_write_to_its_caches_only():
    container = planned("node0", vllm_container_hardened=True)["container"]
    assert container["security"]["security_opts"] == ["no-new-privileges:true"]
    assert container["security"]["cap_drop"] == ["ALL"]
    assert container["security"]["capabilities"] == ["DAC_OVERRIDE"]
    hardened = container["security"]["mounts"]
    assert [mount["target"] for mount in hardened if not mount["read_only"]] == ["/root/.cache"]
    assert hardened[-1] == {"type": "bind", **WEIGHTS, "read_only": True}
    assert all(mount["source"] != WEIGHTS["source"] for mount in container["mounts"])  # may not be there yet
    assert planned("node0")["container"]["security"] == {}


def test_a_hardened_container_on_a_low_port():
    container = planned("node0", vllm_container_hardened=True, vllm_api_port=80)["container"]
    assert container["security"]["capabilities"] == ["DAC_OVERRIDE", "NET_BIND_SERVICE"]


def test_weights_with_a_mount_of_their_own_are_mounted_once():
    mount = [f"{WEIGHTS['source']}:/weights"]
    container = planned("node0", vllm_container_hardened=True, vllm_container_extra_mounts=mount)["container"]
    (weights,) = [one for one in container["security"]["mounts"] if one["source"] == WEIGHTS["source"]]
    assert (weights["target"], weights["read_only"]) == ("/weights", True)


def test_the_supervisor_writes_figures_where_the_host_wants_them():
    quiet, asked = planned("node1"), planned("node1", vllm_supervisor_metrics_dir="/var/lib/metrics")
    assert quiet["container"]["metrics"] is None
    assert not [option for option in quiet["container"]["command"] if option.startswith("--metrics")]
    assert asked["container"]["metrics"] == "/var/lib/metrics/ascend-ops-8080.prom"
    (mount,) = [one for one in asked["container"]["mounts"] if one not in quiet["container"]["mounts"]]
    assert (mount["source"], mount["read_only"]) == ("/var/lib/metrics", False)
    assert f"--metrics={mount['target']}/ascend-ops-8080.prom" in asked["container"]["command"]
