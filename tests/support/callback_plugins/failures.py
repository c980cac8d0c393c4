# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each failure of a run as a line of JSON to the file that FAILURES names, for tests to read them as data.

A task that may fail, or whose host need not be reached, does not count, as it does not for Ansible.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: failures
    type: notification
    short_description: Write failures as JSON
    description: Each failure of a run becomes a line of the file that FAILURES names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "failures"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        Path(os.environ["FAILURES"]).write_text("", encoding="utf-8")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._write(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not result.task.ignore_unreachable:
            self._write(result)

    @staticmethod
    def _write(result: Any) -> None:
        failure = {
            "host": result.host.get_name(),
            "task": result.task.get_name(),
            "result": dict(result.result),
        }
        with Path(os.environ["FAILURES"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(failure, default=str) + "\n")
