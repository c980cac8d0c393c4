# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and lists as the findings name them."""

from __future__ import annotations

from typing import Iterable, Mapping

GB = 10**9


def join(texts: Iterable[str | None]) -> str:
    return " and ".join(sorted({text or "unknown" for text in texts}))


def megabytes(value: int | None) -> str:
    return "size unknown" if value is None else f"{value} MB"


def gigabytes(size: int) -> str:
    return f"{size / GB:.1f} GB"


def numbers(numbers: Iterable[int]) -> str:
    """Return 0-2, 5 for 0, 1, 2, 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def by_value(values: Mapping[int, str], what: str) -> str:
    """Return "DOWN (port 1-2); no answer (port 7)" for {1: DOWN, 2: DOWN, 7: no answer}."""
    groups: dict[str, list[int]] = {}
    for number, value in values.items():
        groups.setdefault(value, []).append(number)
    return "; ".join(f"{value} ({what} {numbers(group)})" for value, group in groups.items())
