# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the service, as the checks see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity_report
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

# The facts that every host needs, with the module that gathers each.
FACTS = {
    "vllm_npu": "ascend_ops.vllm.npu_facts",
    "vllm_host_facts": "ascend_ops.vllm.plan",
    "vllm_plan": "ascend_ops.vllm.plan",
}


@dataclass(frozen=True)
class Host:
    """A host by its inventory name, with its facts; the optional ones are None if they were not gathered."""

    name: str
    npu: Mapping[str, Any]
    facts: Mapping[str, Any]
    plan: Mapping[str, Any]
    listener: Mapping[str, Any] | None = None
    listener_outlasted: bool | None = None  # whether the listener outlasted the calls of the other hosts
    peers: Mapping[str, Any] | None = None
    image_content: Mapping[str, Any] | None = None
    image_problem: Mapping[str, str] | None = None
    weights: Mapping[str, str] | None = None  # their problem, empty if there is none
    accept: frozenset[str] = frozenset()  # the ids of findings that only warn
    allow_newer: bool = False  # whether a newer driver or firmware package is only a warning
    variants: capacity_report.Variants = capacity_report.no_variants  # names profiles with quantized weights

    @classmethod
    def of(cls, name: str, facts: Mapping[str, Any], **more: Any) -> Host:
        """Return the host with these Ansible facts. Raises ValueError if one of FACTS is missing."""
        for fact, module in FACTS.items():
            if fact not in facts:
                raise ValueError(
                    f"Host {name} has no fact {fact}. Run {module} on it earlier in the same playbook run."
                )
        optional: dict[str, Any] = {
            key: facts.get(f"vllm_{key}")
            for key in ("listener", "listener_outlasted", "peers", "image_content", "image_problem")
        }
        return cls(name, facts["vllm_npu"], facts["vllm_host_facts"], facts["vllm_plan"], **optional, **more)

    def fail(self, check: str, found: str, expected: str, remedy: str) -> Finding:
        """Return a finding that keeps the service from running."""
        return Finding(check, FAIL, self.name, Problem(found, expected, remedy))

    def warn(self, check: str, found: str, expected: str, remedy: str) -> Finding:
        """Return a finding that may keep the service from running."""
        return Finding(check, WARN, self.name, Problem(found, expected, remedy))

    @property
    def has_peers(self) -> bool:
        """Return whether the service has other hosts."""
        return len(self.plan["hosts"]) > 1

    @property
    def chips(self) -> list[Mapping[str, Any]]:
        """Return the chips that the service is to use and that exist."""
        return [chip for chip in self.npu["chips"] or [] if chip["device"] in self.plan["npu"]["ids"]]

    @property
    def ports(self) -> list[Mapping[str, Any]]:
        """Return the RoCE ports of these chips; none if the service has no other host, or HCCS joins the hosts."""
        return [] if self.joined_by_hccs else self.all_ports

    @property
    def all_ports(self) -> list[Mapping[str, Any]]:
        """Return the ports of these chips, used or not; none if the service has no other host."""
        fabric = self.npu["fabric"] if self.has_peers else None
        return [port for port in fabric or [] if port["device"] in self.plan["npu"]["ids"]]

    @property
    def joined_by_hccs(self) -> bool:
        """Return whether the chips use HCCS between hosts: those of A3 (with a Phy-ID) can.

        Then each RoCE port is down or has no address, and no HCCS link is down. HCCL takes RoCE within an HCCS domain
        only if HCCL_INTER_HCCS_DISABLE is set (an environment variable of CANN).
        """
        ports = self.all_ports
        if not ports or any(port["ip"] and port["link"] != "DOWN" for port in ports):
            return False
        if any(port["link"] is None or port["vnic"] == "DOWN" for port in ports):
            return False
        if all(chip["phy_id"] is None for chip in self.chips):
            return False
        disabled = str(self.plan["serve"]["env"].get("HCCL_INTER_HCCS_DISABLE") or "").strip("'\"")
        return disabled.upper() != "TRUE"

    @property
    def containers(self) -> Mapping[str, str]:
        """Return the names of the running containers by id."""
        return self.facts["containers"] or {}

    @property
    def runs_service(self) -> bool:
        """Return whether the service's container runs."""
        return self.plan["container"]["name"] in self.containers.values()

    @property
    def driver(self) -> str | None:
        """Return the version of the driver package.

        The running driver reports the same number, and stands in where no version file can be read. That does
        not hold for the firmware.
        """
        version = self.npu["package_version"] or self.npu["driver_version"]
        return None if version is None else str(version)

    def is_service(self, container: str | None) -> bool:
        """Return whether a container id is that of the service's own container."""
        return container is not None and self.containers.get(container) == self.plan["container"]["name"]
