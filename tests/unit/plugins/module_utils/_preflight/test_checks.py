# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts of the GLM-4.7 profile: the NPUs as npu_facts reads them from the lab's simulated tools, the host as host_facts tells of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan, profile
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.checks import Finding, Host
from ansible_collections.ascend_ops.vllm.plugins.modules import npu_facts
from npu_sim import install

PROFILE = yaml.safe_load(
    (Path(__file__).resolve().parents[5] / "profiles" / "glm-4.7.yml").read_text(encoding="utf-8")
)
ADDRESSES = {"node0": "10.0.0.10", "node1": "10.0.0.11"}
OURS, OTHERS = "0a" * 32, "0b" * 32
SERVING = {OURS: PROFILE["container_name"]}
CARDS_FULL = {str(chip): 60185 for chip in range(8)}


def npu(root: Path, index: int = 0, **ills: Any) -> dict[str, Any]:
    install.apply(root, ills, index, f"node{index}")
    params = {
        "npu_smi_path": root / install.NPU_SMI,
        "hccn_tool_path": root / install.HCCN_TOOL,
        "driver_root": root / "usr/local/Ascend",
    }
    return npu_facts.facts({**{key: str(path) for key, path in params.items()}, "gather": npu_facts.GATHER})


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return [npu(tmp_path_factory.mktemp(f"node{index}"), index) for index in range(2)]


def facts(its_plan: dict[str, Any]) -> dict[str, Any]:
    """Return what host_facts tells of a host on which nothing is wrong and nothing runs yet."""
    paths = dict.fromkeys(its_plan["container"]["devices"], "char")
    paths.update(
        {
            mount["source"]: "dir" if mount["source"].endswith(("/", "dcmi")) else "file"
            for mount in its_plan["container"]["mounts"]
        }
    )
    paths["/opt/data"] = None
    idle = {"listening": False, "pid": None, "process": None, "container": None}
    return {
        "hostname": "host", "hostname_addresses": [its_plan["service_ip"]], "service_nic": "enp1", "paths": paths,
        "containers": {}, "epoch": 1.76e9, "proxies": {}, "memory_total_mb": 1031815, "os": "openEuler 22.03", "kernel": "5.10.0", "machine": "aarch64",
        "docker": {"version": "26.1.3", "disk": {"mount": "/", "free_bytes": 60 * 10**9}, "served": {}, "image_id": None},
        "disks": {its_plan["model"]["dir"]: {"mount": "/opt/data", "free_bytes": 800 * 10**9, "used_bytes": 0}},
        "interfaces": [{"name": "lo", "addresses": ["127.0.0.1"]}, {"name": "enp1", "addresses": [its_plan["service_ip"]]}],
        "ports": {str(its_plan[port]): dict(idle) for port in plan.PORTS} if its_plan["role"] == "head" else {},
    }  # fmt: skip


def pair(
    npus: list[dict[str, Any]],
    nic: str | None = None,
    names: tuple[str, ...] = ("node0", "node1"),
    **overrides: Any,
) -> list[Host]:
    settings = profile.settings(
        "glm-4.7", PROFILE, {f"vllm_{key}": value for key, value in overrides.items()}
    )[0]
    plans = [plan.build(name, names, ADDRESSES, nic, settings) for name in names]
    return [Host(name, npus[index], facts(plans[index]), plans[index]) for index, name in enumerate(names)]


def said(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.host, finding.id, finding.severity) for finding in findings]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, said(findings)
    assert all(findings[0])
    return findings[0]


# Nothing is wrong


def test_a_healthy_pair_gives_no_finding(healthy):
    hosts = pair(healthy, nic="enp1")
    assert checks.judge(hosts) == []
    assert (
        checks.summary(hosts)
        == "node0, node1: fit, each with 8 x 910B2, driver 25.2.1, firmware 25.2.1, all RoCE links up"
    )


def test_a_healthy_host_alone_needs_no_fabric(tmp_path):
    hosts = pair([npu(tmp_path, link_down=[0], tls=[1])], names=("node0",))
    hosts[0].facts["hostname_addresses"] = ["127.0.1.1"]
    assert checks.judge(hosts) == []
    assert checks.summary(hosts) == "node0: fit, each with 8 x 910B2, driver 25.2.1, firmware 25.2.1"


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
    assert checks.judge(hosts) == []


# NPUs, one ill of node1 each


@pytest.mark.parametrize(
    ("ills", "finding", "severity", "found", "wanted", "remedy"),
    [
        ({"dcmi_error": -8020}, "driver", "fail", ["another container", "ret is -8020"], "shows the chips", "docker ps"),
        ({"dcmi_error": -8005}, "driver", "fail", ["no reboot after", "ret is -8005"], "shows the chips", "reboot"),
        ({"driver_version": "24.1.0"}, "driver_version", "fail", ["24.1.0", "older"], "25.2.1", "Install driver and firmware of Ascend HDK 25.2.1"),
        ({"driver_version": "25.3.rc1"}, "driver_version", "fail", ["25.3.rc1", "newer"], "25.2.1", "preflight_allow_newer"),
        ({"driver_version": "25.2.1.B010"}, "driver_version", "fail", ["25.2.1.B010"], "25.2.1", "vllm_npu_driver_version"),
        ({"firmware_version": "25.0.rc1.1"}, "firmware_version", "fail", ["25.0.rc1.1", "older"], "25.2.1", "vllm_npu_firmware_version"),
        ({"driver_version": "25.2.0", "driver_installed": "25.2.1"}, "reboot", "fail", ["25.2.0 runs", "25.2.1 is installed"], "runs", "Reboot"),
        ({"compatibility": "NOK"}, "compatibility", "fail", ["NOK"], "OK", "same Ascend HDK package"),
        ({"chips": 7}, "chip_count", "fail", ["7 of 8", "not there: 7"], "8 chips: 0-7", "lspci"),
        ({"chips": [0, 1, 3, 4, 6, 7]}, "chip_count", "fail", ["6 of 8", "not there: 2, 5"], "8 chips: 0-7", "vllm_npu_ids"),
        ({"name": "910B3"}, "chip_name", "fail", ["910B3 (chip 0-7)"], "910B2", "vllm_npu_name"),
        ({"health": {"3": "Critical"}}, "chip_health", "fail", ["Critical", "80E01801", "chip 3"], "OK", "reset"),
        ({"health": {"3": "Warning"}}, "chip_health", "warn", ["Warning", "80E01801", "chip 3"], "OK", "reset"),
        ({"hbm_total": 32768}, "hbm", "fail", ["32768 MB (chip 0-7)"], "65536 MB", "vllm_npu_hbm_mb"),
        ({"busy": [2]}, "chips_busy", "fail", ["process 472206 python3.9 (20480 MB)", "chip 2"], "nothing but this service", "docker ps"),
        ({"busy": {"2": [{"name": ""}]}}, "chips_busy", "fail", ["process 472206 (20480 MB)"], "nothing but this service", "docker ps"),
        ({"hbm_used": [2]}, "chips_busy", "fail", ["40000 MB of HBM held", "chip 2"], "nothing but this service", "docker ps"),
        ({"link_down": [5, 6]}, "roce_link", "fail", ["DOWN (port 5-6)"], "UP", "cable"),
        ({"net_health": [1]}, "roce_net_health", "fail", ["Fault (port 1)"], "Success", "netdetect"),
        ({"net_health": {"1": "Init"}}, "roce_net_health", "warn", ["Init (port 1)"], "Success", "netdetect"),
        ({"ip": {"2": None}}, "roce_ip", "fail", ["port 2"], "an address", "hccn.conf"),
        ({"ip": {"2": "10.20.11.11"}}, "roce_duplicate", "fail", ["10.20.11.11, which is host node0 port 0's too (port 2)"], "one address a port", "hccn.conf"),
        ({"netmask": [4]}, "roce_netmask", "warn", ["255.255.255.0 (port 4)"], "255.255.0.0", "netmask"),
        ({"lldp": False}, "roce_switch", "warn", ["behind port 0-7"], "a switch between the hosts", "enable-expert-parallel: false"),
        ({"tls": [0]}, "roce_tls", "fail", ["on for port 0"], "the same", "preflight_roce_tls_off"),
    ],
)  # fmt: skip
def test_an_ill_of_the_npus(healthy, tmp_path, ills, finding, severity, found, wanted, remedy):
    one = only(checks.judge(pair([healthy[0], npu(tmp_path, 1, **ills)])))
    assert (one.id, one.severity, one.host) == (finding, severity, "node1")
    for words in found:
        assert words in one.found
    assert wanted in one.wanted
    assert remedy in one.remedy


def test_no_driver_at_all(healthy, tmp_path):
    hosts = pair([npu(tmp_path, driver_missing=True), healthy[1]])
    assert said(checks.judge(hosts)) == [("node0", "driver", "fail")]


def test_ills_of_all_hosts_are_told_together(tmp_path):
    hosts = pair([npu(tmp_path / "0", 0, chips=7, tls=1), npu(tmp_path / "1", 1, health=[3], link_down=[3])])
    assert said(checks.judge(hosts)) == [
        ("node0", "chip_count", "fail"),
        ("node0", "roce_tls", "fail"),
        ("node1", "chip_health", "fail"),
        ("node1", "roce_link", "fail"),
    ]


def test_a_finding_is_a_paragraph_with_all_its_parts(healthy, tmp_path):
    one = only(checks.judge(pair([healthy[0], npu(tmp_path, 1, chips=7)])))
    assert checks.describe(one).splitlines() == [
        "Host node1, stage preflight (chip_count)",
        "  found:  7 of 8 chips; not there: 7",
        "  wanted: 8 chips: 0-7",
        f"  remedy: {one.remedy}",
    ]


def test_newer_packages_only_warn_by_choice(healthy, tmp_path):
    newer, older = (
        {"driver_version": version, "firmware_version": version} for version in ("25.3.0", "24.1.0")
    )
    assert said(checks.judge(pair([healthy[0], npu(tmp_path, 1, **newer)]), allow_newer=True)) == [
        ("node1", "driver_version", "warn"),
        ("node1", "firmware_version", "warn"),
    ]
    assert said(checks.judge(pair([healthy[0], npu(tmp_path, 1, **older)]), allow_newer=True)) == [
        ("node1", "driver_version", "fail"),
        ("node1", "firmware_version", "fail"),
    ]


def test_a_package_of_unknown_version_is_told(healthy, tmp_path):
    unknown = npu(tmp_path, 1)
    unknown["firmware_package_version"] = None
    one = only(checks.judge(pair([healthy[0], unknown])))
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
    def comparison(found: str, wanted: str) -> str:
        hosts = pair(
            [dict(healthy[0], package_version=found, driver_version=found)],
            names=("node0",),
            npu_driver_version=wanted,
        )
        return only(checks.judge(hosts)).found

    assert comparison(older, newer).endswith("older")
    assert comparison(newer, older).endswith("newer")


@pytest.mark.parametrize(
    ("one", "same"),
    [("25.2.1", "25.2.1"), ("8.3.RC2", "8.3.rc2"), ("25.2", "25.2.0"), ("special", "Special")],
)
def test_versions_that_are_equal(healthy, one, same):
    hosts = pair(
        [dict(healthy[0], package_version=one, driver_version=one)], names=("node0",), npu_driver_version=same
    )
    assert checks.judge(hosts) == []


def test_chips_that_the_service_does_not_use_are_not_judged(tmp_path):
    sick = npu(tmp_path, busy=[6], health=[7], link_down=[7])
    assert (
        checks.judge(
            pair([sick, npu(tmp_path / "node1", 1, tls=[7])], npu_ids=[0, 1, 2, 3], tensor_parallel_size=4)
        )
        == []
    )


def test_a_container_of_another_name_is_foreign_even_while_the_service_runs(healthy, tmp_path):
    busy = npu(tmp_path, 1, busy=[2])
    busy["chips"][2]["processes"][0]["container"] = OTHERS
    hosts = pair([healthy[0], busy])
    hosts[1].facts["containers"] = {**SERVING, OTHERS: "training"}
    one = only(checks.judge(hosts))
    assert one.id == "chips_busy"
    assert OTHERS[:12] in one.found


def test_a_chip_without_readable_row(healthy, tmp_path):
    masked = npu(tmp_path, 1)
    masked["chips"][4].update(health=None, hbm_total_mb=None, hbm_used_mb=None, processes=None)
    assert said(checks.judge(pair([healthy[0], masked]))) == [
        ("node1", "chip_health", "fail"),
        ("node1", "hbm", "warn"),
    ]


def test_ports_that_do_not_answer(healthy):
    silent = [{key: port[key] if key == "device" else None for key in port} for port in healthy[1]["fabric"]]
    assert (
        only(checks.judge(pair([healthy[0], dict(healthy[1], fabric=silent)]))).found
        == "link no answer (port 0-7)"
    )
    one = only(checks.judge(pair([healthy[0], dict(healthy[1], fabric=None)])))
    assert (one.id, one.severity) == ("roce", "warn")


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
    found["containers"] = found["docker"] = None


def age_docker(found: dict[str, Any]) -> None:
    found["docker"]["version"] = "18.06.3-ce"


def fill_docker_disk(found: dict[str, Any]) -> None:
    found["docker"]["disk"]["free_bytes"] = 19 * 10**9


def fill_weights_disk(found: dict[str, Any]) -> None:
    found["disks"][PROFILE["model_dir"]].update(free_bytes=300 * 10**9, used_bytes=400 * 10**9)


def share_a_disk(found: dict[str, Any]) -> None:
    found["docker"]["disk"].update(mount="/opt/data", free_bytes=720 * 10**9)
    found["disks"][PROFILE["model_dir"]]["free_bytes"] = 720 * 10**9


def lack_memory(found: dict[str, Any]) -> None:
    found["memory_total_mb"] = 131072


def name_the_loopback(found: dict[str, Any]) -> None:
    found["hostname_addresses"] = ["127.0.1.1"]


def set_proxy(found: dict[str, Any]) -> None:
    found["proxies"] = {"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost, 10.0.0.10"}


@pytest.mark.parametrize(
    ("make_sick", "finding", "severity", "found", "remedy"),
    [
        (break_device, "devices", "fail", "missing: /dev/davinci3", "lsmod"),
        (break_mount, "mounts", "fail", "missing: /usr/local/dcmi", "vllm_container_mounts"),
        (
            break_mount_by_docker,
            "mounts",
            "fail",
            "folders: /usr/local/bin/npu-smi",
            "rmdir /usr/local/bin/npu-smi",
        ),
        (
            break_address,
            "service_ip",
            "fail",
            "10.0.0.10 on no NIC; there are enp1 10.9.9.9",
            "vllm_service_ip",
        ),
        (take_port, "port", "fail", "port 8080 is taken by process 77 (nginx)", "vllm_api_port"),
        (
            take_port_in_container,
            "port",
            "fail",
            "port 8082 is taken by process 77 (python3) of container old-vllm",
            "vllm_rpc_port",
        ),
        (stop_docker, "docker", "fail", "no Docker daemon", "systemctl"),
        (age_docker, "docker", "warn", "Docker 18.06.3-ce", "Upgrade"),
        (fill_docker_disk, "disk", "fail", "19.0 GB free on /", "data-root"),
        (fill_weights_disk, "disk", "fail", "300.0 GB free on /opt/data", "vllm_model_dir"),
        (share_a_disk, "disk", "fail", "720.0 GB free on /opt/data", "vllm_model_dir"),
        (lack_memory, "host_memory", "warn", "137.4 GB of memory", "vllm_host_memory_gb"),
        (name_the_loopback, "hostname", "warn", "127.0.1.1", "/etc/hosts"),
        (set_proxy, "proxy", "warn", "http_proxy=http://proxy:3128, also for 10.0.0.11", "no_proxy"),
    ],
)
def test_an_ill_of_the_host(healthy, make_sick, finding, severity, found, remedy):
    hosts = pair(healthy)
    make_sick(hosts[0].facts)
    one = only(checks.judge(hosts))
    assert (one.id, one.severity, one.host) == (finding, severity, "node0")
    assert found in one.found
    assert remedy in one.remedy


def test_the_listener_that_an_earlier_run_left_is_no_finding(healthy):
    hosts = pair(healthy)
    hosts[0].facts["ports"]["8082"].update(listening=True, pid=77, process="ascend-listener")
    assert checks.judge(hosts) == []


def test_a_given_nic_must_carry_the_address(healthy):
    assert [(one.id, one.found) for one in checks.judge(pair(healthy, nic="enp2"))] == [
        ("service_nic", "10.0.0.10 is on enp1, vllm_service_nic is enp2"),
        ("service_nic", "10.0.0.11 is on enp1, vllm_service_nic is enp2"),
    ]


@pytest.mark.parametrize("excepted", ["10.0.0.10,10.0.0.11", "10.0.0.0/24", "*"])
def test_no_proxy_may_name_hosts_or_networks(healthy, excepted):
    hosts = pair(healthy)
    hosts[0].facts["proxies"] = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": excepted}
    assert checks.judge(hosts) == []


def test_clocks_far_apart(healthy):
    hosts = pair(healthy)
    hosts[1].facts["epoch"] += 29
    assert checks.judge(hosts) == []
    hosts[1].facts["epoch"] += 271
    assert only(checks.judge(hosts)).found == "a clock 300 s ahead of that of node0"


def test_image_and_weights_that_are_there_need_no_disk(healthy):
    hosts = pair(healthy)
    fill_docker_disk(hosts[0].facts)
    hosts[0].facts["docker"]["image_id"] = "sha256:1"
    hosts[0].facts["disks"][PROFILE["model_dir"]].update(free_bytes=0, used_bytes=717 * 10**9)
    assert checks.judge(hosts) == []


def test_the_wanted_disk_is_told_by_its_parts(healthy):
    hosts = pair(healthy)
    share_a_disk(hosts[0].facts)
    assert (
        only(checks.judge(hosts)).wanted
        == f"717.0 GB for the rest of the weights in {PROFILE['model_dir']} and 20.0 GB for the image"
    )


@pytest.mark.parametrize(
    ("key", "value"), [("os", "Ubuntu 22.04"), ("kernel", "5.15.0"), ("machine", "x86_64")]
)
def test_a_host_with_another_system(healthy, key, value):
    hosts = pair(healthy)
    hosts[1].facts[key] = value
    one = only(checks.judge(hosts))
    assert (one.id, one.severity, one.host) == ("system", "warn", "node1")
    assert value in one.found


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
    assert checks.judge([good, hosts[1]]) == []
    one = only(checks.judge([good, bad]))
    assert (one.id, one.severity, one.host, one.wanted) == (
        "image_versions",
        "fail",
        "node1",
        "cann 8.3.rc2, torch_npu 2.8.0",
    )
    assert "cann 8.5.0, torch_npu not there" in one.found


def test_what_the_stage_weights_says(healthy):
    hosts = pair(healthy)
    said = "Host node1, stage weights.\nFound: the hub refuses the token.\nWanted: one that it issued.\nRemedy: Make one."
    one = only(checks.judge([hosts[0], replace(hosts[1], weights_error=said)]))
    assert one == Finding(
        "weights", "fail", "node1", "the hub refuses the token", "one that it issued", "Make one."
    )
    assert (
        only(checks.judge([hosts[0], replace(hosts[1], weights_error="Out of ideas")])).found
        == "Out of ideas"
    )


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


@pytest.mark.parametrize(
    ("answer", "severity", "found"),
    [
        (ping(0), "fail", "port 3 to node0's port 3 (10.20.11.14): 0 of 3 packets came back"),
        (ping(2), "warn", "port 3 to node0's port 3 (10.20.11.14): 2 of 3 packets came back"),
        (
            ping(None, "Command execute failed!"),
            "fail",
            "port 3 to node0's port 3 (10.20.11.14): no answer: Command execute failed!",
        ),
    ],
)
def test_a_ping_that_is_lost(healthy, answer, severity, found):
    hosts = pair(healthy)
    one = only(checks.judge([hosts[0], replace(hosts[1], peers={"calls": [], "pings": [ping(3), answer]})]))
    assert (one.id, one.severity, one.host, one.found) == ("roce_ping", severity, "node1", found)
    assert "hccn_tool -i N -ping" in one.remedy


def test_a_host_that_cannot_be_called_is_the_one_told_of(healthy):
    calls = [
        {"host": "node0", "address": "10.0.0.10", "port": port, "error": error}
        for port, error in ((8082, None), (40000, "no answer within 3 s"))
    ]
    hosts = pair(healthy)
    one = only(checks.judge([hosts[0], replace(hosts[1], peers={"calls": calls, "pings": []})]))
    assert (one.id, one.severity, one.host) == ("tcp", "fail", "node0")
    assert one.found == "no connection from node1: no answer within 3 s (port 40000)"
    assert "all TCP ports of 10.0.0.10" in one.remedy


def test_a_host_that_cannot_listen(healthy):
    hosts = pair(healthy)
    listener = {"address": "10.0.0.10", "ports": [], "error": "cannot listen on 10.0.0.10: Permission denied"}
    one = only(checks.judge([replace(hosts[0], listener=listener), hosts[1]]))
    assert (one.id, one.host, one.found) == ("tcp", "node0", "cannot listen on 10.0.0.10: Permission denied")


# All together


def test_each_check_has_a_state_for_each_host(healthy, tmp_path):
    hosts = pair(
        [
            npu(tmp_path / "0", dcmi_error=-8020),
            npu(tmp_path / "1", 1, link_down=[3], net_health={"1": "Init"}),
        ]
    )
    hosts[1] = replace(hosts[1], peers={"calls": [], "pings": []}, weights_error="")
    stop_docker(hosts[1].facts)
    findings = checks.judge(hosts)
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
    with pytest.raises(ValueError, match=r"node1 has no fact vllm_npu, .* ascend_ops.vllm.npu_facts"):
        checks.Host.of("node1", {"vllm_plan": {}})


def test_findings_are_data(healthy):
    hosts = pair(healthy)
    stop_docker(hosts[0].facts)
    assert set(json.loads(json.dumps(only(checks.judge(hosts))._asdict()))) == {
        "id",
        "severity",
        "host",
        "found",
        "wanted",
        "remedy",
    }
