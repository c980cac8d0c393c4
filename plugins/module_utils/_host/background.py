# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work in a process of its own, which a module looks after in turns: it ends by itself once nobody looks any more."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
import time
from typing import Any, Callable

LEASE_SECONDS = 30  # without a look, after which the work ends itself
STALE_SECONDS = 10  # without a look, after which another run may end it
ORPHAN_SECONDS = 8  # in which the last look that an ended run had begun on the host comes to its end
TICK = 0.2


class Busy(Exception):
    """The work of another run goes on, and somebody looks after it."""


class Job:
    """The work of one run in *folder*, which holds a lock while it goes on, when somebody last looked, and how far it is."""

    def __init__(self, folder: str, run: str) -> None:
        self._folder, self._run = folder, run
        self._lock, self._lease, self._state = (
            os.path.join(folder, name) for name in ("lock", "lease", "state.json")
        )
        self._progress: Callable[[], dict[str, Any]] = dict

    def is_begun(self) -> bool:
        """Whether this run has begun its work."""
        return self._read().get("run") == self._run

    def begin(self, work: Callable[[Job], dict[str, Any]]) -> None:
        """Do the *work* in another process; its result is that of the job. Raises Busy if another run is at it."""
        lock = self._take_lock()
        self._look()
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

    def follow(self, seconds: float | None) -> dict[str, Any]:
        """Look after the work for some seconds, or to its end, and return how far it is; at its end, `result` is in it."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._look()
            alive = not self._is_free()
            state = self._read()
            if "result" in state:
                self._remove()
                return state
            if not alive:
                return {"result": {"failed": True, "msg": "the process that did the work was ended"}}
            if deadline is not None and time.monotonic() >= deadline:
                return state
            time.sleep(TICK)

    def report(self, progress: Callable[[], dict[str, Any]]) -> None:
        """From now on ask *progress* how far the work is."""
        self._progress = progress

    def private(self, name: str) -> str:
        """Return the path of a new folder for files that nobody else may read; it goes with the job."""
        path = os.path.join(self._folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700)
        return path

    def _carry_out(self, work: Callable[[Job], dict[str, Any]]) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.chdir("/")
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=[over], daemon=True)
        keeper.start()
        try:
            result = work(self)
        except BaseException as error:
            result = {"failed": True, "msg": f"{type(error).__name__}: {error}"}
        over.set()
        keeper.join()
        self._write({"run": self._run, "result": result})

    def _keep(self, over: threading.Event) -> None:
        """Write down how far the work is, and end it once nobody looks after it: what it started ends with it."""
        while not over.wait(1):
            if self._age() > LEASE_SECONDS:
                os._exit(1)
            self._write(dict(self._progress(), run=self._run))

    def _take_lock(self) -> int:
        """Return the lock, which the system lets go when the process ends, however it does. A job that nobody looks after any more is ended."""
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
        """Whether it is still the lock of the job, and not one that was just removed."""
        try:
            return os.path.samestat(os.fstat(lock), os.stat(self._lock))
        except FileNotFoundError:
            return False

    def _remove(self) -> None:
        """Leave nothing behind, unless another run has begun."""
        lock = os.open(self._lock, os.O_RDWR)
        deadline = time.monotonic() + 1
        while not _locked(lock) and time.monotonic() < deadline:
            time.sleep(TICK / 10)  # its last act was to write the result
        if _locked(lock):
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(lock)

    def _is_free(self) -> bool:
        try:
            lock = os.open(self._lock, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return _locked(lock)
        finally:
            os.close(lock)

    def _look(self) -> None:
        with open(self._lease, "w", encoding="ascii"):
            os.utime(self._lease)

    def _age(self) -> float:
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
        """Write it down in one step; where the disk is full, the one before stays."""
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
