# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counted weights against the shapes of all tensors, as the published repositories have them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import Model, of_config
from hypothesis import given
from hypothesis import strategies as st

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def attention(config: dict[str, Any]) -> Shapes:
    """Yield kind and shape of the tensors of a layer's attention, as in GLM-4.7."""
    hidden, size = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    for kind, outward in (("sliced", queries), ("kv", keys), ("kv", keys)):
        yield kind, (outward, hidden)
        if config["attention_bias"]:
            yield kind, (outward,)
    yield "sliced", (hidden, queries)
    yield from [("copied", (size,))] * 2  # norms of queries and keys
    yield from [("copied", (hidden,))] * 2  # norms before attention and MLP


def latent_attention(config: dict[str, Any]) -> Shapes:
    """Yield the same as in DeepSeek-V3."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    plain, value, low = config["qk_nope_head_dim"], config["v_head_dim"], config["q_lora_rank"]
    if low:
        yield "copied", (low, hidden)
        yield "copied", (low,)
    yield "sliced", (heads * (plain + rope), low or hidden)
    yield "copied", (rank + rope, hidden)
    yield "copied", (rank,)
    yield "sliced", (heads * (plain + value), rank)
    yield "sliced", (hidden, heads * value)
    yield from [("copied", (hidden,))] * 2


def mlp(config: dict[str, Any], dense: bool) -> Shapes:
    hidden, width = config["hidden_size"], config["intermediate_size"]
    if dense:
        yield from [("sliced", (width, hidden))] * 3
        return
    experts, width = config["n_routed_experts"], config["moe_intermediate_size"]
    yield "copied", (experts, hidden)  # the router
    yield "copied", (experts,)  # and its bias
    yield from [("experts", (width, hidden))] * 3 * experts
    yield from [("shared", (width * config["n_shared_experts"], hidden))] * 3


def of_all(config: dict[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """Return the bytes by kind of the model and of its draft layers, at two for each number."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    its_attention = latent_attention if config.get("kv_lora_rank") else attention
    main: list[tuple[str, tuple[int, ...]]] = [("vocabulary", (vocabulary, hidden)), ("copied", (hidden,))]
    if not config["tie_word_embeddings"]:
        main.append(("vocabulary", (vocabulary, hidden)))
    sparse = 0
    for number in range(config["num_hidden_layers"]):
        dense = number < config["first_k_dense_replace"] or not config["n_routed_experts"]
        sparse += not dense
        main += [*its_attention(config), *mlp(config, dense)]
    draft: list[tuple[str, tuple[int, ...]]] = []
    for _number in range(config["num_nextn_predict_layers"]):
        draft += [("vocabulary", (vocabulary, hidden))] * 2
        draft += [("copied", (hidden, 2 * hidden)), *[("copied", (hidden,))] * 3]
        draft += [*its_attention(config), *mlp(config, dense=not sparse)]
    return counted(main), counted(draft)


def counted(shapes: list[tuple[str, tuple[int, ...]]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for kind, shape in shapes:
        sums[kind] += 2 * math.prod(shape)
    return sums


CONFIG: dict[str, Any] = {
    "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 96,
    "moe_intermediate_size": 40, "n_routed_experts": 6, "n_shared_experts": 2, "num_experts_per_tok": 2,
    "first_k_dense_replace": 1, "num_hidden_layers": 3, "num_nextn_predict_layers": 1, "vocab_size": 50,
    "attention_bias": False, "tie_word_embeddings": False,
}  # fmt: skip
LATENT = {
    "kv_lora_rank": 12,
    "qk_rope_head_dim": 6,
    "qk_nope_head_dim": 10,
    "v_head_dim": 14,
    "q_lora_rank": 9,
}
OF_EXPERTS = ("moe_intermediate_size", "n_shared_experts", "num_experts_per_tok", "first_k_dense_replace")
DEEP = {**CONFIG, "num_hidden_layers": 100}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(1, 7) for name in CONFIG if name.startswith(("hidden", "num_", "n_", "first"))},
        "attention_bias": st.booleans(),
        "tie_word_embeddings": st.booleans(),
        "n_routed_experts": st.sampled_from([0, 1, 8]),
        "num_nextn_predict_layers": st.integers(0, 2),
    },
)


@given(CHANGES, st.sampled_from([{}, LATENT, {**LATENT, "q_lora_rank": None}]))
def test_each_kind_of_weights_has_the_size_of_its_tensors(changes: dict[str, Any], latent: dict[str, Any]):
    config = {**CONFIG, **changes, **latent}
    said = {
        key: value for key, value in config.items() if config["n_routed_experts"] or key not in OF_EXPERTS
    }
    model = of_config(said, "model")
    main, draft = of_all(config)
    assert {kind: size for kind, size in model.weights.items() if size} == +main
    assert {kind: size for kind, size in model.draft.items() if size} == +draft


def moe_layers(**changes: Any) -> float:
    """Return how many layers of a model have experts."""
    config = {**CONFIG, "num_hidden_layers": 6, "first_k_dense_replace": 0, **changes}
    one = 2 * 3 * config["hidden_size"] * config["moe_intermediate_size"] * config["n_routed_experts"]
    return of_config(config, "model").weights["experts"] / one


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({}, 6),
        ({"first_k_dense_replace": 2}, 4),
        ({"moe_layer_freq": 2}, 3),  # 0, 2, 4
        ({"moe_layer_freq": 2, "first_k_dense_replace": 1}, 2),
        ({"decoder_sparse_step": 2}, 3),  # 1, 3, 5
        ({"decoder_sparse_step": 4}, 1),
        ({"mlp_only_layers": [0, 5]}, 4),
        ({"moe_layer_freq": [0, 1, 1, 0, 1, 1, 1]}, 4),
    ],
)
def test_layers_with_experts_are_counted(changes: dict[str, Any], layers: int):
    assert moe_layers(**changes) == layers


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("torch.float16", 2), (None, 2), ("odd", 2)])
def test_numbers_are_as_wide_as_the_config_says(dtype: str | None, width: int):
    plain = of_config(CONFIG, "model").size
    for key in ("dtype", "torch_dtype"):
        assert of_config({**CONFIG, key: dtype}, "model").size == plain * width / 2


def model_of(size: float) -> Model:
    return of_config(DEEP, "model", size)


def test_files_of_other_sizes_are_fitted_or_doubted():
    plain = of_config(DEEP, "model")
    whole, main = sum(plain.weights.values()) + sum(plain.draft.values()), sum(plain.weights.values())
    near = model_of(1.01 * whole)
    assert (near.doubts, near.quantized) == ((), False)
    assert sum(near.weights.values()) + sum(near.draft.values()) == pytest.approx(1.01 * whole)
    without = model_of(main)
    assert sum(without.draft.values()) == 0
    assert sum(without.weights.values()) == pytest.approx(main)
    kept = plain.weights["vocabulary"] + plain.weights["copied"] + sum(plain.draft.values())
    packed = model_of(kept + (whole - kept) / 2)
    assert (packed.doubts, packed.quantized) == ((), True)
    assert packed.weights["experts"] == pytest.approx(plain.weights["experts"] / 2)
    assert packed.weights["vocabulary"] == plain.weights["vocabulary"]
    assert packed.draft == plain.draft
    odd = model_of(3 * whole)
    assert len(odd.doubts) == 1
    assert odd.unexplained == pytest.approx(2 * whole)
    assert model_of(0.1 * whole).unexplained == 0
