# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work in a background process with a lease: it ends by itself once no module polls it any more."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
import time
from typing import Any, Callable, Dict

LEASE_SECONDS = 30  # without a poll, after which the work ends by itself
STALE_SECONDS = 10  # without a poll, after which another run may end the work
ORPHAN_SECONDS = 8  # in which the last poll of an ended run, already started on the host, returns
TICK = 0.2

Progress = Callable[[], Dict[str, Any]]
Report = Callable[[Progress], None]


class Busy(Exception):
    """The work of another run is in progress, and that run still polls it."""


class Job:
    """The work of one run. *folder* holds its lock, its lease and its state."""

    def __init__(self, folder: str, run: str) -> None:
        self._folder, self._run = folder, run
        self._lock = os.path.join(folder, "lock")  # locked by the process that works
        self._lease = os.path.join(folder, "lease")  # its modification time is that of the last poll
        self._state = os.path.join(folder, "state.json")  # progress, in the end the result
        self._private = os.path.join(folder, "private")  # files that only this user may read
        self._progress: Progress = dict

    def is_begun(self) -> bool:
        """Whether this run has begun its work."""
        return self._read().get("run") == self._run

    def begin(self, work: Callable[[Job], dict[str, Any]]) -> None:
        """Do the *work* in another process; what it returns is the job's result.

        Raises Busy while another run's work is in progress.
        """
        lock = self._take_lock()
        self._remove_private()  # of a job that was killed
        self._renew_lease()
        self._write({"run": self._run})
        child = os.fork()
        if child:
            os.close(lock)
            os.waitpid(child, 0)
            return
        try:
            os.setsid()
            if os.fork() == 0:
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                self._carry_out(work)
        finally:
            os._exit(0)

    def poll(self, seconds: float | None) -> dict[str, Any]:
        """Renew the lease for some seconds, or until the work ends, and return its progress.

        After its end, the progress has `result`, and the job is removed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._renew_lease()
            alive = not self._is_free()
            state = self._read()
            if "result" in state:
                self._remove()
                return state
            if not alive:
                self._remove_private()
                return {"result": {"failed": True, "msg": "The background process was killed."}}
            if deadline is not None and time.monotonic() >= deadline:
                return state
            time.sleep(TICK)

    def report(self, progress: Progress) -> None:
        """Take the progress from this function from now on."""
        self._progress = progress

    def private_dir(self, name: str) -> str:
        """Create a folder that only this user can read, and return its path. It is removed when the work ends."""
        path = os.path.join(self._private, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700)
        return path

    def _carry_out(self, work: Callable[[Job], dict[str, Any]]) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.chdir("/")
        over = threading.Event()
        heartbeat = threading.Thread(target=self._heartbeat, args=[over], daemon=True)
        heartbeat.start()
        try:
            result = work(self)
        except BaseException as error:
            result = {"failed": True, "msg": f"{type(error).__name__}: {error}"}
        over.set()
        heartbeat.join()
        self._remove_private()
        self._write({"run": self._run, "result": result})

    def _heartbeat(self, over: threading.Event) -> None:
        """Write the progress every second. When the lease is over, end the process and its children."""
        while not over.wait(1):
            if self._age() > LEASE_SECONDS:
                self._remove_private()
                os._exit(1)
            self._write(dict(self._progress(), run=self._run))

    def _take_lock(self) -> int:
        """Return the lock, which ends with the process that holds it. Kill a job that is no longer polled."""
        began, last = time.monotonic(), self._age()
        while True:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(lock) and self._is_in_place(lock):
                return lock
            waited = time.monotonic() - began
            if (self._age() < last and waited > ORPHAN_SECONDS) or waited > LEASE_SECONDS:
                raise Busy
            last = self._age()
            if last > STALE_SECONDS:
                with contextlib.suppress(ValueError, ProcessLookupError):
                    os.kill(int(os.pread(lock, 20, 0)), signal.SIGKILL)
            os.close(lock)
            time.sleep(TICK)

    def _is_in_place(self, lock: int) -> bool:
        """Whether the lock is still the job's, and not one that was just removed."""
        try:
            return os.path.samestat(os.fstat(lock), os.stat(self._lock))
        except FileNotFoundError:
            return False

    def _remove(self) -> None:
        """Remove the folder, unless another run has begun."""
        lock = os.open(self._lock, os.O_RDWR)
        deadline = time.monotonic() + 1
        while not _locked(lock) and time.monotonic() < deadline:
            time.sleep(TICK / 10)  # the process ends right after it has written the result
        if _locked(lock):
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(lock)

    def _remove_private(self) -> None:
        shutil.rmtree(self._private, ignore_errors=True)

    def _is_free(self) -> bool:
        try:
            lock = os.open(self._lock, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return _locked(lock)
        finally:
            os.close(lock)

    def _renew_lease(self) -> None:
        with open(self._lease, "w", encoding="ascii"):
            os.utime(self._lease)

    def _age(self) -> float:
        """Return the seconds since the last poll."""
        try:
            return time.time() - os.stat(self._lease).st_mtime
        except OSError:
            return LEASE_SECONDS + 1.0

    def _read(self) -> dict[str, Any]:
        try:
            with open(self._state, encoding="utf-8") as file:
                state = json.load(file)
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _write(self, state: dict[str, Any]) -> None:
        """Replace the state atomically. On a full disk the previous one stays."""
        with contextlib.suppress(OSError):
            with open(self._state + ".new", "w", encoding="utf-8") as file:
                json.dump(state, file)
            os.replace(self._state + ".new", self._state)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
