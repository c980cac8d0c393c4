# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the smoke test has found: roles/container/files/smoke_test.py, which ran on all hosts at the same time."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.checks import SMOKE_TEST
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, records, vllm_log

NPUS, COLLECTIVE = SMOKE_TEST
RESULT = re.compile(r"\[smoke test\] result: (\{.*\})$", re.M)
SEVERITIES = {"failed": FAIL, "not run": WARN}
PARTS = {
    NPUS: (
        "NPUs",
        "each NPU of vllm_npu_ids adds two tensors in the container",
        "Compare driver, firmware and chips with what the image needs (npu-smi info on the host; vllm_image)",
    ),
    COLLECTIVE: (
        "collective",
        "an all-reduce and an all-to-all over the NPUs of all hosts",
        "Check the RoCE ports of all hosts (playbooks/preflight.yml, preflight_pings: full), and their firewalls",
    ),
}
Facts = Mapping[str, Any]  # of a host, as records.select returns them


def findings(hosts: Mapping[str, Facts]) -> list[Finding]:
    """Return what the smoke test has found on *hosts*, the service's in this run."""
    logs = {name: records.lines(facts) for name, facts in hosts.items()}
    results = {name: result(facts) for name, facts in hosts.items()}
    found = [one for name in hosts for one in _npus(name, results[name], logs[name], hosts[name])]
    exchanged = {name: parts["collective"] for name, parts in results.items() if parts}
    failed = {name: part["text"] for name, part in exchanged.items() if part["state"] == "failed"}
    return found + (_collective(failed, logs) if failed else [])


def result(facts: Facts) -> dict[str, Any] | None:
    """Return the result of both parts on a host; None if the test did not come to its end."""
    texts = RESULT.findall((facts[records.RECORDS] or {}).get("log", ""))
    return dict(json.loads(texts[-1])) if texts else None


def summary(hosts: Mapping[str, Facts]) -> str:
    """Return a line about hosts without findings."""
    text = next((parts["collective"]["text"] for parts in map(result, hosts.values()) if parts), "")
    return f"{', '.join(hosts)}: the smoke test has passed ({text})"


def _npus(
    name: str, parts: Mapping[str, Any] | None, log: Sequence[vllm_log.Line], facts: Facts
) -> list[Finding]:
    if parts is None:
        state = records.host(name, facts, list(log)).state
        last = next((line.text for line in reversed(log) if line.text), "nothing")
        return [_finding(NPUS, WARN, name, f"without a result ({state}); its last line: {last}", {name: log})]
    severity = SEVERITIES.get(parts["npus"]["state"])
    return [_finding(NPUS, severity, name, parts["npus"]["text"], {name: log})] if severity else []


def _collective(failed: Mapping[str, str], logs: Mapping[str, Sequence[vllm_log.Line]]) -> list[Finding]:
    """Return one finding, on the host with the first cause: the others only notice that it does not answer."""
    cause = _cause(logs)
    host = cause.host if cause else next(iter(failed))
    texts = "; ".join(f"{name}: {text}" for name, text in failed.items())
    return [_finding(COLLECTIVE, FAIL, host, texts, logs)]


def _cause(logs: Mapping[str, Sequence[vllm_log.Line]]) -> diagnosis.Finding | None:
    """Return the first cause or trace that the logs show, if a signature knows it."""
    fatal = [one for one in diagnosis.diagnose(logs) if one.severity == diagnosis.FATAL]
    return next((one for one in fatal if one.id != "unknown_exception"), None)


def _finding(
    check: str, severity: str, host: str, text: str, logs: Mapping[str, Sequence[vllm_log.Line]]
) -> Finding:
    part, expected, remedy = PARTS[check]
    cause = _cause(logs)
    state = "could not run" if severity == WARN else "failed"
    found = f"the smoke test ({part}) {state}: {text}"
    if cause:
        found, remedy = f"{found}. {cause.cause[0].upper()}{cause.cause[1:]}", cause.remedy
    return Finding(check, severity, host, Problem(found.rstrip(". "), expected, remedy))
