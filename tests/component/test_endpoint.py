# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_ready, endpoint_probe and engine_metrics as Ansible runs them, against small servers with vLLM's API.

Most calls are made in one run of Ansible.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from ansible_run import Call, modules
from docker_daemon import docker_daemon
from vllm_standin import KEY, Asked, Said, Server, healthy

ALL = [
    "health", "models", "completion", "knows", "chat", "streaming", "reasoning", "thinking_off", "tool_call",
    "tool_call_no_arguments", "tool_call_streamed", "tool_call_no_arguments_streamed", "wrong_model", "key_refused",
]  # fmt: skip


# As on a machine whose environment names a proxy that does not exist.
PROXY = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}


def probe(server: Server, check: bool = False, environment: dict[str, str] = PROXY, **arguments: Any) -> Call:
    arguments = {"url": server.url, "model": "glm47", "api_key": KEY, **arguments}
    return Call("endpoint_probe", arguments, check, environment=environment)


def wait_for(url: str, check: bool = False, environment: dict[str, str] = PROXY, **arguments: Any) -> Call:
    return Call("service_ready", {"url": url, "timeout": 60, **arguments}, check, environment=environment)


def thinks_in_the_content(asked: Asked) -> Said:
    return Said("", "Who am I?</think>I am GLM.") if asked.thinks and not asked.tools else healthy(asked)


def ready_later(server: Server) -> Callable[[Any], Any]:
    """Let the server become ready six seconds after the first question, which is more than one slice of waiting."""
    server.ready_at = float("inf")

    def asked(app: Any) -> Any:
        server.ready_at = min(server.ready_at, time.monotonic() + 6)
        return app

    return asked


def docker_after_a_restart() -> dict[str, Any]:
    """What Docker says of a container that was killed without a word, as for lack of memory, and started again."""
    state = {"Status": "running", "Running": True, "Restarting": False, "StartedAt": NEW}
    line = "2026-01-01T00:09:59.5Z [supervisor] stopping: vLLM on host 0 exited with code -9\n"
    log = "/containers/vllm/logs?stdout=1&stderr=1&timestamps=1&tail=20000&since=1767225600.5"
    return {"/containers/vllm/json": {"State": state, "RestartCount": 1}, log: line.encode()}


OLD, NEW = "2026-01-01T00:00:00.5Z", "2026-01-01T00:10:00.5Z"


@pytest.fixture(scope="module", name="results")
def results_of_calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("docker")
    with ExitStack() as stack:
        good, sick, silent, down, later = (stack.enter_context(Server()) for _ in range(5))
        sick.model, sick.ranks = thinks_in_the_content, ("0",)
        silent.model = lambda asked: replace(healthy(asked), reasoning="")
        down.ready_at = float("inf")
        later.middleware = ready_later(later)
        unused = stack.enter_context(socket.socket())
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        daemon = stack.enter_context(docker_daemon(folder, docker_after_a_restart()))
        docker = {**PROXY, "DOCKER_HOST": f"unix://{daemon.socket}"}
        some = {"checks": ["chat", "reasoning"]}
        return modules({
            "good": probe(good, engines=2),
            "sick": probe(sick, engines=2, checks=["completion", "chat", "reasoning", "wrong_model"]),
            "silent": probe(silent, **some),
            "silent: strict": probe(silent, **some, strict=True),
            "down": probe(down),
            "down: check": probe(down, check=True),
            "wait: check": wait_for(down.url, check=True),
            "wait: later": wait_for(later.url),
            "wait: nobody": wait_for(nobody, timeout=5),
            "wait: unknown": wait_for(down.url, environment=docker, container="no-such-container"),
            "wait: restarted": wait_for(down.url, environment=docker, container="vllm", since=OLD),
            "wait: new": wait_for(down.url, environment=docker, container="vllm", timeout=1),
            "metrics": Call("engine_metrics", {"url": good.url, "seconds": 0.1}, environment=PROXY),
            "metrics: nobody": Call("engine_metrics", {"url": nobody}, environment=PROXY),
        })  # fmt: skip


def test_a_service_that_works(results):
    result = results["good"]
    assert {name: check["ok"] for name, check in result["checks"].items()} == dict.fromkeys(ALL, True)
    assert all(count > 0 for count in result["engines"].values())
    assert result["answer"]["content"].startswith("I am GLM")
    assert (result["light"], result["warned"]) == (False, [])
    assert result["ttft"] is not None


def test_all_failures_of_a_sick_service_are_reported(results):
    result = results["sick"]
    assert {problem["where"] for problem in result["problems"]} == {"completion", "chat", "reasoning"}
    sick = {name for name, check in result["checks"].items() if not check["ok"]}
    assert sick == {"completion", "chat", "reasoning"}
    assert result["msg"].startswith("Host localhost\n")


def test_what_the_model_decides_fails_only_if_strict(results):
    assert [one["where"] for one in results["silent"]["warned"]] == ["reasoning"]
    assert [one["where"] for one in results["silent: strict"]["problems"]] == ["reasoning"]


def test_a_service_that_has_passed_all_checks_gets_the_light_ones(tmp_path):
    state = {"Status": "running", "Running": True, "Restarting": False, "StartedAt": "2026-01-01T00:00:00Z"}
    container, file = "/containers/vllm/json", "/containers/vllm/archive?path=%2Fetc%2Fpassed"
    answers = {
        container: {"State": state, "RestartCount": 0},
        "/containers/vllm/archive?path=%2Fetc&noOverwriteDirNonDir=true": b"",
    }
    options = {"engines": 2, "container": "vllm", "record": "/etc/passed"}
    with Server() as server, docker_daemon(tmp_path, answers) as daemon:
        ask = probe(server, environment={**PROXY, "DOCKER_HOST": f"unix://{daemon.socket}"}, **options)
        assert modules({"first": ask})["first"]["light"] is False
        (written,) = [body for method, _path, body in daemon.requests if method == "PUT"]
        answers[file] = written
        result = modules({"second": ask})["second"]
        assert set(result["checks"]) == {"health", "models", "knows", "wrong_model", "key_refused"}
        answers[container]["State"]["StartedAt"] = "2026-01-02T00:00:00Z"
        assert modules({"third": ask})["third"]["light"] is False


def test_only_health_is_asked_of_a_service_that_is_not_healthy(results):
    (problem,) = results["down"]["problems"]
    assert problem["where"] == "health"
    assert "503" in problem["found"]


@pytest.mark.parametrize("call", ["down", "wait"])
def test_a_check_skips_where_a_run_fails(results, call):
    assert results[f"{call}: check"]["skipped"] is True


def test_the_wait_ends_when_the_service_is_ready(results):
    result = results["wait: later"]
    assert (result["ready"], result["stage"]) == (True, "serving")


def test_the_wait_ends_when_the_time_is_over(results):
    result = results["wait: nobody"]
    assert (result["ready"], result["died"]) == (False, False)
    assert result["problem"]["where"] == "host localhost"
    assert "connection refused" in result["problem"]["found"]


def test_a_container_that_docker_does_not_know_ends_the_wait(results):
    result = results["wait: unknown"]
    assert (result["ready"], result["died"], result["findings"]) == (False, True, [])
    assert "no-such-container" in result["problem"]["found"]


def test_a_container_that_restarts_between_two_slices_is_dead(results):
    """The old run's log counts."""
    result = results["wait: restarted"]
    assert (result["died"], result["findings"][0]["id"]) == (True, "vllm_killed")
    result = results["wait: new"]
    assert (result["died"], result["started"]) == (False, NEW)


def test_metrics(results):
    result = results["metrics"]
    assert result["answers"]
    assert [engine["engine"] for engine in result["engines"]] == [0, 1]
    result = results["metrics: nobody"]
    assert (result["answers"], result["error"], result["engines"]) == (False, "connection refused", [])
