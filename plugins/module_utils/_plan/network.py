# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and NICs of the hosts in the service network."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import validation
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

# RFC 5737 and RFC 3849: addresses for documentation, as the sample inventory has them.
PLACEHOLDER_NETWORKS = [
    ipaddress.ip_network(net)
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def address_problems(addresses: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the service addresses, given as {inventory name: vllm_service_ip}."""
    problems = []
    owners: dict[Any, str] = {}
    for host, value in addresses.items():
        found = f"vllm_service_ip (default: ansible_host) is {value!r}"
        in_network = "the address of its NIC in the service network"
        remedy = "set vllm_service_ip"
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            remedy = "set vllm_service_ip, or ansible_host to an address"
            if value == host:  # what Ansible takes for an address if none is set
                found = (
                    "neither vllm_service_ip nor ansible_host is set, and the host's name is not an address"
                )
            problems.append(Problem(found, in_network, remedy).on(host))
            continue
        if any(address in net for net in PLACEHOLDER_NETWORKS):
            found += ", a placeholder from the sample inventory"
            problems.append(Problem(found, "the host's own address", "replace it in the inventory").on(host))
        elif address.is_unspecified or (address.is_loopback and len(addresses) > 1):
            found += ", which the other hosts cannot reach"
            problems.append(Problem(found, in_network, remedy).on(host))
        elif address in owners:
            found += f", the same as host {owners[address]}'s"
            problems.append(
                Problem(
                    found,
                    "a different address for each host",
                    "correct ansible_host or vllm_service_ip of one of them",
                ).on(host)
            )
        owners.setdefault(address, host)
    return problems


def no_nic_problem(address: str) -> Problem:
    """Return the problem of a plan without contact to the host."""
    return Problem(
        "vllm_service_nic is not set",
        f"the NIC that carries {address}",
        "set it, because no host is contacted here",
    )


def nic_problems(name: Any) -> list[Problem]:
    """Return what is wrong with the form of vllm_service_nic (Linux, net/core/dev.c, dev_valid_name)."""
    if not name or (isinstance(name, str) and re.fullmatch(r"[^\s/]{1,15}", name)):
        return []
    return [validation.wrong("vllm_service_nic", f"is {name!r}", "one NIC, as `ip link` shows it")]
