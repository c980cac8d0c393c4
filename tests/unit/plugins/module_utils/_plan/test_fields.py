# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pydantic reads as which kind, and what it does not."""

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import fields

SECTION = {"boolean": ["on"], "integer": ["size"], "text": ["name", "mode"], "choices": {"mode": ["FULL", "NONE"]},
           "ranges": {"size": ">0,<=8"}, "refuses_others": True}  # fmt: skip
KNOWN = fields.of_file(
    {"outer": SECTION, "outer.inner": {**SECTION, "choices": None, "ranges": None}, "source": "x"}
)


def test_a_file_is_read():
    assert list(KNOWN) == ["outer", "outer.inner"]
    outer = KNOWN["outer"]
    assert outer.kinds == {"on": "boolean", "size": "integer", "name": "text", "mode": "text"}
    assert (outer.choices, outer.ranges) == (SECTION["choices"], SECTION["ranges"])
    assert outer.refuses_others
    assert (KNOWN["outer.inner"].choices, KNOWN["outer.inner"].ranges) == ({}, {})


def test_values_are_found_also_those_inside():
    args = {"outer": {"on": True, "none": None, "inner": {"size": 3}}, "other": {"a": 1}}
    assert list(fields.entries(KNOWN, args)) == [
        ("outer", "on", True), ("outer", "inner", {"size": 3}), ("outer.inner", "size", 3),
    ]  # fmt: skip
    assert list(fields.entries(KNOWN, {"outer": "text"})) == []
    assert fields.at(args, "outer.inner.size") == 3
    assert fields.at(args, "outer.on.size") is None


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("on", "yes", True), ("on", "maybe", False), ("size", 8, True), ("size", 9, False), ("size", "{api_port}", True),
        ("mode", "full", True), ("mode", "HALF", False), ("mode", 7, False), ("name", "any", True), ("unknown", [1], True),
    ],
)  # fmt: skip
def test_what_is_expected(key, value, taken):
    assert (fields.expected(KNOWN["outer"], key, value) is None) is taken


def test_what_is_expected_in_words():
    assert fields.expected(KNOWN["outer"], "mode", "HALF") == "one of FULL, NONE"
    assert fields.expected(KNOWN["outer"], "on", "maybe") == "true or false"
    assert "8" in fields.expected(KNOWN["outer"], "size", 9)


@pytest.mark.parametrize(
    ("kind", "value", "fits", "as_it_is"),
    [
        ("boolean", True, True, True), ("boolean", 0, True, True), ("boolean", 2, False, True), ("boolean", 1.5, False, False),
        ("boolean", "True", True, True), ("boolean", "off", True, False), ("boolean", "perhaps", False, False),
        ("boolean", [], False, False),
        ("integer", 3, True, True), ("integer", 3.0, True, True), ("integer", 3.5, False, False),
        ("integer", "3", True, False), ("integer", "3.5", False, False), ("integer", " -3 ", True, False),
        ("integer", "three", False, False), ("integer", [3], False, False), ("integer", None, False, False),
        ("number", 3.5, True, True), ("number", "1e-3", True, False), ("number", ".5", True, False),
        ("number", "1e9999", False, False), ("number", {}, False, False),
        ("integers", [1, 2], True, True), ("integers", (1,), True, True), ("integers", [1.5], False, False),
        ("integers", [], True, True), ("integers", 1, False, False), ("integers", "12", False, False),
        ("text", "a", True, True), ("text", 1, False, False),
        ("list", [1], True, True), ("list", (1,), True, True), ("list", "a", False, False),
        ("mapping", {}, True, True), ("mapping", [], False, False),
        ("any", object(), True, True),
    ],
)  # fmt: skip
def test_kinds(kind, value, fits, as_it_is):
    assert bool(fields.fits(kind, value)) is fits
    assert bool(fields.fits_as_it_is(kind, value)) is as_it_is


@pytest.mark.parametrize(
    ("value", "fits"), [(0, False), ("0", False), (1, True), (8, True), (8.5, False), ("9", False)]
)
def test_limits(value, fits):
    assert fields.fits("number", value, ">0,<=8") is fits
