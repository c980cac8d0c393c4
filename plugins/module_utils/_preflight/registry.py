# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check is, and the lists of them that the modules *_checks.py make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host

# What must have been gathered on a host for its checks to be able to find nothing wrong.
BASES: dict[str, Callable[[Host], bool]] = {
    "host": lambda host: True,
    "chips": lambda host: not host.npu["error"],
    "fabric": lambda host: host.has_peers and not host.npu["error"] and host.npu["fabric"] is not None,
    "peers": lambda host: host.has_peers and host.peers is not None,
    "image": lambda host: host.image_content is not None,
    "weights": lambda host: host.weights is not None,
}

HostCheck = Callable[[Host], Iterator[Finding]]
HostsCheck = Callable[[Sequence[Host]], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """A function that yields findings with some of the *ids*, and a key of BASES."""

    ids: tuple[str, ...]
    basis: str
    find: HostsCheck

    def applies_to(self, host: Host) -> bool:
        """Return whether no finding means that nothing is wrong."""
        return BASES[self.basis](host)


class Checks:
    """Checks in the order in which tables and messages have them. Its decorators add one."""

    def __init__(self) -> None:
        self.added: list[Check] = []

    def on_each_host(self, basis: str, *ids: str) -> Callable[[HostCheck], HostCheck]:
        """Add a check that looks at one host at a time."""

        def add(function: HostCheck) -> HostCheck:
            self.added.append(
                Check(ids, basis, lambda hosts: (one for host in hosts for one in function(host)))
            )
            return function

        return add

    def on_all_hosts(self, basis: str, *ids: str) -> Callable[[HostsCheck], HostsCheck]:
        """Add a check that compares the hosts."""

        def add(function: HostsCheck) -> HostsCheck:
            self.added.append(Check(ids, basis, function))
            return function

        return add
