# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check settings against the release that they are for, before any host is contacted.

Each rule is a function of one of the modules below, with the id of its findings. A finding fails only where the
release refuses to start. It warns where a setting does not do what it seems to. What a shipped profile has just so
is a note: it is the same in every run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import (
    FAIL,
    INFO,
    WARN,
    Finding,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import (
    ascend_rules,
    engine_rules,
    flag_rules,
    hosts_rules,
    mapping_rules,
    release_rules,
    start_rules,
    variable_rules,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

# In the order of tables and messages.
RULES = {
    **mapping_rules.rules.added,
    **variable_rules.rules.added,
    **flag_rules.rules.added,
    **engine_rules.rules.added,
    **start_rules.rules.added,
    **ascend_rules.rules.added,
    **hosts_rules.rules.added,
    **release_rules.rules.added,
}


def findings(cases: Sequence[Case], accept: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Return what is found, the head's first. A worker's is left out if the head has the same.

    *accept* has the ids of the findings that each host accepts.
    """
    first: dict[tuple[str, Problem], Finding] = {}
    for case in cases:
        for finding in _findings_of(case):
            is_accepted = finding.id in accept.get(case.host, ())
            first.setdefault((finding.id, finding.problem), _accepted(finding) if is_accepted else finding)
    return list(first.values())


def _findings_of(case: Case) -> Iterator[Finding]:
    for name, rule in RULES.items():
        for one in rule(case):
            severity = INFO if one.known and one.severity == WARN else one.severity
            problem = Problem(one.found, one.expected, one.remedy)
            yield Finding(name, severity, case.host, problem, source=one.source)


def _accepted(finding: Finding) -> Finding:
    """Return a failure as a warning, and a warning as a note."""
    severity = WARN if finding.severity == FAIL else INFO
    return replace(finding, severity=severity, accepted=True)
