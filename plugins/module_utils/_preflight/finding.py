# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding: a problem of a host, with the id of the check that found it and its severity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

FAIL = "fail"
WARN = "warn"


@dataclass(frozen=True)
class Finding:
    """Something on a host that keeps the service from running (fail), or may do so (warn)."""

    id: str
    severity: str
    host: str
    problem: Problem
    accepted: bool = False  # by preflight_accept

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
        }

    def paragraph(self, place: str) -> str:
        """Return the finding as a paragraph. *place* is the host, and the stage that ran the checks.

        A problem that another stage found has its place already.
        """
        where = self.problem.where or place
        return str(self._shown().at(f"{where} ({self.id})"))

    def entry(self) -> str:
        """Return the finding as a paragraph below a heading, for a report on all hosts."""
        return f"{self.severity.upper()} {self.host}: {self.id}\n{self._shown().at('')}"

    def _shown(self) -> Problem:
        """Return the problem with what preflight_accept did, or could do, about it."""
        if self.accepted:
            return replace(self.problem, found=f"{self.problem.found}. Accepted by preflight_accept")
        if self.severity == FAIL:
            accept = f"To accept it, add {self.id} to preflight_accept of the host"
            return replace(self.problem, remedy=f"{self.problem.remedy}. {accept}")
        return self.problem
