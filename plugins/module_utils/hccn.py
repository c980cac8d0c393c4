# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what hccn_tool prints about the RoCE port of a chip."""

from __future__ import annotations

import re
from typing import Mapping

# Each answer of a port, with the call that gives it: ``hccn_tool -i N -CALL -g``.
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


def parse_port(texts: Mapping[str, str]) -> dict[str, str | bool | None]:
    """Return a port's answers from the texts of *CALLS*; what a text does not say is None. ``tls`` is whether TLS is on."""
    port = {}  # type: dict[str, str | bool | None]
    for key, (call, pattern) in ANSWERS.items():
        match = pattern.search(texts.get(call, ""))
        port[key] = match.group(1) if match else None
    if port["tls"] is not None:
        port["tls"] = port["tls"] == "1"
    return port
