# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a secret can be seen on the nodes while something runs."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from lab import STATE


class Watch(threading.Thread):
    """Reads the arguments of every process and the settings of every container on the nodes, and keeps those with the secret in them."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret, self.seen, self.rounds, self.over = secret.encode(), set(), 0, threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for file in (
                *Path("/proc").glob("[0-9]*/cmdline"),
                *STATE.glob("nodes/*/docker/containers/*/config.v2.json"),
            ):
                with contextlib.suppress(OSError):  # it is gone
                    text = file.read_bytes()
                    if self.secret in text:
                        self.seen.add(text)
            self.rounds += 1
            time.sleep(0.05)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self.join()
