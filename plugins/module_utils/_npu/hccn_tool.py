# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run hccn_tool for the RoCE port of a chip, and parse its output."""

from __future__ import annotations

import re
import time
from typing import Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands

# Each value of a port, with the call that prints it: ``hccn_tool -i N -CALL -g``. The texts are those of its source:
# github.com/hicann/driver, src/custom/network/hccn.
ANSWERS = {
    "link": ("link", re.compile(r"^link status:\s*(\S.*?)\s*$", re.M)),
    "net_health": ("net_health", re.compile(r"^net health status:\s*(\S.*?)\s*$", re.M)),
    "ip": ("ip", re.compile(r"^ipaddr:\s*(\S+)", re.M)),
    "netmask": ("ip", re.compile(r"^netmask:\s*(\S+)", re.M)),
    "gateway": ("gateway", re.compile(r"^default gateway:\s*([^\s,]+)", re.M)),
    "netdetect": ("netdetect", re.compile(r"^netdetect addr(?:ess)?:\s*(\S+)", re.M)),
    "tls": ("tls", re.compile(r"\btls switch\[(\d)\]")),
    "lldp_port": ("lldp", re.compile(r"^(?:Port ID TLV\s*\n[^:\n]+|\s*Ifname):\s*(\S.*?)\s*$", re.M)),
    "ipv6": ("ip -inet6", re.compile(r"^ipv6_address:\s*(\S+)", re.M)),
    "vnic": ("vnic", re.compile(r"^vnic link status:\s*(\S+)", re.M)),
    "vnic_ip": ("vnic", re.compile(r"^vnic ipaddr:\s*(\S+)", re.M)),
}
CALLS = tuple(dict.fromkeys(call for call, _pattern in ANSWERS.values()))
BUSY = "hccn_tool is busy"  # it refuses a second call at the same time, whoever makes it
BUSY_SECONDS = 0.2
# Answers that need not be the same a second later. The last one is about a time-out.
TRANSIENT = ("try again", "try later", "The cmd line execute timeout!", "Get device health status failed!")
TRIES = 4
TRY_SECONDS = 0.5
NO_CERTIFICATE = "No certificate found"  # without a certificate, TLS is off and cannot be switched
UNSUPPORTED = "The VM does not support this command"
# Ascend 950's tool has another syntax (`hccn_tool -g -vnic -i N`), and refuses that of the others.
OTHER_SYNTAX = "Please specify a valid mode"
NPU = "AscendNPU"  # in the LLDP of a port that a cable joins to that of another NPU, without a switch
PINGED = re.compile(r"^(\d+) packets transmitted, (\d+) received", re.M)


def ask(tool: str, device: int, arguments: str, seconds: float = commands.TIMEOUT) -> commands.Output:
    """Return the tool's output for a chip. Waits while it is busy; the calls for one chip must not overlap.

    Other calls may keep it busy for *seconds*. An answer that is transient by its own words is asked for again.
    """
    argv = [tool, "-i", str(device), *arguments.split()]
    deadline = time.monotonic() + seconds
    tries = TRIES
    while True:
        answer = commands.run(argv, max(deadline - time.monotonic(), 1))
        busy = BUSY in answer.text
        tries -= not busy
        again = busy or (tries > 0 and any(text in answer.text for text in TRANSIENT))
        if not again or time.monotonic() > deadline:
            return answer
        time.sleep(BUSY_SECONDS if busy else TRY_SECONDS)


def is_needed(call: str, texts: Mapping[str, str]) -> bool:
    """Return whether to make a call, after those with the outputs *texts*: some are for ports that RoCE may not use."""
    has_ip = ANSWERS["ip"][1].search(texts.get("ip", "")) is not None
    if call == "ip -inet6":
        return not has_ip
    return call != "vnic" or not has_ip or port_is_down(texts)


def port_is_down(texts: Mapping[str, str]) -> bool:
    """Return whether the outputs *texts* say that the link is down."""
    link = ANSWERS["link"][1].search(texts.get("link", ""))
    return link is not None and link[1] == "DOWN"


def parse_port(texts: Mapping[str, str]) -> dict[str, str | bool | None]:
    """Return the values of a port from the outputs of CALLS; a missing one is None.

    ``tls`` is true for on. ``ip`` is the IPv6 address of a port that has no other, as HCCL takes it. ``message`` is
    what the tool printed instead of the state of the link.
    """
    port: dict[str, str | bool | None] = {}
    for key, (call, pattern) in ANSWERS.items():
        match = pattern.search(texts.get(call, ""))
        port[key] = match.group(1) if match else None
    if port["tls"] is not None:
        port["tls"] = port["tls"] == "1"
    elif NO_CERTIFICATE in texts.get("tls", ""):
        port["tls"] = False
    if NPU in texts.get("lldp", ""):
        port["lldp_port"] = None
    ipv6 = port.pop("ipv6")
    port["ip"] = port["ip"] or ipv6
    lines = texts.get("link", "").splitlines()
    port["message"] = None if port["link"] else " / ".join(filter(None, map(str.strip, lines))) or None
    return port


def ping(address: str, by_hccs: bool = False) -> str:
    """Return the arguments that ping *address* once: of a RoCE port, or of a chip's virtual NIC over HCCS."""
    if by_hccs:
        return f"-hccs_ping -g address {address}"
    return f"-ping -inet6 -g ipv6_address {address}" if ":" in address else f"-ping -g address {address}"


def parse_ping(text: str) -> tuple[int, int] | None:
    """Return the packets that a ping sent and received, over RoCE or HCCS; None if the text has no numbers."""
    match = PINGED.search(text)
    return (int(match.group(1)), int(match.group(2))) if match else None
