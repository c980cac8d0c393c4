# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._place import located, place


class ActionModule(ActionBase):
    """Adds host and stage to the problems that the module reports."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        result = self._execute_module(module_name="ascend_ops.vllm.endpoint_probe", task_vars=task_vars)
        host = self._task.delegate_to or task_vars["inventory_hostname"]
        return located(result, place(self._task, host))
