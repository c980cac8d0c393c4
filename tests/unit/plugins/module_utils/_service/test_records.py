# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, records, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

UP, DOWN, ENDED = (
    {"Running": running, "ExitCode": code} for running, code in ((True, 0), (False, 1), (False, 0))
)
STOPPED = "[supervisor] stopping: vLLM on host 0 exited with code 1"
OUT_OF_MEMORY = "RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB"
REFERS = "WARNING 11-25 04:00:00 [x.py:1] Rectify the fault based on the error information in the ascend log."


@pytest.mark.parametrize(
    ("lines", "state", "needed"),
    [
        ([], UP, False),
        ([], DOWN, True),
        ([], ENDED, False),
        (["starting"], {"Running": True, "ExitCode": 1}, False),
        ([STOPPED], UP, True),
        ([OUT_OF_MEMORY], UP, False),
        ([OUT_OF_MEMORY, STOPPED], DOWN, False),
        ([REFERS], UP, True),
        ([REFERS.replace("WARNING", "INFO")], UP, False),
        (["WARNING 11-25 04:00:00 [x.py:1] all is well"], UP, False),
    ],
)
def test_when_the_log_of_the_npus_is_needed(lines: list[str], state: dict[str, Any], needed: bool):
    text = "\n".join(f"2026-11-25T04:00:0{second}.0Z {line}" for second, line in enumerate(lines))
    assert records.needs_npu_log(text, state) is needed


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        (None, "/root/ascend/log"),
        ([], "/root/ascend/log"),
        (["PATH=/bin", "ASCEND_PROCESS_LOG_PATH="], "/root/ascend/log"),
        (["ASCEND_PROCESS_LOG_PATH=/var/npu=1"], "/var/npu=1"),
    ],
)
def test_the_folder_of_the_npus_log(variables: list[str] | None, folder: str):
    assert records.npu_log_folder({"Config": {"Env": variables}}, "/root/ascend/log") == folder


STARTED, BEFORE, AFTER = (f"2026-11-25T04:00:0{second}.5Z" for second in (2, 1, 3))


def facts(container: Any, errors: Any = (), role: str = "head") -> dict[str, Any]:
    return {
        "vllm_plan": {"role": role},
        records.RECORDS: {"container": container, "errors": list(errors)},
    }


def container(running: bool, killed: bool = False) -> dict[str, Any]:
    state = {
        "Running": running, "OOMKilled": killed, "Status": "exited", "ExitCode": 137, "FinishedAt": AFTER,
        "StartedAt": STARTED,
    }  # fmt: skip
    return {"State": state, "RestartCount": 3}


def test_a_host_without_records_or_without_a_container():
    without = {"vllm_plan": None, records.RECORDS: None}
    assert records.host("node0", without, [])[1:4] == ("?", "unreachable", None)
    assert records.host("node0", facts(None), [])[1:4] == ("head", "absent", None)
    assert records.host("node0", facts(None, ["no Docker", "no log"]), []).state == "no Docker; no log"


@pytest.mark.parametrize(("killed", "more"), [(False, ""), (True, ", killed for lack of memory")])
def test_the_state_of_a_container(killed: bool, more: str):
    running = records.host("node0", facts(container(True, killed)), [])
    assert running.state == f"up since 2026-11-25T04:00:02Z, 3 restarts{more}"
    ended = records.host("node0", facts(container(False, killed)), [])
    assert ended.state == f"exited with 137 at 2026-11-25T04:00:03Z{more}"
    assert ended.log is None


def test_the_log_of_a_host_is_that_of_its_present_run():
    log = [
        Line("before", vllm_log.epoch(BEFORE)),
        Line("without a time"),
        Line("begins", vllm_log.epoch(STARTED)),
        Line("after", vllm_log.epoch(AFTER)),
    ]
    found = records.host("node0", facts(container(True)), log)
    assert found.log is not None
    assert [line.text for line in found.log] == ["without a time", "begins", "after"]


def test_a_stop_on_purpose_has_its_time():
    text = f"{BEFORE} [supervisor] stopping: got SIGTERM"
    log = vllm_log.lines_of(text)
    found = records.host("node0", facts(container(False)), log)
    assert found.stopped == diagnosis.planned_stop(log)


def test_what_is_selected_has_no_texts_of_patches():
    patch = {"set": "glm47", "fixes": ["a"], "dir": "/p", "digest": "0", "exercise": "a long text"}
    plan = {"role": "head", "patch": patch}
    selected = records.select({"vllm_plan": plan, "other": 1, "vllm_npu": {"chips": []}})
    assert selected["vllm_plan"]["patch"] == {key: patch[key] for key in records.PATCH_KEYS}
    assert selected["vllm_npu"] == {"chips": []}
    assert selected[records.RECORDS] is None
    assert "other" not in selected
    assert records.select({"vllm_plan": {"patch": None}})["vllm_plan"] == {"patch": None}


def test_a_bundle_has_a_file_for_each_fact_and_log():
    gathered = {
        "container": {"Id": "0a"},
        "log": "L",
        "npu_log": "N",
        "kernel": "K",
        "errors": ["one", "two"],
    }
    selected = records.select({"vllm_plan": {"patch": None}, records.RECORDS: gathered})
    result = {"verdict": "All is well.", "findings": []}
    files = dict(records.files({"node0": selected, "node1": records.select({})}, result, {"python": "3.11"}))
    assert files["verdict.txt"] == "All is well.\n"
    assert {name: json.loads(files[name]) for name in files if name.endswith(".json")} == {
        "findings.json": [],
        "versions.json": {"python": "3.11"},
        "node0/vllm_plan.json": {"patch": None},
        "node0/container.json": {"Id": "0a"},
    }
    assert files["node0/errors.txt"] == "one\ntwo"
    assert [files[f"node0/{name}.log"] for name in ("container", "npu", "kernel")] == ["L", "N", "K"]
    assert not [name for name in files if name.startswith("node1")]


ERROR = "[ERROR] HCCL(1,):2026-11-25-04:00:0{}.000.000 [a.cc:1] it failed"


def test_errors_of_the_npus_are_those_of_its_logs_by_their_times():
    late, early = ERROR.format(3), ERROR.format(1)
    files = {
        "log/debug/plog/plog-1_1.log": f"{late}\n[EVENT] no error\n",
        "run/plog/plog-2_1.log": early,
        "debug/device-0/device-1_1.log": ERROR.format(2),
        "debug/plog/plog-1_1.txt": ERROR.format(2),
    }
    expected = sorted([early, late, "[EVENT] no error"], key=lambda line: vllm_log.npu_time(line) or 0)
    assert records.npu_errors(files) == [line for line in expected if vllm_log.npu_time(line) is not None]


def test_lines_of_other_logs_are_put_between_those_of_the_container():
    gathered = {"log": f"{BEFORE} begins\n{AFTER} ends", "npu_log": ERROR.format(2), "kernel": ""}
    texts = [line.text for line in records.lines({records.RECORDS: gathered})]
    assert (texts[0], texts[2]) == ("begins", "ends")
    assert "it failed" in texts[1]
    gathered["log"] = f"{AFTER} begins"
    assert [line.text for line in records.lines({records.RECORDS: gathered})] == ["begins"]
    assert records.lines({records.RECORDS: None}) == []
