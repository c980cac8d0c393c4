# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a model fits on the NPUs of a plan, before it is downloaded.

Weights and KV cache follow from the files of the model. What communication and computation take is an
estimate, so a plan is only called too large if it would be so without them, on chips that keep as little for
themselves as any that are known.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import (
    COUNT,
    NUMBERS,
    effective,
    number,
    parse,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import (
    CACHE_DTYPES,
    COPIED,
    EXPERTS,
    KINDS,
    KV,
    SHARED,
    VOCABULARY,
    Model,
    describes,
    name_of,
    of_config,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import versions

FITS, TIGHT, TOO_LARGE, UNKNOWN = "fits", "tight", "too large", "unknown"
GIB, MIB, GB, MB = 2**30, 2**20, 10**9, 10**6
BLOCK = 128  # tokens, the default of vLLM-Ascend (platform.py, refresh_block_size)
UTILIZATION = 0.9  # vLLM's default
SEQUENCES, BATCHED_TOKENS = 128, 2048  # assumed where the flags say nothing
# vLLM sees 65464696832 bytes of a chip with 65536 MiB (log in vllm-ascend#5993); on A3 61.28 GiB (sglang#29838).
VISIBLE = 65464696832 / (65536 * MIB)
MOST_VISIBLE = 61.28 / 64
# Above it, services of Qwen3-Next ran out of memory that vLLM had not counted (vllm-ascend#4474, #5020, #6611).
MIXED_UTILIZATION = 0.8
MIXED_RELEASE = "0.14"  # no such report is of this one or a later one
# A communicator has two buffers of HCCL_BUFFSIZE MB (CANN, environment variable reference). vLLM-Ascend gives
# its groups 200 and the data-parallel one 50; only that of MC2 takes the variable (utils.py, v0.13.0rc1).
GROUP_MB, DATA_GROUP_MB, HCCL_MB = 200, 50, 200
MC2_DEVICES = 16  # on A2 fewer devices do not use MC2 (vllm_ascend/ascend_forward_context.py, v0.13.0rc1)
MC2_EXPERTS, MC2_EXPERTS_RELEASE = 24, "0.18"  # of a device; from that release on, more do without MC2 on A2
RUNTIME = 0.25 * GIB  # non-torch memory of one chip without peers: 0.03 to 0.18 GiB in public logs
# The estimates agree with public logs within about half a GiB (test_capacity.py), which are few.
MARGIN = 1.0 * GIB
LOADED = 0.98  # the least part of the counted weights that vLLM may hold
# Flags that change what a device holds in ways that are not estimated here.
NOT_ESTIMATED = (
    "cpu-offload-gb",
    "decode-context-parallel-size",
    "hf-overrides",
    "kv-cache-memory",
    "kv-cache-memory-bytes",
    "num-gpu-blocks-override",
    "prefill-context-parallel-size",
)


class Rates(NamedTuple):
    """Bytes a second, of each host."""

    download: float
    load: float


RATES = Rates(100 * MB, 1000 * MB)


class Layout(NamedTuple):
    """How a service divides the model."""

    hosts: int
    chips: int  # of each host
    tensor: int
    data: int
    pipeline: int
    expert: int  # devices that share the experts of a layer
    idle: int  # chips of each host that no engine uses

    @property
    def text(self) -> str:
        """The layout in a few words."""
        more = f", PP {self.pipeline}" if self.pipeline > 1 else ""
        return f"TP {self.tensor}, DP {self.data}{more}"


@dataclass(frozen=True)
class Capacity:
    """What a service takes and has. Sizes are bytes of one device, unless stated otherwise."""

    model: str
    layout: Layout
    expert_parallel: bool
    hbm: float  # as the vendor counts it
    utilization: float
    experts: float
    rest: float
    communication: float
    computation: float
    kv_token: float
    context: int | None  # max-model-len
    longest: int | None  # of the model
    undercounted: bool  # whether the release takes more than vLLM counts
    sequences: int | None  # max-num-seqs, of an engine
    block: int
    unexplained: float  # what the weights may be more, at most
    host_disk: float
    host_memory: float
    weights_size: float  # of the repository
    download_seconds: float
    load_seconds: float
    doubts: tuple[str, ...]
    heavier: tuple[str, ...] = ()  # doubts with which the weights are not less

    @property
    def weights(self) -> float:
        """Weights of one device."""
        return self.experts + self.rest

    @property
    def budget(self) -> float:
        """What vLLM uses in all."""
        return self.hbm * VISIBLE * self.utilization

    @property
    def cache(self) -> float:
        """What is left for the KV cache, about."""
        return self.budget - self.weights - self.communication - self.computation

    @property
    def tokens(self) -> int:
        """Tokens in the KV cache of an engine."""
        return cache_tokens(self.cache, self.kv_token, self.block)

    @property
    def largest_context(self) -> int:
        """The largest max-model-len."""
        return min(self.tokens, self.longest or self.tokens)

    @property
    def needed(self) -> float:
        """KV cache of one request of the whole context, without which vLLM does not start."""
        blocks = math.ceil((self.context or self.block) / self.block)
        return blocks * self.block * self.kv_token

    @property
    def verdict(self) -> str:
        """Whether the service fits; with doubts about the estimate, at worst tight."""
        if self.cache - self.needed - self.unexplained >= MARGIN:
            return TIGHT if self.undercounted else FITS
        budget = self.hbm * MOST_VISIBLE * self.utilization
        certain = not self.doubts and budget < self.weights * LOADED + self.needed
        return TOO_LARGE if certain else TIGHT

    def data(self) -> dict[str, Any]:
        """Return the estimate as a dictionary, sizes in bytes."""
        computed = ("weights", "budget", "cache", "tokens", "largest_context", "needed", "verdict")
        sizes = {**asdict(self), **{name: getattr(self, name) for name in computed}}
        sizes.update(layout=self.layout._asdict(), doubts=[*self.doubts, *self.heavier])
        del sizes["heavier"]
        return {name: round(value) if _is_size(name, value) else value for name, value in sizes.items()}


def _is_size(name: str, value: Any) -> bool:
    return isinstance(value, float) and name != "utilization"


def of_plan(plan: Mapping[str, Any]) -> Model | None:
    """Return the model that the settings of a *plan* describe; None if they describe none, or another one.

    Raises NotCounted for an architecture that is not known, and ValueError if the description cannot be used.
    """
    settings = plan["model"]
    config, repo = settings["config"], settings["repo"]
    if not config or not describes(config, repo):
        return None
    try:
        return of_config(config, name_of(repo), settings["size_gb"] * GB)
    except ValueError as error:
        raise type(error)(f"vllm_model_config: {error}") from None


def estimate(
    plan: Mapping[str, Any], model: Model, rates: Rates = RATES, hosts: int | None = None
) -> Capacity:
    """Return what a *plan* takes of a *model*, on as many *hosts* as given, or else the plan's."""
    flags = effective(parse(word for words in plan["serve"]["args"] for word in words))
    layout = _layout(plan, flags, hosts)
    draft = _has_draft(flags)
    weights = {kind: size + (model.draft[kind] if draft else 0) for kind, size in model.weights.items()}
    additional = flags.get("additional-config", {})
    whole = isinstance(additional, Mapping) and additional.get("enable_shared_expert_dp") is True
    parts = _divided(weights, layout, model, whole)
    layers = math.ceil((model.layers + (model.draft_layers if draft else 0)) / layout.pipeline)
    cache_dtype = str(flags.get("kv-cache-dtype", "auto"))
    size = model.size
    return Capacity(
        model=model.name,
        layout=layout,
        expert_parallel=flags.get("enable-expert-parallel") is True,
        hbm=float(plan["npu"]["hbm_mb"] * MIB),
        utilization=_number(flags, "gpu-memory-utilization", UTILIZATION),
        experts=parts[EXPERTS],
        rest=sum(parts.values()) - parts[EXPERTS],
        communication=_communication(plan, flags, layout, model),
        computation=RUNTIME + _computation(plan, flags, layout, model),
        kv_token=model.kv_bytes(layout.tensor, layers, CACHE_DTYPES.get(cache_dtype, 2)),
        context=_context(flags, model),
        longest=model.longest,
        undercounted=_is_undercounted(plan, flags, model),
        sequences=int(_number(flags, "max-num-seqs", 0)) or None,
        block=int(_number(flags, "block-size", BLOCK)) or BLOCK,
        unexplained=model.unexplained,
        host_disk=size + plan["image_size_gb"] * GB,
        host_memory=float(plan["host_memory_gb"] * GB),
        weights_size=size,
        download_seconds=size / rates.download,
        load_seconds=size / rates.load,
        doubts=(*model.doubts, *_doubts(flags, cache_dtype, model)),
        heavier=model.heavier,
    )


def _has_draft(flags: Mapping[str, Any]) -> bool:
    """Return whether the service loads the layers that draft tokens (MTP)."""
    speculative = flags.get("speculative-config", {})
    return isinstance(speculative, Mapping) and "mtp" in str(speculative.get("method", ""))


def release_of(plan: Mapping[str, Any]) -> str:
    """Return the release of vLLM-Ascend that a plan is for."""
    return str(plan["image_versions"].get("vllm_ascend"))


def _is_undercounted(plan: Mapping[str, Any], flags: Mapping[str, Any], model: Model) -> bool:
    release = release_of(plan)
    used = _number(flags, "gpu-memory-utilization", UTILIZATION)
    return model.mixed and used > MIXED_UTILIZATION and versions.compare(release, MIXED_RELEASE) == -1


def cache_tokens(cache: float, token: float, block: int) -> int:
    """Return how many tokens vLLM keeps in *cache* bytes: those of whole blocks (kv_cache_utils.py)."""
    return max(0, int(cache // (token * block)) * block)


def _number(flags: Mapping[str, Any], name: str, default: float) -> float:
    """Return the number that a flag has, also one such as 32k or 32K, which vLLM takes, too."""
    text = str(flags.get(name, ""))
    return number(text) if re.fullmatch(NUMBERS["number"][0] + "|" + COUNT, text) else default


def _context(flags: Mapping[str, Any], model: Model) -> int | None:
    """Return max-model-len. Without it vLLM takes the model's; with -1 or auto, what fits."""
    if str(flags.get("max-model-len")) in ("-1", "auto"):
        return None
    return int(_number(flags, "max-model-len", model.longest or 0)) or None


def _layout(plan: Mapping[str, Any], flags: Mapping[str, Any], hosts: int | None) -> Layout:
    tensor = int(_number(flags, "tensor-parallel-size", 1))
    data, have = plan["data_parallel"]["size"], len(plan["hosts"])
    data = data * hosts // have if hosts else data
    pipeline = int(_number(flags, "pipeline-parallel-size", 1))
    engine = tensor * pipeline * int(_number(flags, "prefill-context-parallel-size", 1))
    chips = plan["npu"]["count"]
    idle = max(0, chips - engine * plan["data_parallel"]["size"] // have)
    return Layout(hosts or have, chips, tensor, data, pipeline, tensor * data, idle)


def _divided(
    weights: Mapping[str, float], layout: Layout, model: Model, shared_whole: bool
) -> dict[str, float]:
    """Return the weights of one device by kind. Without expert parallelism each expert is divided."""
    share = math.ceil(model.experts / layout.expert) / model.experts if model.experts else 0
    parts = dict.fromkeys(KINDS, 1 / layout.tensor)
    parts.update({EXPERTS: share, COPIED: 1, KV: 1 / min(layout.tensor, model.kv_heads)})
    if shared_whole:
        parts[SHARED] = 1
    # The first stage has the embedding, the last one the output head.
    layers = math.ceil(model.layers / layout.pipeline) / model.layers
    stage = {kind: 0.5 if kind == VOCABULARY and layout.pipeline > 1 else layers for kind in KINDS}
    return {kind: weights[kind] * parts[kind] * stage[kind] for kind in KINDS}


def uses_mc2(on_a2: bool, ranks: int, experts: int, release: str) -> bool:
    """Return whether so many ranks of expert parallelism exchange their tokens by MC2. *experts* is 0 if not known."""
    if not on_a2:
        return ranks > 1
    is_limited = versions.compare(release, MC2_EXPERTS_RELEASE) in (0, 1)
    return ranks >= MC2_DEVICES and not (is_limited and experts // ranks > MC2_EXPERTS)


def divides(on_a2: bool, ranks: int, experts: int, release: str) -> bool:
    """Return whether so many ranks can share the experts: MC2 demands as many on each one."""
    return not experts or experts % ranks == 0 or not uses_mc2(on_a2, ranks, experts, release)


def is_a2(npu_name: Any) -> bool:
    """Return whether NPUs are those of Atlas A2, by the name that npu-smi shows."""
    return str(npu_name).startswith("910B")


def _communication(plan: Mapping[str, Any], flags: Mapping[str, Any], layout: Layout, model: Model) -> float:
    """Return the buffers of HCCL's communicators, one for each kind of parallelism, and for MC2."""
    buffer_mb = str(plan["serve"]["env"].get("HCCL_BUFFSIZE") or "").strip("'\"")
    groups = GROUP_MB if layout.tensor > 1 else 0
    groups += DATA_GROUP_MB if layout.data > 1 else 0
    groups += GROUP_MB if model.experts and layout.expert > 1 else 0
    parallel = model.experts and flags.get("enable-expert-parallel") is True
    if parallel and uses_mc2(is_a2(plan["npu"]["name"]), layout.expert, model.experts, release_of(plan)):
        groups += int(buffer_mb) if re.fullmatch("[0-9]{1,6}", buffer_mb) else HCCL_MB
    return float(2 * groups * MIB)


def _computation(plan: Mapping[str, Any], flags: Mapping[str, Any], layout: Layout, model: Model) -> float:
    """Return what a step takes at its peak, about: the logits, or the widest layer.

    Each token is copied for each expert that it is sent to. On A2 a device does that for the tokens of all
    engines, which it gathers.
    """
    tokens = _number(flags, "max-num-batched-tokens", BATCHED_TOKENS)
    sequences = _number(flags, "max-num-seqs", SEQUENCES)
    logits = 6 * sequences * model.vocabulary  # in half and in full precision
    engines = layout.data if is_a2(plan["npu"]["name"]) else 1
    rows = tokens * engines * model.chosen_experts
    experts = 2 * rows * (2 * model.hidden + 3 * model.expert_width)
    dense = 2 * tokens * (4 * model.hidden + 2 * model.width / layout.tensor)
    return float(max(logits, experts + dense))


def _doubts(flags: Mapping[str, Any], cache_dtype: str, model: Model) -> Iterator[str]:
    for flag in NOT_ESTIMATED:
        if flag in flags and str(flags[flag]) not in ("0", "1"):
            yield f"{flag} is not taken into account"
    if cache_dtype not in ("auto", *CACHE_DTYPES):
        yield f"the size of the KV cache type {cache_dtype} is not known"
    if "quantization" in flags and not model.quantized:
        yield "quantization is set, and the size of the weights is that of weights without it"
