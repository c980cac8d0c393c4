# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completeness of safetensors shards, by their names and by their index."""

from __future__ import annotations

import json
import re
from typing import Iterable, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened

INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})\.safetensors")  # as Transformers names them


def require_series(paths: Sequence[str]) -> None:
    """Raise ProblemError if *paths* have some shards of a series but not all, by the count in their names."""
    series = {match.groups() for match in map(SHARD.fullmatch, paths) if match}
    complete = {
        f"{name}-{number:05}-of-{count}.safetensors"
        for name, count in series
        for number in range(1, int(count) + 1)
    }
    _require(complete - set(paths), "every shard of its series")


def require_indexed(index: str, paths: Iterable[str]) -> None:
    """Raise ProblemError if *index*, the text of a safetensors index, names shards not in *paths*."""
    try:
        missing = set(map(str, json.loads(index)["weight_map"].values())) - set(paths)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProblemError(
            f"{INDEX} is not a safetensors index",
            "a JSON object with weight_map",
            "Report the broken file to the maintainer of the repository",
        ) from None
    _require(missing, f"every shard that {INDEX} names")


def _require(missing: set[str], expected: str) -> None:
    if missing:
        raise ProblemError(
            f"{shortened(sorted(missing))} not among the files",
            expected,
            "Check that O(include) and O(exclude) select them. If they do, the repository is incomplete: "
            "report it to its maintainer",
        )
