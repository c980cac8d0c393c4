# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the containers of all hosts are started: by the state of each, as Docker has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_run import ROOT, plays

RUNS = {"Status": "running", "Running": True}
# Docker counts these as running, too.
LOOPS = {"Status": "restarting", "Running": True, "Restarting": True, "ExitCode": 1}
PAUSED = {"Status": "paused", "Running": True, "Paused": True}
STOPPED = {"Status": "exited", "Running": False}
CREATED = {"Status": "created", "Running": False}
CASES: dict[str, tuple[list[Any], bool]] = {
    "both run": ([RUNS, RUNS], False),
    "both are stopped": ([STOPPED, STOPPED], True),
    "one is stopped": ([RUNS, STOPPED], True),
    "one is new": ([CREATED, RUNS], True),
    "one is not there": ([RUNS, None], True),
    "Docker restarts one again and again, as without a key": ([LOOPS, RUNS], True),
    "one is paused, and cannot answer": ([RUNS, PAUSED], True),
}


def test_all_hosts_start_unless_all_of_them_run(tmp_path: Path):
    hosts = ("node0", "node1")
    found = {
        name: {
            host: {"exists": state is not None, "container": state and {"State": state}}
            for host, state in zip(hosts, states, strict=True)
        }
        for name, (states, _starts) in CASES.items()
    }
    content = [
        {
            "name": name,
            "hosts": ":".join(hosts),
            "gather_facts": False,
            "vars_files": [str(ROOT / "roles/serve/vars/main.yml")],
            "vars": {"found": found[name], "plan": {"hosts": list(hosts), "head": "node0"}},
            "tasks": [
                {"ansible.builtin.set_fact": {"vllm_plan": "{{ plan }}", "cacheable": True}},
                {
                    "ansible.builtin.set_fact": {
                        "__serve_found": "{{ found[inventory_hostname] }}",
                        "__serve_api_key_copied": {"changed": False},
                    }
                },
                {"ansible.builtin.debug": {"msg": "{{ 'starts' if __serve_must_start else 'runs' }}"}},
            ],
        }
        for name in CASES
    ]
    said = {
        play["play"]["name"]: {result["msg"] for result in play["tasks"][-1]["hosts"].values()}
        for play in plays(content, hosts, tmp_path)
    }
    assert said == {name: {"starts" if starts else "runs"} for name, (_states, starts) in CASES.items()}
