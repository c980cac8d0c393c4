# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from jinja2 import pass_context
from jinja2.runtime import Context

DOCUMENTATION = r"""
name: report
short_description: Prepare a text of several lines for ansible.builtin.debug
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns the text without white space around it.
  - In a job of AWX, returns its lines as a list, because AWX shows a text as one long line.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Report the state
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.template', 'status.txt.j2') | ascend_ops.vllm.report }}"
"""

RETURN = r"""
_value:
  description: The text, or in AWX its lines.
  type: raw
"""


@pass_context
def report(context: Context, text: str) -> str | list[str]:
    """Return *text* for a terminal, or its lines for a job of AWX, which has the variable awx_job_id."""
    text = text.strip()
    return text.splitlines() if "awx_job_id" in context else text


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"report": report}
