# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts of the GLM-4.7 profile: the NPUs as npu_facts reads them from the lab's simulated tools, the host as host_facts tells of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks, connectivity
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from two_hosts import PROFILE, npu, pair

OURS, OTHERS = "0a" * 32, "0b" * 32
SERVING = {OURS: PROFILE["container_name"]}
ONE = {"names": ("node0",)}
W8A8 = {"model_size_gb": 365, "serve_args": {"quantization": "ascend"}}
CARDS_FULL = {str(chip): 60185 for chip in range(8)}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return [npu(tmp_path_factory.mktemp(f"node{index}"), index) for index in range(2)]


def lenient(hosts: list[Host]) -> list[Host]:
    return [replace(host, allow_newer=True) for host in hosts]


def ids(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.host, finding.id, finding.severity) for finding in findings]


def text(finding: Finding) -> str:
    return finding.paragraph(f"host {finding.host}, stage preflight")


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, ids(findings)
    assert all(value for key, value in findings[0].data().items() if key != "accepted")
    return findings[0]


# Nothing is wrong


def test_a_healthy_pair_gives_no_finding(healthy):
    hosts = pair(healthy, nic="enp1")
    assert checks.check(hosts) == []


def test_a_healthy_host_alone_needs_no_fabric(tmp_path):
    hosts = pair([npu(tmp_path, link_down=[0], tls=[1])], **ONE, **W8A8)
    hosts[0].facts["hostname_addresses"] = ["127.0.1.1"]
    assert checks.check(hosts) == []


def test_the_running_service_is_no_finding(tmp_path):
    sick = npu(
        tmp_path,
        hbm_used=CARDS_FULL,
        busy={"0": [{"pid": 1, "name": "VLLMWorker_TP", "memory": 56000}], "1": [{"pid": 2}]},
    )
    sick["chips"][0]["processes"][0]["container"] = (
        OURS  # process 2 shows the number it has in its container, and so cannot be traced
    )
    hosts = pair([sick, npu(tmp_path / "node1", 1, hbm_used=CARDS_FULL)])
    for host in hosts:
        host.facts["containers"] = dict(SERVING)
    for state in hosts[0].facts["ports"].values():
        state.update(listening=True, pid=3, process="vllm", container=OURS)
    hosts[0].facts["ports"]["8083"].update(pid=None, process=None, container=None)
    assert checks.check(hosts) == []


# NPUs, one ill of node1 each


@dataclass(frozen=True)
class Case:
    """What is wrong, and what the finding is and names: values that were found and expected, and variables."""

    cause: Any
    id: str
    severity: str
    names: tuple[str, ...]
    host: int = 1


NPU_CASES = {
    "device in another container": Case({"dcmi_error": -8020}, "driver", "fail", ("-8020",)),
    "driver not rebooted": Case({"dcmi_error": -8005}, "driver", "fail", ("-8005",)),
    "older driver": Case({"driver_version": "24.1.0"}, "driver_version", "fail", ("24.1.0", "25.2.1")),
    "newer driver": Case(
        {"driver_version": "25.3.rc1"},
        "driver_version",
        "fail",
        ("25.3.rc1", "25.2.1", "preflight_allow_newer"),
    ),
    "driver of another build": Case(
        {"driver_version": "25.2.1.B010"},
        "driver_version",
        "warn",
        ("25.2.1.B010", "vllm_npu_driver_version"),
    ),
    "older firmware": Case(
        {"firmware_version": "25.0.rc1.1"},
        "firmware_version",
        "fail",
        ("25.0.rc1.1", "25.2.1", "vllm_npu_firmware_version"),
    ),
    "driver installed and not loaded": Case(
        {"driver_version": "25.2.0", "driver_installed": "25.2.1"}, "reboot", "fail", ("25.2.0", "25.2.1")
    ),
    "driver and firmware that do not fit": Case({"compatibility": "NOK"}, "compatibility", "fail", ("NOK",)),
    "a chip missing": Case(
        {"chips": 7}, "chip_count", "fail", ("7 of 8", ": 7", "has 0-6", "0-7", "vllm_npu_ids")
    ),
    "two chips missing": Case({"chips": [0, 1, 3, 4, 6, 7]}, "chip_count", "fail", ("6 of 8", "2, 5", "0-7")),
    "other chips": Case(
        {"name": "910B3"}, "chip_name", "fail", ("910B3", "0-7", "910B2", "set vllm_npu_name: 910B3")
    ),
    "a critical chip": Case(
        {"health": {"3": "Critical"}}, "chip_health", "fail", ("Critical", "80E01801", "3")
    ),
    "a chip with a warning": Case(
        {"health": {"3": "Warning"}}, "chip_health", "warn", ("Warning", "80E01801")
    ),
    "a chip with an alarm": Case({"health": {"3": "Alarm"}}, "chip_health", "warn", ("Alarm", "80E01801")),
    "less HBM": Case({"hbm_total": 32768}, "hbm", "fail", ("32768", "0-7", "65536", "vllm_npu_hbm_mb")),
    "a chip in use": Case({"busy": [2]}, "chips_busy", "fail", ("472206", "python3.9", "20480", "2")),
    "a chip in use by a process without a name": Case(
        {"busy": {"2": [{"name": ""}]}}, "chips_busy", "fail", ("472206", "20480", "2")
    ),
    "a chip with HBM in use": Case({"hbm_used": [2]}, "chips_busy", "fail", ("40000", "2")),
    "RoCE links down": Case({"link_down": [5, 6]}, "roce_link", "fail", ("DOWN", "5-6")),
    "a sick RoCE port": Case({"net_health": [1]}, "roce_net_health", "fail", ("Fault", "1")),
    "a RoCE port that begins": Case({"net_health": {"1": "Init"}}, "roce_net_health", "warn", ("Init", "1")),
    "a RoCE port of unknown health": Case(
        {"net_health": {"1": "Unknown"}}, "roce_net_health", "warn", ("Unknown", "1")
    ),
    "a RoCE port without address": Case({"ip": {"2": None}}, "roce_ip", "fail", ("2",)),
    "a RoCE address used twice": Case(
        {"ip": {"2": "10.20.11.11"}}, "roce_duplicate", "fail", ("10.20.11.11", "node0", "2")
    ),
    "another netmask": Case({"netmask": [4]}, "roce_netmask", "warn", ("255.255.255.0", "4", "255.255.0.0")),
    "no switch": Case({"lldp": False}, "roce_switch", "warn", ("0-7", "vllm_serve_args")),
    "TLS on one side": Case({"tls": [0]}, "roce_tls", "fail", ("0", "preflight_roce_tls_off")),
}


def assert_finding(case: Case, one: Finding) -> None:
    assert (one.id, one.severity, one.host) == (case.id, case.severity, f"node{case.host}")
    assert [name for name in case.names if name not in text(one)] == [], text(one)


def npu_finding(healthy: list[dict[str, Any]], folder: Path, case: Case) -> Finding:
    return only(checks.check(pair([healthy[0], npu(folder, 1, **case.cause)])))


@pytest.mark.parametrize("case", NPU_CASES.values(), ids=NPU_CASES)
def test_an_ill_of_the_npus(healthy, tmp_path, case):
    assert_finding(case, npu_finding(healthy, tmp_path, case))


def test_no_driver_at_all(healthy, tmp_path):
    hosts = pair([npu(tmp_path, driver_missing=True), healthy[1]])
    assert ids(checks.check(hosts)) == [("node0", "driver", "fail")]


def test_chips_counted_from_one_are_told_what_the_host_has(healthy):
    found = [f for f in checks.check(pair(healthy, npu_ids=list(range(1, 9)))) if f.id == "chip_count"]
    assert [f.problem.found for f in found] == ["7 of 8 chips; missing: 8; the host has 0-7"] * 2
    assert "counted from 0" in found[0].problem.remedy


def test_ills_of_all_hosts_are_told_together(tmp_path):
    hosts = pair([npu(tmp_path / "0", 0, chips=7, tls=1), npu(tmp_path / "1", 1, health=[3], link_down=[3])])
    assert ids(checks.check(hosts)) == [
        ("node0", "chip_count", "fail"),
        ("node0", "roce_tls", "fail"),
        ("node1", "chip_health", "fail"),
        ("node1", "roce_link", "fail"),
    ]


def test_newer_packages_only_warn_by_choice(healthy, tmp_path):
    newer, older = (
        {"driver_version": version, "firmware_version": version} for version in ("25.3.0", "24.1.0")
    )
    assert ids(checks.check(lenient(pair([healthy[0], npu(tmp_path, 1, **newer)])))) == [
        ("node1", "driver_version", "warn"),
        ("node1", "firmware_version", "warn"),
    ]
    assert ids(checks.check(lenient(pair([healthy[0], npu(tmp_path, 1, **older)])))) == [
        ("node1", "driver_version", "fail"),
        ("node1", "firmware_version", "fail"),
    ]


def test_a_package_of_unknown_version_is_told(healthy, tmp_path):
    unknown = npu(tmp_path, 1)
    unknown["firmware_package_version"] = None
    one = only(checks.check(pair([healthy[0], unknown])))
    assert (one.id, one.severity) == ("firmware_version", "warn")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("25.2.0", "25.2.1"),
        ("25.2.rc1", "25.2"),
        ("25.0.rc1", "25.0.rc1.1"),
        ("25.0.rc1.1", "25.0.0"),
        ("25.2", "25.2.1"),
        ("9.1", "25.0"),
        ("24.1.RC2", "24.1.rc10"),
    ],
)
def test_versions_are_ordered(healthy, older, newer):
    def severity(found: str, expected: str) -> str:
        npus = [dict(healthy[0], package_version=found, driver_version=found)]
        hosts = pair(npus, npu_driver_version=expected, **ONE, **W8A8)
        return only(checks.check(lenient(hosts))).severity

    assert severity(older, newer) == "fail"
    assert severity(newer, older) == "warn"


@pytest.mark.parametrize(
    ("one", "same"),
    [("25.2.1", "25.2.1"), ("8.3.RC2", "8.3.rc2"), ("25.2", "25.2.0"), ("special", "Special")],
)
def test_versions_that_are_equal(healthy, one, same):
    npus = [dict(healthy[0], package_version=one, driver_version=one)]
    hosts = pair(npus, npu_driver_version=same, **ONE, **W8A8)
    assert checks.check(hosts) == []


def test_chips_that_the_service_does_not_use_are_not_judged(tmp_path):
    sick = npu(tmp_path, busy=[6], health=[7], link_down=[7])
    npus = [sick, npu(tmp_path / "node1", 1, tls=[7])]
    assert checks.check(pair(npus, npu_ids=[0, 1, 2, 3], tensor_parallel_size=4, **W8A8)) == []


def test_a_container_of_another_name_is_foreign_even_while_the_service_runs(healthy, tmp_path):
    busy = npu(tmp_path, 1, busy=[2])
    busy["chips"][2]["processes"][0]["container"] = OTHERS
    hosts = pair([healthy[0], busy])
    hosts[1].facts["containers"] = {**SERVING, OTHERS: "training"}
    one = only(checks.check(hosts))
    assert one.id == "chips_busy"
    assert OTHERS[:12] in one.problem.found


@pytest.mark.parametrize(
    ("code", "said", "health", "told"),
    [
        (None, None, "Warning", "Warning (chip 3)"),
        ("80E01801", None, "Warning", "Warning, error 80E01801 (chip 3)"),
        ("80E01801", "HBM", "Warning", "Warning, error 80E01801: HBM (chip 3)"),
        (None, None, None, "unknown health (chip 3)"),
    ],
)
def test_the_health_of_a_chip_has_its_error(healthy, tmp_path, code, said, health, told):
    ill = npu(tmp_path, 1)
    ill["chips"][3].update(health=health, error_code=code, error_text=said)
    assert only(checks.check(pair([healthy[0], ill]))).problem.found == told


@pytest.mark.parametrize(("reserved", "all_ports"), [("", ""), ("8080", "8080,")])
def test_ports_of_hccl_are_reserved_beside_others(healthy, reserved, all_ports):
    hosts = pair(healthy)
    hosts[0].facts["ephemeral_ports"] = {"first": 32768, "last": 60999, "reserved": reserved}
    one = only(checks.check(hosts))
    assert (one.id, one.host) == ("hccl_ports", "node0")
    assert f"ip_local_reserved_ports={all_ports}60000-60015)" in one.problem.remedy


def test_a_container_is_the_service_if_it_has_its_name(healthy):
    host = pair(healthy)[0]
    host.facts["containers"] = {**SERVING, OTHERS: "training"}
    assert [host.is_service(one) for one in (OURS, OTHERS, "0c" * 32, None)] == [True, False, False, False]


def test_chips_without_a_phy_id_are_not_joined_by_hccs(healthy):
    """Those of A2. Without RoCE, nothing joins their hosts."""
    host = by_hccs(healthy)[0]
    assert host.joined_by_hccs
    assert host.ports == []
    for chip in host.npu["chips"]:
        chip["phy_id"] = None
    assert not host.joined_by_hccs
    assert host.ports == host.all_ports != []


@pytest.mark.parametrize(
    ("value", "joined"), [(None, True), ("", True), ("FALSE", True), ("TRUE", False), ("'true'", False)]
)
def test_hccl_may_be_told_to_leave_hccs_alone(healthy, value, joined):
    host = by_hccs(healthy)[0]
    host.plan["serve"]["env"]["HCCL_INTER_HCCS_DISABLE"] = value
    assert host.joined_by_hccs is joined


def test_a_chip_without_readable_row(healthy, tmp_path):
    masked = npu(tmp_path, 1)
    masked["chips"][4].update(health=None, hbm_total_mb=None, hbm_used_mb=None, processes=None)
    assert ids(checks.check(pair([healthy[0], masked]))) == [
        ("node1", "chip_health", "fail"),
        ("node1", "hbm", "warn"),
    ]


def test_ports_that_do_not_answer(healthy):
    silent = [{key: port[key] if key == "device" else None for key in port} for port in healthy[1]["fabric"]]
    one = only(checks.check(pair([healthy[0], dict(healthy[1], fabric=silent)])))
    assert (one.id, one.severity) == ("roce_link", "fail")
    assert "0-7" in one.problem.found
    one = only(checks.check(pair([healthy[0], dict(healthy[1], fabric=None)])))
    assert (one.id, one.severity) == ("roce", "warn")


def answered(hosts: list[Host], device: int, received: int = 3) -> list[Host]:
    sent = {
        "device": device,
        "host": "node0",
        "peer": device,
        "address": "10.20.11.11",
        "sent": 3,
        "text": None,
    }
    peers = {"calls": [], "pings": [{**sent, "received": received}]}
    return [hosts[0], replace(hosts[1], peers=peers)]


@pytest.mark.parametrize("ill", [{"net_health": {"1": "Receive timeout"}}, {"link_down": [1]}])
@pytest.mark.parametrize(("received", "severity"), [(3, "warn"), (0, "fail")])
def test_an_answered_ping_proves_more_than_a_state(healthy, tmp_path, ill, received, severity):
    found = checks.check(answered(pair([healthy[0], npu(tmp_path, 1, **ill)]), 1, received))
    assert {finding.severity for finding in found if finding.id != "roce_ping"} == {severity}
    assert [finding.id for finding in found].count("roce_ping") == (received == 0 and "net_health" in ill)


def test_net_health_does_not_stop_a_service_that_runs(healthy, tmp_path):
    hosts = pair([healthy[0], npu(tmp_path, 1, net_health=[1])])
    hosts[1].facts["containers"] = dict(SERVING)
    assert ids(checks.check(hosts)) == [("node1", "roce_net_health", "warn")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("UNKNOWN", [("node1", "compatibility", "warn")]), ("NOT SUPPORT", [])],
)
def test_only_nok_is_not_compatible(healthy, tmp_path, state, expected):
    assert ids(checks.check(pair([healthy[0], npu(tmp_path, 1, compatibility=state)]))) == expected


def test_a_card_with_another_firmware(healthy):
    cards = [dict(card) for card in healthy[1]["cards"]]
    cards[0]["firmware_version"] = "7.1.0.3.220"
    one = only(checks.check(pair([healthy[0], dict(healthy[1], cards=cards)])))
    assert (one.id, one.severity) == ("card_firmware", "warn")
    assert "7.1.0.3.220 (card 0)" in one.problem.found


@pytest.mark.parametrize(
    ("megabytes", "used", "severity"), [(111, 3500, "warn"), (300, 3500, "fail"), (111, 59719, "fail")]
)
def test_a_small_helper_on_a_chip_is_a_warning(healthy, tmp_path, megabytes, used, severity):
    helper = npu(tmp_path, 1, busy={"2": [{"memory": megabytes}]}, hbm_used={"2": used})
    one = only(checks.check(pair([healthy[0], helper])))
    assert (one.id, one.severity) == ("chips_busy", severity)


@pytest.mark.parametrize(("used", "total", "found"), [(5413, 131072, []), (5413, 65536, ["chips_busy"])])
def test_a_larger_chip_uses_more_memory_when_it_is_idle(healthy, used, total, found):
    chips = [dict(chip, hbm_used_mb=used, hbm_total_mb=total) for chip in healthy[1]["chips"]]
    assert [one.id for one in checks.check(pair([healthy[0], dict(healthy[1], chips=chips)]))] == found


def test_a_version_of_another_form_is_neither_older_nor_newer(healthy):
    hosts = lenient(pair([healthy[0], dict(healthy[1], package_version="special", driver_version="special")]))
    one = only(checks.check(hosts))
    assert (one.id, one.severity, one.problem.found) == ("driver_version", "fail", "driver special")


def test_a_build_of_a_newer_release(healthy):
    hosts = pair([healthy[0], dict(healthy[1], package_version="26.1.0.b061", driver_version="26.1.0.b061")])
    assert ids(checks.check(hosts)) == [("node1", "driver_version", "fail")]
    assert ids(checks.check(lenient(hosts))) == [("node1", "driver_version", "warn")]


# The host, one ill of node0 each


def break_device(found: dict[str, Any]) -> None:
    found["paths"]["/dev/davinci3"] = None


def break_mount(found: dict[str, Any]) -> None:
    found["paths"]["/usr/local/dcmi"] = None


def break_mount_by_docker(found: dict[str, Any]) -> None:
    found["paths"]["/usr/local/bin/npu-smi"] = "dir"


def break_address(found: dict[str, Any]) -> None:
    found["interfaces"][1]["addresses"] = ["10.9.9.9"]
    found["service_nic"] = None


def take_port(found: dict[str, Any]) -> None:
    found["ports"]["8080"].update(listening=True, pid=77, process="nginx")


def take_port_in_container(found: dict[str, Any]) -> None:
    found["containers"] = {OTHERS: "old-vllm"}
    found["ports"]["8082"].update(listening=True, pid=77, process="python3", container=OTHERS)


def stop_docker(found: dict[str, Any]) -> None:
    found.update(
        containers=None,
        docker=None,
        docker_error="no Docker daemon answers on /var/run/docker.sock",
        docker_remedy=docker.START,
    )


def age_docker(found: dict[str, Any]) -> None:
    found["docker"].update(version="18.06.3-ce", seccomp=False)


def age_docker_a_little(found: dict[str, Any]) -> None:
    found["docker"]["version"] = "18.09.0"


def start_docker_early(found: dict[str, Any]) -> None:
    found["docker_order"]["missing"] = ["host_sys_init.service", "opt-data.mount"]


def lack_init(found: dict[str, Any]) -> None:
    found["docker"]["init"] = False


def shrink_packets(found: dict[str, Any]) -> None:
    found["service_nic_state"]["mtu"] = 1400


def lose_a_slave(found: dict[str, Any]) -> None:
    found["service_nic_state"].update(bond="bond0", slaves=["eth0", "eth1"], slaves_down=["eth1"])


def answer_as_podman(found: dict[str, Any]) -> None:
    found["docker"].update(engine="Podman", version="4.9.3")


def fill_containerd_disk(found: dict[str, Any]) -> None:
    found["docker"].update(containerd=True, disk={"mount": "/var", "free_bytes": 27 * 10**9})


def fill_docker_disk(found: dict[str, Any]) -> None:
    found["docker"]["disk"]["free_bytes"] = 19 * 10**9


def fill_weights_disk(found: dict[str, Any]) -> None:
    found["disks"][PROFILE["model_dir"]].update(free_bytes=300 * 10**9, used_bytes=400 * 10**9)


def bring_weights(mount: str, size: int, found: dict[str, Any]) -> None:
    fill_weights_disk(found)
    found["disks"]["/data/airgap"] = {"mount": mount, "free_bytes": 0, "used_bytes": size * 10**9}


def share_a_disk(found: dict[str, Any]) -> None:
    found["docker"]["disk"].update(mount="/opt/data", free_bytes=720 * 10**9)
    found["disks"][PROFILE["model_dir"]]["free_bytes"] = 720 * 10**9


def lack_memory(found: dict[str, Any]) -> None:
    found["memory_total_mb"] = 131072


def name_the_loopback(found: dict[str, Any]) -> None:
    found["hostname_addresses"] = ["127.0.1.1"]


def set_proxy(found: dict[str, Any]) -> None:
    found["proxies"] = {"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost, 10.0.0.10"}


def remove_requests(found: dict[str, Any]) -> None:
    found["python_requests"] = False


def put_the_clock_forward(found: dict[str, Any]) -> None:
    found["clock_ahead"] = {"least": 299.8, "most": 302.5}


def change_the_system(found: dict[str, Any]) -> None:
    found["os"] = "Ubuntu 22.04"


HOST_CASES = {
    "device missing": Case(break_device, "devices", "fail", ("/dev/davinci3",)),
    "mount missing": Case(break_mount, "mounts", "fail", ("/usr/local/dcmi", "vllm_npu_driver_mounts")),
    "mount that Docker made": Case(
        break_mount_by_docker, "mounts", "fail", ("rmdir /usr/local/bin/npu-smi",)
    ),
    "address of no NIC": Case(
        break_address, "service_ip", "fail", ("10.0.0.11", "enp1", "10.9.9.9", "vllm_service_ip")
    ),
    "port in use": Case(take_port, "port", "fail", ("8080", "77", "nginx", "vllm_api_port"), host=0),
    "port in use by a container": Case(
        take_port_in_container, "port", "fail", ("8082", "77", "python3", "old-vllm", "vllm_rpc_port"), host=0
    ),
    "no Docker": Case(stop_docker, "docker", "fail", ("/var/run/docker.sock",)),
    "old Docker": Case(age_docker, "docker", "warn", ("18.06.3-ce", "18.09")),
    "Docker before clone3": Case(age_docker_a_little, "docker_seccomp", "warn", ("18.09.0", "20.10.10")),
    "Docker before its disks": Case(start_docker_early, "docker_order", "warn", ("opt-data.mount",)),
    "no init": Case(lack_init, "docker_init", "warn", ("vllm_container_init",)),
    "another MTU": Case(shrink_packets, "service_mtu", "warn", ("1400", "1500", "enp1")),
    "half a bond": Case(lose_a_slave, "service_bond", "warn", ("eth1", "bond0")),
    "Podman": Case(answer_as_podman, "docker", "warn", ("Podman 4.9.3",)),
    "no disk for the image in containerd": Case(
        fill_containerd_disk, "disk", "fail", ("27.0 GB", "28.0 GB", "/etc/containerd/config.toml")
    ),
    "no disk for the image": Case(fill_docker_disk, "disk", "fail", ("19.0 GB", "20.0 GB", "data-root")),
    "no disk for the weights": Case(
        fill_weights_disk, "disk", "fail", ("300.0 GB", "317.0 GB", "/opt/data", "vllm_model_dir")
    ),
    "no disk for both": Case(
        share_a_disk, "disk", "fail", ("720.0 GB", "717.0 GB", "20.0 GB", PROFILE["model_dir"])
    ),
    "less memory": Case(lack_memory, "host_memory", "warn", ("137.4 GB", "vllm_host_memory_gb")),
    "name of the loopback": Case(
        name_the_loopback, "hostname", "warn", ("127.0.1.1", "10.0.0.11", "/etc/hosts")
    ),
    "no requests": Case(remove_requests, "python_requests", "fail", ("3.9.9", "ansible_python_interpreter")),
    "proxy": Case(set_proxy, "proxy", "warn", ("http_proxy=http://proxy:3128", "10.0.0.11", "no_proxy")),
    "clock ahead": Case(put_the_clock_forward, "clock", "warn", ("300 s", "node0")),
    "another system": Case(change_the_system, "system", "warn", ("Ubuntu 22.04", "openEuler 22.03")),
}


def host_finding(healthy: list[dict[str, Any]], case: Case) -> Finding:
    hosts = pair(healthy)
    case.cause(hosts[case.host].facts)
    return only(checks.check(hosts))


@pytest.mark.parametrize("case", HOST_CASES.values(), ids=HOST_CASES)
def test_an_ill_of_the_host(healthy, case):
    assert_finding(case, host_finding(healthy, case))


@pytest.mark.parametrize("where", ["served", "stopped"])
def test_a_service_with_a_key_is_not_opened_by_a_variable_that_is_missing(healthy, where):
    hosts = pair(healthy)
    for host in hosts:
        name = host.plan["container"]["name"]
        labels = {"ascend_ops.vllm.service": "glm47", "ascend_ops.vllm.api-key": "yes"}
        host.facts["docker"][where] = {name: {"labels": labels, "image_id": None}}
        host.plan["has_api_key"] = True
    assert checks.check(hosts) == []
    for host in hosts:
        host.plan["has_api_key"] = False
    found = only(checks.check(hosts))
    assert (found.id, found.severity, found.host) == ("api_key", "fail", "node0")
    assert "vllm_api_key" in found.problem.remedy


@pytest.mark.parametrize("where", ["served", "stopped"])
def test_a_container_that_was_started_by_hand_is_told_before_anything_is_done(healthy, where):
    hosts = pair(healthy)
    name = hosts[1].plan["container"]["name"]
    hosts[1].facts["docker"][where] = {name: {"labels": {}, "image_id": "sha256:1"}}
    found = only(checks.check(hosts))
    assert (found.id, found.severity, found.host) == ("container_name", "fail", "node1")
    assert name in found.problem.found
    assert f"docker rename {name}" in found.problem.remedy
    hosts[1].facts["docker"][where] = {"another": {"labels": {}, "image_id": "sha256:1"}}
    assert checks.check(hosts) == []


# Whether the model fits

SHARES = {
    "BF16 on one host": (ONE, "fail", ("82.3 GiB", "54.9 GiB", "2 hosts")),
    "a long context": (
        {"serve_args": {"max-model-len": 202752}},
        "warn",
        ("202,752 tokens", "max-model-len"),
    ),
    "another architecture": ({"model_config": {"hidden_size": None}}, "info", ("no hidden_size",)),
    "a broken description": ({"model_config": {"hidden_size": "wide"}}, "warn", ("hidden_size is wide",)),
}


def share_finding(healthy: list[dict[str, Any]], overrides: dict[str, Any]) -> Finding:
    return only(checks.check(pair(healthy, **overrides)))


@pytest.mark.parametrize(("overrides", "severity", "names"), SHARES.values(), ids=SHARES)
def test_a_model_that_does_not_fit_is_a_finding_before_it_is_downloaded(healthy, overrides, severity, names):
    finding = share_finding(healthy, overrides)
    assert (finding.host, finding.id, finding.severity) == ("node0", "capacity", severity)
    assert all(name in text(finding) for name in names)


def test_a_model_that_does_not_fit_can_be_accepted(healthy):
    (host,) = pair(healthy, **ONE)
    found = only(checks.check([replace(host, accept=frozenset({"capacity"}))]))
    assert (found.severity, found.accepted) == ("warn", True)


@pytest.mark.parametrize(
    "overrides",
    [{**ONE, **W8A8}, {**ONE, "model_repo": "me/GLM-4.7-W8A8"}, {**ONE, "model_size_gb": 1}],
    ids=["W8A8", "another repository", "the lab's tiny model"],
)
def test_a_model_that_fits_or_is_not_described_is_no_finding(healthy, overrides):
    assert checks.check(pair(healthy, **overrides)) == []


def test_the_listener_that_an_earlier_run_left_is_no_finding(healthy):
    hosts = pair(healthy)
    hosts[0].facts["ports"]["8082"].update(listening=True, pid=77, process="ascend-listener")
    assert checks.check(hosts) == []


def test_a_given_nic_must_carry_the_address(healthy):
    findings = checks.check(pair(healthy, nic="enp2"))
    assert ids(findings) == [("node0", "service_nic", "fail"), ("node1", "service_nic", "fail")]
    assert all(
        name in findings[1].problem.found for name in ("10.0.0.11", "enp1", "vllm_service_nic", "enp2")
    )


@pytest.mark.parametrize("excepted", ["10.0.0.10,10.0.0.11", "10.0.0.0/24", "*"])
def test_no_proxy_may_name_hosts_or_networks(healthy, excepted):
    hosts = pair(healthy)
    hosts[0].facts["proxies"] = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": excepted}
    assert checks.check(hosts) == []


@pytest.mark.parametrize(
    ("heads", "others"),
    [
        ({"least": 0, "most": 0}, {"least": 29, "most": 29}),
        ({"least": -0.5, "most": 0.5}, {"least": -90, "most": 0.2}),  # it took 90 s to gather the facts
        ({"least": -60, "most": 30}, {"least": 50, "most": 51}),
    ],
)
def test_clocks_that_may_be_less_than_half_a_minute_apart(healthy, heads, others):
    hosts = pair(healthy)
    hosts[0].facts["clock_ahead"], hosts[1].facts["clock_ahead"] = heads, others
    assert checks.check(hosts) == []


@pytest.mark.parametrize(
    ("mount", "size", "fits"), [("/opt/data", 317, True), ("/opt/data", 316, False), ("/data", 737, False)]
)
def test_weights_that_were_brought_need_no_disk_on_the_same_file_system(healthy, mount, size, fits):
    """317 GB are not there yet."""
    hosts = pair(healthy, airgap_dir="/data/airgap")
    bring_weights(mount, size, hosts[0].facts)
    hosts[1].facts["disks"]["/data/airgap"] = {"mount": "/data", "free_bytes": 0, "used_bytes": 737 * 10**9}
    assert [finding.id for finding in checks.check(hosts)] == ([] if fits else ["disk"])


def test_image_and_weights_that_are_there_need_no_disk(healthy):
    hosts = pair(healthy)
    fill_docker_disk(hosts[0].facts)
    hosts[0].facts["docker"]["image_id"] = "sha256:1"
    hosts[0].facts["disks"][PROFILE["model_dir"]].update(free_bytes=0, used_bytes=717 * 10**9)
    assert checks.check(hosts) == []


def test_only_what_is_still_to_come_is_told(healthy):
    hosts = pair(healthy)
    hosts[0].facts["docker"]["disk"].update(mount="/opt/data", free_bytes=0)
    hosts[0].facts["disks"][PROFILE["model_dir"]].update(free_bytes=0, used_bytes=717 * 10**9)
    assert only(checks.check(hosts)).problem.expected == "20.0 GB for the image"


@pytest.mark.parametrize(
    ("key", "value"), [("os", "Ubuntu 22.04"), ("kernel", "5.15.0"), ("machine", "x86_64")]
)
def test_a_host_with_another_system(healthy, key, value):
    hosts = pair(healthy)
    hosts[1].facts[key] = value
    one = only(checks.check(hosts))
    assert (one.id, one.severity, one.host) == ("system", "warn", "node1")
    assert value in one.problem.found


def have_images(hosts: list[Host], *layers: str | None) -> None:
    for host, of_host in zip(hosts, layers, strict=True):
        host.facts["docker"].update(image_layers=of_host, image_id=of_host and f"sha256:{of_host}")


@pytest.mark.parametrize(
    ("layers", "machine"),
    [(("old", "old"), "aarch64"), (("old", None), "aarch64"), (("old", "new"), "x86_64")],
    ids=["the same", "not pulled yet", "for another architecture"],
)
def test_images_that_need_not_differ(healthy, layers, machine):
    hosts = pair(healthy)
    have_images(hosts, *layers)
    hosts[1].facts["machine"] = machine
    assert "image" not in {finding.id for finding in checks.check(hosts)}


@pytest.mark.parametrize(
    ("serves", "severity"), [(None, "fail"), ("sha256:new", "warn"), ("sha256:older", "fail")]
)
def test_another_image_of_the_same_name(healthy, serves, severity):
    """A service that runs from an image of before starts from this one next time."""
    hosts = pair(healthy)
    have_images(hosts, "old", "new")
    if serves:
        name = hosts[1].plan["container"]["name"]
        labels = {"ascend_ops.vllm.service": "glm47"}
        hosts[1].facts["docker"]["served"] = {name: {"image_id": serves, "labels": labels}}
    one = only(checks.check(hosts))
    assert (one.id, one.severity, one.host) == ("image", severity, "node1")
    for part in ("sha256:new", "than on node0", "sha256:old", f"docker pull {hosts[1].plan['image']}"):
        assert part in str(one.problem)


def test_other_versions_inside_the_image(healthy):
    inside = {
        "python": "3.11.13",
        "cann": "8.3.RC2",
        "torch": "2.8.0+cpu",
        "torch_npu": "2.8.0",
        "vllm": "0.13.0+empty",
        "vllm_ascend": "0.13.0rc1",
    }
    hosts = pair(healthy)
    good, bad = (
        replace(hosts[0], image_content=inside),
        replace(hosts[1], image_content={**inside, "cann": "8.5.0", "torch_npu": None}),
    )
    assert checks.check([good, hosts[1]]) == []
    one = only(checks.check([good, bad]))
    assert (one.id, one.severity, one.host) == ("image_versions", "fail", "node1")
    assert all(name in text(one) for name in ("cann 8.5.0", "cann 8.3.rc2", "torch_npu 2.8.0"))
    assert "vllm 0" not in text(one)


def test_an_image_whose_container_does_not_run(healthy):
    problem = Problem("a container of it does not run", "its versions", "Run one on the host")
    one = only(checks.check([replace(host, image_problem=problem.data()) for host in pair(healthy)][:1]))
    assert one == Finding("image_versions", "fail", "node0", problem)


def test_the_problem_that_the_stage_weights_found(healthy):
    hosts = pair(healthy)
    problem = Problem("the hub refuses the token", "a valid one", "Create one", "host node1, stage weights")
    one = only(checks.check([replace(hosts[0], weights={}), replace(hosts[1], weights=problem.data())]))
    assert one == Finding("weights", "fail", "node1", problem)
    assert text(one).startswith("Host node1, stage weights (weights)\n")


# The hosts among each other


def ping(received: int | None, text: str | None = None) -> dict[str, Any]:
    sent = None if received is None else 3
    return {
        "device": 3,
        "host": "node0",
        "peer": 3,
        "address": "10.20.11.14",
        "sent": sent,
        "received": received,
        "text": text,
    }


def calls(*errors: tuple[int, str | None]) -> dict[str, Any]:
    called = {"host": "node0", "address": "10.0.0.10"}
    return {"calls": [{**called, "port": port, "error": error} for port, error in errors], "pings": []}


def pings(*answers: dict[str, Any]) -> dict[str, Any]:
    return {"calls": [], "pings": list(answers)}


LOST_PING = ("port 3", "node0", "10.20.11.14")
PEER_CASES = {
    "a ping without an answer": Case(pings(ping(3), ping(0)), "roce_ping", "fail", (*LOST_PING, "0 of 3")),
    "a ping that loses a packet": Case(pings(ping(2)), "roce_ping", "warn", (*LOST_PING, "2 of 3")),
    "a ping that cannot be sent": Case(
        pings(ping(None, "Command execute failed!")),
        "roce_ping",
        "fail",
        (*LOST_PING, "Command execute failed!"),
    ),
    "a host that drops calls": Case(
        calls((8082, None), (40000, "no answer within 3 s")),
        "tcp",
        "fail",
        ("node1", "no answer within 3 s", "40000", "10.0.0.10"),
        host=0,
    ),
}


def peer_finding(healthy: list[dict[str, Any]], case: Case) -> Finding:
    hosts = pair(healthy)
    return only(checks.check([hosts[0], replace(hosts[1], peers=case.cause)]))


@pytest.mark.parametrize("case", PEER_CASES.values(), ids=PEER_CASES)
def test_hosts_that_do_not_reach_each_other(healthy, case):
    assert_finding(case, peer_finding(healthy, case))


@pytest.mark.parametrize(("outlasted", "severity"), [(None, "fail"), (True, "fail"), (False, "warn")])
def test_calls_that_failed_prove_nothing_if_the_listener_had_ended(healthy, outlasted, severity):
    hosts = pair(healthy)
    refused = replace(hosts[1], peers=calls((8082, "Connection refused"), (40000, "Connection refused")))
    one = only(checks.check([replace(hosts[0], listener_outlasted=outlasted), refused]))
    assert (one.id, one.severity, one.host) == ("tcp", severity, "node0")


def test_a_host_that_cannot_listen(healthy):
    hosts = pair(healthy)
    listener = {"address": "10.0.0.10", "ports": [], "error": "cannot listen on 10.0.0.10: Permission denied"}
    one = only(checks.check([replace(hosts[0], listener=listener), hosts[1]]))
    assert (one.id, one.host, one.problem.found) == ("tcp", "node0", listener["error"])


@pytest.mark.parametrize(("received", "expected"), [(3, []), (0, [("node1", "roce_switch", "warn")])])
def test_a_ping_to_another_port_shows_a_switch_without_lldp(healthy, tmp_path, received, expected):
    hosts = pair([healthy[0], npu(tmp_path, 1, lldp=False)])
    crossing = {**ping(received), "peer": 4, "crosses": True}
    assert ids(checks.check([hosts[0], replace(hosts[1], peers=pings(crossing))])) == expected


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("ip", "10.20.11.99", "address 10.20.11.99 instead of 10.20.11.22 (port 3)"),
        ("netmask", "255.255.255.0", "netmask 255.255.255.0 instead of 255.255.0.0 (port 3)"),
        ("gateway", "10.20.9.1", "gateway 10.20.9.1 instead of 10.20.0.1 (port 3)"),
        ("gateway", None, ""),
        ("netmask", None, ""),
    ],
)
def test_addresses_that_a_reboot_changes(healthy, key, value, text):
    ports = [
        dict(port, configured={name: port[name] for name in ("ip", "netmask", "gateway")})
        for port in healthy[1]["fabric"]
    ]
    ports[3]["configured"][key] = value
    findings = checks.check(pair([healthy[0], dict(healthy[1], fabric=ports)]))
    if text:
        assert (only(findings).id, findings[0].severity) == ("roce_config", "warn")
        assert text in findings[0].problem.found
    else:
        assert findings == []


@pytest.mark.parametrize(
    ("ephemeral", "env", "warns"),
    [
        ({"reserved": ""}, {}, True),
        ({"reserved": "8080,60000-60014"}, {}, True),
        ({"reserved": "8080,50000-60015"}, {}, False),
        ({"reserved": "", "last": 59999}, {}, False),
        ({"reserved": "60000-60015"}, {"HCCL_IF_BASE_PORT": "50000"}, True),
        ({"reserved": ""}, {"HCCL_IF_BASE_PORT": "20000"}, False),
        ({"reserved": ""}, {"HCCL_HOST_SOCKET_PORT_RANGE": "auto"}, False),
    ],
)
def test_ports_of_hccl_that_any_connection_may_have(healthy, ephemeral, env, warns):
    hosts = pair(healthy, serve_env=env)
    hosts[0].facts["ephemeral_ports"].update(ephemeral)
    hosts[1].facts["ephemeral_ports"] = None
    assert ids(checks.check(hosts)) == ([("node0", "hccl_ports", "warn")] if warns else [])


@pytest.mark.parametrize(
    ("tuning", "texts", "commands"),
    [
        ({"cpu_governors": [], "numa_nodes": 1, "numa_balancing": True}, [], []),
        ({"cpu_governors": ["ondemand", "performance"]}, ["governor ondemand"], ["cpufreq"]),
        ({"numa_balancing": True}, ["numa_balancing"], ["sysctl"]),
        (
            {"cpu_governors": ["ondemand"], "numa_balancing": True},
            ["ondemand", "numa_balancing"],
            ["cpufreq", "sysctl"],
        ),
    ],
)
def test_settings_that_make_a_service_slow(healthy, tuning, texts, commands):
    hosts = pair(healthy)
    hosts[1].facts["tuning"].update(tuning)
    findings = checks.check(hosts)
    assert ids(findings) == ([("node1", "host_tuning", "warn")] if texts else [])
    for one in findings:
        assert all(text in one.problem.found for text in texts)
        assert [command for command in ("cpufreq", "sysctl") if command in one.problem.remedy] == commands


def by_hccs(healthy, link: str = "DOWN") -> list[Host]:
    """Two A3: RoCE is not connected, or has no addresses, and HCCS joins them."""
    hosts = pair(healthy)
    for index, host in enumerate(hosts):
        ports = [
            dict(port, link=link, ip=None, vnic="UP", vnic_ip=f"192.168.{index}.{port['device']}")
            for port in host.npu["fabric"]
        ]
        chips = [dict(chip, phy_id=chip["device"]) for chip in host.npu["chips"]]
        hosts[index] = replace(host, npu=dict(host.npu, fabric=ports, chips=chips))
    return hosts


@pytest.mark.parametrize("link", ["DOWN", "UP"])
@pytest.mark.parametrize("mode", ["quick", "full"])
def test_hosts_that_hccs_joins_ping_each_other_over_it(healthy, mode, link):
    hosts = by_hccs(healthy, link)
    sent = connectivity.assignments("node0", hosts, mode)["pings"]
    assert len(sent) == {"quick": 8, "full": 64}[mode]
    assert (sent[3]["address"], sent[3]["by_hccs"]) == ("192.168.1.3", True)
    assert hccn_tool.ping(sent[3]["address"], True) == "-hccs_ping -g address 192.168.1.3"
    answered = [{**one, "sent": 3, "received": 3, "text": None} for one in sent]
    assert ids(checks.check([replace(hosts[0], peers=pings(*answered)), hosts[1]])) == [
        ("node1", "roce", "warn")
    ]
    answered[3]["received"] = 2
    (one, _other) = checks.check([replace(hosts[0], peers=pings(*answered)), hosts[1]])
    assert (one.id, one.severity) == ("roce", "warn")
    assert "answers to 2 of 3 packets" in one.problem.found


@pytest.mark.parametrize("mode", ["quick", "full"])
@pytest.mark.parametrize("other", [0, 1])
def test_hccs_is_asked_only_where_it_may_join_both_hosts(healthy, mode, other):
    hosts = by_hccs(healthy)
    hosts[other].npu["fabric"][0].update(ip="10.20.11.11", link="UP")
    sent = connectivity.assignments("node0", hosts, mode)["pings"]
    assert [ping for ping in sent if ping.get("by_hccs")] == []


@pytest.mark.parametrize(
    ("received", "severities"), [((3, 3), []), ((0, 3), ["warn"]), ((0, 0), ["fail"]), ((None, 0), ["warn"])]
)
def test_hosts_that_neither_hccs_nor_roce_joins_cannot_serve(healthy, received, severities):
    hosts = by_hccs(healthy, "UP")
    sent = connectivity.assignments("node0", hosts, "quick")["pings"][:2]
    found = [
        {**one, "sent": None if count is None else 3, "received": count, "text": "busy"}
        for one, count in zip(sent, received, strict=True)
    ]
    findings = checks.check([replace(hosts[0], peers=pings(*found)), hosts[1]])
    assert [one.severity for one in findings if one.host == "node0"] == severities


@pytest.mark.parametrize(
    ("by_hccs_received", "by_roce_received", "severities"),
    [(3, 0, []), (0, 3, []), (0, 0, ["fail"]), (2, 2, ["warn"])],
)
def test_a3_whose_links_are_told_to_be_down_is_judged_by_its_pings(
    healthy, by_hccs_received, by_roce_received, severities
):
    hosts = by_hccs(healthy)
    for host, plain in zip(hosts, healthy, strict=True):
        for port, other in zip(host.npu["fabric"], plain["fabric"], strict=True):
            port["ip"] = other["ip"]
    sent = connectivity.assignments("node0", hosts, "quick")["pings"]
    found = [
        {
            **one,
            "sent": 3,
            "received": by_hccs_received if one.get("by_hccs") else by_roce_received,
            "text": None,
        }
        for one in sent
    ]
    assert {bool(one.get("by_hccs")) for one in sent} == {True, False}
    findings = checks.check([replace(hosts[0], peers=pings(*found)), hosts[1]])
    assert [one.severity for one in findings if one.host == "node0"] == severities


def test_a3_takes_roce_where_a_port_is_up_and_has_an_address(healthy):
    hosts = by_hccs(healthy, "UP")
    for host, plain in zip(hosts, healthy, strict=True):
        host.npu["fabric"][0]["ip"] = plain["fabric"][0]["ip"]
    assert [host.joined_by_hccs for host in hosts] == [False, False]
    assert ("node0", "roce_ip", "warn") in ids(checks.check(hosts))


def test_a3_that_is_told_to_take_roce_needs_addresses(healthy):
    hosts = by_hccs(healthy, "UP")
    hosts[0].plan["serve"]["env"]["HCCL_INTER_HCCS_DISABLE"] = "TRUE"
    assert ("node0", "roce_ip", "warn") in ids(checks.check(hosts))


# All together


def test_each_check_has_a_state_for_each_host(healthy, tmp_path):
    hosts = pair(
        [
            npu(tmp_path / "0", dcmi_error=-8020),
            npu(tmp_path / "1", 1, link_down=[3], net_health={"1": "Init"}),
        ]
    )
    hosts[1] = replace(hosts[1], peers={"calls": [], "pings": []}, weights={})
    stop_docker(hosts[1].facts)
    findings = checks.check(hosts)
    states = checks.states(hosts, findings)
    assert {finding.id for finding in findings} < set(states)
    shown = {
        check: tuple(states[check].values())
        for check in ("driver", "docker", "chip_count", "roce_link", "roce_net_health", "tcp", "weights")
    }
    assert shown == {
        "driver": ("fail", "ok"), "docker": ("ok", "fail"), "chip_count": (None, "ok"), "roce_link": (None, "fail"), "roce_net_health": (None, "warn"),
        "tcp": (None, "ok"), "weights": (None, "ok"),
    }  # fmt: skip


def test_a_host_without_its_facts_is_named():
    with pytest.raises(ValueError, match=r"node1 .*vllm_npu.*ascend_ops\.vllm\.npu_facts"):
        Host.of("node1", {"vllm_plan": {}})


def test_a_finding_can_be_accepted_on_one_host(tmp_path):
    hosts = pair([npu(tmp_path / str(index), index, health={"3": "Critical"}) for index in (0, 1)])
    hosts[1] = replace(hosts[1], accept=frozenset({"chip_health", "roce_ip"}))
    found = checks.check(hosts)
    assert ids(found) == [("node0", "chip_health", "fail"), ("node1", "chip_health", "warn")]
    assert [finding.accepted for finding in found] == [False, True]
    assert checks.states(hosts, found)["chip_health"] == {"node0": "fail", "node1": "warn"}
    assert ["add chip_health to preflight_accept" in text(finding) for finding in found] == [True, False]
    assert ["ccepted by preflight_accept" in text(finding) for finding in found] == [False, True]


def test_an_id_that_does_not_exist_cannot_be_accepted(healthy):
    hosts = pair(healthy)
    with pytest.raises(ProblemError, match=r"chip_helth on host node1") as caught:
        checks.check([hosts[0], replace(hosts[1], accept=frozenset({"chip_helth", "hbm"}))])
    assert caught.value.problem.remedy == "correct chip_helth to chip_health, chip_name or chip_count"


def test_an_id_like_no_other_goes_and_the_message_says_where_all_are():
    problem = checks.accept_problem(["chip_health", "no_such_finding_at_all", "capacty"])
    assert problem.remedy == "correct capacty to capacity; remove no_such_finding_at_all"
    assert len(problem.expected) < 150
    assert "roles/preflight/README.md and docs/releases.md" in problem.expected


def test_every_id_is_where_the_message_sends_people():
    root = Path(__file__).resolve().parents[5]
    tables = "".join((root / name).read_text(encoding="utf-8") for name in checks.PLACES.split()[:3:2])
    assert [one for one in checks.ids() if f"`{one}`" not in tables] == []


def test_findings_are_data(healthy):
    hosts = pair(healthy)
    stop_docker(hosts[0].facts)
    findings = [finding.data() for finding in checks.check(hosts)]
    assert json.loads(json.dumps(findings)) == findings


def test_golden_messages(healthy, tmp_path, golden):
    found = {name: npu_finding(healthy, tmp_path / name, case) for name, case in NPU_CASES.items()}
    found.update((name, host_finding(healthy, case)) for name, case in HOST_CASES.items())
    found.update((name, peer_finding(healthy, case)) for name, case in PEER_CASES.items())
    found.update((name, share_finding(healthy, case[0])) for name, case in SHARES.items())
    texts = {name: text(finding) for name, finding in found.items()}
    golden("preflight", {**texts, "healthy": checks.summary(pair(healthy, nic="enp1"))})
