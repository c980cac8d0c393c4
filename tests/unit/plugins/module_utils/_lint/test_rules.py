# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule by itself, with bare settings: the least that it tells, the most that it lets pass, and what it names."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import settings as layers
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from shipped import PROFILES, SETTINGS

HOSTS = ("node0", "node1")
NOTHING: tuple[str, ...] = ()
BARE = {
    "serve_args": {}, "serve_worker_args": {}, "serve_extra_args": [], "serve_env": {}, "container_env": {},
    "model_repo": "org/model", "model_dir": "/opt/model", "model_config": {}, "patch_set": None,
}  # fmt: skip


@cache
def release(name: str) -> Release:
    found = PROFILES.release(name)
    assert found
    return found


@cache
def shipped() -> dict[str, Any]:
    files = layers.read(SETTINGS, PROFILES.layers("glm-4.7-v0.23.0", {}))
    merged, problems = layers.settings(SETTINGS, files, layers.of_inventory(SETTINGS, {}))
    assert problems == []
    return {**merged, **BARE}


def case(of: Release, own: dict[str, Any], hosts: tuple[str, ...] = HOSTS, host: str = "node0") -> Case:
    if "model_config" in own:
        own = {**own, "model_config": {"repo": "org/model", **own["model_config"]}}
    versions = {**shipped()["image_versions"], "vllm": of.row["vllm"], "vllm_ascend": of.name}
    merged = {**shipped(), "image_versions": versions, **own}
    return Case(host, hosts, merged, own.get("head", merged), own.get("shipped", {}), of)


def told(rule: str, of: str | Release, own: dict[str, Any], *place: Any) -> list[Finding]:
    known = release(of) if isinstance(of, str) else of
    return [one for one in lint.findings([case(known, own, *place)], {}) if one.id == rule]


def args(**flags: Any) -> dict[str, Any]:
    return {"serve_args": {name.replace("_", "-"): value for name, value in flags.items()}}


def config(**keys: Any) -> dict[str, Any]:
    return args(additional_config=keys)


def env(**variables: Any) -> dict[str, Any]:
    return {"serve_env": variables}


def role(name: str, **keys: Any) -> dict[str, Any]:
    return args(kv_transfer_config={"kv_role": name}, additional_config=keys)


def check(findings: list[Finding], expected: tuple[str, ...] | None) -> None:
    """Compare with parts of the one finding; None is no finding."""
    if expected is None:
        assert findings == []
        return
    (finding,) = findings
    problem = finding.problem
    text = f"{finding.severity}\n{problem.found}\n{problem.expected}\n{problem.remedy}\n"
    assert [part for part in expected if part not in text] == []
    assert "None" not in problem.remedy
    assert finding.source


SHARDING = "VLLM_ASCEND_BALANCE_SCHEDULING"
FLASHCOMM = "VLLM_ASCEND_ENABLE_FLASHCOMM1"
SIZES = {"cudagraph_capture_sizes": [1, 2, 4, 12]}


def graphs(*words: str, **keys: Any) -> dict[str, Any]:
    """Return settings with FlashComm and sizes of graphs that 8 chips cannot share."""
    return {
        **env(**{FLASHCOMM: "1"}),
        **args(compilation_config={**SIZES, **keys}, enable_expert_parallel=True),
        "serve_extra_args": list(words),
    }


def fine(role_: str = "kv_consumer", **keys: Any) -> dict[str, Any]:
    return role(role_, finegrained_tp_config=keys)


def sizes_of(role_: str, **extra: Any) -> dict[str, Any]:
    return args(kv_transfer_config={"kv_role": role_, "kv_connector_extra_config": extra})


EXPERTS = {"n_routed_experts": 160, "num_experts_per_tok": 8}


@pytest.mark.parametrize(
    ("rule", "of", "own", "expected"),
    [
        # Roles of --kv-transfer-config
        ("kv_role", "0.23.0", config(recompute_scheduler_enable=True), (FAIL, "kv_producer", "kv_consumer")),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable="true"), NOTHING),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable="2"), NOTHING),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable="1"), NOTHING),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable="0"), None),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable="false"), None),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable=0), None),
        ("kv_role", "0.23.0", config(recompute_scheduler_enable=None), None),
        ("kv_role", "0.23.0", role("kv_both", recompute_scheduler_enable=True), ("kv_both",)),
        ("kv_role", "0.23.0", role("kv_producer", recompute_scheduler_enable=True), None),
        ("kv_role", "0.23.0", config(enable_balance_scheduling=True), None),
        ("kv_role", "0.23.0", role("kv_both", enable_balance_scheduling=True), None),
        ("kv_role", "0.23.0", role("kv_producer", enable_balance_scheduling=True), ("none or kv_both",)),
        ("kv_role", "0.23.0", {**role("kv_producer"), **env(**{SHARDING: "1"})}, (SHARDING,)),
        ("kv_role", "0.23.0", {**role("kv_producer"), **env(**{SHARDING: "0"})}, None),
        (
            "kv_role",
            "0.23.0",
            {**role("kv_producer", enable_balance_scheduling=False), **env(**{SHARDING: "1"})},
            None,
        ),
        ("kv_role", "0.13.0", {**role("kv_producer"), **env(**{SHARDING: "1"})}, None),
        ("kv_role", "0.23.0", role("kv_producer", enable_kv_nz=True), ("enable_kv_nz",)),
        ("kv_role", "0.23.0", role("kv_both", enable_kv_nz=True), None),
        ("kv_role", "0.23.0", role("kv_consumer", layer_sharding=["o_proj"]), ("layer_sharding",)),
        ("kv_role", "0.23.0", role("kv_consumer", layer_sharding=[]), None),
        ("kv_role", "0.23.0", role("kv_producer", layer_sharding=["o_proj"]), None),
        ("kv_role", "0.23.0", fine("kv_producer", oproj_tensor_parallel_size=2), ("oproj_tensor",)),
        ("kv_role", "0.23.0", fine("kv_both", oproj_tensor_parallel_size=2), None),
        (
            "kv_role",
            "0.30.0",
            config(recompute_scheduler_enable=True, scheduler_config={"recompute_scheduler_enable": False}),
            None,
        ),
        # Context and data parallelism
        ("parallel_sizes", "0.23.0", args(prefill_context_parallel_size=2), (FAIL, "size is 2", "size 2")),
        ("parallel_sizes", "0.23.0", args(prefill_context_parallel_size=1), None),
        ("parallel_sizes", "0.18.0", args(prefill_context_parallel_size=2), None),
        # FlashComm
        ("parallel_sizes", "0.18.0", graphs(), ("multiple of 8", "add 8")),
        ("parallel_sizes", "0.18.0", {**graphs(), **env(**{FLASHCOMM: "0"})}, None),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_mode="PIECEWISE"), NOTHING),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_mode="full_decode_only"), NOTHING),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_mode="NONE"), None),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_capture_sizes=[1, 16]), None),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_capture_sizes=[]), None),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_capture_sizes=[1, "{tensor_parallel_size}"]), None),
        ("parallel_sizes", "0.18.0", graphs(cudagraph_capture_sizes="1,2"), None),
        ("parallel_sizes", "0.18.0", graphs(mode=0), None),
        ("parallel_sizes", "0.18.0", graphs(level=0), None),
        ("parallel_sizes", "0.18.0", graphs("-O0"), None),
        ("parallel_sizes", "0.18.0", graphs("--optimization-level=0"), None),
        ("parallel_sizes", "0.18.0", graphs("--enforce-eager"), None),
        ("parallel_sizes", "0.18.0", {**env(**{FLASHCOMM: "1"}), "tensor_parallel_size": 1}, ("size is 1", FLASHCOMM)),
        ("parallel_sizes", "0.18.0", {**env(**{FLASHCOMM: "1"}), "tensor_parallel_size": 2}, None),
        ("parallel_sizes", "0.13.0", {**env(**{FLASHCOMM: "1"}), "tensor_parallel_size": 1}, None),
        ("parallel_sizes", "0.18.0", {**env(**{FLASHCOMM: "1"}), "model_config": EXPERTS}, ("enable-expert-parallel",)),
        ("parallel_sizes", "0.18.0", {**env(**{FLASHCOMM: "1"}), "model_config": {"n_routed_experts": 0}}, None),
        # Groups of their own size, made of two engines
        ("parallel_sizes", "0.23.0", fine(lmhead_tensor_parallel_size=2), None),
        ("parallel_sizes", "0.23.0", fine(lmhead_tensor_parallel_size=3), ("lmhead_tensor_parallel_size: 3", "divisor of 2")),
        ("parallel_sizes", "0.23.0", fine(lmhead_tensor_parallel_size=0), None),
        ("parallel_sizes", "0.23.0", fine(lmhead_tensor_parallel_size=-3), None),
        ("parallel_sizes", "0.23.0", fine(lmhead_tensor_parallel_size="3"), None),
        ("parallel_sizes", "0.23.0", fine(other_tensor_parallel_size=3), None),
        (
            "parallel_sizes",
            "0.23.0",
            fine(an_unknown_size=3, lmhead_tensor_parallel_size=3),
            ("lmhead_tensor_parallel_size: 3",),
        ),
        ("parallel_sizes", "0.23.0", {**fine(lmhead_tensor_parallel_size=1), "model_config": {"hidden_size": 8}}, ("experts",)),
        ("parallel_sizes", "0.23.0", {**fine(lmhead_tensor_parallel_size=1), "model_config": EXPERTS}, None),
        ("parallel_sizes", "0.18.0", {**fine(lmhead_tensor_parallel_size=1), "model_config": {"hidden_size": 8}}, None),
        ("parallel_sizes", "0.23.0", fine(oproj_tensor_parallel_size=2), ("vllm_tensor_parallel_size is 8",)),
        ("parallel_sizes", "0.18.0", fine(oproj_tensor_parallel_size=2), None),
        ("parallel_sizes", "0.23.0", fine(oproj_tensor_parallel_size=1), None),
        ("parallel_sizes", "0.23.0", {**fine(oproj_tensor_parallel_size=2), "tensor_parallel_size": 2}, NOTHING),
        ("parallel_sizes", "0.23.0", {**fine(oproj_tensor_parallel_size=2), "tensor_parallel_size": 1}, None),
        # Sizes that kv-transfer-config repeats
        ("parallel_sizes", "0.23.0", sizes_of("kv_producer", prefill={"tp_size": 4}), ("prefill.tp_size: 4", "is 8")),
        ("parallel_sizes", "0.23.0", sizes_of("kv_both", decode={"dp_size": 1}), ("decode.dp_size: 1", "is 2")),
        ("parallel_sizes", "0.23.0", sizes_of("kv_both", prefill={"dp_size": 1}), ("prefill.dp_size: 1",)),
        ("parallel_sizes", "0.23.0", sizes_of("kv_consumer", prefill={"tp_size": 4}), None),
        ("parallel_sizes", "0.23.0", sizes_of("kv_consumer", decode={"tp_size": 8, "dp_size": 2}), None),
        ("parallel_sizes", "0.23.0", sizes_of("kv_consumer", decode={"tp_size": "4"}), None),
        ("parallel_sizes", "0.23.0", sizes_of("other", decode={"tp_size": 4}), None),
        # Settings that exclude or need each other
        ("settings_conflict", "0.18.0", env(ASCEND_LAUNCH_BLOCKING="1"), (FAIL, "ASCEND_LAUNCH_BLOCKING")),
        ("settings_conflict", "0.18.0", env(ASCEND_LAUNCH_BLOCKING="0"), None),
        ("settings_conflict", "0.18.0", {"container_env": {"ASCEND_LAUNCH_BLOCKING": 1}}, NOTHING),
        (
            "settings_conflict",
            "0.23.0",
            {**config(enable_mc2_hierarchy_comm=True), **env(VLLM_ASCEND_ENABLE_FUSED_MC2="1")},
            ("VLLM_ASCEND_ENABLE_FUSED_MC2",),
        ),
        ("settings_conflict", "0.23.0", config(enable_mc2_hierarchy_comm=True), None),
        ("settings_conflict", "0.23.0", config(enable_fused_mc2=1), None),
        ("settings_conflict", "0.30.0", config(enable_fused_mc2=1, mc2_comm_alg="fullmesh"), None),
        (
            "settings_conflict",
            "0.23.0",
            config(ascend_compilation_config={"enable_static_kernel": True}),
            None,
        ),
        (
            "settings_conflict",
            "0.23.0",
            config(ascend_compilation_config={"enable_static_kernel": False, "enable_npugraph_ex": False}),
            None,
        ),
        ("settings_conflict", "0.23.0", config(eplb_config={"dynamic_eplb": False}), None),
        ("settings_conflict", "0.23.0", config(eplb_config={"expert_map_record_path": "/m"}), ("DYNAMIC_EPLB",)),
        (
            "settings_conflict",
            "0.23.0",
            {**config(eplb_config={"expert_map_record_path": "/m"}), **env(EXPERT_MAP_RECORD="true")},
            None,
        ),
        (
            "settings_conflict",
            "0.23.0",
            {**config(eplb_config={"dynamic_eplb": True}), **env(EXPERT_MAP_RECORD="false", DYNAMIC_EPLB="false")},
            ("DYNAMIC_EPLB",),
        ),
        *(
            ("settings_conflict", "0.18.0", args(additional_config={"xlite_graph_config": {"enabled": on}}, **more), expected)
            for on, more, expected in (
                (False, {"block_size": 64}, None),
                (True, {}, None),
                (True, {"block_size": 128}, None),
                (True, {"block_size": 64}, ("block-size: 64", "block-size: 128")),
                (True, {"pipeline_parallel_size": 1}, None),
                (True, {"pipeline_parallel_size": 2}, ("pipeline",)),
                (True, {"speculative_config": {"method": "ngram"}}, ("speculative-config",)),
            )
        ),
        # Sizes of a batch, heads and context
        ("batch_size", "0.23.0", args(max_num_batched_tokens=64, max_num_seqs=64), None),
        ("batch_size", "0.23.0", args(max_num_batched_tokens="1k", max_num_seqs=1001), (FAIL, "1000", "1001")),
        ("batch_size", "0.23.0", args(max_num_batched_tokens="few", max_num_seqs=64), None),
        ("batch_size", "0.23.0", args(max_num_batched_tokens=64, max_model_len=65), None),
        (
            "batch_size",
            "0.23.0",
            args(max_num_batched_tokens=64, max_model_len=65, enable_chunked_prefill="false"),
            ("65 or more", "lower max-model-len"),
        ),
        ("batch_size", "0.23.0", args(max_num_batched_tokens=64, max_model_len=65, enable_chunked_prefill=True), None),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 12}}, (FAIL, "1, 2, 3, 4, 6\n", "size: 6")),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 9}}, (": 1, 3\n", "size: 3")),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 4}}, ("1, 2, 4\n", "size: 4")),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 1}}, (": 1\n", "size: 1")),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 0}}, None),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": -1}}, None),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": "12"}}, None),
        ("attention_heads", "0.23.0", {"model_config": {"text_config": {"num_attention_heads": 12}}}, NOTHING),
        ("attention_heads", "0.23.0", {"model_config": {"num_attention_heads": 12, "repo": "org/other"}}, None),
        *(
            (
                "context_parallel",
                "0.23.0",
                {**args(decode_context_parallel_size=size), "model_config": {"num_key_value_heads": heads, **more}},
                expected,
            )
            for size, heads, more, expected in (
                (2, 4, {}, None),
                (3, 4, {}, (FAIL, "size is 3", "2 or less", "size: 2")),
                (2, 8, {}, ("1 or less",)),
                (2, 16, {}, ("1 or less",)),
                (1, 16, {}, None),
                (8, 1, {}, None),
                (2, 0, {}, None),
                (9, 1, {}, ("8 or less",)),
                (2, "8", {}, None),
                (2, 8, {"kv_lora_rank": 512}, None),
            )
        ),
        *(
            (
                "context_length",
                "0.23.0",
                {**args(max_model_len=length, **more), **variables, "model_config": {"max_position_embeddings": most, **keys}},
                expected,
            )
            for length, most, more, variables, keys, expected in (
                (4096, 4096, {}, {}, {}, None),
                (4097, 4096, {}, {}, {}, (WARN, "4097", "4096 or less")),
                ("auto", 4096, {}, {}, {}, None),
                (4097, "4096", {}, {}, {}, None),
                (4097, 4096, {"hf_overrides": {}}, {}, {}, None),
                (4097, 4096, {}, {}, {"rope_parameters": {}}, None),
                (4097, 4096, {}, {}, {"rope_scaling": {}}, None),
                (4097, 4096, {}, env(VLLM_ALLOW_LONG_MAX_MODEL_LEN="1"), {}, None),
                (4097, 4096, {}, env(VLLM_ALLOW_LONG_MAX_MODEL_LEN=None), {}, NOTHING),
            )
        ),
    ],
)  # fmt: skip
def test_what_the_engine_compares(rule, of, own, expected):
    check(told(rule, of, own), expected)


def speculation(**keys: Any) -> dict[str, Any]:
    return args(speculative_config=keys)


def capture(most: Any, sizes: Any, **flags: Any) -> dict[str, Any]:
    keys = {"max_cudagraph_capture_size": most, "cudagraph_capture_sizes": sizes}
    return args(**{"compilation_config": keys, "max_num_batched_tokens": 64, **flags})


def lora(loras: int | None, cached: int, on: bool | None = True) -> dict[str, Any]:
    return args(enable_lora=on, max_loras=loras, max_cpu_loras=cached)


def eplb(redundant: int, on: bool | None) -> dict[str, Any]:
    return args(enable_eplb=on, eplb_config={"num_redundant_experts": redundant})


@pytest.mark.parametrize(
    ("of", "own", "expected"),
    [
        ("0.23.0", args(enable_auto_tool_choice="True"), (FAIL, "tool-call-parser")),
        ("0.23.0", args(enable_auto_tool_choice=True, tool_call_parser="hermes"), None),
        ("0.23.0", args(enable_auto_tool_choice=False), None),
        ("0.23.0", args(enable_log_outputs=True, enable_log_requests=False), ("enable-log-requests",)),
        ("0.23.0", args(enable_log_outputs=False), None),
        ("0.23.0", args(kv_transfer_config={"kv_connector": "A", "kv_role": "kv_both"}), None),
        ("0.23.0", args(kv_transfer_config={"kv_connector": "A"}), ("kv_connector: A",)),
        ("0.23.0", args(kv_transfer_config={"kv_port": 1}), None),
        ("0.23.0", lora(2, 2), None),
        ("0.23.0", lora(3, 2), ("max-cpu-loras is 2", "3 or more")),
        ("0.23.0", lora(None, 1), None),
        ("0.23.0", lora(3, 0), None),
        ("0.23.0", lora(3, 2, None), None),
        ("0.23.0", args(mamba_block_size=8, enable_prefix_caching=False), ("mamba-block-size",)),
        ("0.23.0", args(mamba_block_size=8, enable_prefix_caching=True), None),
        ("0.23.0", args(enable_prefix_caching=False), None),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=1), None),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=8), None),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=2), (": 2", "8 as", "size: 1")),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size="2"), None),
        ("0.23.0", speculation(method="medusa"), ("medusa",)),
        ("0.23.0", speculation(method="medusa", model="/draft"), None),
        ("0.23.0", {**args(async_scheduling=True, speculative_config={"method": "suffix"})}, ("suffix",)),
        ("0.23.0", {**args(async_scheduling=False, speculative_config={"method": "suffix"})}, None),
        ("0.13.0", args(async_scheduling=True, pipeline_parallel_size=2), ("pipeline",)),
        ("0.13.0", args(async_scheduling=True, pipeline_parallel_size=1), None),
        ("0.13.0", args(async_scheduling=True), None),
        ("0.13.0", args(pipeline_parallel_size=2), None),
        ("0.23.0", capture(8, [1, 4]), ("size: 8", "4 is the largest")),
        ("0.23.0", capture(4, [4, 1]), None),
        ("0.23.0", capture(8, [1, 64]), ("64",)),
        ("0.23.0", capture(8, [1, 65]), None),  # vLLM leaves out what is above the tokens of a batch
        ("0.23.0", capture(8, [1, 4], enforce_eager=True), None),
        ("0.23.0", capture(8, [1, 4], max_num_batched_tokens=None), None),
        ("0.23.0", capture(8, []), None),
        ("0.23.0", capture(8, "1,4"), None),
        ("0.23.0", capture("8", [1, 4]), None),
        ("0.23.0", capture(8, ["{tensor_parallel_size}", 4]), ("4 is the largest",)),
        ("0.23.0", args(decode_context_parallel_size=1), None),
        ("0.23.0", args(decode_context_parallel_size=2), None),
        ("0.23.0", args(decode_context_parallel_size=8), None),
        ("0.23.0", args(decode_context_parallel_size=3), ("size is 3", "divisor of 8")),
        ("0.23.0", eplb(0, None), None),
        ("0.23.0", eplb(8, None), ("num_redundant_experts", "eplb_config")),
        ("0.23.0", eplb(8, True), ("enable-eplb", "dynamic_eplb")),
        ("0.30.0", eplb(8, True), None),
        ("0.30.0", eplb(8, False), ("num_redundant_experts",)),
    ],
)
def test_flags_that_vllm_refuses_together(of, own, expected):
    check(told("flags_together", of, own), expected)


@pytest.mark.parametrize(
    ("rule", "of", "own", "expected"),
    [
        # Raw words
        *(
            ("flag_unknown", "0.23.0", {"serve_extra_args": words}, expected)
            for words, expected in (
                (["--seed=1"], None),
                (["--no-enable-lora"], None),
                (["--additional-config.a_b.c=1"], None),
                (["--max_num_seqs", "4"], None),
                (["-O2", "-q=ascend"], None),
                (["1", "-1", "plain"], None),
                (["-seed"], (WARN, "-seed", "--seed")),
                (["--max-mum-seqs=4"], ("--max-num-seqs",)),
                (["--rope-theta=1"], ("hf-overrides",)),
                (["--no-zzzzzzzz"], ("--no-zzzzzzzz",)),
            )
        ),
        # Flags of one engine over several hosts
        ("flag_idle", "0.23.0", args(master_port=1, node_rank=0), (WARN, "{master-port: null, node-rank: null}")),
        ("flag_idle", "0.23.0", args(master_addr="a", nnodes=1), ("{master-addr: null}",)),
        ("flag_idle", "0.23.0", args(master_addr="a", nnodes=2), None),
        ("flag_idle", "0.23.0", args(master_addr=None), None),
        ("flag_idle", "0.23.0", args(nnodes=1), None),
        ("shutdown_timeout", "0.23.0", args(shutdown_timeout=120), (WARN, "8 s", "vllm_drain_seconds: 120")),
        ("shutdown_timeout", "0.23.0", args(shutdown_timeout=9), NOTHING),
        ("shutdown_timeout", "0.23.0", args(shutdown_timeout=8), None),
        ("shutdown_timeout", "0.23.0", args(shutdown_timeout=None), None),
        ("shutdown_timeout", "0.13.0", args(shutdown_timeout=120), None),
        # Parsers
        ("parser_missing", "0.23.0", args(tool_call_parser="mine"), (FAIL, "mine", "hermes")),
        ("parser_missing", "0.23.0", args(tool_call_parser="hermes"), None),
        ("parser_missing", "0.23.0", args(reasoning_parser="mine", tool_parser_plugin="/p.py"), ("mine",)),
        ("parser_missing", "0.23.0", args(reasoning_parser="mine", reasoning_parser_plugin="/p.py"), None),
        ("parser_missing", "0.23.0", {**args(tool_call_parser="mine"), "patch_set": "ours"}, None),
        ("parser_missing", "0.23.0", {**args(tool_call_parser="mine"), "patch_set": "glm47"}, ("mine",)),
        ("parser_missing", "0.13.0", args(tool_call_parser="glm47"), ("glm47",)),
        ("parser_missing", "0.13.0", {**args(tool_call_parser="glm47"), "patch_set": "glm47"}, None),
        # Choices
        ("flag_value", "0.23.0", args(kv_cache_dtype="int8"), None),
        ("flag_value", "0.23.0", args(kv_cache_dtype=None), None),
        ("flag_value", "0.23.0", args(kv_cache_dtype="int4"), (WARN, "int4")),
        ("flag_value", "0.23.0", args(dtype="int8"), ("int8", "bfloat16")),
        # Patch sets
        ("patch_set", "0.18.0", {"patch_set": "glm47"}, None),
        ("patch_set", "0.23.0", {"patch_set": "glm47"}, None),
        ("patch_set", "0.30.0", {"patch_set": "glm47"}, (WARN, "none", "vllm_patch_set: null")),
        ("patch_set", "0.23.0", {"patch_set": "ours"}, ("\nglm47\n",)),
        ("patch_set", "0.23.0", {"patch_set": "ours.yaml"}, None),
        ("patch_set", "0.23.0", {"patch_set": None}, None),
        # Other balancers
        ("load_balancer", "0.23.0", args(data_parallel_external_lb=True), (FAIL, "data-parallel-external-lb")),
        ("load_balancer", "0.23.0", args(data_parallel_external_lb="False"), None),
        ("load_balancer", "0.23.0", args(data_parallel_rank=0), ("data-parallel-rank",)),
        # API servers
        ("api_server_count", "0.23.0", args(api_server_count=1), None),
        ("api_server_count", "0.23.0", args(api_server_count=0), (FAIL,)),
        ("api_server_count", "0.23.0", args(api_server_count="-2"), (FAIL,)),
        ("api_server_count", "0.23.0", args(api_server_count=10), None),
        ("api_server_count", "0.13.0", {}, None),
        ("api_server_count", "0.23.0", {}, ("starts 2",)),
        ("api_server_count", "0.23.0", {"shipped": {"serve_args": {"api-server-count": 1}}}, (WARN,)),
        ("api_server_count", "0.23.0", {"data_parallel_size_local": 2}, ("starts 4",)),
        ("head_start_rank", "0.30.0", args(data_parallel_start_rank=0), (FAIL, "data-parallel-start-rank")),
        ("head_start_rank", "0.30.0", {}, None),
        ("head_start_rank", "0.23.0", args(data_parallel_start_rank=0), None),
        # Versions in the image
        ("release_versions", "0.23.0", {}, None),
        ("release_versions", "0.23.0", {"image_versions": {"vllm": "0.18.0"}}, (WARN, "vllm: 0.18.0", "vllm 0.23.0")),
        ("release_versions", "0.23.0", {"image_versions": {"vllm": "main"}}, None),
        ("release_versions", "0.23.0", {"image_versions": {"python": "3.1"}}, None),
        *(
            ("release_image", "0.23.0", {"image": image, **more}, expected)
            for image, more, expected in (
                ("r.io/va:v0.23.0", {}, None),
                ("r.io/va:v0.23.0-a3", {}, ("A3", "A2")),
                ("r.io/va:v0.23.0-310p-openeuler", {}, ("310P",)),
                ("r.io/va:v0.23.0-a3", {"image_variant": "a3-openeuler"}, None),
                ("r.io/va:v0.23.0", {"image_variant": "a3"}, ("A2", "the image for A3")),
                ("r.io/va:v0.18.0", {}, (WARN, "0.18.0", "vllm_release: 0.18.0")),
                ("r.io/va:v0.18.0@sha256:12", {}, ("vllm_release: 0.18.0",)),
                ("r.io:5000/va", {}, ("r.io:5000/va:TAG", "v0.23.0")),
                ("va:latest", {}, ("va:TAG",)),
                ("va@sha256:12", {}, None),
                ("va:main", {}, None),
            )
        ),
        ("npu_image", "0.23.0", {"npu_name": "910B3"}, None),
        ("npu_image", "0.23.0", {"npu_name": "other"}, None),
        ("npu_image", "0.23.0", {"npu_name": "Ascend910"}, (WARN, "A3", "vllm_image_variant: a3")),
        ("npu_image", "0.23.0", {"npu_name": "Ascend310P3"}, ("310P", "set vllm_image")),
        ("driver_release", "0.23.0", {"npu_driver_version": "25.2.9"}, None),
        ("driver_release", "0.23.0", {"npu_driver_version": "25.1.9"}, (WARN, "25.1.9", "driver 25.2 or")),
        ("driver_release", "0.23.0", {"npu_driver_version": "26.0"}, None),
        ("driver_release", "0.23.0", {"npu_driver_version": "25.2.rc1.1"}, None),
        ("driver_release", "0.13.0rc1", {"npu_driver_version": "20.0"}, None),
        # Weights
        ("quantization", "0.13.0", {"model_repo": "org/m-w8a8"}, (WARN, "m-w8a8", "quantization: ascend")),
        ("quantization", "0.13.0", {"model_dir": "/opt/m_W4A8"}, ("m_W4A8",)),
        ("quantization", "0.13.0", {"model_dir": "/opt/w8a8/m"}, None),
        ("quantization", "0.13.0", {"model_dir": "/opt/m-w8a8", **args(quantization="ascend")}, None),
        ("quantization", "0.18.0", {"model_dir": "/opt/m-w8a8"}, None),
        ("quantization_method", "0.18.0", args(quantization="ascend"), None),
        ("quantization_method", "0.18.0", args(quantization="fp8"), (FAIL, "fp8", "ascend, compressed-tensors")),
        *(
            (
                "quantization_method",
                "0.18.0",
                {**args(quantization=flag), "model_config": {"quantization_config": {"quant_method": method}, **more}},
                expected,
            )
            for flag, method, more, expected in (
                (None, "awq", {}, ("has awq",)),
                (None, "ascend", {}, None),
                ("ascend", "awq", {}, None),
                ("awq", "ascend", {}, ("is awq",)),
                (None, None, {}, None),
                (None, 8, {}, None),
                (None, "fp8", {"model_type": "minimax_m2"}, None),
                ("fp8", "fp8", {"model_type": "minimax_m2"}, ("is fp8",)),
            )
        ),
        *(
            (
                "graph_mtp",
                of,
                args(
                    speculative_config={"num_speculative_tokens": tokens},
                    compilation_config={"cudagraph_mode": mode, "cudagraph_capture_sizes": sizes},
                ),
                expected,
            )
            for of, tokens, mode, sizes, expected in (
                ("0.13.0", 3, "FULL", [1, 3], (WARN, "3 spec", "without 4", "4 among")),
                ("0.13.0", 3, "full_decode_only", [1, 2], NOTHING),
                ("0.13.0", 3, "FULL", [1, 4], None),
                ("0.13.0", 3, "FULL", [], None),
                ("0.13.0", 3, "FULL", "1", None),
                ("0.13.0", None, "FULL", [1], None),
                ("0.13.0", 3, "PIECEWISE", [1], None),
                ("0.18.0", 3, "FULL", [1], None),
            )
        ),
        # Variables
        ("variable_unread", "0.23.0", env(VLLM_NOT_THERE="1"), (WARN, "vllm_serve_env: {VLLM_NOT_THERE: null}")),
        ("variable_unread", "0.23.0", {"container_env": {"VLLM_NOT_THERE": "1"}}, ("vllm_container_env",)),
        ("variable_unread", "0.23.0", env(VLLM_NOT_THERE=None, VLLM_LOGGING_LEVEL="INFO", OWN="1"), None),
        ("variable_unread", "0.30.0", env(VLLM_ASCEND_ENABLE_FUSED_MC2="1"), ("set enable_fused_mc2",)),
        (
            "variable_unread",
            "0.23.0",
            {**env(VLLM_NOT_THERE="1"), "shipped": {"serve_env": {"VLLM_NOT_THERE": "1"}}},
            ("info",),
        ),
        (
            "variable_unread",
            "0.23.0",
            {**env(VLLM_NOT_THERE="1"), "shipped": {"serve_env": {"VLLM_NOT_THERE": "2"}}},
            (WARN,),
        ),
        ("variable_misspelt", "0.23.0", env(HCCL_BUFSIZE="1"), (WARN, "HCCL_BUFFSIZE", 'HCCL_BUFFSIZE: "1"')),
        ("variable_misspelt", "0.23.0", env(HCCL_BUFFSIZE="1", SOMETHING="1"), None),
        ("variable_value", "0.23.0", env(HCCL_BUFFSIZE=" 200 "), None),
        ("variable_value", "0.23.0", env(HCCL_BUFFSIZE="1.5"), (WARN, '"1.5"', "HCCL_BUFFSIZE: null")),
        ("variable_value", "0.23.0", env(HCCL_BUFFSIZE="0"), NOTHING),
        ("variable_value", "0.23.0", env(HCCL_BUFFSIZE="${SIZE}"), None),
        ("variable_value", "0.23.0", env(SOMETHING="text", VLLM_LOGGING_LEVEL="INFO"), None),
        ("variable_value", "0.23.0", env(VLLM_ENGINE_READY_TIMEOUT_S="long"), NOTHING),
        # Mappings
        ("config_unread", "0.23.0", config(enable_mlapo=True), None),
        ("config_unread", "0.23.0", config(enable_mlap=True), (WARN, "write enable_mlapo")),
        ("config_unread", "0.30.0", config(zzzz=True), (FAIL, "zzzz", "{additional-config: {zzzz: null}}")),
        (
            "config_unread",
            "0.23.0",
            {**config(zzzz=1), "shipped": args(additional_config={"zzzz": 1})},
            ("info",),
        ),
        ("config_unread", "0.23.0", {**config(zzzz=1), "shipped": args(additional_config={"zzzz": 2})}, (WARN,)),
        ("config_unread", "0.23.0", {**config(zzzz=1), "shipped": args(additional_config={"other": 2})}, (WARN,)),
        (
            "config_unread",
            "0.23.0",
            config(eplb_config={"dynamic_epl": True}),
            (FAIL, "write eplb_config.dynamic_eplb", "{additional-config: {eplb_config: {dynamic_epl: null}}}"),
        ),
        ("config_unread", "0.30.0", config(fuse_muls_add=True), ("ascend_compilation_config.fuse_muls_add",)),
        ("config_unread", "0.23.0", config(eplb_config=None), None),
        ("config_value", "0.30.0", config(enable_mlapo="none"), (FAIL, "true or false", "enable_mlapo: null")),
        ("config_value", "0.23.0", config(enable_cpu_binding="no"), (WARN, "enable_cpu_binding")),
        ("config_value", "0.23.0", config(enable_mlapo="$ON"), None),
        ("config_value", "0.23.0", config(enable_mlapo="{service_ip}"), None),
        ("config_value", "0.30.0", config(mc2_comm_alg="ring"), (FAIL, '"hierarchy"')),
        ("config_value", "0.30.0", config(mc2_comm_alg="$ALG"), None),
        ("config_value", "0.30.0", config(mc2_comm_alg=None), None),
        ("config_value", "0.30.0", config(mc2_comm_alg=7), (FAIL,)),
        ("mapping_key", "0.23.0", speculation(num_spec_tokens=3), (FAIL, "{speculative-config: {num_spec_tokens: null}}")),
        ("mapping_key", "0.13.0", speculation(num_spec_tokens=3), (WARN, "num_speculative_tokens", "does not read")),
        ("mapping_key", "0.23.0", speculation(num_speculative_tokens=3), None),
        ("mapping_value", "0.23.0", speculation(num_speculative_tokens="x"), (FAIL, "a whole number")),
        ("mapping_value", "0.23.0", speculation(num_speculative_tokens="$N"), None),
        ("mapping_value", "0.23.0", speculation(method="mtp9"), (WARN, "mtp9")),
        # Variables of a shell
        ("flag_variable", "0.23.0", args(kv_transfer_config={"a": ["$B", "c"]}), (WARN, "kv-transfer-config.a is")),
        ("flag_variable", "0.23.0", speculation(num_speculative_tokens="$N"), (FAIL, "num_speculative_tokens")),
        ("flag_variable", "0.23.0", speculation(method="$M"), (WARN, "method")),
        ("flag_variable", "0.23.0", config(enable_mlapo="$ON"), (WARN,)),
        ("flag_variable", "0.30.0", config(enable_mlapo="$ON"), (FAIL,)),
        ("flag_variable", "0.30.0", args(hf_overrides={"enable_mlapo": "$ON"}), (WARN, "hf-overrides.enable_mlapo")),
        ("flag_variable", "0.30.0", args(seed="$N"), (WARN, "seed is")),
        ("flag_variable", "0.30.0", args(seed=1, dtype="half"), None),
    ],
)  # fmt: skip
def test_a_setting_of_the_head(rule, of, own, expected):
    check(told(rule, of, own), expected)


# Each of them has a finding on the head.
OF_THE_HEAD: dict[str, tuple[str, dict[str, Any]]] = {
    "kv_role": ("0.23.0", config(recompute_scheduler_enable=True)),
    "parallel_sizes": ("0.23.0", args(prefill_context_parallel_size=2)),
    "settings_conflict": ("0.18.0", env(ASCEND_LAUNCH_BLOCKING="1")),
    "flags_together": ("0.23.0", args(enable_log_outputs=True)),
    "load_balancer": ("0.23.0", args(data_parallel_rank=0)),
    "batch_size": ("0.23.0", args(max_num_batched_tokens=32, max_num_seqs=64)),
    "attention_heads": ("0.23.0", {"model_config": {"num_attention_heads": 12}}),
    "context_parallel": (
        "0.23.0",
        {**args(decode_context_parallel_size=2), "model_config": {"num_key_value_heads": 8}},
    ),
    "context_length": (
        "0.23.0",
        {**args(max_model_len=65), "model_config": {"max_position_embeddings": 64}},
    ),
    "parser_missing": ("0.23.0", args(tool_call_parser="mine")),
    "head_start_rank": ("0.30.0", args(data_parallel_start_rank=0)),
    "moe_dispatch": ("0.23.0", {**args(enable_expert_parallel=True), "model_config": EXPERTS}),
    "expert_shares": (
        "0.23.0",
        {
            **args(enable_expert_parallel=True),
            "model_config": {"n_routed_experts": 24, "num_experts_per_tok": 8},
        },
    ),
    "quantization": ("0.13.0", {"model_repo": "org/m-w8a8"}),
    "quantization_method": ("0.18.0", args(quantization="awq")),
    "graph_mtp": (
        "0.13.0",
        args(
            speculative_config={"num_speculative_tokens": 3},
            compilation_config={"cudagraph_mode": "FULL", "cudagraph_capture_sizes": [1]},
        ),
    ),
}


@pytest.mark.parametrize("rule", OF_THE_HEAD)
def test_what_matters_on_the_head_is_not_told_of_a_worker(rule):
    of, own = OF_THE_HEAD[rule]
    assert len(told(rule, of, own)) == 1
    assert told(rule, of, own, HOSTS, "node1") == []


@pytest.mark.parametrize(
    ("rule", "of", "own"),
    [
        ("load_balancer", "0.23.0", args(data_parallel_rank=0)),
        ("parallel_sizes", "0.23.0", args(prefill_context_parallel_size=2)),
        ("api_server_count", "0.23.0", {}),
        (
            "moe_dispatch",
            "0.23.0",
            {**OF_THE_HEAD["moe_dispatch"][1], "tensor_parallel_size": 16},
        ),
    ],
)
def test_what_needs_several_hosts_is_not_told_of_one(rule, of, own):
    assert len(told(rule, of, own)) == 1
    assert told(rule, of, own, HOSTS[:1]) == []


@pytest.mark.parametrize(
    ("of", "count", "expected"),
    [
        ("0.13.0", None, None),
        ("0.13.0", 0, None),
        ("0.13.0", 1, None),
        ("0.13.0", 2, (FAIL, ": 2")),
        ("0.23.0", None, None),
        ("0.23.0", 0, None),
        ("0.23.0", 1, (FAIL, ": 1")),
    ],
)
def test_api_servers_of_a_worker(of, count, expected):
    own = {**args(api_server_count=None), "serve_worker_args": {"api-server-count": count}}
    check(told("api_server_count", of, own, HOSTS, "node1"), expected)


PAIR = {"HCCL_INTRA_PCIE_ENABLE": "1", "HCCL_INTRA_ROCE_ENABLE": 0}
MOE = {"enable_expert_parallel": True}


@pytest.mark.parametrize(
    ("of", "own", "expected"),
    [
        ("0.23.0", args(**MOE), (WARN, "16 ranks", "2 hosts", 'HCCL_INTRA_ROCE_ENABLE: "0"', "enable_mc2_hier")),
        ("0.30.0", args(**MOE), ("{additional-config: {mc2_comm_alg: \"hierarchy\"}}",)),
        ("0.23.0", args(enable_expert_parallel="true"), NOTHING),
        ("0.23.0", args(enable_expert_parallel=False), None),
        ("0.23.0", {**args(**MOE), **env(**PAIR)}, None),
        ("0.23.0", {**args(**MOE), **env(HCCL_INTRA_PCIE_ENABLE="1")}, NOTHING),
        ("0.23.0", {**args(**MOE), **env(**{**PAIR, "HCCL_INTRA_ROCE_ENABLE": "1"})}, NOTHING),
        ("0.23.0", args(**MOE, additional_config={"enable_mc2_hierarchy_comm": True}), None),
        ("0.23.0", args(**MOE, additional_config={"enable_mc2_hierarchy_comm": False}), NOTHING),
        ("0.30.0", args(**MOE, additional_config={"mc2_comm_alg": "hierarchy"}), None),
        ("0.30.0", args(**MOE, additional_config={"mc2_comm_alg": "fullmesh"}), NOTHING),
        ("0.23.0", {**args(**MOE), "npu_name": "Ascend910"}, None),
        ("0.23.0", {**args(**MOE), "tensor_parallel_size": 4}, None),
        ("0.23.0", {**args(**MOE), "shipped": {"serve_args": {"enable-expert-parallel": True}}}, ("info",)),
        ("0.23.0", {**args(**MOE), "shipped": {"serve_args": {}}}, (WARN,)),
        (
            "0.23.0",
            {**args(**MOE), "shipped": {**args(**MOE), "serve_env": {"HCCL_INTRA_PCIE_ENABLE": "1"}}},
            (WARN,),
        ),
    ],
)  # fmt: skip
def test_mc2_between_two_hosts(of, own, expected):
    check(told("moe_dispatch", of, {"model_config": EXPERTS, **own}), expected)


@pytest.mark.parametrize(
    ("experts", "redundant", "parallel", "expected"),
    [
        (32, None, True, None),
        (24, None, True, (WARN, "16 ranks", "24 experts", "divides 24")),
        (24, 8, True, None),
        (32, 8, True, ("40 experts",)),
        (32, -8, True, None),
        (24, "8", True, ("24 experts",)),
        (24, None, False, None),
        (0, 8, True, None),
    ],
)
def test_shares_of_experts(experts, redundant, parallel, expected):
    own = args(
        enable_expert_parallel=parallel,
        additional_config={"eplb_config": {"num_redundant_experts": redundant}},
    )
    model = {"n_routed_experts": experts, "num_experts_per_tok": 8}
    check(told("expert_shares", "0.23.0", {**own, "model_config": model}), expected)


@pytest.mark.parametrize(
    ("head", "worker", "expected"),
    [
        (env(A="1"), env(A="1"), None),
        (env(A="1"), env(A="2"), (WARN, "A: 2", "1, as on node0")),
        (env(A="1"), env(), ("A: None", "1, as on node0")),
        (env(), {"container_env": {"A": "2"}}, ("vllm_container_env has A: 2",)),
        (env(HCCL_IF_IP="1"), env(HCCL_IF_IP="2"), None),
        (env(GLOO_SOCKET_IFNAME="1"), env(GLOO_SOCKET_IFNAME="2"), None),
        ({}, {"npu_name": "910B3"}, ("vllm_npu_name is 910B3", "910B2, as")),
        ({}, {"image_versions": {"cann": "1"}}, ("vllm_image_versions",)),
    ],
)
def test_hosts_that_differ(head, worker, expected):
    merged = case(release("0.23.0"), head).settings
    own = {"image_versions": merged["image_versions"], **worker, "head": merged}
    check(told("hosts_differ", "0.23.0", own, HOSTS, "node1"), expected)


@pytest.mark.parametrize(
    ("rule", "of", "own", "severity"),
    [
        ("flags_together", "0.23.0", args(enable_log_outputs=True), WARN),
        ("variable_unread", "0.23.0", env(VLLM_NOT_THERE="1"), "info"),
    ],
)
def test_what_a_host_accepts_is_less_severe(rule, of, own, severity):
    accepted = lint.findings([case(release(of), own)], {"node0": [rule], "node1": []})
    assert [(one.severity, one.accepted) for one in accepted if one.id == rule] == [(severity, True)]
    other = lint.findings([case(release(of), own)], {"node1": [rule]})
    assert [one.accepted for one in other if one.id == rule] == [False]


def test_flags_of_workers_are_theirs_alone():
    own = {**args(max_num_seqs=4), "serve_worker_args": {"max-num-seqs": 8, "headless": True}}
    head, worker = (case(release("0.23.0"), own, HOSTS, host) for host in HOSTS)
    assert (head.number("max-num-seqs"), worker.number("max-num-seqs")) == (4, 8)
    assert ("headless" in head.args, worker.args["headless"]) == (False, True)


def test_what_is_told_once_and_for_whom():
    first, second = (
        case(release("0.23.0"), env(VLLM_NOT_THERE="1", **own), HOSTS, host)
        for host, own in (("node0", {}), ("node1", {"HCCL_BUFFSIZE": "x"}))
    )
    accepted = lint.findings([first, second], {"node0": ["variable_unread"], "node1": ["variable_value"]})
    told_ = {
        one.id: (one.host, one.severity, one.accepted) for one in accepted if one.id.startswith("variable")
    }
    assert told_ == {
        "variable_unread": ("node0", "info", True),
        "variable_value": ("node1", "info", True),
    }


@pytest.mark.parametrize(
    ("value", "number"), [("32k", 32000), ("32K", 32768), (8, 8), ("-1", None), ("x", None)]
)
def test_the_number_of_a_flag(value, number):
    assert case(release("0.23.0"), args(max_model_len=value)).number("max-model-len") == number


def test_checks_that_a_release_does_not_have_are_not_made():
    bare = replace(release("0.23.0"), checks=frozenset())
    for rule in ("kv_role", "parallel_sizes", "flags_together"):
        assert told(rule, bare, OF_THE_HEAD[rule][1]) == []
