# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python imports this first, where it is in PYTHONPATH: the time of day is as far ahead as the file says that WALL_CLOCK names.

The clocks that only count go on, as they do when NTP sets the time of day.
"""

import os
import time

time_of_day, time_of_day_ns, any_clock = time.time, time.time_ns, time.clock_gettime


def ahead() -> float:
    with open(os.environ["WALL_CLOCK"], encoding="ascii") as file:
        return float(file.read())


def gettime(clock: int) -> float:
    return any_clock(clock) + (ahead() if clock == time.CLOCK_REALTIME else 0)


time.time = lambda: time_of_day() + ahead()
time.time_ns = lambda: time_of_day_ns() + int(ahead() * 1e9)
time.clock_gettime = gettime
