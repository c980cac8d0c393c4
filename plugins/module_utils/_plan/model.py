# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's weights and KV cache, from its own files: config.json and the safetensors.

Weights are counted by kind, because vLLM divides each kind among the devices in another way.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple

# Kinds of weights.
EXPERTS = "experts"  # routed experts: divided among all devices of a pipeline stage
SHARED = "shared"  # shared experts: divided by tensor parallelism, unless enable_shared_expert_dp is set
KV = "kv"  # projections to keys and values: divided into no more parts than there are KV heads
SLICED = "sliced"  # all else that tensor parallelism divides
COPIED = "copied"  # what each device has whole: norms, routers, the low-rank projections of MLA
VOCABULARY = "vocabulary"  # embedding and output head: divided, and of the first and the last stage only
KINDS = (EXPERTS, SHARED, KV, SLICED, COPIED, VOCABULARY)

DTYPES = {"bfloat16": 2, "float16": 2, "float32": 4}
CACHE_DTYPES = {"bfloat16": 2, "float16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "int8": 1}
NEAR = 0.03  # between a count and the real size of the same weights
# Bytes a parameter in weights of 16, 8 and 4 bits: scales and offsets add some, layers that are not quantized
# add more.
PACKED = ((1.94, 2.06), (0.97, 1.2), (0.48, 0.75))
# Numbers of config.json that the count reads, with the least and the largest that make sense.
MOST = 10**9
COUNTS = {
    "num_hidden_layers": (1, 10**4),
    "hidden_size": (1, MOST),
    "num_attention_heads": (1, MOST),
    "vocab_size": (1, MOST),
    "max_position_embeddings": (1, MOST),
    **dict.fromkeys(
        (
            "decoder_sparse_step",
            "first_k_dense_replace",
            "head_dim",
            "intermediate_size",
            "kv_lora_rank",
            "linear_conv_kernel_dim",
            "linear_key_head_dim",
            "linear_num_key_heads",
            "linear_num_value_heads",
            "linear_value_head_dim",
            "full_attention_interval",
            "moe_intermediate_size",
            "moe_layer_freq",
            "n_routed_experts",
            "n_shared_experts",
            "num_experts",
            "num_experts_per_tok",
            "num_key_value_heads",
            "num_nextn_predict_layers",
            "q_lora_rank",
            "qk_nope_head_dim",
            "qk_rope_head_dim",
            "shared_expert_intermediate_size",
            "v_head_dim",
        ),
        (0, MOST),
    ),
}
SHAPES = {
    "text_config": (Mapping, "mapping"),
    "layer_types": (list, "list"),
    "mlp_only_layers": (list, "list"),
}
# Other names of the same numbers: Mixtral and MiniMax-M2, Kimi-Linear, Hunyuan, ERNIE-4.5, gpt-oss.
ALIASES = {
    "attention_head_dim": "head_dim",
    "experts_per_token": "num_experts_per_tok",
    "model_max_length": "max_position_embeddings",
    "moe_k": "num_experts_per_tok",
    "moe_layer_interval": "decoder_sparse_step",
    "moe_layer_start_index": "first_k_dense_replace",
    "moe_num_experts": "num_experts",
    "moe_num_shared_experts": "n_shared_experts",
    "moe_topk": "num_experts_per_tok",
    "num_experts_per_token": "num_experts_per_tok",
    "num_local_experts": "num_experts",
    "num_mtp_modules": "num_nextn_predict_layers",
    "num_shared_expert": "n_shared_experts",
    "num_shared_experts": "n_shared_experts",
    "shared_intermediate_size": "shared_expert_intermediate_size",
}
# Where the experts have this name, each has the width of intermediate_size, and no layer is without experts.
ALL_EXPERTS = "num_local_experts"
ABOUT_EXPERTS = re.compile("expert|moe")
# What vLLM-Ascend loads as the files have it (supported_quantization in its platform.py).
AS_STORED = ("ascend", "compressed-tensors")
# FP8 that it loads in 16 bits, by model_type (vllm_ascend/patch/platform/patch_minimax_m2_config.py, v0.18.0).
UNPACKED = ("minimax_m2",)
LINEAR = ("linear_num_value_heads", "linear_num_key_heads", "linear_key_head_dim", "linear_value_head_dim")
LAYER = re.compile(r"\blayers\.(\d+)\.")
# Tensors by their names in the repositories of GLM-4.x, Qwen3 and DeepSeek; the first that matches counts.
NAMED = (
    (EXPERTS, re.compile(r"\.experts\.")),
    (SHARED, re.compile(r"\.shared_experts?\.")),
    (VOCABULARY, re.compile(r"\b(embed_tokens|lm_head|shared_head\.head)\.")),
    (COPIED, re.compile(r"norm|\.gate\.|_a_proj|\.indexer\.|eh_proj")),
    (KV, re.compile(r"\.[kv]_proj\.")),
    (SLICED, re.compile(r"")),
)

Bytes = Mapping[str, float]  # by kind


class NotCounted(ValueError):
    """A config.json that lacks what the count needs: the model has another architecture than those it is for."""


@dataclass(frozen=True)
class Model:
    """What a model takes: bytes of weights by kind, and bytes of KV cache for a token."""

    name: str
    layers: int
    draft_layers: int  # of multi-token prediction, loaded only if the service uses it
    weights: Bytes
    draft: Bytes
    hidden: int
    vocabulary: int
    kv_heads: int
    head_size: int
    latent: int  # numbers for a token and layer of MLA's cache, 0 without MLA
    experts: int
    chosen_experts: int  # of each token
    expert_width: int
    width: int  # of a dense layer's MLP
    longest: int | None  # context
    quantized: bool
    mixed: bool = False  # whether some layers have linear attention
    doubts: tuple[str, ...] = ()  # why the estimate may be wrong
    stored: float = 0.0  # bytes of the files, if a device holds others
    unexplained: float = 0.0  # bytes by which the weights of a device may be more, at most
    heavier: tuple[str, ...] = ()  # why they may be

    @property
    def size(self) -> float:
        """Bytes of the files of all weights, the draft layers included."""
        return self.stored or sum(self.weights.values()) + sum(self.draft.values())

    def kv_bytes(self, tensor_parallel: int, layers: int, cache_bytes: float) -> float:
        """Return the bytes that a token takes on a device with *layers* layers, each number of *cache_bytes*.

        MLA's cache is whole on each device. KV heads are divided; if there are fewer of them than devices,
        each device has one (vLLM 0.13.0, ``get_num_kv_heads``).
        """
        numbers = self.latent or 2 * max(1, self.kv_heads // tensor_parallel) * self.head_size
        return layers * numbers * cache_bytes


def name_of(repo: Any) -> str:
    """Return the name of a repository without its owner, by which mirrors and local copies are recognized."""
    return str(repo).rpartition("/")[2]


def describes(config: Mapping[str, Any], repo: Any) -> bool:
    """Return whether *config*, a vllm_model_config, is that of the model in *repo*, and not of another profile."""
    return name_of(config.get("repo")) == name_of(repo)


def experts_of(config: Mapping[str, Any]) -> int:
    """Return how many routed experts a *config* (config.json) has; 0 if it has none, or does not say."""
    try:
        return _experts(_text_model(config)[0])
    except (ValueError, TypeError):
        return 0


def of_config(
    config: Mapping[str, Any], name: str, size: float | None = None, tensors: Mapping[str, int] | None = None
) -> Model:
    """Return the model that a *config* (config.json) describes.

    *size* is that of all weights in bytes, *tensors* that of each tensor by its name. With the tensors,
    nothing is counted. With the size, the count is fitted to it, which tells how many bits quantized weights have.
    Raises NotCounted if a key that the count needs is missing, and ValueError if a value is none that it can have.
    """
    try:
        return _of_config(config, name, size, tensors or {})
    except KeyError as error:
        raise NotCounted(f"there is no {error.args[0]}") from None
    except (OverflowError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"a value is none that the count can use: {error}") from None


def _of_config(config: Mapping[str, Any], name: str, size: float | None, tensors: Mapping[str, int]) -> Model:
    config, doubts = _text_model(config)
    layers, hidden, heads = (
        config[key] for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    doubts += _doubts(config)
    main, draft = (_bytes(part, config) for part in _counted(config))
    plain = main[EXPERTS] + main[SLICED]
    loaded = _Loaded(main, draft)
    if tensors or size:
        loaded = _loaded(config, main, draft, size or sum(tensors.values()), tensors)
    experts = _experts(config)
    return Model(
        name=name,
        layers=layers,
        draft_layers=int(config.get("num_nextn_predict_layers") or 0),
        weights=loaded.weights,
        draft=loaded.draft,
        hidden=hidden,
        vocabulary=int(config["vocab_size"]),
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_size=_head_size(config),
        latent=_latent(config),
        experts=experts,
        chosen_experts=int(config["num_experts_per_tok"]) if experts else 0,
        expert_width=int(config["moe_intermediate_size"]) if experts else 0,
        width=int(config["intermediate_size"]),
        longest=config.get("max_position_embeddings"),
        quantized=loaded.weights[EXPERTS] + loaded.weights[SLICED] < (1 - NEAR) * plain,
        mixed=_is_mixed(config),
        doubts=(*doubts, *loaded.doubts),
        stored=size or 0.0,
        unexplained=loaded.unexplained,
        heavier=loaded.heavier,
    )


class _Loaded(NamedTuple):
    """The weights as devices hold them."""

    weights: Bytes
    draft: Bytes
    unexplained: float = 0.0
    doubts: tuple[str, ...] = ()
    heavier: tuple[str, ...] = ()


def _loaded(
    config: Mapping[str, Any], main: Bytes, draft: Bytes, size: float, tensors: Mapping[str, int]
) -> _Loaded:
    """Return the weights by the size of the files, or by their tensors.

    How weights are divided that the count does not explain is not known: a device may have all of them.
    """
    method = str(_mapping(config.get("quantization_config")).get("quant_method") or AS_STORED[0])
    counted = sum(main.values()) + sum(draft.values())
    if method == "fp8" and config.get("model_type") in UNPACKED:
        return _Loaded(main, draft)
    fitted, fitted_draft, doubt = _fitted(main, draft, size)
    doubts = (doubt,) if doubt else ()
    packed: float = 0.0
    heavier: tuple[str, ...] = ()
    if method not in AS_STORED:
        packed = max(0.0, counted - size)
        heavier = (f"the weights are quantized by {method}, which a device may hold in 16 bits",)
    if not tensors:
        unexplained = max(0.0, size - counted) if doubt else 0.0
        return _Loaded(fitted, fitted_draft, max(packed, unexplained), doubts, heavier)
    own, own_draft = _of_tensors(tensors, int(config["num_hidden_layers"]))
    if own[EXPERTS] and not _experts(config):
        raise NotCounted("the weights have experts, and config.json does not say how many")
    return _Loaded(own, own_draft, packed, doubts, heavier)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text_model(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what a config says of the text model, without null, and a doubt if it says something of others."""
    doubts = []
    _require_shapes(config)
    if config.get("text_config") is not None:
        config = {**config, **config["text_config"]}
        _require_shapes(config)
        doubts.append("the model has parts that are not for text, and these are not counted")
    config = _named(config)
    numbered = {**config, **_numbers(config)}
    _require_known_experts(numbered)
    return {key: value for key, value in numbered.items() if value is not None}, doubts


def _named(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the names that the count reads. A list of one number for all layers is that number."""
    named = {key: value for key, value in config.items() if value is not None}
    for other, name in ALIASES.items():
        if other in named:
            named.setdefault(name, named[other])
    if ALL_EXPERTS in named and "intermediate_size" in named:
        named.setdefault("moe_intermediate_size", named["intermediate_size"])
    for name in COUNTS:
        value = named.get(name)
        if isinstance(value, list) and value and name != "moe_layer_freq" and isinstance(value[0], int):
            if any(one != value[0] for one in value):
                raise NotCounted(f"{name} differs between layers")
            if len(value) > 1:
                named[name] = value[0]
    return named


def _require_known_experts(config: Mapping[str, Any]) -> None:
    """Raise NotCounted if a config says something of experts, and not how many in a way that is known."""
    for key in sorted(config) if not _experts(config) else ():
        value = config[key]
        if ABOUT_EXPERTS.search(str(key)) and isinstance(value, int) and value > 1:
            raise NotCounted(f"{key} is {value}, and how many experts there are is not known")


def _require_shapes(config: Mapping[str, Any]) -> None:
    """Raise ValueError for a value that is not a mapping or list where it must be one."""
    for key, (shape, name) in SHAPES.items():
        value = config.get(key)
        if value is not None and not isinstance(value, shape):
            raise ValueError(f"{key} is {json.dumps(value, default=str)[:40]}, which is not a {name}")


def _numbers(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers that the count reads. Raises ValueError for one that is none, or makes no sense."""
    numbers = {}
    for key, (least, most) in COUNTS.items():
        value = config.get(key)
        if value is None or (key == "moe_layer_freq" and isinstance(value, list)):
            continue
        is_whole = not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,10}(\.0)?", str(value))
        number = int(float(value)) if is_whole else -1
        if not least <= number <= most:
            raise ValueError(
                f"{key} is {str(value)[:40]}, which is not a whole number from {least} to {most}"
            )
        numbers[key] = number
    return numbers


def _latent(config: Mapping[str, Any]) -> int:
    return int(config["kv_lora_rank"]) + int(config["qk_rope_head_dim"]) if config.get("kv_lora_rank") else 0


def _doubts(config: Mapping[str, Any]) -> list[str]:
    """Return why the count of this model may be wrong, whatever its size says."""
    doubts = []
    kinds = set(map(str, config.get("layer_types") or ())) - {"full_attention"}
    if kinds or _is_mixed(config):
        doubts.append("some layers have another cache than full attention, which takes less")
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        doubts.append("attention has a sliding window, whose cache takes less")
    if config.get("index_topk"):
        doubts.append("sparse attention has a cache of its own, which is not counted")
    return doubts


def _is_mixed(config: Mapping[str, Any]) -> bool:
    is_named = "linear_attention" in map(str, config.get("layer_types") or ())
    keys = ("full_attention_interval", "linear_num_value_heads", "linear_attn_config")
    return bool(is_named or any(config.get(key) for key in keys))


def _linear_layers(config: Mapping[str, Any]) -> int:
    """Return how many layers have linear attention in the way of Qwen3-Next."""
    layers, types = int(config["num_hidden_layers"]), config.get("layer_types") or ()
    if not all(config.get(key) for key in LINEAR):
        return 0
    named = sum(str(one) == "linear_attention" for one in types[:layers])
    interval = int(config.get("full_attention_interval") or 0)
    return named or (layers - layers // interval if interval else 0)


def _linear_attention(config: Mapping[str, Any]) -> Bytes:
    """Return the parameters of a layer's linear attention and norms."""
    hidden, values = int(config["hidden_size"]), int(config["linear_num_value_heads"])
    key_width = int(config["linear_num_key_heads"]) * int(config["linear_key_head_dim"])
    width = values * int(config["linear_value_head_dim"])
    kernel = int(config.get("linear_conv_kernel_dim") or 0)
    inward = hidden * (2 * key_width + 2 * width + 2 * values) + kernel * (2 * key_width + width)
    return {SLICED: inward + width * hidden, COPIED: 2 * hidden}


def _experts(config: Mapping[str, Any]) -> int:
    return int(config.get("n_routed_experts") or config.get("num_experts") or 0)


def _head_size(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _counted(config: Mapping[str, Any]) -> tuple[Bytes, Bytes]:
    """Return the parameters of the model and of its draft layers."""
    layers, hidden = int(config["num_hidden_layers"]), int(config["hidden_size"])
    moe = _moe_layers(config)
    main = dict.fromkeys(KINDS, 0.0)
    linear = _linear_layers(config)
    _add(main, layers - linear, _attention(config))
    if linear:
        _add(main, linear, _linear_attention(config))
    _add(main, layers - moe, _mlp(config, dense=True))
    if moe:
        _add(main, moe, _mlp(config, dense=False))
    vocabulary = int(config["vocab_size"]) * hidden
    main[VOCABULARY] += vocabulary * (1 if config.get("tie_word_embeddings") else 2)
    main[COPIED] += hidden
    draft = dict.fromkeys(KINDS, 0.0)
    drafts = int(config.get("num_nextn_predict_layers") or 0)
    own = {COPIED: 2 * hidden * hidden + 3 * hidden, VOCABULARY: 2 * vocabulary}
    for part in (own, _attention(config), _mlp(config, dense=not moe)):
        _add(draft, drafts, part)
    return main, draft


def _add(total: dict[str, float], times: int, part: Bytes) -> None:
    for kind, number in part.items():
        total[kind] += times * number


def _moe_layers(config: Mapping[str, Any]) -> int:
    """Return how many layers have experts: after the first dense ones, every one or every few."""
    if not _experts(config):
        return 0
    layers = range(int(config["num_hidden_layers"]))
    first = int(config.get("first_k_dense_replace") or 0)
    frequency = config.get("moe_layer_freq")
    if isinstance(frequency, list):  # MiMo-V2: 1 for each layer with experts, 0 for each without
        return sum(bool(one) for one in frequency[: len(layers)])
    step = int(config.get("decoder_sparse_step") or frequency or 1)
    dense = config.get("mlp_only_layers") or ()
    sparse = [number for number in layers if number >= first and number not in dense]
    if config.get("decoder_sparse_step"):
        return sum((number + 1) % step == 0 for number in sparse)
    return sum(number % step == 0 for number in sparse)


def _attention(config: Mapping[str, Any]) -> Bytes:
    """Return the parameters of a layer's attention and norms."""
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    norms = 2 * hidden
    if config.get("kv_lora_rank"):
        rank, rope = int(config["kv_lora_rank"]), int(config["qk_rope_head_dim"])
        plain, value = int(config["qk_nope_head_dim"]), int(config["v_head_dim"])
        low = config.get("q_lora_rank")
        queries = heads * (plain + rope) * (int(low) if low else hidden)
        copied = hidden * (rank + rope) + rank + (hidden * int(low) + int(low) if low else 0) + norms
        return {SLICED: queries + rank * heads * (plain + value) + heads * value * hidden, COPIED: copied}
    size = _head_size(config)
    keys = int(config.get("num_key_value_heads") or heads) * size
    bias = 1 if config.get("attention_bias") else 0
    return {
        SLICED: (2 * hidden + bias) * heads * size,
        KV: 2 * (hidden + bias) * keys,
        COPIED: norms + 2 * size,
    }


def _mlp(config: Mapping[str, Any], dense: bool) -> Bytes:
    hidden = int(config["hidden_size"])
    if dense:
        return {SLICED: 3 * hidden * int(config["intermediate_size"])}
    width, experts = int(config["moe_intermediate_size"]), _experts(config)
    shared = config.get("shared_expert_intermediate_size") or width * int(config.get("n_shared_experts") or 0)
    return {
        EXPERTS: 3 * hidden * width * experts,
        SHARED: 3 * hidden * int(shared),
        COPIED: (hidden + 1) * experts,
    }


def _bytes(parameters: Bytes, config: Mapping[str, Any]) -> dict[str, float]:
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").replace("torch.", "")
    return {kind: number * DTYPES.get(dtype, 2) for kind, number in parameters.items()}


def _fitted(main: Bytes, draft: Bytes, size: float) -> tuple[Bytes, Bytes, str | None]:
    """Return the counts so that they make *size* together, and a doubt if nothing explains the difference.

    Quantization leaves vocabulary, routers and norms as they are, and often the draft layers.
    """
    counted = sum(main.values()) + sum(draft.values())
    if (
        abs(size - sum(main.values())) < abs(size - counted) < NEAR * size
    ):  # the repository has no draft layers
        draft = dict.fromkeys(KINDS, 0.0)
        counted = sum(main.values())
    if abs(size - counted) < NEAR * size:
        return _scaled(main, size / counted), _scaled(draft, size / counted), None
    kept = main[VOCABULARY] + main[COPIED] + sum(draft.values())
    packed = 2 * (size - kept) / (counted - kept)
    if any(low <= packed <= high for low, high in PACKED):
        own = {kind: 1.0 if kind in (VOCABULARY, COPIED) else packed / 2 for kind in KINDS}
        return {kind: number * own[kind] for kind, number in main.items()}, draft, None
    sizes = f"{counted / 1e9:.1f} GB, but vllm_model_size_gb or the hub says {size / 1e9:.1f} GB"
    doubt = f"by config.json the weights have {sizes}"
    return _scaled(main, size / counted), _scaled(draft, size / counted), doubt


def _scaled(parts: Bytes, factor: float) -> Bytes:
    return {kind: number * factor for kind, number in parts.items()}


def _of_tensors(tensors: Mapping[str, int], layers: int) -> tuple[Bytes, Bytes]:
    """Return the bytes of tensors by kind, those of layers beyond the last one apart."""
    main, draft = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0.0)
    for name, size in tensors.items():
        layer = LAYER.search(name)
        part = draft if layer and int(layer[1]) >= layers else main
        part[next(kind for kind, pattern in NAMED if pattern.search(name))] += size
    return main, draft
