# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a host that the controller polls: an image's pull, a download of weights."""

from __future__ import annotations

import os
from typing import Any

import pytest
from actions import LOST, Clock, Site
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils import _polling

PROBLEM = failure(Problem("the disk is full", "space", "Make room"), failed=True)
PULL = {"name": "registry.example.com/vllm:1", "username": "robot", "password": "secret"}


def running(stage: str = "fetching", done: int = 0) -> dict[str, Any]:
    return {"running": True, "stage": stage, "done": done, "all": 100 * 10**9}


@pytest.fixture(name="site")
def site_of_one(tmp_path):
    return Site(tmp_path, {"all": {"hosts": {"node0": {}, "node1": {}}}})


@pytest.fixture(name="clock", autouse=True)
def clock_without_pauses(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_polling, "time", clock)
    return clock


def test_the_work_is_polled_until_it_ends(site):
    run = site.action("image_pull", "node0", [{"running": True}, running(), {"changed": True}], **PULL)
    assert run.result() == {"changed": True}
    assert [module for module, _arguments in run.modules] == ["ascend_ops.vllm.image_pull"] * 3
    first, *later = (arguments for _module, arguments in run.modules)
    assert first.items() > PULL.items()
    assert all(arguments["name"] == PULL["name"] for arguments in later)
    assert not any({"username", "password"} & arguments.keys() for arguments in later)
    assert len({arguments["_run"] for arguments in (first, *later)}) == 1
    assert [one["_wait"] for one in (first, *later)] == [_polling.FIRST_SECONDS, *[_polling.POLL_SECONDS] * 2]


def test_two_runs_are_different_ones(site):
    runs = [site.action("image_pull", "node0", [{}], **PULL) for _number in range(2)]
    for run in runs:
        run.result()
    assert len({arguments["_run"] for run in runs for _module, arguments in run.modules}) == 2


def test_progress_is_shown_when_a_stage_begins_and_then_now_and_then(site, capsys, clock):
    def answers():
        for number in range(5):
            clock.sleep(_polling.SHOW_SECONDS / 3)
            yield running(done=number * 10**9)
        yield running("verifying")
        yield {}

    site.action("image_pull", "node0", answers(), **PULL).result()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["fetching", "0"], ["fetching", "3"], ["verifying", "0"]]
    assert ["/s" in line for line in lines] == [False, True, False]
    assert "95.4 MiB/s" in lines[1]
    assert all(line.startswith("node0: ") for line in lines)


def test_a_failure_has_its_host_and_stage(site):
    run = site.action("image_pull", "node0", [running(), PROBLEM], role="ascend_ops.vllm.image", **PULL)
    result = run.result()
    assert result["problem"]["where"] == "host node0, stage image"
    assert result["msg"].startswith("Host node0, stage image\n")


@pytest.mark.parametrize("role", ["", "other.collection.image"])
def test_outside_of_this_collection_a_failure_has_its_host_alone(site, role):
    result = site.action("image_pull", "node0", [PROBLEM], role=role, **PULL).result()
    assert result["problem"]["where"] == "host node0"


def test_a_task_for_another_host_names_that(site):
    run = site.action("image_pull", "node0", [PROBLEM], **PULL)
    run.action._task.delegate_to = "node1"
    assert run.result()["problem"]["where"] == "host node1"


def test_a_lost_connection_is_endured(site, capsys):
    answers = [running(), LOST, LOST, running(), LOST, {"changed": True}]
    run = site.action("image_pull", "node0", answers, **PULL)
    assert run.result() == {"changed": True}
    assert run.connections == 3
    assert "node0 cannot be reached" in capsys.readouterr().err


def test_a_connection_that_stays_lost_is_an_error(site, monkeypatch):
    monkeypatch.setattr(_polling, "LOST_SECONDS", 2 * _polling.RECONNECT_SECONDS)
    run = site.action("image_pull", "node0", [running(), LOST, running(), LOST, LOST, LOST, {}], **PULL)
    with pytest.raises(AnsibleConnectionFailure):
        run.result()
    assert run.connections == 3


def test_a_host_that_was_never_reached_is_an_error_at_once(site):
    run = site.action("image_pull", "node0", [LOST, {}], **PULL)
    with pytest.raises(AnsibleConnectionFailure):
        run.result()
    assert run.connections == 0


def test_a_poll_of_an_ansible_that_is_gone_ends(site, monkeypatch):
    parents = iter([1000, 1000, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    run = site.action("image_pull", "node0", [running(), {}], **PULL)
    with pytest.raises(AnsibleActionFail):
        run.result()


@pytest.mark.parametrize(("check", "warned"), [(False, True), (True, False)])
def test_files_that_were_fetched_again_are_a_warning(site, check, warned):
    answers = [{"changed": True, "differing": ["a.safetensors"]}]
    result = site.action("weights_download", "node0", answers, check=check, repo="a/b").result()
    assert ("a.safetensors" in str(result.get("warnings"))) is warned
    assert "node0" in str(result.get("warnings", "node0"))


def test_files_that_are_all_right_are_no_warning(site):
    run = site.action("weights_download", "node0", [{"changed": False, "differing": []}], repo="a/b")
    assert "warnings" not in run.result()
    assert run.modules[0][0] == "ascend_ops.vllm.weights_download"
