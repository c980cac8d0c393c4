# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and parse the files in which the kernel describes a host."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Iterable, Mapping

LISTEN = "0A"
CONTAINER = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.M)
CREDENTIALS = re.compile(r"//[^/@\s]+@")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def read_text(path: str) -> str:
    """Return the content of a file; empty if it cannot be read, for example because its process has ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def listeners(proc_net_tcp: str) -> dict[int, set[str]]:
    """Return the socket inodes that listen on each port, from the text of /proc/net/tcp or tcp6."""
    found: dict[int, set[str]] = {}
    for line in proc_net_tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def container_id(proc_pid_cgroup: str) -> str | None:
    """Return the container of a process, from the text of /proc/PID/cgroup; None for one of the host."""
    match = CONTAINER.search(proc_pid_cgroup)
    return match.group(1) if match else None


def nic_of(address: str | None, interfaces: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the name of the interface that carries *address*, however it is written."""
    if not address:
        return None
    searched = ipaddress.ip_address(address)
    for interface in interfaces:
        if any(ipaddress.ip_address(text) == searched for text in interface["addresses"]):
            return str(interface["name"])
    return None


def proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of *environment*, without credentials."""
    return {
        key: CREDENTIALS.sub("//***@", value)
        for key, value in environment.items()
        if key.lower() in PROXY_VARIABLES and value
    }


def ephemeral_ports(ip_local_port_range: str, ip_local_reserved_ports: str) -> dict[str, Any] | None:
    """Return the ports for outgoing connections, and those of them that are reserved, from the kernel's texts."""
    bounds = ip_local_port_range.split()
    if len(bounds) != 2:
        return None
    return {"first": int(bounds[0]), "last": int(bounds[1]), "reserved": ip_local_reserved_ports.strip()}


def in_ranges(port: int, ranges: str) -> bool:
    """Return whether a port is in a text such as 8080,60000-60015."""
    pairs = [part.partition("-")[::2] for part in ranges.split(",") if part]
    return any(int(first) <= port <= int(last or first) for first, last in pairs)


def memory_total_mb(meminfo: str) -> int | None:
    """Return the memory of the host, from the text of /proc/meminfo."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.M)
    return int(match.group(1)) // 1024 if match else None


def os_name(os_release: str) -> str | None:
    """Return name and version of the system, from the text of /etc/os-release."""
    match = re.search(r'^PRETTY_NAME="?(.*?)"?$', os_release, re.M)
    return match.group(1) if match else None
