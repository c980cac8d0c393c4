# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._polling import PollingAction


class ActionModule(PollingAction):
    """Looks after the pull on the host."""

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        return self._poll(
            "ascend_ops.vllm.image_pull", self._task.args, task_vars, only_to_begin=("username", "password")
        )
