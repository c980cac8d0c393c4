# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of long work, as text."""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def readable(size: int) -> str:
    """Return a number of bytes as text."""
    power = min(max(size.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{size / 1024**power:.1f} {UNITS[power]}" if power else f"{size} B"


def duration(seconds: float) -> str:
    """Return a number of seconds as text."""
    minutes = int(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"


def progress(stage: str, done: int, all_bytes: int | None, rate: float) -> str:
    """Return the progress of a stage: *done* of *all_bytes*, None if that is unknown, at *rate* bytes/s or 0."""
    speed = f", {readable(int(rate))}/s" if rate > 0 else ""
    if all_bytes is None:
        return f"{stage} {readable(done)}{speed}"
    percent = 100 * done // all_bytes if all_bytes else 100
    left = f"{speed}, {duration((all_bytes - done) / rate)} left" if rate > 0 and done < all_bytes else ""
    return f"{stage} {percent} %, {readable(done)} of {readable(all_bytes)}{left}"
