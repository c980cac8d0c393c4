# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the lab's simulated tools, and against tools of a few lines for what those cannot play."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import installation, npu_smi
from ansible_collections.ascend_ops.vllm.plugins.modules import npu_facts
from npu_sim import install

FIXTURES = Path(__file__).parents[1] / "fixtures" / "npu"


def gather(root: Path, *subset: str, **options: str | None) -> dict[str, Any]:
    paths = {
        "npu_smi_path": root / install.NPU_SMI,
        "hccn_tool_path": root / install.HCCN_TOOL,
        "driver_root": root / "usr/local/Ascend",
    }
    return npu_facts.facts(
        {
            **{key: str(path) for key, path in paths.items()},
            "gather": list(subset or npu_facts.GATHER),
            **options,
        }
    )


def tool(file: Path, script: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_healthy_host(tmp_path):
    install.apply(tmp_path, {}, 1, "node1")
    npu = gather(tmp_path)
    assert {key: npu[key] for key in npu if key not in ("cards", "chips", "fabric", "hccn_tool_path")} == {
        "error": None, "warnings": [], "npu_smi_version": "25.2.1", "driver_version": "25.2.1", "package_version": "25.2.1", "firmware_version": "7.7.0.6.236",
        "firmware_installed_version": "7.7.0.6.236", "firmware_package_version": "25.2.1", "compatibility": "OK", "model": "910B2", "chip_count": 8,
    }  # fmt: skip
    assert npu["hccn_tool_path"] == str(tmp_path / install.HCCN_TOOL)
    assert npu["chips"][5] == {
        "npu_id": 5, "chip_id": 0, "phy_id": None, "logic_id": 5, "device": 5, "name": "910B2", "health": "OK", "error_code": None, "error_text": None,
        "bus_id": "0000:41:00.0", "power_w": 88.4, "temperature_c": 35.0, "aicore_percent": 0.0, "memory_used_mb": 0, "memory_total_mb": 0,
        "hbm_used_mb": 3398, "hbm_total_mb": 65536, "processes": [],
    }  # fmt: skip
    assert npu["fabric"][7] == {
        "device": 7, "link": "UP", "net_health": "Success", "ip": "10.20.11.26", "netmask": "255.255.0.0", "gateway": "10.20.0.1",
        "netdetect": "10.20.0.1", "tls": False, "lldp_port": "400GE1/2/4:2", "vnic": None, "vnic_ip": None, "message": None,
        "configured": {"ip": None, "netmask": None, "gateway": None},
    }  # fmt: skip


def test_only_what_is_asked_for(tmp_path):
    install.apply(tmp_path, {"health": [1], "busy": [1]}, 0, "node0")
    npu = gather(tmp_path, "versions")
    assert (npu["driver_version"], npu["compatibility"], npu["fabric"], npu["chip_count"]) == (
        "25.2.1",
        "OK",
        None,
        8,
    )
    assert {(chip["logic_id"], chip["error_code"], chip["processes"]) for chip in npu["chips"]} == {
        (None, None, None)
    }
    npu = gather(tmp_path, "health")
    assert (npu["driver_version"], npu["package_version"], npu["compatibility"]) == (None, None, None)
    assert [chip["error_code"] for chip in npu["chips"]] == [None, "80E01801", *[None] * 6]


def test_what_is_installed_and_what_runs(tmp_path):
    install.apply(tmp_path, {"driver_version": "25.0.rc1", "driver_installed": "25.2.1"}, 0, "node0")
    npu = gather(tmp_path)
    assert (npu["driver_version"], npu["package_version"]) == ("25.0.rc1", "25.2.1")


def test_each_card_has_its_versions(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    board = tmp_path / install.ANSWERS / "npu-smi" / "info -t board -i 0"
    board.write_text(
        board.read_text(encoding="ascii").replace("7.7.0.6.236", "7.1.0.3.220"), encoding="ascii"
    )
    npu = gather(tmp_path)
    assert npu["firmware_version"] == "7.7.0.6.236"
    assert [card["firmware_version"] for card in npu["cards"]] == ["7.1.0.3.220", *["7.7.0.6.236"] * 7]


def test_the_card_that_is_not_well_speaks_for_all(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    board = tmp_path / install.ANSWERS / "npu-smi" / "info -t board -i 6"
    board.write_text(board.read_text(encoding="ascii").replace(": OK", ": NOK"), encoding="ascii")
    assert gather(tmp_path)["compatibility"] == "NOK"


@pytest.mark.parametrize(
    ("ills", "named"),
    [
        ({"driver_missing": True}, "npu-smi"),
        ({"dcmi_error": -8005}, "-8005"),
        ({"dcmi_error": -8020}, "-8020"),
    ],
)
def test_a_driver_that_does_not_work(tmp_path, ills, named):
    install.apply(tmp_path, ills, 0, "node0")
    npu = gather(tmp_path)
    assert named in npu["error"]["cause"]
    assert npu["chips"] is npu["chip_count"] is npu["fabric"] is None


def test_a_driver_that_hangs_holds_no_one_up(tmp_path, monkeypatch):
    install.apply(tmp_path, {"hang": True}, 0, "node0")
    monkeypatch.setattr(commands.run, "__defaults__", (0.5,))
    assert "0.5 s" in gather(tmp_path)["error"]["text"]  # although the tool sleeps forever


def test_text_of_an_unknown_form_is_shown(tmp_path):
    smi = tool(tmp_path / "npu-smi", "echo 'NPU 0: fine, thank you'")
    error = gather(tmp_path, npu_smi_path=smi)["error"]
    assert error["text"] == "NPU 0: fine, thank you"
    assert f"{smi} info" in error["remedy"]


@pytest.mark.parametrize(("end", "code"), [("exit 0", 0), ("kill -SEGV $$", -11)])
def test_no_text_at_all_is_told_with_the_exit_code(tmp_path, end, code):
    error = gather(tmp_path, npu_smi_path=tool(tmp_path / "npu-smi", end))["error"]
    assert error["cause"] == f"npu-smi ended with exit code {code} and printed nothing"


def test_an_old_tool_without_mapping(tmp_path):
    table, old = FIXTURES / "a2_guest_info.txt", FIXTURES / "old_list.txt"
    smi = tool(
        tmp_path / "npu-smi",
        f'case "$*" in info) cat "{table}" ;; "info -l") cat "{old}" ;; *) echo Usage; exit 1 ;; esac',
    )
    npu = gather(tmp_path, "chips", npu_smi_path=smi)
    assert [(chip["npu_id"], chip["chip_id"]) for chip in npu["chips"]] == [
        (0, 0),
        (1, 0),
        (1, 1),
        (4, 0),
        (5, 0),
    ]


def test_tools_are_found_in_path_and_below_the_driver(tmp_path, monkeypatch):
    install.apply(tmp_path, {}, 0, "node0")
    monkeypatch.setenv("PATH", str((tmp_path / install.NPU_SMI).parent), prepend=":")
    npu = gather(tmp_path, npu_smi_path=None, hccn_tool_path=None)
    assert (npu["chip_count"], len(npu["fabric"])) == (8, 8)


def test_without_any_tool(tmp_path, monkeypatch):
    monkeypatch.setattr(installation.shutil, "which", lambda *_arguments, **_options: None)
    error = gather(tmp_path, npu_smi_path=None, hccn_tool_path=None)["error"]
    assert error == npu_smi.explain(error["text"])


def test_without_hccn_tool_there_is_no_fabric(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    npu = gather(tmp_path, hccn_tool_path=None, driver_root="/nowhere")
    assert (npu["chip_count"], npu["fabric"]) == (8, None)


def test_a_busy_hccn_tool_is_asked_again(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    once = f'mkdir "{tmp_path}/was$2$3" 2>/dev/null && echo "hccn_tool is busy, please try again later." && exit 1'
    busy = tool(tmp_path / "hccn_tool", f'{once}\nexec "{tmp_path / install.HCCN_TOOL}" "$@"')
    assert gather(tmp_path, hccn_tool_path=busy)["fabric"] == gather(tmp_path)["fabric"]


def test_the_slow_tools_run_side_by_side(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    running, counts = tmp_path / "running", tmp_path / "counts"
    running.mkdir()
    count = f"touch {running}/$$; sleep 0.2; ls {running} | wc -l >>{counts}; rm {running}/$$"
    slow = tool(tmp_path / "hccn_tool", f'{count}\nexec "{tmp_path / install.HCCN_TOOL}" "$@"')
    assert gather(tmp_path, hccn_tool_path=slow)["chip_count"] == 8
    assert max(map(int, counts.read_text(encoding="ascii").split())) >= 8
