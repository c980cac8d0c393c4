# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings each host accepts."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.validation import check_type_list

ACCEPT = "preflight_accept"  # the variable of a host


def accepted(name: str, given: list[str], task_vars: dict[str, Any]) -> frozenset[str]:
    """Return what the host accepts: its own variable, or else *given*, the argument of the task.

    The argument is templated for the first host only. If that has a variable of its own, the argument is that, and
    says nothing about the others.
    """
    hostvars = task_vars["hostvars"]
    first = hostvars[task_vars["inventory_hostname"]]
    own = hostvars[name].get(ACCEPT, [] if ACCEPT in first else given)
    return ids_of(own)


def ids_of(value: Any) -> frozenset[str]:
    """Return the ids in a list, or in a string with commas, as ``-e`` and surveys give it; none in anything else."""
    texts = check_type_list(value) if isinstance(value, (list, str)) else []
    return frozenset(str(text).strip() for text in texts if str(text).strip())
