"""The serving engine's heavy Python packages, which nodes mount read-only instead of pulling 6 GB of image.

Torch alone has most of it. None of this is ever patched; what is (vLLM itself) is in the image.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from system import LabError, remove, run, run_logged

_HERE = Path(__file__).resolve().parent
_PYTHON = "3.11"  # of Debian 12, in nodes and image
_GLIBC = "manylinux_2_36"  # of Debian 12
_PLACE = "/opt/lab/site-packages"
_NEWEST = "2026-01-15"  # the package set of vLLM 0.13.0's time: newer ones of fastapi, mcp and openai have another interface

# The packages are mounted read-only, so Python could not keep what it compiles: each start would take half a minute more.
# The root's own Python compiles, for the machine's may be another; in a mount namespace, so that nothing stays mounted on the root.
_COMPILE = """
set -e
mount --bind "$2" "$1/mnt"
mount -t tmpfs tmpfs "$1/dev/shm"
exec chroot "$1" python3 -m compileall -q -j 0 -s /mnt -p "$3" /mnt
"""


def build(target: Path, rootfs: Path, log: Path) -> None:
    """Build the folder beside its place, and put it there when it is whole."""
    partial = target.with_suffix(".partial")
    remove(partial)
    dated = ["--exclude-newer", _NEWEST, "--excludes", _HERE / "excludes.txt"]
    install(partial, log, *dated, "--requirement", _HERE / "requirements.txt")
    compile_modules(partial, rootfs, _PLACE)
    remove(target)
    partial.rename(target)


def install(target: Path, log: Path, *arguments: str | Path) -> None:
    """Install wheels for the nodes' Python into a folder."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if not uv:
        raise LabError(
            "the lab installs Python packages by uv, which is not there: run `make env`, then run the lab by .venv/bin/python or by make"
        )
    nodes_python = [
        "--python-version",
        _PYTHON,
        "--python-platform",
        f"{platform.machine()}-{_GLIBC}",
        "--only-binary",
        ":all:",
    ]
    run_logged(
        [uv, "pip", "install", "--python", sys.executable, "--target", target, *nodes_python, *arguments], log
    )


def compile_modules(folder: Path, rootfs: Path, place: str) -> None:
    """Compile the folder's modules by the root's Python, for use at another place."""
    run(["unshare", "--mount", "sh", "-c", _COMPILE, "sh", rootfs, folder, place])
