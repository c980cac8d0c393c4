# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller of an upgrade dies between any two tasks: what the user runs next ends in a service, or says why not.

It takes more than an hour, so `make test` leaves it out. KILL_AFTER=N begins at the Nth task, and KILL_EVERY=N tries every
Nth one.
"""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest
from ansible_run import ROOT, run
from lab import CONTAINER, INVENTORY, NODES, Run, on, playbook
from polling import wait_until
from test_recovery import answers

FIRST = int(os.environ.get("KILL_AFTER", "1"))
STEP = int(os.environ.get("KILL_EVERY", "1"))
NEXT = ("site.yml", "playbooks/upgrade.yml", "playbooks/start.yml")
BROKEN = ("-e", '{"vllm_serve_extra_args": ["--no-such-flag"]}')
ANSWER_SECONDS = 60  # a service that runs answers within them, on a busy machine


def settings(number: int) -> tuple[str, ...]:
    """A setting that differs from the one before, so that the upgrade replaces the containers."""
    return ("-e", f"vllm_supervisor_probe_seconds={60 + number // STEP % 2}")


def killed_upgrade(number: int, folder: Path, *options: str) -> str | None:
    """Kill an upgrade after *number* tasks. Return the last of them; None if it ended before."""
    after = folder / "task"
    after.unlink(missing_ok=True)
    done = run(
        "ansible-playbook",
        "playbooks/upgrade.yml",
        *INVENTORY,
        *options,
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "tests/support/callback_plugins"),
        ANSIBLE_CALLBACKS_ENABLED="killer",
        KILL_AFTER=str(number),
        KILLED_AFTER=str(after),
    )
    if done.returncode == -signal.SIGKILL:
        return after.read_text(encoding="utf-8")
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return None


def containers() -> list[list[str]]:
    shown = [on(node, "docker", "ps", "--all", "--format", "{{.Names}}") for node in NODES]
    return [names.split() for names in shown]


def problems(did: str, done: Run, *, may_fail: bool) -> list[str]:
    """What is wrong with the end of a run: no service and no clear reason."""
    if done.code == 0:
        try:
            wait_until(answers, ANSWER_SECONDS, "the service answers")
        except AssertionError:
            return [f"{did} succeeded, and the service does not answer"]
        return []
    messages = [failure.message for failure in done.failures]
    if "Traceback" in done.output or not any("Remedy: " in message for message in messages):
        return [f"{did} failed without a clear reason: {done.output[-2000:]}"]
    return [] if may_fail else [f"{did} failed: {messages}"]


class Problems(list[str]):
    """What is wrong, printed at once: the test takes hours."""

    def note(self, *problems: str) -> None:
        for problem in problems:
            print(problem, flush=True)
            self.append(problem)


@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken"])
def test_after_any_task(broken: bool, tmp_path: Path):
    playbook("site.yml", *INVENTORY).succeeded()
    found = Problems()
    for number in itertools.count(FIRST, STEP):
        options = (*settings(number), *(BROKEN if broken else ()))
        task = killed_upgrade(number, tmp_path, *options)
        if task is None:
            break
        path = NEXT[number // STEP % len(NEXT)]
        did = f"{path} after task {number} ({task})"
        print(did, flush=True)
        # start.yml makes no container, and a setting that is broken stays broken.
        may_fail = broken or path.endswith("start.yml")
        found.note(*problems(did, playbook(path, *INVENTORY, *options), may_fail=may_fail))
        site = playbook("site.yml", *INVENTORY, *settings(number))
        found.note(*problems(f"site.yml after {did}", site, may_fail=False))
        if containers() != [[CONTAINER], [CONTAINER]]:
            found.note(f"after {did} the hosts have the containers {containers()}")
    assert number > max(FIRST, 11)  # otherwise it has tried too little
    assert found == []
