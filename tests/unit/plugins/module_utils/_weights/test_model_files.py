# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a model say: a folder with all of them, with a part, with damaged ones; and the lab's hub."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import model
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import model_files

CONFIG = {
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
    "intermediate_size": 16, "moe_intermediate_size": 4, "first_k_dense_replace": 1, "n_routed_experts": 2,
    "n_shared_experts": 1, "num_experts_per_tok": 1, "vocab_size": 10, "num_nextn_predict_layers": 1,
}  # fmt: skip
# Names as in the repository of GLM-4.7, layer 2 is the draft layer; and what counts them.
TENSORS = {
    "model.embed_tokens.weight": (160, "vocabulary"),
    "lm_head.weight": (160, "vocabulary"),
    "model.norm.weight": (16, "copied"),
    "model.layers.0.self_attn.q_proj.weight": (128, "sliced"),
    "model.layers.0.self_attn.k_proj.weight": (64, "kv"),
    "model.layers.0.self_attn.v_proj.bias": (8, "kv"),
    "model.layers.0.self_attn.kv_a_proj_with_mqa.weight": (32, "copied"),
    "model.layers.0.mlp.gate_proj.weight": (256, "sliced"),
    "model.layers.1.mlp.gate.weight": (32, "copied"),
    "model.layers.1.mlp.gate.e_score_correction_bias": (8, "copied"),
    "model.layers.1.mlp.experts.0.gate_proj.weight": (64, "experts"),
    "model.layers.1.mlp.experts.1.down_proj.weight_scale": (4, "experts"),
    "model.layers.1.mlp.shared_experts.up_proj.weight": (64, "shared"),
    "model.layers.1.input_layernorm.weight": (16, "copied"),
}
DRAFT = {"model.layers.2.eh_proj.weight": 256, "model.layers.2.mlp.experts.0.up_proj.weight": 64}
SIZES = {**{name: size for name, (size, _kind) in TENSORS.items()}, **DRAFT}


def shard(path: Path, sizes: dict[str, int]) -> None:
    """Write a file of safetensors with zeros."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, size in sizes.items():
        header[name] = {"dtype": "I8", "shape": [size], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


@pytest.fixture(name="folder")
def folder_of_a_model(tmp_path: Path) -> Path:
    names = list(SIZES)
    parts = {"model-1.safetensors": names[:7], "model-2.safetensors": names[7:]}
    for name, tensors in parts.items():
        shard(tmp_path / name, {tensor: SIZES[tensor] for tensor in tensors})
    index = {
        "metadata": {"total_size": 4711},
        "weight_map": {tensor: name for name, tensors in parts.items() for tensor in tensors},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path


def test_all_shards_tell_the_size_of_each_tensor(folder):
    assert model_files.of_folder(str(folder)) == (CONFIG, sum(SIZES.values()), SIZES)


def test_an_index_tells_the_size_while_shards_are_missing(folder):
    (folder / "model-2.safetensors").unlink()
    assert model_files.of_folder(str(folder)) == (CONFIG, 4711, {})
    (folder / "model-1.safetensors").unlink()
    assert model_files.of_folder(str(folder)) == (CONFIG, 4711, {})


def test_a_config_alone_tells_no_size(folder):
    for path in folder.glob("model*"):
        path.unlink()
    assert model_files.of_folder(str(folder)) == (CONFIG, None, {})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b"[1]"),
        ("model-2.safetensors", b"short"),
        ("model-2.safetensors", struct.pack("<Q", 2**60)),
        ("model-2.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("model-2.safetensors", struct.pack("<Q", 10) + b'{"a": {} }'),
        ("model-2.safetensors", struct.pack("<Q", 30) + b'{"a": {"data_offsets": [9,2]}}'),
        ("model.safetensors.index.json", b"\xff"),
        ("model.safetensors.index.json", b"[" * 200_000),
        ("model.safetensors.index.json", b'{"metadata": [1]}'),
        ("model.safetensors.index.json", b'{"weight_map": [1]}'),
        ("model.safetensors.index.json", b'{"metadata": {"total_size": "many"}}'),
        ("model.safetensors.index.json", b'{"metadata": {"total_size": -4}}'),
        ("model.safetensors.index.json", b'{"metadata": {"total_size": Infinity}}'),
    ],
)
def test_a_damaged_file_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ProblemError, match=name):
        model_files.of_folder(str(folder))


def test_a_tensor_without_numbers_is_one(folder):
    shard(folder / "model-2.safetensors", {"empty": 0, "one": 1})
    index = {"weight_map": {"empty": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "model-1.safetensors").unlink()
    assert model_files.of_folder(str(folder)) == (CONFIG, 1, {"empty": 0, "one": 1})


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(ProblemError, match=r"config\.json cannot be read: No such file"):
        model_files.of_folder(str(tmp_path))


def test_tensors_are_counted_by_their_names(folder):
    files = model_files.of_folder(str(folder))
    found = model.of_config(files.config, "model", files.size, files.tensors)
    expected = dict.fromkeys(model.KINDS, 0)
    for size, kind in TENSORS.values():
        expected[kind] += size
    assert found.weights == expected
    assert found.draft["copied"] == 256
    assert found.draft["experts"] == 64
