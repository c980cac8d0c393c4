# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What modules that run hccn_tool have in common."""

    DOCUMENTATION = r"""
options:
  hccn_tool_path:
    description: Path of C(hccn_tool). Without it, C(driver/tools) of the driver and C(PATH) are searched.
    type: path
attributes:
  action_group:
    description: Use C(group/ascend_ops.vllm.npu) in C(module_defaults) to set O(hccn_tool_path).
    support: full
    membership:
      - ascend_ops.vllm.npu
"""
