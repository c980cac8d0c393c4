# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.shards import (
    INDEX,
    require_indexed,
    require_series,
)

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


def test_golden_messages(golden):
    missing = json.dumps({"weight_map": {"a": SHARD}})
    golden("shards", {"a shard missing": refusal(missing), "broken index": refusal("[")})
