# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
import requests
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import endpoint, metrics
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Request
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client
from ports import free_port
from vllm_standin import KEY, Server


class Module:
    """A module that has ended when it says its result."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode

    def exit_json(self, **result: Any) -> NoReturn:
        raise SystemExit(result)

    def fail_json(self, **result: Any) -> NoReturn:
        raise SystemExit({"failed": True, **result})


@pytest.mark.parametrize(
    ("check", "result"),
    [
        (False, {"failed": True, "msg": "no answer", "url": "x"}),
        (True, {"changed": False, "skipped": True, "msg": "no answer", "url": "x"}),
    ],
)
def test_a_service_that_fails_is_skipped_in_check_mode(check: bool, result: dict[str, Any]):
    with pytest.raises(SystemExit) as ended:
        endpoint.fail(Module(check), "no answer", url="x")
    assert ended.value.code == result


def test_a_host_without_requests_is_told(monkeypatch: pytest.MonkeyPatch):
    endpoint.require_requests(Module(False))
    monkeypatch.setattr(endpoint, "REQUESTS_ERROR", "Traceback")
    with pytest.raises(SystemExit) as ended:
        endpoint.require_requests(Module(False))
    assert "requests" in ended.value.code["msg"]
    assert ended.value.code["exception"] == "Traceback"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.ReadTimeout("read timed out"), "no answer in time"),
        (requests.ConnectTimeout("x"), "no answer in time"),
        (
            requests.ConnectionError("Failed: [Errno 113] No route to host'))"),
            "no route to host",
        ),
        (requests.ConnectionError("[Errno -2] Name or service not known)"), "name or service not known"),
        (requests.ConnectionError("Connection  aborted."), "ConnectionError: Connection aborted."),
    ],
)
def test_why_there_is_no_answer_is_told_in_a_few_words(error: Exception, said: str):
    assert endpoint.transport_error(error) == said


def test_a_closed_port_is_no_answer():
    answer = Client(f"http://127.0.0.1:{free_port()}").health()
    assert (answer.status, answer.text, answer.error) == (0, "", "connection refused")


@pytest.fixture(name="silent")
def silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("body", "timeout", "seconds"),
    [({"max_tokens": 4}, None, 0.6), ({}, None, 0.2), (None, None, 0.2), ({"max_tokens": 4}, 0.1, 0.1)],
)
def test_the_time_for_an_answer_depends_on_its_tokens(
    silent: str, monkeypatch: pytest.MonkeyPatch, body: Any, timeout: float | None, seconds: float
):
    monkeypatch.setattr(endpoint, "SECONDS_PER_TOKEN", 0.1)
    began = time.monotonic()
    answer = Client(silent, None, 0.2).ask(Request("/x", body), timeout)
    assert answer.error == "no answer in time"
    assert seconds <= answer.seconds <= time.monotonic() - began


@pytest.mark.parametrize(
    ("key", "with_key", "status"),
    [(KEY, True, 200), (KEY, False, 401), ("wrong", True, 401), (None, True, 401)],
)
def test_a_request_has_the_key_if_it_is_to(key: str | None, with_key: bool, status: int):
    with Server() as server:
        answer = Client(server.url + "/", key).ask(Request("/v1/models", with_key=with_key))
    assert answer.status == status
    assert answer.error == ""


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server() as server:
        assert Client(server.url).health().status == 200


def test_engines_are_counted_by_their_answers():
    body = {"model": "glm47", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    with Server() as server:
        client = Client(server.url, KEY)
        before = metrics.answered(client.metrics().text)
        assert client.ask(Request("/v1/chat/completions", body, engine=1)).status == 200
        assert metrics.answered(client.metrics().text) == {**before, "1": before["1"] + 1}
        assert "vllm:num_requests_running" in client.metrics().text


def test_health_and_metrics_of_a_busy_api_are_waited_for():
    """Under load, one event loop has to answer them among all others."""
    with Server() as server:
        server.delay = lambda _path: 6
        client = Client(server.url, KEY, 1)
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda ask: ask(), (client.health, client.metrics)))
    assert [answer.status for answer in answers] == [200, 200]


def test_a_host_that_accepts_no_connection_is_given_up_sooner():
    """With a backlog that is full, it drops them."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _number in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        answer = Client(f"http://127.0.0.1:{listener.getsockname()[1]}").health(0.3)
    assert (answer.error, answer.seconds < 5) == ("no answer in time", True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["http://[::bad", "http://" + "a" * 70, "ftp://x/y", "/x"])
def test_a_redirect_that_leads_nowhere_is_no_answer(stream: bool, place: str):
    redirect = f"HTTP/1.1 307 Here\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(redirect.encode())

    with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        pool.submit(serve, listener)
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        answer = client.ask(Request("/v1/chat/completions", {"stream": stream, "max_tokens": 1}))
        listener.shutdown(socket.SHUT_RDWR)
    assert (answer.status, bool(answer.error)) == (0, True)
