# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a model say about its weights, without reading the weights."""

from __future__ import annotations

import glob
import json
import os
import re
import struct
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.shards import HEADER_MOST

if TYPE_CHECKING:
    from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import Server

CONFIG = "config.json"
SHARDS = ".safetensors"
AGAIN = "Download it again"


class ModelFiles(NamedTuple):
    """The content of config.json, and the sizes of the weights as far as they are known."""

    config: dict[str, Any]
    size: float | None  # bytes of all weights
    tensors: dict[str, int]  # bytes of each tensor, empty if not known


def of_folder(folder: str) -> ModelFiles:
    """Read the files in a folder: the headers of all shards, or else the size in the index.

    Raises ProblemError if there is no config.json, or if a file cannot be read.
    """
    config = _read_json(os.path.join(folder, CONFIG))
    pattern = os.path.join(glob.escape(folder), "*" + SHARDS)
    shards = {os.path.basename(path): path for path in sorted(glob.glob(pattern))}
    size = None
    complete = bool(shards)
    for path in glob.glob(pattern + ".index.json"):
        index = _read_json(path)
        size, named = _index(path, index)
        complete = complete and named <= set(shards)
    tensors: dict[str, int] = {}
    for path in shards.values() if complete else ():
        tensors.update(_header(path))
    return ModelFiles(config, float(sum(tensors.values())) if tensors else size, tensors)


def of_hub(hub: Server, repo: str, revision: str) -> ModelFiles:
    """Ask a hub for config.json, and for the sizes of the shards, which its listing has.

    Raises ProblemError as the hub does, and if the repository has no config.json.
    """
    hub.log_in()
    sizes = [file.size for file in hub.snapshot(repo, revision).files if file.path.endswith(SHARDS)]
    return ModelFiles(hub.document(repo, revision, CONFIG), float(sum(sizes)) or None, {})


def _read_json(path: str) -> dict[str, Any]:
    expected, remedy = (
        "the JSON file that the model's repository has",
        "Copy it there, or name another folder",
    )
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror}", expected, remedy) from None
    except (RecursionError, ValueError):
        raise ProblemError(f"{path} is not JSON", expected, remedy) from None
    if not isinstance(content, dict):
        raise ProblemError(f"{path} is not a JSON object", expected, remedy)
    return content


def _index(path: str, index: Mapping[str, Any]) -> tuple[float | None, set[str]]:
    """Return the size of all weights that an index has, None if it has none, and the names of the shards."""
    metadata, shards = index.get("metadata") or {}, index.get("weight_map") or {}
    if not isinstance(metadata, dict) or not isinstance(shards, dict):
        raise ProblemError(f"{path} is not an index of weights", "mappings metadata and weight_map", AGAIN)
    size = metadata.get("total_size")
    if size is not None and not re.fullmatch(r"[0-9]{1,15}(\.0)?", str(size)):
        raise ProblemError(f"{path} has total_size: {str(size)[:40]}", "the bytes of all weights", AGAIN)
    return float(size) if size else None, {str(shard) for shard in shards.values()}


def _header(path: str) -> dict[str, int]:
    """Return the bytes of each tensor of a shard.

    A shard begins with the length of its header, eight bytes little endian, and the header, which is JSON
    (https://huggingface.co/docs/safetensors).
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            content = json.loads(file.read(min(length, HEADER_MOST)))
        tensors = {name: tensor["data_offsets"] for name, tensor in content.items() if name != "__metadata__"}
        sizes = {name: int(end) - int(begin) for name, (begin, end) in tensors.items()}
        if min(sizes.values(), default=0) < 0:
            raise ValueError("a tensor ends before it begins")
    except (
        AttributeError,
        KeyError,
        OSError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ):
        raise ProblemError(f"{path} has no header that can be read", "a file of safetensors", AGAIN) from None
    return sizes
