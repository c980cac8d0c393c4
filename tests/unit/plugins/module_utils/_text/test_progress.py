# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import progress


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (717 << 30, "717.0 GiB"), (1 << 50, "1024.0 TiB")],
)
def test_sizes_are_readable(size: int, text: str):
    assert progress.readable(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (7265, "2 h 1 min")],
)
def test_times_are_readable(seconds: float, text: str):
    assert progress.duration(seconds) == text


def test_progress_has_percent_bytes_rate_and_time_left():
    assert (
        progress.progress("fetched", 3 << 30, 12 << 30, float(1 << 30))
        == "fetched 25 %, 3.0 GiB of 12.0 GiB, 1.0 GiB/s, 9 s left"
    )
    assert progress.progress("fetched", 3, 12, 0) == "fetched 25 %, 3 B of 12 B"
    assert progress.progress("fetched", 0, 0, 0) == "fetched 100 %, 0 B of 0 B"
    assert progress.progress("pulled", 3 << 30, None, float(1 << 30)) == "pulled 3.0 GiB, 1.0 GiB/s"
    assert progress.progress("pulled", 3, None, 0) == "pulled 3 B"
    assert progress.progress("fetched", 12, 12, 1.0) == "fetched 100 %, 12 B of 12 B"
