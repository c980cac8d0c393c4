# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of module_utils/_host/background.py: poll the work on a host and print its progress."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.progress import progress
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._place import located, place

FIRST_SECONDS = 2  # of the first poll, before the first line of progress
POLL_SECONDS = 5  # of each further poll: how much longer than its lease the work may go on after Ansible has
# ended. Below background.ORPHAN_SECONDS.
LOST_SECONDS = 300  # without a connection to the host, before the task ends. Below background.LEASE_SECONDS.
RECONNECT_SECONDS = 5  # between two tries
SHOW_SECONDS = 30  # between two lines of progress of a host within one stage

display = Display()


class PollingAction(ActionBase):
    """An action for a module with long work.

    The module takes ``_run`` and ``_wait``, and until its work has ended it returns ``running`` and its progress.
    """

    _supports_check_mode = True

    def _poll(
        self,
        module: str,
        arguments: dict[str, Any],
        task_vars: dict[str, Any],
        only_to_begin: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return what the module returns when its work has ended. A problem in it gets its host and stage.

        The arguments *only_to_begin* are passed with the first call only.
        """
        self._host = self._task.delegate_to or task_vars["inventory_hostname"]
        self._shown = (time.monotonic(), 0)
        self._stage = ""
        self._lost_since: float | None = None
        arguments = dict(arguments, _run=secrets.token_hex(8), _wait=FIRST_SECONDS)
        ansible = os.getppid()
        while os.getppid() == ansible:
            try:
                result = self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
            except AnsibleConnectionFailure as error:
                if arguments["_wait"] == FIRST_SECONDS:  # perhaps nothing has begun
                    raise
                self._endure(error)
                continue
            self._lost_since = None
            if not result.get("running"):
                return located(result, place(self._task, self._host))
            arguments = {name: value for name, value in arguments.items() if name not in only_to_begin}
            arguments["_wait"] = POLL_SECONDS
            if "stage" in result:
                self._show(result["stage"], result["done"], result["all"])
        raise AnsibleActionFail(
            "Ansible was ended. The work on the host continues for the time of its lease."
        )

    def _endure(self, error: AnsibleConnectionFailure) -> None:
        """Wait a little for a lost connection to come back. Raises *error* if that has taken too long."""
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            display.warning(f"{self._host} cannot be reached, trying for {LOST_SECONDS} s: {error}")
        if now - self._lost_since >= LOST_SECONDS:
            raise error
        self._connection.reset()
        time.sleep(RECONNECT_SECONDS)

    def _show(self, stage: str, done: int, all_bytes: int | None) -> None:
        """Print the progress of the host, at most every SHOW_SECONDS or when a stage begins."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, rate = stage, 0.0
        elif now - self._shown[0] < SHOW_SECONDS:
            return
        else:
            rate = (done - self._shown[1]) / (now - self._shown[0])
        self._shown = (now, done)
        display.display(f"{self._host}: {progress(stage, done, all_bytes, rate)}")
