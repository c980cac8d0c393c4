# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a tool failed, by a pattern of its message, and what to do about it."""

from __future__ import annotations

import re
from typing import NamedTuple, Sequence


class Cause(NamedTuple):
    """A cause. One that *passes* may end by itself, so the tool is started again for a while."""

    regex: str
    found: str
    expected: str
    remedy: str
    passes: bool = False


def cause_in(causes: Sequence[Cause], message: str) -> Cause | None:
    """Return the first of *causes* whose pattern is in *message*, None if it is of no known kind."""
    return next((cause for cause in causes if re.search(cause.regex, message, re.S)), None)
