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
