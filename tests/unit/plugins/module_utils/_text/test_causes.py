# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.causes import Cause, cause_in

FULL = Cause("No space.*device", "the disk is full", "space", "Make room")
ANY = Cause("device", "a device failed", "a device", "Look at it", passes=True)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("OSError: No space left on device", FULL),
        ("OSError: No space\nleft on device", FULL),
        ("no device", ANY),
        ("all is well", None),
        ("", None),
    ],
)
def test_the_first_cause_with_its_pattern_in_a_message(message: str, cause: Cause | None):
    assert cause_in((FULL, ANY), message) is cause


def test_a_cause_lasts_unless_it_says_otherwise():
    assert (FULL.passes, ANY.passes) == (False, True)
