# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hub, counting the bytes it gives, as slow as asked, and doing wrong when told to."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from hub.hub import Handler, Hub, Refused, Repository, Tokens

PIECE = 256 << 10


@dataclass
class Fault:
    """What goes wrong with the next requests whose path has *text* in it.

    An error *status*, an end after *drop_after* bytes of the body, or a byte that is not the file's (*corrupt*). The last
    two meet the request that gets the body: for a large file, that is the one to the CDN.
    """

    text: str
    times: int = 1
    status: HTTPStatus | None = None
    drop_after: int | None = None
    corrupt: bool = False


class Faults(Handler):
    """Plays the faults of its hub."""

    server: FaultyHub

    def _get(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.server.note_request(self.path)
        fault = self.server.next_fault(self.path, of_body=False)
        if fault and fault.status:
            raise Refused(fault.status, (int(fault.status), fault.status.phrase))
        super()._get(path, query, body)

    def _send(self, file: BinaryIO, first: int, count: int) -> None:
        if count == 1:  # a look whether it is reached
            super()._send(file, first, count)
            return
        each = self.server.bytes_per_second_each
        fault = self.server.next_fault(self.path, of_body=True)
        if not fault and not self.server.bytes_per_second and not each:
            self.server.pace(count)
            super()._send(file, first, count)
            return
        file.seek(first)
        sent, began = 0, time.monotonic()
        while sent < count:
            if fault and fault.drop_after is not None and sent >= fault.drop_after:
                raise ConnectionResetError
            piece = file.read(min(PIECE, count - sent))
            if fault and fault.corrupt and sent == 0:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            self.server.pace(len(piece))
            self.connection.sendall(piece)
            sent += len(piece)
            if each:
                time.sleep(max(0, began + sent / each - time.monotonic()))


class FaultyHub(Hub):
    """A hub that starts and stops within a test."""

    def __init__(
        self,
        address: tuple[str, int],
        root: Path,
        repo: str,
        token: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(address, Repository(root, repo), Tokens(token), Faults, tls=tls)
        self.repository.commit()
        self.faults: list[Fault] = []
        self.sent = 0  # bytes of files
        self.asked: list[str] = []  # the path of each request
        self.bytes_per_second: float | None = None  # of all connections together
        self.bytes_per_second_each: float | None = None
        self._lock = threading.Lock()
        self._next = 0.0
        self._connections: list[socket.socket] = []

    def note_request(self, path: str) -> None:
        """Note a request, to the hub or to its CDN."""
        with self._lock:
            self.asked.append(path)

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return len(self.asked)

    def next_fault(self, path: str, of_body: bool) -> Fault | None:
        """Return the fault that this request meets, of its status or *of_body*."""
        with self._lock:
            for fault in self.faults:
                if fault.text in path and fault.times > 0 and of_body == (fault.status is None):
                    fault.times -= 1
                    return fault
        return None

    def pace(self, count: int) -> None:
        """Count bytes, and wait until it is their turn: all connections share the rate."""
        with self._lock:
            self.sent += count
            if not self.bytes_per_second:
                return
            self._next = max(self._next, time.monotonic()) + count / self.bytes_per_second
            wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def get_request(self) -> tuple[socket.socket, object]:
        """Remember the connection."""
        connection, address = super().get_request()
        self.connected(connection)
        return connection, address

    def connected(self, connection: socket.socket) -> None:
        """Remember a connection to either socket."""
        self._connections.append(connection)

    @contextmanager
    def serving(self):
        """Answer, until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, args=[0.05])
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()
            for connection in self._connections:  # as when the process had ended
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
