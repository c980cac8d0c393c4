# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.web_folder import WebFolder

CONTENTS = {"config.json": b"{}", "sub/a b.safetensors": b"weights", "empty": b""}
FILES = [File(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in CONTENTS.items()]
SUMS = "".join(f"{file.sha256}  {file.path}\n" for file in FILES).encode()


class Handler(BaseHTTPRequestHandler):
    """Sends the byte that it is asked for, or the whole file, or another host's address."""

    protocol_version = "HTTP/1.1"
    server: Folder

    def do_GET(self) -> None:
        folder, (path, _mark, query) = self.server, self.path.partition("?")
        folder.queries.append(query)
        folder.headers.append(dict(self.headers))
        name = path.removeprefix("/moved")[1:]
        content = {"SHA256SUMS": folder.sums, "sub/a%20b.safetensors": b"weights", **CONTENTS}.get(name)
        if folder.moved and not path.startswith("/moved"):
            self._send(302, b"", Location=f"/moved{path}")
        elif content is None:
            self._send(404, b"")
        elif "Range" not in self.headers or not folder.ranges:
            self._send(200, content)
        elif content:
            self._send(206, content[:1], Content_Range=folder.span or f"bytes 0-0/{len(content)}")
        else:
            self._send(416, b"", Content_Range="bytes */0")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


class Folder(ThreadingHTTPServer):
    """A server of the folder; a test says what it can do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.sums, self.ranges, self.span, self.moved = SUMS, True, "", False
        self.queries: list[str] = []
        self.headers: list[dict[str, str]] = []


@pytest.fixture(name="folder")
def running_folder() -> Iterator[Folder]:
    folder = Folder()
    thread = threading.Thread(target=folder.serve_forever, args=[0.02])
    thread.start()
    yield folder
    folder.shutdown()
    thread.join()
    folder.server_close()


@pytest.mark.parametrize(("ranges", "moved"), [(True, False), (False, False), (True, True)])
def test_sizes_come_from_the_answers_for_a_byte(folder: Folder, ranges: bool, moved: bool):
    folder.ranges, folder.moved = ranges, moved
    found = WebFolder(folder.url, "").snapshot("", "any")
    assert found == ("", FILES)


def test_a_token_is_a_header_or_the_query_of_each_url(folder: Folder):
    WebFolder(folder.url, "secret").snapshot("", "any")
    assert {headers["Authorization"] for headers in folder.headers} == {"Bearer secret"}
    assert set(folder.queries) == {""}
    folder.headers.clear()
    folder.queries.clear()
    WebFolder(folder.url, "?sig={x}").snapshot("", "any")
    assert set(folder.queries) == {"sig=%7Bx%7D"}
    assert not any("Authorization" in headers for headers in folder.headers)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sums": None}, "SHA256SUMS is answered with HTTP 404"),
        ({"sums": SUMS + b"0" * 64 + b"  gone"}, "gone is answered with HTTP 404"),
        ({"span": "bytes 0-0/*"}, "config.json is answered with HTTP 206"),
        ({"span": "bytes 5-5/9"}, "config.json is answered with HTTP 206"),
    ],
)
def test_a_folder_that_does_not_tell_its_files_is_refused(folder: Folder, change: dict[str, Any], said: str):
    vars(folder).update(change)
    with pytest.raises(ProblemError) as caught:
        WebFolder(folder.url, "").snapshot("", "any")
    assert said in caught.value.problem.found
