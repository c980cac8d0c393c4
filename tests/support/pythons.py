# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons of this machine that hosts may have, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 8)


def interpreters() -> list[str]:
    """Return Pythons from 3.8 on, oldest first: those in PATH, those of pyenv, and this one, so there is always one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    minors = range(OLDEST[1], sys.version_info.minor)
    found = [
        path
        for minor in minors
        for path in [
            *map(str, pyenv.glob(f"3.{minor}.*/bin/python3.{minor}")),
            shutil.which(f"python3.{minor}"),
        ]
        if path
    ]
    return [
        path
        for path in [*found, sys.executable]
        if subprocess.run([path, "-V"], capture_output=True, check=False).returncode == 0
    ]
