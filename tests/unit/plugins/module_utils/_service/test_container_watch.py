# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as Docker shows it: that it runs, that it restarted, and what its log says about the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import DockerError, unix_time
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import container_watch
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.container_watch import (
    ContainerDied,
    ContainerWatch,
)
from docker_daemon import Daemon, docker_daemon

BEGAN = "2026-01-01T10:00:00.000000000Z"
FULL = "RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB"
END = "[supervisor] stopping: vLLM on host 1 exited with code 1"


def state(**changed: Any) -> dict[str, Any]:
    usual = {
        "Running": True,
        "Restarting": False,
        "StartedAt": BEGAN,
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
    }
    return {"State": {**usual, "Error": "", **changed}, "RestartCount": 2}


@pytest.fixture(name="daemon")
def running_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(container_watch, "SETTLE_SECONDS", 0)
    with docker_daemon(tmp_path, {"/containers/vllm/json": state()}) as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon.socket}")
        yield daemon


def at(second: int) -> str:
    return f"2026-01-01T10:00:{second:02}.000000000Z"


def log(daemon: Daemon, *lines: tuple[int, str], since: str = BEGAN) -> None:
    """Let the container have printed these lines, with their seconds, since a time."""
    path = f"/containers/vllm/logs?stdout=1&stderr=1&timestamps=1&tail={container_watch.LOG_LINES}&since={unix_time(since)}"
    daemon.answers[path] = "".join(f"{at(second)} {text}\n" for second, text in lines).encode()


def test_a_container_that_runs(daemon):
    watch = ContainerWatch("vllm")
    assert (watch.started, watch.timeline(), watch.findings()) == ("", [], [])
    watch.check_running()
    assert watch.started == BEGAN
    watch.check_running()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Running": False, "Status": "exited", "ExitCode": 3}, "exited, exit code 3"),
        ({"Running": False, "Status": "exited", "ExitCode": 137, "OOMKilled": True}, "exited, exit code 137, killed for lack of memory"),
        ({"Running": False, "Status": "created", "ExitCode": 127, "Error": "no such file"}, "created, exit code 127 (no such file)"),
        ({"Restarting": True, "Status": "restarting", "ExitCode": 1}, "restarting, exit code 1"),
        ({"Paused": True, "Status": "paused"}, "paused, exit code 0"),
        ({"StartedAt": at(9)}, "running, but has restarted meanwhile (2 restarts)"),
    ],
)  # fmt: skip
def test_a_container_that_does_not_run_or_restarted(daemon, changed, said):
    watch = ContainerWatch("vllm", BEGAN)
    daemon.answers["/containers/vllm/json"] = state(**changed)
    with pytest.raises(ContainerDied) as died:
        watch.check_running()
    assert str(died.value) == said


def test_a_container_that_docker_does_not_know(daemon):
    with pytest.raises(ContainerDied, match="no such container"):
        ContainerWatch("other").check_running()


def test_a_daemon_that_does_not_answer_says_nothing_about_the_container(daemon):
    daemon.status = 500
    with pytest.raises(DockerError):
        ContainerWatch("vllm", BEGAN).check_running()


def test_the_log_is_read_once_and_on(daemon):
    watch = ContainerWatch("vllm", BEGAN)
    log(daemon, (1, "one"), (2, "two"))
    watch.check_log()
    log(daemon, (2, "two"), (3, "three"), since=at(2))
    watch.check_log()
    assert watch.tail() == "  one\n  two\n  three"


def test_a_vllm_that_exited_is_seen_with_its_cause(daemon):
    watch = ContainerWatch("vllm", BEGAN)
    log(daemon, (1, FULL), (2, END))
    with pytest.raises(ContainerDied, match="vLLM in it has exited"):
        watch.check_log()
    assert watch.findings()[0].line == FULL


def test_a_worker_without_a_head_is_dead_once_it_says_so(daemon):
    """Not by the times of its log: NTP may set the clock of a host that has just booted."""
    watch = ContainerWatch("vllm", BEGAN)
    log(daemon, (1, "[supervisor] cannot connect to the head at 10.0.0.10:8083: x; retrying"))
    watch.check_log()
    log(daemon, (46, "[supervisor] no connection to the head at 10.0.0.10:8083 for 45 s"), since=at(1))
    for _poll in range(2):
        with pytest.raises(ContainerDied, match="without a connection to the head"):
            watch.check_log()
        log(daemon, since=at(46))
    log(daemon, (50, "[supervisor] connected to the head at 10.0.0.10:8083"), since=at(46))
    watch.check_log()


def test_a_container_without_a_log_is_no_failure(daemon):
    watch = ContainerWatch("vllm", BEGAN)
    watch.check_log()
    assert watch.lines == []


def test_the_stages_count_from_the_start_of_the_container(daemon):
    watch = ContainerWatch("vllm", BEGAN)
    log(
        daemon, (7, "INFO 01-01 10:00:07 [api_server.py:1] Starting vLLM API server 0 on http://0.0.0.0:8080")
    )
    watch.check_log()
    assert watch.timeline()[0]["seconds"] >= 0


def test_what_was_read_counts_when_docker_is_gone(daemon):
    watch = ContainerWatch("vllm", BEGAN)
    log(daemon, (1, FULL))
    watch.check_log()
    log(daemon, since=at(1))
    daemon.status = 500
    assert watch.findings()[0].line == FULL
    with pytest.raises(DockerError):
        watch.check_log()
