# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the network between the hosts: their RoCE ports, and TCP."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.hccn_tool import OTHER_SYNTAX, UNSUPPORTED
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import words
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.registry import Checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

SET_ADDRESS = "hccn_tool -i N -ip -s address IP netmask MASK"
OWN_ADDRESS = f"Give each port its own address ({SET_ADDRESS}), also in /etc/hccn.conf"

checks = Checks()


@checks.on_each_host("fabric", "roce")
def _hccn_tool(host: Host) -> Iterator[Finding]:
    if host.has_peers and host.npu["fabric"] is None and not host.npu["error"]:
        yield host.warn(
            "roce",
            "no hccn_tool, so the RoCE ports were not checked",
            "hccn_tool of the driver",
            "Reinstall the driver, which contains hccn_tool (driver/tools/hccn_tool)",
        )
    yield from _hccs(host)
    if any(OTHER_SYNTAX in (port["message"] or "") for port in host.ports):
        yield host.warn(
            "roce",
            "hccn_tool has another syntax, that of Ascend 950, so the network between the chips was not checked",
            "network ports that can be checked",
            "Check them by hand: hccn_tool -g -dev_info -i N, hccn_tool -g -vnic -i N",
        )
    unasked = [port["device"] for port in host.ports if UNSUPPORTED in (port["message"] or "")]
    if unasked:
        yield host.warn(
            "roce",
            f"in this virtual machine hccn_tool refuses port {words.numbers(unasked)}: {UNSUPPORTED}",
            "RoCE ports that can be checked",
            "Check link and addresses of the ports on the virtualization host",
        )


def _hccs(host: Host) -> Iterator[Finding]:
    """Pings prove more than the state of RoCE links, which is wrong on some hosts. Where none comes back, over HCCS or
    RoCE, nothing joins the hosts.
    """
    pings, others = _hccs_pings(host), _pings(host)
    if not host.joined_by_hccs or _are_answered(pings) or _are_answered(others):
        return
    links = {port["device"]: port["vnic"] or "unknown" for port in host.all_ports}
    lost = "; ".join(_ping(ping) for ping in pings if ping["received"] != ping["sent"] or not ping["sent"])
    problem = Problem(
        f"no RoCE port is up and has an address. HCCS link: {words.by_value(links, 'chip')}"
        + (f"; {lost}" if lost else ""),
        "hosts that HCCS joins, or RoCE ports with addresses",
        "If these hosts are of one HCCS domain, check it with hccn_tool -i N -hccs_ping -g "
        f"address VNIC_IP. Otherwise connect the RoCE ports. {OWN_ADDRESS}",
    )
    lost_all = bool(pings) and all(ping["sent"] and ping["received"] == 0 for ping in pings)
    is_apart = lost_all and not any(ping["received"] for ping in others)
    yield Finding("roce", FAIL if is_apart else WARN, host.name, problem)


def _hccs_pings(host: Host) -> list[Mapping[str, Any]]:
    return [ping for ping in (host.peers["pings"] if host.peers else []) if ping.get("by_hccs")]


def _are_answered(pings: Sequence[Mapping[str, Any]]) -> bool:
    return bool(pings) and all(ping["sent"] and ping["received"] == ping["sent"] for ping in pings)


def _is_unsupported(port: Mapping[str, Any]) -> bool:
    return any(text in (port["message"] or "") for text in (UNSUPPORTED, OTHER_SYNTAX))


@checks.on_all_hosts("fabric", "roce_link")
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
                problem = Problem(f"link {words.by_value(some, 'port')}", "UP", remedy)
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


@checks.on_all_hosts("fabric", "roce_net_health")
def _roce_net_health(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Net health is about one watched address, often a gateway that answers no pings. Own pings prove more. A state
    that hccn_tool does not tell proves nothing.
    """
    answered = _answered(hosts)
    for host in hosts:
        up = [port for port in host.ports if port["link"] == "UP" and port["ip"] is not None]
        others = [port for port in up if port["net_health"] != "Success"]
        for severity in (FAIL, WARN):
            some = {
                port["device"]: port["net_health"] or "no answer"
                for port in others
                if (host.runs_service or answered.get((host.name, port["device"])) or _is_undecided(port))
                == (severity == WARN)
            }
            if some:
                remedy = (
                    "Find out why the port does not reach the address that it watches (hccn_tool -i N -netdetect "
                    "-g, then -ping -g address IP): VLAN, gateway, switch"
                )
                problem = Problem(f"net health {words.by_value(some, 'port')}", "Success", remedy)
                yield Finding("roce_net_health", severity, host.name, problem)


def _is_undecided(port: Mapping[str, Any]) -> bool:
    return port["net_health"] in (None, "Init", "Detect ip set", "Unknown")


@checks.on_each_host("fabric", "roce_ip")
def _roce_ip(host: Host) -> Iterator[Finding]:
    """A port whose net health is Success has an address, whether or not hccn_tool shows it."""
    without = [port for port in host.ports if port["ip"] is None and port["link"] is not None]
    for severity in (FAIL, WARN):
        some = [port["device"] for port in without if (port["net_health"] == "Success") == (severity == WARN)]
        if some:
            problem = Problem(
                f"no address on port {words.numbers(some)}", "an address on each RoCE port", OWN_ADDRESS
            )
            yield Finding("roce_ip", severity, host.name, problem)


@checks.on_each_host("fabric", "roce_config")
def _roce_config(host: Host) -> Iterator[Finding]:
    """A host without any address in the file gets them in another way."""
    ports = [port for port in host.ports if port["ip"] is not None]
    if not any(port["configured"]["ip"] for port in ports):
        return
    others = {port["device"]: text for port in ports for text in [_configured_otherwise(port)] if text}
    if others:
        yield host.warn(
            "roce_config",
            f"/etc/hccn.conf has {words.by_value(others, 'port')}",
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


@checks.on_all_hosts("fabric", "roce_duplicate")
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
            yield host.fail("roce_duplicate", words.by_value(duplicates, "port"), expected, OWN_ADDRESS)


@checks.on_all_hosts("fabric", "roce_netmask")
def _roce_netmasks(hosts: Sequence[Host]) -> Iterator[Finding]:
    masks = [port["netmask"] for host in hosts for port in host.ports if port["netmask"]]
    usual = max(masks, key=masks.count, default=None)
    for host in hosts:
        other_ports = [port for port in host.ports if port["netmask"] not in (None, usual)]
        others = {port["device"]: port["netmask"] for port in other_ports}
        if others:
            yield host.warn(
                "roce_netmask",
                f"netmask {words.by_value(others, 'port')}",
                f"{usual}, as on the other ports",
                f"Correct it, unless a router connects the networks ({SET_ADDRESS}), also in /etc/hccn.conf",
            )


@checks.on_all_hosts("fabric", "roce_tls")
def _roce_tls(hosts: Sequence[Host]) -> Iterator[Finding]:
    if len({port["tls"] for host in hosts for port in host.ports} - {None}) < 2:
        return
    for host in hosts:
        on = [port["device"] for port in host.ports if port["tls"]]
        if on:
            yield host.fail(
                "roce_tls",
                f"TLS is on for port {words.numbers(on)} and off for others",
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


@checks.on_each_host("fabric", "roce_switch")
def _roce_switch(host: Host) -> Iterator[Finding]:
    if _reaches_others(host):
        return
    without = [port["device"] for port in host.ports if port["link"] == "UP" and port["lldp_port"] is None]
    if without and ["--enable-expert-parallel"] in host.plan["serve"]["args"]:
        yield host.warn(
            "roce_switch",
            f"no switch is visible behind port {words.numbers(without)}",
            "a switch between the hosts: over direct cables, expert parallelism fails "
            "(HcclAllocComResourceByTiling)",
            "Connect the ports through a RoCE switch. If there is one, turn on LLDP in it to make it "
            "visible. With direct cables, turn off expert parallelism: "
            "vllm_serve_args: {enable-expert-parallel: false}",
        )


@checks.on_all_hosts("fabric", "roce_ping")
def _roce_pings(hosts: Sequence[Host]) -> Iterator[Finding]:
    """Lost packets of a port that is down are part of its other finding."""
    down = {
        (host.name, port["device"]) for host in hosts for port in host.all_ports if port["link"] == "DOWN"
    }
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


@checks.on_all_hosts("peers", "tcp")
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
        if failures and host.listener_outlasted is False:
            yield host.warn(
                "tcp",
                f"no connection from {'; from '.join(failures)}, because the process that listens for the test had ended",
                "a process that listens until all hosts have called",
                "Run preflight.yml again when hosts and controller are less busy, or with more forks. Whether a "
                "firewall drops the connections is not tested",
            )
        elif failures:
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
        yield f"{caller.name}: {words.by_value(errors, 'port')}"
