# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone_with(resource: str) -> Iterator[None]:
    """Hold *resource*, of which a machine has one, while the tests of the other pytest workers wait for it."""
    path = Path(tempfile.gettempdir()) / f"ascend-ops-tests-{os.getuid()}-{resource}.lock"
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
