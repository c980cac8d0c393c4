# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the logs of the smoke test's containers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks, smoke_test

PASSED = {"state": "passed", "text": "16 NPUs in 3.1 s"}
EI0006 = (
    "RuntimeError: createHCCLComm:build/CMakeFiles/torch_npu, error code is 6 EI0006: Getting socket times out. "
    "Reason: Remote Rank did not send the data in time."
)
DEVICE = "RuntimeError: SetDevice:torch_npu/csrc, error code is 507033"


def failed(text: str) -> dict[str, str]:
    return {"state": "failed", "text": text}


def not_run(text: str) -> dict[str, str]:
    return {"state": "not run", "text": text}


def host(*lines: str, npus: Any = PASSED, collective: Any = PASSED, result: bool = True) -> dict[str, Any]:
    """Return the facts of a host on which the container has printed this."""
    if result:
        lines += ("[smoke test] result: " + json.dumps({"npus": npus, "collective": collective}),)
    log = "\n".join(f"2026-11-25T04:00:{second:02}.0Z {line}" for second, line in enumerate(lines))
    state = {
        "Running": False,
        "Status": "exited",
        "ExitCode": 1,
        "OOMKilled": False,
        "FinishedAt": "2026-11-25T04:01:00Z",
    }
    records = {"container": {"State": state}, "log": log, "npu_log": "", "kernel": "", "errors": []}
    return {"vllm_plan": {"role": "head"}, "vllm_records": records}


def traceback(error: str) -> tuple[str, ...]:
    return ("Traceback (most recent call last):", '  File "smoke_test.py", line 1, in add', error)


def findings(**hosts: Any) -> list[tuple[str, str, str]]:
    return [(one.host, one.id, one.severity) for one in smoke_test.findings(hosts)]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([host(), host()], []),
        ([host(npus=failed(DEVICE), collective=not_run("")), host(collective=not_run(""))], [("node0", "smoke_npus", "fail")]),
        ([host(npus=not_run("there is no module torch_npu"), collective=not_run("")), host()], [("node0", "smoke_npus", "warn")]),
        ([host("killed", result=False), host()], [("node0", "smoke_npus", "warn")]),
        ([host(collective=failed("rank 0: no answer")), host(collective=failed("rank 8: no answer"))], [("node0", "smoke_collective", "fail")]),
        ([host(collective=failed("rank 0: no answer")), host(*traceback(DEVICE), collective=failed("rank 8"))], [("node1", "smoke_collective", "fail")]),
    ],
)  # fmt: skip
def test_what_is_found(nodes, expected):
    assert findings(node0=nodes[0], node1=nodes[1]) == expected


def test_hosts_that_passed_are_told_with_what_the_npus_did_together():
    told = smoke_test.summary({"node0": host(result=False), "node1": host()})
    assert told.startswith("node0, node1: ")
    assert "16 NPUs in 3.1 s" in told


@pytest.mark.parametrize(("part", "told"), [(failed("x"), "failed: x"), (not_run("x"), "could not run: x")])
def test_what_could_not_run_has_not_failed(part, told):
    (one,) = smoke_test.findings({"node0": host(npus=part, collective=not_run(""))})
    assert one.problem.found.endswith(told)


def test_the_first_cause_is_told_with_its_remedy():
    later = host("waiting", "waiting", *traceback(EI0006), collective=failed("rank 0: " + EI0006))
    (one,) = smoke_test.findings(
        {"node0": later, "node1": host(*traceback(DEVICE), collective=failed("rank 8"))}
    )
    assert one.host == "node1"
    assert "507033" in one.problem.found
    assert "node0: rank 0: RuntimeError" in one.problem.found
    assert one.problem.remedy != smoke_test.PARTS[smoke_test.COLLECTIVE][2]


def test_a_failure_that_no_signature_knows_has_the_programs_own_text():
    error = "ArithmeticError: the all-reduce on rank 3 gave a wrong result"
    (one,) = smoke_test.findings({"node0": host(*traceback(error), collective=failed(f"rank 3: {error}"))})
    assert error in one.problem.found
    assert one.problem.remedy == smoke_test.PARTS[smoke_test.COLLECTIVE][2]


def test_a_container_that_was_never_there():
    facts = {"vllm_plan": {"role": "head"}, "vllm_records": None}
    assert findings(node0=facts) == [("node0", "smoke_npus", "warn")]


@pytest.mark.parametrize(("lines", "last"), [((), "nothing"), (("first", "killed"), "killed")])
def test_without_a_result_the_last_line_is_told(lines, last):
    (one,) = smoke_test.findings({"node0": host(*lines, result=False)})
    assert one.problem.found.endswith(f"; its last line: {last}")


def test_its_ids_can_be_accepted():
    checks.require_ids({"node0": checks.SMOKE_TEST})
    assert checks.accept_problem(["smoke_npu"]).remedy == "correct smoke_npu to smoke_npus"
