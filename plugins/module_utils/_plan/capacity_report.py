# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the estimate of capacity.py means: the problem with its remedy, a table, a verdict in one line."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.capacity import (
    BLOCK,
    FITS,
    GB,
    GIB,
    MARGIN,
    MIXED_UTILIZATION,
    TOO_LARGE,
    VISIBLE,
    Capacity,
    Layout,
    cache_tokens,
    divides,
    estimate,
    is_a2,
    release_of,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import Model, NotCounted
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.progress import duration

MOST_HOSTS = 64  # that a remedy names
UNDERCOUNTED = "this release takes more memory than vLLM counts for models with linear attention"
Variants = Callable[[Mapping[str, Any], Model], Sequence[str]]
UTILIZATION_MOST = 0.95  # that a remedy names; above it, nothing is left for the graphs


def no_variants(_plan: Mapping[str, Any], _model: Model) -> Sequence[str]:
    """Name no profile."""
    return ()


def problem(
    plan: Mapping[str, Any], model: Model, capacity: Capacity, variants: Variants = no_variants
) -> Problem | None:
    """Return what keeps the service from starting, or may do so; None if it fits.

    *variants* returns the profiles with quantized weights that would fit. It is only called to name them.
    """
    if capacity.verdict == FITS:
        return None
    weights, needed = _gib(capacity.weights), _gib(capacity.needed)
    context = f"a context of {_tokens(capacity.context)}" if capacity.context else "the smallest KV cache"
    found = f"each NPU needs {weights} for weights and {needed} for {context}, "
    if capacity.verdict == TOO_LARGE:
        found += f"of {_gib(capacity.budget)} that vLLM uses"
        found += f" (gpu-memory-utilization {capacity.utilization:g} of {_gib(capacity.hbm * VISIBLE)})"
    else:
        other = _gib(capacity.communication + capacity.computation)
        found += f"and about {other} for buffers, of {_gib(capacity.budget)} that vLLM uses"
        doubts = [UNDERCOUNTED] if capacity.undercounted else []
        found += "".join(f"; {doubt}" for doubt in [*capacity.doubts, *capacity.heavier, *doubts])
    expected = "weights, KV cache and buffers that fit into the HBM that vLLM may use"
    return Problem(found, expected, _remedy(plan, model, capacity, variants))


def _remedy(plan: Mapping[str, Any], model: Model, capacity: Capacity, variants: Variants) -> str:
    """Return the settings to change, each one by itself enough."""
    ways = []
    context = capacity.largest_context // BLOCK * BLOCK
    margin = cache_tokens(capacity.cache - MARGIN, capacity.kv_token, capacity.block)
    if capacity.context and 0 < margin < capacity.context:
        ways.append(f"vllm_serve_args: {{max-model-len: {min(margin, context)}}}")
    short = MARGIN - (capacity.cache - capacity.needed)
    if capacity.undercounted and short <= 0:
        return f"Use one of these: vllm_serve_args: {{gpu-memory-utilization: {MIXED_UTILIZATION}}}; a newer vllm_release"
    utilization = math.ceil(100 * (capacity.utilization + short / (capacity.hbm * VISIBLE))) / 100
    if utilization <= UTILIZATION_MOST:
        ways.append(f"vllm_serve_args: {{gpu-memory-utilization: {utilization}}}")
    layout = capacity.layout
    if layout.idle and capacity.weights * layout.idle / layout.chips >= short:
        ways.append(f"all {layout.chips} NPUs of each host, by a larger vllm_tensor_parallel_size")
    hosts = _hosts_that_fit(plan, model, capacity)
    if hosts:
        ways.append(f"{hosts} hosts like these")
    elif not model.experts:
        ways.append("a larger vllm_tensor_parallel_size")
    if not model.quantized:
        names = variants(plan, model)
        ways.append(
            f"vllm_profile: {' or '.join(names)}, quantized weights" if names else "quantized weights"
        )
    return f"Use one of these: {'; '.join(ways)}" if ways else "Use more or larger NPUs"


def _hosts_that_fit(plan: Mapping[str, Any], model: Model, capacity: Capacity) -> int | None:
    """Return how many hosts would do, if the experts of more hosts are divided."""
    for hosts in range(capacity.layout.hosts + 1, MOST_HOSTS + 1) if model.experts else ():
        more = estimate(plan, model, hosts=hosts)
        on_a2, ranks = is_a2(plan["npu"]["name"]), more.layout.expert
        shared = not more.expert_parallel or divides(on_a2, ranks, model.experts, release_of(plan))
        if shared and replace(more, doubts=()).verdict == FITS:
            return hosts
    return None


def not_counted(error: NotCounted) -> Problem:
    """Return the problem of a model whose architecture is not known here. It may fit all the same."""
    return Problem(
        f"whether the model fits is not known: {error}",
        "a config.json with the keys of GLM-4, Qwen, DeepSeek or Llama",
        "Follow the model's page in the documentation of vLLM-Ascend, and try to start it",
    )


def report(capacity: Capacity) -> str:
    """Return the estimate as a table of several lines."""
    layout = capacity.layout
    parallel = f"{layout.text}, EP {layout.expert}" if capacity.expert_parallel else layout.text
    head = f"{capacity.model} on {layout.hosts} x {layout.chips} NPUs of {_gib(capacity.hbm)}: {parallel}"
    return "\n".join([head, *_idle(layout), "", "each NPU", *_of_npu(capacity), "", *_of_service(capacity)])


def _idle(layout: Layout) -> list[str]:
    """Return a line if no engine uses some of the NPUs."""
    if not layout.idle:
        return []
    remedy = "raise vllm_tensor_parallel_size or vllm_data_parallel_size_local"
    return [f"idle: {layout.idle} of the {layout.chips} NPUs of each host. To use them, {remedy}"]


def _of_npu(capacity: Capacity) -> list[str]:
    """Return a line for each share of an NPU's memory."""
    rows = [
        ("HBM that vLLM may use", capacity.budget, f"gpu-memory-utilization {capacity.utilization:g}"),
        ("weights: experts", capacity.experts, ""),
        ("weights: the rest", capacity.rest, ""),
        ("communication", capacity.communication, "about"),
        ("computation", capacity.computation, "about"),
        ("left for the KV cache", capacity.cache, "about"),
    ]
    return [f"  {name:24}{size / GIB:6.1f} GiB  {note}".rstrip() for name, size, note in rows if size]


def _of_service(capacity: Capacity) -> list[str]:
    """Return lines about the KV cache, the hosts and the times, and what is in doubt."""
    cached = (capacity.host_memory + capacity.weights_size) / GB
    memory = (
        f"{capacity.host_memory / GB:.0f} GB of memory, {cached:.0f} GB to keep the weights in the page cache"
    )
    times = f"download {duration(capacity.download_seconds)}, load {duration(capacity.load_seconds)}"
    context = f"context     up to about {_tokens(capacity.largest_context)} (max-model-len)"
    return [
        f"KV cache    {capacity.kv_token / 1024:.1f} KiB a token on each NPU",
        f"            {_of_engine(capacity)}",
        *([context] if capacity.tokens else []),
        f"each host   {capacity.host_disk / GB:.0f} GB of disk for weights and image; {memory}",
        f"time        {times}",
        *(f"in doubt    {doubt}" for doubt in (*capacity.doubts, *capacity.heavier)),
        *_outside(capacity),
    ]


def _of_engine(capacity: Capacity) -> str:
    """Return what the KV cache of an engine holds."""
    if not capacity.tokens:
        return "nothing is left for it"
    text = f"about {_tokens(capacity.tokens)} in each engine"
    if capacity.context:
        text += f": {capacity.tokens / capacity.context:.1f} requests of {_tokens(capacity.context)} at once"
        text += f"; max-num-seqs is {capacity.sequences}" if capacity.sequences else ""
    return text


def _outside(capacity: Capacity) -> list[str]:
    """Return a line if little is left outside of what vLLM counts, as for the graphs."""
    if capacity.utilization <= UTILIZATION_MOST:
        return []
    left = _gib(capacity.hbm * VISIBLE - capacity.budget)
    return [
        f"in doubt    {left} are left outside of gpu-memory-utilization, and FULL graphs take up to 2 GiB there"
    ]


def verdict_line(capacity: Capacity, found: Problem | None) -> str:
    """Return the verdict as one line."""
    if found is None:
        spare = capacity.cache - capacity.needed
        return f"Fits: {_gib(spare)} of each NPU are left after one request of the whole context"
    word = "Does not fit" if capacity.verdict == TOO_LARGE else "Tight"
    return f"{word}: {found.found}. {found.remedy}"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _tokens(number: int | None) -> str:
    return f"{number or 0:,} tokens"
