# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of vLLM that have parsers for GLM-4.7 of their own, as published."""

from __future__ import annotations

import zipfile

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

PARSED = ["0.14.0", "0.14.1", "0.15.0", "0.16.0"]  # by vLLM's own parsers
REPAIRED = ["0.23.0"]


@pytest.fixture(name="package")
def published(wheel):
    """Read a file of the release's wheel."""
    with zipfile.ZipFile(wheel) as opened:
        yield lambda name: opened.read(f"vllm/{name}").decode("utf-8")


@pytest.mark.parametrize("wheel", PARSED, indirect=True)
def test_there_is_nothing_to_do(package, releases):
    version = patch_set.version_of(package(patch_set.VERSION_FILE))
    assert patch_set.files_for(version, releases) == []
    assert '"glm47": (' in package("tool_parsers/__init__.py")
    assert '"glm45": (' in package("reasoning/__init__.py")


@pytest.mark.parametrize("wheel", REPAIRED, indirect=True)
def test_files_of_the_release_become_what_the_patch_set_expects(package, releases):
    files = patch_set.files_for(patch_set.version_of(package(patch_set.VERSION_FILE)), releases)
    new, problems = patch_set.changes(files, {file["path"]: package(file["path"]) for file in files})
    assert problems == []
    assert list(new) == ["tool_parsers/glm4_moe_tool_parser.py"]
