# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about all hosts as warnings and as the message of a failed task."""

from __future__ import annotations

from collections.abc import Iterable

from ansible.playbook.task import Task
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._place import place

display = Display()


def warn_and_fail(task: Task, findings: Iterable[Finding], heading: str) -> str:
    """Display the warnings; return the failures below *heading*, or an empty string if there are none."""
    failures = []
    for finding in findings:
        text = finding.paragraph(place(task, finding.host))
        if finding.severity == WARN:
            display.warning(text, formatted=True)
        elif finding.severity == FAIL:
            failures.append(text)
    return "\n\n".join([heading, *failures]) if failures else ""
