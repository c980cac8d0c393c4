# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import words
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("texts", "joined"), [(["b", "a", "b"], "a and b"), ([None], "unknown"), (["", "a"], "a and unknown")]
)
def test_texts_are_joined_once_each(texts: list[str | None], joined: str):
    assert words.join(texts) == joined


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([1, 0], "0-1"), ([5, 0, 2, 1], "0-2, 5"), ([0, 2, 4], "0, 2, 4")],
)
def test_numbers_in_a_row_are_a_range(numbers: list[int], text: str):
    assert words.numbers(numbers) == text


@given(st.sets(st.integers(0, 40)))
def test_no_number_is_lost_or_added(numbers: set[int]):
    ranges = [part.partition("-")[::2] for part in words.numbers(numbers).split(", ") if part]
    assert {one for first, last in ranges for one in range(int(first), int(last or first) + 1)} == numbers


def test_numbers_with_the_same_value_are_together():
    assert words.by_value({7: "gone", 1: "DOWN", 2: "DOWN"}, "port") == "gone (port 7); DOWN (port 1-2)"


def test_sizes():
    assert (words.megabytes(None), words.megabytes(0)) == ("size unknown", "0 MB")
    assert words.gigabytes(1_550_000_000) == "1.6 GB"
