# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's simulated tools where npu_facts does not call them; test_npu_facts.py and test_checks.py see the rest of what they play."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from npu_sim import install


def call(root: Path, tool: str, arguments: str) -> tuple[int, str]:
    done = subprocess.run([root / tool, *arguments.split()], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        (install.NPU_SMI, "-v", "npu-smi version: 25.2.1"),
        (install.NPU_SMI, "info -l", "Total Count                    : 8"),
        (install.NPU_SMI, "info -i 3 -c 0 -t usages", "HBM Capacity(MB)               : 65536"),
        (install.NPU_SMI, "info -t common -i 3", "Aicore Count                   : 24"),
        (install.NPU_SMI, "info -t memory -i 3", "HBM Clock Speed(MHz)           : 1600"),
        (install.HCCN_TOOL, "-i 3 -link_stat -g", "link up count       : 1"),
        (install.HCCN_TOOL, "-i 3 -ping -g address 10.20.11.20", "device 3 PING 10.20.11.20"),
    ],
)
def test_other_calls_are_answered(tmp_path, tool, arguments, said):
    install.apply(tmp_path, {}, 0, "node0")
    rc, text = call(tmp_path, tool, arguments)
    assert rc == 0
    assert said in text


@pytest.mark.parametrize(
    ("ills", "loss"), [({}, "0.00%"), ({"ping_loss": [3]}, "33.33%"), ({"link_down": [3]}, "100.00%")]
)
def test_pings_are_lost(tmp_path, ills, loss):
    install.apply(tmp_path, ills, 0, "node0")
    assert f"{loss} packet loss" in call(tmp_path, install.HCCN_TOOL, "-i 3 -ping -g address 10.20.11.20")[1]
    assert "0.00% packet loss" in call(tmp_path, install.HCCN_TOOL, "-i 4 -ping -g address 10.20.11.20")[1]


@pytest.mark.parametrize(
    ("address", "loss"),
    [
        ("10.20.11.20", "100.00%"),
        ("10.20.11.21", "0.00%"),
        ("10.9.9.9", "100.00%"),
        ("10.20.11.2", "100.00%"),
    ],
)
def test_who_is_not_there_or_sick_answers_no_ping(tmp_path, address, loss):
    install.apply(tmp_path, {"unreachable": ["10.20.11.20"]}, 0, "node0")
    text = call(tmp_path, install.HCCN_TOOL, f"-i 3 -ping -g address {address}")[1]
    assert text.startswith(f"device 3 PING {address}\n")
    assert f" {loss} packet loss" in text


@pytest.mark.parametrize(("address", "loss"), [("10.20.11.22", "0.00%"), ("10.20.11.23", "100.00%")])
def test_without_a_switch_only_the_counterpart_answers(tmp_path, address, loss):
    install.apply(tmp_path, {"lldp": False}, 0, "node0")
    assert f" {loss} packet loss" in call(tmp_path, install.HCCN_TOOL, f"-i 3 -ping -g address {address}")[1]


def test_tls_is_switched(tmp_path):
    install.apply(tmp_path, {"tls": [3]}, 0, "node0")
    assert (
        "tls switch[1](0:disable, 1:enable), tls preconfigured[1]"
        in call(tmp_path, install.HCCN_TOOL, "-i 3 -tls -g")[1]
    )
    assert call(tmp_path, install.HCCN_TOOL, "-i 3 -tls -s enable 0") == (0, "Cmd executed successfully!\n")
    assert (
        "tls switch[0](0:disable, 1:enable), tls preconfigured[1]"
        in call(tmp_path, install.HCCN_TOOL, "-i 3 -tls -g")[1]
    )


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (install.NPU_SMI, "reset"),
        (install.NPU_SMI, "info -t board -i 9"),
        (install.HCCN_TOOL, "-i 9 -tls -s enable 0"),
    ],
)
def test_what_is_not_played_is_refused(tmp_path, tool, arguments):
    install.apply(tmp_path, {}, 0, "node0")
    rc, text = call(tmp_path, tool, arguments)
    assert rc == 1
    assert text.startswith("Usage: ")


@pytest.mark.parametrize(
    ("tool", "said"), [(install.NPU_SMI, "ret is -8005"), (install.HCCN_TOOL, "Command execute failed!")]
)
def test_a_container_has_the_tool_without_the_driver(tmp_path, tool, said):
    install.apply(tmp_path, {}, 0, "node0")
    shutil.rmtree(tmp_path / install.ANSWERS)
    rc, text = call(tmp_path, tool, "info")
    assert rc != 0
    assert said in text


def test_an_ill_that_cannot_be_played_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"node1: .*cannot play fever.*driver_version"):
        install.apply(tmp_path, {"fever": 39}, 1, "node1")
    assert list(tmp_path.iterdir()) == []


def test_well_again_is_as_before(tmp_path):
    def files() -> dict[Path, str]:
        return {
            file: file.read_text(encoding="ascii")
            for file in tmp_path.rglob("*")
            if file.is_file() and "link_stat" not in file.name
        }

    install.apply(tmp_path, {}, 0, "node0")
    healthy = files()
    install.apply(tmp_path, {"driver_missing": True, "dcmi_error": -8005, "chips": 7, "delay": 1}, 0, "node0")
    assert files() != healthy
    install.apply(tmp_path, {}, 0, "node0")
    assert files() == healthy
