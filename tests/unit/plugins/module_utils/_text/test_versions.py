# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import versions
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0.13.0rc1", "0.13.0rc2"),
        ("0.13.0rc2", "0.13.0"),
        ("2.8.0.dev1", "2.8.0rc1"),
        ("2.8.0", "2.8.0.post1"),
        ("8.3.RC2", "8.3.0"),
        ("3.9.1", "3.10"),
    ],
)
def test_versions_are_ordered(older, newer):
    assert (versions.compare(older, newer), versions.compare(newer, older)) == (-1, 1)


@pytest.mark.parametrize(
    ("one", "same"), [("2.8.0+cpu", "2.8.0"), ("8.3.RC2", "8.3.rc2"), ("0.13", "0.13.0")]
)
def test_versions_that_are_equal(one, same):
    assert versions.compare(one, same) == 0


@pytest.mark.parametrize("version", ["25.2.1.B010", "main", "", "1..2"])
def test_versions_of_another_form_are_not_compared(version):
    assert versions.compare(version, "25.2.1") is None


@pytest.mark.parametrize(
    ("version", "expected", "is_wanted"),
    [
        ("3.11.13", ">=3.10,<3.12", True),
        ("3.10.0", ">= 3.10, <3.12", True),
        ("3.12.0", ">=3.10,<3.12", False),
        ("3.9.7", ">=3.10,<3.12", False),
        ("2.8.0", "2.8.0", True),
        ("2.8.0.post2", "2.8.0", False),
        ("2.8.0", "!=2.8.0", False),
        ("2.9.0", "!=2.8.0", True),
        ("2.7.0", "!=2.8.0", True),
        ("main", "!=2.8.0", True),
        ("2.7.0", "<=2.8.0", True),
        ("2.8.0", "<=2.8.0", True),
        ("2.9.0", "<=2.8.0", False),
        ("2.8.0", ">2.8.0", False),
        ("2.9.0", ">2.8.0", True),
        ("2.8.0", "<2.8.0", False),
        ("2.8.0", "==2.8.0", True),
        ("2.8.0", "two words", False),
        ("unknown", ">=1", False),
        ("1.0", "", False),
        (None, ">=3.10", False),
    ],
)
def test_conditions(version, expected, is_wanted):
    assert versions.satisfies(version, expected) is is_wanted


def test_differences_are_told_with_what_was_found():
    found = {"vllm": "0.13.0+empty", "torch": "2.9.0", "cann": None}
    other = versions.differences(found, {"vllm": "0.13.0", "torch": 2.8, "cann": "8.3.rc2", "x": "1"})
    assert set(other) == {"torch", "cann", "x"}
    assert other["torch"] == "2.9.0"
    assert other["cann"] == other["x"] == "missing"


@given(st.text(), st.text())
def test_any_text_can_be_compared(one, other):
    assert versions.compare(one, other) in (-1, 0, 1, None)


@pytest.mark.parametrize(
    ("text", "one"),
    [(">=3.10, <4", True), ("2.8", True), ("main", False), (">=3.10,", False), ("a b", False)],
)
def test_what_is_a_condition(text, one):
    assert bool(versions.is_condition(text)) is one


@pytest.mark.parametrize(
    ("version", "release"), [("26.1.0.b061", "26.1.0"), ("26.1.0.B061", "26.1.0"), ("26.1.0", "26.1.0")]
)
def test_the_release_of_a_build(version, release):
    assert versions.release(version) == release
