# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is, for a person."""

from __future__ import annotations


def readable(size: int) -> str:
    """Return a number of bytes for a person."""
    power = min(max(size.bit_length() - 1, 0) // 10, 4)
    return f"{size / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}" if power else f"{size} B"


def duration(seconds: float) -> str:
    """Return a time for a person."""
    minutes = int(seconds) // 60
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{int(seconds)} s"
    )


def progress(stage: str, done: int, all_bytes: int | None, rate: float) -> str:
    """Return how far a stage is: bytes *done* of *all_bytes*, None where that is not known, at *rate* bytes/s, 0 where there is none yet."""
    speed = f", {readable(int(rate))}/s" if rate > 0 else ""
    if all_bytes is None:
        return f"{stage} {readable(done)}{speed}"
    percent = 100 * done // all_bytes if all_bytes else 100
    left = f"{speed}, {duration((all_bytes - done) / rate)} left" if rate > 0 and done < all_bytes else ""
    return f"{stage} {percent} %, {readable(done)} of {readable(all_bytes)}{left}"
