"""Run commands, and report what the lab does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LOCK = Path("/run/lock/ascend-ops-lab")

# What a node or a service of the lab inherits: nothing of this machine's proxies, certificates or package indexes.
CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class LabError(Exception):
    """Something a person can act on; its text says what."""


def say(message: str) -> None:
    print(message, flush=True)


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell what begins, and how long it took."""
    say(f"{what} ...")
    begin = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begin:.1f} s")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One command at a time changes the lab."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another lab command is at work; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(argv: Sequence[str | Path], stdin: str | None = None) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        command = " ".join(map(str, argv))
        raise LabError(f"`{command}` ended with {done.returncode}:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, but nothing of what should be mounted there."""
    run(["rm", "-rf", "--one-file-system", path])


def run_logged(argv: Sequence[str | Path], log: Path) -> None:
    """Run a long command; only when it fails its output matters."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as handle:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
    if done.returncode:
        raise LabError(
            f"`{' '.join(map(str, argv))}` ended with {done.returncode}; the end of {log}:\n{tail(log)}"
        )


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
