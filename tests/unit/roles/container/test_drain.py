# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What refuses requests while the service drains, around an application of the test."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from programs import PROGRAMS, load

drain = load(PROGRAMS / "drain.py")


@pytest.mark.parametrize(
    ("kind", "path", "draining", "passes"),
    [
        ("http", "/v1/chat/completions", False, True),
        ("http", "/v1/chat/completions", True, False),
        ("http", "/health", True, False),
        ("http", "/metrics", True, True),
        ("websocket", "/v1/realtime", True, True),
        ("lifespan", "", True, True),
    ],
)
def test_what_passes_while_the_service_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, path: str, draining: bool, passes: bool
):
    file, passed, sent = tmp_path / "draining", [], []
    monkeypatch.setenv("ASCEND_OPS_DRAINING", str(file))

    async def app(*what: Any) -> None:
        passed.append(what)

    async def receive() -> Any:
        assert not passes
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    refusal = drain.Refusal(app)
    if draining:
        file.touch()
    scope = {"type": kind, "path": path}
    asyncio.run(refusal(scope, receive, send))
    assert passed == [(scope, receive, send)] * passes
    if passes:
        assert sent == []
        return
    start, body = sent
    assert (start["type"], start["status"]) == ("http.response.start", 503)
    headers = dict(start["headers"])
    assert headers[b"content-length"] == b"%d" % len(body["body"])
    assert (headers[b"connection"], headers[b"content-type"]) == (b"close", b"application/json")
    assert body["type"] == "http.response.body"
    assert json.loads(body["body"])["error"]["code"] == 503


@pytest.mark.parametrize("last", [{"type": "http.request", "body": b"z"}, {"type": "http.disconnect"}])
def test_a_request_is_read_before_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: dict[str, Any]
):
    """The kernel resets a connection that is closed with bytes unread, and the client may see that instead of the answer."""
    file, happened = tmp_path / "draining", []
    file.touch()
    monkeypatch.setenv("ASCEND_OPS_DRAINING", str(file))
    parts = iter([{"type": "http.request", "body": b"x", "more_body": True}, last])

    async def receive() -> Any:
        happened.append("read")
        return next(parts)

    async def send(message: Any) -> None:
        happened.append(message["type"])

    asyncio.run(drain.Refusal(None)({"type": "http", "path": "/v1/chat/completions"}, receive, send))
    assert happened == ["read", "read", "http.response.start", "http.response.body"]
