# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backups of an interrupted upgrade mean, by the containers that each host has: whether that upgrade had succeeded."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_run import ROOT, run

SERVICE, BACKUP, BOTH, NONE = (True, False), (False, True), (True, True), (False, False)
CASES = {
    "nothing": ([NONE, NONE, NONE], False),
    "no upgrade": ([SERVICE, SERVICE, SERVICE], False),
    "ended while it made backups": ([BACKUP, SERVICE, SERVICE], False),
    "ended before it created a container": ([BACKUP, BACKUP, BACKUP], False),
    "ended while it created containers": ([BOTH, BACKUP, BACKUP], False),
    "ended while the new service started": ([BOTH, BOTH, BOTH], False),
    "ended while the rollback removed containers": ([BACKUP, BOTH, BOTH], False),
    "ended while the rollback restored backups": ([SERVICE, BACKUP, BACKUP], False),
    "ended while it removed backups": ([SERVICE, BOTH, BOTH], True),
    "ended before it removed the last backup": ([SERVICE, SERVICE, BOTH], True),
}


def test_a_backup_counts_until_the_upgrade_has_succeeded(tmp_path: Path):
    hosts = ("node0", "node1", "node2")
    plays = [
        {
            "name": name,
            "hosts": ":".join(hosts),
            "gather_facts": False,
            "vars_files": [str(ROOT / "roles/container/vars/main.yml")],
            "vars": {"found": dict(zip(hosts, found, strict=True))},
            "tasks": [
                {
                    "ansible.builtin.set_fact": {
                        "__container_info": {"exists": "{{ found[inventory_hostname][0] }}"},
                        "__container_backup_info": {"exists": "{{ found[inventory_hostname][1] }}"},
                    }
                },
                {
                    "ansible.builtin.debug": {
                        "msg": "{{ 'succeeded' if __container_succeeded else 'counts' }}"
                    }
                },
            ],
        }
        for name, (found, _succeeded) in CASES.items()
    ]
    (tmp_path / "plays.json").write_text(json.dumps(plays), encoding="utf-8")
    options = ("-i", f"{','.join(hosts)},", "-c", "local")
    done = run(
        "ansible-playbook", "plays.json", *options, cwd=tmp_path, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = {
        play["play"]["name"]: {result["msg"] for result in play["tasks"][-1]["hosts"].values()}
        for play in json.loads(done.stdout)["plays"]
    }
    assert said == {
        name: {"succeeded" if succeeded else "counts"} for name, (_found, succeeded) in CASES.items()
    }
