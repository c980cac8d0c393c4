# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs of npu-smi and hccn_tool from public reports, read by the module and checked for two hosts.

A case is a file, what `npu-smi info` prints, or a folder: `info`, `board` (`info -t board`), `health`, `X.info` (version
files), `hccn-CALL` or `hccn-CALL-N` (`hccn_tool -i N -CALL -g`, with N as @N@), and `X.rc`, an exit code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks
from ansible_collections.ascend_ops.vllm.plugins.modules import npu_facts, roce_tls
from two_hosts import pair

CASES = Path(__file__).parents[1] / "fixtures" / "npu" / "cases"
ANSWER = r"""
answer() { test -f "$1" || return 1; sed "s/@N@/$n/g; s/10\.20\.0\./10.20.$host./" "$1"; exit $(cat "$1.rc" 2>/dev/null || echo 0); }
"""
NPU_SMI = """#!/bin/sh
cd {folder}; n= host=0
{answer}
case "$*" in
"info") answer info ;;
"info -m") answer info-m ;;
"info -l") answer info-l ;;
"info -t board"*) answer board ;;
"info -t health"*) answer health ;;
esac
exit 1
"""
HCCN_TOOL = """#!/bin/sh
cd {folder}; n=$2 host={host}; shift 2
{answer}
call=$(echo "$*" | sed 's/ -g.*//; s/ //g; s/^-//')
answer "hccn-$call-$n"; answer "hccn-$call"
exit 1
"""


def facts(name: str, tmp_path: Path, host: int) -> dict[str, Any]:
    """Return what npu_facts finds on a host of the case."""
    case, root = CASES / name, tmp_path / str(host)
    folder = case if case.is_dir() else root / "case"
    root.mkdir()
    if not case.is_dir():
        folder.mkdir()
        (folder / "info").write_bytes(case.read_bytes())
    for kind in ("driver", "firmware"):
        (root / kind).mkdir()
        if (folder / f"{kind}.info").exists():
            (root / kind / "version.info").write_bytes((folder / f"{kind}.info").read_bytes())
    for tool, script in (("npu-smi", NPU_SMI), ("hccn_tool", HCCN_TOOL)):
        (root / tool).write_text(script.format(folder=folder, answer=ANSWER, host=host), encoding="ascii")
        (root / tool).chmod(0o755)
    fabric = (folder / "hccn-link").exists()
    options = {
        "npu_smi_path": str(root / "npu-smi"),
        "hccn_tool_path": str(root / "hccn_tool") if fabric else None,
        "driver_root": str(root),
        "gather": npu_facts.GATHER,
    }
    return npu_facts.facts(options)


def findings(npus: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return id and severity of the findings on the first host, whose plan is made for its chips and versions."""
    first = npus[0]
    chips = first["chips"] or []
    devices = sorted({chip["device"] for chip in chips}) or list(range(8))
    alone = first["fabric"] is None
    hosts = pair(
        npus[:1] if alone else npus,
        names=("node0",) if alone else ("node0", "node1"),
        npu_ids=devices,
        tensor_parallel_size=len(devices),
        npu_name=first["model"] or "910B2",
        npu_hbm_mb=1,
        npu_driver_version=first["package_version"] or first["driver_version"] or "25.2.1",
        npu_firmware_version=first["firmware_package_version"] or "25.2.1",
    )
    found = [(one.id, one.severity) for one in checks.check(hosts) if one.host == "node0"]
    # Most cases have no version file. That has tests of its own, as have memory and capacity; the plan has 1 MB.
    return [one for one in found if one[0] not in ("firmware_version", "hbm", "capacity")]


@dataclass(frozen=True)
class Case:
    """What is expected of a case."""

    findings: list[tuple[str, str]] = field(default_factory=list)
    devices: list[int] | None = None  # of the chips
    pids: dict[int, list[int]] = field(default_factory=dict)  # by device; no other chip has processes
    cause: str = ""  # a part of it
    also: dict[str, Any] = field(default_factory=dict)  # facts


BUSY, SMALL = ("chips_busy", "fail"), ("chips_busy", "warn")
EIGHT = list(range(8))
EXPECTED = {
    "00_control.txt": Case(
        [BUSY], [0, 1], {0: [6513, 33776], 1: [33777]}, also={"npu_smi_version": "25.0.rc1.2"}
    ),
    "01_910B3_26.1.0_process_in_container_column.txt": Case([BUSY], EIGHT, {0: [485946]}),
    "03_A3_26.1.0.b061_nyaterm.txt": Case([BUSY], [0, 14, 15], {0: [692318], 15: [692318]}),
    "04_910B4_26.0.rc1_truncated_end.txt": Case([], [0]),
    "05_A3_soft_partition_same_phyid.txt": Case([], [0, 0]),
    "06_950PR_25.7.rc1_alarm.txt": Case([("chip_health", "warn"), BUSY], [0, 1, 2], {0: [1530715, 1655234]}),
    "08_910B4-1_25.2.0_gpustack_helper_processes.txt": Case(
        [BUSY, SMALL], [1, 2, 7], {1: [2357, 2394858], 2: [2339], 7: [5284, 2395206, 2395167]}
    ),
    "09_910B4-1_25.0.rc1.1_stray_warnings_before.txt": Case(
        [BUSY], [5, 6], {6: [3495003, 3495004]}, also={"warnings": [r"grep: warning: stray \ before /"] * 2}
    ),
    "10_910B2_25.2.0_healthy_8.txt": Case([], EIGHT),
    "11_910B2_24.1.0.3_healthy.txt": Case([]),
    "12_A3_25.2.1_all_dies_Alarm.txt": Case([("chip_health", "warn")], [0, 1]),
    "13_310P3_duo_ids_from_1.txt": Case([], [0, 1, 2, 3]),
    "15_910B_23.0.rc3_tool_and_driver_differ_hugepages.txt": Case(
        [BUSY], [0], {0: [139667]}, also={"npu_smi_version": "23.0.rc3", "driver_version": "23.0.rc2.3"}
    ),
    "16_driver_package_not_completely_installed.txt": Case([("driver", "warn")], [0]),
    "17_rc187": Case([("driver", "fail")], cause="-8005"),
    "18_alarm_multi_code": Case([("chip_health", "warn")], [0], also={"driver_version": "25.5.2"}),
    "19_fabric_new_wording": Case([], EIGHT),
    "20_fabric_vm_not_supported": Case([("roce", "warn")], EIGHT),
    "21_fabric_get_lock_failed": Case([("roce_link", "warn")], EIGHT),
    "22_A3_hccs_only_no_roce": Case([BUSY, SMALL, ("roce", "warn")], [0, 1, 14, 15], {0: [632268]}),
    "23_roce_ipv6_only": Case([("roce_ip", "warn")], EIGHT),
    "34_910B2_26.x_three_small_processes.txt": Case([BUSY], [0], {0: [1732754, 1732755, 1732756]}),
    "36_ret_9005": Case([("driver", "fail")], cause="no chip is ready"),
    "37_ret_802_truncated": Case([("driver", "fail")], cause="in use"),
    "38_one_card_fails": Case([("driver", "fail")], cause="one card does not answer"),
    "42_310_23.0.0_name_of_digits.txt": Case([], [0, 1]),
    "43_A3_25.2.1_processes_without_names.txt": Case([BUSY], [8, 9], {8: [3389563], 9: [3389564]}),
    "44_310P3_ids_from_32768.txt": Case([], [3, 4]),
    "41_compat_not_support": Case([], EIGHT, also={"compatibility": "NOT SUPPORT"}),
    # Lines of a report about an OrangePi; the header is that of github.com/youyve/nputop, tests/test_libascend.py.
    "45_310B4_23.0.0_memory_of_the_host": Case([("chip_health", "warn")], [0]),
    # A report about lmdeploy 0.11.1; npu-smi shows no process that has the memory.
    "46_310P3_25.2.1_memory_without_process.txt": Case([BUSY], [0, 1, 2]),
    "47_910B1_24.1.rc2_no_header_of_processes.txt": Case([], [6]),
    # github.com/PaddlePaddle/docs
    "48_910A_21.0.rc1_without_hugepages.txt": Case([], [4, 5], also={"npu_smi_version": "1.9.3"}),
    # The lines that a report about a container on an Atlas 950 with openEuler 24.03 shows.
    "52_950PR_25.7.rc1.6_idle.txt": Case([], [0], also={"npu_smi_version": "25.7.rc1.6"}),
    # Reports vllm-ascend#1047, #2035, #1875 and #12980; the last one has the processes of #16098.
    "55_910ProB_24.1.0_memory_of_the_host.txt": Case([], [0, 1]),
    "56_A3_24.1.rc3.7_idle.txt": Case([], [0, 1], also={"npu_smi_version": "24.1.rc3.7"}),
    "57_910B4_24.1.rc3_idle.txt": Case([], [0, 1], also={"model": "910B4"}),
    "58_A3_26.0.rc2_idle.txt": Case([], [0, 1], also={"driver_version": "26.0.rc2"}),
    "59_A3_serving_names_with_colons.txt": Case(
        [BUSY], [0, 1, 2, 3], {0: [28929], 1: [30669], 2: [32412], 3: [34120]}
    ),
    # The fields that a report about two Atlas 800I A2 names, in the layout of lldptool.
    "49_direct_cables": Case([("roce_net_health", "warn"), ("roce_switch", "warn")], [0, 1]),
    # What lldptool prints of a switch by Juniper, in oVirt's pages about LLDP.
    "50_switch_with_local_port_id": Case([], [0, 1]),
    # Case 22 with cables in its ports; MindCluster's toolbox calls such hosts usable.
    "53_A3_roce_up_without_addresses": Case([BUSY, SMALL, ("roce", "warn")], [0, 1, 14, 15], {0: [632268]}),
    # What the tool of Ascend 950 says of the others' syntax (github.com/hicann/driver, ascend950, tool_cmd_err.c).
    "54_950PR_other_syntax": Case([("roce", "warn")], [0]),
    # A message of hccn_tool's source (cmd.c), on one port.
    "51_net_health_timed_out": Case([("roce_net_health", "warn")], [0, 1]),
}


def test_every_case_is_tried():
    assert {file.name for file in CASES.iterdir()} == {*EXPECTED, "24_tls_no_certificate"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_case_from_the_field(name: str, tmp_path: Path):
    case = EXPECTED[name]
    npu = facts(name, tmp_path, 0)
    assert case.cause in (npu["error"] or {"cause": ""})["cause"]
    chips = npu["chips"] or []
    if case.devices is not None:
        assert [chip["device"] for chip in chips] == case.devices
    processes = {
        chip["device"]: [one["pid"] for one in chip["processes"]] for chip in chips if chip["processes"]
    }
    assert processes == case.pids
    assert {key: npu[key] for key in case.also} == case.also
    assert findings([npu, facts(name, tmp_path, 1)]) == case.findings


def test_all_lines_of_an_error_are_kept(tmp_path: Path):
    (chip,) = facts("18_alarm_multi_code", tmp_path, 0)["chips"]
    assert chip["error_code"] == "A4025021 8C03A000 8C084E00"
    assert [part.split(",")[0] for part in chip["error_text"].split("; ")] == [
        "ascend_monitor adda heart beat lost error",
        "node type=process-manager",
        "node type=adda",
    ]


def test_the_new_wording_of_the_fabric(tmp_path: Path):
    port = facts("19_fabric_new_wording", tmp_path, 0)["fabric"][3]
    assert port == {
        "device": 3, "link": "UP", "net_health": "Success", "ip": "10.20.0.3", "netmask": "255.255.0.0", "gateway": "10.20.0.254",
        "netdetect": "10.20.0.254", "tls": False, "lldp_port": "400GE1/1/3:1", "vnic": None, "vnic_ip": None, "message": None,
        "configured": {"ip": None, "netmask": None, "gateway": None},
    }  # fmt: skip


def test_without_a_certificate_tls_is_off():
    tool = CASES / "24_tls_no_certificate" / "hccn_tool"
    assert roce_tls.read(str(tool), [0, 1]) == {0: False, 1: False}
