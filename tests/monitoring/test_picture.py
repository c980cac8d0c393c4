# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the picture of the dashboard draws beside what."""

from __future__ import annotations

import re
from typing import Any

import pytest
from picture import LETTER, Panel


def panel(kind: str, name: str) -> Panel:
    content: dict[str, Any] = {
        "title": "Alerts",
        "type": kind,
        "gridPos": {"x": 0, "y": 0, "w": 12, "h": 7},
        "fieldConfig": {"defaults": {"unit": "short", "mappings": []}},
    }
    return Panel(content, {name: [(0.0, 1.0)], "short": [(89.5, 1.0)]}, 0, 90)


@pytest.mark.parametrize("name", ["node0 0", "SupervisorCountsFailures node0"])
@pytest.mark.parametrize("kind", ["table", "state-timeline"])
def test_a_bar_begins_behind_its_name(kind, name):
    drawn = panel(kind, name).svg()
    written = re.search(rf'<text x="(\d+)" y="\d+" >{name}<', drawn)
    bars = [
        (int(x), int(width)) for x, width in re.findall(r'<rect x="(\d+)" [^>]*?width="(\d+)"', drawn)[1:]
    ]
    assert written
    assert len(bars) == 2
    assert min(x for x, _width in bars) >= int(written[1]) + LETTER * len(name)
    assert max(x + width for x, width in bars) <= 12 * 46 - 8
