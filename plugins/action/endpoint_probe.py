# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.validation import check_type_int
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis

MODULE = "ascend_ops.vllm.endpoint_probe"
SLICE_SECONDS = 4  # of waiting per run of the module: how soon a failure on another host is seen
CAUSE_SECONDS = 4  # that a host which saw only another's end waits for that one to tell why
SHOW_SECONDS = 30  # between two lines about the progress within one stage

display = Display()


class Failures:
    """What failed on which host, told among the hosts of a task: one file a host, in a folder that Ansible makes for the run and removes after it."""

    def __init__(self, task: str) -> None:
        self._folder = Path(C.DEFAULT_LOCAL_TMP, f"endpoint_probe_{task}")

    def tell(self, host: str, msg: str, findings: list[dict[str, Any]]) -> None:
        """Let the other hosts know."""
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f"{host}.part"
        part.write_text(
            json.dumps({"host": host, "msg": msg.splitlines()[0], "findings": findings}), encoding="utf-8"
        )
        part.rename(part.with_suffix(".json"))

    def known(self) -> list[dict[str, Any]]:
        """Return what the hosts told so far, the earliest first."""
        files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def first(self, seconds: float) -> diagnosis.Finding | None:
        """Return the first cause over all hosts, or what comes nearest to one if none is told within some seconds."""
        deadline = time.monotonic() + seconds
        while True:
            told = [
                diagnosis.Finding(**{**finding, "host": failure["host"]})
                for failure in self.known()
                for finding in failure["findings"]
            ]
            first = next(iter(diagnosis.sort_findings(told)), None)
            if time.monotonic() >= deadline or (first and is_cause(first)):
                return first
            time.sleep(0.2)


def is_cause(finding: diagnosis.Finding) -> bool:
    """Whether it is a reason for the failure, and not a trace of one."""
    return (finding.kind, finding.severity) == (diagnosis.CAUSE, diagnosis.FATAL)


class ActionModule(ActionBase):
    """Waits in slices, so that a person sees each host's stage, and that all hosts stop waiting when one has failed, with its cause."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host = task_vars["inventory_hostname"]
        self._shown: tuple[str, str, float] = ("", "", 0.0)
        failures = Failures(self._task._uuid)
        deadline = time.monotonic() + self._wait()
        while True:
            left = max(0, deadline - time.monotonic())
            try:
                result = self._execute_module(
                    module_name=MODULE,
                    module_args=dict(self._task.args, wait=int(min(left, SLICE_SECONDS))),
                    task_vars=task_vars,
                )
            except AnsibleConnectionFailure as exc:
                failures.tell(self._host, f"the host cannot be reached any more: {exc}", [])
                raise
            if not result.get("failed") or result.get("ready"):
                return result
            if left <= SLICE_SECONDS or result.get("died") or "ready" not in result:
                failures.tell(self._host, result["msg"], result.get("findings", []))
                return self._explained(result, failures, CAUSE_SECONDS if result.get("died") else 0)
            if failures.known():
                result["msg"] = "No longer waited for {}, as the service failed on host {host}: {msg}".format(
                    self._task.args["url"], **failures.known()[0]
                )
                return self._explained(result, failures, CAUSE_SECONDS)
            self._show(result["stage"], result["progress"])

    def _wait(self) -> int:
        try:
            return check_type_int(self._task.args.get("wait", 0))
        except TypeError as exc:
            raise AnsibleActionFail(
                f"wait is {self._task.args['wait']!r}, wanted a number of seconds"
            ) from exc

    def _explained(self, result: dict[str, Any], failures: Failures, seconds: float) -> dict[str, Any]:
        """Return the result with the cause from another host, if that is told in time, in the place of its traces on this one."""
        first = failures.first(seconds)
        if first:
            result["cause"] = dict(first.data(), host=first.host)
        if first and is_cause(first) and first.host != self._host:
            said = result["msg"].splitlines()[0]
            result.pop("exception", None)  # or Ansible shows the module's message as well, before this one
            result["msg"] = (
                f"The service failed on host {first.host}. Cause: {first.cause}. {first.remedy}.\nLine: {first.line}\nHere, on host {self._host}: {said}"
            )
        return result

    def _show(self, stage: str, progress: str) -> None:
        """Print the progress of the host if there is news."""
        now = time.monotonic()
        old_stage, old_progress, at = self._shown
        if stage != old_stage or (progress != old_progress and now - at >= SHOW_SECONDS):
            display.display(f"{self._host}: {progress}")
            self._shown = (stage, progress, now)
