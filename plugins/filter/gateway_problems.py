# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import listed
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.gateway import problems
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import ROLE_OPTIONS

DOCUMENTATION = r"""
name: gateway_problems
short_description: Validate the options of the role gateway
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns all that is wrong, each in a line with what was found, what was expected, and the remedy. Shows no key.
options:
  _input:
    description: >-
      The options of the role by their names, with C(upstream), the URL of the service, C(engine_key), the key of
      the service or an empty text, and C(taken), the ports that the service has on the same host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Assert that the options of the gateway are usable
  vars:
    __gateway_problems: "{{ __gateway_options | ascend_ops.vllm.gateway_problems }}"
  ansible.builtin.assert:
    that: not __gateway_problems
    fail_msg: "{{ __gateway_problems }}"
"""

RETURN = r"""
_value:
  description: The problems as a list of lines, or an empty text.
  type: str
"""


def gateway_problems(options: Mapping[str, Any]) -> str:
    """Return the problems of *options*, a line each."""
    return listed(problems(ROLE_OPTIONS, options))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"gateway_problems": gateway_problems}
