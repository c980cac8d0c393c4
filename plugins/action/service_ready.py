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
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.diagnosis import Finding
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._place import located, place
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._polling import SHOW_SECONDS

MODULE = "ascend_ops.vllm.service_ready"
TIMEOUT = 3600
SLICE_SECONDS = 4  # of waiting for each run of the module: how soon a failure on another host is seen
CAUSE_SECONDS = 4  # that a host which saw only a trace waits for the cause from another host
UNREACHABLE_SECONDS = 120  # without news of the host before the wait ends: it only reads
RETRY_SECONDS = 2
UNREACHABLE = "unreachable"  # in the place of a stage
SSH_RETRIES = "reconnection_retries"  # option of the connection
PROGRESS_SECONDS = 900  # without progress on any host before a wait that has taken its time ends
EXPECTED = "the service starts on all hosts"

display = Display()


class Reports:
    """What the hosts of a task tell each other: their failures and their progress, in files of each host.

    Each host's task runs in a fork of its own, and Ansible has no way to pass data between forks before the
    task has ended on all hosts. So they use the temporary folder that Ansible makes for the run and removes
    afterwards.
    """

    def __init__(self, task: str) -> None:
        self._folder = Path(C.DEFAULT_LOCAL_TMP, f"service_ready_{task}")

    def report(self, host: str, found: str, findings: list[dict[str, Any]]) -> None:
        """Tell the other hosts about a failure."""
        self._write(host, "failed", {"host": host, "found": found, "findings": findings})

    def report_progress(self, host: str) -> None:
        """Tell the other hosts that this one gets further."""
        self._write(host, "progress", {})

    def failures(self) -> list[dict[str, Any]]:
        """Return the failures so far, the earliest first, also where the controller's clock was set meanwhile."""
        return sorted(self._read("failed"), key=lambda one: float(one["at"]))

    def progressed(self) -> float:
        """Return when a host last got further, by time.monotonic()."""
        return max((float(one["at"]) for one in self._read("progress")), default=0.0)

    def _write(self, host: str, kind: str, report: dict[str, Any]) -> None:
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f"{host}.part"
        part.write_text(json.dumps({"at": time.monotonic(), **report}), encoding="utf-8")
        part.rename(part.with_suffix(f".{kind}"))

    def _read(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(file.read_text(encoding="utf-8")) for file in self._folder.glob(f"*.{kind}")]

    def first_cause(self, seconds: float) -> Finding | None:
        """Return the first cause over all hosts, or the best finding if no cause is reported in time."""
        deadline = time.monotonic() + seconds
        while True:
            findings = (
                Finding(**{**finding, "host": failed["host"]})
                for failed in self.failures()
                for finding in failed["findings"]
            )
            first = next(iter(diagnosis.sort_findings(findings)), None)
            if time.monotonic() >= deadline or (first and first.is_cause):
                return first
            time.sleep(0.2)


class ActionModule(ActionBase):
    """Waits in slices, to print each host's stage, and to end the wait on all hosts when one has failed.

    A wait that has taken its time goes on while a host gets further: the hosts may load at different speeds.
    """

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host: str = task_vars["inventory_hostname"]
        self._shown: tuple[str, str, float] = ("", "", 0.0)
        self._reached: tuple[str, str] | None = None
        self._started: str | None = self._task.args.get("since")
        self._silent_since: float | None = None
        if self._connection.has_option(SSH_RETRIES):
            self._connection.set_option(SSH_RETRIES, 0)  # this action tries again, and says so
        reports = Reports(self._task._uuid)
        timeout = self._timeout()
        deadline = time.monotonic() + timeout
        longer = min(timeout, PROGRESS_SECONDS)
        while True:
            left = max(0, deadline - time.monotonic())
            result = self._wait(min(left, SLICE_SECONDS), reports, task_vars)
            if not result.get("failed"):
                return located(result, place(self._task, self._host))
            if not result.get("died") and self._gets_further(result):
                reports.report_progress(self._host)
            was_last = left <= SLICE_SECONDS
            if was_last and reports.progressed() + longer - time.monotonic() > SLICE_SECONDS:
                deadline, was_last = reports.progressed() + longer, False
            if was_last or result.get("died") or result.get("unread") or "ready" not in result:
                reports.report(self._host, found(result), result.get("findings", []))
                seconds = CAUSE_SECONDS if result.get("died") else 0
                return self._explained(result, reports.first_cause(seconds))
            if reports.failures():
                other = reports.failures()[0]
                return self._explained(abandoned(result, other), reports.first_cause(CAUSE_SECONDS))
            self._show(result["stage"], result["progress"])

    def _timeout(self) -> int:
        given = self._task.args.get("timeout", TIMEOUT)
        try:
            return check_type_int(given)
        except TypeError as error:
            raise AnsibleActionFail(f"timeout is {given!r}, expected a number of seconds") from error

    def _gets_further(self, result: dict[str, Any]) -> bool:
        """Return whether the start has got further since the last slice in which the host could be reached."""
        if result.get("stage") in (None, UNREACHABLE):
            return False
        before, self._reached = self._reached, (result["stage"], result["progress"])
        return before not in (None, self._reached)

    def _wait(self, seconds: float, reports: Reports, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Return the result of a slice. A container that restarts between two slices is noticed in the next."""
        arguments = dict(self._task.args, timeout=int(seconds))
        if self._started:
            arguments["since"] = self._started
        try:
            result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return self._unreachable(error, reports)
        if result.get("unread"):
            return self._unread(result)
        self._silent_since = None
        self._started = self._started or result.get("started")
        return result

    def _unreachable(self, error: AnsibleConnectionFailure, reports: Reports) -> dict[str, Any]:
        """Return a slice in which the host could not be reached. Raises *error* when that has lasted too long.

        A lost connection is no failure of the service.
        """
        if self._silent_for_long(f"{self._host} cannot be reached: {error}"):
            reports.report(self._host, f"no connection for {UNREACHABLE_SECONDS} s: {error}", [])
            raise error
        self._connection.reset()
        problem = Problem("the host cannot be reached", EXPECTED, "Check the SSH connection to the host")
        return self._silent("cannot be reached", failure(problem))

    def _unread(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a slice in which Docker did not answer, a failure only when that has lasted too long.

        Where live-restore is set, containers outlive a restart of the daemon.
        """
        if self._silent_for_long(f"{self._host}: {found(result)}"):
            return result
        return self._silent("Docker does not answer", {**result, "unread": False})

    def _silent_for_long(self, news: str) -> bool:
        """Return whether there has been no news of the host for too long. Warn at the beginning."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            display.warning(f"{news}. Trying for {UNREACHABLE_SECONDS} s.")
        return now - self._silent_since >= UNREACHABLE_SECONDS

    def _silent(self, progress: str, result: dict[str, Any]) -> dict[str, Any]:
        """Return a slice without news of the host, after a pause."""
        time.sleep(RETRY_SECONDS)
        return {**result, "failed": True, "ready": False, "stage": UNREACHABLE, "progress": progress}

    def _explained(self, result: dict[str, Any], first: Finding | None) -> dict[str, Any]:
        """Return the result with the first cause over all hosts.

        A cause on another host replaces its trace on this one.
        """
        where = place(self._task, self._host)
        if first:
            result["cause"] = dict(first.data(), host=first.host)
        if first and first.is_cause and first.host != self._host:
            where, own = place(self._task, first.host), found(result)
            result.pop("exception", None)  # or Ansible shows the message of the module before this one
            result.update(failure(Problem(first.cause, EXPECTED, first.remedy)))
            result["msg"] += f"\nLine: {first.line}\nOn host {self._host}: {own}."
        return located(result, where)

    def _show(self, stage: str, progress: str) -> None:
        """Print the progress of the host if it has changed."""
        now = time.monotonic()
        old_stage, old_progress, at = self._shown
        if stage != old_stage or (progress != old_progress and now - at >= SHOW_SECONDS):
            display.display(f"{self._host}: {progress}")
            self._shown = (stage, progress, now)


def found(result: dict[str, Any]) -> str:
    """Return what a failed module found, in one line."""
    if "problem" in result:
        return str(result["problem"]["found"])
    return next(iter(str(result.get("msg", "")).splitlines()), "the module failed without a message")


def abandoned(result: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a wait that ends because another host has failed."""
    text = f"the wait ended on host {other['host']}: {other['found']}"
    return {**result, **failure(Problem(text, EXPECTED, f"Look at host {other['host']}"))}
