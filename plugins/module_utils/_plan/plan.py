# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory and settings to the plan of a service: each host's container, environment and flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import container, flags, mounts, values
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import name_of

MODEL_KEYS = ("repo", "revision", "endpoint", "include", "exclude", "dir", "cache_dir", "size_gb", "config")
NPU_KEYS = ("name", "hbm_mb", "driver_version", "firmware_version", "ids")
OWN_KEYS = (
    "served_model_name",
    "host_memory_gb",
    "probe",
    "image",
    "image_size_gb",
    "image_versions",
    "airgap_dir",
)
# The branch and the URL of each kind of hub, unless they are set.
HUBS = {
    "modelscope": ("master", "https://www.modelscope.cn"),
    "huggingface": ("main", "https://huggingface.co"),
    "http": ("current", None),
}


@dataclass(frozen=True)
class Member:
    """A host among those of the service."""

    host: str
    addresses: Mapping[str, str]  # service IPs by the inventory's names, head first
    nic: str | None = None  # with its service IP; None if not known yet

    @property
    def hosts(self) -> list[str]:
        """Return the names of all hosts, head first."""
        return list(self.addresses)

    @property
    def index(self) -> int:
        """Return the number of the host, from 0 for the head."""
        return self.hosts.index(self.host)


def service(addresses: Mapping[str, Any], merged: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what those outside of the service need to know of it, without contact to a host.

    *addresses* maps the inventory names, head first, to service IPs; *merged* has the settings of each host. The rank
    of a host is that of its first engine.
    """
    settings = merged[next(iter(addresses))]
    local = settings["data_parallel_size_local"]
    return {
        "name": settings["served_model_name"],
        **{port: settings[port] for port in PORTS},
        "engines": len(addresses) * local,
        "hosts": [
            {"name": host, "address": str(address), "rank": index * local}
            for index, (host, address) in enumerate(addresses.items())
        ],
    }


def placeholders(member: Member, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all NAMES for a host."""
    local = settings["data_parallel_size_local"]
    head_ip = member.addresses[member.hosts[0]]
    computed = {
        "service_ip": member.addresses[member.host],
        "service_nic": member.nic,
        "head_ip": head_ip,
        "listen_address": "::" if ":" in head_ip else "0.0.0.0",
        "npu_ids": ",".join(map(str, settings["npu_ids"])),
        # Inside the container the chips that it has are counted from 0, whatever their numbers on the host.
        "npu_indices": ",".join(map(str, range(len(settings["npu_ids"])))),
        "data_parallel_size": len(member.hosts) * local,
        "data_parallel_start_rank": member.index * local,
        "model_name": name_of(settings["model_repo"]),
    }
    return {name: computed[name] if name in computed else settings[name] for name in values.NAMES}


def build(
    member: Member,
    settings: Mapping[str, Any],
    known: Flags,
    real: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the plan of a host, as far as it follows from settings.

    *settings* must have passed the checks of `consistency`. *real* is as for `mounts.link_problem`.
    """
    names = placeholders(member, settings)
    weights = mounts.real_container_path(settings, real or {})
    head_ip = f"[{names['head_ip']}]" if ":" in names["head_ip"] else names["head_ip"]
    return {
        "role": "worker" if member.index else "head",
        "head": member.hosts[0],
        "hosts": member.hosts,
        "service_ip": names["service_ip"],
        "service_nic": member.nic,
        "url": f"http://{head_ip}:{settings['api_port']}",
        **{key: settings[key] for key in (*PORTS, *OWN_KEYS)},
        "data_parallel": {"size": names["data_parallel_size"]},
        "model": _model(settings, weights),
        "npu": {**{key: settings[f"npu_{key}"] for key in NPU_KEYS}, "count": len(settings["npu_ids"])},
        "container": {
            **container.of(settings, names, weights),
            "command": container.command(member.index, len(member.hosts), names, settings),
        },
        "serve": _serve(settings, names, known, is_worker=member.index > 0),
    }


def _model(settings: Mapping[str, Any], weights: str | None) -> dict[str, Any]:
    """Return the settings model_KEY as KEY, with what its hub has by default, and where the container has it."""
    branch, url = HUBS[settings["model_hub"]]
    return {
        "hub": settings["model_hub"],
        "mount": (mounts.innermost(settings["model_dir"], mounts.bind_mounts(settings)) or {}).get("source"),
        **{key: settings[f"model_{key}"] for key in MODEL_KEYS},
        "revision": settings["model_revision"] or branch,
        "endpoint": settings["model_endpoint"] or url,
        "container_dir": weights,
    }


def _serve(
    settings: Mapping[str, Any], names: Mapping[str, Any], known: Flags, is_worker: bool
) -> dict[str, Any]:
    """Return environment and flags of `vllm serve`."""
    args = {**settings["serve_args"], **(settings["serve_worker_args"] if is_worker else {})}
    extra = [[word] for word in flags.spelled(known, settings["serve_extra_args"])]
    return {
        "env_scripts": settings["serve_env_scripts"],
        "env": values.shell_environment(settings["serve_env"], names),
        "args": flags.arguments(known, values.fill(args, names)) + extra,
    }
