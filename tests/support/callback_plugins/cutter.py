# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands when tasks begin, such as those that cut a host off."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: cutter
    type: notification
    short_description: Run commands when tasks begin
    description:
      - CUTS is JSON with shell commands by the names of tasks. Each runs once, before the first task whose name ends with that.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "cutter"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._cuts: dict[str, str] = json.loads(os.environ["CUTS"])

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        for name in [name for name in self._cuts if task.get_name().endswith(name)]:
            self._display.display(f"cut when this begins: {name}")
            subprocess.run(self._cuts.pop(name), shell=True, check=True)
