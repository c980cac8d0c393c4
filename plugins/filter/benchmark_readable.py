# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.benchmark_report import is_report

DOCUMENTATION = r"""
name: benchmark_readable
short_description: Test whether a text is the report of a benchmark
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns whether P(ascend_ops.vllm.benchmark_page#filter) can compare another report with this one.
options:
  _input:
    description: The content of the file with the report, in JSON.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Assert that the previous report can be read
  ansible.builtin.assert:
    that: lookup('ansible.builtin.file', 'former.json') | ascend_ops.vllm.benchmark_readable
"""

RETURN = r"""
_value:
  description: Whether it is one.
  type: bool
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"benchmark_readable": is_report}
