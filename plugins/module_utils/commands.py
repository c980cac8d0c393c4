# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run slow command line tools, many at a time, and give up on those that hang."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Callable, NamedTuple, Sequence, TypeVar

TIMEOUT = 30.0
SIDE_BY_SIDE = 16
GONE = select.POLLERR | select.POLLHUP

Result = TypeVar("Result")


class Streams(NamedTuple):
    """What a tool printed on each of its streams."""

    rc: int
    out: str
    err: str


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
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, LC_ALL="C"),
            start_new_session=True,
        )
    except OSError as error:
        return Output(None, f"{argv[0]}: {error.strerror}")
    try:
        raw = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what it started
        return Output(None, f"{' '.join(argv)}: no answer within {timeout:g} s")
    return Output(process.returncode, raw.decode("utf-8", "replace"))


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of *jobs* in their order, run at the same time."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def run_on_orders(argv: Sequence[str], orders: str) -> Streams:
    """Run *argv*, however long it takes, which reads *orders* and ends when its standard input does: then Ansible is gone."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(list(argv), bufsize=0, stdin=subprocess.PIPE, stdout=out, stderr=err) as process:
            try:
                process.stdin.write(orders.encode())  # type: ignore[union-attr]
            except BrokenPipeError:
                process.wait()  # it has ended, and says why
            _wait(process)
        return Streams(process.returncode, _contents(out), _contents(err))


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process, but not once Ansible is gone: it then has closed its end of our output."""
    ansible = select.poll()
    ansible.register(sys.stdout.fileno(), 0)
    while process.poll() is None:
        if any(events & GONE for _descriptor, events in ansible.poll(200)):
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()
            raise SystemExit(1)


def _contents(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()
