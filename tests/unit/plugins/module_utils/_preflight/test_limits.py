# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sides of what the checks distinguish, each on a host on which nothing else is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.hccn_tool import OTHER_SYNTAX, UNSUPPORTED
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.npu_smi import UNREADABLE
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from two_hosts import PROFILE, npu, pair

SERVICE = {"0a" * 32: PROFILE["container_name"]}
UNSEEN = {"listening": True, "pid": None, "process": None, "container": None}
GB = 10**9


@pytest.fixture(scope="module")
def npus(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return [npu(tmp_path_factory.mktemp(f"node{index}"), index) for index in range(2)]


@pytest.fixture(name="hosts")
def healthy_hosts(npus) -> list[Host]:
    return pair(copy.deepcopy(npus))


def disk(free: int, used: int) -> Callable[[Host], None]:
    return lambda host: host.facts["disks"][PROFILE["model_dir"]].update(
        free_bytes=free * GB, used_bytes=used * GB
    )


def clock(seconds: int) -> Callable[[Host], None]:
    return lambda host: host.facts.update(clock_ahead={"least": seconds, "most": seconds})


def path(kind: str) -> Callable[[Host], None]:
    return lambda host: host.facts["paths"].update({"/dev/davinci3": kind})


def unseen_port(runs: bool) -> Callable[[Host], None]:
    return lambda host: host.facts.update(ports={"8080": UNSEEN}, containers=SERVICE if runs else {})


def tls(*states: str | None) -> Callable[[Host], None]:
    def change(host: Host) -> None:
        for port, state in zip(host.npu["fabric"], states, strict=False):
            port["tls"] = state

    return change


def versions(running: str, installed: str) -> Callable[[Host], None]:
    return lambda host: host.npu.update(driver_version=running, package_version=installed)


def helper(memory: int) -> Callable[[Host], None]:
    """Return a change that has a process of no container hold some MB of a chip."""
    process = {"pid": 7, "name": "", "memory_mb": memory, "container": None}
    return lambda host: host.npu["chips"][3].update(processes=[process])


def own_memory(**of_chip: Any) -> Callable[[Host], None]:
    """Return a change that makes a chip one whose table has no HBM, and the memory in use in its place."""
    return lambda host: host.npu["chips"][3].update(
        hbm_used_mb=None, memory_used_mb=40_000, memory_total_mb=65_536, **of_chip
    )


def messages(of_port: str) -> Callable[[Host], None]:
    """Return a change that has hccn_tool tell this, and nothing else, of one port."""
    unknown = dict.fromkeys(("link", "ip", "netmask", "gateway", "tls", "net_health", "lldp_port"))
    return lambda host: host.npu["fabric"][3].update(unknown, message=of_port)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (disk(317, 400), []),
        (disk(316, 400), ["disk"]),
        (clock(-30), []),
        (clock(-31), ["clock"]),
        (clock(31), ["clock"]),
        (path("char"), []),
        (path("file"), ["devices"]),
        (path("dir"), ["devices"]),
        (unseen_port(runs=False), ["port"]),
        (unseen_port(runs=True), []),
        (versions("25.2.1", "25.2.1"), []),
        (versions("25.2.2", "25.2.1"), ["reboot"]),
        (versions("25.2.0", "25.2.1"), ["reboot"]),
        (own_memory(), ["chips_busy"]),
        (own_memory(bus_id=None), []),
        (messages(UNSUPPORTED), ["roce"]),
        (messages(OTHER_SYNTAX), ["roce"]),
        (messages("no answer"), ["roce_link"]),
    ],
)
def test_each_side_of_a_limit(hosts, change, found):
    change(hosts[1])
    assert [one.id for one in checks.check(hosts)] == found


@pytest.mark.parametrize(("memory", "severity"), [(255, WARN), (256, FAIL)])
def test_a_helper_is_small_below_a_limit(hosts, memory, severity):
    helper(memory)(hosts[1])
    assert [(one.id, one.severity) for one in checks.check(hosts)] == [("chips_busy", severity)]


@pytest.mark.parametrize(
    ("warnings", "health", "found"),
    [
        ([f"{UNREADABLE} of NPU 3"], "OK", [("chips_busy", WARN)]),
        ([f"{UNREADABLE} of NPU 3"], None, [("chip_health", FAIL)]),  # nothing of it can be read
        (None, "OK", []),
    ],
)
def test_processes_that_cannot_be_read_are_told(hosts, warnings, health, found):
    hosts[1].npu["chips"][3].update(processes=None, health=health)
    hosts[1].npu.update(warnings=warnings)
    assert [(one.id, one.severity) for one in checks.check(hosts)] == found


def test_a_port_that_does_not_tell_its_tls_says_nothing_about_the_others(hosts):
    for host in hosts:
        tls(*[True] * 8)(host)
    tls(None)(hosts[0])
    assert "roce_tls" not in [one.id for one in checks.check(hosts)]
    tls(False)(hosts[0])
    assert "roce_tls" in [one.id for one in checks.check(hosts)]


def test_a_failure_is_shown_before_a_warning_of_the_same_check(hosts):
    problem = Problem("x", "y", "z")
    for order in ((FAIL, WARN), (WARN, FAIL)):
        found = [Finding("chips_busy", severity, "node0", problem) for severity in order]
        assert checks.states(hosts, found)["chips_busy"] == {"node0": "fail", "node1": "ok"}


def test_what_was_not_looked_at_has_no_state(hosts):
    states = checks.states(hosts, [])
    assert states["image_versions"] == {"node0": None, "node1": None}
    assert states["weights"] == {"node0": None, "node1": None}
    assert states["tcp"] == {"node0": None, "node1": None}
    hosts[0].npu.update(fabric=None)
    assert checks.states(hosts, [])["roce_link"] == {"node0": None, "node1": "ok"}
