# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.benchmark_report import summary

DOCUMENTATION = r"""
name: benchmark_summary
short_description: Summarize the report of a benchmark in a few lines
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns the highest throughput, the times of one request alone, and why the measurement ended.
  - With a previous report of the same model and load, it names what became slower, and other differences.
positional: former
options:
  _input:
    description: The report, with C(date), C(service), C(load), and C(levels) and C(ended) of M(ascend_ops.vllm.benchmark).
    type: dict
    required: true
  former:
    description: The previous report.
    type: dict
"""

EXAMPLES = r"""
- name: Report the results
  ansible.builtin.debug:
    msg: "{{ report | ascend_ops.vllm.benchmark_summary(former) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"benchmark_summary": summary}
