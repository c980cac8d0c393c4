# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assign to each host of a service the calls and pings that together try every way between the hosts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host

QUICK = "quick"
FULL = "full"
PING_SECONDS = 5  # of one ping with three packets, with room for a slow tool
# The first bytes of a peer_probe. A vLLM worker that looks for its head calls the same ports again and again.
GREETING = b"ascend_ops.vllm calls\n"
LISTENER = "ascend-listener"  # peer_listener's process as ps shows it; the kernel keeps 15 characters


def assignments(name: str, hosts: Sequence[Host], pings: str) -> dict[str, Any]:
    """Return the arguments of ascend_ops.vllm.peer_probe on the host *name* of *hosts*.

    Every host calls all ports on which another one listens. QUICK pings go from each chip to its counterpart
    on the next host, in a circle, and try both directions. FULL pings go from each chip to every chip of all
    other hosts. They go over RoCE, and over HCCS if that may join both hosts.
    """
    own = next(host for host in hosts if host.name == name)
    others = [host for host in hosts if host is not own]
    sent = list(_to_next(own, hosts) if pings == QUICK else _to_all(own, others)) if others else []
    longest = max(Counter(ping["device"] for ping in sent).values(), default=0)
    return {
        "address": own.plan["service_ip"],
        "calls": [call for other in others for call in _calls(other)],
        "pings": sent,
        "seconds": PING_SECONDS * (longest + 1),
        "tool": own.npu["hccn_tool_path"],
    }


def _calls(other: Host) -> Iterator[dict[str, Any]]:
    listener = other.listener or {"address": "", "ports": []}
    for port in listener["ports"]:
        yield {"host": other.name, "address": listener["address"], "port": port}


def _to_next(own: Host, hosts: Sequence[Host]) -> Iterator[dict[str, Any]]:
    other = hosts[(hosts.index(own) + 1) % len(hosts)]
    if _use_hccs(own, other):
        pairs = zip(own.all_ports, other.all_ports)
        yield from (_over_hccs(port, other, target) for port, target in pairs if target["vnic_ip"])
    for port, target in zip(own.all_ports, other.all_ports):
        if _is_usable(port) and _is_usable(target):
            yield _ping(port, other, target)
    # Behind a switch a port also reaches others than its counterpart. LLDP may be off, so that only this shows it.
    first = next((port for port in own.ports if _is_usable(port) and port["lldp_port"] is None), None)
    for target in [port for port in other.ports if first and port["device"] != first["device"]][:1]:
        if first and _is_usable(target):
            yield {**_ping(first, other, target), "crosses": True}


def _to_all(own: Host, others: Sequence[Host]) -> Iterator[dict[str, Any]]:
    for other in others:
        if _use_hccs(own, other):
            targets = [target for target in other.all_ports if target["vnic_ip"]]
            yield from (_over_hccs(port, other, target) for port in own.all_ports for target in targets)
    for port in filter(_is_usable, own.all_ports):
        for other in others:
            for target in filter(_is_usable, other.all_ports):
                yield _ping(port, other, target)


def _use_hccs(own: Host, other: Host) -> bool:
    return own.joined_by_hccs and other.joined_by_hccs


def _over_hccs(port: Mapping[str, Any], other: Host, target: Mapping[str, Any]) -> dict[str, Any]:
    return {**_ping(port, other, target), "address": target["vnic_ip"], "by_hccs": True}


def _is_usable(port: Mapping[str, Any]) -> bool:
    """Return whether a ping is possible. The state of the link does not matter: it is wrong on some hosts."""
    return port["ip"] is not None


def _ping(port: Mapping[str, Any], other: Host, target: Mapping[str, Any]) -> dict[str, Any]:
    return {"device": port["device"], "host": other.name, "peer": target["device"], "address": target["ip"]}
