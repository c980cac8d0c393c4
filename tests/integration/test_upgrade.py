# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade on the lab that one of the hosts cannot follow.

Molecule's scenario upgrade has the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab import CONTAINER, INVENTORY, NODES, assert_names, on, place, playbook, shell
from polling import wait_until
from test_recovery import PATIENCE, answers

WORKER = NODES[1]
RUNTIME = "/usr/sbin/runc"
# It fails to make one container of the service, and is the real one afterwards. It is called in the folder of the container.
FAILS_ONCE = f"""#!/bin/sh
case " $* " in *" create "*)
    if grep -q ascend-ops-supervise config.json; then mv {RUNTIME}.real {RUNTIME}; echo broken for a test >&2; exit 1; fi ;;
esac
exec {RUNTIME}.real "$@"
"""


@pytest.fixture(name="service")
def service_whose_worker_cannot_start_once() -> Iterator[list[str]]:
    playbook("site.yml", *INVENTORY).succeeded()
    before = containers()
    replace = f"mv {RUNTIME} {RUNTIME}.real && cat >{RUNTIME} && chmod 755 {RUNTIME}"
    shell(WORKER, replace, text_in=FAILS_ONCE)
    yield before
    shell(WORKER, f"! test -e {RUNTIME}.real || mv {RUNTIME}.real {RUNTIME}")


def containers() -> list[str]:
    """Return name and id of all containers of each host."""
    return [on(node, "docker", "ps", "--all", "--format", "{{.Names}} {{.ID}}") for node in NODES]


@pytest.mark.campaign
def test_the_previous_service_returns_at_once_when_a_container_does_not_start(service: list[str]):
    other = {"vllm_serve_args": {"enforce-eager": True, "max-model-len": 4096}}
    messages = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(other)).failed()
    assert_names(messages[NODES[0]], place(NODES[0], "serve"), WORKER, "previous service runs again")
    assert containers() == service
    assert all(CONTAINER in names for names in service)
    wait_until(answers, PATIENCE, "the previous service answers")
