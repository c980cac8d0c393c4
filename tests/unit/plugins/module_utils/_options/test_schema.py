# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import schema

NUMBERS = {"type": "list", "elements": "int"}


@pytest.mark.parametrize(
    ("option", "value", "result"),
    [
        ({"type": "int"}, "9000", 9000),  # as a survey sends it
        ({"type": "bool"}, "yes", True),
        ({"type": "bool"}, "false", False),
        ({"type": "str"}, 25.2, "25.2"),
        (NUMBERS, "[4, 5]", [4, 5]),
        (NUMBERS, ["4", 5], [4, 5]),
        ({"type": "list", "elements": "str"}, "/data/models", ["/data/models"]),
        ({"type": "list", "elements": "str"}, '["/a,b"]', ["/a,b"]),
        ({"type": "dict"}, '{"A": null}', {"A": None}),
        ({"type": "str", "choices": ["no", "always"]}, "no", "no"),
    ],
)
def test_a_value_becomes_of_its_type(option: dict[str, Any], value: Any, result: Any):
    assert schema.coerce(option, value) == result


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ({"type": "int"}, "http"),
        ({"type": "int"}, True),
        ({"type": "int"}, 1.5),
        *(({"type": "int"}, float(value)) for value in ("inf", "-inf", "nan")),  # as .inf in YAML
        (NUMBERS, [float("inf")]),
        ({"type": "bool"}, "perhaps"),
        ({"type": "str"}, {"name": "x"}),
        ({"type": "str"}, True),
        ({"type": "str"}, None),
        ({"type": "list", "elements": "str"}, {"a": 1}),
        (NUMBERS, "0-7"),
        ({"type": "dict"}, ["--x"]),
        ({"type": "dict"}, "null"),
        ({"type": "str", "choices": ["no", "always"]}, "sometimes"),
    ],
)
def test_a_value_of_another_type_is_refused(option: dict[str, Any], value: Any):
    with pytest.raises(schema.WrongType):
        schema.coerce(option, value)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"type": "int"}, "a whole number"),
        (NUMBERS, "a list of whole numbers"),
        ({"type": "str", "choices": ["a", "b"]}, "one of a, b"),
        ({"type": "list", "elements": "str", "choices": ["a", "b"]}, "some of a, b"),
    ],
)
def test_what_is_expected_is_put_into_words(option: dict[str, Any], expected: str):
    assert schema.expected(option) == expected
