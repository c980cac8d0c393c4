# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on what vLLM-Ascend compares when it starts, as far as the source of the release has the check."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case, mapping
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import fields

rules = Rules()
FINEGRAINED = "finegrained_tp_config"
XLITE_BLOCK = 128
PRODUCERS, CONSUMERS = ("kv_producer", "kv_both"), ("kv_consumer", "kv_both")


class Role(NamedTuple):
    """A setting that works in some roles of --kv-transfer-config only. None is a service without it."""

    check: str
    key: str
    roles: tuple[str | None, ...]
    variable: str = ""


ROLES = (
    Role("balance_role", "enable_balance_scheduling", (None, "kv_both"), "VLLM_ASCEND_BALANCE_SCHEDULING"),
    Role("kv_nz_role", "enable_kv_nz", CONSUMERS),
    Role("layer_sharding_role", "layer_sharding", ("kv_producer",)),
    Role("oproj_role", f"{FINEGRAINED}.oproj_tensor_parallel_size", CONSUMERS),
    Role("recompute_role", "recompute_scheduler_enable", ("kv_producer", "kv_consumer")),
)


def _refused(case: Case, found: str, expected: str, remedy: str) -> Found:
    text = f"{found}, and vLLM-Ascend {case.release.name} does not start with that"
    return Found(FAIL, text, expected, remedy, case.source("settings"))


def _is_on(value: Any) -> bool:
    """Return whether a switch is on, or a list or size is given. Of texts, only booleans and numbers are."""
    if isinstance(value, str):
        return value.lower() in fields.TRUE or (value.isdecimal() and int(value) > 0)
    return bool(value)


def _key(case: Case, path: str) -> Any:
    """Return the value of a key that the release reads, from 0.30 on in scheduler_config as well."""
    if path not in (case.release.nested if "." in path else case.release.keys):
        return None
    value = fields.at(case.config, path)
    return value if "." in path else mapping(case.config.get("scheduler_config")).get(path, value)


def _variable(case: Case, name: str) -> str:
    return next((str(value) for _key, other, value in case.variables() if other == name), "")


def _switch(case: Case, key: str, variable: str) -> str:
    """Return the name of the setting that turns on a feature, "" if none does. The key has precedence."""
    value = _key(case, key)
    if value is not None:
        return key if _is_on(value) else ""
    return variable if variable in case.release.variables and _is_on(_variable(case, variable)) else ""


@rules.named("kv_role")
def _roles(case: Case) -> Iterator[Found]:
    role = mapping(case.args.get("kv-transfer-config")).get("kv_role")
    for one in ROLES if case.is_head else ():
        name = _switch(case, one.key, one.variable)
        if name and one.check in case.release.checks and role not in one.roles:
            roles = " or ".join(other or "none" for other in one.roles)
            have = f"kv_role is {role}" if role else "there is no kv_role in kv-transfer-config"
            yield _refused(case, f"{name} is set and {have}", f"kv_role {roles}", f"remove {name}")


@rules.named("parallel_sizes")
def _sizes(case: Case) -> Iterator[Found]:
    if not case.is_head:
        return
    context = case.number("prefill-context-parallel-size") or 1
    if "context_and_data" in case.release.checks and case.engines > 1 and context > 1:
        yield _refused(
            case,
            f"prefill-context-parallel-size is {context:.0f}, and data parallelism has size {case.engines}",
            "one of them",
            "remove prefill-context-parallel-size",
        )
    has_experts = any("expert" in key for key, value in case.model.items() if value)  # as is_moe_model
    yield from _flashcomm(case, has_experts)
    yield from _finegrained(case, has_experts)
    yield from _kv_sizes(case)


def _flashcomm(case: Case, has_experts: bool) -> Iterator[Found]:
    name = _switch(case, "enable_flashcomm1", "VLLM_ASCEND_ENABLE_FLASHCOMM1")
    tensor = int(case.settings["tensor_parallel_size"])
    if name and not _is_shared(case, tensor) and "capture_tensor" in case.release.checks:
        found = f"{name} is set, and none of the cudagraph_capture_sizes is a multiple of {tensor}"
        expected = f"a multiple of vllm_tensor_parallel_size, {tensor}"
        yield _refused(case, found, expected, f"add {tensor} to the sizes, or remove {name}")
    if not name or "flashcomm" not in case.release.checks:
        return
    if tensor < 2:
        found = f"{name} is set, and vllm_tensor_parallel_size is 1"
        yield _refused(case, found, "vllm_tensor_parallel_size of 2 or more", f"remove {name}")
    if has_experts and not _is_on(case.args.get("enable-expert-parallel")):
        expected = "expert parallelism, as the model has experts"
        remedy = f"vllm_serve_args: {{enable-expert-parallel: true}}, or remove {name}"
        yield _refused(case, f"{name} is set without enable-expert-parallel", expected, remedy)


def _is_shared(case: Case, tensor: int) -> bool:
    """Return whether the chips of an engine can share the tokens of a graph, or no sizes are given."""
    sizes = mapping(case.args.get("compilation-config")).get("cudagraph_capture_sizes")
    if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
        return True
    return not sizes or not _uses_graphs(case) or any(size % tensor == 0 for size in sizes)


def _finegrained(case: Case, has_experts: bool) -> Iterator[Found]:
    """Its groups are made of engines."""
    tensor = int(case.settings["tensor_parallel_size"])
    for name, size in sorted(mapping(case.config.get(FINEGRAINED)).items()):
        if f"{FINEGRAINED}.{name}" not in case.release.nested or not isinstance(size, int) or size < 1:
            continue
        remedy, text = f"remove {name}", f"{FINEGRAINED} has {name}: {size}"
        if "finegrained_sizes" in case.release.checks and case.engines % size:
            found = f"{text}, which does not divide the size of data parallelism, {case.engines}"
            yield _refused(case, found, f"a divisor of {case.engines}", remedy)
        elif "finegrained_dense" in case.release.checks and case.model and not has_experts:
            yield _refused(case, f"{text}, and the model has no experts", "a model with experts", remedy)
        elif (
            name == "oproj_tensor_parallel_size"
            and "oproj_tensor" in case.release.checks
            and size > 1 < tensor
        ):
            found = f"{text}, and vllm_tensor_parallel_size is {tensor}"
            yield _refused(case, found, "vllm_tensor_parallel_size: 1", remedy)


def _kv_sizes(case: Case) -> Iterator[Found]:
    """The sizes that kv-transfer-config repeats."""
    transfer = mapping(case.args.get("kv-transfer-config"))
    extra, role = mapping(transfer.get("kv_connector_extra_config")), transfer.get("kv_role")
    own = {"tp_size": int(case.settings["tensor_parallel_size"]), "dp_size": case.engines}
    for side, roles in (("prefill", PRODUCERS), ("decode", CONSUMERS)):
        for key, size in own.items() if role in roles and "kv_sizes" in case.release.checks else ():
            given = mapping(extra.get(side)).get(key)
            if isinstance(given, int) and given != size:
                yield _refused(
                    case,
                    f"kv-transfer-config has {side}.{key}: {given} for this service, whose size is {size}",
                    f"{side}.{key}: {size}",
                    f"correct it in kv_connector_extra_config: {side}.{key}: {size}",
                )


@rules.named("settings_conflict")
def _conflicts(case: Case) -> Iterator[Found]:
    if case.is_head:
        for check, found, expected, remedy in _pairs(case):
            if check in case.release.checks:
                yield _refused(case, found, expected, remedy)


def _pairs(case: Case) -> Iterator[tuple[str, str, str, str]]:
    """Yield check, what is found, what is expected and the remedy for settings that exclude or need each other."""
    if _uses_graphs(case) and _variable(case, "ASCEND_LAUNCH_BLOCKING") == "1":
        expected = "one of them, as ASCEND_LAUNCH_BLOCKING is for debugging"
        found = "ASCEND_LAUNCH_BLOCKING is 1 with graphs"
        yield "blocking_graphs", found, expected, "remove ASCEND_LAUNCH_BLOCKING, or set enforce-eager: true"
    fused = _switch(case, "enable_fused_mc2", "VLLM_ASCEND_ENABLE_FUSED_MC2")
    hierarchy = _is_on(_key(case, "enable_mc2_hierarchy_comm")) or _key(case, "mc2_comm_alg") == "hierarchy"
    if hierarchy and fused:
        found = f"{fused} is set with the hierarchy algorithm of MC2"
        yield "hierarchy_fused", found, "one of them", f"set {fused} to 0"
    compilation = mapping(case.config.get("ascend_compilation_config"))
    if _is_on(compilation.get("enable_static_kernel")) and compilation.get("enable_npugraph_ex") is False:
        found = "ascend_compilation_config has enable_static_kernel without enable_npugraph_ex"
        yield "static_kernel", found, "both", "remove enable_npugraph_ex: false, or enable_static_kernel"
    eplb = mapping(case.config.get("eplb_config"))
    has_variable = _is_on(_variable(case, "DYNAMIC_EPLB")) or _variable(case, "EXPERT_MAP_RECORD") == "true"
    if (_is_on(eplb.get("dynamic_eplb")) or eplb.get("expert_map_record_path")) and not has_variable:
        found = "eplb_config has dynamic_eplb or expert_map_record_path, and the variable DYNAMIC_EPLB is not true"
        yield "eplb_variable", found, "both", 'vllm_serve_env: {DYNAMIC_EPLB: "true"}'
    if _is_on(mapping(case.config.get("xlite_graph_config")).get("enabled")):
        if case.args.get("speculative-config"):
            found = "xlite_graph_config is enabled with speculative-config"
            yield "xlite_speculative", found, "one of them", "remove one of them"
        block = case.number("block-size")
        if block and block != XLITE_BLOCK:
            found = f"xlite_graph_config is enabled with block-size: {block:.0f}"
            yield "xlite_block", found, f"block-size: {XLITE_BLOCK}", "remove block-size"
        if (case.number("pipeline-parallel-size") or 1) > 1:
            found = "xlite_graph_config is enabled with pipeline parallelism"
            yield "xlite_pipeline", found, "one of them", "remove one of them"


def _uses_graphs(case: Case) -> bool:
    """Return whether graphs are sure to be used: nothing turns them off, not even perhaps."""
    compilation = mapping(case.args.get("compilation-config"))
    has_level = "optimization-level" in case.args or any(word.startswith("-O") for word in case.words)
    mode = str(compilation.get("cudagraph_mode", "FULL")).upper()
    is_doubtful = _is_on(case.args.get("enforce-eager")) or has_level or {"mode", "level"} & set(compilation)
    return mode.startswith(("FULL", "PIECEWISE")) and not is_doubtful
