# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the system of each host: addresses, ports, clock, memory, Docker, disks, devices and mounts."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import in_ranges, nic_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import words
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.connectivity import LISTENER
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.registry import Checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import compare

CLOCK_SECONDS = 30
HCCL_BASE_PORT = 60000
HCCL_PORTS = 16
COMPRESSED = 0.4  # containerd keeps the layers of an image compressed as well
DOCKER_OLDEST = "18.09"
DOCKER_CLONE3 = "20.10.10"
GB = 10**9
# Mounts that are files. Docker creates an empty folder for a missing source, which then hides the gap.
FILE_MOUNTS = ("npu-smi", "hccn_tool", "version.info", "ascend_install.info")

checks = Checks()


@checks.on_each_host("host", "service_ip", "service_nic")
def _service_address(host: Host) -> Iterator[Finding]:
    address, given, carrier = host.plan["service_ip"], host.plan["service_nic"], host.facts["service_nic"]
    nics = [nic for nic in host.facts["interfaces"] if nic["addresses"] and nic["name"] != "lo"]
    if carrier is None:
        present = ", ".join(f"{nic['name']} {' '.join(nic['addresses'])}" for nic in nics)
        yield host.fail(
            "service_ip",
            f"{address} is on no NIC; the host has {present}",
            "a NIC of the host with the address vllm_service_ip",
            "Set vllm_service_ip of this host to its address in the service network, or add the "
            "address to a NIC",
        )
    elif given and nic_of(address, [nic for nic in nics if nic["name"] == given]) is None:
        yield host.fail(
            "service_nic",
            f"{address} is on {carrier}, and vllm_service_nic is {given}",
            f"vllm_service_nic is the NIC with {address}",
            f"Set vllm_service_nic of this host to {carrier}, or remove it: the NIC is then detected",
        )


@checks.on_each_host("host", "hostname")
def _hostname(host: Host) -> Iterator[Finding]:
    addresses = host.facts["hostname_addresses"] or []
    loopback = [text for text in addresses if ipaddress.ip_address(text.partition("%")[0]).is_loopback]
    if loopback and host.has_peers:
        yield host.warn(
            "hostname",
            f"the host name {host.facts['hostname']} resolves to {', '.join(loopback)}",
            "an address that the other hosts can reach",
            f"Replace the loopback address in /etc/hosts with {host.plan['service_ip']}",
        )


@checks.on_each_host("host", "port")
def _ports_in_use(host: Host) -> Iterator[Finding]:
    settings = {str(host.plan[key]): f"vllm_{key}" for key in PORTS}
    for port, state in host.facts["ports"].items():
        # The service's process may have ended between the two readings.
        ended = state["pid"] is None and host.runs_service
        own = state["process"] == LISTENER or host.is_service(state["container"])
        if state["listening"] and not ended and not own:
            yield host.fail(
                "port",
                f"port {port} is in use by {_port_owner(host, state)}",
                "a free port",
                f"Stop that process, or choose another port for all hosts: {settings[port]}",
            )


def _port_owner(host: Host, state: Mapping[str, Any]) -> str:
    if not state["pid"]:
        return "a process that is not visible"
    container = host.containers.get(state["container"], state["container"])
    where = f" in container {container}" if container else ""
    return f"process {state['pid']} ({state['process']})" + where


@checks.on_each_host("host", "host_tuning")
def _host_tuning(host: Host) -> Iterator[Finding]:
    """What vLLM-Ascend's guide to optimization and tuning asks of the system."""
    tuning = host.facts["tuning"]
    slow = sorted(set(tuning["cpu_governors"]) - {"performance"})
    texts = [f"CPU governor {', '.join(slow)}"] if slow else []
    commands = (
        ["echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"] if slow else []
    )
    if tuning["numa_balancing"] and tuning["numa_nodes"] > 1:
        texts.append("kernel.numa_balancing is on")
        commands.append("sysctl -w kernel.numa_balancing=0, also in /etc/sysctl.d")
    if texts:
        yield host.warn(
            "host_tuning",
            "; ".join(texts),
            "CPU governor performance and no NUMA balancing, as vLLM-Ascend recommends for speed",
            f"Set it ({'; '.join(commands)})",
        )


@checks.on_each_host("host", "hccl_ports")
def _hccl_ports(host: Host) -> Iterator[Finding]:
    """HCCL listens on fixed ports of the host, which its manual asks to reserve (HCCL_IF_BASE_PORT): else any outgoing
    connection may have one of them, and HCCL fails with EI0019 now and then.
    """
    ephemeral, variables = host.facts["ephemeral_ports"], host.plan["serve"]["env"]
    base = str(variables.get("HCCL_IF_BASE_PORT") or HCCL_BASE_PORT).strip("'")
    if ephemeral is None or "HCCL_HOST_SOCKET_PORT_RANGE" in variables or not base.isdigit():
        return
    first, last = int(base), int(base) + HCCL_PORTS - 1
    ports = range(max(first, ephemeral["first"]), min(last, ephemeral["last"]) + 1)
    if any(not in_ranges(port, ephemeral["reserved"]) for port in ports):
        others = f"{ephemeral['reserved']}," if ephemeral["reserved"] else ""
        yield host.warn(
            "hccl_ports",
            f"ports {first}-{last} are among those for outgoing connections ({ephemeral['first']}-{ephemeral['last']})",
            "ports that are reserved for HCCL",
            f"Reserve them (sysctl -w net.ipv4.ip_local_reserved_ports={others}{first}-{last}), also in /etc/sysctl.d",
        )


@checks.on_all_hosts("host", "proxy")
def _proxies(hosts: Sequence[Host]) -> Iterator[Finding]:
    addresses = [host.plan["service_ip"] for host in hosts]
    for host in hosts if len(hosts) > 1 else []:
        proxies = {key.lower(): value for key, value in host.facts["proxies"].items()}
        exceptions = [entry.strip() for entry in proxies.pop("no_proxy", "").split(",")]
        proxied = [one for one in addresses if not any(_covers(entry, one) for entry in exceptions)]
        if proxies and proxied:
            variables = ", ".join(f"{key}={value}" for key, value in sorted(proxies.items()))
            yield host.warn(
                "proxy",
                f"{variables}, also for {', '.join(proxied)}",
                "no proxy between the hosts",
                f"Add {','.join(proxied)} to no_proxy on the host (/etc/environment)",
            )


def _covers(entry: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return entry == "*"


@checks.on_each_host("host", "python_requests")
def _python_requests(host: Host) -> Iterator[Finding]:
    if not host.facts["python_requests"]:
        yield host.fail(
            "python_requests",
            f"Python {host.facts['python_version']} of Ansible has no package requests",
            "the package requests, with which the later stages talk to Docker, the hub and the endpoint",
            "Install it (apt install python3-requests, dnf install python3-requests), or set "
            "ansible_python_interpreter to a Python that has it",
        )


@checks.on_all_hosts("host", "clock")
def _clocks(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Each clock was compared with that of the controller, and is known within the time that this took."""
    first = hosts[0]
    for host in hosts[1:]:
        own, heads = host.facts["clock_ahead"], first.facts["clock_ahead"]
        ahead, behind = own["least"] - heads["most"], heads["least"] - own["most"]
        if max(ahead, behind) > CLOCK_SECONDS:
            direction = "ahead of" if ahead > 0 else "behind"
            yield host.warn(
                "clock",
                f"the clock is {max(ahead, behind):.0f} s or more {direction} that of {first.name}",
                "the same time on all hosts",
                "Synchronize all hosts with one time server (chronyc tracking, timedatectl)",
            )


@checks.on_all_hosts("host", "system")
def _systems(hosts: Sequence[Host]) -> Iterator[Finding]:
    systems = [
        f"{host.facts['os']}, kernel {host.facts['kernel']} ({host.facts['machine']})" for host in hosts
    ]
    usual = max(systems, key=systems.count)
    for host, system in zip(hosts, systems):
        if system != usual:
            yield host.warn(
                "system",
                system,
                f"{usual}, as on the other hosts",
                "Install the same system and kernel on all hosts. The driver is built for one kernel",
            )


@checks.on_each_host("host", "host_memory")
def _memory(host: Host) -> Iterator[Finding]:
    size, minimum = host.facts["memory_total_mb"], host.plan["host_memory_gb"]
    if size is not None and size << 20 < minimum * GB:
        yield host.warn(
            "host_memory",
            f"{words.gigabytes(size << 20)} of memory",
            f"{minimum} GB",
            "Use hosts with that much memory. If the engines need less, set vllm_host_memory_gb",
        )


@checks.on_each_host("host", "docker")
def _docker(host: Host) -> Iterator[Finding]:
    daemon = host.facts["docker"]
    if daemon is None:
        yield host.fail(
            "docker",
            host.facts["docker_error"],
            "a running Docker daemon",
            host.facts["docker_remedy"],
        )
    elif daemon["engine"] != "Docker":
        yield host.warn(
            "docker",
            f"{daemon['engine']} {daemon['version']} answers for Docker",
            "Docker, with which the collection is tested",
            "Install Docker on the host",
        )
    elif _is_older(daemon, DOCKER_OLDEST):
        yield host.warn(
            "docker",
            f"Docker {daemon['version']}",
            f"Docker {DOCKER_OLDEST} or later",
            "Upgrade Docker on the host",
        )


def _is_older(daemon: Mapping[str, Any], version: str) -> bool:
    return compare(re.split(r"[^\d.]", daemon["version"])[0], version) == -1  # of 18.06.3-ce, without -ce


@checks.on_each_host("host", "docker_seccomp")
def _seccomp(host: Host) -> Iterator[Finding]:
    """The profile of an old Docker refuses clone3 with EPERM, and glibc 2.34 and later then start no thread
    (moby#42680). That also holds for the 18.09 of openEuler.
    """
    daemon = host.facts["docker"] or {"engine": "", "version": "", "seccomp": False}
    if daemon["engine"] == "Docker" and daemon["seccomp"] and _is_older(daemon, DOCKER_CLONE3):
        yield host.warn(
            "docker_seccomp",
            f"Docker {daemon['version']} with seccomp: programs of newer images cannot start threads in it",
            f"Docker {DOCKER_CLONE3} or later",
            "Upgrade Docker, containerd, runc and libseccomp on the host",
        )


@checks.on_each_host("host", "docker_init")
def _init(host: Host) -> Iterator[Finding]:
    daemon = host.facts["docker"]
    if daemon and not daemon["init"] and host.plan["container"]["init"]:
        yield host.warn(
            "docker_init",
            "Docker does not find docker-init",
            "docker-init, which vllm_container_init needs",
            "Install it with Docker (docker-init of docker-ce-cli or moby-engine, or tini under that name), or set "
            "vllm_container_init: false",
        )


@checks.on_each_host("host", "docker_order")
def _docker_order(host: Host) -> Iterator[Finding]:
    units = (host.facts["docker_order"] or {"missing": []})["missing"]
    if units:
        yield host.warn(
            "docker_order",
            f"at boot, Docker may start before {', '.join(units)}",
            "devices and mounts first, because Docker does not start a container again that lacks one of them",
            "Set container_docker_order: true, which writes a drop-in for docker.service. Else run start.yml "
            "after a reboot",
        )


@checks.on_each_host("host", "api_key")
def _api_key(host: Host) -> Iterator[Finding]:
    """An unset variable, as for lack of a vault, must not open a service that has a key."""
    had = (_container(host) or {}).get("labels", {}).get("ascend_ops.vllm.api-key") == "yes"
    if had and host.plan["role"] == "head" and not host.plan.get("has_api_key"):
        yield host.fail(
            "api_key",
            "the service has an API key, and vllm_api_key is not set",
            "a key: without it, anyone who reaches the port may use the service",
            "Set vllm_api_key. To remove the key on purpose, add api_key to preflight_accept for this run",
        )


@checks.on_each_host("host", "container_name")
def _container_name(host: Host) -> Iterator[Finding]:
    """Who served the model by hand has a container of this name. It is reported before the weights are downloaded."""
    found, name = _container(host), host.plan["container"]["name"]
    if found and "ascend_ops.vllm.service" not in found["labels"]:
        yield host.fail(
            "container_name",
            f"a container {name} that ascend_ops.vllm did not create",
            "no other container of that name",
            f"Stop and rename it (docker stop {name}; docker rename {name} {name}-manual), or set "
            "vllm_container_name",
        )


def _container(host: Host) -> dict[str, Any] | None:
    """Return what the host facts say of the container with the plan's name, running or not."""
    docker = host.facts["docker"] or {}
    found: dict[str, Any] | None = {**docker.get("stopped", {}), **docker.get("served", {})}.get(
        host.plan["container"]["name"]
    )
    return found


@checks.on_all_hosts("host", "service_mtu", "service_bond")
def _service_nics(hosts: Sequence[Host]) -> Iterator[Finding]:
    sizes = [(host.facts["service_nic_state"] or {}).get("mtu") for host in hosts]
    usual = max(sizes, key=sizes.count)
    for host, size in zip(hosts, sizes):
        if None not in (size, usual) and size != usual:
            yield host.warn(
                "service_mtu",
                f"MTU {size} on {host.facts['service_nic']}",
                f"{usual}, as on the other hosts",
                "Set the same MTU on all hosts, and allow it on the switch: else small packets pass and large ones "
                "are lost",
            )
        state = host.facts["service_nic_state"]
        if state and state["slaves_down"]:
            yield host.warn(
                "service_bond",
                f"{', '.join(state['slaves_down'])} of {state['bond']} not up",
                f"all of {', '.join(state['slaves'])} up",
                f"Check the cable and the switch port (cat /proc/net/bonding/{state['bond']})",
            )


@checks.on_each_host("host", "disk")
def _disk(host: Host) -> Iterator[Finding]:
    """Image and weights may share a file system, and then need space for both.

    By sizes that the profile states, before anything is fetched. The weights stage asks again, for the bytes that are
    still to come: `_weights.folder.require_space`.
    """
    free, needed = _weights_space(host)
    for mount, size in _image_space(host).items():
        free.setdefault(mount, host.facts["docker"]["disk"]["free_bytes"])
        needed.setdefault(mount, {})["the image"] = size
    for mount, parts in needed.items():
        if sum(parts.values()) > free[mount]:
            by_containerd = (host.facts["docker"] or {}).get("containerd")
            setting = (
                "root in /etc/containerd/config.toml"
                if by_containerd
                else "data-root in /etc/docker/daemon.json"
            )
            yield host.fail(
                "disk",
                f"{words.gigabytes(free[mount])} free on {mount}",
                " and ".join(f"{words.gigabytes(size)} for {part}" for part, size in parts.items()),
                f"Free space, or use another disk: vllm_model_dir for the weights, {setting} for the image",
            )


def _weights_space(host: Host) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Return the free bytes of the weights' mount, and what they still need there."""
    model = host.plan["model"]
    disk = host.facts["disks"][model["dir"]]
    missing = model["size_gb"] * GB - disk["used_bytes"]
    free = {disk["mount"]: disk["free_bytes"]}
    brought = host.facts["disks"].get(host.plan["airgap_dir"])
    # On one file system, the files that were brought get a second name.
    if missing <= 0 or (brought and brought["mount"] == disk["mount"] and brought["used_bytes"] >= missing):
        return free, {}
    return free, {disk["mount"]: {f"the rest of the weights in {model['dir']}": missing}}


def _image_space(host: Host) -> dict[str, int]:
    """Return what the image still needs on its mount."""
    daemon = host.facts["docker"]
    if daemon is None or daemon["image_id"] is not None:
        return {}
    share = 1 + COMPRESSED if daemon["containerd"] else 1
    return {daemon["disk"]["mount"]: int(host.plan["image_size_gb"] * share * GB)}


@checks.on_each_host("host", "devices")
def _devices(host: Host) -> Iterator[Finding]:
    kinds = {path: host.facts["paths"].get(path) for path in host.plan["container"]["devices"]}
    missing = [path for path, kind in kinds.items() if kind is None]
    others = [f"{path} is a {kind}" for path, kind in kinds.items() if kind not in (None, "char")]
    if missing or others:
        yield host.fail(
            "devices",
            "; ".join(([f"missing: {', '.join(missing)}"] if missing else []) + others),
            "each device of the container is a device node of the host",
            "Check that the driver is loaded (lsmod | grep drv, dmesg), and reboot. A virtual machine only "
            "has the chips that are passed to it: vllm_npu_ids",
        )


@checks.on_each_host("host", "mounts")
def _mounts(host: Host) -> Iterator[Finding]:
    sources = [mount["source"] for mount in host.plan["container"]["mounts"]]
    kinds = {path: host.facts["paths"].get(path) for path in sources}
    # A folder for the model may be missing: the stage weights creates it.
    model_dir = host.plan["model"]["dir"] + "/"
    absent = [path for path, kind in kinds.items() if kind is None]
    missing = [path for path in absent if not model_dir.startswith(path.rstrip("/") + "/")]
    if missing:
        yield host.fail(
            "mounts",
            f"missing: {', '.join(missing)}",
            "each mount of the container has its source on the host",
            "Install what they belong to (most are part of the driver), link them to there, or set where they are "
            "on the hosts: vllm_npu_driver_mounts for files of the driver, vllm_container_mounts for others",
        )
    folders = [path for path, kind in kinds.items() if kind == "dir" and _is_file_mount(path)]
    if folders:
        yield host.fail(
            "mounts",
            f"folders: {', '.join(folders)}",
            "files",
            f"Docker created them for mounts without a source. Remove them (rmdir {' '.join(folders)}), and "
            "set where the files are: vllm_npu_driver_mounts",
        )


def _is_file_mount(path: str) -> bool:
    return path.rsplit("/", 1)[-1] in FILE_MOUNTS
