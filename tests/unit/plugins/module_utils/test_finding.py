# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import (
    FAIL,
    INFO,
    WARN,
    Finding,
    report,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

TOKEN = Finding("weights", FAIL, "node0", Problem("the token is refused", "a valid one", "Set weights_token"))
SHOWN = "Found: the token is refused.\nExpected: a valid one.\nRemedy: Set weights_token"


def test_what_several_hosts_have_is_reported_once():
    disk = Finding("disk", WARN, "node1", Problem("10 GB are free", "717 GB", "Free space"))
    other = replace(TOKEN, host="node1", problem=TOKEN.problem.at("host node1, stage weights"))
    assert report([TOKEN, disk, other]) == (
        f"FAIL node0, node1: weights\n{SHOWN}. To accept it, add weights to preflight_accept of the host.\n\n"
        "WARN node1: disk\nFound: 10 GB are free.\nExpected: 717 GB.\nRemedy: Free space."
    )


def test_a_host_that_accepts_it_has_an_entry_of_its_own():
    both = report([TOKEN, replace(TOKEN, host="node1").accept()])
    assert both.count("the token is refused") == 2
    assert "FAIL node0: weights" in both
    assert "WARN node1: weights\nFound: the token is refused. Accepted by preflight_accept." in both


PROBLEM = Problem("7 of 8 chips", "8 chips", "Look at the host")
SEVERE = Finding("chip_count", FAIL, "node1", PROBLEM)


def test_an_accepted_failure_warns_and_says_so():
    accepted = SEVERE.accept()
    assert (accepted.severity, accepted.accepted) == (WARN, True)
    assert accepted.shown().found == "7 of 8 chips. Accepted by preflight_accept"
    assert accepted.shown().remedy == PROBLEM.remedy


@pytest.mark.parametrize(("severity", "told"), [(FAIL, True), (WARN, False), (INFO, False)])
def test_only_a_failure_needs_to_be_accepted(severity: str, told: bool):
    shown = Finding("chip_count", severity, "node1", PROBLEM).shown()
    assert ("add chip_count to preflight_accept" in shown.remedy) is told
    assert shown.found == PROBLEM.found


@pytest.mark.parametrize(
    ("where", "place"), [("", "Host node1 (chip_count)"), ("stage weights", "Stage weights (chip_count)")]
)
def test_a_paragraph_begins_with_the_place(where: str, place: str):
    finding = Finding("chip_count", WARN, "node1", PROBLEM.at(where))
    assert finding.paragraph("host node1").splitlines() == [
        place,
        "Found: 7 of 8 chips.",
        "Expected: 8 chips.",
        "Remedy: Look at the host.",
    ]


def test_data_and_entry_have_the_source_if_there_is_one():
    assert SEVERE.data() == {
        "id": "chip_count", "severity": "fail", "host": "node1", "accepted": False, "found": PROBLEM.found,
        "expected": PROBLEM.expected, "remedy": PROBLEM.remedy,
    }  # fmt: skip
    with_source = Finding("chip_count", WARN, "node1", PROBLEM.at("host node9"), source="a page")
    assert with_source.data()["source"] == "a page"
    assert report([with_source]).startswith("WARN node1: chip_count\nFound: 7 of 8 chips.")
    assert report([with_source]).endswith("\nSource: a page.")
    assert "Source" not in report([SEVERE])
