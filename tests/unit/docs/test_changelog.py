# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fragments of the changelog, against what was released, and against the settings."""

from __future__ import annotations

import re

import pytest
from shipped import ROOT, SETTABLE, read

FRAGMENTS = sorted((ROOT / "changelogs/fragments").glob("*.yml"))
NEW = {"release_summary", "major_changes", "minor_changes", "known_issues"}
SETTING = re.compile(
    r"``((?:vllm|preflight|image|weights|container|serve|verify|gateway|monitoring)_[a-z_]+)``"
)
KNOWN = SETTABLE | {"vllm_plan", "vllm_monitoring", "vllm_gateway"}


@pytest.mark.skipif(
    bool(read(ROOT / "changelogs/changelog.yaml")["releases"]),
    reason="there is something that can have changed",
)
@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_before_the_first_release_everything_is_new(path):
    assert set(read(path)) <= NEW


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_every_setting_exists(path):
    assert set(SETTING.findall(path.read_text(encoding="utf-8"))) <= KNOWN
