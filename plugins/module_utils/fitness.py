# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge whether hosts are fit for a service, from what was found on them and what their plans want."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils.host import nic_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils.plan import PORTS

FAIL = "fail"
WARN = "warn"

IDLE_HBM_MB = 5120  # an idle 64 GB chip shows 3.2 to 3.4 GB in use
CLOCK_SECONDS = 30
# Mounts that are files. Docker makes an empty folder of a source that is not there, and that folder hides the lack from then on.
FILE_MOUNTS = ("npu-smi", "hccn_tool", "version.info", "ascend_install.info")


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
    """A host of the service: its inventory name and the facts ``npu``, ``vllm_host`` and ``vllm_plan``."""

    name: str
    npu: Mapping[str, Any]
    facts: Mapping[str, Any]
    plan: Mapping[str, Any]

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
        return [port for port in self.npu["fabric"] or [] if many and port["device"] in self.plan["npu"]["ids"]]

    @property
    def runs_service(self) -> bool:
        return self.plan["container"]["name"] in (self.facts["containers"] or {}).values()

    def is_service(self, container: str | None) -> bool:
        """Return whether the id *container* is that of the service's own container."""
        return container is not None and bool((self.facts["containers"] or {}).get(container) == self.plan["container"]["name"])


def judge(hosts: Sequence[Host], allow_newer: bool = False) -> list[Finding]:
    """Return all that is wrong with *hosts*, in their order; with *allow_newer*, newer packages than wanted only warn."""
    found = [finding for host in hosts for finding in _of_one(host, allow_newer)]
    found += [*_duplicate_addresses(hosts), *_different_netmasks(hosts), *_different_tls(hosts), *_different_clocks(hosts), *_proxies(hosts)]
    order = [host.name for host in hosts]
    return sorted(found, key=lambda finding: order.index(finding.host))


def describe(finding: Finding) -> str:
    """Return the finding as a paragraph for people."""
    return (
        f"Host {finding.host}, stage driver ({finding.id})\n"  #
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
    yield from _package(host, "firmware", host.npu["firmware_package_version"], host.plan["npu"]["firmware_version"], allow_newer)
    for check in (
        *(_pending_reboot, _incompatible, _chip_count, _chip_name, _chip_health, _hbm, _busy),
        *(_devices, _mounts, _service_address, _ports_taken, _docker, _loopback),
        *(_no_hccn_tool, _links, _net_health, _no_address),
    ):
        yield from check(host)


# Driver, firmware and chips


def _broken_driver(host: Host) -> Iterator[Finding]:
    error = host.npu["error"]
    if error:
        said = " / ".join(line.strip() for line in error["text"].splitlines() if line.strip())
        yield host.fail("driver", f"{error['cause']} The tool said: {said or 'nothing'}", "npu-smi info shows the chips", error["remedy"])


def _package(host: Host, part: str, found: str | None, wanted: str, allow_newer: bool) -> Iterator[Finding]:
    if found is None:
        if not host.npu["error"]:
            remedy = f"Look at the {part}'s version.info below Driver_Install_Path_Param of /etc/ascend_install.info; reinstall the {part} if it is lost."
            yield host.warn(f"{part}_version", f"a {part} whose package version cannot be read", f"{part} of Ascend HDK {wanted}", remedy)
        return
    order = _compare(found, wanted)
    if order == 0:
        return
    severity = WARN if order == 1 and allow_newer else FAIL
    accept = " Or accept newer ones: driver_allow_newer: true." if order == 1 and not allow_newer else ""
    remedy = f"Install driver and firmware of Ascend HDK {wanted} and reboot.{accept} Or, if you mean to run {found}, set vllm_npu_{part}_version."
    comparison = {-1: ", which is older", 1: ", which is newer"}.get(order or 0, "")
    yield Finding(f"{part}_version", severity, host.name, f"{part} {found}{comparison}", f"{part} {wanted}", remedy)


def _pending_reboot(host: Host) -> Iterator[Finding]:
    npu = host.npu
    for part, runs, installed in (
        ("driver", npu["driver_version"], npu["package_version"]),
        ("firmware", npu["firmware_version"], npu["firmware_installed_version"]),
    ):
        if runs and installed and _compare(runs, installed) != 0:
            yield host.fail("reboot", f"{part} {runs} runs, {part} {installed} is installed", f"the installed {part} runs", "Reboot the host.")


def _incompatible(host: Host) -> Iterator[Finding]:
    said = host.npu["compatibility"]
    if said not in (None, "OK"):
        found = f"npu-smi says of driver and firmware: compatibility {said}"
        yield host.fail("compatibility", found, "OK", "Install driver and firmware of the same Ascend HDK package and reboot.")


def _chip_count(host: Host) -> Iterator[Finding]:
    there = {chip["device"] for chip in host.chips}
    missing = [number for number in host.plan["npu"]["ids"] if number not in there]
    if missing and not host.npu["error"]:
        found = f"{len(there)} of {host.plan['npu']['count']} chips; not there: {_numbers(missing)}"
        remedy = (
            "Look for the card on the PCI bus (lspci -d 19e5:) and in dmesg; power-cycle the host; reseat or replace the card. "
            "Or name the chips to use: vllm_npu_ids."
        )
        yield host.fail("chip_count", found, f"{host.plan['npu']['count']} chips: {_numbers(host.plan['npu']['ids'])}", remedy)


def _chip_name(host: Host) -> Iterator[Finding]:
    wanted = host.plan["npu"]["name"]
    other = {chip["device"]: chip["name"] or "no name" for chip in host.chips if chip["name"] != wanted}
    if other:
        yield host.fail("chip_name", _by_value(other, "chip"), wanted, "Use hosts with these cards; or, if the model fits these, set vllm_npu_name.")


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
    return f"{chip['health'] or 'unknown health'}{code}" + (f": {chip['error_text']}" if chip["error_text"] else "")


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
            busy[chip["device"]] = f"{chip['hbm_used_mb']} MB of HBM held by a process that npu-smi does not show"
    if busy:
        remedy = "Stop what holds the cards (docker ps, ps -fp PID), also in other containers or virtual machines; or choose other chips: vllm_npu_ids."
        yield host.fail("chips_busy", _by_value(busy, "chip"), "chips that nothing but this service uses", remedy)


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
    sources = {mount["source"]: host.facts["paths"].get(mount["source"]) for mount in host.plan["container"]["mounts"]}
    # A folder that will hold the model may be missing: the stage weights makes it.
    missing = [path for path, kind in sources.items() if kind is None and not model_dir.startswith(path.rstrip("/") + "/")]
    if missing:
        remedy = "Install what they belong to (most are the driver's), or name the places where they are: vllm_container_mounts, vllm_container_extra_mounts."
        yield host.fail("mounts", f"missing: {', '.join(missing)}", "each mount of the container has its source on the host", remedy)
    folders = [path for path, kind in sources.items() if kind == "dir" and path.rsplit("/", 1)[-1] in FILE_MOUNTS]
    if folders:
        remedy = f"Docker made them for mounts without a source: rmdir {' '.join(folders)}, and name the places where the files are: vllm_container_mounts."
        yield host.fail("mounts", f"folders: {', '.join(folders)}", "files", remedy)


def _service_address(host: Host) -> Iterator[Finding]:
    address, given, carrier = host.plan["service_ip"], host.plan["service_nic"], host.facts["service_nic"]
    nics = [nic for nic in host.facts["interfaces"] if nic["addresses"] and nic["name"] != "lo"]
    if carrier is None:
        found = f"{address} on no NIC; there are " + ", ".join(f"{nic['name']} {' '.join(nic['addresses'])}" for nic in nics)
        remedy = "Set vllm_service_ip of this host to its address in the service network, or give the NIC that address."
        yield host.fail("service_ip", found, "a NIC of the host carries vllm_service_ip", remedy)
    elif given and nic_of(address, [nic for nic in nics if nic["name"] == given]) is None:
        remedy = f"Set vllm_service_nic of this host to {carrier}, or leave it out: it is then found."
        yield host.fail("service_nic", f"{address} is on {carrier}, vllm_service_nic is {given}", f"vllm_service_nic carries {address}", remedy)


def _ports_taken(host: Host) -> Iterator[Finding]:
    settings = {str(host.plan[key]): f"vllm_{key}" for key in PORTS}
    for port, state in host.facts["ports"].items():
        ended = state["pid"] is None and host.runs_service  # the service's process, between the two looks at it
        if state["listening"] and not ended and not host.is_service(state["container"]):
            owner = f"process {state['pid']} ({state['process']})" if state["pid"] else "a process that cannot be seen"
            container = (host.facts["containers"] or {}).get(state["container"], state["container"])
            found = f"port {port} is taken by {owner}" + (f" of container {container}" if container else "")
            yield host.fail("port", found, "a free port", f"Stop it, or choose another port for all hosts: {settings[port]}.")


def _docker(host: Host) -> Iterator[Finding]:
    if host.facts["containers"] is None:
        remedy = "Install Docker, start it (systemctl enable --now docker), and see that `docker ps` works as the user that Ansible becomes."
        yield host.fail("docker", "no Docker daemon answers on /var/run/docker.sock", "a running Docker daemon", remedy)


def _loopback(host: Host) -> Iterator[Finding]:
    loopback = [text for text in host.facts["hostname_addresses"] or [] if ipaddress.ip_address(text.partition("%")[0]).is_loopback]
    if loopback and len(host.plan["hosts"]) > 1:
        found = f"the host's own name {host.facts['hostname']} resolves to {', '.join(loopback)}"
        remedy = f"Write {host.plan['service_ip']} in the place of the loopback address into /etc/hosts."
        yield host.warn("hostname", found, "an address that the other hosts can reach", remedy)


# The RoCE ports


def _no_hccn_tool(host: Host) -> Iterator[Finding]:
    if len(host.plan["hosts"]) > 1 and host.npu["fabric"] is None and not host.npu["error"]:
        remedy = "Reinstall the driver, which brings hccn_tool (driver/tools/hccn_tool)."
        yield host.warn("roce", "no hccn_tool, so nothing is known of the RoCE ports", "hccn_tool of the driver", remedy)


def _links(host: Host) -> Iterator[Finding]:
    down = {port["device"]: port["link"] or "no answer" for port in host.ports if port["link"] != "UP"}
    if down:
        remedy = "Look at cable, optics and switch port (hccn_tool -i N -link_stat -g, hccn_tool -i N -optical -g)."
        yield host.fail("roce_link", f"link {_by_value(down, 'port')}", "UP", remedy)


def _net_health(host: Host) -> Iterator[Finding]:
    sick = {port["device"]: port["net_health"] or "no answer" for port in host.ports if port["link"] == "UP" and port["net_health"] != "Success"}
    for severity, ports in (
        (FAIL, {number: text for number, text in sick.items() if text != "Init"}),
        (WARN, {number: text for number, text in sick.items() if text == "Init"}),
    ):
        if ports:
            remedy = "See why the port does not reach the address it watches (hccn_tool -i N -netdetect -g, then -ping -g address IP): VLAN, gateway, switch."
            yield Finding("roce_net_health", severity, host.name, f"net health {_by_value(ports, 'port')}", "Success", remedy)


def _no_address(host: Host) -> Iterator[Finding]:
    without = [port["device"] for port in host.ports if port["ip"] is None and port["link"] is not None]
    if without:
        remedy = "Give each port an address of its own: hccn_tool -i N -ip -s address IP netmask MASK, kept over a reboot in /etc/hccn.conf."
        yield host.fail("roce_ip", f"no address on port {_numbers(without)}", "an address on each RoCE port", remedy)


# All hosts together


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
            yield host.fail("roce_duplicate", _by_value(again, "port"), "one address a port over all hosts", remedy)


def _different_netmasks(hosts: Sequence[Host]) -> Iterator[Finding]:
    masks = [port["netmask"] for host in hosts for port in host.ports if port["netmask"]]
    usual = max(masks, key=masks.count, default=None)
    for host in hosts:
        other = {port["device"]: port["netmask"] for port in host.ports if port["netmask"] not in (None, usual)}
        if other:
            remedy = "Correct it, if no router is meant to connect them: hccn_tool -i N -ip -s address IP netmask MASK, and the same in /etc/hccn.conf."
            yield host.warn("roce_netmask", f"netmask {_by_value(other, 'port')}", f"{usual}, as on the other ports", remedy)


def _different_tls(hosts: Sequence[Host]) -> Iterator[Finding]:
    if len({port["tls"] for host in hosts for port in host.ports} - {None}) < 2:
        return
    for host in hosts:
        on = [port["device"] for port in host.ports if port["tls"]]
        if on:
            remedy = "Turn it off on each of them: hccn_tool -i N -tls -s enable 0. Or turn it on on all ports of all hosts."
            yield host.fail("roce_tls", f"TLS is on for port {_numbers(on)} and off for others", "TLS is the same on all ports of all hosts", remedy)


def _different_clocks(hosts: Sequence[Host]) -> Iterator[Finding]:
    for host in hosts[1:]:
        seconds = host.facts["epoch"] - hosts[0].facts["epoch"]
        if abs(seconds) > CLOCK_SECONDS:
            found = f"a clock {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} that of {hosts[0].name}"
            yield host.warn("clock", found, "one time on all hosts", "Let all hosts follow one time server (chronyc tracking, timedatectl).")


def _proxies(hosts: Sequence[Host]) -> Iterator[Finding]:
    addresses = [host.plan["service_ip"] for host in hosts]
    for host in hosts if len(hosts) > 1 else []:
        proxies = {key.lower(): value for key, value in host.facts["proxies"].items()}
        excepted = [entry.strip() for entry in proxies.pop("no_proxy", "").split(",")]
        caught = [address for address in addresses if not any(_covers(entry, address) for entry in excepted)]
        if proxies and caught:
            found = f"{', '.join(f'{key}={value}' for key, value in sorted(proxies.items()))}, also for {', '.join(caught)}"
            yield host.warn("proxy", found, "no proxy between the hosts", f"Add {','.join(caught)} to no_proxy on the host (/etc/environment).")


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


def _compare(one: str, other: str) -> int | None:
    """Return -1, 0 or 1 as version *one* is older than, equal to or newer than *other*; None if that cannot be said."""
    if one.lower() == other.lower():
        return 0
    keys = [_version(one), _version(other)]
    if not all(keys):
        return None
    length = max(map(len, keys))
    first, second = (key + [(1, 0)] * (length - len(key)) for key in keys)
    return (first > second) - (first < second)


def _version(text: str) -> list[tuple[int, int]]:
    """Return a key by which 25.0.rc1 < 25.0.rc1.1 < 25.0 < 25.0.1; nothing for a version of another form."""
    parts = [re.fullmatch(r"(rc)?(\d{1,9})", part) for part in text.lower().split(".")]
    return [(0 if part.group(1) else 1, int(part.group(2))) for part in parts if part] if all(parts) else []
