# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the facts of a host, as modules have gathered them, show about the service."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.diagnosis import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import CAUSE
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

RECORDS = "vllm_records"
OTHER_FACTS = ("vllm_plan", "vllm_host_facts", "vllm_npu", "vllm_image_content")
NPU_LOG_VARIABLE = "ASCEND_PROCESS_LOG_PATH"
NPU_LOG_FILE = re.compile(r"(?:^|/)(?:debug|run)/plog/plog-[^/]*\.log$")
SEE_NPU_LOG = re.compile(r"\bplog\b|\bascend log\b", re.I)  # torch_npu says the latter with an error
PATCH_KEYS = ("set", "fixes", "dir", "digest")


def select(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the diagnosis uses, None for those that are missing, without the patches' texts."""
    selected = {name: facts.get(name) for name in (*OTHER_FACTS, RECORDS)}
    plan = selected["vllm_plan"]
    if plan and plan["patch"]:
        patch = {key: value for key, value in plan["patch"].items() if key in PATCH_KEYS}
        selected["vllm_plan"] = {**plan, "patch": patch}
    return selected


def lines(facts: Mapping[str, Any]) -> list[Line]:
    """Return the lines of the container's log and, in between, CANN's errors and the kernel's messages since it begins."""
    records = facts[RECORDS]
    if not records:
        return []
    log = vllm_log.lines_of(records["log"])
    begin = next((line.at for line in log if line.at is not None), time.time())
    others = vllm_log.kernel_lines(records["kernel"]) + vllm_log.npu_lines(records["npu_log"])
    later = [line for line in others if (line.at or 0) >= begin]
    return sorted(log + later, key=lambda line: line.at or 0) if later else log


def needs_npu_log(log: str, state: Mapping[str, Any]) -> bool:
    """Return whether the container's log leaves open why the service failed. A service that works has CANN's errors, too."""
    lines = vllm_log.lines_of(log)
    fatal = [one for one in diagnosis.findings("", lines) if one.severity == diagnosis.FATAL]
    if any(one.kind == CAUSE for one in fatal):
        return False
    crashed = not state["Running"] and state["ExitCode"] != 0
    refers = any(line.level not in vllm_log.QUIET and SEE_NPU_LOG.search(line.text) for line in lines)
    return bool(fatal) or crashed or refers


def npu_log_folder(container: Mapping[str, Any], default: str) -> str:
    """Return the folder of CANN's logs in a container."""
    variables = dict(entry.partition("=")[::2] for entry in container["Config"].get("Env") or [])
    return variables.get(NPU_LOG_VARIABLE) or default


def npu_errors(files: Mapping[str, str]) -> list[str]:
    """Return the errors in CANN's logs, in the order of their times. Each file is the log of one process."""
    found = [
        line
        for path, text in files.items()
        if NPU_LOG_FILE.search(path)
        for line in text.splitlines()
        if vllm_log.npu_time(line) is not None
    ]
    return sorted(found, key=lambda line: vllm_log.npu_time(line) or 0)


def host(name: str, facts: Mapping[str, Any], log: list[Line]) -> Host:
    """Return the state of a host's container, and the log of its current run."""
    role = facts["vllm_plan"]["role"] if facts["vllm_plan"] else "?"
    records = facts[RECORDS]
    if not records:
        return Host(name, role, "unreachable", None)
    container = records["container"]
    if not container:
        return Host(name, role, "; ".join(records["errors"]) or "absent", None)
    state = container["State"]
    killed = ", killed for lack of memory" if state["OOMKilled"] else ""
    if not state["Running"]:
        stopped = f"{state['Status']} with {state['ExitCode']} at {state['FinishedAt'][:19]}Z{killed}"
        return Host(name, role, stopped, None, diagnosis.planned_stop(log))
    since = vllm_log.epoch(state["StartedAt"]) or 0
    running = f"up since {state['StartedAt'][:19]}Z, {container['RestartCount']} restarts{killed}"
    return Host(name, role, running, [line for line in log if (line.at or since) >= since])


def files(
    facts: Mapping[str, Mapping[str, Any]], result: Mapping[str, Any], versions: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file of the support bundle."""
    yield "verdict.txt", result["verdict"] + "\n"
    yield "findings.json", _json(result["findings"])
    yield "versions.json", _json(versions)
    for name, selected in facts.items():
        for fact in OTHER_FACTS:
            if selected[fact]:
                yield f"{name}/{fact}.json", _json(selected[fact])
        records = selected[RECORDS]
        if records:
            yield f"{name}/container.json", _json(records["container"])
            yield f"{name}/container.log", records["log"]
            yield f"{name}/npu.log", records["npu_log"]
            yield f"{name}/kernel.log", records["kernel"]
            yield f"{name}/errors.txt", "\n".join(records["errors"])


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
