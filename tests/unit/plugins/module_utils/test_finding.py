# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN, Finding, report
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
