# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade on the lab that one of the hosts cannot follow, or whose SSH connection to one of them is cut.

Molecule's scenario upgrade has the rest.
"""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import pytest
from ansible_run import ROOT, run
from lab import CONTAINER, INVENTORY, NODES, Run, assert_names, lab, on, place, playbook, shell
from polling import wait_until
from test_recovery import PATIENCE, answers

HEAD, WORKER = NODES
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


BROKEN = {"vllm_serve_extra_args": ["--no-such-flag"]}
BACKUP = f"{CONTAINER}-backup"
GOOD = "/var/lib/ascend-ops-supervise.good"
SOON = ("-e", "ansible_ssh_retries=2")  # a host that stays away is given up


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


# SSH connections that are cut


@pytest.fixture(scope="module", name="serving")
def service_that_answers() -> None:
    playbook("site.yml", *INVENTORY).succeeded()


@pytest.fixture(name="connected")
def nodes_with_ssh(serving) -> Iterator[None]:
    yield
    for node in NODES:
        reconnect(node)


def reconnect(node: str) -> None:
    rule = "INPUT --protocol tcp --dport 22 --jump REJECT --reject-with tcp-reset"
    shell(node, f"while iptables --delete {rule} 2>/dev/null; do :; done")


@dataclass(frozen=True)
class Cut:
    """When a task begins, or *delay* seconds later, SSH to a node is cut for so many seconds, or for good."""

    task: str
    node: str
    delay: int = 0
    seconds: int = 8

    def command(self) -> str:
        script = str(ROOT / "tests/support/cut-ssh.sh")
        return shlex.join([script, self.node, str(self.seconds), str(self.delay)])


def upgrade(variables: dict[str, object], cuts: Collection[Cut], *options: str) -> Run:
    """Run an upgrade with these cuts, each of which happens."""
    commands = {cut.task: cut.command() for cut in cuts}
    environment = {"ANSIBLE_CALLBACKS_ENABLED": "failures,cutter", "CUTS": json.dumps(commands)}
    done = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(variables), *options, **environment)
    assert [task for task in commands if f"cut when this begins: {task}" not in done.output] == [], (
        done.output
    )
    return done


def other_setting() -> dict[str, object]:
    """Return a setting that replaces the containers."""
    label = on(HEAD, "docker", "inspect", "--format", "{{.Config.Cmd}}", CONTAINER)
    return {"vllm_supervisor_probe_seconds": 60 if "--probe-seconds=61" in label else 61}


def names() -> list[set[str]]:
    shown = [on(node, "docker", "ps", "--all", "--format", "{{.Names}}") for node in NODES]
    return [set(names.split()) for names in shown]


STOP = Cut("Ensure the container is stopped", WORKER, delay=1)
WAIT = Cut("Wait until the service is ready", WORKER, delay=3)
CLEAN = Cut("Ensure the backup is absent", WORKER)
EACH_PHASE = (
    STOP,
    Cut("Rename the container to its backup name", WORKER),
    Cut("Ensure vLLM in the container is patched", HEAD),
    Cut("Start the container", WORKER),
    WAIT,
    Cut("Assert that the endpoint works, on every engine", HEAD),
    CLEAN,
)


@pytest.mark.campaign
@pytest.mark.usefixtures("connected")
def test_ssh_connections_that_are_cut_in_each_phase_for_a_while_are_waited_for():
    before = containers()
    done = upgrade(other_setting(), EACH_PHASE)
    done.succeeded()
    assert done.failures == []
    assert names() == [{CONTAINER}] * 2
    assert set(containers()).isdisjoint(before)
    wait_until(answers, PATIENCE, "the new service answers")


@pytest.mark.campaign
@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("cut", [STOP, WAIT], ids=["stop", "wait"])
def test_a_host_that_stays_away_starts_no_half_of_a_rollback(cut: Cut):
    variables = other_setting()
    messages = upgrade(variables, [replace(cut, seconds=0)], *SOON).failed()
    assert_names(
        messages[HEAD], WORKER, "cannot be reached any more", "Nothing was rolled back", "upgrade.yml again"
    )
    assert BACKUP in names()[0]
    reconnect(WORKER)
    playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(variables)).succeeded()
    assert names() == [{CONTAINER}] * 2
    wait_until(answers, PATIENCE, "the new service answers")


@pytest.mark.campaign
@pytest.mark.usefixtures("connected")
def test_what_a_host_that_stays_away_in_the_end_has_kept_does_not_come_back():
    done = upgrade(other_setting(), [replace(CLEAN, seconds=0)], *SOON)
    assert_names(done.succeeded(), f"{WORKER} cannot be reached any more and has the backup still")
    reconnect(WORKER)
    assert names() == [{CONTAINER}, {CONTAINER, BACKUP}]
    good = [on(node, "docker", "inspect", "--format", "{{.Id}}", CONTAINER) for node in NODES]
    failed = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(BROKEN)).failed()
    assert_names(failed[HEAD], "previous service runs again")
    assert names() == [{CONTAINER}] * 2
    assert [on(node, "docker", "inspect", "--format", "{{.Id}}", CONTAINER) for node in NODES] == good
    wait_until(answers, PATIENCE, "the service that was upgraded answers")


# A controller that is killed


@pytest.mark.campaign
@pytest.mark.usefixtures("serving")
def test_what_replaced_a_service_and_has_worked_is_what_a_later_upgrade_returns_to():
    kill = {"ANSIBLE_CALLBACKS_ENABLED": "failures,cutter", "CUTS": json.dumps({WAIT.task: "kill -9 $PPID"})}
    killed = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(other_setting()), **kill)
    assert killed.code == -signal.SIGKILL, killed.output
    assert names() == [{CONTAINER, BACKUP}] * 2
    wait_until(answers, PATIENCE, "the new service answers")
    on(HEAD, "docker", "exec", CONTAINER, "touch", GOOD)  # ten minutes later
    wait_until(lambda: on(WORKER, "docker", "exec", CONTAINER, "ls", GOOD), PATIENCE, "so does the worker")
    good = [on(node, "docker", "inspect", "--format", "{{.Id}}", CONTAINER) for node in NODES]
    failed = playbook("playbooks/upgrade.yml", *INVENTORY, "-e", json.dumps(BROKEN)).failed()
    assert_names(failed[HEAD], "previous service runs again")
    assert names() == [{CONTAINER}] * 2
    assert [on(node, "docker", "inspect", "--format", "{{.Id}}", CONTAINER) for node in NODES] == good
    wait_until(answers, PATIENCE, "that service answers")


@pytest.mark.campaign
def test_a_host_that_falls_silent_in_a_task_is_lost_within_two_minutes():
    """As one that loses power: it ends no connection."""
    silence = threading.Timer(5, lab, ("link", WORKER, "down"))
    silence.start()
    began = time.monotonic()
    try:
        done = run("ansible", WORKER, *INVENTORY, "-m", "ansible.builtin.command", "-a", "sleep 300")
    finally:
        silence.join()
        lab("link", WORKER, "up")
    assert "UNREACHABLE" in done.stdout, done.stdout + done.stderr
    assert time.monotonic() - began < 120
