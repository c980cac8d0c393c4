# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the Docker daemon, on a Unix socket, with answers that a test sets. The lab has the real one."""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Daemon:
    """Answers by path, as data or bytes; ``status`` is for all of them. What it does not have is 404."""

    socket: str
    answers: dict[str, Any]
    status: int = 200
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    kinds: list[tuple[str, str | None]] = field(default_factory=list)  # of the contents that were sent

    def answer(self, path: str) -> tuple[int, bytes]:
        if path not in self.answers:
            return 404, b'{"message": "No such thing"}'
        answer = self.answers[path]
        return self.status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


class Answers(dict[str, Any]):
    """Answers by path, whatever the version of the API and the query."""

    def __contains__(self, path: object) -> bool:
        return super().__contains__(self._plain(path))

    def __getitem__(self, path: str) -> Any:
        return super().__getitem__(self._plain(path))

    @staticmethod
    def _plain(path: object) -> str:
        return re.sub(r"^/v[0-9.]+|\?.*", "", str(path))


@contextmanager
def docker_daemon(folder: Path, answers: dict[str, Any]) -> Iterator[Daemon]:
    """Run the daemon with these answers, its socket in *folder*."""
    daemon = Daemon(str(folder / "docker.sock"), answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            daemon.requests.append((self.command, self.path, body))
            daemon.kinds.append((self.command, self.headers.get("Content-Type")))
            status, answer = daemon.answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_GET

        def address_string(self) -> str:
            return "client"

        def log_message(self, *_arguments: Any) -> None:
            pass

    with socketserver.UnixStreamServer(daemon.socket, Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield daemon
        finally:  # also when a module raises what ends it: with its socket closed, the thread would take a whole core
            server.shutdown()
