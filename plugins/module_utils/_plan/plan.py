# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory and profile to the plan of a service: topology, container, environment and flags of each host."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import validation

HEAD_GROUP = "vllm_head"
WORKER_GROUP = "vllm_workers"
# In the container, in folders that every image has.
SERVE_SCRIPT = "/usr/local/bin/ascend-ops-serve"
SUPERVISOR = "/usr/local/bin/ascend-ops-supervise"
SUPERVISOR_KEY = "/etc/ascend-ops-supervise.key"
API_KEY = "/etc/ascend-ops-api.key"
SUPERVISOR_STATE = "/var/lib/ascend-ops-supervise.json"

# RFC 5737 and RFC 3849: addresses for documentation, which the sample inventory carries until they are filled in.
PLACEHOLDER_NETWORKS = [
    ipaddress.ip_network(net)
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
# What one host decides and all others must agree on, or vLLM refuses the peer, or worse, does not.
COMMON_KEYS = (
    "model_repo", "model_revision", "model_include", "model_exclude", "image", "patch_set", "patch_repairs", "served_model_name",
    "api_port", "rpc_port", "supervisor_port", "tensor_parallel_size", "data_parallel_size_local", "serve_args",
)  # fmt: skip
PORTS = ("api_port", "rpc_port", "supervisor_port")  # of the head
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def inventory_errors(heads: Sequence[str], workers: Sequence[str]) -> list[str]:
    """Return what is wrong with the two groups: exactly one head, and no host in both."""
    where = f"group {HEAD_GROUP}"
    errors = []
    if not heads:
        errors.append(
            f"{where} is empty or missing, wanted exactly one host: put the data-parallel head (node0) into it."
        )
    elif len(heads) > 1:
        errors.append(
            f"{where} has {len(heads)} hosts ({', '.join(heads)}), wanted exactly one: move the others to {WORKER_GROUP}."
        )
    for host in sorted(set(heads) & set(workers)):
        errors.append(
            f"host {host} is in {HEAD_GROUP} and in {WORKER_GROUP}, wanted in one of them: take it out of the other."
        )
    return errors


def address_errors(addresses: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the service addresses, given as {inventory name: vllm_service_ip}."""
    errors, owners = [], {}  # type: list[str], dict[Any, str]
    for host, value in addresses.items():
        said = f"host {host}: vllm_service_ip (default: ansible_host) is {value!r}"
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            errors.append(
                f"{said}, wanted the IP address of its NIC in the service network: set vllm_service_ip, or ansible_host to an address."
            )
            continue
        if any(address in net for net in PLACEHOLDER_NETWORKS):
            errors.append(
                f"{said}, a placeholder from the sample inventory, wanted the host's own address: fill it in."
            )
        elif address.is_unspecified or (address.is_loopback and len(addresses) > 1):
            errors.append(
                f"{said}, which the other hosts cannot reach, wanted the address of its NIC in the service network."
            )
        elif address in owners:
            errors.append(
                f"{said}, the same as host {owners[address]}'s, wanted one address a host: correct one of them."
            )
        owners.setdefault(address, host)
    return errors


def setting_errors(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the merged settings of one host beyond their types."""
    errors = validation.errors(settings) + _port_errors(settings)
    for key in ("supervisor_grace", "supervisor_max_failures"):
        if settings[key] < 1:
            errors.append(f"vllm_{key} is {settings[key]}, wanted 1 or more.")
    needed = settings["tensor_parallel_size"] * settings["data_parallel_size_local"]
    if not 0 < needed <= len(settings["npu_ids"]):
        errors.append(
            f"vllm_tensor_parallel_size x vllm_data_parallel_size_local is {settings['tensor_parallel_size']} x "
            f"{settings['data_parallel_size_local']} = {needed}, wanted from 1 to the {len(settings['npu_ids'])} NPUs of vllm_npu_ids."
        )
    if settings["airgap_dir"] is not None and "@" in settings["image"]:
        errors.append(
            f"vllm_image is {settings['image']!r} and vllm_airgap_dir is set, wanted an image with a tag alone: an archive keeps no digest."
        )
    if "api-key" in settings["serve_args"]:
        errors.append(
            "vllm_serve_args has api-key, which `ps` would show to every user of the host: set vllm_api_key instead."
        )
    if container_path(settings["model_dir"], mounts(settings)) is None:
        errors.append(
            f"vllm_model_dir is {settings['model_dir']}, under no mount of the container: put it under one, or add one to vllm_container_extra_mounts."
        )
    return errors


def _port_errors(settings: Mapping[str, Any]) -> list[str]:
    errors = []
    used = {}  # type: dict[int, str]
    for key in PORTS:
        if not 0 < settings[key] < 65536:
            errors.append(f"vllm_{key} is {settings[key]}, wanted a port from 1 to 65535.")
        if settings[key] in used:
            errors.append(
                f"vllm_{used[settings[key]]} and vllm_{key} are both {settings[key]}, wanted different ports."
            )
        used[settings[key]] = key
    return errors


def disagreements(
    host: str, settings: Mapping[str, Any], head: str, head_settings: Mapping[str, Any]
) -> list[str]:
    """Return a message for each setting that must be the same on *host* as on the *head* and is not."""
    return [
        f"host {host}: vllm_{key} is {settings[key]!r}, wanted the head's ({head}): {head_settings[key]!r}: set it for the group, not for one host."
        for key in COMMON_KEYS
        if settings[key] != head_settings[key]
    ]


def mounts(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the bind mounts, each {type, source, target, read_only}, of the SOURCE[:TARGET[:ro]] texts in *settings*."""
    result = []
    for text in settings["container_mounts"] + settings["container_extra_mounts"]:
        source, target, mode = [*str(text).split(":"), "", ""][:3]
        result.append(
            {"type": "bind", "source": source, "target": target or source, "read_only": mode == "ro"}
        )
    return result


def container_path(path: str, bind_mounts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return where the host's *path* appears in the container, by the innermost mount over it; None if under none."""
    best = None
    for mount in bind_mounts:
        source = mount["source"].rstrip("/")
        if (path == source or path.startswith(source + "/")) and (best is None or len(source) > len(best[0])):
            best = (source, mount["target"].rstrip("/"))
    return best[1] + path[len(best[0]) :] if best else None


def _fill(value: Any, names: Mapping[str, Any], where: str) -> Any:
    """Return *value* with each {name} replaced; a value that is only a name keeps null, so that the lack is not hidden."""
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole and whole.group(1) in names and names[whole.group(1)] is None:
        return None
    for name in PLACEHOLDER.findall(value):
        if name not in names:
            raise ValueError(
                f"{where} names {{{name}}}, which is unknown; known are {', '.join(sorted(names))}: correct it."
            )
    return PLACEHOLDER.sub(lambda match: str(names[match.group(1)]), value)


def environment(variables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment as strings, placeholders filled; a NIC not known yet is None."""
    result = {}
    for key, value in variables.items():
        value = _fill(value, names, f"environment variable {key}")
        result[key] = (
            str(value).lower() if isinstance(value, bool) else value if value is None else str(value)
        )
    return result


def arguments(flags: Mapping[str, Any], names: Mapping[str, Any]) -> list[list[str]]:
    """Return the flags of ``vllm serve``, each as [flag] or [flag, value], in the order of the profile."""
    result = []
    for flag, value in flags.items():
        value = _fill(value, names, f"flag --{flag}")
        if value is None or value is False:
            continue
        result.append([f"--{flag}"])
        if value is not True:
            result[-1].append(json.dumps(value) if isinstance(value, (dict, list)) else str(value))
    return result


def supervised(rank: int, hosts: int, names: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Return the command line of the container's main process: the supervisor of host number *rank* of *hosts*, over the serve script."""
    options = {
        "rank": rank, "hosts": hosts, "address": names["service_ip"], "head": names["head_ip"], "port": settings["supervisor_port"],
        "key": SUPERVISOR_KEY, "state": SUPERVISOR_STATE, "grace": settings["supervisor_grace"], "max-failures": settings["supervisor_max_failures"],
    }  # fmt: skip
    return [
        "python3",
        SUPERVISOR,
        *(f"--{name}={value}" for name, value in options.items()),
        "--",
        "/bin/bash",
        SERVE_SCRIPT,
    ]


def build(
    host: str,
    hosts: Sequence[str],
    addresses: Mapping[str, str],
    service_nic: str | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the plan of *host*, the only thing the roles read.

    *hosts* are the inventory names, head first; *addresses* maps them to service IPs. *settings* must have passed
    the checks above; their `patch` is the patch set as loaded, and `has_api_key` whether there is an API key: the key
    itself is no part of a plan. Raises ValueError for a placeholder that does not exist.
    """
    rank = hosts.index(host) * settings["data_parallel_size_local"]
    names = {
        "service_ip": addresses[host],
        "service_nic": service_nic,
        "head_ip": addresses[hosts[0]],
        "npu_ids": ",".join(map(str, settings["npu_ids"])),
        "data_parallel_size": len(hosts) * settings["data_parallel_size_local"],
        "data_parallel_start_rank": rank,
        **{
            key: settings[key]
            for key in (
                "api_port",
                "rpc_port",
                "tensor_parallel_size",
                "data_parallel_size_local",
                "served_model_name",
            )
        },
    }
    worker = host != hosts[0]
    bind_mounts = mounts(settings)
    flags = dict(settings["serve_args"], **(settings["serve_worker_args"] if worker else {}))
    return {
        "role": "worker" if worker else "head",
        "head": hosts[0],
        "hosts": list(hosts),
        **{key: names[key] for key in ("service_ip", "service_nic", "head_ip")},
        "url": "http://{}:{}".format(
            f"[{names['head_ip']}]" if ":" in names["head_ip"] else names["head_ip"], settings["api_port"]
        ),
        **{
            key: settings[key]
            for key in (*PORTS, "tensor_parallel_size", "served_model_name", "host_memory_gb", "probe")
        },
        **{key: settings[key] for key in ("image", "image_size_gb", "image_versions", "airgap_dir")},
        "patch": settings.get("patch"),
        "has_api_key": settings.get("has_api_key", False),
        "data_parallel": {
            "size": names["data_parallel_size"],
            "size_local": settings["data_parallel_size_local"],
            "start_rank": rank,
        },
        "model": {
            **{
                key: settings["model_" + key]
                for key in (
                    "repo",
                    "revision",
                    "endpoint",
                    "include",
                    "exclude",
                    "dir",
                    "cache_dir",
                    "size_gb",
                )
            },
            "container_dir": container_path(settings["model_dir"], bind_mounts),
        },
        "npu": {
            **{
                key: settings["npu_" + key]
                for key in ("name", "hbm_mb", "driver_version", "firmware_version", "ids")
            },
            "count": len(settings["npu_ids"]),
        },
        "container": {
            "name": settings["container_name"],
            "devices": [f"/dev/davinci{i}" for i in settings["npu_ids"]] + settings["npu_control_devices"],
            "mounts": bind_mounts,
            "env": environment(settings["container_env"], names),
            "shm_size": settings["container_shm_size"],
            "ulimits": [str(limit) for limit in settings["container_ulimits"]],
            "log_driver": settings["container_log_driver"],
            "log_options": {name: str(value) for name, value in settings["container_log_options"].items()},
            "init": settings["container_init"],
            "restart_policy": settings["container_restart_policy"],
            "serve_script": SERVE_SCRIPT,
            "supervisor": SUPERVISOR,
            "supervisor_key": SUPERVISOR_KEY,
            "api_key": API_KEY,
            "command": supervised(hosts.index(host), len(hosts), names, settings),
        },
        "serve": {
            "env_scripts": settings["serve_env_scripts"],
            "env": environment(settings["serve_env"], names),
            "args": arguments(flags, names),
        },
    }
