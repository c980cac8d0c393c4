"""Background processes of the lab, each known by a recorded pid.

A record also holds the process's start time: a pid that was given to somebody else's process since is never signalled.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from system import CLEAN_ENVIRONMENT, LabError


def start(record: Path, argv: Sequence[str | Path], log: Path, enter: Callable[[], None]) -> None:
    """Start a process that outlives this command; `enter` runs in it first."""
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            preexec_fn=enter,
        )
    record.write_text(f"{process.pid} {_start_time(process.pid)}\n", encoding="ascii")


def running(record: Path) -> int | None:
    """The pid of a recorded process, if it is still that process."""
    try:
        pid, started = record.read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == started else None


def end(record: Path, deadly: Callable[[int], None], seconds: float = 10) -> None:
    """End a recorded process by `deadly`, given its pid, and wait until it is gone."""
    pid = running(record)
    if pid is not None:
        handle = os.pidfd_open(pid)
        try:
            deadly(pid)
            if not select.select([handle], [], [], seconds)[0]:
                raise LabError(
                    f"process {pid} ({record.name}) does not end within {seconds:.0f} s; look at it with `ps -fp {pid}`"
                )
        finally:
            os.close(handle)
    record.unlink(missing_ok=True)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def children(pid: int) -> list[int]:
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def _start_time(pid: int) -> str | None:
    """Clock ticks from boot to the process's start; None for one that is gone or only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
