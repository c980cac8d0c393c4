# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import connectivity
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host


def port(host: int, device: int) -> dict[str, Any]:
    return {"device": device, "link": "UP", "ip": f"10.20.{host}.{device}", "vnic": None, "lldp_port": "p"}


def service(count: int, chips: int = 8) -> list[Host]:
    names = [f"node{index}" for index in range(count)]
    return [
        Host(
            name=name,
            npu={
                "chips": [],
                "fabric": [port(index, device) for device in range(8)],
                "hccn_tool_path": "/hccn_tool",
            },
            facts={},
            plan={"hosts": names, "service_ip": f"10.0.0.{index}", "npu": {"ids": list(range(chips))}},
            listener={
                "address": f"10.0.0.{index}",
                "ports": [8082, 40000] if index == 0 else [50000],
                "error": None,
            },
        )
        for index, name in enumerate(names)
    ]


def pinged(own: dict[str, Any]) -> list[tuple[int, str, int]]:
    return [(ping["device"], ping["host"], ping["peer"]) for ping in own["pings"]]


@pytest.mark.parametrize(
    ("count", "name", "following"),
    [(2, "node0", "node1"), (2, "node1", "node0"), (16, "node3", "node4"), (16, "node15", "node0")],
)
def test_quick_pings_go_round_in_a_circle(count, name, following):
    own = connectivity.assignments(name, service(count), "quick")
    assert pinged(own) == [(device, following, device) for device in range(8)]
    assert own["seconds"] == 10


def test_without_lldp_one_ping_more_looks_for_a_switch():
    hosts = service(2)
    hosts[0].npu["fabric"][0]["lldp_port"] = None
    *direct, last = connectivity.assignments("node0", hosts, "quick")["pings"]
    assert len(direct) == 8
    assert (last["device"], last["peer"], last["crosses"]) == (0, 1, True)


@pytest.mark.parametrize(
    ("host", "device", "change", "crossing"),
    [
        (0, 0, {"ip": None}, [(1, 0)]),  # the first one with an address looks for it
        (1, 1, {"ip": None}, []),
        (0, 0, {"lldp_port": "p"}, [(1, 0)]),
    ],
)
def test_only_a_port_with_an_address_looks_for_a_switch_or_is_looked_for(host, device, change, crossing):
    hosts = service(2)
    for port_of_first in hosts[0].npu["fabric"]:
        port_of_first["lldp_port"] = None
    hosts[host].npu["fabric"][device].update(change)
    pings = connectivity.assignments("node0", hosts, "quick")["pings"]
    assert [(ping["device"], ping["peer"]) for ping in pings if ping.get("crosses")] == crossing


def test_full_pings_go_from_each_chip_to_every_other_of_another_host():
    own = connectivity.assignments("node1", service(3), "full")
    assert pinged(own) == [
        (device, host, peer) for device in range(8) for host in ("node0", "node2") for peer in range(8)
    ]
    assert own["seconds"] == 5 * 17


def test_every_open_port_of_every_other_host_is_called():
    calls = connectivity.assignments("node1", service(3), "quick")["calls"]
    assert [(call["host"], call["address"], call["port"]) for call in calls] == [
        ("node0", "10.0.0.0", 8082), ("node0", "10.0.0.0", 40000), ("node2", "10.0.0.2", 50000),
    ]  # fmt: skip


@pytest.mark.parametrize("pings", ["quick", "full"])
@pytest.mark.parametrize(("owner", "change"), [(0, {"ip": None}), (1, {"ip": None})])
def test_a_port_without_address_is_not_pinged(pings, owner, change):
    hosts = service(2)
    hosts[owner].npu["fabric"][5].update(change)
    assert all(
        5 not in ((device,) if owner == 0 else (peer,))
        for device, _host, peer in pinged(connectivity.assignments("node0", hosts, pings))
    )


def test_only_chips_of_the_service_ping():
    assert pinged(connectivity.assignments("node0", service(2, chips=2), "quick")) == [
        (0, "node1", 0),
        (1, "node1", 1),
    ]


def test_without_hccn_tool_there_are_calls_alone():
    hosts = service(2)
    hosts[0].npu.update(fabric=None, hccn_tool_path=None)
    own = connectivity.assignments("node0", hosts, "quick")
    assert own["pings"] == []
    assert own["calls"]


def test_a_host_alone_asks_no_one():
    own = connectivity.assignments("node0", service(1), "full")
    assert (own["calls"], own["pings"]) == ([], [])
