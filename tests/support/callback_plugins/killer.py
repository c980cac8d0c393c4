# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills the controller between two tasks, as a power cut would."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: killer
    type: notification
    short_description: Kill ansible-playbook between two tasks
    description:
      - Sends SIGKILL to ansible-playbook after as many tasks as KILL_AFTER says. Tasks that all hosts skip do not count.
      - Writes the name of the last task to the file that KILLED_AFTER names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "killer"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._left = int(os.environ["KILL_AFTER"])
        self._ran: str | None = None

    def v2_runner_on_ok(self, result: Any) -> None:
        self._ran = result.task.get_name()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._ran = result.task.get_name()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._ran is None:
            return
        self._left -= 1
        if self._left == 0:
            Path(os.environ["KILLED_AFTER"]).write_text(self._ran, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        self._ran = None
