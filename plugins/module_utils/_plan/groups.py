# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups of the inventory that make a service: one head, and its workers."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

HEAD_GROUP = "vllm_head"
WORKER_GROUP = "vllm_workers"
GROUPS = ("vllm_head_group", "vllm_worker_group")  # variables with other names


def of_service(variables: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the head's group and of the workers'."""
    return (
        str(variables.get("vllm_head_group") or HEAD_GROUP),
        str(variables.get("vllm_worker_group") or WORKER_GROUP),
    )


def problems(groups: Mapping[str, Sequence[str]], head_group: str, worker_group: str) -> list[Problem]:
    """Return what is wrong with the two groups: exactly one head, no host in both, and no misspelt name.

    *groups* are all groups of the inventory, with their hosts.
    """
    where = f"group {head_group}"
    heads, workers = groups.get(head_group, []), groups.get(worker_group, [])
    result = []
    others = [name for name in groups if name not in (head_group, worker_group, "all", "ungrouped")]
    for expected in (head_group, worker_group):
        misspelt = None if expected in groups else _misspelt(others, expected)
        if misspelt:
            found, remedy = (
                "it is not a group of the service",
                f"rename it to {expected}, or to something else",
            )
            result.append(Problem(found, f"the group {expected}", remedy, f"group {misspelt}"))
    if not heads:
        remedy = (
            "put the data-parallel head (node0) into it, and name the inventory with -i; if that is done, "
            "Ansible's warnings above say why it does not read the file"
        )
        result.append(Problem("it is empty or missing", "exactly one host", remedy, where))
    elif len(heads) > 1:
        found = f"it has {len(heads)} hosts ({', '.join(heads)})"
        result.append(Problem(found, "exactly one", f"move the others to {worker_group}", where))
    for host in sorted(set(heads) & set(workers)):
        found, remedy = f"it is in {head_group} and in {worker_group}", "take it out of one of them"
        result.append(Problem(found, "a host in one group", remedy).on(host))
    return [*result, *_half_read(groups, [*heads, *workers])]


def _misspelt(others: Sequence[str], expected: str) -> str | None:
    """Return the one of the *others* that is meant to be the *expected* group."""
    same = [name for name in others if names.plain(name) == expected]
    return same[0] if same else names.closest(others, expected, names.SIMILAR)


def _half_read(groups: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> list[Problem]:
    """Return a problem for each host that Ansible kept from a file which it then gave up with no more than a warning."""
    found = "it is missing in group all, so Ansible has read only a part of its inventory file"
    remedy = "correct that file: Ansible's warnings above name the line or the entry"
    missing = [host for host in dict.fromkeys(hosts) if "all" in groups and host not in groups["all"]]
    return [
        Problem(found, "an inventory file that Ansible reads completely", remedy).on(host) for host in missing
    ]


def late_problem(name: str) -> Problem:
    """Return the problem of a group's name that playbooks cannot see."""
    return Problem(
        f"{name} is set in the inventory, and a playbook chooses its hosts before it reads that",
        "an extra variable, or the default name",
        f"give it with -e, or make your group a child of {HEAD_GROUP if 'head' in name else WORKER_GROUP}",
    )
