# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What upgrade.yml says of a failed task of any kind: the cause and the host, also where a loop or a command failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_run import ROOT, run

OWN = "Host node0, stage serve\nFound: this.\nExpected: that."
NO_SPACE = "no space left on device"
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a message of this collection": ({"ansible.builtin.fail": {"msg": OWN}}, [OWN]),
    "a module of others": (
        {"ansible.builtin.fail": {"msg": f"Error creating container: {NO_SPACE}"}},
        [f"Host node0: Error creating container: {NO_SPACE}"],
    ),
    "a loop": (
        {
            "ansible.builtin.fail": {"msg": "{{ item }}: " + NO_SPACE},
            "loop": ["a", "b"],
            "when": "item == 'b'",
        },
        [f"Host node0: b: {NO_SPACE}"],
    ),
    "a command": (
        {"ansible.builtin.command": {"argv": ["sh", "-c", f"echo {NO_SPACE} >&2; exit 1"]}},
        [f"Host node0: non-zero return code: {NO_SPACE}"],
    ),
}


@pytest.fixture(name="said", scope="module")
def errors_of_all_cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("upgrade")
    replacing = yaml.safe_load((ROOT / "playbooks/upgrade.yml").read_text(encoding="utf-8"))[-1]
    records = [
        task["rescue"][0]["ansible.builtin.set_fact"] for task in replacing["tasks"] if "rescue" in task
    ]
    assert len(records) == 3
    assert records[0] == records[1] == records[2]
    tasks = [
        {
            "name": name,
            "block": [failing],
            "rescue": [
                {"ansible.builtin.set_fact": records[0]},
                {"name": name, "ansible.builtin.debug": {"msg": "{{ upgrade_error }}"}},
            ],
        }
        for name, (failing, _messages) in CASES.items()
    ]
    play = {
        "hosts": "node0",
        "gather_facts": False,
        "vars": {"upgrade_failure": replacing["vars"]["upgrade_failure"]},
        "tasks": tasks,
    }
    (folder / "plays.json").write_text(json.dumps([play]), encoding="utf-8")
    options = ("-i", "node0,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")
    done = run(
        "ansible-playbook", "plays.json", *options, cwd=folder, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][0]["tasks"]
    return {
        task["task"]["name"]: task["hosts"]["node0"]["msg"] for task in shown if task["task"]["name"] in CASES
    }


@pytest.mark.parametrize("name", CASES)
def test_an_upgrade_that_failed_says_why_and_where(said: dict[str, str], name: str):
    _failing, messages = CASES[name]
    assert [said[name]] == messages
