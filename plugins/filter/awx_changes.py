# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx.answers import changes

DOCUMENTATION = r"""
name: awx_changes
short_description: List what a run of awx_setup.yml resets in AWX
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns a line for each field, and each member of a list or dictionary, that differs between AWX and this collection.
  - Shows only values that are strings or numbers. Members are listed by name.
options:
  _input:
    description: The fields of a thing as AWX has them. It has all of those in O(made).
    type: dict
    required: true
  made:
    description: The fields as they are made.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Report what is reset
  ansible.builtin.debug:
    msg: "{{ {'verbosity': 3} | ascend_ops.vllm.awx_changes({'verbosity': 0}) }}"
"""

RETURN = r"""
_value:
  description: The lines; empty if there is no difference.
  type: list
  elements: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"awx_changes": changes}
