# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run slow command line tools, many at a time, and give up on those that hang."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import functools
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Callable, NamedTuple, Sequence, TypeVar

# run_command() waits for a child that the kernel holds, has no terminal for it and cannot write to it line by line.
# pylint: disable=ansible-bad-function

TIMEOUT = 30.0
SIDE_BY_SIDE = 16
ROWS = 1000  # of a terminal: room for a line of each thing that a tool tells of
COLUMNS = 160

# Has the system end a tool with its terminal, which therefore is its controlling one; under nohup it would not hear of that end.
HANG_UP = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""

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


def on_terminal(argv: Sequence[str], take: Callable[[str], None]) -> int:
    """Run *argv* on a terminal of its own, *take* what it writes, and return its exit code. It ends with this process, as the terminal does."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", HANG_UP, *argv],
        stdin=its,
        stdout=its,
        stderr=its,
        env=dict(os.environ, TERM="xterm", LC_ALL="C"),
    )
    os.close(its)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with contextlib.suppress(OSError):  # how a terminal that nobody writes to any more says so
        for block in iter(functools.partial(os.read, ours, 1 << 16), b""):
            take(decode(block))
    os.close(ours)
    return process.wait()


def side_by_side(jobs: Sequence[Callable[[], Result]], most: int = SIDE_BY_SIDE) -> list[Result]:
    """Return the results of *jobs* in their order, *most* of them run at the same time."""
    with ThreadPoolExecutor(most) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


class Ordered:
    """*argv*, which reads its orders line by line, and ends when its standard input does: then whoever gave them is gone."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 open until end()
        self._process = subprocess.Popen(
            list(argv), bufsize=0, stdin=subprocess.PIPE, stdout=self._out, stderr=self._err
        )

    def order(self, line: str) -> None:
        """Give an order; one that has ended says later why."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")  # type: ignore[union-attr]

    def wait(self) -> Streams:
        """Return what it said, once it has ended."""
        self._process.wait()
        return Streams(self._process.returncode, _contents(self._out), _contents(self._err))

    def end(self) -> None:
        """Have it end, if it has not yet, and forget it."""
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._out.close()
        self._err.close()


def _contents(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()
