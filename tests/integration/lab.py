# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running lab as the tests use it: its nodes, and Ansible run against them as a person would."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODES = ("node0", "node1")


def lab(*arguments: str, text_in: str = "") -> str:
    """Run `tests/lab/lab` and return its output."""
    run = subprocess.run(
        [ROOT / "tests/lab/lab", *arguments], input=text_in, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"lab {' '.join(arguments)}: {run.stdout}{run.stderr}"
    return run.stdout


def state() -> dict[str, str]:
    """What the collection may change on the hosts, listed."""
    script = (ROOT / "tests/integration/state.sh").read_text(encoding="utf-8")
    return {node: lab("exec", node, "bash", "-s", text_in=script) for node in NODES}


def site(*options: str, **variables: str) -> tuple[int, str]:
    """Run the site playbook from the checkout."""
    return playbook("site.yml", *options, **variables)


def playbook(path: str, *options: str, **variables: str) -> tuple[int, str]:
    """Run a playbook from the checkout; return its exit code and its output, without colour and with single blanks."""
    run = subprocess.run(
        ["ansible-playbook", path, *options],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr)


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a command: ours, with the Ansible of this Python found first."""
    return dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables)


def listens(address: str, port: int) -> bool:
    """Whether something takes calls there."""
    with contextlib.closing(socket.socket()) as caller:
        return caller.connect_ex((address, port)) == 0
