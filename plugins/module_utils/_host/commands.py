# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run slow command line tools, many at a time, and give up on those that hang."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Callable, NamedTuple, Sequence, TypeVar, cast

# run_command() waits for a child that the kernel holds, has no terminal for it, and cannot write to it line by
# line.
# pylint: disable=ansible-bad-function

TIMEOUT = 30.0
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # a colour, or a movement of the cursor
SIDE_BY_SIDE = 16
ROWS = 1000  # of a terminal: room for a line of each thing that a tool reports on
COLUMNS = 160
SILENT = "no output"  # why a tool was ended

# Makes the kernel end a tool with its terminal. That must be the controlling one, and SIGHUP must not be ignored,
# as it is under nohup.
HANG_UP = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""

Result = TypeVar("Result")

_waiters: list[subprocess.Popen[bytes]] = []


class Streams(NamedTuple):
    """What a tool printed on each of its streams."""

    rc: int
    out: str
    err: str


class Output(NamedTuple):
    """What a tool printed on both streams. rc is None if it could not be run, or did not end in time."""

    rc: int | None
    text: str


def run(argv: Sequence[str], timeout: float = TIMEOUT) -> Output:
    """Run *argv* with the messages of the C locale, and without colours.

    A tool that a broken driver holds in the kernel cannot even be killed. subprocess.run() would wait for it
    after the kill; this does not.
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
    return Output(process.returncode, ESCAPE.sub("", raw.decode("utf-8", "replace")))


def on_terminal(argv: Sequence[str], take: Callable[[str], None], silence: float | None = None) -> int:
    """Run *argv* on a terminal of its own, and pass its output to *take*. Return its exit code.

    The terminal ends with this process, or after *silence* seconds without output, and the tool with the terminal.
    """
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", HANG_UP, *argv],
        stdin=other,
        stdout=other,
        stderr=other,
        env=dict(os.environ, TERM="xterm", LC_ALL="C"),
    )
    os.close(other)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with contextlib.suppress(OSError):  # the end of the output
        while select.select([own], [], [], silence)[0]:
            take(decode(os.read(own, 1 << 16)))  # at the end, Linux raises an error
        take(f"\r\n{SILENT} for {silence:.0f} seconds\r\n")
    os.close(own)
    return process.wait()


def side_by_side(jobs: Sequence[Callable[[], Result]], most: int = SIDE_BY_SIDE) -> list[Result]:
    """Return the results of *jobs*, in the same order. At most *most* run at the same time."""
    with ThreadPoolExecutor(most) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def after_this_process(argv: Sequence[str]) -> None:
    """Have *argv* run as soon as this process has ended, however it ends, and once more a little later.

    The second time is for children that end when they notice.
    """
    waiter = subprocess.Popen(
        ["/bin/sh", "-c", 'read line; "$@"; sleep 2; "$@"', "sh", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _waiters.append(waiter)  # its input stays open as long as this process lives


class LineProcess:
    """A process that reads its input line by line, and ends when its standard input is closed."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 open until end()
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            list(argv), bufsize=0, stdin=subprocess.PIPE, stdout=self._out, stderr=self._err
        )
        self._input = cast(IO[bytes], self._process.stdin)

    def send(self, line: str) -> None:
        """Send a line. If the process has ended, wait() tells why."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(line.encode() + b"\n")

    def wait(self) -> Streams:
        """Wait for the end of the process, and return its output."""
        self._process.wait()
        return Streams(self._process.returncode, _contents(self._out), _contents(self._err))

    def end(self) -> None:
        """Close the input, wait for the end of the process, and remove its output."""
        self._input.close()
        self._process.wait()
        self._out.close()
        self._err.close()


def _contents(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()
