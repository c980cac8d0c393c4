# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that answer what no server of their kind does, or without an end: each is refused, none is waited for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import server
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import Hub
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.huggingface import HuggingFace
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import pause_asked_for
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.web_folder import WebFolder

REPO, COMMIT = "owner/name", "c" * 40
FILE = {"Path": "config.json", "Type": "blob", "Size": 2, "Sha256": "1" * 64}
LARGE = {"type": "file", "path": "a.safetensors", "size": 2, "lfs": {"oid": "1" * 64}}


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the test says."""

    protocol_version = "HTTP/1.1"
    server: Liar

    def do_GET(self) -> None:
        with suppress(OSError):
            self.server.answer(self)

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        pass

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        given = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
        for name, value in given.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Liar(ThreadingHTTPServer):
    daemon_threads = True
    answer: Callable[[Handler], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(name="liar")
def running_liar() -> Iterator[Liar]:
    liar = Liar(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=liar.serve_forever, args=[0.05])
    thread.start()
    yield liar
    liar.shutdown()
    thread.join()
    liar.server_close()


def found(hub: server.Server) -> str:
    with pytest.raises(ProblemError) as caught:
        hub.snapshot(REPO, "main")
    return caught.value.problem.found


def listing(files: object, **more: object) -> dict[str, object]:
    return {"Code": 200, "Data": {"Files": files, **more}}


MODELSCOPE: dict[str, Any] = {
    "a mapping of files": listing({"a": 1}),
    "names alone": listing(["config.json"]),
    "no mapping at all": {"Code": 200, "Data": {"Files": 7}},
    "nothing for a file": listing([None]),
    "a name for the last commit": listing([FILE], LatestCommitter="an author"),
}
HUGGING_FACE: dict[str, tuple[Any, Any]] = {
    "no commit": ({}, []),
    "a list for the revision": ([], []),
    "nothing for the commit": ({"sha": None}, []),
    "a path for the commit": ({"sha": "../../x"}, []),
    "a mapping of files": ({"sha": COMMIT}, {"error": "x"}),
    "names alone": ({"sha": COMMIT}, ["a"]),
    "a text for the hash": ({"sha": COMMIT}, [{**LARGE, "lfs": "x"}]),
}


@pytest.mark.parametrize("data", MODELSCOPE.values(), ids=MODELSCOPE)
def test_a_modelscope_listing_of_another_form_is_refused(liar: Liar, data: object):
    liar.answer = lambda request: request.send(json.dumps(data).encode())
    assert "another form" in found(Hub(liar.url, ""))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([FILE, FILE], "'config.json' twice"),
        ([{**FILE, "Path": "../config.json"}], "unsafe path"),
        ([{**FILE, "Type": "tree"}], "no files in this revision"),
    ],
)
def test_files_that_cannot_be_side_by_side_are_refused(liar: Liar, files: list[Any], said: str):
    liar.answer = lambda request: request.send(json.dumps(listing(files)).encode())
    assert said in found(Hub(liar.url, ""))


def test_an_unsafe_path_of_hugging_face_is_refused(liar: Liar):
    def answer(request: Handler) -> None:
        tree = [{**LARGE, "path": "../../etc/cron.d/x"}]
        request.send(json.dumps({"sha": COMMIT} if "/revision/" in request.path else tree).encode())

    liar.answer = answer
    assert "unsafe path" in found(HuggingFace(liar.url, ""))


def test_small_files_of_hugging_face_may_be_elsewhere(liar: Liar):
    content = b"{}"
    name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    tree = [{"type": "file", "path": "config.json", "size": 2, "oid": name}]

    def answer(request: Handler) -> None:
        if "/resolve/" in request.path:
            request.send(b"", 302, Location="/moved/config.json")
        elif request.path.startswith("/moved/"):
            request.send(content)
        else:
            request.send(json.dumps({"sha": COMMIT} if "/revision/" in request.path else tree).encode())

    liar.answer = answer
    (file,) = HuggingFace(liar.url, "").snapshot(REPO, "main").files
    assert file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "HTTP 418, asked"),
        ({"X_Error_Message": "no tea"}, "HTTP 418, : no tea, asked"),
        ({"X_Error_Code": "Teapot"}, "HTTP 418, Teapot: , asked"),
    ],
)
def test_what_hugging_face_says_of_an_error_is_told(liar: Liar, headers: dict[str, str], said: str):
    liar.answer = lambda request: request.send(b"{}", 418, **headers)
    assert said in found(HuggingFace(liar.url, ""))


@pytest.mark.parametrize(
    ("login", "profile", "refused"),
    [(200, 500, None), (400, 200, None), (401, 200, None), (403, 200, None), (400, 401, True), (403, 403, True),
     (404, 200, False), (405, 401, False)],
)  # fmt: skip
def test_a_token_that_gets_no_login_may_have_a_profile(
    liar: Liar, login: int, profile: int, refused: bool | None
):
    def answer(request: Handler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length", 0)))
        request.send(b'{"Code": 200}', profile if request.path == "/openapi/v1/users/me" else login)

    liar.answer = answer
    hub = Hub(liar.url, "a token")
    if refused is None:
        hub.log_in()
        return
    with pytest.raises(ProblemError) as caught:
        hub.log_in()
    assert isinstance(caught.value, server.RefusedError) is refused


def test_json_that_is_nested_too_deeply_is_none(liar: Liar):
    liar.answer = lambda request: request.send(b"[" * 200_000)
    assert "without the hub's JSON" in found(Hub(liar.url, ""))
    assert "another form" in found(HuggingFace(liar.url, ""))


@pytest.mark.parametrize(("revision", "tree"), HUGGING_FACE.values(), ids=HUGGING_FACE)
def test_a_listing_of_hugging_face_of_another_form_is_refused(liar: Liar, revision: object, tree: object):
    def answer(request: Handler) -> None:
        request.send(json.dumps(revision if "/revision/" in request.path else tree).encode())

    liar.answer = answer
    assert "another form" in found(HuggingFace(liar.url, ""))


def test_pages_in_a_circle_come_to_an_end(liar: Liar):
    def answer(request: Handler) -> None:
        if "/revision/" in request.path:
            request.send(json.dumps({"sha": COMMIT}).encode())
        else:
            request.send(json.dumps([LARGE]).encode(), Link=f'<{liar.url}{request.path}>; rel="next"')

    liar.answer = answer
    assert "pages" in found(HuggingFace(liar.url, ""))


def drip(request: Handler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    for _byte in range(1000):
        request.wfile.write(b" ")
        time.sleep(0.1)


def test_an_answer_that_does_not_end_is_not_waited_for(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "WHOLE_SECONDS", 1)
    liar.answer = drip
    assert "has not ended its answer after 1 s" in found(Hub(liar.url, ""))


def test_of_a_file_that_is_tried_out_nothing_is_read(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    """A server that ignores the range sends the whole file, which may take hours."""
    monkeypatch.setattr(server, "WHOLE_SECONDS", 5)
    liar.answer = drip
    began = time.monotonic()
    Hub(liar.url, "").try_out(REPO, "master", "model.safetensors")
    assert time.monotonic() - began < 5


def packed(request: Handler) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(b" " * (1 << 20)) for _mebibyte in range(8)) + packer.flush()
    assert len(body) < 1 << 16
    request.send(body, Content_Encoding="gzip")


def plain(request: Handler) -> None:
    request.send(b" " * (8 << 20))


@pytest.mark.parametrize("answer", [packed, plain])
def test_an_answer_that_is_too_long_is_not_read_on(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Handler], None]
):
    monkeypatch.setattr(server, "MOST_BYTES", 4 << 20)
    liar.answer = answer
    assert "more than 4 MiB" in found(WebFolder(liar.url, ""))


def test_a_connection_that_breaks_in_an_answer_is_made_again(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "RECONNECT_PAUSES", (0.1,))
    body, broken = json.dumps(listing([FILE])).encode(), []

    def answer(request: Handler) -> None:
        if broken:
            request.send(body)
            return
        broken.append(request.path)
        request.send(body[:20], Content_Length=str(len(body)))
        request.close_connection = True

    liar.answer = answer
    assert Hub(liar.url, "").snapshot(REPO, "master").files


def test_a_server_that_limits_requests_is_asked_when_it_wants(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []
    monkeypatch.setattr(server, "time", SimpleNamespace(sleep=pauses.append))
    liar.answer = lambda request: request.send(b"{}", 429, Retry_After="55")
    assert "limits the requests" in found(HuggingFace(liar.url, ""))
    assert pauses == [55] * len(server.PAUSES)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("times", [1, len(server.PAUSES), len(server.PAUSES) + 1])
def test_a_busy_server_is_asked_some_times(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, status: int, times: int
):
    pauses: list[float] = []
    monkeypatch.setattr(server, "time", SimpleNamespace(sleep=pauses.append))

    def answer(request: Handler) -> None:
        busy = len(asked) < times
        asked.append(request.path)
        request.send(json.dumps(listing([FILE])).encode(), status if busy else 200)

    asked: list[str] = []
    liar.answer = answer
    if times <= len(server.PAUSES):
        assert Hub(liar.url, "").snapshot(REPO, "master").files
    else:
        assert f"HTTP {status}" in found(Hub(liar.url, ""))
    assert pauses == list(server.PAUSES[:times])
    assert len(asked) == min(times, len(server.PAUSES)) + 1


def test_a_refusal_is_not_asked_again(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "time", SimpleNamespace(sleep=None))
    liar.answer = lambda request: request.send(b"{}", 501)
    assert "HTTP 501" in found(Hub(liar.url, ""))


@pytest.mark.parametrize(("asked", "pause"), [("", 0), ("7", 7), ("-1", 0), ("1e9", 0), ("999999", 300)])
def test_a_server_may_ask_for_a_pause_but_not_for_any(asked: str, pause: int):
    assert pause_asked_for({"Retry-After": asked}) == pause
