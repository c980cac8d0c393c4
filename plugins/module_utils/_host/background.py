# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work in a background process with a lease: it ends by itself once no module polls it any more."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import signal
import threading
import time
from typing import Any, Callable, Dict, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands

LEASE_SECONDS = 600  # by default: without a poll, after which the work ends by itself
LEAST_LEASE = 60  # two polls are some seconds apart, on a slow connection more
STALE_SECONDS = 10  # without a poll, after which another run may take over the work, or end it
ORPHAN_SECONDS = 8  # in which the last poll of an ended run, already started on the host, returns
BUSY_SECONDS = 30  # after which another run gives up, if it cannot tell who polls
STOP_SECONDS = 5  # in which work ends after a signal
TICK = 0.2
# It changes with each start of the host. Times of the monotonic clock are comparable within one only.
BOOT_ID = "/proc/sys/kernel/random/boot_id"

INTERNAL = ("state", "lease", "_run", "_wait")  # parameters of a module with such work

Progress = Callable[[], Dict[str, Any]]
Report = Callable[[Progress], None]


class Busy(Exception):
    """The work of another run is in progress, and that run still polls it."""


def task_of(params: Mapping[str, Any], not_of_it: Sequence[str] = ()) -> str:
    """Return what identifies the work that a module's parameters ask for: a hash, as there are secrets in them.

    The parameters *not_of_it* may differ from run to run, and so may those for this module.
    """
    same = {name: value for name, value in params.items() if name not in (*INTERNAL, *not_of_it)}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


class Job:
    """Work that one run begins, and that it or a later one polls. *folder* holds its lock, lease and state."""

    def __init__(self, folder: str, run: str, task: str = "", lease: float = LEASE_SECONDS) -> None:
        """*task* identifies what is to be done: a later run goes on polling work that has the same.

        *lease* is the time in seconds for which the work continues without a poll.
        """
        self._folder, self._run, self._task, self._seconds = folder, run, task, lease
        self._lock = os.path.join(folder, "lock")  # locked by the process that works, with its id
        self._lease = os.path.join(folder, "lease.json")  # who polled last, when, and how long that counts
        self._state = os.path.join(folder, "state.json")  # task and progress, in the end the result
        self._private = os.path.join(folder, "private")  # begins the names of folders for this user alone
        self._watched = ""
        self._progress: Progress = dict

    def is_begun(self) -> bool:
        """Whether this run polls the work: it has begun it, or taken it over."""
        return _read(self._lease).get("run") == self._run

    def begin(self, work: Callable[[Job], dict[str, Any]]) -> None:
        """Do the *work* in another process; what it returns is the job's result.

        The same work that another run has left behind is taken over as it is, other work is ended. Raises Busy
        while another run polls.
        """
        lock = self._take_lock()
        if lock is None:
            return
        os.ftruncate(lock, 0)
        self._remove_private()  # of a job that was killed
        _write(self._state, {"task": self._task})
        self._renew_lease()
        child = os.fork()
        if child:
            os.close(lock)
            os.waitpid(child, 0)
            return
        try:
            os.setsid()
            if os.fork() == 0:
                os.write(lock, f"{_boot()} {os.getpid()}".encode())
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
            alive = self.is_running()
            state = _read(self._state)
            state.pop("task", None)
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

    def is_running(self) -> bool:
        """Whether work is in progress, of whichever run."""
        try:
            lock = os.open(self._lock, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _locked(lock)
        finally:
            os.close(lock)

    def stop(self) -> bool:
        """End the work, whoever polls it. Return whether there was any."""
        running = self.is_running()
        deadline = time.monotonic() + STOP_SECONDS
        while self.is_running():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._lease)
            if time.monotonic() > deadline:
                self._kill()
            time.sleep(TICK)
        shutil.rmtree(self._folder, ignore_errors=True)
        return running

    def private_dir(self, name: str) -> str:
        """Create a folder that only this user can read, and return its path.

        It is removed when the work ends, also if it is killed.
        """
        folder = f"{self._private}.{os.getpid()}"
        if self._watched != folder:
            os.makedirs(folder, mode=0o700)
            commands.after_this_process(["rm", "-rf", folder])
            self._watched = folder
        path = os.path.join(folder, name)
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
        _write(self._state, {"task": self._task, "result": result})

    def _heartbeat(self, over: threading.Event) -> None:
        """Write the progress every second. When the lease is over, end the process and its children."""
        while not over.wait(1):
            lease = _read(self._lease)
            if _age(lease) > lease.get("seconds", 0):
                self._remove_private()
                os._exit(1)
            _write(self._state, dict(self._progress(), task=self._task))

    def _take_lock(self) -> int | None:
        """Return the lock, which ends with the process that holds it, or None for work that was taken over.

        Work is left behind when nobody has polled it for a while. If it is not the same, kill it.
        """
        began, last = time.monotonic(), _age(_read(self._lease))
        while True:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(lock) and self._is_in_place(lock):
                return lock
            os.close(lock)
            waited, age = time.monotonic() - began, _age(_read(self._lease))
            if (age < last and waited > ORPHAN_SECONDS) or waited > BUSY_SECONDS:
                raise Busy
            last = age
            if age > STALE_SECONDS:
                if age < float("inf") and _read(self._state).get("task") == self._task:
                    self._renew_lease()
                    return None
                self._kill()
            time.sleep(TICK)

    def _kill(self) -> None:
        """Kill the process that works, unless it is one of another host that shares the folder."""
        with contextlib.suppress(OSError, ValueError), open(self._lock, encoding="ascii") as lock:
            boot, process = lock.read().split()
            if boot == _boot():
                os.kill(int(process), signal.SIGKILL)

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
        for folder in glob.glob(glob.escape(self._private) + ".*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _renew_lease(self) -> None:
        lease = {"run": self._run, "boot": _boot(), "polled": time.monotonic(), "seconds": self._seconds}
        _write(self._lease, lease)


def _age(lease: dict[str, Any]) -> float:
    """Return the seconds since the last poll. A step of the host's clock does not count.

    Infinite if there was none since the host started, or if it came from another host that shares the folder.
    """
    return time.monotonic() - lease["polled"] if lease.get("boot") == _boot() else float("inf")


def _boot() -> str:
    with open(BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: str, content: dict[str, Any]) -> None:
    """Replace a file atomically. On a full disk the previous one stays."""
    new = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):
        with open(new, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(new, path)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
