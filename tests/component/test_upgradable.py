# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which upgrades are refused because they could not be rolled back: a plan, beside the containers that Docker lists on two hosts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker
from ansible_run import ROOT, run

NAME = "vllm-ascend-v0.13.0rc1"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
INVENTORY = {
    "vllm_head": {"hosts": {"node0": {"ansible_host": "10.0.0.10"}}},
    "vllm_workers": {"hosts": {"node1": {"ansible_host": "10.0.0.11"}}},
    "all": {"vars": {"vllm_service_nic": "enp1", "plan_offline": True, **LOCAL}},
}
HERE, ELSEWHERE = "/opt/data/models/here", "/opt/data/models/elsewhere"
OLD, NEW, LATEST = "1" * 40, "2" * 40, "3" * 40
CHECKED, READY = "/etc/ascend-ops-verified", "/var/lib/ascend-ops-supervise.good"
# Copies a file out of the service's container, if it is one of WORKED.
DOCKER = f"""#!/bin/sh
for file in $WORKED; do
    [ "$1 $2 $3" = "cp {NAME}:$file -" ] && exit 0
done
echo "Error response from daemon: Could not find the file" >&2
exit 1
"""
TASKS = {
    "weights": "Assert that the old weights stay",
    "hosts": "Assert that the hosts of the service stay",
    "containers": "Assert that each host has a container of the present service, or none has",
}


def container(
    name: str = NAME, state: str = "running", revision: str = OLD, folder: str = HERE, hosts: int = 2
) -> dict[str, Any]:
    """Return what Docker lists of a container that this collection made."""
    plan = {"hosts": hosts, "model_dir": folder}
    labels = {
        "ascend_ops.vllm.model": f"ZhipuAI/GLM-4.7@{revision}",
        "ascend_ops.vllm.plan": json.dumps(plan),
    }
    return {"Id": name, "Names": [f"/{name}"], "State": state, "ImageID": "sha256:1", "Labels": labels}


RUNS, STOPPED = container(), container(state="exited")
BACKUP = container(f"{NAME}-backup", state="exited")
REPLACEMENT = container(revision=NEW, folder=ELSEWHERE)
OTHER = container("another", revision=NEW, hosts=7)


@dataclass(frozen=True)
class Case:
    """The containers of each host, and the revision and folder of the upgrade. Which hosts are refused, and why.

    `worked`: files in the container of each host, which show that its service has worked.
    """

    node0: tuple[dict[str, Any], ...] = ()
    node1: tuple[dict[str, Any], ...] = ()
    revision: str = OLD
    folder: str = HERE
    refused: Mapping[str, str] = field(default_factory=dict)
    worked: tuple[str, str] = ("", "")


def both(*containers: dict[str, Any], refused: str = "", **others: Any) -> Case:
    return Case(
        containers,
        containers,
        refused=dict.fromkeys(("node0", "node1"), refused) if refused else {},
        **others,
    )


CASES = {
    "a first start": both(OTHER),
    "the same weights": both(RUNS),
    "other weights in another folder": both(RUNS, revision=NEW, folder=ELSEWHERE),
    "other weights in the same folder": both(RUNS, revision=NEW, refused="weights"),
    "a stopped service": both(STOPPED),
    "other weights for a stopped service": both(STOPPED, revision=NEW, refused="weights"),
    # The new container runs already, and the rollback would return to the backup.
    "an upgrade that was interrupted": both(BACKUP, REPLACEMENT, revision=NEW, folder=ELSEWHERE),
    "the former weights again": both(BACKUP, REPLACEMENT),
    "other weights in the folder of a backup": both(BACKUP, REPLACEMENT, revision=NEW, refused="weights"),
    "other weights under what replaced a backup": both(
        BACKUP, REPLACEMENT, revision=LATEST, folder=ELSEWHERE, refused="weights"
    ),
    "other weights for what never ran": both(
        BACKUP, {**REPLACEMENT, "State": "created"}, revision=LATEST, folder=ELSEWHERE
    ),
    "the folder of a backup whose successor has worked": both(
        BACKUP, REPLACEMENT, revision=LATEST, worked=(CHECKED, READY)
    ),
    "the folder of a backup whose successor has worked on one host": both(
        BACKUP, REPLACEMENT, revision=LATEST, worked=(CHECKED, ""), refused="weights"
    ),
    "other weights under a stopped service that has worked": both(
        BACKUP,
        {**REPLACEMENT, "State": "exited"},
        revision=LATEST,
        folder=ELSEWHERE,
        worked=(READY, READY),
        refused="weights",
    ),
    "a host more": both(container(hosts=1), refused="hosts"),
    "a host less": both(container(hosts=3), refused="hosts"),
    "a host more, of a backup": both(container(f"{NAME}-backup", hosts=1), refused="hosts"),
    "a host more, stopped": both(container(state="exited", hosts=1), refused="hosts"),
    "another host": Case((RUNS,), (), refused={"node1": "containers"}),
    "another head": Case((OTHER,), (RUNS,), refused={"node0": "containers"}),
    "a backup on one of the hosts": Case((BACKUP,), (RUNS,)),
}


def docker_facts(containers: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Return what the stage preflight knows of the containers of a host."""
    running = docker.running(containers)
    return {
        "container_names": sorted(docker.container_names(containers).values()),
        "served": docker.served(running),
        "stopped": docker.served(one for one in containers if one not in running),
    }


def play(name: str, case: Case) -> dict[str, Any]:
    facts = {"cacheable": True, "vllm_host_facts": {"docker": "{{ docker[inventory_hostname] }}"}}
    role = {
        "name": "ascend_ops.vllm.container",
        "tasks_from": "assert_upgradable",
        "rolespec_validate": False,
    }
    return {
        "name": name,
        "hosts": "vllm_head:vllm_workers",
        "gather_facts": False,
        "environment": {"WORKED": "{{ worked[inventory_hostname] }}"},
        "vars": {
            "worked": dict(zip(("node0", "node1"), case.worked, strict=True)),
            "docker": {"node0": docker_facts(case.node0), "node1": docker_facts(case.node1)},
            "vllm_model_revision": case.revision,
            "vllm_model_dir": case.folder,
        },
        "tasks": [
            {"ansible.builtin.set_fact": facts},
            {"ansible.builtin.import_role": role, "ignore_errors": True},
        ],
    }


@pytest.fixture(scope="module", name="refusals")
def refusals_of_each_case(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, dict[str, dict[str, str]]]]:
    """Return the messages: by case, host and task."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield refusals_in(tmp_path_factory.mktemp("upgradable"), monkeypatch)


def refusals_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, dict[str, str]]]:
    (folder / "plays.json").write_text(
        json.dumps([play(name, case) for name, case in CASES.items()]), encoding="utf-8"
    )
    (folder / "hosts.json").write_text(json.dumps(INVENTORY), encoding="utf-8")
    (folder / "docker").write_text(DOCKER, encoding="ascii")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    done = run(
        "ansible-playbook",
        "plays.json",
        *("-i", "hosts.json"),
        cwd=folder,
        ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, dict[str, str]]] = {}
    for ran in json.loads(done.stdout)["plays"]:
        by_host = found.setdefault(ran["play"]["name"], {})
        for task in ran["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("failed"):
                    name = task["task"]["name"].split(" : ")[-1]
                    by_host.setdefault(host, {})[name] = " ".join(result["msg"].split())
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_could_not_be_rolled_back_is_refused(refusals, name: str):
    refused = {host: {TASKS[what]} for host, what in CASES[name].refused.items()}
    assert {host: set(messages) for host, messages in refusals[name].items()} == refused, refusals[name]


@pytest.mark.parametrize(
    ("name", "host", "what", "texts"),
    [
        (
            "other weights in the same folder",
            "node1",
            "weights",
            ("Host node1, stage weights", HERE, OLD, NEW, "Set vllm_model_dir", "Nothing was changed"),
        ),
        (
            "other weights in the folder of a backup",
            "node0",
            "weights",
            ("Host node0, stage weights", HERE, OLD, NEW, "Set vllm_model_dir", "Nothing was changed"),
        ),
        (
            "a host more",
            "node0",
            "hosts",
            ("Host node0", "present service: 1", "inventory: 2", "Run site.yml", "Nothing was changed"),
        ),
        (
            "another host",
            "node1",
            "containers",
            ("Host node1", f"no container {NAME} or {NAME}-backup", "Run site.yml", "Nothing was changed"),
        ),
    ],
)
def test_a_refusal_says_what_was_found_and_what_to_do(refusals, name, host, what, texts):
    message = refusals[name][host][TASKS[what]]
    assert [text for text in texts if text not in message] == [], message
