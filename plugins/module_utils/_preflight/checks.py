# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge whether hosts are fit for a service, from what was found on them and what their plans want."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import LISTENER, nic_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.plan import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import compare, differences

FAIL = "fail"
WARN = "warn"

IDLE_HBM_MB = 5120  # an idle 64 GB chip shows 3.2 to 3.4 GB in use
CLOCK_SECONDS = 30
DOCKER_OLDEST = "18.09"
GB = 10**9
# Mounts that are files. Docker makes an empty folder of a source that is not there, and that folder hides the lack from then on.
FILE_MOUNTS = ("npu-smi", "hccn_tool", "version.info", "ascend_install.info")
FACTS = {
    "vllm_npu": "ascend_ops.vllm.npu_facts",
    "vllm_host_facts": "ascend_ops.vllm.plan",
    "vllm_plan": "ascend_ops.vllm.plan",
}

WEIGHTS_ERROR = re.compile(r"^Found: (.*)\.\nExpected: (.*)\.\nRemedy: (.*)$", re.S | re.M)

# What is judged, in the order in which it is told, by what must be known for it.
CHECKS = {
    "host": (
        "service_ip",
        "service_nic",
        "hostname",
        "port",
        "proxy",
        "clock",
        "system",
        "host_memory",
        "docker",
        "disk",
        "devices",
        "mounts",
    ),
    "driver": ("driver",),
    "chips": (
        *("driver_version", "firmware_version", "reboot", "compatibility"),
        *("chip_count", "chip_name", "chip_health", "hbm", "chips_busy"),
    ),
    "fabric": (
        *("roce", "roce_link", "roce_net_health", "roce_ip", "roce_duplicate", "roce_netmask"),
        *("roce_tls", "roce_switch", "roce_ping"),
    ),
    "peers": ("tcp",),
    "image": ("image_versions",),
    "weights": ("weights",),
}


class Finding(NamedTuple):
    """Something about a host that keeps the service from running (fail), or may do so (warn)."""

    id: str
    severity: str
    host: str
    found: str
    wanted: str
    remedy: str


@dataclass(frozen=True)
class Host:
    """A host of the service: its inventory name, the facts *FACTS*, and those of the stages that came before, if they did."""

    name: str
    npu: Mapping[str, Any]
    facts: Mapping[str, Any]
    plan: Mapping[str, Any]
    listener: Mapping[str, Any] | None = None
    peers: Mapping[str, Any] | None = None
    image_content: Mapping[str, Any] | None = None
    weights_error: str | None = None  # empty where nothing was wrong with them

    @classmethod
    def of(cls, name: str, facts: Mapping[str, Any]) -> Host:
        """Return the host with these Ansible facts; raises ValueError if one is missing that must be there."""
        for fact, module in FACTS.items():
            if fact not in facts:
                raise ValueError(
                    f"Host {name} has no fact {fact}, wanted one of this run: let a task of {module} run on it before."
                )
        more = {
            key: facts.get(f"vllm_{key}") for key in ("listener", "peers", "image_content", "weights_error")
        }
        return cls(name, facts["vllm_npu"], facts["vllm_host_facts"], facts["vllm_plan"], **more)

    def fail(self, name: str, found: str, wanted: str, remedy: str) -> Finding:
        return Finding(name, FAIL, self.name, found, wanted, remedy)

    def warn(self, name: str, found: str, wanted: str, remedy: str) -> Finding:
        return Finding(name, WARN, self.name, found, wanted, remedy)

    @property
    def chips(self) -> list[Mapping[str, Any]]:
        """Return the chips that the service is to use, as far as they were found."""
        return [chip for chip in self.npu["chips"] or [] if chip["device"] in self.plan["npu"]["ids"]]

    @property
    def ports(self) -> list[Mapping[str, Any]]:
        """Return the RoCE ports of these chips; none if the service has no other host to reach through them."""
        many = len(self.plan["hosts"]) > 1
        return [
            port for port in self.npu["fabric"] or [] if many and port["device"] in self.plan["npu"]["ids"]
        ]

    @property
    def runs_service(self) -> bool:
        return self.plan["container"]["name"] in (self.facts["containers"] or {}).values()

    def is_service(self, container: str | None) -> bool:
        """Return whether the id *container* is that of the service's own container."""
        return container is not None and bool(
            (self.facts["containers"] or {}).get(container) == self.plan["container"]["name"]
        )


def judge(hosts: Sequence[Host], allow_newer: bool = False) -> list[Finding]:
    """Return all that is wrong with *hosts*, in their order; with *allow_newer*, newer packages than wanted only warn."""
    found = [finding for host in hosts for finding in _of_one(host, allow_newer)]
    for check in (
        *(_duplicate_addresses, _different_netmasks, _different_tls),
        *(_different_clocks, _different_systems, _proxies, _unreached),
    ):
        found += check(hosts)
    order = [host.name for host in hosts]
    return sorted(found, key=lambda finding: order.index(finding.host))


def states(hosts: Sequence[Host], findings: Sequence[Finding]) -> dict[str, dict[str, str | None]]:
    """Return {check: {host: ok, warn or fail}}; None for what could not be judged or need not be."""
    worst = {}  # type: dict[tuple[str, str], str]
    for finding in sorted(findings, key=lambda finding: finding.severity == FAIL):
        worst[finding.id, finding.host] = finding.severity
    return {
        check: {
            host.name: worst.get((check, host.name), "ok" if _is_known(host, base) else None)
            for host in hosts
        }
        for base, checks in CHECKS.items()
        for check in checks
    }


def _is_known(host: Host, base: str) -> bool:
    """Return whether enough is known of a host for the checks that rest on *base*."""
    many = len(host.plan["hosts"]) > 1
    known = {
        "chips": not host.npu["error"],
        "fabric": many and not host.npu["error"] and host.npu["fabric"] is not None,
        "peers": many and host.peers is not None,
        "image": host.image_content is not None,
        "weights": host.weights_error is not None,
    }
    return known.get(base, True)


def describe(finding: Finding) -> str:
    """Return the finding as a paragraph for people."""
    return (
        f"Host {finding.host}, stage preflight ({finding.id})\n"  #
        f"  found:  {finding.found}\n  wanted: {finding.wanted}\n  remedy: {finding.remedy}"
    )


def summary(hosts: Sequence[Host]) -> str:
    """Return a line about *hosts* that are fit."""
    chips = {f"{len(host.chips)} x {host.npu['model']}" for host in hosts}
    driver = {_driver(host) for host in hosts}
    firmware = {host.npu["firmware_package_version"] for host in hosts}
    text = f"{', '.join(host.name for host in hosts)}: fit, each with {_join(chips)}, driver {_join(driver)}, firmware {_join(firmware)}"
    return text + (", all RoCE links up" if all(host.ports for host in hosts) else "")


def _of_one(host: Host, allow_newer: bool) -> Iterator[Finding]:
    yield from _broken_driver(host)
    yield from _package(host, "driver", _driver(host), host.plan["npu"]["driver_version"], allow_newer)
    yield from _package(
        host,
        "firmware",
        host.npu["firmware_package_version"],
        host.plan["npu"]["firmware_version"],
        allow_newer,
    )
    for check in (
        *(_pending_reboot, _incompatible, _chip_count, _chip_name, _chip_health, _hbm, _busy),
        *(
            _devices,
            _mounts,
            _service_address,
            _ports_taken,
            _docker,
            _disk,
            _memory,
            _loopback,
            _image_versions,
            _weights,
        ),
        *(_no_hccn_tool, _links, _net_health, _no_address, _no_switch, _pings),
    ):
        yield from check(host)


# Driver, firmware and chips


def _broken_driver(host: Host) -> Iterator[Finding]:
    error = host.npu["error"]
    if error:
        said = " / ".join(line.strip() for line in error["text"].splitlines() if line.strip())
        yield host.fail(
            "driver",
            f"{error['cause']} The tool said: {said or 'nothing'}",
            "npu-smi info shows the chips",
            error["remedy"],
        )


def _package(host: Host, part: str, found: str | None, wanted: str, allow_newer: bool) -> Iterator[Finding]:
    if found is None:
        if not host.npu["error"]:
            remedy = f"Look at the {part}'s version.info below Driver_Install_Path_Param of /etc/ascend_install.info; reinstall the {part} if it is lost."
            yield host.warn(
                f"{part}_version",
                f"a {part} whose package version cannot be read",
                f"{part} of Ascend HDK {wanted}",
                remedy,
            )
        return
    order = compare(found, wanted)
    if order == 0:
        return
    severity = WARN if order == 1 and allow_newer else FAIL
    accept = " Or accept newer ones: preflight_allow_newer: true." if order == 1 and not allow_newer else ""
    remedy = f"Install driver and firmware of Ascend HDK {wanted} and reboot.{accept} Or, if you mean to run {found}, set vllm_npu_{part}_version."
    comparison = {-1: ", which is older", 1: ", which is newer"}.get(order or 0, "")
    yield Finding(
        f"{part}_version", severity, host.name, f"{part} {found}{comparison}", f"{part} {wanted}", remedy
    )


def _pending_reboot(host: Host) -> Iterator[Finding]:
    npu = host.npu
    for part, runs, installed in (
        ("driver", npu["driver_version"], npu["package_version"]),
        ("firmware", npu["firmware_version"], npu["firmware_installed_version"]),
    ):
        if runs and installed and compare(runs, installed) != 0:
            yield host.fail(
                "reboot",
                f"{part} {runs} runs, {part} {installed} is installed",
                f"the installed {part} runs",
                "Reboot the host.",
            )


def _incompatible(host: Host) -> Iterator[Finding]:
    said = host.npu["compatibility"]
    if said not in (None, "OK"):
        found = f"npu-smi says of driver and firmware: compatibility {said}"
        yield host.fail(
            "compatibility",
            found,
            "OK",
            "Install driver and firmware of the same Ascend HDK package and reboot.",
        )


def _chip_count(host: Host) -> Iterator[Finding]:
    there = {chip["device"] for chip in host.chips}
    missing = [number for number in host.plan["npu"]["ids"] if number not in there]
    if missing and not host.npu["error"]:
        found = f"{len(there)} of {host.plan['npu']['count']} chips; not there: {_numbers(missing)}"
        remedy = (
            "Look for the card on the PCI bus (lspci -d 19e5:) and in dmesg; power-cycle the host; reseat or replace the card. "
            "Or name the chips to use: vllm_npu_ids."
        )
        yield host.fail(
            "chip_count",
            found,
            f"{host.plan['npu']['count']} chips: {_numbers(host.plan['npu']['ids'])}",
            remedy,
        )


def _chip_name(host: Host) -> Iterator[Finding]:
    wanted = host.plan["npu"]["name"]
    other = {chip["device"]: chip["name"] or "no name" for chip in host.chips if chip["name"] != wanted}
    if other:
        yield host.fail(
            "chip_name",
            _by_value(other, "chip"),
            wanted,
            "Use hosts with these cards; or, if the model fits these, set vllm_npu_name.",
        )


def _chip_health(host: Host) -> Iterator[Finding]:
    sick = {chip["device"]: chip for chip in host.chips if chip["health"] != "OK"}
    for severity, chips in (
        (FAIL, {number: _illness(chip) for number, chip in sick.items() if chip["health"] != "Warning"}),
        (WARN, {number: _illness(chip) for number, chip in sick.items() if chip["health"] == "Warning"}),
    ):
        if chips:
            remedy = "Look up the error code in the Ascend HDK's list of them; reset the chip (npu-smi set -t reset -i N -c 0) or power-cycle the host."
            yield Finding("chip_health", severity, host.name, _by_value(chips, "chip"), "OK", remedy)


def _illness(chip: Mapping[str, Any]) -> str:
    code = f", error {chip['error_code']}" if chip["error_code"] else ""
    return f"{chip['health'] or 'unknown health'}{code}" + (
        f": {chip['error_text']}" if chip["error_text"] else ""
    )


def _hbm(host: Host) -> Iterator[Finding]:
    wanted = host.plan["npu"]["hbm_mb"]
    sizes = {chip["device"]: chip["hbm_total_mb"] for chip in host.chips}
    short = {number: f"{size} MB" for number, size in sizes.items() if size is not None and size < wanted}
    unknown = [number for number, size in sizes.items() if size is None]
    remedy = "Use hosts whose cards have that much. Or, if the model fits into less, set vllm_npu_hbm_mb."
    if short:
        yield host.fail("hbm", f"HBM of {_by_value(short, 'chip')}", f"{wanted} MB", remedy)
    if unknown:
        yield host.warn("hbm", f"HBM of unknown size (chip {_numbers(unknown)})", f"{wanted} MB", remedy)


def _busy(host: Host) -> Iterator[Finding]:
    busy = {}
    for chip in host.chips:
        foreign = [process for process in chip["processes"] or [] if not _is_own(host, process)]
        if foreign:
            busy[chip["device"]] = ", ".join(map(_process, foreign))
        elif not chip["processes"] and not host.runs_service and (chip["hbm_used_mb"] or 0) > IDLE_HBM_MB:
            busy[chip["device"]] = (
                f"{chip['hbm_used_mb']} MB of HBM held by a process that npu-smi does not show"
            )
    if busy:
        remedy = "Stop what holds the cards (docker ps, ps -fp PID), also in other containers or virtual machines; or choose other chips: vllm_npu_ids."
        yield host.fail(
            "chips_busy", _by_value(busy, "chip"), "chips that nothing but this service uses", remedy
        )


def _is_own(host: Host, process: Mapping[str, Any]) -> bool:
    """While the service runs, a process that no other container owns counts as its own: not every driver shows PIDs as the host counts them."""
    return host.is_service(process["container"]) or (host.runs_service and process["container"] is None)


def _process(process: Mapping[str, Any]) -> str:
    name = f" {process['name']}" if process["name"] else ""
    container = f", container {process['container'][:12]}" if process["container"] else ""
    return f"process {process['pid']}{name} ({_megabytes(process['memory_mb'])}{container})"


# The host


def _devices(host: Host) -> Iterator[Finding]:
    kinds = {path: host.facts["paths"].get(path) for path in host.plan["container"]["devices"]}
    missing = [path for path, kind in kinds.items() if kind is None]
    others = [f"{path} is a {kind}" for path, kind in kinds.items() if kind not in (None, "char")]
    if missing or others:
        found = "; ".join(([f"missing: {', '.join(missing)}"] if missing else []) + others)
        remedy = "See whether the driver is loaded (lsmod | grep drv, dmesg) and reboot. A virtual machine has only the chips passed to it: vllm_npu_ids."
        yield host.fail("devices", found, "each device of the container is a device node of the host", remedy)


def _mounts(host: Host) -> Iterator[Finding]:
    model_dir = host.plan["model"]["dir"] + "/"
    sources = {
        mount["source"]: host.facts["paths"].get(mount["source"])
        for mount in host.plan["container"]["mounts"]
    }
    # A folder that will hold the model may be missing: the stage weights makes it.
    missing = [
        path
        for path, kind in sources.items()
        if kind is None and not model_dir.startswith(path.rstrip("/") + "/")
    ]
    if missing:
        remedy = "Install what they belong to (most are the driver's), or name the places where they are: vllm_container_mounts, vllm_container_extra_mounts."
        yield host.fail(
            "mounts",
            f"missing: {', '.join(missing)}",
            "each mount of the container has its source on the host",
            remedy,
        )
    folders = [
        path for path, kind in sources.items() if kind == "dir" and path.rsplit("/", 1)[-1] in FILE_MOUNTS
    ]
    if folders:
        remedy = f"Docker made them for mounts without a source: rmdir {' '.join(folders)}, and name the places where the files are: vllm_container_mounts."
        yield host.fail("mounts", f"folders: {', '.join(folders)}", "files", remedy)


def _service_address(host: Host) -> Iterator[Finding]:
    address, given, carrier = host.plan["service_ip"], host.plan["service_nic"], host.facts["service_nic"]
    nics = [nic for nic in host.facts["interfaces"] if nic["addresses"] and nic["name"] != "lo"]
    if carrier is None:
        found = f"{address} on no NIC; there are " + ", ".join(
            f"{nic['name']} {' '.join(nic['addresses'])}" for nic in nics
        )
        remedy = "Set vllm_service_ip of this host to its address in the service network, or give the NIC that address."
        yield host.fail("service_ip", found, "a NIC of the host carries vllm_service_ip", remedy)
    elif given and nic_of(address, [nic for nic in nics if nic["name"] == given]) is None:
        remedy = f"Set vllm_service_nic of this host to {carrier}, or leave it out: it is then found."
        yield host.fail(
            "service_nic",
            f"{address} is on {carrier}, vllm_service_nic is {given}",
            f"vllm_service_nic carries {address}",
            remedy,
        )


def _ports_taken(host: Host) -> Iterator[Finding]:
    settings = {str(host.plan[key]): f"vllm_{key}" for key in PORTS}
    for port, state in host.facts["ports"].items():
        ended = (
            state["pid"] is None and host.runs_service
        )  # the service's process, between the two looks at it
        ours = state["process"] == LISTENER or host.is_service(state["container"])
        if state["listening"] and not ended and not ours:
            owner = (
                f"process {state['pid']} ({state['process']})"
                if state["pid"]
                else "a process that cannot be seen"
            )
            container = (host.facts["containers"] or {}).get(state["container"], state["container"])
            found = f"port {port} is taken by {owner}" + (f" of container {container}" if container else "")
            yield host.fail(
                "port",
                found,
                "a free port",
                f"Stop it, or choose another port for all hosts: {settings[port]}.",
            )


def _docker(host: Host) -> Iterator[Finding]:
    daemon = host.facts["docker"]
    if daemon is None:
        remedy = "Install Docker, start it (systemctl enable --now docker), and see that `docker ps` works as the user that Ansible becomes."
        yield host.fail(
            "docker", "no Docker daemon answers on /var/run/docker.sock", "a running Docker daemon", remedy
        )
    elif compare(re.split(r"[^\d.]", daemon["version"])[0], DOCKER_OLDEST) == -1:  # 18.06.3-ce
        yield host.warn(
            "docker",
            f"Docker {daemon['version']}",
            f"Docker {DOCKER_OLDEST} or newer",
            "Upgrade Docker on the host.",
        )


def _disk(host: Host) -> Iterator[Finding]:
    """Image and weights may share a file system, and then need room for both."""
    daemon, model = host.facts["docker"], host.plan["model"]
    weights = host.facts["disks"][model["dir"]]
    needs = {}  # type: dict[str, dict[str, int]]
    left = {weights["mount"]: weights["free_bytes"]}
    if weights["used_bytes"] < model["size_gb"] * GB:
        needs[weights["mount"]] = {
            f"the rest of the weights in {model['dir']}": model["size_gb"] * GB - weights["used_bytes"]
        }
    if daemon and daemon["image_id"] is None:
        left[daemon["disk"]["mount"]] = daemon["disk"]["free_bytes"]
        needs.setdefault(daemon["disk"]["mount"], {})["the image"] = host.plan["image_size_gb"] * GB
    for mount, parts in needs.items():
        if sum(parts.values()) > left[mount]:
            wanted = " and ".join(f"{_gigabytes(size)} for {part}" for part, size in parts.items())
            remedy = "Make room, or use another disk: vllm_model_dir for the weights, data-root in /etc/docker/daemon.json for the image."
            yield host.fail("disk", f"{_gigabytes(left[mount])} free on {mount}", wanted, remedy)


def _memory(host: Host) -> Iterator[Finding]:
    size = host.facts["memory_total_mb"]
    if size is not None and size << 20 < host.plan["host_memory_gb"] * GB:
        remedy = "Use hosts with that much. Or, if the engines fit into less, set vllm_host_memory_gb."
        yield host.warn(
            "host_memory", f"{_gigabytes(size << 20)} of memory", f"{host.plan['host_memory_gb']} GB", remedy
        )


def _image_versions(host: Host) -> Iterator[Finding]:
    wanted = host.plan["image_versions"]
    other = differences(host.image_content, wanted) if host.image_content is not None else {}
    if other:
        found = (
            f"{host.plan['image']} holds {', '.join(f'{name} {version}' for name, version in other.items())}"
        )
        remedy = "Give the image with these versions: vllm_image. Or, if you mean to serve with the other ones, set them in vllm_image_versions."
        yield host.fail(
            "image_versions", found, ", ".join(f"{name} {wanted[name]}" for name in other), remedy
        )


def _loopback(host: Host) -> Iterator[Finding]:
    loopback = [
        text
        for text in host.facts["hostname_addresses"] or []
        if ipaddress.ip_address(text.partition("%")[0]).is_loopback
    ]
    if loopback and len(host.plan["hosts"]) > 1:
        found = f"the host's own name {host.facts['hostname']} resolves to {', '.join(loopback)}"
        remedy = f"Write {host.plan['service_ip']} in the place of the loopback address into /etc/hosts."
        yield host.warn("hostname", found, "an address that the other hosts can reach", remedy)


def _weights(host: Host) -> Iterator[Finding]:
    """The stage weights has judged them already."""
    if host.weights_error:
        parts = WEIGHTS_ERROR.search(host.weights_error)
        found, wanted, remedy = (
            parts.groups()
            if parts
            else (host.weights_error, "weights that are there or can be had", "See the stage weights above.")
        )
        yield host.fail("weights", found, wanted, remedy)


# The RoCE ports


def _no_hccn_tool(host: Host) -> Iterator[Finding]:
    if len(host.plan["hosts"]) > 1 and host.npu["fabric"] is None and not host.npu["error"]:
        remedy = "Reinstall the driver, which brings hccn_tool (driver/tools/hccn_tool)."
        yield host.warn(
            "roce", "no hccn_tool, so nothing is known of the RoCE ports", "hccn_tool of the driver", remedy
        )


def _links(host: Host) -> Iterator[Finding]:
    down = {port["device"]: port["link"] or "no answer" for port in host.ports if port["link"] != "UP"}
    if down:
        remedy = "Look at cable, optics and switch port (hccn_tool -i N -link_stat -g, hccn_tool -i N -optical -g)."
        yield host.fail("roce_link", f"link {_by_value(down, 'port')}", "UP", remedy)


def _net_health(host: Host) -> Iterator[Finding]:
    sick = {
        port["device"]: port["net_health"] or "no answer"
        for port in host.ports
        if port["link"] == "UP" and port["net_health"] != "Success"
    }
    for severity, ports in (
        (FAIL, {number: text for number, text in sick.items() if text != "Init"}),
        (WARN, {number: text for number, text in sick.items() if text == "Init"}),
    ):
        if ports:
            remedy = "See why the port does not reach the address it watches (hccn_tool -i N -netdetect -g, then -ping -g address IP): VLAN, gateway, switch."
            yield Finding(
                "roce_net_health",
                severity,
                host.name,
                f"net health {_by_value(ports, 'port')}",
                "Success",
                remedy,
            )


def _no_address(host: Host) -> Iterator[Finding]:
    without = [port["device"] for port in host.ports if port["ip"] is None and port["link"] is not None]
    if without:
        remedy = "Give each port an address of its own: hccn_tool -i N -ip -s address IP netmask MASK, kept over a reboot in /etc/hccn.conf."
        yield host.fail(
            "roce_ip", f"no address on port {_numbers(without)}", "an address on each RoCE port", remedy
        )


def _no_switch(host: Host) -> Iterator[Finding]:
    without = [port["device"] for port in host.ports if port["link"] == "UP" and port["lldp_port"] is None]
    if without and ["--enable-expert-parallel"] in host.plan["serve"]["args"]:
        wanted = "a switch between the hosts: over direct cables, expert parallelism fails (HcclAllocComResourceByTiling)"
        remedy = (
            "Connect the ports through a RoCE switch; if there is one, turn LLDP on in it to see it here. "
            "With direct cables leave expert parallelism out: vllm_serve_args: {enable-expert-parallel: false}."
        )
        yield host.warn("roce_switch", f"no switch is seen behind port {_numbers(without)}", wanted, remedy)


def _pings(host: Host) -> Iterator[Finding]:
    lost = [
        ping
        for ping in (host.peers or {"pings": []})["pings"]
        if ping["received"] != ping["sent"] or ping["received"] is None
    ]
    for severity, pings in (
        (FAIL, [ping for ping in lost if not ping["received"]]),
        (WARN, [ping for ping in lost if ping["received"]]),
    ):
        if pings:
            found = "; ".join(
                f"port {ping['device']} to {ping['host']}'s port {ping['peer']} ({ping['address']}): {_answer(ping)}"
                for ping in pings
            )
            remedy = (
                "Ping by hand (hccn_tool -i N -ping -g address IP) and look at both ports: link, netmask and gateway, "
                "VLAN and MTU of the switch's ports, link_stat."
            )
            yield Finding("roce_ping", severity, host.name, found, "every packet comes back", remedy)


def _answer(ping: Mapping[str, Any]) -> str:
    return (
        f"no answer: {ping['text'] or 'nothing'}"
        if ping["received"] is None
        else f"{ping['received']} of {ping['sent']} packets came back"
    )


# All hosts together


def _unreached(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Tell it of the host that cannot be called: what drops calls stands before that one, as a rule."""
    for host in hosts:
        if host.listener and host.listener["error"] and host.facts["service_nic"]:
            remedy = "See what holds the address or forbids it to root (ip addr, getenforce)."
            yield host.fail(
                "tcp", host.listener["error"], f"the host can listen on {host.plan['service_ip']}", remedy
            )
        errors = []
        for caller in hosts:
            calls = [
                call
                for call in (caller.peers or {"calls": []})["calls"]
                if call["host"] == host.name and call["error"]
            ]
            if calls and caller.facts["service_nic"]:
                errors.append(
                    f"{caller.name}: {_by_value({call['port']: call['error'] for call in calls}, 'port')}"
                )
        if errors:
            remedy = (
                f"Let the hosts of the service reach all TCP ports of {host.plan['service_ip']}: firewall of the host (firewall-cmd --list-all, "
                "nft list ruleset, iptables -nL), security groups and routes between them. vLLM, HCCL and Gloo take ports as they come."
            )
            wanted = f"TCP from all hosts of the service to {host.plan['service_ip']}"
            yield host.fail("tcp", f"no connection from {'; from '.join(errors)}", wanted, remedy)


def _duplicate_addresses(hosts: Sequence[Host]) -> Iterator[Finding]:
    owners = {}  # type: dict[str, str]
    for host in hosts:
        again = {}
        for port in host.ports:
            if port["ip"] in owners:
                again[port["device"]] = f"{port['ip']}, which is {owners[port['ip']]}'s too"
            elif port["ip"]:
                owners[port["ip"]] = f"host {host.name} port {port['device']}"
        if again:
            remedy = "Give each port an address of its own: hccn_tool -i N -ip -s address IP netmask MASK, and the same in /etc/hccn.conf."
            yield host.fail(
                "roce_duplicate", _by_value(again, "port"), "one address a port over all hosts", remedy
            )


def _different_netmasks(hosts: Sequence[Host]) -> Iterator[Finding]:
    masks = [port["netmask"] for host in hosts for port in host.ports if port["netmask"]]
    usual = max(masks, key=masks.count, default=None)
    for host in hosts:
        other = {
            port["device"]: port["netmask"] for port in host.ports if port["netmask"] not in (None, usual)
        }
        if other:
            remedy = "Correct it, if no router is meant to connect them: hccn_tool -i N -ip -s address IP netmask MASK, and the same in /etc/hccn.conf."
            yield host.warn(
                "roce_netmask",
                f"netmask {_by_value(other, 'port')}",
                f"{usual}, as on the other ports",
                remedy,
            )


def _different_tls(hosts: Sequence[Host]) -> Iterator[Finding]:
    if len({port["tls"] for host in hosts for port in host.ports} - {None}) < 2:
        return
    for host in hosts:
        on = [port["device"] for port in host.ports if port["tls"]]
        if on:
            remedy = (
                "Turn it off on each of them: preflight_roce_tls_off: true does so on all hosts, hccn_tool -i N -tls -s enable 0 on one port. "
                "Or turn it on on all ports of all hosts."
            )
            yield host.fail(
                "roce_tls",
                f"TLS is on for port {_numbers(on)} and off for others",
                "TLS is the same on all ports of all hosts",
                remedy,
            )


def _different_clocks(hosts: Sequence[Host]) -> Iterator[Finding]:
    for host in hosts[1:]:
        seconds = host.facts["epoch"] - hosts[0].facts["epoch"]
        if abs(seconds) > CLOCK_SECONDS:
            found = f"a clock {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} that of {hosts[0].name}"
            yield host.warn(
                "clock",
                found,
                "one time on all hosts",
                "Let all hosts follow one time server (chronyc tracking, timedatectl).",
            )


def _different_systems(hosts: Sequence[Host]) -> Iterator[Finding]:
    systems = [
        f"{host.facts['os']}, kernel {host.facts['kernel']} ({host.facts['machine']})" for host in hosts
    ]
    usual = max(systems, key=systems.count)
    for host, system in zip(hosts, systems):
        if system != usual:
            remedy = "Bring the hosts to one system and kernel: the driver is built for each kernel, and halves that differ fail in ways of their own."
            yield host.warn("system", system, f"{usual}, as on the other hosts", remedy)


def _proxies(hosts: Sequence[Host]) -> Iterator[Finding]:
    addresses = [host.plan["service_ip"] for host in hosts]
    for host in hosts if len(hosts) > 1 else []:
        proxies = {key.lower(): value for key, value in host.facts["proxies"].items()}
        excepted = [entry.strip() for entry in proxies.pop("no_proxy", "").split(",")]
        caught = [address for address in addresses if not any(_covers(entry, address) for entry in excepted)]
        if proxies and caught:
            found = f"{', '.join(f'{key}={value}' for key, value in sorted(proxies.items()))}, also for {', '.join(caught)}"
            yield host.warn(
                "proxy",
                found,
                "no proxy between the hosts",
                f"Add {','.join(caught)} to no_proxy on the host (/etc/environment).",
            )


def _covers(entry: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return entry == "*"


# Words


def _join(texts: Iterable[str | None]) -> str:
    return " and ".join(sorted(text or "unknown" for text in texts))


def _megabytes(value: int | None) -> str:
    return "size unknown" if value is None else f"{value} MB"


def _gigabytes(size: int) -> str:
    return f"{size / GB:.1f} GB"


def _driver(host: Host) -> str | None:
    """Return the version of the driver's package. Unlike the firmware's it is the driver's own, so what runs will do where no file says it."""
    version = host.npu["package_version"] or host.npu["driver_version"]
    return None if version is None else str(version)


def _numbers(numbers: Iterable[int]) -> str:
    """Return 0-2, 5 for 0, 1, 2, 5."""
    runs = []  # type: list[list[int]]
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _by_value(values: Mapping[int, str], what: str) -> str:
    """Return "DOWN (port 1-2); no answer (port 7)" for {1: DOWN, 2: DOWN, 7: no answer}."""
    numbers = {}  # type: dict[str, list[int]]
    for number, value in values.items():
        numbers.setdefault(value, []).append(number)
    return "; ".join(f"{value} ({what} {_numbers(group)})" for value, group in numbers.items())
