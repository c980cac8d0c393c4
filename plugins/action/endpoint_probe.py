# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.validation import check_type_int
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "ascend_ops.vllm.endpoint_probe"
SLICE_SECONDS = 4  # of waiting per run of the module: how soon a failure on another host is seen
SHOW_SECONDS = 30  # between two lines about the progress within one stage

display = Display()


class ActionModule(ActionBase):
    """Waits in slices, so that a person sees each host's stage, and that all hosts stop waiting when one has failed."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host = task_vars["inventory_hostname"]
        self._shown: tuple[str, str, float] = ("", "", 0.0)
        # Of this task in this run, and common to its hosts: the folder is made anew for each run, and removed after it.
        failure = Path(C.DEFAULT_LOCAL_TMP, f"endpoint_probe_{self._task._uuid}")
        deadline = time.monotonic() + self._wait()
        while True:
            left = max(0, deadline - time.monotonic())
            arguments = dict(self._task.args, wait=int(min(left, SLICE_SECONDS)))
            result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            if not result.get("failed") or result.get("ready"):
                return result
            if left <= SLICE_SECONDS or result.get("died") or "ready" not in result:
                failure.write_text(f"{self._host}: {result['msg'].splitlines()[0]}", encoding="utf-8")
                return result
            if failure.exists():
                result["msg"] = f"No longer waited for {arguments['url']}, as the service failed on host {failure.read_text(encoding='utf-8')}"
                return result
            self._show(result["stage"], result["progress"])

    def _wait(self) -> int:
        try:
            return check_type_int(self._task.args.get("wait", 0))
        except TypeError as exc:
            raise AnsibleActionFail(f"wait is {self._task.args['wait']!r}, wanted a number of seconds") from exc

    def _show(self, stage: str, progress: str) -> None:
        """Print the progress of the host if there is news."""
        now = time.monotonic()
        old_stage, old_progress, at = self._shown
        if stage != old_stage or (progress != old_progress and now - at >= SHOW_SECONDS):
            display.display(f"{self._host}: {progress}")
            self._shown = (stage, progress, now)
