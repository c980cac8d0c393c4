"""The lab's network: a bridge in a network namespace of its own, with one link to the controller and one to each node.

The bridge is not in the machine's own namespace because the machine's firewall (Docker sets FORWARD to DROP) would then filter it.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from settings import Settings
from system import LabError, run

SWITCH = "ascend-lab-switch"
CONTROLLER_LINK = "ascendlab"
_BRIDGE = "bridge"
_UPLINK = "controller"


def namespace(node: str) -> str:
    return f"ascend-lab-{node}"


def ensure_switch(settings: Settings) -> None:
    """The bridge and the controller's address on it are there."""
    _check_free(settings.network)
    _ensure_namespace(SWITCH)
    if _BRIDGE not in _links(SWITCH):
        _ip(SWITCH, "link", "add", _BRIDGE, "type", "bridge")
    if CONTROLLER_LINK not in _links():
        _ip(None, "link", "add", CONTROLLER_LINK, "type", "veth", "peer", "name", _UPLINK, "netns", SWITCH)
    _ip(SWITCH, "link", "set", _BRIDGE, "up")
    _ip(SWITCH, "link", "set", _UPLINK, "master", _BRIDGE, "up")
    _ip(None, "address", "replace", f"{settings.controller}/24", "dev", CONTROLLER_LINK)
    _ip(None, "link", "set", CONTROLLER_LINK, "up")
    # The nodes have a default route, as hosts do; this machine does not carry them any further.
    Path(f"/proc/sys/net/ipv4/conf/{CONTROLLER_LINK}/forwarding").write_text("0", encoding="ascii")


def ensure_node(settings: Settings, node: str, address: str) -> None:
    """The node's namespace is there, with its address and a connected link."""
    own = namespace(node)
    _ensure_namespace(own)
    if node not in _links(SWITCH):
        peer = ["name", "eth0", "address", _hardware_address(address), "netns", own]
        _ip(None, "link", "add", node, "netns", SWITCH, "type", "veth", "peer", *peer)
    _ip(SWITCH, "link", "set", node, "master", _BRIDGE, "up")
    _ip(own, "address", "replace", f"{address}/24", "dev", "eth0")
    _ip(own, "link", "set", "eth0", "up")
    _ip(own, "route", "replace", "default", "via", settings.controller)


def set_link(node: str, state: str) -> None:
    """Plug or pull the node's cable."""
    _ip(SWITCH, "link", "set", node, state)


def link_state(node: str) -> str:
    return "up" if "UP" in _links(SWITCH).get(node, {}).get("flags", ()) else "down"


def remove_node(node: str) -> None:
    # The link goes first: the kernel removes a dead namespace's links some time later, and until then the name is taken.
    if exists(SWITCH) and node in _links(SWITCH):
        _ip(SWITCH, "link", "delete", node)
    _remove_namespace(namespace(node))


def remove_switch() -> None:
    if CONTROLLER_LINK in _links():
        _ip(None, "link", "delete", CONTROLLER_LINK)
    _remove_namespace(SWITCH)


def exists(name: str) -> bool:
    return Path("/run/netns", name).exists()


def overlapping(network: ipaddress.IPv4Network, routes: list[dict]) -> list[str]:
    """The devices and networks of `ip -json route` entries that the network would collide with; default routes do not count."""
    found = []
    for route in routes:
        destination = route["dst"]
        if destination == "default":
            continue
        taken = ipaddress.IPv4Network(destination, strict=False)
        if taken.prefixlen >= 8 and taken.overlaps(network) and route.get("dev") != CONTROLLER_LINK:
            found.append(f"{destination} on {route.get('dev', 'no device')}")
    return found


def _check_free(network: ipaddress.IPv4Network) -> None:
    for address in _links().get(CONTROLLER_LINK, {}).get("addr_info", ()):
        if address["family"] == "inet" and ipaddress.ip_address(address["local"]) not in network:
            raise LabError(
                f"the lab is up on {address['local']}/24, expected {network}: run `lab down` first, or set ASCEND_LAB_NET as it was"
            )
    taken = overlapping(
        network, json.loads(_ip(None, "-4", "-json", "route", "show", "table", "all", "type", "unicast"))
    )
    if taken:
        raise LabError(
            f"the network {network} is in use on this machine ({', '.join(taken)}): set ASCEND_LAB_NET to a free prefix, such as 10.78.0"
        )


def _hardware_address(address: str) -> str:
    """Always the same, as a network card's is: else its neighbours would look for a rebooted node under the former one for a minute."""
    return "02:00:" + ipaddress.IPv4Address(address).packed.hex(":")


def _ensure_namespace(name: str) -> None:
    if not exists(name):
        run(["ip", "netns", "add", name])
    _ip(name, "link", "set", "lo", "up")


def _remove_namespace(name: str) -> None:
    if exists(name):
        run(["ip", "netns", "delete", name])


def _links(name: str | None = None) -> dict[str, dict]:
    return {link["ifname"]: link for link in json.loads(_ip(name, "-json", "address", "show"))}


def _ip(name: str | None, *arguments: str) -> str:
    """`ip` in the namespace of that name, or in this machine's own."""
    return run(["ip", *(("-netns", name) if name else ()), *arguments])
