# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command when a task begins, such as one that cuts a host off."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: cutter
    type: notification
    short_description: Run a command when a task begins
    description:
      - Runs the shell command CUT_COMMAND before the first task whose name ends with CUT_TASK.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "cutter"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._task = os.environ["CUT_TASK"]

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._task and task.get_name().endswith(self._task):
            self._task = ""
            subprocess.run(os.environ["CUT_COMMAND"], shell=True, check=True)
