# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A time of day that a test sets forward and back, for real processes with Python."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

DAY = 86400.0


class WallClock:
    """The time of day of each process that has its environment."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self.environment = {
            "PYTHONPATH": str(Path(__file__).with_name("stepped_time")),
            "WALL_CLOCK": str(self._file),
        }
        self.set_ahead(0)

    def set_ahead(self, seconds: float) -> None:
        """Step to so many seconds ahead of this machine's time of day, of processes that run, too."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds}", encoding="ascii")
        new.replace(self._file)

    def seen(self, python: str = sys.executable) -> float:
        """Return how far ahead a new process is."""
        program = "import time; print(time.time())"
        environment = {**os.environ, **self.environment}
        shown = subprocess.run([python, "-c", program], env=environment, capture_output=True, check=True)
        return float(shown.stdout) - time.time()
