# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What all modules document about check mode, diff mode and idempotence."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict the result without changing anything.
  diff_mode:
    description: Returns what has changed, or in check mode would change, when Ansible runs with C(--diff).
  idempotent:
    description: Changes nothing and reports no change when it runs a second time with the same options.
  platform:
    description: Systems on which the module works.
    platforms: posix
    support: full
"""

    # For modules that only read.
    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Changes nothing.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
    details: Changes nothing.
"""
