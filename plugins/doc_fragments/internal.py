# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that only this collection's own roles and action plugins set."""

    DOCUMENTATION = r"""
options:
  _variables:
    description: Internal. The roles set it to the variables that set the other options, because messages name those.
    type: dict
    default: {}
"""

    # For modules whose work runs in the background.
    BACKGROUND = r"""
options:
  _run:
    description: Internal. The action plugin sets it to the run that the work belongs to.
    type: str
    default: ""
  _wait:
    description: Internal. The action plugin sets it to the seconds after which the module reports the progress.
    type: int
"""
