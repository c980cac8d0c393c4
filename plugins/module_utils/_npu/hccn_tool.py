# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run hccn_tool for the RoCE port of a chip, and parse its output."""

from __future__ import annotations

import re
import time
from typing import Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands

# Each value of a port, with the call that prints it: ``hccn_tool -i N -CALL -g``.
ANSWERS = {
    "link": ("link", re.compile(r"^link status:\s*(\S+)", re.M)),
    "net_health": ("net_health", re.compile(r"^net health status:\s*(\S.*?)\s*$", re.M)),
    "ip": ("ip", re.compile(r"^ipaddr:\s*(\S+)", re.M)),
    "netmask": ("ip", re.compile(r"^netmask:\s*(\S+)", re.M)),
    "gateway": ("gateway", re.compile(r"^default gateway:\s*([^\s,]+)", re.M)),
    "netdetect": ("netdetect", re.compile(r"^netdetect address:\s*(\S+)", re.M)),
    "tls": ("tls", re.compile(r"\btls switch\[(\d)\]")),
    "lldp_port": ("lldp", re.compile(r"^\s*Ifname:\s*(\S+)", re.M)),
}
CALLS = tuple(dict.fromkeys(call for call, _pattern in ANSWERS.values()))
BUSY = "hccn_tool is busy"  # it refuses a second call at the same time, whoever makes it
BUSY_SECONDS = 0.2
PINGED = re.compile(r"^(\d+) packets transmitted, (\d+) received", re.M)


def ask(tool: str, device: int, arguments: str, seconds: float = commands.TIMEOUT) -> commands.Output:
    """Return the tool's output for a chip. Waits while it is busy; the calls for one chip must not overlap."""
    argv = [tool, "-i", str(device), *arguments.split()]
    deadline = time.monotonic() + seconds
    answer = commands.run(argv, seconds)
    while BUSY in answer.text and time.monotonic() < deadline:
        time.sleep(BUSY_SECONDS)
        answer = commands.run(argv, seconds)
    return answer


def parse_port(texts: Mapping[str, str]) -> dict[str, str | bool | None]:
    """Return the values of a port from the outputs of CALLS; a missing one is None. ``tls`` is true for on."""
    port: dict[str, str | bool | None] = {}
    for key, (call, pattern) in ANSWERS.items():
        match = pattern.search(texts.get(call, ""))
        port[key] = match.group(1) if match else None
    if port["tls"] is not None:
        port["tls"] = port["tls"] == "1"
    return port


def parse_ping(text: str) -> tuple[int, int] | None:
    """Return the packets that ``-ping -g address`` sent and received; None if the text has no numbers."""
    match = PINGED.search(text)
    return (int(match.group(1)), int(match.group(2))) if match else None
