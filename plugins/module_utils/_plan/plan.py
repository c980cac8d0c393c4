# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory and settings to the plan of a service: each host's container, environment and flags."""

from __future__ import annotations

import ipaddress
import math
import posixpath
import re
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags, names, validation, values
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import (
    NotCounted,
    name_of,
    of_config,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

HEAD_GROUP = "vllm_head"
WORKER_GROUP = "vllm_workers"
GROUPS = ("vllm_head_group", "vllm_worker_group")  # variables with other names
# In the container, in folders that every image has.
SERVE_SCRIPT = "/usr/local/bin/ascend-ops-serve"
SUPERVISOR = "/usr/local/bin/ascend-ops-supervise"
SUPERVISOR_KEY = "/etc/ascend-ops-supervise.key"
API_KEY = "/etc/ascend-ops-api.key"
SUPERVISOR_STATE = "/var/lib/ascend-ops-supervise.json"
METRICS = "/var/lib/ascend-ops-metrics"  # the folder vllm_supervisor_metrics_dir of the host
SUPERVISOR_STATUS = "/var/lib/ascend-ops-supervise.status"
MIDDLEWARE = "/usr/local/lib/ascend_ops_drain.py"
DRAINING = "/var/lib/ascend-ops-draining"  # exists while the API refuses requests
STOP_SECONDS = 20  # for a stop after the drain: the supervisor gives vLLM 8 s

# RFC 5737 and RFC 3849: addresses for documentation, as the sample inventory has them.
PLACEHOLDER_NETWORKS = [
    ipaddress.ip_network(net)
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
# What must be the same on all hosts, or vLLM refuses the peer, or worse, does not.
COMMON_KEYS = (
    "model_repo",
    "model_revision",
    "model_include",
    "model_exclude",
    "image",
    "patch_set",
    "patch_repairs",
    "served_model_name",
    "api_port",
    "rpc_port",
    "supervisor_port",
    "drain_seconds",
    "tensor_parallel_size",
    "data_parallel_size_local",
    "serve_args",
    "serve_extra_args",
)
PORTS = ("api_port", "rpc_port", "supervisor_port")  # of the head
MODEL_KEYS = ("repo", "revision", "endpoint", "include", "exclude", "dir", "cache_dir", "size_gb", "config")
NPU_KEYS = ("name", "hbm_mb", "driver_version", "firmware_version", "ids")
# What root in a hardened container still needs: to use files and devices of other owners, as those of the driver.
CAPABILITIES = ("DAC_OVERRIDE",)
FIRST_FREE_PORT = 1024  # below it, a port takes a capability
# Settings in whose values a {name} is filled in.
TEMPLATES = ("container_env", "serve_env", "serve_args", "serve_worker_args")
# Flags that multiply the chips of one engine, as tensor-parallel-size does.
ENGINE_SIZES = ("pipeline-parallel-size", "prefill-context-parallel-size")
# The branch and the URL of each kind of hub, unless they are set.
HUBS = {
    "modelscope": ("master", "https://www.modelscope.cn"),
    "huggingface": ("main", "https://huggingface.co"),
    "http": ("current", None),
}


def groups(variables: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the head's group and of the workers'."""
    return (
        str(variables.get("vllm_head_group") or HEAD_GROUP),
        str(variables.get("vllm_worker_group") or WORKER_GROUP),
    )


def inventory_problems(
    groups: Mapping[str, Sequence[str]], head_group: str, worker_group: str
) -> list[Problem]:
    """Return what is wrong with the two groups: exactly one head, no host in both, and no misspelt name.

    *groups* are all groups of the inventory, with their hosts.
    """
    where = f"group {head_group}"
    heads, workers = groups.get(head_group, []), groups.get(worker_group, [])
    problems = []
    others = [name for name in groups if name not in (head_group, worker_group, "all", "ungrouped")]
    for expected in (head_group, worker_group):
        misspelt = None if expected in groups else names.closest(others, expected, names.SIMILAR)
        if misspelt:
            found, remedy = "it is no group of the service", f"rename it to {expected}, or to something else"
            problems.append(Problem(found, f"the group {expected}", remedy, f"group {misspelt}"))
    if not heads:
        remedy = "put the data-parallel head (node0) into it, and name the inventory with -i"
        problems.append(Problem("it is empty or missing", "exactly one host", remedy, where))
    elif len(heads) > 1:
        found = f"it has {len(heads)} hosts ({', '.join(heads)})"
        problems.append(Problem(found, "exactly one", f"move the others to {worker_group}", where))
    for host in sorted(set(heads) & set(workers)):
        found, remedy = f"it is in {head_group} and in {worker_group}", "take it out of one of them"
        problems.append(Problem(found, "a host in one group", remedy, f"host {host}"))
    return problems


def late_group_problem(name: str) -> Problem:
    """Return the problem of a group's name that playbooks cannot see."""
    return Problem(
        f"{name} is set in the inventory, and a playbook chooses its hosts before it reads that",
        "an extra variable, or the default name",
        f"give it with -e, or make your group a child of {HEAD_GROUP if 'head' in name else WORKER_GROUP}",
    )


def no_nic_problem(address: str) -> Problem:
    """Return the problem of a plan without contact to the host."""
    return Problem(
        "vllm_service_nic is not set", f"the NIC that carries {address}", "set it, as no host is asked here"
    )


def nic_problems(name: Any) -> list[Problem]:
    """Return what is wrong with the form of vllm_service_nic (Linux, net/core/dev.c, dev_valid_name)."""
    if not name or (isinstance(name, str) and re.fullmatch(r"[^\s/]{1,15}", name)):
        return []
    return [validation.wrong("vllm_service_nic", f"is {name!r}", "one NIC, as `ip link` shows it")]


def address_problems(addresses: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the service addresses, given as {inventory name: vllm_service_ip}."""
    problems = []
    owners: dict[Any, str] = {}
    for host, value in addresses.items():
        found = f"vllm_service_ip (default: ansible_host) is {value!r}"
        in_network = "the address of its NIC in the service network"
        remedy = "set vllm_service_ip"
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            remedy = "set vllm_service_ip, or ansible_host to an address"
            problems.append(Problem(found, in_network, remedy, f"host {host}"))
            continue
        if any(address in net for net in PLACEHOLDER_NETWORKS):
            found += ", a placeholder from the sample inventory"
            problems.append(Problem(found, "the host's own address", "fill it in", f"host {host}"))
        elif address.is_unspecified or (address.is_loopback and len(addresses) > 1):
            found += ", which the other hosts cannot reach"
            problems.append(Problem(found, in_network, remedy, f"host {host}"))
        elif address in owners:
            found += f", the same as host {owners[address]}'s"
            problems.append(
                Problem(found, "one address a host", "set vllm_service_ip of one of them", f"host {host}")
            )
        owners.setdefault(address, host)
    return problems


def setting_problems(settings: Mapping[str, Any], known: Flags) -> list[Problem]:
    """Return what is wrong with the merged settings of one host beyond their types."""
    problems = [
        *validation.problems(settings),
        *_port_problems(settings),
        *_placeholder_problems(settings),
        *_chip_problems(settings, known),
        *_mount_problems(settings),
        *_model_problems(settings),
        *flags.problems(known, settings),
    ]
    if settings["model_hub"] == "http" and not settings["model_endpoint"]:
        found = "vllm_model_hub is http and vllm_model_endpoint is not set"
        expected = "the URL of the folder with the weights and SHA256SUMS"
        problems.append(Problem(found, expected, "set vllm_model_endpoint"))
    if settings["airgap_dir"] is not None and "@" in settings["image"]:
        found = f"vllm_image is {settings['image']!r} and vllm_airgap_dir is set"
        expected = "an image with a tag alone, because an archive keeps no digest"
        problems.append(Problem(found, expected, "remove the digest, or vllm_airgap_dir"))
    if settings["container_hardened"] and settings["container_options"].get("privileged"):
        found = "vllm_container_hardened is true and vllm_container_options has privileged: true"
        problems.append(Problem(found, "one of them", "remove the other"))
    if container_path(settings["model_dir"], mounts(settings)) is None:
        found = f"vllm_model_dir is {settings['model_dir']}, under no mount of the container"
        remedy = "move it there, or add a mount to vllm_container_extra_mounts"
        problems.append(Problem(found, "a folder below a mount", remedy))
    return problems


def _port_problems(settings: Mapping[str, Any]) -> list[Problem]:
    problems = []
    used: dict[int, str] = {}
    for key in PORTS:
        port = settings[key]
        if not 0 < port < 65536:
            problems.append(validation.wrong(f"vllm_{key}", f"is {port}", "a port from 1 to 65535"))
        if port in used:
            found = f"vllm_{used[port]} and vllm_{key} are both {port}"
            problems.append(Problem(found, "different ports", "change one of them"))
        used[port] = key
    return problems


def _placeholder_problems(settings: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            f"vllm_{key} has {{{name}}} in {entry}",
            f"one of {', '.join(values.NAMES)}",
            names.remedy(values.NAMES, name),
        )
        for key in TEMPLATES
        for entry, value in settings[key].items()
        for name in values.unknown(value)
    ]


def _chip_problems(settings: Mapping[str, Any], known: Flags) -> list[Problem]:
    """Return a problem if the engines of the host need other than some of its chips."""
    chips = len(settings["npu_ids"])
    if not chips:
        return [
            validation.wrong("vllm_npu_ids", "is empty", "the NPUs that the service uses, such as [0, 1]")
        ]
    sizes = {key: settings[key] for key in ("tensor_parallel_size", "data_parallel_size_local")}
    sizes = {f"vllm_{key}": size for key, size in sizes.items()}
    raw = flags.parse(flags.spelled(known, settings["serve_extra_args"]))
    for flag in ENGINE_SIZES:
        value = raw.get(flag, settings["serve_args"].get(flag))
        size = "1" if value is None else str(value)
        if not re.fullmatch(validation.POSITIVE.regex, size):
            return []  # the flags' own check names it
        if size != "1":
            sizes[flag] = int(size)
    needed = math.prod(sizes.values())
    if 0 < needed <= chips:
        return []
    found = f"{' x '.join(sizes)} is {' x '.join(map(str, sizes.values()))} = {needed}"
    remedy = f"lower one of them, such as vllm_tensor_parallel_size to {chips}, or give more NPUs"
    expected = f"from 1 to the {chips} NPUs of vllm_npu_ids"
    return [Problem(found, expected, remedy if needed > chips else "set each of them to 1 or more")]


def _model_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the values of the model's description. One of another architecture is not."""
    try:
        if settings["model_config"]:
            of_config(settings["model_config"], settings["model_repo"])
    except NotCounted:
        return []
    except ValueError as error:
        remedy = "correct them, or empty vllm_model_config: whether the model fits is then not told"
        return [Problem(f"vllm_model_config: {error}", "keys of the model's config.json", remedy)]
    return []


def _mount_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each two mounts with one target, which Docker refuses."""
    problems = []
    sources: dict[str, str] = {}
    for mount in mounts(settings):
        target, source = posixpath.normpath(mount["target"]), mount["source"]
        if target in sources:
            found = f"{sources[target]} and {source} are both mounted on {target}"
            remedy = "remove one of them from vllm_npu_driver_mounts, vllm_container_mounts or "
            remedy += "vllm_container_extra_mounts"
            problems.append(Problem(found, "one mount on a target", remedy))
        sources[target] = source
    return problems


def link_problem(settings: Mapping[str, Any], real: Mapping[str, str]) -> Problem | None:
    """Return the problem of weights that a link of the host hides from the container, if there is one.

    *real* has the host's paths without links. A link inside a mount leads nowhere in the container if its
    end is outside of all mounts.
    """
    if real_container_path(settings, real) is not None:
        return None
    folder = settings["model_dir"]
    found = f"vllm_model_dir is {folder}, which leads by a link to {real[folder]}, under no mount"
    remedy = f"set vllm_model_dir to {real[folder]}, and add a mount of it to vllm_container_extra_mounts"
    return Problem(found, "a folder below a mount", remedy)


def real_container_path(settings: Mapping[str, Any], real: Mapping[str, str]) -> str | None:
    """Return where the container has the weights, links of the host followed; None if nowhere."""
    folder = settings["model_dir"]
    bind_mounts = [
        {**mount, "source": real.get(mount["source"], mount["source"])} for mount in mounts(settings)
    ]
    return container_path(real.get(folder, folder), bind_mounts)


def disagreements(
    host: str, settings: Mapping[str, Any], head: str, head_settings: Mapping[str, Any]
) -> list[Problem]:
    """Return a problem for each setting that must be the same on *host* as on the *head* and is not."""
    return [
        Problem(
            f"vllm_{key} is {settings[key]!r}",
            f"the head's ({head}): {head_settings[key]!r}",
            "set it for the group, not for one host",
            f"host {host}",
        )
        for key in COMMON_KEYS
        if settings[key] != head_settings[key]
    ]


def mounts(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the bind mounts as {type, source, target, read_only}, each once."""
    result: list[dict[str, Any]] = []
    for key in ("npu_driver_mounts", "container_mounts", "container_extra_mounts"):
        for text in settings[key]:
            source, target, mode = [*text.split(":"), "", ""][:3]
            target = target or source
            read_only = mode == "ro" or (settings["container_hardened"] and key == "npu_driver_mounts")
            mount = {"type": "bind", "source": source, "target": target, "read_only": read_only}
            if mount not in result:
                result.append(mount)
    metrics = settings["supervisor_metrics_dir"]
    if metrics:
        result.append({"type": "bind", "source": metrics, "target": METRICS, "read_only": False})
    return result


def security(settings: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    """Return the options of community.docker.docker_container that harden the container; none if it is not to be.

    *folder* is where the container has the weights. A plan without it is refused.
    """
    if not settings["container_hardened"]:
        return {}
    low_ports = any(settings[key] < FIRST_FREE_PORT for key in PORTS)
    return {
        "security_opts": ["no-new-privileges:true"],
        "cap_drop": ["ALL"],
        "capabilities": [*CAPABILITIES, *(["NET_BIND_SERVICE"] if low_ports else [])],
        "mounts": _with_fixed_weights(mounts(settings), settings["model_dir"], folder),
    }


def _with_fixed_weights(
    bind_mounts: Sequence[Mapping[str, Any]], source: str, target: str | None
) -> list[dict[str, Any]]:
    """Return the mounts with the weights read-only. The folders around them stay as they are, for the caches."""
    others = [dict(mount) for mount in bind_mounts if posixpath.normpath(mount["target"]) != target]
    return [*others, {"type": "bind", "source": source, "target": target, "read_only": True}]


def container_path(path: str, bind_mounts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return where the host's *path* is in the container, by the innermost mount; None if under none."""
    mount = mount_of(path, bind_mounts)
    return mount["target"].rstrip("/") + path[len(mount["source"].rstrip("/")) :] if mount else None


def mount_of(path: str, bind_mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the innermost mount that the host's *path* is under; None if under none."""
    above = [mount for mount in bind_mounts if (path + "/").startswith(mount["source"].rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount["source"].rstrip("/")), default=None)


def shell_environment(variables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the environment as words for bash; a NIC not known yet is None."""
    texts = values.environment(variables, names)
    return {name: None if text is None else values.shell_word(text) for name, text in texts.items()}


def supervised(rank: int, hosts: int, names: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Return the container's main process: the supervisor of host number *rank*, over the serve script."""
    options = {
        "rank": rank,
        "hosts": hosts,
        "address": names["service_ip"],
        "head": names["head_ip"],
        "port": settings["supervisor_port"],
        "key": SUPERVISOR_KEY,
        "state": SUPERVISOR_STATE,
        "grace": settings["supervisor_grace"],
        "max-failures": settings["supervisor_max_failures"],
        "status": SUPERVISOR_STATUS,
        "api-port": settings["api_port"],
        "api-key-file": API_KEY,
        "engines": hosts * settings["data_parallel_size_local"],
        "probe-seconds": settings["supervisor_probe_seconds"],
        "drain-seconds": settings["drain_seconds"],
        "draining": DRAINING,
    }
    if rank == 0 and settings["drain_seconds"]:
        options["middleware"] = MIDDLEWARE
    if settings["supervisor_metrics_dir"]:
        options["metrics"] = posixpath.join(METRICS, metrics_file(settings))
    return [
        "python3",
        SUPERVISOR,
        *(f"--{name}={value}" for name, value in options.items()),
        "--",
        "/bin/bash",
        SERVE_SCRIPT,
    ]


def metrics_file(settings: Mapping[str, Any]) -> str:
    """Return the name of the file with the supervisor's metrics. Services on one host have different ports."""
    return f"ascend-ops-{settings['api_port']}.prom"


def placeholders(
    host: str, addresses: Mapping[str, str], service_nic: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of all NAMES for *host*. *addresses* are as for `build`."""
    hosts = list(addresses)
    local = settings["data_parallel_size_local"]
    computed = {
        "service_ip": addresses[host],
        "service_nic": service_nic,
        "head_ip": addresses[hosts[0]],
        "listen_address": "::" if ":" in addresses[hosts[0]] else "0.0.0.0",
        "npu_ids": ",".join(map(str, settings["npu_ids"])),
        # Inside the container the chips that it has are counted from 0, whatever their numbers on the host.
        "npu_indices": ",".join(map(str, range(len(settings["npu_ids"])))),
        "data_parallel_size": len(hosts) * local,
        "data_parallel_start_rank": hosts.index(host) * local,
        "model_name": name_of(settings["model_repo"]),
    }
    return {name: computed[name] if name in computed else settings[name] for name in values.NAMES}


def service(addresses: Mapping[str, Any], merged: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what those outside of the service need to know of it, without contact to a host.

    *addresses* are as for `build`; *merged* has the settings of each host. The rank of a host is that of its first engine.
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


def build(
    host: str,
    addresses: Mapping[str, str],
    service_nic: str | None,
    settings: Mapping[str, Any],
    known: Flags,
    real: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the plan of *host*, as far as it follows from settings.

    *addresses* maps the inventory names, head first, to service IPs. *settings* must have passed the checks above.
    *real* is as for link_problem.
    """
    settings = _with_hub(settings)
    hosts = list(addresses)
    names = placeholders(host, addresses, service_nic, settings)
    container_dir = real_container_path(settings, real or {})
    worker = host != hosts[0]
    args = {**settings["serve_args"], **(settings["serve_worker_args"] if worker else {})}
    extra = [[word] for word in flags.spelled(known, settings["serve_extra_args"])]
    head = f"[{names['head_ip']}]" if ":" in names["head_ip"] else names["head_ip"]
    own = ("served_model_name", "host_memory_gb", "probe", "image", "image_size_gb", "image_versions")
    return {
        "role": "worker" if worker else "head",
        "head": hosts[0],
        "hosts": hosts,
        "service_ip": names["service_ip"],
        "service_nic": service_nic,
        "url": f"http://{head}:{settings['api_port']}",
        **{key: settings[key] for key in (*PORTS, *own, "airgap_dir")},
        "data_parallel": {"size": names["data_parallel_size"]},
        "model": {
            "hub": settings["model_hub"],
            "mount": (mount_of(settings["model_dir"], mounts(settings)) or {}).get("source"),
            **{key: settings[f"model_{key}"] for key in MODEL_KEYS},
            "container_dir": container_dir,
        },
        "npu": {
            **{key: settings[f"npu_{key}"] for key in NPU_KEYS},
            "count": len(settings["npu_ids"]),
        },
        "container": {
            **_container(settings, names),
            "security": security(settings, container_dir),
            "command": supervised(hosts.index(host), len(hosts), names, settings),
        },
        "serve": {
            "env_scripts": settings["serve_env_scripts"],
            "env": shell_environment(settings["serve_env"], names),
            "args": flags.arguments(known, values.fill(args, names)) + extra,
        },
    }


def _with_hub(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the revision and the URL of their hub, if they have none."""
    branch, url = HUBS[settings["model_hub"]]
    return {
        **settings,
        "model_revision": settings["model_revision"] or branch,
        "model_endpoint": settings["model_endpoint"] or url,
    }


def _container(settings: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings container_KEY as KEY, what is computed of them, and paths in the container."""
    prefix = "container_"
    given = {key[len(prefix) :]: value for key, value in settings.items() if key.startswith(prefix)}
    del given["extra_mounts"]
    folder = settings["supervisor_metrics_dir"]
    return {
        **given,
        "devices": [f"/dev/davinci{i}" for i in settings["npu_ids"]] + settings["npu_control_devices"],
        "mounts": mounts(settings),
        "env": values.environment(given["env"], names),
        "log_options": {name: str(value) for name, value in given["log_options"].items()},
        "serve_script": SERVE_SCRIPT,
        "supervisor": SUPERVISOR,
        "supervisor_key": SUPERVISOR_KEY,
        "supervisor_status": SUPERVISOR_STATUS,
        "metrics": posixpath.join(folder, metrics_file(settings)) if folder else None,
        "middleware": MIDDLEWARE,
        "stop_timeout": settings["drain_seconds"] + STOP_SECONDS,
        "api_key": API_KEY,
    }
