# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.benchmark_report import page

DOCUMENTATION = r"""
name: benchmark_page
short_description: Show the report of a benchmark as one HTML page
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns a page with plots and tables, which loads nothing from elsewhere.
  - With a previous report of the same model and load, it shows what changed.
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
- name: Write the page
  ansible.builtin.copy:
    dest: benchmark.html
    content: "{{ report | ascend_ops.vllm.benchmark_page(former) }}"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"benchmark_page": page}
