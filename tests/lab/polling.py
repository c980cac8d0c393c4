"""The one way in which the lab and all tests wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], seconds: float, expected: str | Callable[[], str], every: float = 0.1
) -> float:
    """Wait until the condition is true; return how many seconds that took.

    *expected* says what should have happened. A function is called only when the time is over, so that it can
    quote a log.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {expected() if callable(expected) else expected}")
        time.sleep(every)
    return time.monotonic() - begin
