# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.literals import literals


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
    ],
)
def test_the_parts_of_a_pattern(pattern: str, parts: tuple[str, ...]):
    assert literals(pattern) == parts
