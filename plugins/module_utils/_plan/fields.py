# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values inside of mappings, such as those of --compilation-config: what the release takes for each key."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags, values

# What pydantic reads as a boolean.
TRUE = frozenset(("1", "on", "t", "true", "y", "yes"))
BOOLEANS = TRUE | {"0", "f", "false", "n", "no", "off"}
EXPECTED = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "text": "text",
    "integers": "a list of whole numbers",
    "list": "a list",
    "mapping": "a mapping",
}
KINDS = (*EXPECTED, "any")


class Fields(NamedTuple):
    """What a mapping takes."""

    kinds: Mapping[str, str]  # one of KINDS, by key
    choices: Mapping[str, Sequence[str]]  # the texts that a key takes, if it takes no others
    ranges: Mapping[str, str]  # such as ">0,<=1", of numbers
    refuses_others: bool  # whether vLLM does not start with other keys


def of_file(content: Mapping[str, Any]) -> dict[str, Fields]:
    """Return the mappings that a file of profiles/fields has, by their flag, or FLAG.KEY for those inside."""
    return {
        name: Fields(
            {key: kind for kind in KINDS for key in section.get(kind, ())},
            section["choices"] or {},
            section["ranges"] or {},
            section["refuses_others"],
        )
        for name, section in content.items()
        if isinstance(section, Mapping)
    }


def entries(known: Mapping[str, Fields], args: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield mapping, key and value of what *args* have in *known* mappings, those inside last. A null says nothing."""
    for name in known:
        value = at(args, name)
        for key, part in value.items() if isinstance(value, Mapping) else ():
            if part is not None:
                yield name, str(key), part


def at(content: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as MAPPING.KEY, None if there is none."""
    value: Any = content
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def expected(fields: Fields, key: str, value: Any) -> str | None:
    """Return what the value of a key should be; None if vLLM takes it, or if a placeholder is in it."""
    kind, limits, choices = (
        fields.kinds.get(key, "any"),
        fields.ranges.get(key, ""),
        fields.choices.get(key, ()),
    )
    if values.is_open(value):
        return None
    if choices and isinstance(value, str):
        return None if value.upper() in map(str.upper, choices) else f"one of {', '.join(choices)}"
    return None if fits(kind, value, limits) else words(kind, limits)


def words(kind: str, limits: str = "") -> str:
    """Return a kind in words."""
    return EXPECTED[kind] + flags.limits_text(limits)


def fits(kind: str, value: Any, limits: str = "") -> bool:
    """Return whether pydantic reads a value as that kind. It converts texts to numbers, and 1 to true."""
    if kind == "boolean":
        return value in (0, 1) if not isinstance(value, str) else value.lower() in BOOLEANS
    if kind in ("integer", "number"):
        return _is_number(kind, value, limits)
    if kind == "integers":
        return isinstance(value, (list, tuple)) and all(_is_number("integer", part, "") for part in value)
    types: dict[str, Any] = {"text": str, "list": (list, tuple), "mapping": Mapping}
    return kind not in types or isinstance(value, types[kind])


def fits_as_it_is(kind: str, value: Any) -> bool:
    """Return whether Python without pydantic reads a value as that kind: any text is true, and none is a number."""
    if isinstance(value, str) and kind in ("boolean", "integer", "number"):
        return kind == "boolean" and value.lower() in TRUE
    return fits(kind, value) or (kind == "boolean" and isinstance(value, int))


def _is_number(kind: str, value: Any, limits: str) -> bool:
    if not isinstance(value, (bool, int, float, str)):
        return False
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*", value):
        return False
    number = float(value)
    return (kind == "number" or number.is_integer()) and flags.is_within(number, limits)
