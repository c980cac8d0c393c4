# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the hosts of a service can run it: what was found on them against what their plans need.

Each check is a function of one of the modules below, with the ids of its findings.
"""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import (
    host_checks,
    image_checks,
    network_checks,
    npu_checks,
    words,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError

PLACES = "roles/preflight/README.md and docs/releases.md of the collection"  # there are too many to print
SMOKE_TEST = ("smoke_npus", "smoke_collective")  # ids of what smoke_test.py finds
# In the order of tables and messages.
CHECKS = [
    *host_checks.checks.added,
    *npu_checks.checks.added,
    *network_checks.checks.added,
    *image_checks.checks.added,
]


def check(hosts: Sequence[Host]) -> list[Finding]:
    """Return all findings on *hosts*, in the order of the hosts and of the checks.

    Raises ProblemError if a host accepts a finding that does not exist.
    """
    order = [host.name for host in hosts]
    accept = {host.name: host.accept for host in hosts}
    require_ids(accept)
    found = [finding for one in CHECKS for finding in one.find(hosts)]
    found = [finding.accept() if finding.id in accept[finding.host] else finding for finding in found]
    return sorted(found, key=lambda finding: order.index(finding.host))


def ids() -> list[str]:
    """Return the ids of all findings, those of the smoke test and of the settings among them."""
    return [*(name for one in CHECKS for name in one.ids), *SMOKE_TEST, *lint.RULES]


def require_ids(accept: Mapping[str, Iterable[str]]) -> None:
    """Raise ProblemError if a host accepts a finding that does not exist. *accept* has the ids of each host."""
    problems = {host: accept_problem(accepted) for host, accepted in accept.items()}
    for host, problem in problems.items():
        if problem:
            raise ProblemError(f"{problem.found} on host {host}", problem.expected, problem.remedy)


def accept_problem(accept: Iterable[str]) -> Problem | None:
    """Return what is wrong with the ids of findings that a host accepts, None for nothing."""
    known = ids()
    unknown = sorted(set(accept) - set(known))
    if not unknown:
        return None
    found = f"preflight_accept names findings that do not exist: {', '.join(unknown)}"
    near = {name: names.similar(known, name) for name in unknown}
    ways = [f"correct {name} to {_either(ids)}" if ids else f"remove {name}" for name, ids in near.items()]
    return Problem(found, f"ids of findings, as {PLACES} list them", "; ".join(ways))


def _either(choices: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def states(hosts: Sequence[Host], findings: Sequence[Finding]) -> dict[str, dict[str, str | None]]:
    """Return {id: {host: ok, warn or fail}}; None where a check does not apply or lacks its basis."""
    worst: dict[tuple[str, str], str] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity == FAIL):
        worst[finding.id, finding.host] = finding.severity
    return {
        name: {
            host.name: worst.get((name, host.name), "ok" if one.applies_to(host) else None) for host in hosts
        }
        for one in CHECKS
        for name in one.ids
    }


def summary(hosts: Sequence[Host]) -> str:
    """Return a line about *hosts* without failures."""
    chips = words.join(f"{len(host.chips)} x {host.npu['model']}" for host in hosts)
    driver = words.join(host.driver for host in hosts)
    firmware = words.join(host.npu["firmware_package_version"] for host in hosts)
    shown = ", ".join(host.name for host in hosts)
    text = f"{shown}: ready, each with {chips}, driver {driver}, firmware {firmware}"
    return text + (", all RoCE links up" if all(host.ports for host in hosts) else "")
