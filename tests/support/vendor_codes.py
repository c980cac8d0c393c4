# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public lists of error codes against which the table of log signatures is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeList:
    """A list of the vendor's codes; ``rest`` says which of them the signatures leave out, and why."""

    name: str
    source: str
    codes: tuple[str, ...]
    rest: str = ""


def numbers(*ranges: tuple[int, int], prefix: str = "") -> tuple[str, ...]:
    """Return the codes from the first to the last of each range; all codes have six characters."""
    width = 6 - len(prefix)
    return tuple(f"{prefix}{code:0{width}}" for first, last in ranges for code in range(first, last + 1))


LISTS = (
    CodeList(
        "HCCL (EI, EJ)",
        "https://gitcode.com/cann/hcomm, docs/en/error_codes",
        tuple([f"EI{number:04}" for number in range(1, 21)] + [f"EJ{number:04}" for number in range(1, 5)]),
    ),
    CodeList(
        "CANN's run time and driver (107xxx, 207xxx, 5xxxxx)",
        "https://github.com/Ascend/pytorch, torch_npu/csrc/core/npu/NPUErrorCodes.h",
        numbers(
            (107000, 107019),
            (207000, 207015),
            (207018, 207018),
            (500000, 500005),
            (507000, 507052),
            (507899, 507901),
        ),
    ),
    CodeList(
        "CANN's run time, ACL, driver, operators and AI CPU (EE, EH, EL, EZ, E3)",
        "https://github.com/hicann/runtime, src/dfx/error_manager/error_code.json; EL0016 to EL0021: hicann/driver, src/ascend_hal",
        (
            *numbers((30003, 30009), (39001, 39002), (39004, 39011), prefix="E"),
            *numbers((1001, 1007), (1009, 1024), (2002, 2002), (4001, 4002), (4004, 4004), prefix="EE"),
            *numbers((1, 14), prefix="EH"),
            *numbers((1, 17), (19, 21), prefix="EL"),
            *numbers((1, 7), (501, 501), (1001, 1001), (2001, 2001), (3002, 3003), prefix="EZ"),
            *numbers((9010, 9010), (9903, 9903), (9999, 9999), prefix="EZ"),
        ),
    ),
    CodeList(
        "CANN's ACL interface (1000xx, 1480xx, 2000xx, 300000)",
        "https://github.com/Ascend/pytorch, torch_npu/csrc/core/npu/NPUErrorCodes.h",
        numbers((100000, 100045), (148046, 148052), (200000, 200007), (300000, 300000)),
        "They are about offline models, AIPP and image decoding, which vLLM does not use. Such a line is quoted as it is.",
    ),
    CodeList(
        "ascend-fd, the codes that its rules name",
        "https://github.com/Ascend/mind-cluster, component/ascend-faultdiag, kg-config.json",
        ("E19999", "E30008", "EI0002", "EI0003", "EI0004", "EI0005", "EI0006", "EI9999", "EJ0001", "EL0004"),
    ),
)


RULES_SOURCE = "https://github.com/Ascend/mind-cluster at 22bb3d98, component/ascend-faultdiag, kg-config.json (AISW_VLLM_*)"
# The rules that ascend-fd has for vLLM: the name, the signature that knows it, and a line that it looks for.
RULES = (
    (
        "AISW_VLLM_DPLB_001",
        "bad_config",
        "ValueError: data_parallel_start_local must be set to use data_parallel_hybrid_lb.",
    ),
    (
        "AISW_VLLM_DPLB_001",
        "bad_config",
        "ValueError: data_parallel_rank or node_rank must be specified if data_parallel_external_lb is enable.",
    ),
    (
        "AISW_VLLM_DPLB_001",
        "bad_config",
        "  Value error, data_parallel_external_lb can only be set when data_parallel_size > 1 [type=value_error]",
    ),
    (
        "AISW_VLLM_SCHEDULER_001",
        "bad_argument",
        "vllm serve: error: argument --scheduling-policy: invalid choice: 'fifo' (choose from fcfs, priority)",
    ),
    (
        "AISW_VLLM_SAMPLER_001",
        "bad_config",
        "RuntimeError: NPUModelRunner init failed, error is Failed to load LogitsProcessor plugin custom",
    ),
    (
        "AISW_VLLM_ENGINE_001",
        "kv_cache_too_small",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
    ),
    (
        "AISW_VLLM_ENGINE_002",
        "out_of_memory",
        "ValueError: Free memory on device (12.3/60.9 GiB) on startup is less than desired GPU memory utilization (0.9, 54.8 GiB). Decrease …",
    ),
    (
        "AISW_VLLM_ASCEND_QUANTIZATION_001",
        "bad_config",
        "AssertionError: [vllm-ascend] [quantization] W8A8_DYNAMIC - flash_common3 context is required when multistream_overlap_gate is enabled.",
    ),
    (
        "AISW_VLLM_ASCEND_QUANTIZATION_002",
        "mc2_group_missing",
        "RuntimeError: [vllm-ascend] MC2 group metadata unavailable.",
    ),
    (
        "AISW_VLLM_ASCEND_QUANTIZATION_003",
        "weights_do_not_fit",
        "ValueError: [FAKQuant] Attempted to load weight (torch.Size([1536])) into parameter (torch.Size([768])) when TP size is 8, TP rank 0",
    ),
    (
        "AISW_VLLM_ASCEND_QUANTIZATION_COMPRESSED_TENSORS_001",
        "quantization_unsupported",
        "TypeError: AscendCompressedTensorsConfig.__init__() missing 3 required positional arguments: 'target_scheme_map', 'ignore', and 'quant_format'",
    ),
    (
        "AISW_VLLM_ASCEND_QUANTIZATION_ASCEND_001",
        "quantization_config_missing",
        "ValueError: \nModelSlim Quantization Config Not Found",
    ),
    (
        "AISW_VLLM_ASCEND_KV_POOL_MOONCAKE_001",
        "file_missing",
        "RuntimeError: Worker failed with error '[Errno 2] No such file or directory: '/data/mooncake.json''",
    ),
    (
        "AISW_VLLM_ASCEND_KV_POOL_MOONCAKE_002",
        "kv_store_unreachable",
        "[vllm-ascend] [distributed] - Initialize mooncake failed. ret=-600, metadata_server=P2PHANDSHAKE. Check mooncake config and network.",
    ),
    (
        "AISW_VLLM_ASCEND_KV_POOL_MOONCAKE_003",
        "kv_store_memory",
        "E20260624 10:46:50.1  3591 ascend_allocator.cpp:49] Failed to allocate memory: 207001",
    ),
    (
        "AISW_VLLM_ASCEND_KV_POOL_MOONCAKE_004",
        "bad_config",
        "RuntimeError: [vllm-ascend] HCCL_BUFFSIZE should be positive, got 0",
    ),
    (
        "AISW_VLLM_WEIGHT_LOADER_001",
        "weights_do_not_fit",
        "KeyError: 'model.layers.3.mlp.experts.0.down_proj.weight'",
    ),
    (
        "AISW_VLLM_ASCEND_SAMPLER_001",
        "triton_unused",
        "[vllm-ascend] [sample] - sampler: Triton not available, falling back to vLLM default penalty implementation. Penalty performance may …",
    ),
    ("AISW_VLLM_ASCEND_EPLB_001", "bad_config", "AssertionError: EPLB must used in expert parallelism"),
    ("AISW_VLLM_ASCEND_EPLB_002", "bad_config", "ValueError: EPLB not support QuantType.W4A16"),
    (
        "AISW_VLLM_ASCEND_SPECDECODE_001",
        "bad_config",
        "ValidationError: 1 validation error for SpeculativeConfig\nmethod\n  Input should be 'ngram', 'medusa', 'mtp' [type=literal_error]",
    ),
    (
        "AISW_VLLM_WEIGHT_LOADER_SCHEME_001",
        "quantization_unsupported",
        "NotImplementedError: Currently, vLLM Ascend doesn't support quant_type=W4A16 for layer_type=linear.",
    ),
    ("AISW_VLLM_WEIGHT_LOADER_RFORK_001", "package_missing", "ModuleNotFoundError: No module named 'yr'"),
)
