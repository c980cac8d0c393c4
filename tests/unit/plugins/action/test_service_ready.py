# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one host waits for the service, and what it learns from the others."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pytest
from actions import LOST, Clock, Site
from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.ascend_ops.vllm.plugins.action import service_ready
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.diagnosis import findings
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

PROBLEM = Problem("the container has exited", "it runs", "Read its log")
FULL = "RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB"
LOST_PEER = "[supervisor] stopping: host 1 reported: the engine exited with code 1"


def waiting(stage: str = "weights", progress: str = "loading weights") -> dict[str, Any]:
    return {"failed": True, "ready": False, "died": False, "stage": stage, "progress": progress,
            "started": "2026-01-01T10:00:00Z", **failure(PROBLEM)}  # fmt: skip


def died(line: str = "") -> dict[str, Any]:
    found = [dict(one.data(), kind=one.kind, at=one.at) for one in findings("", [Line(line)])] if line else []
    return {**waiting(), "died": True, "findings": found}


@pytest.fixture(name="clock")
def clock_without_pauses(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(service_ready, "time", clock)
    return clock


@pytest.fixture(name="site")
def site_of_two(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    return Site(tmp_path, {"all": {"hosts": {"node0": {}, "node1": {}}}})


def wait(site: Site, host: str, answers: Iterable[Any], **arguments: Any) -> Any:
    run = site.action("service_ready", host, answers, **arguments)
    run.action._task._uuid = "the-task"
    return run


def test_it_waits_in_slices_until_the_service_is_ready(site):
    run = wait(site, "node0", [waiting(), waiting(), {"ready": True}], url="http://a", timeout="100")
    assert run.result() == {"ready": True}
    assert [arguments["timeout"] for _module, arguments in run.modules] == [service_ready.SLICE_SECONDS] * 3
    assert "since" not in run.modules[0][1]
    assert [one["since"] for _module, one in run.modules[1:]] == ["2026-01-01T10:00:00Z"] * 2
    assert all(one["url"] == "http://a" for _module, one in run.modules)


def test_a_given_begin_stays(site):
    run = wait(site, "node0", [waiting(), {"ready": True}], since="2025-12-31T10:00:00Z")
    run.result()
    assert [one["since"] for _module, one in run.modules] == ["2025-12-31T10:00:00Z"] * 2


@pytest.mark.parametrize("timeout", [0, 3, service_ready.SLICE_SECONDS])
def test_the_last_slice_is_as_long_as_what_is_left(site, timeout):
    run = wait(site, "node0", [waiting()], timeout=timeout)
    result = run.result()
    assert result["failed"]
    assert run.modules[0][1]["timeout"] == timeout
    assert result["problem"]["where"] == "host node0"


def test_a_timeout_that_is_no_number_is_refused(site):
    assert "'soon'" in site.refusal("service_ready", "node0", timeout="soon")


def test_an_hour_is_the_time_without_a_given_one(site):
    assert wait(site, "node0", []).action._timeout() == 3600


def test_a_module_that_fails_for_itself_ends_the_wait(site):
    result = wait(site, "node0", [{"failed": True, "msg": "no Docker\nmore"}]).result()
    assert result["msg"] == "no Docker\nmore"
    other = wait(site, "node1", [waiting()]).result()
    assert "node0: no Docker" in other["problem"]["found"]
    assert "more" not in other["problem"]["found"]


def test_a_cause_on_this_host_is_told_with_its_own_problem(site):
    result = wait(site, "node0", [died(FULL)], role="ascend_ops.vllm.serve").result()
    assert result["problem"]["found"] == PROBLEM.found
    assert result["problem"]["where"] == "host node0, stage serve"
    assert (result["cause"]["host"], result["cause"]["severity"]) == ("node0", "fatal")


def test_a_cause_on_another_host_replaces_the_trace_on_this_one(site):
    wait(site, "node1", [died(FULL)]).result()
    result = wait(site, "node0", [{**died(LOST_PEER), "exception": "Traceback"}]).result()
    assert result["cause"]["host"] == "node1"
    assert result["problem"]["where"] == "host node1"
    assert result["problem"]["found"] == result["cause"]["cause"]
    assert FULL in result["msg"]
    assert f"On host node0: {PROBLEM.found}" in result["msg"]
    assert "exception" not in result


def test_a_trace_on_another_host_replaces_nothing(site):
    wait(site, "node1", [died(LOST_PEER)]).result()
    result = wait(site, "node0", [died()]).result()
    assert result["cause"]["host"] == "node1"
    assert result["problem"]["where"] == "host node0"
    assert result["problem"]["found"] == PROBLEM.found


def test_the_wait_ends_when_another_host_has_failed(site):
    wait(site, "node1", [died(FULL)]).result()
    result = wait(site, "node0", [waiting(), waiting()]).result()
    assert result["failed"]
    assert result["problem"]["where"] == "host node1"
    assert "ended on host node1" in result["msg"]


def test_a_failure_without_findings_elsewhere_is_named(site):
    wait(site, "node1", [died()]).result()
    result = wait(site, "node0", [waiting()]).result()
    assert "cause" not in result
    assert "node1" in result["problem"]["found"]
    assert "node1" in result["problem"]["remedy"]


def test_the_earliest_failure_is_named_whatever_the_clock_does(site, clock, tmp_path):
    for host in ("node1", "node0"):
        wait(site, host, [died()]).result()
        clock.sleep(0.02)
    for file in tmp_path.rglob("node1.failed"):
        os.utime(file, (time.time() + 3600, time.time() + 3600))
    result = wait(site, "node0", [waiting()]).result()
    assert "node1" in result["problem"]["found"]


def test_a_host_that_saw_a_trace_waits_for_the_cause(site, clock):
    began = clock.now
    wait(site, "node0", [died(LOST_PEER)]).result()
    assert clock.now - began >= service_ready.CAUSE_SECONDS
    began = clock.now
    wait(site, "node1", [waiting()], timeout=0).result()
    assert clock.now == began


def test_a_cause_ends_that_wait(site, clock):
    began = clock.now
    assert wait(site, "node0", [died(FULL)]).result()["cause"]["host"] == "node0"
    assert clock.now == began


def test_progress_is_shown_when_the_stage_changes_and_then_now_and_then(site, capsys, monkeypatch):
    answers = [waiting(), waiting(progress="more"), waiting("graph", "graph capture"), {"ready": True}]
    wait(site, "node0", list(answers)).result()
    assert capsys.readouterr().out == "node0: loading weights\nnode0: graph capture\n"
    monkeypatch.setattr(service_ready, "SHOW_SECONDS", 0)
    wait(site, "node0", [waiting(), *answers]).result()
    assert capsys.readouterr().out == "node0: loading weights\nnode0: more\nnode0: graph capture\n"


def test_a_lost_connection_is_no_failure_and_told_at_once(site, capsys):
    run = wait(site, "node0", [waiting(), LOST, LOST, {"ready": True}])
    run.options["reconnection_retries"] = 8
    assert run.result() == {"ready": True}
    assert run.connections == 2
    assert run.options == {"reconnection_retries": 0}
    shown = capsys.readouterr()
    assert "node0 cannot be reached" in shown.err
    assert "node0: cannot be reached" in shown.out


def test_a_host_that_stays_unreachable_is_told_to_the_others(site, monkeypatch):
    monkeypatch.setattr(service_ready, "UNREACHABLE_SECONDS", 0)
    with pytest.raises(AnsibleConnectionFailure):
        wait(site, "node0", [LOST]).result()
    assert "no connection" in wait(site, "node1", [waiting()]).result()["problem"]["found"]


def test_a_connection_that_comes_back_gets_its_time_again(site, monkeypatch):
    monkeypatch.setattr(service_ready, "UNREACHABLE_SECONDS", 1.5 * service_ready.RETRY_SECONDS)
    answers = [LOST, waiting(), LOST, waiting(), {"ready": True}]
    assert wait(site, "node0", answers).result() == {"ready": True}


def without_docker() -> dict[str, Any]:
    refused = Problem("the Docker daemon does not answer", "a working Docker daemon", "Start it")
    return {"failed": True, "ready": False, "died": False, "unread": True, "stage": None, **failure(refused)}


def test_a_daemon_that_comes_back_is_no_failure(site, capsys):
    answers = [waiting(), without_docker(), without_docker(), {"ready": True}]
    assert wait(site, "node0", answers).result() == {"ready": True}
    shown = capsys.readouterr()
    assert "node0: the Docker daemon does not answer" in shown.err
    assert "node0: Docker does not answer" in shown.out


def test_a_daemon_that_stays_away_is_told_to_the_others(site, clock):
    tries = service_ready.UNREACHABLE_SECONDS // service_ready.RETRY_SECONDS
    result = wait(site, "node0", [without_docker() for _try in range(tries + 1)]).result()
    assert (result["failed"], result["problem"]["remedy"]) == (True, "Start it")
    assert "does not answer" in wait(site, "node1", [waiting()]).result()["problem"]["found"]


LIMIT, LONGER = 3600, service_ready.PROGRESS_SECONDS


def passing(
    clock, seconds: float, count: int, stage: str = "weights", prefix: str = ""
) -> Iterator[dict[str, Any]]:
    """So many slices, each of them so many seconds long, with the next of the files if it has a *prefix*."""
    for number in range(count):
        clock.sleep(seconds)
        yield waiting(stage, f"{prefix}{number}" if prefix else "")


def test_a_start_that_gets_further_is_waited_for_longer(site, clock):
    slow = passing(clock, LONGER - 60, 10, prefix="file ")
    assert wait(site, "node0", chain(slow, [{"ready": True}]), timeout=LIMIT).result() == {"ready": True}
    assert clock.now > 2 * LIMIT


def test_a_start_that_stands_still_is_not(site, clock):
    began = clock.now
    result = wait(site, "node0", passing(clock, 60, 1000), timeout=LIMIT).result()
    assert result["failed"]
    assert LIMIT <= clock.now - began <= LIMIT + 60


def test_a_start_that_comes_to_a_halt_is_not_waited_for_any_longer(site, clock):
    began = clock.now
    slow = chain(passing(clock, 600, 10, prefix="file "), passing(clock, 60, 1000))
    assert wait(site, "node0", slow, timeout=LIMIT).result()["failed"]
    assert LONGER <= clock.now - began - 6000 <= LONGER + 120


def test_a_host_that_is_ready_waits_for_one_that_loads(site, clock):
    """As long as files come on the other one, whose action runs in another fork."""
    reports = service_ready.Reports("the-task")
    began = clock.now

    def slices() -> Iterator[dict[str, Any]]:
        for one in passing(clock, 60, 1000, "graph"):
            if clock.now - began <= 2 * LIMIT:
                reports.report_progress("node1")
            yield one

    assert wait(site, "node0", slices(), timeout=LIMIT).result()["failed"]
    assert 2 * LIMIT + LONGER <= clock.now - began <= 2 * LIMIT + LONGER + 120


def test_a_short_limit_is_prolonged_by_as_much(site, clock):
    began = clock.now
    slow = chain(passing(clock, 10, 5, prefix="file "), passing(clock, 10, 1000))
    assert wait(site, "node0", slow, timeout=30).result()["failed"]
    assert 80 <= clock.now - began <= 100


def test_a_connection_that_comes_and_goes_is_no_progress(site, clock):
    def slices() -> Iterator[Any]:
        for one in passing(clock, 60, 1000):
            yield one
            yield LOST

    began = clock.now
    assert wait(site, "node0", slices(), timeout=LIMIT).result()["failed"]
    assert clock.now - began <= LIMIT + 120
