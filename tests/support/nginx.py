# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx of the distribution: this machine's own, or its package unpacked below .cache, so that nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from locks import alone_with

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "nginx"


def nginx() -> str:
    """Return the path of the binary."""
    installed = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    unpacked = CACHE / "usr/sbin/nginx"
    if not installed and not unpacked.exists():
        with alone_with("nginx"):
            unpack()
    return installed or str(unpacked)


def unpack() -> None:
    """Unpack Debian's package. What it needs besides libc, every Debian has."""
    if (CACHE / "usr/sbin/nginx").exists():
        return
    assert shutil.which("apt-get"), "The tests of the gateway need nginx: install it."
    CACHE.mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "download", "--quiet", "--quiet", "nginx"]
    if subprocess.run(fetch, cwd=CACHE, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "--quiet", "--quiet"], check=True)
        subprocess.run(fetch, cwd=CACHE, check=True)
    (package,) = CACHE.glob("nginx_*.deb")
    subprocess.run(["dpkg", "--extract", package, CACHE], check=True)
