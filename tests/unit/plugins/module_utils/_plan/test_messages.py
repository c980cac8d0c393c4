# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wording of all that plan refuses."""

from __future__ import annotations

from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    consistency,
    groups,
    names,
    network,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, listed
from shipped import FLAGS, ROLE_OPTIONS, SETTINGS, merged, settings

KNOWN = {**SETTINGS, **ROLE_OPTIONS}
WRONG: dict[str, Any] = {
    "vllm_image": "quay.io/Ascend/vllm",
    "vllm_model_dir": "/srv/models",
    "vllm_npu_ids": [0, 0],
    "vllm_api_port": 0,
    "vllm_rpc_port": 8083,
    "vllm_tensor_parallel_size": 16,
    "vllm_container_extra_mounts": ["data"],
    "vllm_serve_args": {
        "api-key": "x",
        "max_model_len": 1,
        "max-model-length": 1,
        "port": 9000,
        "host": "127.0.0.1",
        "seed": [1],
    },
    "vllm_serve_env": {"A": "{local_ip}", "B": {"c": 1}, "C": True},
    "vllm_container_env": {"D": "/x:$PATH"},
    "vllm_image_versions": {"torch": ">>1"},
    "vllm_probe": {"completion": 5},
}
OPTIONS: dict[str, Any] = {
    "serve_timeout": "long",
    "weights_port": None,
    "weights_distribution": "fan-out",
    "weights_token": "secret",
    "weights_proxy": "secret@proxy",
    "image_registry_username": "robot",
}
ADDRESSES = {
    "a": "192.0.2.10",
    "b": "node1.example.com",
    "c": "0.0.0.0",
    "d": "10.0.0.1",
    "e": "10.0.0.1",
    "f": "f",
}


def api_key(value: Any) -> list[Problem]:
    return role_options.api_key_problems({"vllm_api_key": value})


def test_golden_messages(golden):
    types = {
        "vllm_image": None,
        "vllm_npu_ids": "0-7",
        "vllm_api_port": "80a",
        "vllm_container_init": "maybe",
    }
    of_groups = [
        *groups.problems({"vllm_worker": ["a"]}, "vllm_head", "vllm_workers"),
        *groups.problems({"vllm_head": ["a", "b"], "vllm_workers": ["b"]}, "vllm_head", "vllm_workers"),
        groups.late_problem("vllm_worker_group"),
    ]
    texts = {
        "groups": of_groups,
        "addresses": network.address_problems(ADDRESSES),
        "no host is asked": [network.no_nic_problem("10.0.0.1")],
        "types": merged(**types)[1],
        "settings": consistency.problems(settings(**WRONG), FLAGS),
        "hosts disagree": consistency.disagreements("b", settings(vllm_api_port=9000), "a", settings()),
        "names": names.wrong(KNOWN, ["vllm_imgae", "driver_pings", "weights_distrbution"]),
        "options of roles": role_options.problems(ROLE_OPTIONS, OPTIONS),
        "API key": [*api_key(""), *api_key(["x"]), *api_key("x\n")],
    }
    golden("plan", {case: listed(problems) for case, problems in texts.items()})
