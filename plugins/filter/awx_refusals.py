# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx.answers import refusals

DOCUMENTATION = r"""
name: awx_refusals
short_description: List what AWX refused, with its messages
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns a line for each failed result of a module of the collection awx.awx, with the name of the item and the message of AWX.
  - Shows no value of the C(configuration) of an item, so it can be printed after a loop with C(no_log).
options:
  _input:
    description: The results, such as C(results) of a registered loop.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Report which notifications AWX refused
  ansible.builtin.fail:
    msg: "{{ made_notifications.results | ascend_ops.vllm.awx_refusals }}"
"""

RETURN = r"""
_value:
  description: The lines; empty if no result failed.
  type: list
  elements: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"awx_refusals": refusals}
