# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed upgrade returns to, by the containers that each host has when it begins: the service before it, nothing older."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_run import ROOT, plays

HOSTS = ("node0", "node1", "node2")
SERVICE, BACKUP, BOTH, NONE = ("service",), ("backup",), ("service", "backup"), ()


@dataclass(frozen=True)
class Case:
    """The containers of each host when an upgrade begins, and those that its rollback returns to.

    `worked`: on how many hosts the container shows that its service has worked. `changed`: on how many hosts the upgrade
    replaces it.
    """

    found: tuple[tuple[str, ...], ...]
    expected: tuple[str, ...]
    worked: int = 0
    changed: int = 3


CASES = {
    "nothing": Case((NONE, NONE, NONE), ("", "", "")),
    "no earlier upgrade": Case((SERVICE, SERVICE, SERVICE), ("service", "service", "service")),
    "ended while it made backups": Case((BACKUP, SERVICE, SERVICE), ("backup", "service", "service")),
    "ended before it created a container": Case((BACKUP, BACKUP, BACKUP), ("backup", "backup", "backup")),
    "ended while it created containers": Case((BOTH, BACKUP, BACKUP), ("backup", "backup", "backup")),
    "ended while the new service started": Case((BOTH, BOTH, BOTH), ("backup", "backup", "backup")),
    "the new service has worked since": Case((BOTH, BOTH, BOTH), ("service", "service", "service"), worked=3),
    "one of its containers was replaced since": Case((BOTH, BOTH, BOTH), ("backup", "backup", "backup"), worked=2),
    "the upgrade replaces one of them": Case((BOTH, BOTH, BOTH), ("service", "service", "service"), worked=3, changed=1),
    "the same upgrade goes on": Case((BOTH, BOTH, BOTH), ("backup", "backup", "backup"), worked=3, changed=0),
    "ended while the rollback removed containers": Case((BACKUP, BOTH, BOTH), ("backup", "backup", "backup")),
    "ended while the rollback restored backups": Case((SERVICE, BACKUP, BACKUP), ("service", "backup", "backup")),
    "ended while it removed backups": Case((SERVICE, BOTH, BOTH), ("service", "service", "service")),
    "ended before it removed the last backup": Case((SERVICE, SERVICE, BOTH), ("service", "service", "service")),
    "the same upgrade, which ended while it removed backups": Case(
        (SERVICE, BOTH, BOTH), ("service", "service", "service"), changed=0
    ),
}  # fmt: skip


def found(case: Case, name: str) -> dict[str, Any]:
    """Return what the module docker_container_info tells of a container on each host."""
    return {
        host: {"exists": name in names, "container": {"Id": name} if name in names else None}
        for host, names in zip(HOSTS, case.found, strict=True)
    }


def play(name: str, case: Case) -> dict[str, Any]:
    facts = {
        "__container_info": "{{ service[inventory_hostname] }}",
        "__container_backup_info": "{{ backup[inventory_hostname] }}",
        "__container_result": {"changed": "{{ inventory_hostname in changed }}"},
        "__container_has_worked": "{{ inventory_hostname in worked }}",
    }
    return {
        "name": name,
        "hosts": ":".join(HOSTS),
        "gather_facts": False,
        "vars_files": [str(ROOT / "roles/container/vars/main.yml")],
        "vars": {
            "service": found(case, "service"),
            "backup": found(case, "backup"),
            "changed": HOSTS[: case.changed],
            "worked": HOSTS[: case.worked],
        },
        "tasks": [
            {"ansible.builtin.set_fact": {"vllm_plan": {"hosts": HOSTS}, "cacheable": True}},
            {"ansible.builtin.set_fact": facts},
            {"ansible.builtin.debug": {"msg": "{{ __container_previous_id }}"}},
        ],
    }


def test_a_rollback_returns_to_the_service_before_the_upgrade(tmp_path: Path):
    results = plays([play(name, case) for name, case in CASES.items()], HOSTS, tmp_path)
    said = {
        one["play"]["name"]: tuple(one["tasks"][-1]["hosts"][host]["msg"] for host in HOSTS)
        for one in results
    }
    assert said == {name: case.expected for name, case in CASES.items()}
