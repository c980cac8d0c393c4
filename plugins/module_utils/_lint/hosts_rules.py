# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on how the hosts start together."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import ENVIRONMENTS, Case, mapping
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import experts_of

rules = Rules()
# Variables that name a host's own address, NIC or chips.
OWN_VARIABLES = re.compile(r"HCCL_IF_IP|.*_SOCKET_IFNAME|ASCEND_RT_VISIBLE_DEVICES|HCCL_LOGIC_SUPERPOD_ID")
MC2 = "https://github.com/vllm-project/vllm-ascend/issues/5947"
MC2_OPERATOR = (
    "https://www.hiascend.com/document/detail/zh/canncommercial/83RC1/API/aolapi/context/"
    "aclnnMoeDistributeDispatchV2.md (moeExpertNum)"
)
INTRA = {"HCCL_INTRA_PCIE_ENABLE": "1", "HCCL_INTRA_ROCE_ENABLE": "0"}


@rules.named("head_start_rank")
def _start_rank(case: Case) -> Iterator[Found]:
    if case.is_head and "data-parallel-start-rank" in case.args and case["head_start_rank"] == "refused":
        yield Found(
            FAIL,
            f"the head has data-parallel-start-rank, and vLLM {case['vllm']} then refuses the workers",
            "the flag on the workers only",
            "remove it from vllm_serve_args and vllm_serve_extra_args",
            case.source("head_start_rank"),
        )


@rules.named("api_server_count")
def _api_servers(case: Case) -> Iterator[Found]:
    count = case.args.get("api-server-count")
    if case.is_head and count is not None and re.fullmatch(r"-\d+|0", str(count)):
        yield Found(
            FAIL,
            f"the head has api-server-count: {count}, and vLLM then starts no API server",
            "1 or more",
            "vllm_serve_args: {api-server-count: 1}",
            case.source("api_servers"),
        )
    harmless = ("0", "1") if case["api_servers"] == 1 else ("0",)
    if not case.is_head and count is not None and str(count) not in harmless:
        yield Found(
            FAIL,
            f"a worker has api-server-count: {count}, and vLLM refuses that with headless",
            "the flag on the head only",
            "remove it from vllm_serve_worker_args and vllm_serve_extra_args, and set it in vllm_serve_args",
            case.source("api_servers"),
        )
    elif case.is_head and count is None and case["api_servers"] != 1 and case.engines > 1:
        yield Found(
            WARN,
            f"without api-server-count, vLLM {case['vllm']} starts {case.engines} API servers on the head, which "
            "end after 600 s if the weights are not loaded by then",
            "one API server",
            "vllm_serve_args: {api-server-count: 1}, or a longer VLLM_ENGINE_READY_TIMEOUT_S in vllm_serve_env",
            case.source("api_servers"),
            known=case.is_shipped("serve_args", "api-server-count"),
        )


@rules.named("moe_dispatch")
def _moe_dispatch(case: Case) -> Iterator[Found]:
    """MC2, the way tokens reach their experts from 16 ranks on, needs help between two A2, which PCIe joins inside."""
    on_a2, ranks, experts = _ranks(case)
    uses_mc2 = capacity.uses_mc2(on_a2, ranks, experts, case.release.name)
    if not (case.is_head and on_a2 and len(case.hosts) > 1 and uses_mc2):
        return
    config = case.config
    variables = {name: str(value) for _key, name, value in case.variables()}
    has_pair = all(variables.get(name) == value for name, value in INTRA.items())
    has_key = bool(config.get("enable_mc2_hierarchy_comm")) or config.get("mc2_comm_alg") == "hierarchy"
    if has_pair or has_key or not _shares_experts(case):
        return
    remedy = ", ".join(f'{name}: "{value}"' for name, value in INTRA.items())
    remedy = f"vllm_serve_env: {{{remedy}}}"
    keys = {"mc2_comm_alg": '"hierarchy"', "enable_mc2_hierarchy_comm": "true"}
    successor = next((key for key in keys if key in case.release.keys), None)
    if successor:
        remedy += f", or vllm_serve_args: {{additional-config: {{{successor}: {keys[successor]}}}}}"
    yield Found(
        WARN,
        f"expert parallelism of {ranks} ranks over {len(case.hosts)} hosts, without a setting for MC2 between "
        "A2: the first request may fail with error 561000 or EI0007",
        "a setting that takes MC2 over the network in two steps",
        f"if it fails so, {remedy}",
        MC2,
        known=case.is_shipped("serve_env", *INTRA)
        and case.is_shipped("serve_args", "enable-expert-parallel"),
    )


def _ranks(case: Case) -> tuple[bool, int, int]:
    """Return whether the hosts are A2, their ranks of expert parallelism, and the experts; 0 if not known."""
    ranks = case.engines * int(case.settings["tensor_parallel_size"])
    return capacity.is_a2(case.settings["npu_name"]), ranks, experts_of(case.model)


def _shares_experts(case: Case) -> bool:
    return case.args.get("enable-expert-parallel") in (True, "true")


@rules.named("expert_shares")
def _expert_shares(case: Case) -> Iterator[Found]:
    """The operator of MC2 refuses shares that are not even, whatever the release."""
    on_a2, ranks, experts = _ranks(case)
    eplb = mapping(case.config.get("eplb_config")).get("num_redundant_experts")
    experts += eplb if experts and isinstance(eplb, int) and eplb > 0 else 0
    if (
        case.is_head
        and _shares_experts(case)
        and not capacity.divides(on_a2, ranks, experts, case.release.name)
    ):
        yield Found(
            WARN,
            f"expert parallelism of {ranks} ranks, which cannot share {experts} experts evenly: MC2 then fails "
            "with error 561002",
            f"a number of ranks that divides {experts}",
            "add or remove hosts, or vllm_serve_args: {enable-expert-parallel: false}",
            MC2_OPERATOR,
        )


@rules.named("hosts_differ")
def _hosts_differ(case: Case) -> Iterator[Found]:
    for key in ENVIRONMENTS:
        theirs, own = case.head[key], case.settings[key]
        for name in sorted({*theirs, *own}):
            if theirs.get(name) != own.get(name) and not OWN_VARIABLES.fullmatch(name):
                yield _difference(f"vllm_{key} has {name}: {own.get(name)}", theirs.get(name), case.hosts[0])
    for key in ("npu_name", "image_versions"):
        if case.head[key] != case.settings[key]:
            yield _difference(f"vllm_{key} is {case.settings[key]}", case.head[key], case.hosts[0])


def _difference(found: str, expected: Any, head: str) -> Found:
    return Found(
        WARN,
        found,
        f"{expected}, as on {head}",
        "set it for all hosts, not for one",
        "docs/design.md: all engines of a service are one program",
    )
