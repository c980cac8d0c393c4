# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on settings that vLLM refuses together when it starts, as far as the source of the release has the check."""

from __future__ import annotations

import re
from typing import Iterator, Tuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case, mapping
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules

rules = Rules()
Pair = Tuple[str, str, str, str]  # check, what is found, what is expected, the remedy
# Methods of speculation with which vLLM cannot schedule ahead, and those that need a model of their own.
NOT_AHEAD = ("medusa", "mlp_speculator", "ngram", "suffix")
WITH_MODEL = ("draft_model", "eagle", "eagle3", "medusa", "mlp_speculator")
# Ways of data parallelism in which each host has an API server of its own.
OTHER_BALANCERS = (
    "data-parallel-external-lb",
    "data-parallel-hybrid-lb",
    "data-parallel-multi-port-external-lb",
    "data-parallel-rank",
)


@rules.named("flags_together")
def _together(case: Case) -> Iterator[Found]:
    for pairs in (_of_clients, _of_speculation, _of_graphs, _of_parallelism) if case.is_head else ():
        for check, found, expected, remedy in pairs(case):
            if check in case.release.checks:
                text = f"{found}, and vLLM {case['vllm']} does not start with that"
                yield Found(FAIL, text, expected, remedy, case.flags_source)


def _is(case: Case, flag: str, value: bool) -> bool:
    return str(case.args.get(flag)).lower() == str(value).lower()


def _of_clients(case: Case) -> Iterator[Pair]:
    """Flags of the API, and of what it stores."""
    if _is(case, "enable-auto-tool-choice", True) and not case.args.get("tool-call-parser"):
        remedy = "vllm_serve_args: {tool-call-parser: NAME}, or {enable-auto-tool-choice: null}"
        yield "auto_tools", "enable-auto-tool-choice is set without tool-call-parser", "both", remedy
    if _is(case, "enable-log-outputs", True) and not _is(case, "enable-log-requests", True):
        remedy = "vllm_serve_args: {enable-log-requests: true}"
        yield "log_outputs", "enable-log-outputs is set without enable-log-requests", "both", remedy
    transfer = mapping(case.args.get("kv-transfer-config"))
    if transfer.get("kv_connector") and not transfer.get("kv_role"):
        remedy = "vllm_serve_args: {kv-transfer-config: {kv_role: ROLE}}"
        found = f"kv-transfer-config has kv_connector: {transfer['kv_connector']} without kv_role"
        yield "kv_role", found, "kv_both, kv_consumer or kv_producer", remedy
    loras, cached = (case.number(flag) for flag in ("max-loras", "max-cpu-loras"))
    if cached and cached < (loras or 1) and _is(case, "enable-lora", True):
        found = f"max-cpu-loras is {cached:.0f}, fewer than max-loras: {loras or 1:.0f}"
        yield "lora_count", found, f"{loras or 1:.0f} or more", "raise max-cpu-loras"
    if case.args.get("mamba-block-size") and _is(case, "enable-prefix-caching", False):
        found = "mamba-block-size is set with enable-prefix-caching: false"
        yield "mamba_block", found, "one of them", "remove mamba-block-size"


def _of_speculation(case: Case) -> Iterator[Pair]:
    speculation = mapping(case.args.get("speculative-config"))
    method, draft = speculation.get("method"), speculation.get("draft_tensor_parallel_size")
    tensor = int(case.settings["tensor_parallel_size"])
    if isinstance(draft, int) and draft not in (1, tensor):
        found = f"speculative-config has draft_tensor_parallel_size: {draft}"
        remedy = "vllm_serve_args: {speculative-config: {draft_tensor_parallel_size: 1}}"
        yield "draft_tensor", found, f"1, or {tensor} as vllm_tensor_parallel_size is", remedy
    if method in WITH_MODEL and not speculation.get("model"):
        found = f"speculative-config has method: {method} without a model"
        remedy = "vllm_serve_args: {speculative-config: {model: PATH}}, in a mount of the container"
        yield "draft_model", found, "the path of the draft model", remedy
    if _is(case, "async-scheduling", True):
        if method in NOT_AHEAD:
            found = f"async-scheduling is set with the method {method} of speculative-config"
            yield "async_speculation", found, "one of them", "remove async-scheduling"
        if (case.number("pipeline-parallel-size") or 1) > 1:
            found = "async-scheduling is set with pipeline parallelism"
            yield "async_pipeline", found, "one of them", "remove async-scheduling"


def _of_graphs(case: Case) -> Iterator[Pair]:
    """The sizes of graphs, of which those above max-num-batched-tokens do not count."""
    compilation = mapping(case.args.get("compilation-config"))
    sizes, most = compilation.get("cudagraph_capture_sizes"), compilation.get("max_cudagraph_capture_size")
    if (
        not isinstance(sizes, list)
        or not sizes
        or not isinstance(most, int)
        or case.args.get("enforce-eager")
    ):
        return
    largest = max(size if isinstance(size, int) else 0 for size in sizes)
    if largest != most and largest <= (case.number("max-num-batched-tokens") or 0):
        found = f"compilation-config has max_cudagraph_capture_size: {most}, and {largest} is the largest of its sizes"
        remedy = "vllm_serve_args: {compilation-config: {max_cudagraph_capture_size: null}}"
        yield "capture_sizes", found, "one of them, or the same number", remedy


def _of_parallelism(case: Case) -> Iterator[Pair]:
    context, tensor = case.number("decode-context-parallel-size"), int(case.settings["tensor_parallel_size"])
    if context and context > 1 and tensor % int(context):
        found = f"decode-context-parallel-size is {context:.0f}, which does not divide {tensor} chips of an engine"
        remedy = "change it, or vllm_tensor_parallel_size"
        yield "context_divides", found, f"a divisor of {tensor}", remedy
    eplb = mapping(case.args.get("eplb-config"))
    # From 0.30 on, vLLM-Ascend has work of its own on it (vllm-ascend#14099).
    if _is(case, "enable-eplb", True) and not case.release.refuses_keys:
        found = "enable-eplb is set, which is for GPUs"
        remedy = "remove it: vLLM-Ascend has vllm_serve_args: {additional-config: {eplb_config: {dynamic_eplb: true}}}"
        yield "eplb_platform", found, "the balancing of vLLM-Ascend", remedy
    elif eplb.get("num_redundant_experts") and not _is(case, "enable-eplb", True):
        found = "eplb-config has num_redundant_experts without enable-eplb"
        remedy = "remove it: vLLM-Ascend has vllm_serve_args: {additional-config: {eplb_config: {…}}}"
        yield "eplb_redundant", found, "both", remedy


@rules.named("load_balancer")
def _balancer(case: Case) -> Iterator[Found]:
    """Headless hosts are for the balancer inside of vLLM."""
    for flag in OTHER_BALANCERS if len(case.hosts) > 1 and case.is_head else ():
        value = case.args.get(flag)
        if value is not None and not re.fullmatch("false", str(value), re.IGNORECASE):
            yield Found(
                FAIL,
                f"{flag} is set, and vLLM {case['vllm']} then refuses the workers, which are headless",
                "the balancer inside of vLLM",
                f"remove {flag}",
                case.flags_source,
            )
