# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of log signatures that `make docs` makes."""

from __future__ import annotations

import re
import runpy

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import (
    SIGNATURES,
    Signature,
)
from shipped import ROOT, read

PAGE = runpy.run_path(str(ROOT / "tests" / "signatures_page.py"))["page"]
CHINESE = read(ROOT / "tests" / "signatures.zh-CN.yml")["signatures"]
# Code, settings, playbooks and commands, which are the same in any language.
CODE = re.compile(
    r"`[^`]+`|\b[a-z]+(?:[_-][a-z]+)+\b|\b[A-Z]+(?:_[A-Z]+)+(?:=\w+)?|\b[a-z]+\.yml|/[a-z][\w./]+|\d+"
)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_page_has_every_signature_and_code(language: str):
    page = PAGE(language).split("\n")
    assert {f"## {one.id}" for one in SIGNATURES} < set(page)
    rows = {line.split(" | ")[0] for line in page if line.startswith("| ")}
    assert {f"| {code}" for one in SIGNATURES for code in one.codes} < rows
    assert any("its rules for vLLM" in line and "| 21 of 21 |" in line for line in page)


def test_each_chinese_text_is_of_a_signature():
    assert set(CHINESE) <= {one.id for one in SIGNATURES}


def test_a_signature_without_a_chinese_text_has_the_english_one(monkeypatch: pytest.MonkeyPatch):
    one = SIGNATURES[0]
    monkeypatch.delitem(PAGE.__globals__["CHINESE"]["signatures"], one.id)
    page = PAGE("zh-CN")
    assert f"{one.cause[1:].replace('{what}', '&lt;…>')}.\n" in page
    assert f"{one.remedy}.\n" in page
    assert CHINESE[one.id]["remedy"] not in page


TRANSLATED = [one for one in SIGNATURES if one.id in CHINESE]


@pytest.mark.parametrize("one", TRANSLATED, ids=[one.id for one in TRANSLATED])
def test_the_chinese_text_names_the_same_code_as_the_english(one: Signature):
    chinese = CHINESE[one.id]
    assert set(CODE.findall(one.remedy)) == set(CODE.findall(chinese["remedy"]))
    assert ("{what}" in one.cause) == ("{what}" in chinese["cause"])
