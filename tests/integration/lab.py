# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running lab as the tests use it: its nodes, and playbooks run against them as users run them."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_run
import pytest
from ansible_run import ROOT, Failure

NODES = ("node0", "node1")
INVENTORY = ("-i", "inventories/lab")
CONTAINER = "vllm-ascend-v0.13.0rc1"
NET = os.environ.get("ASCEND_LAB_NET", "10.77.0")
STATE = Path(os.environ.get("ASCEND_LAB_STATE", "/var/lib/ascend-ops-lab"))
OWN_NAMES = ("atlas10", "atlas11")  # what the nodes call themselves; a message uses the inventory's name


def lab(*arguments: str, text_in: str = "") -> str:
    """Run `tests/lab/lab` and return its output."""
    run = subprocess.run(
        [ROOT / "tests/lab/lab", *arguments], input=text_in, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"lab {' '.join(arguments)}: {run.stdout}{run.stderr}"
    return run.stdout


def on(node: str, *command: str, text_in: str = "") -> str:
    """Run a command on a node and return its output."""
    return lab("exec", node, *command, text_in=text_in)


def shell(node: str, script: str, *arguments: str, text_in: str = "") -> str:
    """Run a script on a node, with *arguments* from $0 on, and return its output."""
    return on(node, "sh", "-c", script, *arguments, text_in=text_in)


def count_failures(node: str, failures: int) -> None:
    """Let the supervisor of the container there have counted so many failures in a row."""
    state = "$(tr '\\0' '\\n' < /proc/1/cmdline | sed -n 's/^--state=//p')"
    change = f"""sed -i 's/"failures": [0-9]*/"failures": {failures}/' {state}"""
    on(node, "docker", "exec", CONTAINER, "sh", "-c", change)


def state() -> dict[str, str]:
    """What the collection may change on the hosts, listed."""
    script = (ROOT / "tests/integration/state.sh").read_text(encoding="utf-8")
    return {node: on(node, "bash", "-s", text_in=script) for node in NODES}


@dataclass(frozen=True)
class Run:
    """A run of a playbook: its output with single blanks, and its failures, rescued ones too, in their order."""

    code: int
    output: str
    failures: list[Failure]

    def succeeded(self) -> str:
        """Assert that it succeeded; return its output."""
        assert self.code == 0, self.output
        return self.output

    def failed(self) -> dict[str, str]:
        """Assert that it failed with messages for users; return the last message of each host."""
        assert self.code != 0, self.output
        assert "Traceback" not in self.output, self.output
        messages = " ".join(failure.message for failure in self.failures)
        assert [name for name in OWN_NAMES if name in messages] == [], messages
        return {failure.host: failure.message for failure in self.failures}

    def findings(self) -> list[tuple[str, str, str]]:
        """Host, id and severity of each finding of the task that failed."""
        for failure in self.failures:
            if "findings" in failure.result:
                return finding_ids(failure.result["findings"])
        raise AssertionError(self.output)

    def changed(self) -> dict[str, int]:
        """How many tasks changed each host, by the recap."""
        return {
            host: int(count) for host, count in re.findall(r"(\S+) +: ok=\d+ +changed=(\d+)", self.output)
        }


def site(*options: str, **variables: str) -> Run:
    """Run the site playbook from the checkout."""
    return playbook("site.yml", *options, **variables)


def playbook(path: str, *options: str, **variables: str) -> Run:
    """Run a playbook from the checkout."""
    run, failures = ansible_run.playbook(path, *options, **variables)
    return Run(run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr), failures)


def finding_ids(findings: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(finding["host"], finding["id"], finding["severity"]) for finding in findings]


def place(host: str, stage: str) -> str:
    """How a message names where it happened."""
    return f"host {host}, stage {stage}"


def assert_names(message: str, *names: str) -> None:
    """Assert that the message names hosts, stages, variables and values, however it is worded."""
    assert [name for name in names if name.lower() not in message.lower()] == [], message


def guard_and_campaign(cases: Mapping[str, object], guard: Collection[str]) -> list[Any]:
    """Return the cases as parameters of a test. Those that *guard* does not name belong to the campaign."""
    return [
        pytest.param(case, id=name.replace(" ", "_"), marks=[] if name in guard else pytest.mark.campaign)
        for name, case in cases.items()
    ]


def listens(address: str, port: int) -> bool:
    """Whether something takes calls there."""
    with contextlib.closing(socket.socket()) as caller:
        return caller.connect_ex((address, port)) == 0
