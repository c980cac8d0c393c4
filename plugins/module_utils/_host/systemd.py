# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which systemd starts Docker and what its containers need.

A container whose devices or mount sources are missing when Docker starts is not started again, whatever its
restart policy (moby#46608, moby#28211).
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping

DOCKER = "docker.service"
# Made by systemd-sysv-generator of the driver's script in /etc/init.d, which waits until there is a device node
# for each chip, for up to five minutes (host_sys_init.sh of the Ascend HDK).
DRIVER = "host_sys_init.service"
PROPERTIES = "Id,LoadState,FragmentPath,After,Before"
# Reached before any service starts, unless a service is one of early boot.
LOCAL_MOUNTS = "local-fs.target"
PLAIN = re.compile(r"[A-Za-z0-9:_.]")

Units = Mapping[str, Mapping[str, str]]


def unit_name(mount_point: str, kind: str = "mount") -> str:
    """Return the unit of a mount point, as systemd-escape --path does."""
    path = mount_point.strip("/")
    return ("".join(_escaped(char, index) for index, char in enumerate(path)) or "-") + f".{kind}"


def _escaped(char: str, index: int) -> str:
    if char == "/":
        return "-"
    if PLAIN.match(char) and not (char == "." and index == 0):
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def units(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of units by their names, from what ``systemctl show`` prints about several."""
    blocks = [
        dict(line.partition("=")[::2] for line in block.splitlines()) for block in re.split(r"\n\s*\n", text)
    ]
    return {block["Id"]: block for block in blocks if block.get("LoadState") == "loaded"}


def needed(known: Units, mount_points: Iterable[str]) -> list[str] | None:
    """Return the units that Docker has to wait for and does not by default; None if systemd does not run Docker.

    Those are the driver's, and mounts that are not among the local ones of /etc/fstab: ``nofail`` and network
    mounts. A mount without a unit, made by hand, is not in systemd's order.
    """
    docker = known.get(DOCKER)
    if docker is None:
        return None
    reached = {LOCAL_MOUNTS, *docker["After"].split()}
    mounts = [
        unit_name(mount_point)
        for mount_point in dict.fromkeys(mount_points)
        if unit_name(mount_point, "automount") not in known  # is mounted by the first access
    ]
    return [
        unit
        for unit in [DRIVER, *mounts]
        if unit in known
        and known[unit]["FragmentPath"]
        and not reached & set(known[unit]["Before"].split())
        and DOCKER not in known[unit]["After"].split()
    ]


def missing(known: Units, required: Iterable[str]) -> list[str]:
    """Return those of the units that Docker does not wait for."""
    after = known[DOCKER]["After"].split()
    return [unit for unit in required if unit not in after]
