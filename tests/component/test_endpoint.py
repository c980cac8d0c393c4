# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_ready, endpoint_probe and engine_metrics as Ansible runs them, against a small server with vLLM's API."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_run import module

KEY = "a-key-of-the-test"
PLAIN = ["health", "models", "completion", "chat", "reasoning", "streaming", "wrong_model", "key_refused"]


class Api(BaseHTTPRequestHandler):
    """The answers of a model that always thinks, and then says who it is."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply(200 if time.monotonic() >= self.server.ready_at else 503, "")
        elif self.path == "/metrics":
            self.reply(200, self.server.metrics())
        elif self.headers.get("Authorization") != f"Bearer {KEY}":
            self.reply(401, json.dumps({"error": "Unauthorized"}))
        else:
            self.reply(200, json.dumps({"data": [{"id": "glm47", "max_model_len": 8192}]}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] != "glm47":
            self.reply(404, json.dumps({"error": {"message": "no such model"}}))
            return
        engine = self.headers.get("X-data-parallel-rank", "0")
        self.server.answered[engine if engine in self.server.ranks else "0"] += 1
        message = {"reasoning": "Who am I?", "content": self.server.content}
        if request.get("stream"):
            deltas = [{"choices": [{"delta": message, "finish_reason": "stop"}]}]
            self.reply(
                200, "".join(f"data: {json.dumps(delta)}\n\n" for delta in deltas) + "data: [DONE]\n\n"
            )
        else:
            self.reply(200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}))

    def reply(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.content = "I am GLM."
        self.ranks = ("0", "1")
        self.ready_at = 0.0
        self.answered = Counter({"0": 0, "1": 0})

    def metrics(self) -> str:
        sample = 'vllm:request_success_total{{engine="{}",finished_reason="stop",model_name="glm47"}} {}.0\n'
        return "".join(sample.format(rank, self.answered[rank]) for rank in self.ranks)


@pytest.fixture(name="server")
def running_server(monkeypatch) -> Iterator[Server]:
    """The server, on a machine whose environment names a proxy that does not exist."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def probe(server: Server, *options: str, **arguments: Any) -> dict[str, Any]:
    arguments = {"url": server.url, "model": "glm47", "api_key": KEY, "checks": PLAIN, **arguments}
    return module("endpoint_probe", arguments, *options)


def test_a_service_that_works(server):
    result = probe(server, engines=2)
    assert {name: check["ok"] for name, check in result["checks"].items()} == dict.fromkeys(PLAIN, True)
    assert all(count > 0 for count in result["engines"].values())
    assert result["answer"] == {"reasoning": "Who am I?", "content": "I am GLM."}
    assert result["ttft"] is not None


def test_all_failures_of_a_sick_service_are_reported(server):
    server.content, server.ranks = "Who am I?</think>I am GLM.", ("0",)
    result = probe(server, engines=2)
    assert {problem["where"] for problem in result["problems"]} == {"completion", "chat", "reasoning"}
    sick = {name for name, check in result["checks"].items() if not check["ok"]}
    assert sick == {"completion", "chat", "reasoning"}
    assert result["msg"].startswith("Host localhost\n")


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


def test_metrics(server):
    result = module("engine_metrics", {"url": server.url, "seconds": 0.1})
    assert result["answers"]
    assert [engine["engine"] for engine in result["engines"]] == [0, 1]
    server.shutdown()
    server.server_close()
    result = module("engine_metrics", {"url": server.url})
    assert (result["answers"], result["error"], result["engines"]) == (False, "connection refused", [])
