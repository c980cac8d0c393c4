# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on what vLLM compares when it starts."""

from __future__ import annotations

from typing import Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules

rules = Rules()


@rules.named("batch_size")
def _batch_size(case: Case) -> Iterator[Found]:
    """The checks of SchedulerConfig."""
    tokens = case.number("max-num-batched-tokens")
    if not case.is_head or tokens is None:
        return
    least = {"max-num-seqs": case.number("max-num-seqs")}
    if case.args.get("enable-chunked-prefill") in (False, "false"):
        least["max-model-len, without chunked prefill"] = case.number("max-model-len")
    for name, number in least.items():
        if number is not None and tokens < number:
            yield Found(
                FAIL,
                f"max-num-batched-tokens is {tokens:.0f}, fewer than {name}: {number:.0f}, and vLLM refuses that",
                f"{number:.0f} or more",
                f"raise max-num-batched-tokens, or lower {name.partition(',')[0]}",
                f"vLLM {case['vllm']}: vllm/config/scheduler.py",
            )


@rules.named("attention_heads")
def _heads(case: Case) -> Iterator[Found]:
    heads, tensor = case.model.get("num_attention_heads"), int(case.settings["tensor_parallel_size"])
    if case.is_head and isinstance(heads, int) and heads > 0 and heads % tensor:
        sizes = [
            size for size in range(1, min(heads, len(case.settings["npu_ids"])) + 1) if heads % size == 0
        ]
        yield Found(
            FAIL,
            f"the model has {heads} attention heads, which {tensor} chips of an engine cannot share, and vLLM refuses that",
            f"vllm_tensor_parallel_size that divides {heads}: {', '.join(map(str, sizes))}",
            f"vllm_tensor_parallel_size: {sizes[-1]}",
            f"vLLM {case['vllm']}: vllm/config/model.py (verify_with_parallel_config)",
        )


@rules.named("context_parallel")
def _context_parallel(case: Case) -> Iterator[Found]:
    """Decode context parallelism divides the copies of the KV heads. MLA has none of them."""
    size, heads = case.number("decode-context-parallel-size"), case.model.get("num_key_value_heads")
    tensor = int(case.settings["tensor_parallel_size"])
    if not case.is_head or not size or size < 2 or "kv_lora_rank" in case.model or not isinstance(heads, int):
        return
    if heads > 0 and size > tensor // heads:
        most = max(1, tensor // heads)
        yield Found(
            FAIL,
            f"decode-context-parallel-size is {size:.0f}, and {tensor} chips of an engine have "
            f"{heads} KV heads: vLLM refuses that",
            f"{most} or less",
            f"vllm_serve_args: {{decode-context-parallel-size: {most}}}",
            f"vLLM {case['vllm']}: vllm/config/model.py (verify_with_parallel_config)",
        )


@rules.named("context_length")
def _context(case: Case) -> Iterator[Found]:
    """A warning, as the model's own files may stretch its context."""
    longest, length = case.model.get("max_position_embeddings"), case.number("max-model-len")
    stretched = "hf-overrides" in case.args or {"rope_scaling", "rope_parameters"} & set(case.model)
    allowed = any(name == "VLLM_ALLOW_LONG_MAX_MODEL_LEN" for _key, name, _value in case.variables())
    if (
        case.is_head
        and isinstance(longest, int)
        and length
        and length > longest
        and not (stretched or allowed)
    ):
        yield Found(
            WARN,
            f"max-model-len is {length:.0f}, and the model's config.json has {longest}, beyond which vLLM does not start",
            f"{longest} or less",
            f"vllm_serve_args: {{max-model-len: {longest}}}, or stretch the context by hf-overrides",
            f"vLLM {case['vllm']}: vllm/config/model.py (max_position_embeddings)",
        )
