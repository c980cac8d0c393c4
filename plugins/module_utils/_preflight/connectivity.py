# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which host of a service calls and pings which, so that together they try every way between them."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.checks import Host

QUICK = "quick"
FULL = "full"
PING_SECONDS = 5  # of one ping of three packets, with room for a slow tool


def orders(name: str, hosts: Sequence[Host], pings: str) -> dict[str, Any]:
    """Return what ascend_ops.vllm.peer_probe has to do on the host *name* of *hosts*.

    Every host calls all ports where another listens. QUICK pings go from each chip to the one in its place on the next host, in a
    circle, and a ping tries both directions; FULL ones from each chip to every chip of every other host.
    """
    own = next(host for host in hosts if host.name == name)
    others = [host for host in hosts if host is not own]
    sent = list(_to_next(own, hosts) if pings == QUICK else _to_all(own, others)) if others else []
    chain = max(
        (sum(ping["device"] == device for ping in sent) for device in {ping["device"] for ping in sent}),
        default=0,
    )
    return {
        "address": own.plan["service_ip"],
        "calls": [
            {"host": other.name, "address": other.listener["address"], "port": port}
            for other in others
            if other.listener
            for port in other.listener["ports"]
        ],
        "pings": sent,
        "ping_seconds": PING_SECONDS * (chain + 1),
        "hccn_tool_path": own.npu["hccn_tool_path"],
    }


def _to_next(own: Host, hosts: Sequence[Host]) -> Iterator[dict[str, Any]]:
    other = hosts[(hosts.index(own) + 1) % len(hosts)]
    for port, target in zip(own.ports, other.ports):
        if _is_usable(port) and _is_usable(target):
            yield _ping(port, other, target)


def _to_all(own: Host, others: Sequence[Host]) -> Iterator[dict[str, Any]]:
    for port in filter(_is_usable, own.ports):
        for other in others:
            for target in filter(_is_usable, other.ports):
                yield _ping(port, other, target)


def _is_usable(port: Mapping[str, Any]) -> bool:
    """Return whether a ping can tell something new of a port: one that is down or has no address is a finding already."""
    return port["link"] == "UP" and port["ip"] is not None


def _ping(port: Mapping[str, Any], other: Host, target: Mapping[str, Any]) -> dict[str, Any]:
    return {"device": port["device"], "host": other.name, "peer": target["device"], "address": target["ip"]}
