# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the hosts of a service can run it: what was found on them against what their plans need.

Each check is a function below, with the ids of its findings. Tables and messages have them in this order.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, INFO, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import in_ranges, nic_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.hccn_tool import UNSUPPORTED
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.npu_smi import INCOMPLETE, UNREADABLE
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity, lint, names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import NotCounted
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.plan import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.connectivity import LISTENER
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import (
    compare,
    differences,
    release,
)

SMOKE_TEST = ("smoke_npus", "smoke_collective")  # ids of what smoke_test.py finds
IDLE_HBM_MB = 5120  # an idle 64 GB chip shows 3.2 to 3.4 GB in use
HELPER_MB = 256  # agents and monitors hold about 110 MB of a chip beside vLLM (vllm-ascend#3810)
CLOCK_SECONDS = 30
HCCL_BASE_PORT = 60000
HCCL_PORTS = 16
COMPRESSED = 0.4  # containerd keeps the layers of an image compressed as well
DOCKER_OLDEST = "18.09"
DOCKER_CLONE3 = "20.10.10"
GB = 10**9
# Mounts that are files. Docker creates an empty folder for a missing source, which then hides the gap.
FILE_MOUNTS = ("npu-smi", "hccn_tool", "version.info", "ascend_install.info")
# What must have been gathered on a host for its checks to be able to find nothing wrong.
BASES: dict[str, Callable[[Host], bool]] = {
    "host": lambda host: True,
    "chips": lambda host: not host.npu["error"],
    "fabric": lambda host: host.has_peers and not host.npu["error"] and host.npu["fabric"] is not None,
    "peers": lambda host: host.has_peers and host.peers is not None,
    "image": lambda host: host.image_content is not None,
    "weights": lambda host: host.weights is not None,
}
INSTALL_SAME_PACKAGE = "Install driver and firmware of the same Ascend HDK package and reboot"
SET_ADDRESS = "hccn_tool -i N -ip -s address IP netmask MASK"
OWN_ADDRESS = f"Give each port an address of its own ({SET_ADDRESS}), also in /etc/hccn.conf"

HostCheck = Callable[[Host], Iterator[Finding]]
HostsCheck = Callable[[Sequence[Host]], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """A function that yields findings with some of the *ids*, and what it is based on."""

    ids: tuple[str, ...]
    basis: str
    find: HostsCheck


CHECKS: list[Check] = []


def on_each_host(basis: str, *ids: str) -> Callable[[HostCheck], HostCheck]:
    """Register a check that looks at one host at a time."""

    def register(function: HostCheck) -> HostCheck:
        CHECKS.append(Check(ids, basis, lambda hosts: (one for host in hosts for one in function(host))))
        return function

    return register


def on_all_hosts(basis: str, *ids: str) -> Callable[[HostsCheck], HostsCheck]:
    """Register a check that compares the hosts."""

    def register(function: HostsCheck) -> HostsCheck:
        CHECKS.append(Check(ids, basis, function))
        return function

    return register


def check(hosts: Sequence[Host]) -> list[Finding]:
    """Return all findings on *hosts*, in the order of the hosts and of the checks.

    Raises ProblemError if a host accepts a finding that does not exist.
    """
    order = [host.name for host in hosts]
    accept = {host.name: host.accept for host in hosts}
    require_ids(accept)
    found = [finding for one in CHECKS for finding in one.find(hosts)]
    found = [finding.accept() if finding.id in accept[finding.host] else finding for finding in found]
    return sorted(found, key=lambda finding: order.index(finding.host))


def ids() -> list[str]:
    """Return the ids of all findings, those of the smoke test and of the settings among them."""
    return [*(name for one in CHECKS for name in one.ids), *SMOKE_TEST, *lint.RULES]


def require_ids(accept: Mapping[str, Iterable[str]]) -> None:
    """Raise ProblemError if a host accepts a finding that does not exist. *accept* has the ids of each host."""
    problems = {host: accept_problem(accepted) for host, accepted in accept.items()}
    for host, problem in problems.items():
        if problem:
            raise ProblemError(f"{problem.found} on host {host}", problem.expected, problem.remedy)


def accept_problem(accept: Iterable[str]) -> Problem | None:
    """Return what is wrong with the ids of findings that a host accepts, None for nothing."""
    known = ids()
    unknown = sorted(set(accept) - set(known))
    if not unknown:
        return None
    found = f"preflight_accept names findings that do not exist: {', '.join(unknown)}"
    meant = [names.closest(known, name) for name in unknown]
    remedy = (
        f"correct it to {', '.join(filter(None, meant))}"
        if all(meant)
        else "remove it, or choose one of those ids"
    )
    return Problem(found, f"ids of findings: {', '.join(known)}", remedy)


def states(hosts: Sequence[Host], findings: Sequence[Finding]) -> dict[str, dict[str, str | None]]:
    """Return {id: {host: ok, warn or fail}}; None where a check does not apply or lacks its basis."""
    worst: dict[tuple[str, str], str] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity == FAIL):
        worst[finding.id, finding.host] = finding.severity
    return {
        name: {host.name: worst.get((name, host.name), _without_finding(one, host)) for host in hosts}
        for one in CHECKS
        for name in one.ids
    }


def _without_finding(one: Check, host: Host) -> str | None:
    return "ok" if BASES[one.basis](host) else None


def summary(hosts: Sequence[Host]) -> str:
    """Return a line about *hosts* without failures."""
    chips = _join(f"{len(host.chips)} x {host.npu['model']}" for host in hosts)
    driver = _join(host.driver for host in hosts)
    firmware = _join(host.npu["firmware_package_version"] for host in hosts)
    shown = ", ".join(host.name for host in hosts)
    text = f"{shown}: ready, each with {chips}, driver {driver}, firmware {firmware}"
    return text + (", all RoCE links up" if all(host.ports for host in hosts) else "")


# The host


@on_each_host("host", "service_ip", "service_nic")
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


@on_each_host("host", "hostname")
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


@on_each_host("host", "port")
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


@on_each_host("host", "host_tuning")
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


@on_each_host("host", "hccl_ports")
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


@on_all_hosts("host", "proxy")
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


@on_each_host("host", "python_requests")
def _python_requests(host: Host) -> Iterator[Finding]:
    if not host.facts["python_requests"]:
        yield host.fail(
            "python_requests",
            f"Python {host.facts['python_version']} of Ansible has no package requests",
            "the package requests, with which the later stages talk to Docker, the hub and the endpoint",
            "Install it (apt install python3-requests, dnf install python3-requests), or set "
            "ansible_python_interpreter to a Python that has it",
        )


@on_all_hosts("host", "clock")
def _clocks(hosts: Sequence[Host]) -> Iterator[Finding]:
    first = hosts[0]
    for host in hosts[1:]:
        seconds = host.facts["epoch"] - first.facts["epoch"]
        if abs(seconds) > CLOCK_SECONDS:
            direction = "ahead of" if seconds > 0 else "behind"
            yield host.warn(
                "clock",
                f"the clock is {abs(seconds):.0f} s {direction} that of {first.name}",
                "the same time on all hosts",
                "Synchronize all hosts with one time server (chronyc tracking, timedatectl)",
            )


@on_all_hosts("host", "system")
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


@on_each_host("host", "host_memory")
def _memory(host: Host) -> Iterator[Finding]:
    size, minimum = host.facts["memory_total_mb"], host.plan["host_memory_gb"]
    if size is not None and size << 20 < minimum * GB:
        yield host.warn(
            "host_memory",
            f"{_gigabytes(size << 20)} of memory",
            f"{minimum} GB",
            "Use hosts with that much memory. If the engines need less, set vllm_host_memory_gb",
        )


@on_each_host("host", "docker")
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
    elif compare(re.split(r"[^\d.]", daemon["version"])[0], DOCKER_OLDEST) == -1:  # 18.06.3-ce
        yield host.warn(
            "docker",
            f"Docker {daemon['version']}",
            f"Docker {DOCKER_OLDEST} or later",
            "Upgrade Docker on the host",
        )


@on_each_host("host", "docker_seccomp")
def _seccomp(host: Host) -> Iterator[Finding]:
    """The profile of an old Docker refuses clone3 with EPERM, and glibc 2.34 and later then start no thread
    (moby#42680). That also holds for the 18.09 of openEuler.
    """
    daemon = host.facts["docker"] or {"engine": "", "version": "", "seccomp": False}
    version = re.split(r"[^\d.]", daemon["version"])[0]
    if daemon["engine"] == "Docker" and daemon["seccomp"] and compare(version, DOCKER_CLONE3) == -1:
        yield host.warn(
            "docker_seccomp",
            f"Docker {daemon['version']} with seccomp: programs of newer images cannot start threads in it",
            f"Docker {DOCKER_CLONE3} or later",
            "Upgrade Docker, containerd, runc and libseccomp on the host",
        )


@on_each_host("host", "docker_init")
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


@on_each_host("host", "docker_order")
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


@on_all_hosts("host", "service_mtu", "service_bond")
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


@on_each_host("host", "disk")
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
                f"{_gigabytes(free[mount])} free on {mount}",
                " and ".join(f"{_gigabytes(size)} for {part}" for part, size in parts.items()),
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


@on_each_host("host", "devices")
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


@on_each_host("host", "mounts")
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


# Driver, firmware and chips


@on_each_host("host", "driver")
def _driver(host: Host) -> Iterator[Finding]:
    error = host.npu["error"]
    if error:
        output = " / ".join(line.strip() for line in error["text"].splitlines() if line.strip())
        yield host.fail(
            "driver",
            f"{error['cause']}. The tool printed: {output or 'nothing'}",
            "npu-smi info shows the chips",
            error["remedy"],
        )
    incomplete = [text for text in host.npu["warnings"] or [] if INCOMPLETE.search(text)]
    if incomplete:
        yield host.warn(
            "driver",
            f"npu-smi warns: {' / '.join(incomplete)}",
            "Driver_Install_Status=complete in /etc/ascend_install.info",
            "Install the driver package again, and reboot",
        )


@on_each_host("chips", "driver_version")
def _driver_version(host: Host) -> Iterator[Finding]:
    yield from _package(host, "driver", host.driver)


@on_each_host("chips", "firmware_version")
def _firmware_version(host: Host) -> Iterator[Finding]:
    yield from _package(host, "firmware", host.npu["firmware_package_version"])


def _package(host: Host, part: str, version: str | None) -> Iterator[Finding]:
    expected = host.plan["npu"][f"{part}_version"]
    if version is None:
        if not host.npu["error"]:
            yield host.warn(
                f"{part}_version",
                f"no package version of the {part}",
                f"{part} of Ascend HDK {expected}",
                f"Check the {part}'s version.info below Driver_Install_Path_Param of "
                f"/etc/ascend_install.info. Reinstall the {part} if the file is lost",
            )
        return
    comparison = compare(release(version), release(expected))
    if comparison == 0:
        if compare(version, expected) != 0:
            yield host.warn(
                f"{part}_version",
                f"{part} {version}, another build of this release",
                f"{part} {expected}",
                f"Install the released package, or set vllm_npu_{part}_version: {version}",
            )
        return
    newer = comparison == 1
    words = {-1: ", which is older", 1: ", which is newer"}.get(comparison or 0, "")
    accept = ""
    if newer and not host.allow_newer:
        accept = ". To accept newer packages, set preflight_allow_newer: true"
    problem = Problem(
        f"{part} {version}{words}",
        f"{part} {expected}",
        f"Install driver and firmware of Ascend HDK {expected} and reboot{accept}. "
        f"To run {version}, set vllm_npu_{part}_version",
    )
    yield Finding(f"{part}_version", WARN if newer and host.allow_newer else FAIL, host.name, problem)


@on_each_host("chips", "reboot")
def _pending_reboot(host: Host) -> Iterator[Finding]:
    npu = host.npu
    parts = [
        ("driver", npu["driver_version"], npu["package_version"]),
        ("firmware", npu["firmware_version"], npu["firmware_installed_version"]),
    ]
    for part, running, installed in parts:
        if running and installed and compare(running, installed) != 0:
            yield host.fail(
                "reboot",
                f"{part} {running} runs, {part} {installed} is installed",
                f"the installed {part} runs",
                "Reboot the host",
            )


@on_each_host("chips", "card_firmware")
def _card_firmware(host: Host) -> Iterator[Finding]:
    """Cards with another firmware than most: usually one that was replaced. A reboot does not change it."""
    usual = host.npu["firmware_version"]
    versions = {card["npu_id"]: card["firmware_version"] for card in host.npu["cards"] or []}
    others = {number: text for number, text in versions.items() if text not in (None, usual)}
    if others:
        yield host.warn(
            "card_firmware",
            f"firmware {_by_value(others, 'card')}",
            f"firmware {usual}, as on the other cards",
            "Install the firmware package again, which writes it to all cards, and power-cycle the host",
        )


@on_each_host("chips", "compatibility")
def _compatibility(host: Host) -> Iterator[Finding]:
    """UNKNOWN is the state with old firmware packages. NOT SUPPORT means that it cannot be asked, as in a guest."""
    state = host.npu["compatibility"]
    if state in (None, "OK", "NOT SUPPORT"):
        return
    found = f"npu-smi reports compatibility {state} for driver and firmware"
    severity = FAIL if state == "NOK" else WARN
    yield Finding("compatibility", severity, host.name, Problem(found, "OK", INSTALL_SAME_PACKAGE))


@on_each_host("chips", "chip_count")
def _chip_count(host: Host) -> Iterator[Finding]:
    ids = host.plan["npu"]["ids"]
    present = {chip["device"] for chip in host.chips}
    missing = [number for number in ids if number not in present]
    if missing and not host.npu["error"]:
        yield host.fail(
            "chip_count",
            f"{len(present)} of {len(ids)} chips; missing: {_numbers(missing)}",
            f"{len(ids)} chips: {_numbers(ids)}",
            "Look for the card on the PCI bus (lspci -d 19e5:) and in dmesg. Power-cycle the host, reseat or "
            "replace the card. Or set the chips to use: vllm_npu_ids",
        )


@on_each_host("chips", "chip_name")
def _chip_name(host: Host) -> Iterator[Finding]:
    expected = host.plan["npu"]["name"]
    others = {chip["device"]: chip["name"] or "no name" for chip in host.chips if chip["name"] != expected}
    if others:
        remedy = "Use hosts with these cards. If the model fits the present ones, set vllm_npu_name"
        yield host.fail("chip_name", _by_value(others, "chip"), expected, remedy)


@on_each_host("chips", "chip_health")
def _chip_health(host: Host) -> Iterator[Finding]:
    """Alarm is the worst of all alarms, also of ones that do not matter here; hosts serve with it on all chips
    (vllm-ascend#9554, #9824). A chip is lost if it is Critical or UNKNOWN.
    """
    unhealthy = [chip for chip in host.chips if chip["health"] != "OK"]
    for severity, chips in (
        (FAIL, [chip for chip in unhealthy if chip["health"] not in ("Warning", "Alarm")]),
        (WARN, [chip for chip in unhealthy if chip["health"] in ("Warning", "Alarm")]),
    ):
        if chips:
            found = _by_value({chip["device"]: _health(chip) for chip in chips}, "chip")
            remedy = (
                "Look up the error code in the Ascend HDK's list. Reset the chip (npu-smi set -t reset -i N "
                "-c 0), or power-cycle the host"
            )
            yield Finding("chip_health", severity, host.name, Problem(found, "OK", remedy))


def _health(chip: Mapping[str, Any]) -> str:
    code = f", error {chip['error_code']}" if chip["error_code"] else ""
    text = f": {chip['error_text']}" if chip["error_text"] else ""
    return f"{chip['health'] or 'unknown health'}{code}{text}"


@on_each_host("chips", "hbm")
def _hbm(host: Host) -> Iterator[Finding]:
    expected = host.plan["npu"]["hbm_mb"]
    sizes = {chip["device"]: chip["hbm_total_mb"] for chip in host.chips}
    small = {number: f"{size} MB" for number, size in sizes.items() if size is not None and size < expected}
    unknown = [number for number, size in sizes.items() if size is None]
    remedy = "Use hosts whose cards have that much. If the model needs less, set vllm_npu_hbm_mb"
    if small:
        yield host.fail("hbm", f"HBM of {_by_value(small, 'chip')}", f"{expected} MB", remedy)
    if unknown:
        yield host.warn("hbm", f"HBM of unknown size (chip {_numbers(unknown)})", f"{expected} MB", remedy)


@on_all_hosts("host", "capacity")
def _capacity(hosts: Sequence[Host]) -> Iterator[Finding]:
    """All hosts have the same share of the model, so it is a finding of the first one."""
    first = hosts[0]
    try:
        model = capacity.of_plan(first.plan)
    except NotCounted as error:
        yield Finding("capacity", INFO, first.name, capacity.not_counted(error))
        return
    except ValueError as error:
        yield first.warn(
            "capacity",
            str(error),
            "keys of the model's config.json",
            "Correct vllm_model_config, or empty it: the check is then left out",
        )
        return
    estimate = capacity.estimate(first.plan, model) if model else None
    problem = capacity.problem(first.plan, model, estimate) if model and estimate else None
    if estimate and problem:
        severity = FAIL if estimate.verdict == capacity.TOO_LARGE else WARN
        yield Finding("capacity", severity, first.name, problem)


@on_each_host("chips", "chips_busy")
def _chips_busy(host: Host) -> Iterator[Finding]:
    remedy = (
        "Stop what uses the cards (docker ps, ps -fp PID), also in other containers or virtual machines. Or choose "
        "other chips: vllm_npu_ids"
    )
    users = {chip["device"]: _users(host, chip) for chip in host.chips}
    for severity in (FAIL, WARN):
        some = {number: text for number, (its_severity, text) in users.items() if its_severity == severity}
        if some:
            problem = Problem(_by_value(some, "chip"), "chips that only this service uses", remedy)
            yield Finding("chips_busy", severity, host.name, problem)


def _users(host: Host, chip: Mapping[str, Any]) -> tuple[str, str]:
    """Return what uses the chip besides the service, after its severity; empty texts for nothing."""
    processes = chip["processes"] or []
    foreign = [process for process in processes if not _is_own(host, process)]
    used = chip["hbm_used_mb"] or 0
    if foreign:
        sizes = [process["memory_mb"] for process in foreign]
        small = None not in sizes and sum(sizes) < HELPER_MB
        return WARN if small else FAIL, ", ".join(map(_process, foreign))
    if not processes and not host.runs_service and used > IDLE_HBM_MB:
        return FAIL, f"{used} MB of HBM held by a process that npu-smi does not show"
    unreadable = any(text.startswith(UNREADABLE) for text in host.npu["warnings"] or [])
    if chip["processes"] is None and chip["health"] is not None and unreadable:
        return WARN, "processes that cannot be read"
    return "", ""


def _is_own(host: Host, process: Mapping[str, Any]) -> bool:
    """Return whether the process belongs to the service.

    While the service runs, that includes processes of no container: some drivers show PIDs as they are inside
    the container, so that their container cannot be found.
    """
    return host.is_service(process["container"]) or (host.runs_service and process["container"] is None)


def _process(process: Mapping[str, Any]) -> str:
    name = f" {process['name']}" if process["name"] else ""
    container = f", container {process['container'][:12]}" if process["container"] else ""
    return f"process {process['pid']}{name} ({_megabytes(process['memory_mb'])}{container})"


# The RoCE ports


@on_each_host("fabric", "roce")
def _hccn_tool(host: Host) -> Iterator[Finding]:
    if host.has_peers and host.npu["fabric"] is None and not host.npu["error"]:
        yield host.warn(
            "roce",
            "no hccn_tool, so the RoCE ports were not checked",
            "hccn_tool of the driver",
            "Reinstall the driver, which contains hccn_tool (driver/tools/hccn_tool)",
        )
    if host.joined_by_hccs and not _answers_over_hccs(host):
        links = {port["device"]: port["vnic"] or "unknown" for port in host.all_ports}
        lost = "; ".join(
            _ping(ping) for ping in _hccs_pings(host) if ping["received"] != ping["sent"] or not ping["sent"]
        )
        yield host.warn(
            "roce",
            f"no RoCE port is up or has an address. HCCS link: {_by_value(links, 'chip')}"
            + (f"; {lost}" if lost else ""),
            "hosts that HCCS joins, or RoCE ports with addresses",
            "If these hosts are of one HCCS domain, check it with hccn_tool -i N -hccs_ping -g "
            "address VNIC_IP. Otherwise connect the RoCE ports and give them addresses",
        )
    unasked = [port["device"] for port in host.ports if _is_unsupported(port)]
    if unasked:
        yield host.warn(
            "roce",
            f"in this virtual machine hccn_tool refuses port {_numbers(unasked)}: {UNSUPPORTED}",
            "RoCE ports that can be checked",
            "Check link and addresses of the ports on the virtualization host",
        )


def _hccs_pings(host: Host) -> list[Mapping[str, Any]]:
    return [ping for ping in (host.peers["pings"] if host.peers else []) if ping.get("by_hccs")]


def _answers_over_hccs(host: Host) -> bool:
    """Return whether all pings over HCCS came back, so that RoCE is not needed."""
    pings = _hccs_pings(host)
    return bool(pings) and all(ping["sent"] and ping["received"] == ping["sent"] for ping in pings)


def _is_unsupported(port: Mapping[str, Any]) -> bool:
    return UNSUPPORTED in (port["message"] or "")


@on_all_hosts("fabric", "roce_link")
def _roce_links(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Answered pings prove more than the state, which is wrong on some hosts. So does a good net health."""
    answered = _answered(hosts)
    for host in hosts:
        others = [port for port in host.ports if port["link"] != "UP" and not _is_unsupported(port)]
        works = {port["device"]: _works(host, port, answered) for port in others}
        remedy = (
            "Check cable, optics and switch port (hccn_tool -i N -link_stat -g, hccn_tool -i N -optical -g)"
        )
        for severity in (FAIL, WARN):
            some = {
                port["device"]: port["link"]
                or f"no answer{': ' if port['message'] else ''}{port['message'] or ''}"
                for port in others
                if works[port["device"]] == (severity == WARN)
            }
            if some:
                problem = Problem(f"link {_by_value(some, 'port')}", "UP", remedy)
                yield Finding("roce_link", severity, host.name, problem)


def _works(host: Host, port: Mapping[str, Any], answered: Mapping[tuple[str, int], bool]) -> bool:
    pings = answered.get((host.name, port["device"]))
    return pings if pings is not None else port["link"] is None and port["net_health"] == "Success"


def _answered(hosts: Sequence[Host]) -> dict[tuple[str, int], bool]:
    """Return for each port from or to which pings were sent whether all came back."""
    found: dict[tuple[str, int], bool] = {}
    for host in hosts:
        for ping in _pings(host):
            complete = ping["received"] is not None and ping["received"] == ping["sent"]
            for end in ((host.name, ping["device"]), (ping["host"], ping["peer"])):
                found[end] = found.get(end, True) and complete
    return found


@on_all_hosts("fabric", "roce_net_health")
def _roce_net_health(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Net health is about one watched address, often a gateway that answers no pings. Own pings prove more."""
    answered = _answered(hosts)
    for host in hosts:
        up = [port for port in host.ports if port["link"] == "UP" and port["ip"] is not None]
        others = [port for port in up if port["net_health"] != "Success"]
        for severity in (FAIL, WARN):
            some = {
                port["device"]: port["net_health"] or "no answer"
                for port in others
                if (host.runs_service or answered.get((host.name, port["device"])) or _begins(port))
                == (severity == WARN)
            }
            if some:
                remedy = (
                    "Find out why the port does not reach the address that it watches (hccn_tool -i N -netdetect "
                    "-g, then -ping -g address IP): VLAN, gateway, switch"
                )
                problem = Problem(f"net health {_by_value(some, 'port')}", "Success", remedy)
                yield Finding("roce_net_health", severity, host.name, problem)


def _begins(port: Mapping[str, Any]) -> bool:
    return port["net_health"] in ("Init", "Detect ip set")


@on_each_host("fabric", "roce_ip")
def _roce_ip(host: Host) -> Iterator[Finding]:
    """A port whose net health is Success has an address, whether or not hccn_tool shows it."""
    without = [port for port in host.ports if port["ip"] is None and port["link"] is not None]
    for severity in (FAIL, WARN):
        some = [port["device"] for port in without if (port["net_health"] == "Success") == (severity == WARN)]
        if some:
            problem = Problem(
                f"no address on port {_numbers(some)}", "an address on each RoCE port", OWN_ADDRESS
            )
            yield Finding("roce_ip", severity, host.name, problem)


@on_each_host("fabric", "roce_config")
def _roce_config(host: Host) -> Iterator[Finding]:
    """A host without any address in the file gets them in another way."""
    ports = [port for port in host.ports if port["ip"] is not None]
    if not any(port["configured"]["ip"] for port in ports):
        return
    others = {port["device"]: text for port in ports for text in [_configured_otherwise(port)] if text}
    if others:
        yield host.warn(
            "roce_config",
            f"/etc/hccn.conf has {_by_value(others, 'port')}",
            "the addresses, netmasks and gateways that the ports have",
            f"Correct the file, or set the values ({SET_ADDRESS}; hccn_tool -i N -gateway -s gateway IP), which also "
            "writes it. A reboot brings the values of the file",
        )


def _configured_otherwise(port: Mapping[str, Any]) -> str:
    """Return what the file has for a port instead of what it runs with; empty for nothing.

    A netmask or gateway that the port, or the file, does not show is none to compare.
    """
    texts = [
        f"{key.replace('ip', 'address')} {port['configured'][key] or 'nothing'} instead of {port[key]}"
        for key in ("ip", "netmask", "gateway")
        if port["configured"][key] != port[key]
        and (key == "ip" or None not in (port["configured"][key], port[key]))
    ]
    return " and ".join(texts)


@on_all_hosts("fabric", "roce_duplicate")
def _roce_duplicates(hosts: Sequence[Host]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for host in hosts:
        duplicates = {}
        for port in host.ports:
            if port["ip"] in owners:
                duplicates[port["device"]] = f"{port['ip']}, also of {owners[port['ip']]}"
            elif port["ip"]:
                owners[port["ip"]] = f"host {host.name} port {port['device']}"
        if duplicates:
            expected = "a different address on each port of all hosts"
            yield host.fail("roce_duplicate", _by_value(duplicates, "port"), expected, OWN_ADDRESS)


@on_all_hosts("fabric", "roce_netmask")
def _roce_netmasks(hosts: Sequence[Host]) -> Iterator[Finding]:
    masks = [port["netmask"] for host in hosts for port in host.ports if port["netmask"]]
    usual = max(masks, key=masks.count, default=None)
    for host in hosts:
        other_ports = [port for port in host.ports if port["netmask"] not in (None, usual)]
        others = {port["device"]: port["netmask"] for port in other_ports}
        if others:
            yield host.warn(
                "roce_netmask",
                f"netmask {_by_value(others, 'port')}",
                f"{usual}, as on the other ports",
                f"Correct it, unless a router connects the networks ({SET_ADDRESS}), also in /etc/hccn.conf",
            )


@on_all_hosts("fabric", "roce_tls")
def _roce_tls(hosts: Sequence[Host]) -> Iterator[Finding]:
    if len({port["tls"] for host in hosts for port in host.ports} - {None}) < 2:
        return
    for host in hosts:
        on = [port["device"] for port in host.ports if port["tls"]]
        if on:
            yield host.fail(
                "roce_tls",
                f"TLS is on for port {_numbers(on)} and off for others",
                "the same TLS state on all ports of all hosts",
                "Turn it off everywhere: preflight_roce_tls_off: true does so on all hosts, hccn_tool -i N "
                "-tls -s enable 0 on one port. Or turn it on for all ports of all hosts",
            )


def _pings(host: Host) -> list[Mapping[str, Any]]:
    """Return the pings that must be answered: all but those that look for a switch or for HCCS."""
    pings = host.peers["pings"] if host.peers else []
    return [ping for ping in pings if not ping.get("crosses") and not ping.get("by_hccs")]


def _reaches_others(host: Host) -> bool:
    """Return whether a port reaches another one than its counterpart, as it does behind a switch without LLDP."""
    pings = host.peers["pings"] if host.peers else []
    return any(ping["received"] for ping in pings if ping["device"] != ping["peer"])


@on_each_host("fabric", "roce_switch")
def _roce_switch(host: Host) -> Iterator[Finding]:
    if _reaches_others(host):
        return
    without = [port["device"] for port in host.ports if port["link"] == "UP" and port["lldp_port"] is None]
    if without and ["--enable-expert-parallel"] in host.plan["serve"]["args"]:
        yield host.warn(
            "roce_switch",
            f"no switch is visible behind port {_numbers(without)}",
            "a switch between the hosts: over direct cables, expert parallelism fails "
            "(HcclAllocComResourceByTiling)",
            "Connect the ports through a RoCE switch. If there is one, turn on LLDP in it to make it "
            "visible. With direct cables, turn off expert parallelism: "
            "vllm_serve_args: {enable-expert-parallel: false}",
        )


@on_all_hosts("fabric", "roce_ping")
def _roce_pings(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Lost packets of a port that is down are part of its other finding."""
    down = {(host.name, port["device"]) for host in hosts for port in host.ports if port["link"] == "DOWN"}
    for host in hosts:
        pings = [
            ping
            for ping in _pings(host)
            if not {(host.name, ping["device"]), (ping["host"], ping["peer"])} & down
        ]
        incomplete = [ping for ping in pings if ping["received"] is None or ping["received"] != ping["sent"]]
        for severity, some in (
            (FAIL, [ping for ping in incomplete if not ping["received"]]),
            (WARN, [ping for ping in incomplete if ping["received"]]),
        ):
            if some:
                remedy = (
                    "Ping by hand (hccn_tool -i N -ping -g address IP), and check both ports: link, netmask and "
                    "gateway, VLAN and MTU of the switch's ports, link_stat"
                )
                problem = Problem("; ".join(map(_ping, some)), "an answer to every packet", remedy)
                yield Finding("roce_ping", severity, host.name, problem)


def _ping(ping: Mapping[str, Any]) -> str:
    way = f"port {ping['device']} to {ping['host']}'s port {ping['peer']} ({ping['address']})"
    if ping["received"] is None:
        return f"{way}: no answer: {ping['text'] or 'nothing'}"
    return f"{way}: answers to {ping['received']} of {ping['sent']} packets"


# Between the hosts


@on_all_hosts("peers", "tcp")
def _tcp(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Report a failed connection on the host that is called: usually its firewall drops the packets."""
    for host in hosts:
        address = host.plan["service_ip"]
        if host.listener and host.listener["error"] and host.facts["service_nic"]:
            yield host.fail(
                "tcp",
                host.listener["error"],
                f"the host can listen on {address}",
                "Find out what holds the address or denies it to root (ip addr, getenforce)",
            )
        failures = [text for caller in hosts for text in _failed_calls(caller, host)]
        if failures:
            yield host.fail(
                "tcp",
                f"no connection from {'; from '.join(failures)}",
                f"TCP from all hosts of the service to {address}",
                f"Allow the hosts of the service to reach all TCP ports of {address}: firewall of the host "
                "(firewall-cmd --list-all, nft list ruleset, iptables -nL), security groups and routes "
                "between them. vLLM, HCCL and Gloo use arbitrary ports",
            )


def _failed_calls(caller: Host, host: Host) -> Iterator[str]:
    """Yield which ports of *host* the caller could not reach. Without its service address it reaches none."""
    calls = caller.peers["calls"] if caller.peers and caller.facts["service_nic"] else []
    errors = {call["port"]: call["error"] for call in calls if call["host"] == host.name and call["error"]}
    if errors:
        yield f"{caller.name}: {_by_value(errors, 'port')}"


# Image and weights


@on_all_hosts("host", "image")
def _images(hosts: Sequence[Host]) -> Iterator[Finding]:
    """A tag moves: hosts that pulled it months apart have different images of one name."""
    present = [host for host in hosts if host.facts["docker"] and host.facts["docker"]["image_layers"]]
    for host in present:
        # An image for another architecture has other layers.
        alike = [other for other in present if other.facts["machine"] == host.facts["machine"]]
        layers = [other.facts["docker"]["image_layers"] for other in alike]
        usual = max(layers, key=layers.count)
        if host.facts["docker"]["image_layers"] == usual:
            continue
        other, image = alike[layers.index(usual)], host.plan["image"]
        yield (host.warn if _serves_image(host) else host.fail)(
            "image",
            f"{image} is another image here ({host.facts['docker']['image_id']}) than on {other.name}",
            f"the same image on all hosts ({other.facts['docker']['image_id']} on {other.name})",
            f"Pull it on all hosts (docker pull {image}), or load the same archive, and run again. To pin it, set "
            "vllm_image to its digest",
        )


def _serves_image(host: Host) -> bool:
    """Whether the service runs from the image that the host has now."""
    docker = host.facts["docker"]
    served = docker["served"].get(host.plan["container"]["name"])
    return served is not None and served["image_id"] == docker["image_id"]


@on_each_host("image", "image_versions")
def _image_versions(host: Host) -> Iterator[Finding]:
    if host.image_problem:
        yield Finding("image_versions", FAIL, host.name, Problem.of(host.image_problem))
    expected = host.plan["image_versions"]
    others = differences(host.image_content, expected) if host.image_content is not None else {}
    if others:
        content = ", ".join(f"{name} {version}" for name, version in others.items())
        yield host.fail(
            "image_versions",
            f"{host.plan['image']} contains {content}",
            ", ".join(f"{name} {expected[name]}" for name in others),
            "Set vllm_image to an image with these versions. To serve with the present ones, set them in "
            "vllm_image_versions",
        )


@on_each_host("weights", "weights")
def _weights(host: Host) -> Iterator[Finding]:
    """The stage weights has checked them."""
    if host.weights:
        yield Finding("weights", FAIL, host.name, Problem.of(host.weights))


# Words


def _join(texts: Iterable[str | None]) -> str:
    return " and ".join(sorted({text or "unknown" for text in texts}))


def _megabytes(value: int | None) -> str:
    return "size unknown" if value is None else f"{value} MB"


def _gigabytes(size: int) -> str:
    return f"{size / GB:.1f} GB"


def _numbers(numbers: Iterable[int]) -> str:
    """Return 0-2, 5 for 0, 1, 2, 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _by_value(values: Mapping[int, str], what: str) -> str:
    """Return "DOWN (port 1-2); no answer (port 7)" for {1: DOWN, 2: DOWN, 7: no answer}."""
    numbers: dict[str, list[int]] = {}
    for number, value in values.items():
        numbers.setdefault(value, []).append(number)
    return "; ".join(f"{value} ({what} {_numbers(group)})" for value, group in numbers.items())
