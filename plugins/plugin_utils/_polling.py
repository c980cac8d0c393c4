# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of module_utils.detached: looks after work on a host in slices, so that a person sees how far it is."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.progress import progress

FIRST_SECONDS = 2  # of looking after the work on a host before the first line about it
SLICE_SECONDS = 5  # how much longer than its lease the work goes on after Ansible was ended; below detached.ORPHAN_SECONDS
SHOW_SECONDS = 30  # between two lines about a host

display = Display()


class PollingAction(ActionBase):
    """An action whose module takes O(run) and O(wait), and returns C(running) while the work goes on, and how far it is."""

    _supports_check_mode = True

    def _follow(self, module: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what the module returns when its work has ended."""
        self._host = task_vars["inventory_hostname"]
        self._shown = (time.monotonic(), 0)
        self._stage = ""
        arguments = dict(arguments, run=secrets.token_hex(8), wait=FIRST_SECONDS)
        ansible = os.getppid()
        while os.getppid() == ansible:
            result = self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
            if not result.get("running"):
                return result
            arguments["wait"] = SLICE_SECONDS
            if "stage" in result:
                self._show(result["stage"], result["done"], result["all"])
        raise AnsibleActionFail("Ansible was ended; so is the work on the host, before long.")

    def _show(self, stage: str, done: int, all_bytes: int | None) -> None:
        """Print how far the host is, from time to time."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, rate = stage, 0.0
        elif now - self._shown[0] < SHOW_SECONDS:
            return
        else:
            rate = (done - self._shown[1]) / (now - self._shown[0])
        self._shown = (now, done)
        display.display(f"{self._host}: {progress(stage, done, all_bytes, rate)}")
