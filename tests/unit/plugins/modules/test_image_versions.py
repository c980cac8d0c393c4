# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs inside the image, run by a stand-in for Docker on this machine's own Python; the lab's chain runs it in a real container."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

from ansible_collections.ascend_ops.vllm.plugins.modules import image_versions

NAMES = ["python", "cann", "pytest", "no-such-package"]


def docker(folder: Path, script: str) -> str:
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    file.chmod(0o755)
    return str(file)


def test_versions_are_read(tmp_path):
    run = docker(
        tmp_path,
        f'[ "$1" = image ] && exit; echo "a banner"; while [ "$1" != an-image ]; do shift; done; shift; exec {sys.executable} "$@"',
    )
    found, _said = image_versions.read(run, "an-image", NAMES)
    assert found == {
        "python": platform.python_version(),
        "cann": None,
        "pytest": metadata.version("pytest"),
        "no-such-package": None,
    }


def test_the_container_gets_neither_network_nor_devices(tmp_path):
    _found, said = image_versions.read(docker(tmp_path, 'echo "$@"'), "an-image", [])
    assert said.startswith("run --rm --network=none --entrypoint=python3 an-image -c")


def test_an_image_that_is_not_there_is_not_run(tmp_path):
    """Docker 18.09, which openEuler has, pulls what is missing, and cannot be told not to."""
    run = docker(
        tmp_path, f'[ "$1" = image ] || touch {tmp_path}/ran; echo; echo "Error: No such image: x."; exit 1'
    )
    assert image_versions.read(run, "x", NAMES) == (None, "Error: No such image: x")
    assert not (tmp_path / "ran").exists()


def test_an_image_that_does_not_answer(tmp_path):
    run = docker(
        tmp_path,
        "[ $1 = image ] && exit; echo 'docker: no python3.'; echo \"See 'docker run --help'.\"; exit 127",
    )
    assert image_versions.read(run, "x", NAMES) == (None, "docker: no python3")
