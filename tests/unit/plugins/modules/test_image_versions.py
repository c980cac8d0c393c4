# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image's part runs with this machine's Python, started by a stand-in for Docker; the lab has the real one."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.modules import image_versions
from docker_daemon import docker_daemon

NAMES = ["python", "cann", "pytest", "no-such-package"]
PYTHON = f'while [ "$1" != an-image ]; do shift; done; shift; exec {sys.executable} "$@"'
NO_PYTHON = "echo 'docker: no python3.'; echo \"See 'docker run --help'.\"; exit 127"


def command(folder: Path, script: str) -> str:
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    file.chmod(0o755)
    return str(file)


def content(
    folder: Path,
    script: str,
    expected: dict[str, Any],
    strict: bool,
    check_mode: bool = False,
    image: str = "an-image",
) -> Any:
    """Return what the module returns on a host that has the image an-image."""
    with docker_daemon(folder, {"/images/an-image/json": {"Id": "sha256:1"}}) as daemon:
        params = {"image": image, "expected": expected, "on_difference": "fail" if strict else "report"}
        return image_versions.content(Docker(daemon.socket), command(folder, script), params, check_mode)


def test_versions_are_read(tmp_path):
    run = command(tmp_path, f'echo "a banner"; {PYTHON}')
    found, _output = image_versions.read([run], "an-image", NAMES)
    assert found == {
        "python": platform.python_version(),
        "cann": None,
        "pytest": metadata.version("pytest"),
        "no-such-package": None,
    }


def test_the_container_gets_neither_network_nor_devices(tmp_path):
    _found, output = image_versions.read([command(tmp_path, 'echo "$@"')], "an-image", [])
    assert output.startswith("run --rm --network=none --entrypoint=python3 an-image -c")


def test_an_image_that_does_not_answer(tmp_path):
    assert image_versions.read([command(tmp_path, NO_PYTHON)], "x", NAMES) == (None, "docker: no python3")


@pytest.mark.parametrize("strict", [True, False])
def test_expected_versions(tmp_path, strict):
    expected = {"python": platform.python_version(), "pytest": ">=1"}
    found = content(tmp_path, PYTHON, expected, strict)
    assert found == {"python": platform.python_version(), "pytest": metadata.version("pytest")}


def test_other_versions(tmp_path):
    with pytest.raises(ProblemError) as caught:
        content(tmp_path, PYTHON, {"pytest": "<1", "python": ">=3"}, strict=True)
    assert metadata.version("pytest") in caught.value.problem.found
    assert caught.value.problem.expected == "pytest <1"


def test_other_versions_are_reported(tmp_path):
    found = content(tmp_path, PYTHON, {"pytest": "<1"}, strict=False)
    assert found == {"pytest": metadata.version("pytest")}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("output", ["no python3", "OCI runtime create failed"])
def test_a_container_that_does_not_run_is_no_other_version(tmp_path, output, strict):
    with pytest.raises(image_versions.NoAnswerError, match=output):
        content(tmp_path, f"echo 'docker: {output}.'; exit 127", {"vllm": "1"}, strict)


def test_an_image_that_the_host_does_not_have_is_not_run(tmp_path):
    """Docker 18.09, which openEuler has, pulls what is missing, and has no option against that."""
    with pytest.raises(ProblemError, match="none"):
        content(tmp_path, f"touch {tmp_path}/ran", {"vllm": "1"}, strict=True, image="none")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("strict", "check_mode"), [(True, True), (False, False)])
def test_an_image_that_the_host_does_not_have_yet(tmp_path, strict, check_mode):
    found = content(tmp_path, "exit 1", {"vllm": "1"}, strict, check_mode, image="none")
    assert found is None
