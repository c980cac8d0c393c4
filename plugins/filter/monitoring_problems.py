# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import listed
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.monitoring import problems

DOCUMENTATION = r"""
name: monitoring_problems
short_description: Validate the options of the role monitoring
version_added: 0.1.0
author:
  - ascend_ops.vllm contributors (@ascend-ops)
description:
  - Returns all that is wrong, each in a line with what was found, what was expected, and the remedy.
options:
  _input:
    description: What M(ascend_ops.vllm.plan) returns as C(service).
    type: dict
    required: true
  options:
    description: C(monitoring_exporters) and C(monitoring_thresholds), options of the role.
    type: dict
    required: true
  name:
    description: The label C(service) of the targets.
    type: str
    required: true
  file:
    description: The file for the targets.
    type: str
    required: true
  former:
    description: The current content of that file, empty if it does not exist.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Assert that the options of the monitoring are usable
  vars:
    options: {monitoring_exporters: {node: 9100}, monitoring_thresholds: {}}
    problems: "{{ plan.service | ascend_ops.vllm.monitoring_problems(options, 'glm47', '/etc/targets.json', '') }}"
  ansible.builtin.assert:
    that: not problems
    fail_msg: "{{ problems }}"
"""

RETURN = r"""
_value:
  description: The problems as a list of lines, or an empty text.
  type: str
"""


def monitoring_problems(
    service: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
    name: str,
    file: str,
    former: str,
) -> str:
    """Return the problems, a line each."""
    return listed(problems(service, options, name, file, former))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by their names."""
        return {"monitoring_problems": monitoring_problems}
