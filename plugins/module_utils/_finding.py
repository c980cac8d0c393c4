# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding: a problem of a host, with the id of the check that found it and its severity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Iterable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

FAIL = "fail"
WARN = "warn"
INFO = "info"  # a note: nothing has to be done


@dataclass(frozen=True)
class Finding:
    """Something that keeps the service from running (fail), that may do so (warn), or that is good to know (info)."""

    id: str
    severity: str
    host: str
    problem: Problem
    accepted: bool = False  # by preflight_accept
    source: str = ""  # where it is documented

    def accept(self) -> Finding:
        """Return the finding as one that only warns."""
        return replace(self, severity=WARN, accepted=True)

    def data(self) -> dict[str, Any]:
        """Return the finding as a dictionary, as it goes into a task's result."""
        problem = self.problem
        parts = {"found": problem.found, "expected": problem.expected, "remedy": problem.remedy}
        return {
            "id": self.id,
            "severity": self.severity,
            "host": self.host,
            "accepted": self.accepted,
            **parts,
            **({"source": self.source} if self.source else {}),
        }

    def paragraph(self, place: str) -> str:
        """Return the finding as a paragraph. *place* is the host, and the stage that ran the checks.

        A problem that another stage found has its place already.
        """
        where = self.problem.where or place
        return str(self.shown().at(f"{where} ({self.id})"))

    def text(self) -> str:
        """Return the finding without its host."""
        return f"{self.shown().at('')}" + (f"\nSource: {self.source}." if self.source else "")

    def shown(self) -> Problem:
        """Return the problem with what preflight_accept did, or could do, about it."""
        if self.accepted:
            return replace(self.problem, found=f"{self.problem.found}. Accepted by preflight_accept")
        if self.severity == FAIL:
            accept = f"To accept it, add {self.id} to preflight_accept of the host"
            return replace(self.problem, remedy=f"{self.problem.remedy}. {accept}")
        return self.problem


def report(findings: Iterable[Finding]) -> str:
    """Return a paragraph for each of *findings* on all hosts, below a heading. What several hosts have is one of them."""
    hosts: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        hosts.setdefault((finding.severity.upper(), finding.id, finding.text()), []).append(finding.host)
    return "\n\n".join(
        f"{severity} {', '.join(dict.fromkeys(names))}: {name}\n{text}"
        for (severity, name, text), names in hosts.items()
    )
