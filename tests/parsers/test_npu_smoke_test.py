# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of NPUs and network as it runs in the image: with the real torch and Gloo, beside the lab's torch_npu."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from releases import find
from settings import RELEASE, SOURCES, Settings

PROGRAM = Path(__file__).resolve().parents[2] / "roles/container/files/smoke_test.py"
TORCH_NPU = SOURCES / "image/files/opt/lab/npu"
PYTHON = "python3.11"  # of the image
PACKAGES = Settings.from_environment().engines / find(RELEASE).vllm


def run(
    folder: Path, *ills: dict[str, Any], npus: int = 1, nodes: int = 1, torch_npu: Path = TORCH_NPU
) -> list[tuple[int, dict[str, Any], str]]:
    """Run it for one host for each of *ills*, and return exit code, result and output of each."""
    for index in range(nodes):
        (folder / f"davinci{index}").touch()
    port = free_port()
    started = []
    for number, ill in enumerate(ills):
        options = {"npus": npus, "host": number, "hosts": len(ills), "head": "127.0.0.1", "port": port}
        command = ["/usr/bin/env", PYTHON, PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{PACKAGES}:{torch_npu}",
            "LAB_TORCH_NPU": json.dumps(ill),
            "LAB_TORCH_NPU_DEVICES": f"{folder}/davinci[0-9]*",
            "OMP_NUM_THREADS": "1",
        }
        started.append(
            subprocess.Popen(
                command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    outputs = [process.communicate(timeout=120)[0] for process in started]
    results = [json.loads(output.rpartition("[smoke test] result: ")[2]) for output in outputs]
    return [
        (process.returncode, result, output)
        for process, result, output in zip(started, results, outputs, strict=True)
    ]


def states(result: dict[str, Any]) -> tuple[str, str]:
    return result["npus"]["state"], result["collective"]["state"]


def test_two_hosts_compute_together(tmp_path):
    for code, result, output in run(tmp_path, {}, {}):
        assert (code, states(result)) == (0, ("passed", "passed")), output
        assert result["collective"]["text"].startswith("2 NPUs in ")


def test_one_host_tells_the_other_that_its_npus_do_not_work(tmp_path):
    error = "SetDevice:torch_npu/csrc, error code is 507033"
    sick, other = run(tmp_path, {"add_error": error}, {})
    assert (sick[0], states(sick[1])) == (1, ("failed", "not run")), sick[2]
    assert error in sick[1]["npus"]["text"]
    assert (other[0], states(other[1])) == (1, ("passed", "not run")), other[2]
    assert "host number 0" in other[1]["collective"]["text"]


def test_a_host_that_cannot_join_the_group_ends_the_test_of_the_others(tmp_path):
    sick, other = run(tmp_path, {"group_error": "EI0006: Getting socket times out"}, {})
    assert (sick[0], states(sick[1])) == (1, ("passed", "failed")), sick[2]
    assert "rank 0: RuntimeError: EI0006" in sick[1]["collective"]["text"]
    assert (other[0], states(other[1])) == (1, ("passed", "not run")), other[2]


@pytest.mark.parametrize(
    ("ill", "nodes", "npus", "expected", "text"),
    [
        ({"import_error": "libascend_hal.so: cannot open shared object file"}, 1, 1, ("failed", "not run"), "libascend_hal.so"),
        ({}, 0, 1, ("failed", "not run"), "torch_npu sees 0 NPUs, and the service has 1"),
        ({"dies_on": 0}, 1, 1, ("failed", "not run"), "NPU 0: its process ended with signal 11"),
        ({"wrong_on": 1}, 2, 2, ("passed", "failed"), "rank 1: ArithmeticError"),
    ],
)  # fmt: skip
def test_a_sick_host(tmp_path, ill, nodes, npus, expected, text):
    ((code, result, output),) = run(tmp_path, ill, npus=npus, nodes=nodes)
    assert (code, states(result)) == (1, expected), output
    assert text in result["npus"]["text"] + result["collective"]["text"]


def test_an_image_without_torch_npu(tmp_path):
    ((code, result, output),) = run(tmp_path, {}, torch_npu=tmp_path)
    assert (code, states(result)) == (1, ("not run", "not run")), output
    assert "there is no module torch_npu" in result["npus"]["text"]
