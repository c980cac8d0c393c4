# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx of the distribution: this machine's own, or its package unpacked below .cache, so that nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess

from ansible_run import ROOT
from locks import alone_with

CACHE = ROOT / ".cache/nginx"


def nginx() -> str:
    """Return the path of the binary."""
    installed = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not installed:
        with alone_with("nginx"):
            subprocess.run([ROOT / "tests/unpack.sh", CACHE, "nginx"], check=True)
    return installed or str(CACHE / "usr/sbin/nginx")
