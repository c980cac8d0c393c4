# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of safetensors with random content, as the weights of a model are."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

HEADER = 120  # bytes, padded with spaces
PIECE = 1 << 20


def write_shard(path: Path, size: int) -> None:
    """Write a file of safetensors of exactly that size, unlike any other."""
    with path.open("wb") as file:
        file.write(_header(size - 8 - HEADER))
        while file.tell() < size:
            file.write(os.urandom(min(PIECE, size - file.tell())))


def shard(size: int) -> bytes:
    """Return the content of such a file."""
    return _header(size - 8 - HEADER) + os.urandom(size - 8 - HEADER)


def _header(size: int) -> bytes:
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    return struct.pack("<Q", HEADER) + json.dumps({"weight": tensor}).encode().ljust(HEADER)
