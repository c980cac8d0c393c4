# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts of the GLM-4.7 profile on which nothing is wrong, to be changed by tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import container, plan
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.modules import npu_facts
from npu_sim import install
from shipped import FLAGS, settings

PROFILE = settings()
ADDRESSES = {"node0": "10.0.0.10", "node1": "10.0.0.11"}


def planned(host: str, **variables: Any) -> dict[str, Any]:
    return plan.build(plan.Member(host, ADDRESSES, "enp1"), settings(**variables), FLAGS)


def npu(root: Path, index: int = 0, **ills: Any) -> dict[str, Any]:
    install.apply(root, ills, index, f"node{index}")
    params = {
        "npu_smi_path": root / install.NPU_SMI,
        "hccn_tool_path": root / install.HCCN_TOOL,
        "driver_root": root / "usr/local/Ascend",
    }
    return npu_facts.facts({**{key: str(path) for key, path in params.items()}, "gather": npu_facts.GATHER})


def facts(its_plan: dict[str, Any]) -> dict[str, Any]:
    """Return what host_facts tells of a host on which nothing is wrong and nothing runs yet."""
    paths = dict.fromkeys(its_plan["container"]["devices"], "char")
    paths.update(
        {
            mount["source"]: "dir" if mount["source"].endswith(("/", "dcmi")) else "file"
            for mount in its_plan["container"]["mounts"]
        }
    )
    paths["/opt/data"] = None
    idle = {"listening": False, "pid": None, "process": None, "container": None}
    return {
        "hostname": "host", "hostname_addresses": [its_plan["service_ip"]], "service_nic": "enp1",
        "service_nic_state": {"mtu": 1500, "bond": None, "slaves": [], "slaves_down": []},
        "paths": paths,
        "containers": {}, "clock_ahead": {"least": 0, "most": 0},
        "proxies": {}, "memory_total_mb": 1031815, "os": "openEuler 22.03", "kernel": "5.10.0", "machine": "aarch64",
        "ephemeral_ports": {"first": 32768, "last": 60999, "reserved": "60000-60015"},
        "tuning": {"cpu_governors": ["performance"], "numa_balancing": False, "numa_nodes": 4},
        "python_version": "3.9.9", "python_requests": True,
        "docker_error": None, "docker_remedy": None, "docker_order": {"needed": ["host_sys_init.service"], "missing": []},
        "docker": {"engine": "Docker", "containerd": False, "seccomp": True, "init": True,
                    "version": "26.1.3", "disk": {"mount": "/", "free_bytes": 60 * 10**9}, "served": {},
                   "image_id": None, "image_layers": None},
        "disks": {its_plan["model"]["dir"]: {"mount": "/opt/data", "free_bytes": 800 * 10**9, "used_bytes": 0}},
        "interfaces": [{"name": "lo", "addresses": ["127.0.0.1"]}, {"name": "enp1", "addresses": [its_plan["service_ip"]]}],
        "ports": {str(its_plan[port]): dict(idle) for port in container.PORTS} if its_plan["role"] == "head" else {},
    }  # fmt: skip


def pair(
    npus: list[dict[str, Any]],
    nic: str | None = None,
    names: tuple[str, ...] = ("node0", "node1"),
    **overrides: Any,
) -> list[Host]:
    chosen = settings(**{f"vllm_{key}": value for key, value in overrides.items()})
    addresses = {name: ADDRESSES[name] for name in names}
    plans = [plan.build(plan.Member(name, addresses, nic), chosen, FLAGS) for name in names]
    return [Host(name, npus[index], facts(plans[index]), plans[index]) for index, name in enumerate(names)]
