# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page "Releases and models", in both languages, against the table, the rules and the profiles."""

from __future__ import annotations

import re
import runpy

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from shipped import MODELS, ROOT, settings

PAGES = {"en": "releases.md", "zh": "releases.zh-CN.md"}
ROW = re.compile(r"^\| `([^|]+)` \| (.+) \|$", re.MULTILINE)


@pytest.fixture(name="text", params=PAGES.values())
def text_of_page(request: pytest.FixtureRequest) -> str:
    return (ROOT / "docs" / request.param).read_text(encoding="utf-8")


@pytest.mark.parametrize("language", PAGES)
def test_the_table_of_releases_is_the_files(language):
    table = runpy.run_path(str(ROOT / "tests" / "releases_table.py"))["table"](language)
    page = (ROOT / "docs" / PAGES[language]).read_text(encoding="utf-8")
    assert table in page, f"Put the output of tests/releases_table.py {language} into it."


def test_every_rule_is_there(text):
    names = {name for cell, _rest in ROW.findall(text) for name in re.split(r"`[,、] ?`", cell)}
    assert set(lint.RULES) <= names


def test_every_profile_is_there_with_its_release(text):
    rows = {cell: rest.rpartition(" | ")[2] for cell, rest in ROW.findall(text)}
    assert {path.stem: rows.get(path.stem) for path in MODELS} == {
        path.stem: settings(path.stem)["image_versions"]["vllm_ascend"] for path in MODELS
    }


def test_the_profile_in_it_is_complete(text, tmp_path):
    (profile,) = (
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "model_repo" in block
    )
    (tmp_path / "my-model.yml").write_text(profile, encoding="utf-8")
    assert settings(str(tmp_path / "my-model.yml"))["model_repo"] == yaml.safe_load(profile)["model_repo"]
