# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_ready, endpoint_probe and engine_metrics as Ansible runs them, against a small server with vLLM's API."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_run import module
from docker_daemon import docker_daemon
from vllm_standin import KEY, Asked, Said, Server, healthy

ALL = [
    "health", "models", "completion", "knows", "chat", "streaming", "reasoning", "thinking_off", "tool_call",
    "tool_call_no_arguments", "tool_call_streamed", "tool_call_no_arguments_streamed", "wrong_model", "key_refused",
]  # fmt: skip


@pytest.fixture(name="server")
def running_server(monkeypatch) -> Iterator[Server]:
    """The server, on a machine whose environment names a proxy that does not exist."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server() as server:
        yield server


def probe(server: Server, *options: str, **arguments: Any) -> dict[str, Any]:
    arguments = {"url": server.url, "model": "glm47", "api_key": KEY, **arguments}
    return module("endpoint_probe", arguments, *options)


def test_a_service_that_works(server):
    result = probe(server, engines=2)
    assert {name: check["ok"] for name, check in result["checks"].items()} == dict.fromkeys(ALL, True)
    assert all(count > 0 for count in result["engines"].values())
    assert result["answer"]["content"].startswith("I am GLM")
    assert (result["light"], result["warned"]) == (False, [])
    assert result["ttft"] is not None


def thinks_in_the_content(asked: Asked) -> Said:
    return Said("", "Who am I?</think>I am GLM.") if asked.thinks and not asked.tools else healthy(asked)


def test_all_failures_of_a_sick_service_are_reported(server):
    server.model, server.ranks = thinks_in_the_content, ("0",)
    result = probe(server, engines=2, checks=["completion", "chat", "reasoning", "wrong_model"])
    assert {problem["where"] for problem in result["problems"]} == {"completion", "chat", "reasoning"}
    sick = {name for name, check in result["checks"].items() if not check["ok"]}
    assert sick == {"completion", "chat", "reasoning"}
    assert result["msg"].startswith("Host localhost\n")


def test_what_the_model_decides_fails_only_if_strict(server):
    server.model = lambda asked: replace(healthy(asked), reasoning="")
    result = probe(server, checks=["chat", "reasoning"])
    assert [one["where"] for one in result["warned"]] == ["reasoning"]
    result = probe(server, checks=["chat", "reasoning"], strict=True)
    assert [one["where"] for one in result["problems"]] == ["reasoning"]


def test_a_service_that_has_passed_all_checks_gets_the_light_ones(server, tmp_path, monkeypatch):
    state = {"Running": True, "Restarting": False, "StartedAt": "2026-01-01T00:00:00Z"}
    container, file = "/containers/vllm/json", "/containers/vllm/archive?path=%2Fetc%2Fpassed"
    answers = {
        container: {"State": state, "RestartCount": 0},
        "/containers/vllm/archive?path=%2Fetc&noOverwriteDirNonDir=true": b"",
    }
    options = {"engines": 2, "container": "vllm", "record": "/etc/passed"}
    with docker_daemon(tmp_path, answers) as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon.socket}")
        assert probe(server, **options)["light"] is False
        (written,) = [body for method, _path, body in daemon.requests if method == "PUT"]
        answers[file] = written
        result = probe(server, **options)
        assert set(result["checks"]) == {"health", "models", "knows", "wrong_model", "key_refused"}
        answers[container]["State"]["StartedAt"] = "2026-01-02T00:00:00Z"
        assert probe(server, **options)["light"] is False


def test_only_health_is_asked_of_a_service_that_is_not_healthy(server):
    server.ready_at = float("inf")
    result = probe(server)
    assert [problem["where"] for problem in result["problems"]] == ["health"]
    assert "503" in result["problems"][0]["found"]


def test_a_check_skips_where_a_run_fails(server):
    server.ready_at = float("inf")
    with pytest.raises(AssertionError, match="SKIPPED"):
        probe(server, "--check")
    with pytest.raises(AssertionError, match="SKIPPED"):
        module("service_ready", {"url": server.url, "timeout": 60}, "--check")


def test_the_wait_ends_when_the_service_is_ready(server):
    server.ready_at = time.monotonic() + 6  # longer than one slice of waiting
    result = module("service_ready", {"url": server.url, "timeout": 60})
    assert (result["ready"], result["stage"]) == (True, "serving")


def test_the_wait_ends_when_the_time_is_over():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = module("service_ready", {"url": url, "timeout": 5})
    assert (result["ready"], result["died"]) == (False, False)
    assert result["problem"]["where"] == "host localhost"
    assert "connection refused" in result["problem"]["found"]


def test_a_container_that_docker_does_not_know_ends_the_wait(server):
    server.ready_at = float("inf")
    result = module("service_ready", {"url": server.url, "timeout": 60, "container": "no-such-container"})
    assert (result["ready"], result["died"], result["findings"]) == (False, True, [])
    assert "no-such-container" in result["problem"]["found"]


def test_a_container_that_restarts_between_two_slices_is_dead(server, tmp_path, monkeypatch):
    """Killed without a word, as for lack of memory, and started again at once. The old run's log counts."""
    server.ready_at = float("inf")
    old, new = "2026-01-01T00:00:00.5Z", "2026-01-01T00:10:00.5Z"
    state = {"Running": True, "Restarting": False, "StartedAt": new}
    line = "2026-01-01T00:09:59.5Z [supervisor] stopping: vLLM on host 0 exited with code -9\n"
    log = "/containers/vllm/logs?stdout=1&stderr=1&timestamps=1&tail=20000&since=1767225600.5"
    answers = {"/containers/vllm/json": {"State": state, "RestartCount": 1}, log: line.encode()}
    with docker_daemon(tmp_path, answers) as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon.socket}")
        options = {"url": server.url, "timeout": 60, "container": "vllm"}
        result = module("service_ready", {**options, "since": old})
        assert (result["died"], result["findings"][0]["id"]) == (True, "vllm_killed")
        result = module("service_ready", {**options, "timeout": 1})
        assert (result["died"], result["started"]) == (False, new)


def test_metrics(server):
    result = module("engine_metrics", {"url": server.url, "seconds": 0.1})
    assert result["answers"]
    assert [engine["engine"] for engine in result["engines"]] == [0, 1]
    server.shutdown()
    server.server_close()
    result = module("engine_metrics", {"url": server.url})
    assert (result["answers"], result["error"], result["engines"]) == (False, "connection refused", [])
