# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of a container, with a stand-in for torch; `make parsers` has it with the real one."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch_standin
from ports import free_port
from programs import PROGRAMS, load

PROGRAM = PROGRAMS / "smoke_test.py"
smoke_test = load(PROGRAM)


def run(
    folder: Path, *ills: dict[str, Any], npus: int = 1, with_npu: bool = True
) -> list[tuple[int, dict[str, Any]]]:
    """Run it for one host for each of *ills*, and return exit code and result of each."""
    torch_standin.write(folder / "packages", with_npu)
    paths = os.pathsep.join([str(folder / "packages"), os.environ.get("PYTHONPATH", "")])
    port, started = free_port(), []
    for number, ill in enumerate(ills):
        options = {"npus": npus, "host": number, "hosts": len(ills), "head": "head", "port": port}
        more = {
            "PYTHONPATH": paths,
            "TORCH_ILLS": json.dumps({"npus": npus, **ill}),
            "TORCH_STORE": str(folder),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, PROGRAM, *(f"--{name}={value}" for name, value in options.items())],
                env={**os.environ, **more},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
    outputs = [process.communicate(timeout=120)[0] for process in started]
    return [
        (process.returncode, json.loads(output.rpartition("[smoke test] result: ")[2]))
        for process, output in zip(started, outputs, strict=True)
    ]


def states(result: dict[str, Any]) -> tuple[str, str]:
    return result["npus"]["state"], result["collective"]["state"]


def test_one_npu_needs_no_others(tmp_path: Path):
    ((code, result),) = run(tmp_path, {})
    assert (code, states(result)) == (0, ("passed", "passed"))
    assert (result["npus"]["text"], result["collective"]["text"]) == ("1 NPUs", "one NPU")


def test_all_npus_of_all_hosts_compute_together(tmp_path: Path):
    for code, result in run(tmp_path, {}, {}, npus=2):
        assert (code, states(result)) == (0, ("passed", "passed"))
        assert result["collective"]["text"].startswith("4 NPUs in ")


@pytest.mark.parametrize(
    ("ill", "npus", "expected", "text"),
    [
        ({"import_error": "libascend_hal.so"}, 1, ("failed", "not run"), "import of torch_npu: NPU 0: ImportError: libascend_hal.so"),
        ({"needs": "no_such_part_of_cann"}, 1, ("failed", "not run"), "ModuleNotFoundError: No module named 'no_such_part_of_cann'"),
        ({"npus": 0}, 1, ("failed", "not run"), "torch_npu sees 0 NPUs, and the service has 1"),
        ({"add_error": "SetDevice"}, 2, ("failed", "not run"), "NPU 0, NPU 1: RuntimeError: SetDevice"),
        ({"wrong": "add"}, 1, ("failed", "not run"), "NPU 0: ArithmeticError: 1 + 1 gave a wrong result"),
        ({"dies_on": 0}, 1, ("failed", "not run"), "NPU 0: its process ended with signal 11"),
        ({"exits_on": 1}, 2, ("failed", "not run"), "NPU 1: its process ended with exit code 3"),
        ({"wrong": "reduce"}, 2, ("passed", "failed"), "rank 1: ArithmeticError: the all-reduce on rank 1 gave"),
        ({"wrong": "exchange"}, 2, ("passed", "failed"), "rank 0: ArithmeticError: the all-to-all on rank 0 gave"),
    ],
)  # fmt: skip
def test_a_sick_host(tmp_path: Path, ill: dict[str, Any], npus: int, expected: Any, text: str):
    ((code, result),) = run(tmp_path, ill, npus=npus)
    assert (code, states(result)) == (1, expected)
    assert text in result["npus"]["text"] + result["collective"]["text"]
    if expected[0] == "failed":
        assert result["collective"]["text"] == smoke_test.OWN_FAILED


def test_an_image_without_torch_npu_cannot_be_tested(tmp_path: Path):
    ((code, result),) = run(tmp_path, {}, with_npu=False)
    assert (code, states(result)) == (1, ("not run", "not run"))
    assert "there is no module torch_npu" in result["npus"]["text"]


def test_a_host_whose_npus_do_not_work_tells_the_others(tmp_path: Path):
    sick, other = run(tmp_path, {"add_error": "507033"}, {})
    assert (sick[0], states(sick[1])) == (1, ("failed", "not run"))
    assert (other[0], states(other[1])) == (1, ("passed", "not run"))
    assert sick[1]["collective"]["text"] == other[1]["collective"]["text"]
    assert other[1]["collective"]["text"] == "the NPUs of host number 0 did not pass"


# Its parts


def members(count: int) -> tuple[list[Any], list[Any]]:
    """Return members without processes, and the ends of their connections."""
    pipes = [multiprocessing.Pipe() for _number in range(count)]
    process = SimpleNamespace(join=lambda: None, exitcode=-9)
    return [smoke_test.Member(process, ours) for ours, _theirs in pipes], [theirs for _ours, theirs in pipes]


def test_answers_are_in_the_order_of_the_npus():
    all_members, ends = members(3)
    for number in (2, 0, 1):
        ends[number].send("" if number else "no memory")
    assert smoke_test.answers(all_members, 60) == ["no memory", "", ""]
    ends[1].close()
    ends[0].send("")
    ends[2].send("")
    assert smoke_test.answers(all_members, 60) == ["", "its process ended with signal 9", ""]


@pytest.mark.parametrize("problem", ["no memory", ""])
def test_after_a_problem_the_others_have_little_time_left(monkeypatch: pytest.MonkeyPatch, problem: str):
    """Either of an NPU of this host, or of another host."""
    monkeypatch.setattr(smoke_test, "GRACE_SECONDS", 0.2)
    all_members, ends = members(2)
    ends[0].send(problem)
    began = time.monotonic()
    found = smoke_test.answers(all_members, 60, lambda: not problem)
    assert found == [problem, smoke_test.OTHER_FAILED]
    assert time.monotonic() - began < 30


def test_an_npu_that_does_not_answer_is_late():
    all_members, ends = members(2)
    ends[1].send("")
    assert smoke_test.answers(all_members, 0.2) == ["no answer within 0 s", ""]


def test_problems_are_told_once_with_their_npus():
    assert smoke_test.summary(["", "full", "", "full", "lost"], list("abcde")) == "b, d: full; e: lost"
    assert smoke_test.summary([""], ["a"]) == ""


def test_a_long_text_of_an_exception_is_cut():
    assert smoke_test.described(ValueError("x" * 9999)) == ("ValueError: " + "x" * 9999)[: smoke_test.LONGEST]
    assert smoke_test.described(ValueError()) == "ValueError:"


def test_an_image_that_cannot_start_threads_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    assert smoke_test.thread_problem() == ""

    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(smoke_test.threading, "Thread", refuse)
    assert smoke_test.main(["--npus=1", "--host=0", "--hosts=1", "--head=h", "--port=1"]) == 1
    result = json.loads(capsys.readouterr().out.rpartition("result: ")[2])
    assert result["npus"] == {"state": "failed", "text": "RuntimeError: can't start new thread"}
    assert result["collective"]["state"] == "not run"
