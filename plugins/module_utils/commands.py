# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run slow command line tools, many at a time, and give up on those that hang."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple, Sequence, TypeVar

TIMEOUT = 30.0
SIDE_BY_SIDE = 16

Result = TypeVar("Result")


class Output(NamedTuple):
    """What a tool printed on both its streams; rc is None when it could not be run or did not end in time."""

    rc: int | None
    text: str


def run(argv: Sequence[str], timeout: float = TIMEOUT) -> Output:
    """Run *argv* with the messages of the C locale.

    A tool that a broken driver holds in the kernel cannot even be killed, so after the kill nobody waits for it:
    that is why this is not subprocess.run().
    """
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, LC_ALL="C")
        )  # fmt: skip
    except OSError as error:
        return Output(None, f"{argv[0]}: {error.strerror}")
    try:
        raw = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return Output(None, f"{' '.join(argv)}: no answer within {timeout:g} s")
    return Output(process.returncode, raw.decode("utf-8", "replace"))


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of *jobs* in their order, run at the same time."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]
