# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import SHOWN, shortened


@pytest.mark.parametrize(
    ("count", "end"), [(0, ""), (1, "0"), (10, "9"), (11, "9 and 1 more"), (30, "9 and 20 more")]
)
def test_many_paths_are_shortened(count: int, end: str):
    text = shortened([str(number) for number in range(count)])
    assert text == ", ".join([*map(str, range(min(count, SHOWN) - 1)), *([end] if end else [])])
