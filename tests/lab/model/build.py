"""The files of the lab's model repository: a tiny GLM-4-MoE that knows the answers of conversations.yml by heart."""

from __future__ import annotations

import shutil
from pathlib import Path

from system import CLEAN_ENVIRONMENT, LabError, remove, run_logged, say, tail

_HERE = Path(__file__).resolve().parent


def build(cache: Path, packages: Path) -> None:
    """Train the model beside its place, and put it there when it is whole."""
    model, log = cache / "model", cache / "logs" / "model.log"
    partial = model.with_suffix(".partial")
    remove(partial)
    shutil.copytree(_HERE / "files", partial)
    # -B: the engine's packages and our sources stay as they are; -s: nothing of the user's is imported.
    run_logged(
        [
            *_python(cache / "rootfs", packages),
            "-B",
            "-s",
            _HERE / "train.py",
            partial,
        ],
        log,
    )
    say(tail(log, 1))
    remove(model)
    partial.rename(model)


def _python(rootfs: Path, packages: Path) -> list[str | Path]:
    """The command that runs the nodes' Python where it lies, with the engine's packages, by the nodes' own dynamic linker and C library."""
    libraries = next(rootfs.glob("usr/lib/*-linux-gnu"), None)
    linker = libraries and next(libraries.glob("ld-linux-*.so.*"), None)
    if not (linker and packages.is_dir()):
        raise LabError(
            f"the model is trained with the Python in {rootfs} and the packages in {packages}, and one of them is not there: run `lab build`"
        )
    environment = [
        f"{name}={value}" for name, value in (CLEAN_ENVIRONMENT | {"PYTHONPATH": packages}).items()
    ]
    return [
        "env",
        "-i",
        *environment,
        linker,
        "--inhibit-cache",
        "--library-path",
        libraries,
        rootfs / "usr/bin/python3",
    ]
