# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hub, counting the bytes it gives, as slow as asked, and doing wrong when told to."""

from __future__ import annotations

import socket
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
    """What goes wrong with the next requests whose path has *text* in it: an error, an end in mid-body, or a byte that is not the file's."""

    text: str
    times: int = 1
    status: HTTPStatus | None = None
    drop_after: int | None = None
    corrupt: bool = False


class Faults(Handler):
    """Plays the faults of its hub."""

    server: FaultyHub

    def _get(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.fault = self.server.next_fault(self.path)
        if self.fault and self.fault.status:
            raise Refused(self.fault.status, (int(self.fault.status), self.fault.status.phrase))
        super()._get(path, query, body)

    def _send(self, file: BinaryIO, first: int, count: int) -> None:
        each = self.server.bytes_per_second_each
        if not self.fault and not self.server.bytes_per_second and not each:
            self.server.pace(count)
            super()._send(file, first, count)
            return
        file.seek(first)
        sent, began = 0, time.monotonic()
        while sent < count:
            if self.fault and self.fault.drop_after is not None and sent >= self.fault.drop_after:
                raise ConnectionResetError
            piece = file.read(min(PIECE, count - sent))
            if self.fault and self.fault.corrupt and sent == 0:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            self.server.pace(len(piece))
            self.connection.sendall(piece)
            sent += len(piece)
            if each:
                time.sleep(max(0, began + sent / each - time.monotonic()))


class FaultyHub(Hub):
    """A hub that starts and stops within a test."""

    def __init__(self, address: tuple[str, int], root: Path, repo: str, token: str) -> None:
        super().__init__(address, Repository(root, repo), Tokens(token), Faults)
        self.repository.commit()
        self.faults: list[Fault] = []
        self.sent = self.requests = 0
        self.bytes_per_second: float | None = None  # of all connections together
        self.bytes_per_second_each: float | None = None
        self._lock = threading.Lock()
        self._next = 0.0
        self._connections: list[socket.socket] = []

    def next_fault(self, path: str) -> Fault | None:
        """Return the fault that this request meets."""
        with self._lock:
            self.requests += 1
            for fault in self.faults:
                if fault.text in path and fault.times > 0:
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
        self._connections.append(connection)
        return connection, address

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
