# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.shards import (
    INDEX,
    require_indexed,
    require_series,
    require_whole,
)
from shards import shard

SHARD = "model-00001-of-00001.safetensors"


def refusal(index: str) -> str:
    with pytest.raises(ProblemError) as error:
        require_indexed(index, ["config.json"])
    return str(error.value)


@pytest.mark.parametrize(
    "paths",
    [
        ["config.json"],
        [SHARD],
        ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "b/x-00003-of-00009.bin"],
    ],
)
def test_a_complete_series_of_shards_is_accepted(paths: list[str]):
    require_series(paths)


def test_an_incomplete_series_is_refused():
    with pytest.raises(ProblemError, match="a-00002-of-00002"):
        require_series(["a-00001-of-00002.safetensors"])


def test_an_index_with_its_shards_is_accepted():
    require_indexed(json.dumps({"weight_map": {"a": SHARD, "b": SHARD}}), ["config.json", SHARD])


@pytest.mark.parametrize(
    ("index", "named"),
    [(json.dumps({"weight_map": {"a": SHARD}}), SHARD), ("{}", INDEX), ("[", INDEX)],
)
def test_an_index_without_its_shards_is_refused(index: str, named: str):
    assert named in refusal(index)


def tensors(*ends: int) -> bytes:
    header = json.dumps({f"t{end}": {"data_offsets": [0, end]} for end in ends}).encode()
    return struct.pack("<Q", len(header)) + header


WHOLE = tensors(10, 100) + bytes(100)
BROKEN = {
    "a pointer of Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:97163\nsize 4932307584\n",
        "pointer of Git LFS",
    ),
    "a web page": (b"<!DOCTYPE html><html>403 Forbidden</html>", "web page"),
    "cut off": (WHOLE[:-1], "describes"),
    "too long": (WHOLE + b"x", "describes"),
    "cut off in the header": (WHOLE[:20], "no header"),
    "empty": (b"", "no header"),
    "zeros": (bytes(1000), "no header"),
    "another format": (struct.pack("<Q", 4) + b"GGUF", "cannot be read"),
    "offsets that are none": (struct.pack("<Q", 22) + b'{"a":{"data_offsets":1', "cannot be read"),
}


@pytest.mark.parametrize(("content", "named"), BROKEN.values(), ids=BROKEN)
def test_a_shard_that_no_loader_takes_is_named(tmp_path: Path, content: bytes, named: str):
    (tmp_path / SHARD).write_bytes(content)
    with pytest.raises(ProblemError, match=SHARD) as error:
        require_whole(str(tmp_path), ["config.json", SHARD])
    assert named in error.value.problem.found


@pytest.mark.parametrize("content", [WHOLE, tensors(), tensors(0), shard(1000)])
def test_a_whole_shard_is_accepted(tmp_path: Path, content: bytes):
    (tmp_path / SHARD).write_bytes(content)
    require_whole(str(tmp_path), ["config.json", SHARD])


def test_golden_messages(golden, tmp_path: Path):
    (tmp_path / SHARD).write_bytes(WHOLE[:-1])
    with pytest.raises(ProblemError) as error:
        require_whole(str(tmp_path), [SHARD])
    broken = str(error.value).replace(str(tmp_path), "/models")
    missing = json.dumps({"weight_map": {"a": SHARD}})
    golden(
        "shards",
        {"a shard missing": refusal(missing), "broken index": refusal("["), "a shard cut off": broken},
    )
