# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._polling import PollingAction


class ActionModule(PollingAction):
    """Poll the download on the host, and warn of files that were damaged."""

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        result = self._poll("ascend_ops.vllm.weights_download", self._task.args, task_vars)
        if result.get("differing") and not self._task.check_mode:
            result.setdefault("warnings", []).append(
                f"{self._host}: wrong size or SHA-256, fetched again: {shortened(result['differing'])}"
            )
        return result
