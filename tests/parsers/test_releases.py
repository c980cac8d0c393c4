# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of vLLM that have parsers for GLM-4.7 of their own, as published."""

from __future__ import annotations

import zipfile

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

PARSED = ["0.14.0", "0.14.1", "0.15.0", "0.16.0"]  # by vLLM's own parsers
STREAMING, COMMON = "tool_parsers/glm4_moe_streaming_parser.py", "tool_parsers/glm4_moe_tool_parser.py"
GLM47 = "tool_parsers/glm47_moe_tool_parser.py"
REPAIRED = {
    "0.17.0": [STREAMING, GLM47],
    "0.18.0": [STREAMING, GLM47],
    "0.19.0": [STREAMING, GLM47],
    "0.23.0": [COMMON],
}


@pytest.fixture(name="package")
def published(wheel):
    """Read a file of the release's wheel; None if there is none."""
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())

        def read(name: str) -> str | None:
            return opened.read(f"vllm/{name}").decode("utf-8") if f"vllm/{name}" in names else None

        yield read


@pytest.mark.parametrize("wheel", PARSED, indirect=True)
def test_there_is_nothing_to_do(package, releases):
    version = patch_set.version_of(package(patch_set.VERSION_FILE))
    assert patch_set.files_for(version, releases) == []
    assert '"glm47": (' in package("tool_parsers/__init__.py")
    assert '"glm45": (' in package("reasoning/__init__.py")


@pytest.mark.parametrize(("wheel", "changed"), REPAIRED.items(), ids=REPAIRED, indirect=["wheel"])
def test_files_of_the_release_become_what_the_patch_set_expects(package, releases, changed):
    files = patch_set.files_for(patch_set.version_of(package(patch_set.VERSION_FILE)), releases)
    new, problems = patch_set.changes(files, {file["path"]: package(file["path"]) for file in files})
    assert problems == []
    assert list(new) == changed
