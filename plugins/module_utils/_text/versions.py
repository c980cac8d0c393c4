# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare versions of drivers (25.0.rc1.1), CANN (8.3.RC2) and Python packages (0.13.0rc1, 2.8.0+cpu)."""

from __future__ import annotations

import re
from typing import Mapping

PART = re.compile(r"(dev|rc|post)?(\d{1,9})")
BUILD = re.compile(r"\.b\d{1,9}$", re.IGNORECASE)
ORDER = {"dev": 0, "rc": 1, None: 2, "post": 3}
CONDITION = re.compile(r"(>=|<=|==|!=|>|<)?\s*(\S+)")
HOLDS = {
    ">=": (0, 1),
    "<=": (-1, 0),
    "==": (0,),
    "!=": (-1, 1, None),
    ">": (1,),
    "<": (-1,),
}


def compare(one: str, other: str) -> int | None:
    """Return -1, 0 or 1 if *one* is older than, equal to or newer than *other*; None if they do not compare."""
    one, other = _plain(one), _plain(other)
    if one == other:
        return 0
    keys = [_key(one), _key(other)]
    if not all(keys):
        return None
    length = max(map(len, keys))
    first, second = (key + [(ORDER[None], 0)] * (length - len(key)) for key in keys)
    return (first > second) - (first < second)


def release(version: str) -> str:
    """Return the release that a build of a driver belongs to: 26.1.0 for 26.1.0.b061."""
    return BUILD.sub("", version)


def satisfies(version: str | None, expected: str) -> bool:
    """Return whether *version* is the *expected* one, or satisfies it: `>=3.10,<3.12`."""
    if version is None:
        return False
    return all(
        condition is not None and compare(version, condition.group(2)) in HOLDS[condition.group(1) or "=="]
        for condition in _conditions(expected)
    )


def is_condition(expected: str) -> bool:
    """Return whether *expected* is a version or a list of conditions."""
    return all(
        condition is not None and _key(_plain(condition.group(2))) for condition in _conditions(expected)
    )


def differences(found: Mapping[str, str | None], expected: Mapping[str, object]) -> dict[str, str]:
    """Return {name: version} of those in *found* that are not as *expected*."""
    return {
        name: found.get(name) or "missing"
        for name, version in expected.items()
        if not satisfies(found.get(name), str(version))
    }


def _conditions(expected: str) -> list[re.Match[str] | None]:
    return [CONDITION.fullmatch(text.strip()) for text in expected.split(",")]


def _plain(text: str) -> str:
    """Return the version without its local part: `0.13.0+empty` is 0.13.0."""
    return text.lower().partition("+")[0]


def _key(text: str) -> list[tuple[int, int]]:
    """Return a key that sorts 25.0.rc1 < 25.0.rc1.1 < 25.0 < 25.0.1; empty for a version of another form."""
    parts = [PART.fullmatch(part) for part in re.sub(r"(?<=\d)(?=rc|post|dev)", ".", text).split(".")]
    return [(ORDER[part.group(1)], int(part.group(2))) for part in parts if part] if all(parts) else []
