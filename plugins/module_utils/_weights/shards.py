# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completeness of safetensors shards, by their names, their index, and their headers."""

from __future__ import annotations

import json
import os
import re
import struct
from typing import Iterable, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened

INDEX = "model.safetensors.index.json"
SUFFIX = ".safetensors"
POINTER = b"version https://git-lfs"  # what a file in Git LFS begins with that was not fetched
HEADER_MOST = 100_000_000  # bytes, the limit of the safetensors format
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


def require_whole(folder: str, paths: Iterable[str]) -> None:
    """Raise ProblemError for a shard among *paths* that the loader would refuse, whatever hash it is listed with."""
    flaws = {path: flaw(os.path.join(folder, path)) for path in paths if path.endswith(SUFFIX)}
    broken = [path for path, found in flaws.items() if found]
    if broken:
        raise ProblemError(
            f"{shortened(broken)} in {folder} cannot be loaded: {flaws[broken[0]]}",
            "whole files of safetensors",
            "They are as they are listed, so they are broken where they come from. Copy them again from there, with "
            "`git lfs pull` for pointers of Git LFS. Or choose another O(revision), and report it to the maintainer",
        )


def flaw(path: str) -> str:
    """Return why a file is no whole file of safetensors, empty if it is one.

    It begins with the length of its header, eight bytes little endian, and the header, which is JSON and says where
    each tensor ends (https://huggingface.co/docs/safetensors).
    """
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        start = file.read(len(POINTER))
        file.seek(0)
        if start == POINTER:
            return "a pointer of Git LFS in the place of the file"
        if start.lstrip()[:1] == b"<":
            return "a web page in the place of the file"
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if not 0 < length <= min(HEADER_MOST, size):
            return f"no header of safetensors in {size} bytes"
        try:
            tensors = json.loads(file.read(length))
            ends = [int(one["data_offsets"][1]) for name, one in tensors.items() if name != "__metadata__"]
        except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
            return "a header that cannot be read"
    described = 8 + length + max(ends, default=0)
    return "" if described == size else f"it has {size} bytes, and its header describes {described}"


def _require(missing: set[str], expected: str) -> None:
    if missing:
        raise ProblemError(
            f"{shortened(sorted(missing))} not among the files",
            expected,
            "Check that O(include) and O(exclude) select them. If they do, the repository is incomplete: "
            "report it to its maintainer",
        )
