# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade on the lab whose new service starts on all hosts, and fails its checks on the head.

Molecule's scenario upgrade has the rest.
"""

from __future__ import annotations

import json

import pytest
from lab import NODES, assert_names, lab, place, playbook
from polling import wait_until
from test_recovery import CONTAINER, PATIENCE, answers

INVENTORY = ("-i", "inventories/lab")
OTHER_PARSER = {"vllm_serve_args": {"enforce-eager": True, "tool-call-parser": "hermes"}}


def containers() -> list[str]:
    """Return name and id of all containers of each host."""
    return [lab("exec", node, "docker", "ps", "--all", "--format", "{{.Names}} {{.ID}}") for node in NODES]


@pytest.mark.campaign
def test_the_previous_service_returns():
    playbook("site.yml", *INVENTORY).succeeded()
    before = containers()
    messages = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(OTHER_PARSER)).failed()
    assert_names(messages[NODES[0]], place(NODES[0], "verify"), "tool_call", "previous service runs again")
    assert containers() == before
    assert all(CONTAINER in names for names in before)
    wait_until(answers, PATIENCE, "the previous service answers")
