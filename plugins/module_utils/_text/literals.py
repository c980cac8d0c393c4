# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the fixed parts of a regular expression.

Searching a text for a substring takes a small part of the time that a regular expression takes. So a text that
has none of these parts need not be searched at all.
"""

from __future__ import annotations

import re

SHORTEST = 2  # shorter parts are in almost every text
TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|\((?:\?(?:P<\w+>|<?[=!]|:))?|.", re.DOTALL)
QUANTIFIERS = "?*{"  # the part before it may be missing, or occur several times


def literals(pattern: str) -> tuple[str, ...]:
    """Return substrings of which each match has at least one; none if the pattern does not tell.

    It understands what the patterns of this collection use: no flags in the pattern, no backreferences.
    """
    found: list[tuple[str, ...]] = []
    for branch in _branches(TOKEN.findall(pattern)):
        best = max(_parts(branch), key=_weight, default=())
        if not best:
            return ()
        found.append(best)
    return tuple(part for parts in found for part in parts)


def _weight(parts: tuple[str, ...]) -> int:
    return min(map(len, parts), default=0)


def _branches(tokens: list[str]) -> list[list[str]]:
    """Return the alternatives of a pattern."""
    branches: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token[0] == "(") - (token == ")")
        if token == "|" and not depth:
            branches.append([])
        else:
            branches[-1].append(token)
    return branches


def _parts(tokens: list[str]) -> list[tuple[str, ...]]:
    """Return what each match of these tokens has: for each fixed part or group, its possible substrings."""
    parts: list[tuple[str, ...]] = []
    run = ""
    index = 0
    while index < len(tokens):
        token, inner = tokens[index], ""
        if token[0] == "(":
            end = _end(tokens, index)
            inner, index = "".join(tokens[index + 1 : end]), end
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        optional = after[:1] != "" and after[0] in QUANTIFIERS
        letter = _letter(token)
        if letter and not optional:
            run += letter
        if not letter or optional or after == "+":
            parts.append((run,))
            run = ""
        if inner and not optional and token[-1] not in "=!":
            parts.append(literals(inner))
        index += 1
    return [each for each in (*parts, (run,)) if _weight(each) >= SHORTEST]


def _letter(token: str) -> str:
    """Return the character that a token stands for; empty if it may stand for several or none."""
    if token[0] == "\\":
        return "" if token[1].isalnum() else token[1]
    return "" if len(token) > 1 or token in ".^$()|+?*[" else token


def _end(tokens: list[str], start: int) -> int:
    """Return the index of the parenthesis that closes the one at *start*."""
    depth = 0
    for index in range(start, len(tokens)):
        depth += (tokens[index][0] == "(") - (tokens[index] == ")")
        if not depth:
            return index
    raise ValueError("a parenthesis is not closed: " + "".join(tokens[start:]))
