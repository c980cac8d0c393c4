# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the kernel's files say about a host."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Iterable, Mapping

LISTEN = "0A"
LABELS = "ascend_ops.vllm."  # what the labels of our containers begin with
CALL = b"ascend_ops.vllm calls\n"  # peer_probe's first bytes: a worker of the service calls the head's ports as well, again and again
LISTENER = "ascend-listener"  # peer_listener's process as ps shows it; the kernel keeps 15 characters
CONTAINER = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.M)
CREDENTIALS = re.compile(r"//[^/@\s]+@")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def listeners(proc_net_tcp: str) -> dict[int, set[str]]:
    """Return the socket inodes that listen on each port, from the text of /proc/net/tcp or tcp6."""
    found = {}  # type: dict[int, set[str]]
    for line in proc_net_tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def container_id(proc_pid_cgroup: str) -> str | None:
    """Return the id of the container whose process has this /proc/PID/cgroup; None for a process of the host."""
    match = CONTAINER.search(proc_pid_cgroup)
    return match.group(1) if match else None


def nic_of(address: str | None, interfaces: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the name of the interface that carries *address*, however it is written."""
    if not address:
        return None
    wanted = ipaddress.ip_address(address)
    for interface in interfaces:
        if any(ipaddress.ip_address(text) == wanted for text in interface["addresses"]):
            return str(interface["name"])
    return None


def proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of *environment* as they are written, without the credentials in their URLs."""
    return {
        key: CREDENTIALS.sub("//***@", value)
        for key, value in environment.items()
        if key.lower() in PROXY_VARIABLES and value
    }


def memory_total_mb(meminfo: str) -> int | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.M)
    return int(match.group(1)) // 1024 if match else None


def os_name(os_release: str) -> str | None:
    match = re.search(r'^PRETTY_NAME="?(.*?)"?$', os_release, re.M)
    return match.group(1) if match else None


def container_names(answer: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return {id: name} from the answer of Docker's ``GET /containers/json``."""
    return {item["Id"]: item["Names"][0].lstrip("/") for item in answer if item.get("Names")}


def running(answer: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the running containers from the answer of ``GET /containers/json?all=1``."""
    return [item for item in answer if item["State"] in ("running", "paused", "restarting")]


def served(answer: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {name: {image_id, labels}} of the running containers, from the same answer; of the labels only ours."""
    return {
        item["Names"][0].lstrip("/"): {
            "image_id": item["ImageID"],
            "labels": {
                key: value for key, value in (item.get("Labels") or {}).items() if key.startswith(LABELS)
            },
        }
        for item in answer
        if item.get("Names")
    }
