#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible asks systemctl for, where no systemd runs: the commands of a unit with a PIDFile are really run.

The unit files are in the folder UNITS. Daemons get the signals that systemd would send.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path


class Unit:
    """A unit file of Type=forking, and its daemon."""

    def __init__(self, name: str) -> None:
        self.file = Path(os.environ["UNITS"], name.removesuffix(".service") + ".service")
        self.enabled = self.file.with_suffix(".enabled")
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
        self.options = [(key, value) for key, _equals, value in lines]

    def values(self, key: str) -> list[str]:
        return [value for name, value in self.options if name == key]

    def pid(self) -> int:
        """Return the daemon's pid, 0 if it does not run."""
        try:
            pid = int(Path(self.values("PIDFile")[0]).read_text(encoding="ascii"))
            os.kill(pid, 0)
        except (IndexError, OSError, ValueError):
            return 0
        return pid

    def run(self, key: str) -> None:
        for command in self.values(key):
            subprocess.run(shlex.split(command.replace("$MAINPID", str(self.pid()))), check=True)

    def start(self) -> None:
        if not self.pid():
            self.run("ExecStartPre")
            self.run("ExecStart")

    def stop(self) -> None:
        pid = self.pid()
        if pid:
            os.kill(pid, getattr(signal, self.values("KillSignal")[0]))
        while self.pid():
            time.sleep(0.02)

    def show(self) -> None:
        state = (
            ("loaded", "active" if self.pid() else "inactive") if self.options else ("not-found", "inactive")
        )
        print(f"LoadState={state[0]}\nActiveState={state[1]}\nUnitFileState={self.state()}")

    def state(self) -> str:
        return "enabled" if self.enabled.exists() else "disabled"


def main(action: str, name: str = "") -> int:
    """Do what `systemctl ACTION NAME` does; return its exit code."""
    if action == "daemon-reload":
        return 0
    unit = Unit(name)
    if action == "is-enabled":
        print(unit.state())
        return int(unit.state() != "enabled")
    actions = {
        "show": unit.show,
        "start": unit.start,
        "stop": unit.stop,
        "restart": lambda: (unit.stop(), unit.start()),
        "reload": lambda: unit.run("ExecReload"),
        "enable": unit.enabled.touch,
        "disable": lambda: unit.enabled.unlink(missing_ok=True),
    }
    actions[action]()
    return 0


if __name__ == "__main__":
    sys.exit(main(*[argument for argument in sys.argv[1:] if not argument.startswith("-")]))
