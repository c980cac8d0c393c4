# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of settings in both READMEs, against the schema and the shipped values."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from shipped import ROLE_OPTIONS, ROOT, SETTINGS, settings

NAMES = re.compile(r"`((?:vllm|weights|image|verify|serve|preflight)_[a-z_]+)`")
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
NONE = ("none", "无")
ELSEWHERE = ("the profile's", "见 profile")  # a mapping
COMPUTED = {"vllm_service_ip", "vllm_service_nic"}  # on the host


def default(name: str) -> Any:
    """Return what a setting is if nobody sets it: by the schema, or else by the default model."""
    option = {**SETTINGS, **ROLE_OPTIONS}[name]
    key = name[len("vllm_") :] if name.startswith("vllm_") else ""
    return option["default"] if "default" in option else settings().get(key)


@pytest.fixture(name="text", params=["README.md", "README.zh-CN.md"])
def text_of_readme(request: pytest.FixtureRequest) -> str:
    return (ROOT / request.param).read_text(encoding="utf-8")


def test_every_default_is_right(text):
    rows = ROW.findall(text)
    assert len(rows) > 20
    for name, shown, _sentence in rows:
        if shown in NONE:
            assert default(name) in (None, "", []), name
        elif shown in ELSEWHERE:
            assert isinstance(settings()[name[len("vllm_") :]], dict), name
        elif name not in COMPUTED:
            assert yaml.safe_load(shown.strip("`")) == default(name), name


def test_every_name_exists(text):
    assert set(NAMES.findall(text)) - set(SETTINGS) - set(ROLE_OPTIONS) <= {"vllm_head", "vllm_workers"}


def test_both_tables_have_the_same_rows():
    english, chinese = (
        [row[0] for row in ROW.findall((ROOT / name).read_text(encoding="utf-8"))]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese
