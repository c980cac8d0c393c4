# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable, Collection, Iterable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx import settings
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import listed

DOCUMENTATION = r"""
name: awx_setup_problems
short_description: Validate the variables of awx_setup.yml
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns all that is wrong, each in a line with what was found, what was expected, and the remedy. Shows no secret.
options:
  _input:
    description: The variables that users set, by their names, with their values.
    type: dict
    required: true
  known:
    description: The names of all variables that there are.
    type: list
    elements: str
    required: true
  given:
    description: The names of all variables that were found.
    type: list
    elements: str
    required: true
  created:
    description: The names of what is created in AWX.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Assert that the variables are usable
  vars:
    problems: "{{ settings | ascend_ops.vllm.awx_setup_problems(known, given) }}"
  ansible.builtin.assert:
    that: not problems
    fail_msg: "{{ problems }}"
"""

RETURN = r"""
_value:
  description: The problems as a list of lines, or an empty text.
  type: str
"""


def awx_setup_problems(
    values: Mapping[str, Any], known: Collection[str], given: Iterable[str], created: Iterable[Any] = ()
) -> str:
    """Return the problems, a line each."""
    found = settings.problems(values, known, given) + settings.name_problems(created)
    return listed(found)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"awx_setup_problems": awx_setup_problems}
