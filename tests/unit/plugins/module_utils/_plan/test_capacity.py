# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimates against published weights and the logs of real services; verdicts on both sides of limits."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity, capacity_report, plan
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import (
    Model,
    NotCounted,
    of_config,
)
from shipped import FLAGS, MODELS, PROFILES, ROOT, settings

GIB, GB = 2**30, 10**9
FIXTURES = Path(__file__).parents[2] / "fixtures"
GLM = settings()["model_config"]
QWEN = settings("qwen3-235b-a22b")["model_config"]
FLASH = settings("glm-5.3-flash-w8a8")["model_config"]
# config.json of DeepSeek-V3.1, Qwen3-14B, Qwen3-0.6B, Llama-3.1-8B-Instruct and Qwen3-Next-80B-A3B-Instruct
DEEPSEEK: dict[str, Any] = {
    "hidden_size": 7168, "num_hidden_layers": 61, "num_nextn_predict_layers": 1, "num_attention_heads": 128,
    "num_key_value_heads": 128, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
    "vocab_size": 129280, "max_position_embeddings": 163840,
}  # fmt: skip
QWEN_14B: dict[str, Any] = {
    "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 8,
    "head_dim": 128, "intermediate_size": 17408, "vocab_size": 151936, "max_position_embeddings": 40960,
    "sliding_window": None, "use_sliding_window": False,
}  # fmt: skip
QWEN_06B = {
    **QWEN_14B, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
    "intermediate_size": 3072, "tie_word_embeddings": True,
}  # fmt: skip
LLAMA_8B = {
    **QWEN_14B, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "intermediate_size": 14336, "vocab_size": 128256,
}  # fmt: skip
QWEN_NEXT: dict[str, Any] = {
    "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 2,
    "head_dim": 256, "intermediate_size": 5120, "moe_intermediate_size": 512, "num_experts": 512,
    "num_experts_per_tok": 10, "shared_expert_intermediate_size": 512, "decoder_sparse_step": 1,
    "vocab_size": 151936, "max_position_embeddings": 262144, "full_attention_interval": 4,
    "linear_num_value_heads": 32,
}  # fmt: skip
TINY: dict[str, Any] = {  # the lab's, tests/lab/model/train.py
    "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32,
    "attention_bias": True, "intermediate_size": 256, "moe_intermediate_size": 64, "first_k_dense_replace": 1,
    "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "vocab_size": 1024,
    "max_position_embeddings": 8192,
}  # fmt: skip
# What the tutorial for DeepSeek-V3.1-W8A8 on two A2 sets (vllm-ascend v0.13.0rc1)
DEEPSEEK_PLAN: dict[str, Any] = {
    "vllm_tensor_parallel_size": 4,
    "vllm_data_parallel_size_local": 2,
    "vllm_serve_env": {"HCCL_BUFFSIZE": "200"},
    "vllm_serve_args": {
        "quantization": "ascend", "max-model-len": 16384, "max-num-batched-tokens": 4096, "max-num-seqs": 16,
        "gpu-memory-utilization": 0.92, "speculative-config": {"num_speculative_tokens": 3, "method": "mtp"},
    },
}  # fmt: skip
W8A8 = {"quantization": "ascend"}


def planned(hosts: int = 2, **overrides: Any) -> dict[str, Any]:
    names = [f"node{number}" for number in range(hosts)]
    return plan.build(plan.Member("node0", dict.fromkeys(names, "10.0.0.10")), settings(**overrides), FLAGS)


def args(**flags: Any) -> dict[str, Any]:
    return {"vllm_serve_args": {name.replace("_", "-"): value for name, value in flags.items()}}


def alone(hbm_mb: int = 65536, **flags: Any) -> dict[str, Any]:
    """Return the plan of one engine on one chip, with nothing but these flags."""
    own = {"tensor-parallel-size": "1", "data-parallel-size": "1", **flags}
    words = [[f"--{name.replace('_', '-')}", str(value)] for name, value in own.items()]
    result = planned(1)
    result["serve"]["args"] = words
    result["npu"].update(count=1, hbm_mb=hbm_mb)
    return result


def glm(size: float = 717, **config: Any) -> Model:
    return of_config({**GLM, **config}, "GLM-4.7", size * GB)


def verdict(its_plan: dict[str, Any], model: Model) -> str:
    return capacity.estimate(its_plan, model).verdict


# Estimates


@pytest.mark.parametrize(
    ("config", "gigabytes"),
    [
        (GLM, 716.7),  # 352.8 billion parameters and 5.5 of the draft layer
        (QWEN, 470.2),  # model.safetensors.index.json of Qwen/Qwen3-235B-A22B
        (DEEPSEEK, 1369.0),  # 671 billion parameters, and 14 of the draft layer with a vocabulary of its own
        (FLASH, 642),  # https://unsloth.ai/docs/de/modelle/glm-5.3-flash, in BF16
        (QWEN_14B, 29.54),
        (QWEN_06B, 1.19),
        (LLAMA_8B, 16.06),
    ],
)
def test_counted_parameters_have_the_size_of_the_published_weights(config, gigabytes):
    assert of_config(config, "model").size / GB == pytest.approx(gigabytes, rel=0.005)


def test_figures_of_the_default_service():
    estimate = capacity.estimate(planned(), glm())
    assert estimate.experts / GIB == pytest.approx(39.1, abs=0.05)
    assert estimate.weights / GIB == pytest.approx(43.0, abs=0.2)
    assert estimate.kv_token == 46 * 1024
    assert estimate.budget / GIB == pytest.approx(54.9, abs=0.05)
    assert replace(estimate, context=202752).needed / GIB == pytest.approx(8.9, abs=0.01)
    assert (estimate.layout.tensor, estimate.layout.data, estimate.layout.expert) == (8, 2, 16)
    assert estimate.host_disk / GB == pytest.approx(737, abs=1)
    assert estimate.download_seconds == pytest.approx(7170, rel=0.01)


@pytest.mark.parametrize(
    ("size", "rest"),
    [(717, 4.0), (705.6, 4.0), (365, 2.3)],  # BF16; without the draft layer; W8A8
)
def test_the_size_tells_how_wide_the_weights_are(size, rest):
    model = glm(size)
    assert model.doubts == ()
    assert model.size / GB == pytest.approx(size)
    assert model.quantized == (size < 700)
    assert capacity.estimate(planned(), model).rest / GIB == pytest.approx(rest, abs=0.1)


@pytest.mark.parametrize(
    ("config", "tensor", "kibibytes"),
    [
        (GLM, 1, 368), (GLM, 8, 46), (GLM, 16, 46),  # eight KV heads: no device has less than one
        (QWEN, 4, 47), (QWEN, 8, 47),
        (DEEPSEEK, 1, 68.625), (DEEPSEEK, 16, 68.625),  # MLA: 61 layers of 576 numbers, whole on each device
    ],
)  # fmt: skip
def test_the_kv_cache_of_a_token(config, tensor, kibibytes):
    model = of_config(config, "model")
    assert model.kv_bytes(tensor, model.layers, 2) == kibibytes * 1024


def test_experts_that_do_not_divide_evenly_and_draft_layers_and_stages():
    glm_plan = planned(3)
    assert capacity.estimate(glm_plan, glm()).experts == pytest.approx(glm().weights["experts"] * 7 / 160)
    draft = capacity.estimate(planned(**args(speculative_config={"method": "mtp"})), glm())
    without = capacity.estimate(planned(), glm())
    assert draft.weights - without.weights > sum(glm().draft.values()) / 17
    assert draft.kv_token == without.kv_token * 93 / 92
    stages = capacity.estimate(alone(pipeline_parallel_size=4), of_config(QWEN_14B, "model"))
    assert stages.kv_token == 40 * 1024


# config.json of models that have other names for the same numbers
MINIMAX: dict[str, Any] = {
    "model_type": "minimax_m2", "hidden_size": 3072, "num_hidden_layers": 62, "num_attention_heads": 48,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 1536, "num_local_experts": 256,
    "num_experts_per_tok": 8, "shared_intermediate_size": 0, "vocab_size": 200064,
    "max_position_embeddings": 196608, "quantization_config": {"quant_method": "fp8"},
}  # fmt: skip
MIXTRAL: dict[str, Any] = {
    "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14336, "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000,
}  # fmt: skip
HUNYUAN: dict[str, Any] = {
    "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "attention_head_dim": 128, "intermediate_size": 3072, "moe_intermediate_size": [3072] * 32,
    "num_experts": 64, "moe_topk": [8] * 32, "num_shared_expert": [1] * 32, "vocab_size": 128167,
    "tie_word_embeddings": True,
}  # fmt: skip
ERNIE: dict[str, Any] = {
    "hidden_size": 8192, "num_hidden_layers": 54, "num_attention_heads": 64, "num_key_value_heads": 8,
    "intermediate_size": 28672, "moe_intermediate_size": 3584, "moe_num_experts": 64, "moe_k": 8,
    "moe_layer_start_index": 3, "moe_layer_interval": 1, "vocab_size": 103424,
}  # fmt: skip
KIMI_LINEAR: dict[str, Any] = {
    "hidden_size": 2304, "num_hidden_layers": 27, "num_attention_heads": 32, "num_key_value_heads": 32,
    "kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "intermediate_size": 9216, "moe_intermediate_size": 1024, "num_experts": 256,
    "num_experts_per_token": 8, "num_shared_experts": 1, "first_k_dense_replace": 1, "vocab_size": 163840,
    "model_max_length": 1048576, "linear_attn_config": {"full_attn_layers": [4, 8]},
}  # fmt: skip
LINEAR = {"linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128}


@pytest.mark.parametrize(
    ("config", "gigabytes", "experts"),
    [
        (MINIMAX, 457.4, 256),  # 228.7 billion parameters
        (MIXTRAL, 93.4, 8),
        (HUNYUAN, 160.8, 64),
        (ERNIE, 600.0, 64),
        (KIMI_LINEAR, 98.2, 256),
        ({**QWEN_NEXT, **LINEAR, "linear_conv_kernel_dim": 4}, 159.3, 512),
    ],
)
def test_other_names_of_the_same_numbers_are_counted(config, gigabytes, experts):
    """The sizes are those of the published weights, without draft layers."""
    model = of_config(config, "model")
    assert model.size / GB == pytest.approx(gigabytes, rel=0.005)
    assert model.experts == experts


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({**LLAMA_8B, "n_expert_groups": 64}, "n_expert_groups is 64"),
        ({**HUNYUAN, "moe_topk": [8] * 31 + [4]}, "num_experts_per_tok differs between layers"),
    ],
)
def test_experts_that_the_count_does_not_know_are_not_left_out(config, found):
    with pytest.raises(NotCounted, match=found):
        of_config(config, "model", 100 * GB)


def test_tensors_of_experts_need_a_number_of_experts():
    with pytest.raises(NotCounted, match="does not say how many"):
        of_config(LLAMA_8B, "model", None, {"model.layers.0.moe.experts.0.w1.weight": 10**9})


def test_bytes_that_nothing_explains_do_not_fit_for_sure():
    """A device may have all of them. The verdict was that the model fits."""
    its_plan, size = alone(), 16.06 * GB
    assert verdict(its_plan, of_config(LLAMA_8B, "model", size)) == "fits"
    assert verdict(its_plan, of_config(LLAMA_8B, "model", 1.5 * size)) == "fits"  # 8 GB of 54.9
    assert verdict(alone(32768), of_config(LLAMA_8B, "model", 1.5 * size)) == "tight"


@pytest.mark.parametrize(
    ("method", "expected"),
    [(None, "fits"), ("compressed-tensors", "fits"), ("awq", "tight"), ("fp8", "tight")],
)
def test_weights_that_a_device_may_unpack_are_at_best_tight(method, expected):
    own = {**QWEN_14B, "quantization_config": {"quant_method": method}}
    estimate = capacity.estimate(alone(32768, max_model_len=4096), of_config(own, "model", 16.3 * GB))
    assert estimate.verdict == expected
    assert any("may hold in 16 bits" in text for text in estimate.data()["doubts"]) == (expected == "tight")


def test_fp8_that_the_release_unpacks_takes_twice_its_files():
    """vLLM-Ascend loads MiniMax-M2 so: 230 GB of files are 457 GB on the devices."""
    model = of_config(MINIMAX, "MiniMax-M2", 230 * GB)
    assert (model.size / GB, model.doubts) == (230, ())
    assert verdict(planned(1), model) == "tight"  # 53 GiB of weights on each chip
    assert verdict(planned(2), model) == "fits"


# Against the logs of real services


@pytest.mark.parametrize("name", ["head_start", "worker_start"])
def test_a_real_engine_has_the_tokens_that_were_predicted(name):
    """vLLM 0.13.0 with a tiny GLM of 64 hidden numbers, on two hosts, and 1 GiB for its cache."""
    text = (FIXTURES / f"vllm_log/{name}.log").read_text(encoding="utf-8")
    logged = int(re.search(r"KV cache size: ([\d,]+) tokens", text)[1].replace(",", ""))
    concurrency = re.search(r"Maximum concurrency for 8,192 tokens per request: ([\d.]+)x", text)
    token = of_config({**TINY, "hidden_size": 64}, "tiny").kv_bytes(1, 3, 2)
    tokens = capacity.cache_tokens(GIB, token, 128)
    assert tokens == logged
    if concurrency:
        assert float(concurrency[1]) == pytest.approx(tokens / 8192, abs=0.01)


@pytest.mark.parametrize(
    ("tensor", "tokens", "weights"), [(1, 1_398_016, 1_908_000), (2, 2_796_160, 961_088)]
)
def test_real_ranks_have_the_weights_and_the_tokens_that_were_predicted(tensor, tokens, weights):
    """vLLM 0.13.0 on a CPU with the lab's model: its log with 1 GiB of cache, and the sum of its parameters."""
    estimate = capacity.estimate(alone(tensor_parallel_size=tensor), of_config(TINY, "tiny"))
    assert estimate.weights == pytest.approx(weights, rel=0.01)
    assert capacity.cache_tokens(GIB, estimate.kv_token, 128) == tokens


@pytest.mark.parametrize(
    ("config", "layers", "cache", "tokens"),
    [
        (LLAMA_8B, 33, 34184553369, 252_800),  # vllm-ascend#2667: Llama 3.1 8B and a layer of EAGLE3
        (QWEN_06B, 28, 54.98 * GIB, 514_688),  # vLLM-Ascend's own log for Qwen3-0.6B on an A3
    ],
)
def test_published_services_have_the_tokens_that_are_predicted(config, layers, cache, tokens):
    token = of_config(config, "model").kv_bytes(1, layers, 2)
    assert capacity.cache_tokens(cache, token, 128) == pytest.approx(tokens, rel=0.0005)


@pytest.mark.parametrize(
    ("config", "flags", "hbm_gib", "weights", "others"),
    [
        # vllm-ascend#8289: 0.22 GiB for the activation and 0.13 beside torch
        (QWEN_06B, {"max_num_seqs": 256}, 64, 1.14, 0.35),
        # vllm-ascend#9372: -0.87 GiB are left of a 32 GB device with the default utilization
        (QWEN_14B, {"max_model_len": 4096}, 32, 27.5376, 0.75),
    ],
)
def test_published_services_of_one_chip_take_what_is_predicted(config, flags, hbm_gib, weights, others):
    estimate = capacity.estimate(alone(hbm_gib * 1024, **flags), of_config(config, "model"))
    assert estimate.weights / GIB == pytest.approx(weights, rel=0.03)
    assert (estimate.communication + estimate.computation) / GIB == pytest.approx(others, abs=0.4)


def test_communication_of_two_a2():
    """Mooncake#2827: 3.15 GiB beside torch for experts on two A2, DP 2, TP 8, and HCCL_BUFFSIZE 1024."""
    estimate = capacity.estimate(planned(), glm())
    assert (estimate.communication + capacity.RUNTIME) / GIB == pytest.approx(3.15, abs=0.1)
    assert capacity.estimate(planned(1), glm()).communication < GIB  # fewer than 16 devices do without MC2


@pytest.mark.parametrize("value", ["many", "²", "9" * 5000, "-5"])
def test_a_buffer_that_is_no_number_counts_as_the_default_one(value):
    own, default = (planned(vllm_serve_env={"HCCL_BUFFSIZE": text}) for text in (value, "200"))
    assert capacity.estimate(own, glm()).communication == capacity.estimate(default, glm()).communication


def test_buffers_are_of_the_kinds_of_parallelism_that_there_are():
    pair = alone(tensor_parallel_size=2)
    pair["npu"].update(count=2)
    dense = of_config(QWEN_14B, "Qwen3-14B", None)
    assert capacity.estimate(alone(), dense).communication == 0
    assert capacity.estimate(alone(), glm()).communication == 0
    assert capacity.estimate(pair, dense).communication == 2 * capacity.GROUP_MB * capacity.MIB
    assert capacity.estimate(pair, glm()).communication == 4 * capacity.GROUP_MB * capacity.MIB


def test_a_device_of_a2_gathers_the_tokens_of_all_engines():
    def computation(npu_name: str, engines: int) -> float:
        its_plan = planned()
        its_plan["npu"]["name"] = npu_name
        its_plan["data_parallel"]["size"] = engines
        return capacity.estimate(its_plan, glm()).computation - capacity.RUNTIME

    assert computation("910B3", 4) > 1.9 * computation("910B3", 2)
    assert computation("910_9362", 4) == computation("910_9362", 2) < computation("910B3", 2)


@pytest.mark.parametrize(
    ("on_a2", "ranks", "experts", "release", "uses"),
    [
        (False, 1, 256, "0.13.0", False),
        (False, 2, 256, "0.13.0", True),
        (True, 15, 256, "0.13.0", False),
        (True, 16, 256, "0.13.0", True),
        (True, 16, 16 * 25, "0.13.0", True),  # a release that has no limit
        (True, 16, 16 * 25, "0.18.0", False),
        (True, 16, 16 * 25, "0.20.0", False),
        (True, 16, 16 * 25 - 1, "0.18.0", True),  # 24 of each device
        (True, 16, 16 * 25, "main", True),
    ],
)
def test_when_experts_are_reached_by_mc2(on_a2: bool, ranks: int, experts: int, release: str, uses: bool):
    assert capacity.uses_mc2(on_a2, ranks, experts, release) is uses
    assert capacity.divides(on_a2, ranks, experts, release) is (experts % ranks == 0 or not uses)


def test_stages_divide_the_layers_and_the_first_and_last_one_the_vocabulary():
    model = of_config(QWEN_14B, "model")
    whole = capacity.estimate(alone(), model)
    half = capacity.estimate(alone(pipeline_parallel_size=2), model)
    assert half.weights == whole.weights / 2
    fifth = capacity.estimate(alone(pipeline_parallel_size=5), model)
    vocabulary = model.weights["vocabulary"]
    assert fifth.weights == pytest.approx((whole.weights - vocabulary) / 5 + vocabulary / 2)


def test_an_estimate_is_plain_data():
    data = capacity.estimate(planned(), glm()).data()
    assert data["layout"]["hosts"] == 2
    assert data["doubts"] == []
    assert (data["verdict"], data["utilization"]) == ("fits", 0.9)
    assert all(isinstance(data[name], int) for name in ("weights", "budget", "cache", "needed"))
    assert data == json.loads(json.dumps(data))


def test_an_architecture_that_is_not_known_is_a_problem_with_what_it_is():
    problem = capacity_report.not_counted(NotCounted("layers of Mamba"))
    assert "layers of Mamba" in problem.found


def test_the_tensors_tell_the_size():
    tensors = {"model.layers.0.self_attn.q_proj.weight": 1000, "model.embed_tokens.weight": 500}
    assert of_config(QWEN_06B, "x", None, tensors).size == 1500


# Verdicts


@pytest.mark.parametrize(
    ("hosts", "overrides", "size", "expected"),
    [
        (2, {}, 717, "fits"),
        (1, {}, 717, "too large"),
        (1, args(gpu_memory_utilization=1), 717, "too large"),
        (1, args(**W8A8), 365, "fits"),  # upstream: one A2 is enough for W8A8 (tutorials/models/GLM4.x.md)
        (1, args(max_model_len=133000, **W8A8), 365, "fits"),
        (2, args(max_model_len=202752), 717, "tight"),
        (2, args(max_model_len=65536), 717, "fits"),
        (2, args(max_model_len=98304), 717, "tight"),
        (2, args(gpu_memory_utilization=0.75), 717, "tight"),
        (2, args(gpu_memory_utilization=0.65), 717, "too large"),
        (2, args(gpu_memory_utilization=0.75, max_model_len=202752), 717, "too large"),
        (2, args(max_model_len="64k"), 717, "fits"),
        (2, args(max_model_len=-1), 717, "fits"),
    ],
)
def test_verdicts_on_glm(hosts, overrides, size, expected):
    assert verdict(planned(hosts, **overrides), glm(size)) == expected


@pytest.mark.parametrize(
    ("name", "hosts", "overrides", "config", "size", "expected"),
    [
        ("DeepSeek-V3.1 W8A8, two A2, as the tutorial has it", 2, DEEPSEEK_PLAN, DEEPSEEK, 700, "fits"),
        ("DeepSeek-V3.1 W8A8, one A2", 1, DEEPSEEK_PLAN, DEEPSEEK, 700, "too large"),
        ("DeepSeek-V3.1 BF16, two A2", 2, args(), DEEPSEEK, 1369, "too large"),
        ("DeepSeek-V3.1 BF16, four A2", 4, args(max_num_batched_tokens=2048), DEEPSEEK, 1369, "fits"),
        ("Qwen3-235B BF16, two A2", 2, args(max_model_len=32768), QWEN, 470, "fits"),
        # The tutorial says that it can be deployed.
        ("Qwen3-235B BF16, one A2", 1, args(gpu_memory_utilization=0.95), QWEN, 470, "tight"),
        ("Qwen3-235B W8A8, one A2", 1, args(max_model_len=131072, **W8A8), QWEN, 240, "fits"),
    ],
)
def test_verdicts_on_what_upstream_serves(name, hosts, overrides, config, size, expected):
    assert verdict(planned(hosts, **overrides), of_config(config, name, size * GB)) == expected


def test_a_service_that_failed_in_the_field_is_no_fit():
    """vllm-ascend#9372: Qwen3-14B on a 32 GB device."""
    estimate = capacity.estimate(alone(32768, max_model_len=4096), of_config(QWEN_14B, "model"))
    assert estimate.verdict == "too large"
    assert estimate.cache < 0


@pytest.mark.parametrize(
    ("release", "utilization", "expected"),
    [
        ("0.13.0", 0.9, "tight"),  # vllm-ascend#4474, #6611: out of memory with the default
        ("0.13.0", 0.85, "tight"),  # #5020
        ("0.13.0", 0.8, "fits"),  # the maintainers' answer there
        ("0.23.0", 0.9, "fits"),
    ],
)
def test_models_with_linear_attention_took_more_than_vllm_counted(release, utilization, expected):
    its_plan = alone(tensor_parallel_size="4", max_model_len="4096", gpu_memory_utilization=utilization)
    its_plan["image_versions"] = {"vllm_ascend": release}
    model = of_config(QWEN_NEXT, "Qwen3-Next-80B-A3B-Instruct", 163 * GB)
    estimate = capacity.estimate(its_plan, model)
    problem = capacity_report.problem(its_plan, model, estimate)
    assert estimate.verdict == expected
    assert (problem is not None and "gpu-memory-utilization: 0.8}" in problem.remedy) == (expected == "tight")


def test_limits_are_where_the_documentation_says():
    estimate = capacity.estimate(planned(), glm())
    visible = estimate.hbm * capacity.MOST_VISIBLE
    least = (estimate.weights * capacity.LOADED + estimate.needed) / visible
    assert replace(estimate, utilization=least - 1e-6).verdict == "too large"
    assert replace(estimate, utilization=least + 1e-6).verdict == "tight"
    spare = estimate.cache - estimate.needed - capacity.MARGIN
    assert replace(estimate, computation=estimate.computation + spare - 1).verdict == "fits"
    assert replace(estimate, computation=estimate.computation + spare + 1).verdict == "tight"


@pytest.mark.parametrize(
    ("overrides", "size", "config", "doubt"),
    [
        (args(**W8A8), 717, {}, "quantization is set"),
        (args(), 1500, {}, "says 1500.0 GB"),
        (args(cpu_offload_gb=20), 717, {}, "cpu-offload-gb"),
        (args(kv_cache_memory_bytes=10**9), 717, {}, "kv-cache-memory-bytes"),
        (args(hf_overrides={"num_hidden_layers": 4}), 717, {}, "hf-overrides"),
        (args(), 717, {"layer_types": ["linear_attention", "full_attention"]}, "another cache"),
        (args(), 717, {"sliding_window": 4096}, "sliding window"),
        (args(), 717, {"index_topk": 2048}, "sparse attention"),
        (args(), 717, {"text_config": {}}, "not for text"),
        (args(kv_cache_dtype="nvfp4"), 717, {}, "nvfp4"),
    ],
)
def test_with_doubts_nothing_is_refused(overrides, size, config, doubt):
    its_plan, model = planned(1, **overrides), glm(size, **config)
    estimate = capacity.estimate(its_plan, model)
    assert estimate.verdict == "tight"
    assert any(doubt.replace("other", "another") in text or doubt in text for text in estimate.doubts)
    assert doubt.replace("other", "another") in str(
        capacity_report.problem(its_plan, model, estimate)
    ) or doubt in str(capacity_report.problem(its_plan, model, estimate))


# What to change


@pytest.mark.parametrize("overrides", [{}, args(max_model_len=202752), args(gpu_memory_utilization=0.75)])
@pytest.mark.parametrize("hosts", [1, 2])
def test_each_figure_of_the_remedy_is_enough(hosts, overrides):
    its_plan = planned(hosts, **overrides)
    problem = capacity_report.problem(its_plan, glm(), capacity.estimate(its_plan, glm()))
    if problem is None:
        assert (hosts, overrides) == (2, {})
        return
    ways = {
        "max-model-len": re.search(r"max-model-len: (\d+)", problem.remedy),
        "gpu-memory-utilization": re.search(r"gpu-memory-utilization: ([\d.]+)", problem.remedy),
    }
    for flag, found in ways.items():
        if found:
            flags = {**overrides.get("vllm_serve_args", {}), flag: found[1]}
            assert verdict(planned(hosts, vllm_serve_args=flags), glm()) == "fits"
    enough = re.search(r"(\d+) hosts", problem.remedy)
    assert verdict(planned(int(enough[1]), **overrides), glm()) == "fits"
    assert "quantized weights" in problem.remedy


# Shipped profiles


@pytest.mark.parametrize("profile", [path.stem for path in MODELS])
def test_a_shipped_profile_fits_on_the_hosts_that_it_is_for(profile):
    own = settings(profile)
    flags = PROFILES.serve_flags(own["image_versions"]["vllm"])
    addresses = {"node0": "10.0.0.10", "node1": "10.0.0.11"}
    plans = [plan.build(plan.Member(host, addresses, "enp1s0"), own, flags) for host in addresses]
    for its_plan in plans:
        model = capacity.of_plan(its_plan)
        assert model
        assert model.quantized == ("w8a8" in profile)
        assert verdict(its_plan, model) == "fits"
    assert [["--headless"] in one["serve"]["args"] for one in plans] == [False, True]


# Descriptions and flags


def test_a_description_of_another_model_is_not_used():
    assert capacity.of_plan(planned()) is not None
    assert capacity.of_plan(planned(vllm_model_repo="mirror/GLM-4.7")) is not None
    assert capacity.of_plan(planned(vllm_model_repo="Eco-Tech/GLM-4.7-W8A8-floatmtp")) is None
    assert capacity.of_plan(planned(vllm_model_config=dict.fromkeys(GLM))) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "no hidden_size"),
        ("wide", "hidden_size is wide"),
        (0, "hidden_size is 0"),
        (-5120, "hidden_size is -5120"),
        (True, "hidden_size is True"),
        ([1], r"hidden_size is \[1\]"),
        (10**400, "hidden_size is 1000"),
        (float("inf"), "hidden_size is inf"),
        (float("nan"), "hidden_size is nan"),
    ],
)
def test_a_description_that_cannot_be_used_is_named(value, found):
    with pytest.raises(ValueError, match=found):
        capacity.of_plan(planned(vllm_model_config={"hidden_size": value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("max_position_embeddings", "long"),
        ("n_routed_experts", -3),
        ("head_dim", -128),
        ("moe_layer_freq", "often"),
        ("text_config", []),
        ("layer_types", 5),
        ("mlp_only_layers", {}),
    ],
)
def test_a_number_that_makes_no_sense_is_named(key, value):
    with pytest.raises(ValueError, match=f"{key} is .*{re.escape(str(value))}") as error:
        of_config({**GLM, key: value}, "GLM-4.7")
    assert not isinstance(error.value, NotCounted)


def test_another_architecture_is_told_from_a_wrong_value():
    with pytest.raises(NotCounted, match="no num_hidden_layers"):
        of_config({"model_type": "gpt2", "n_layer": 12}, "gpt2")


def test_layers_with_experts_may_be_a_list():
    each = {"first_k_dense_replace": 0, "moe_layer_freq": [0, 0, 0] + [1] * 89}
    assert of_config({**GLM, **each}, "model").weights == of_config(GLM, "model").weights


@pytest.mark.parametrize(("utilization", "told"), [(0.95, False), (0.96, True), (1, True)])
def test_little_memory_outside_of_the_utilization_is_told(utilization, told):
    """https://github.com/vllm-project/vllm-ascend/issues/89, and 2959: out of memory with 0.96 and with 1.0."""
    estimate = capacity.estimate(planned(**args(gpu_memory_utilization=utilization)), glm())
    assert ("outside of gpu-memory-utilization" in capacity_report.report(estimate)) is told


def test_golden_reports(golden):
    cases = {
        "fits": planned(),
        "tight": planned(**args(max_model_len=202752)),
        "too large": planned(1),
    }
    texts = {}
    for case, its_plan in cases.items():
        estimate = capacity.estimate(its_plan, glm())
        line = capacity_report.verdict_line(estimate, capacity_report.problem(its_plan, glm(), estimate))
        texts[case] = f"{capacity_report.report(estimate)}\n\n{line}"
    golden("capacity", texts)
    for page in ("capacity.md", "capacity.zh-CN.md"):
        assert texts["fits"] in (ROOT / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, 0),
        ({"vllm_tensor_parallel_size": 4}, 4),
        ({"vllm_tensor_parallel_size": 2, "vllm_data_parallel_size_local": 2}, 4),
        ({"vllm_tensor_parallel_size": 4, "vllm_data_parallel_size_local": 2}, 0),
        ({"vllm_tensor_parallel_size": 4, "vllm_npu_ids": [0, 1, 2, 3]}, 0),
        ({"vllm_tensor_parallel_size": 4, "vllm_serve_args": {"pipeline-parallel-size": 2}}, 0),
        ({"vllm_tensor_parallel_size": 4, "vllm_serve_args": {"prefill-context-parallel-size": 2}}, 0),
    ],
)
def test_chips_that_no_engine_uses_are_told(changes: dict[str, Any], idle: int):
    estimate = capacity.estimate(planned(**changes), glm())
    assert estimate.layout.idle == idle
    assert ("idle: 4 of the 8 NPUs" in capacity_report.report(estimate)) == bool(idle)


def remedy_of(its_plan: dict[str, Any], model: Model, **changes: Any) -> list[str]:
    """Return the ways that a remedy names."""
    estimate = replace(capacity.estimate(its_plan, model), **changes)
    found = capacity_report.problem(its_plan, model, estimate)
    assert found
    return found.remedy.partition(": ")[2].split("; ") if ": " in found.remedy else [found.remedy]


@pytest.mark.parametrize(
    ("hosts", "overrides", "ways"),
    [
        (2, args(gpu_memory_utilization=0.75), ["gpu-memory-utilization", "hosts", "quantized"]),
        (2, args(max_model_len=202752), ["max-model-len", "hosts", "quantized"]),
        (1, {}, ["hosts", "quantized"]),
        (1, {"vllm_tensor_parallel_size": 4}, ["hosts", "quantized"]),  # its idle chips are not enough
    ],
)  # fmt: skip
def test_the_ways_of_a_remedy(hosts: int, overrides: dict[str, Any], ways: list[str]):
    found = remedy_of(planned(hosts, **overrides), glm())
    assert [way in text for way, text in zip(ways, found, strict=True)] == [True] * len(ways), found


def test_a_model_without_experts_needs_a_larger_engine_and_not_more_hosts():
    dense = of_config(QWEN_14B, "model")
    ways = remedy_of(alone(32768), dense)
    assert ways == ["a larger vllm_tensor_parallel_size", "quantized weights"]
    quantized = replace(dense, quantized=True)
    assert remedy_of(alone(32768), quantized) == ["a larger vllm_tensor_parallel_size"]
    none = of_config({**GLM, "num_hidden_layers": 92}, "GLM-4.7", 365 * GB)
    assert none.quantized
    assert remedy_of(planned(1), none, hbm=2.0**30, utilization=0.9)[0]


def test_what_is_needed_for_the_context_or_without_one():
    def found(length: Any) -> str:
        its_plan, model = alone(32768, max_model_len=length), of_config(QWEN_14B, "model")
        problem = capacity_report.problem(its_plan, model, capacity.estimate(its_plan, model))
        assert problem
        return problem.found

    assert "for a context of 4,096 tokens" in found(4096)
    assert "for the smallest KV cache" in found(-1)


def test_idle_chips_are_a_way_to_make_a_model_fit():
    its_plan, model = planned(vllm_tensor_parallel_size=4), glm()
    found = capacity_report.problem(its_plan, model, capacity.estimate(its_plan, model))
    assert found is not None
    assert "all 8 NPUs of each host, by a larger vllm_tensor_parallel_size" in found.remedy
