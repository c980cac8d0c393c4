# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run Ansible as its users do, from the checkout and by the Ansible of this Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a command: that of this process, with the Ansible of this Python found first."""
    return dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables)


def run(*command: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=environment(**variables), capture_output=True, text=True, check=False
    )


def module(
    name: str, arguments: dict[str, Any], *options: str, python: str = sys.executable
) -> dict[str, Any]:
    """Return the result of a module of the collection that Ansible runs with this Python on this machine."""
    local = ("localhost", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={python}")
    task = ("-m", f"ascend_ops.vllm.{name}", "-a", json.dumps(arguments))
    shown = run(
        "ansible", *local, *task, *options, ANSIBLE_CALLBACK_RESULT_FORMAT="json", ANSIBLE_FORCE_COLOR="0"
    )
    result = re.search(r"^localhost \| \S+ => (\{.*\})", shown.stdout, re.M | re.S)
    assert result, shown.stdout + shown.stderr
    return json.loads(result[1])


@dataclass(frozen=True)
class Call:
    """A call of a module of the collection on this machine, with this Python unless another is named."""

    module: str
    arguments: Mapping[str, Any]
    check: bool = False
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)

    def task(self) -> dict[str, Any]:
        return {
            f"ascend_ops.vllm.{self.module}": dict(self.arguments),
            "check_mode": self.check,
            "environment": dict(self.environment),
            "vars": {"ansible_python_interpreter": self.python},
            "ignore_errors": True,
        }


def modules(calls: Mapping[str, Call]) -> dict[str, dict[str, Any]]:
    """Return the results of the calls, made one after the other in one run of Ansible, which takes most of the time."""
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [call.task() for call in calls.values()]}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
        json.dump([play], file)
        file.flush()
        local = ("-i", "localhost,", "-c", "local")
        done = run("ansible-playbook", file.name, *local, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout[done.stdout.index("{\n") :]  # after what the actions of the modules print meanwhile
    tasks = json.loads(shown)["plays"][0]["tasks"]
    return {name: task["hosts"]["localhost"] for name, task in zip(calls, tasks, strict=True)}


def plays(content: list[dict[str, Any]], hosts: Iterable[str], folder: Path) -> list[dict[str, Any]]:
    """Run plays on hosts that are this machine, from a folder; return what the callback plugin json has of each."""
    (folder / "plays.json").write_text(json.dumps(content), encoding="utf-8")
    options = ("-i", f"{','.join(hosts)},", "-c", "local")
    done = run(
        "ansible-playbook", "plays.json", *options, cwd=folder, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"]
    return result


@dataclass(frozen=True)
class Failure:
    """A failure as the callback plugin `failures` writes it."""

    host: str
    task: str
    result: dict[str, Any]

    @property
    def message(self) -> str:
        """The message, or those of the items of a loop, with single blanks."""
        results = self.result.get("results", [self.result])
        messages = [str(one.get("msg", one)) for one in results if one.get("failed", True)]
        return re.sub(r"\s+", " ", " ".join(messages))


def playbook(
    path: str, *options: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[Failure]]:
    """Run a playbook from the checkout; return the run and its failures in their order."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
        callback = {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "failures",
            "FAILURES": file.name,
        }
        done = run("ansible-playbook", path, *options, **{**callback, **variables})
        return done, [Failure(**json.loads(line)) for line in file]
