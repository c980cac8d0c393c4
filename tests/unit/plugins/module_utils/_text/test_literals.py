# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.literals import literals
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.redaction import PATTERNS
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("plain text", ("plain text",)),
        (r"one|two (?:or)? more", ("one", " more")),
        (r"^\[supervisor\] .*(?P<what>wrong signature)", ("wrong signature",)),
        (r"(?P<what>(?:NPU|CUDA) out of memory.*|MemoryError)", (" out of memory", "MemoryError")),
        (r"\d+ (?P<n>[a-z]+) died", (" died",)),
        (r"colou?r", ("colo",)),
        (r"ab+c", ("ab",)),
        (r"abc{2}defg", ("defg",)),
        (r"\w+(?!never)(?=nor this)", ()),
        (r"known|\d+", ()),
        (r"\$\{x\}|\|\|", ("${x}", "||")),
        (r"see (?:docs|pages)", ("see ",)),
        (r"abcd{x", ("abc",)),
        (r"\d\d\dab", ("ab",)),
        (r"a(bc)", ("bc",)),
        (r"(ab)", ("ab",)),
        (r"(?:ab)?cd", ("cd",)),
        (r"(?<=past)ab", ("ab",)),
        (r"(x(ab|cd)|efg)", ("ab", "cd", "efg")),
        (r"[^]x]ab[]y]", ("ab",)),
    ],
)
def test_the_parts_of_a_pattern(pattern: str, parts: tuple[str, ...]):
    assert literals(pattern) == parts


@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_text_that_a_pattern_of_secrets_finds_has_one_of_its_parts(pattern):
    parts = [part.lower() for part in literals(pattern.pattern)]

    @given(st.from_regex(pattern))
    def holds(text: str) -> None:
        assert not parts or any(part in text.lower() for part in parts)

    holds()


def test_a_parenthesis_that_is_not_closed_is_an_error():
    with pytest.raises(ValueError, match="not closed"):
        literals("a(b")
