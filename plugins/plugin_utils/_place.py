# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of a problem: host and stage. Actions know it, modules do not."""

from __future__ import annotations

from typing import Any

from ansible.playbook.task import Task

COLLECTION = "ascend_ops.vllm."


def place(task: Task, host: str) -> str:
    """Return the host and, within a role of this collection, the stage."""
    role = task._role.get_name() if task._role else ""
    stage = f", stage {role[len(COLLECTION) :]}" if role.startswith(COLLECTION) else ""
    return f"host {host}{stage}"


def located(result: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the result of a module, with the place of what it reports."""
    if "problem" in result:
        result["problem"]["where"] = where
    if "problem" in result or "problems" in result:
        result["msg"] = f"{where[0].upper()}{where[1:]}\n{result['msg']}"
    return result
