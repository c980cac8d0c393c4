# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab can be asked for each release of the table."""

from __future__ import annotations

import pytest
import releases
from image import engine
from shipped import PROFILES
from system import LabError


@pytest.mark.parametrize("name", PROFILES.table()["releases"])
def test_the_packages_of_its_vllm_are_known(name: str) -> None:
    assert releases.find(name).vllm in engine.ENGINES


def test_another_release_is_refused_by_name() -> None:
    with pytest.raises(LabError, match=r"'0\.99\.0'.*0\.13\.0rc1, 0\.13\.0"):
        releases.find("0.99.0")
