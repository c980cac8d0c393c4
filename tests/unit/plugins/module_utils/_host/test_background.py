# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Busy, Job
from polling import wait_until
from wall_clock import DAY, WallClock

COLLECTIONS = str(Path(__file__).parents[5] / "collections")
# Run in a process of its own, so that the fork does not copy pytest's threads.
PROGRAM = """
import sys, time
sys.path[:0] = [{collections!r}]
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background
def work(job):
    job.report(lambda: {{"stage": "counting", "done": 1}})
    {work}
    return {{"answer": 42}}
background.Job({folder!r}, {run!r}, {task!r}, {lease}).begin(work)
"""


def begin(
    folder: Path,
    run: str,
    work: str = "pass",
    lease: int = 30,
    task: str = "",
    environment: dict[str, str] | None = None,
) -> Job:
    program = PROGRAM.format(
        collections=COLLECTIONS, folder=str(folder), run=run, work=work, lease=lease, task=task
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **(environment or {})})
    return Job(str(folder), run, task, lease)


def left_behind(folder: Path, seconds: float = 60, **changes: object) -> None:
    """Make the last poll so long ago."""
    lease = json.loads((folder / "lease.json").read_text(encoding="utf-8"))
    lease = {**lease, "polled": time.monotonic() - seconds, **changes}
    (folder / "new").write_text(json.dumps(lease), encoding="utf-8")
    (folder / "new").replace(folder / "lease.json")


PATIENCE = 60  # seconds that a busy machine may take


@pytest.fixture(name="over")
def file_that_ends_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "over"


def pid(folder: Path) -> int:
    lock = folder / "lock"
    wait_until(lambda: lock.read_text(encoding="ascii"), PATIENCE, "the work has begun", every=0.01)
    return int(lock.read_text(encoding="ascii").split()[1])


def wait_for_the_end(process: int) -> None:
    wait_until(lambda: not Path(f"/proc/{process}").exists(), PATIENCE, f"process {process} ends")


def until(file: Path) -> str:
    """Work that lasts until there is this file."""
    return f"import os\n    while not os.path.exists({str(file)!r}): time.sleep(0.05)"


def test_work_outlives_its_starter_and_returns_its_result_once(tmp_path: Path, over: Path):
    job = begin(tmp_path / "job", "one", until(over))
    assert job.is_begun()
    wait_until(lambda: job.poll(0) == {"stage": "counting", "done": 1}, PATIENCE, "it tells its progress")
    over.touch()
    assert job.poll(None)["result"] == {"answer": 42}
    assert not job.is_begun()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_a_result(tmp_path: Path):
    assert begin(tmp_path / "job", "one", "raise ValueError('no')").poll(None)["result"] == {
        "failed": True,
        "msg": "ValueError: no",
    }


def test_killed_work_is_reported(tmp_path: Path):
    job = begin(tmp_path / "job", "one", "time.sleep(60)")
    os.kill(pid(tmp_path / "job"), 9)
    assert job.poll(None)["result"]["failed"]


def test_work_without_polls_ends(tmp_path: Path):
    begin(tmp_path / "job", "one", "time.sleep(60)", lease=1)
    wait_for_the_end(pid(tmp_path / "job"))


PRIVATE = "open(job.private_dir('secrets') + '/token', 'w').close(); "


def test_private_files_are_removed_when_the_work_ends(tmp_path: Path):
    begin(tmp_path / "job", "one", PRIVATE)
    wait_for_the_end(pid(tmp_path / "job"))
    assert {file.name for file in (tmp_path / "job").iterdir()} == {"lock", "lease.json", "state.json"}


def test_private_files_are_removed_when_the_lease_ends(tmp_path: Path):
    begin(tmp_path / "job", "one", PRIVATE + "time.sleep(60)", lease=1)
    wait_for_the_end(pid(tmp_path / "job"))
    assert not list((tmp_path / "job").glob("private*"))


def test_private_files_are_removed_when_the_work_is_killed(tmp_path: Path):
    begin(tmp_path / "job", "one", PRIVATE + "time.sleep(60)")
    process = pid(tmp_path / "job")
    written = "job/private*/secrets/token"
    wait_until(lambda: list(tmp_path.glob(written)), PATIENCE, "the work has written its file")
    os.kill(process, 9)
    wait_until(lambda: not list(tmp_path.glob("job/private*")), PATIENCE, "nothing private is left")


@pytest.mark.parametrize("run", ["one", "two"])
def test_private_files_that_were_left_are_removed_by_the_next_poll_or_run(tmp_path: Path, run: str):
    """As after a power cut, if the folder is on a disk: nothing was left to remove them."""
    first = begin(tmp_path / "job", "one", "time.sleep(60)")
    token = tmp_path / "job/private.1/secrets/token"
    token.parent.mkdir(parents=True)
    token.touch()
    os.kill(pid(tmp_path / "job"), 9)
    if run == "one":
        assert first.poll(None)["result"]["failed"]
    else:
        begin(tmp_path / "job", "two", "time.sleep(3)")
    assert not token.exists()


def test_another_run_is_refused_while_the_work_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(background, "ORPHAN_SECONDS", 1)
    job = begin(tmp_path / "job", "one", "time.sleep(60)")
    process = pid(tmp_path / "job")
    polling = threading.Thread(target=job.poll, args=[None])
    polling.start()
    try:
        with pytest.raises(Busy):
            Job(str(tmp_path / "job"), "two").begin(lambda job: {})
    finally:
        os.kill(process, 9)
        polling.join()
    assert job.is_begun()


def test_another_run_ends_other_work_that_was_left_behind(tmp_path: Path):
    begin(tmp_path / "job", "one", "time.sleep(60)", lease=600, task="a model")
    first = pid(tmp_path / "job")
    left_behind(tmp_path / "job")
    lock = Job(str(tmp_path / "job"), "two", "another model")._take_lock()
    wait_for_the_end(first)
    assert lock is not None
    os.close(lock)


def test_another_run_goes_on_polling_the_same_work_that_was_left_behind(tmp_path: Path, over: Path):
    first = begin(tmp_path / "job", "one", until(over), lease=600, task="a model")
    left_behind(tmp_path / "job")
    second = Job(str(tmp_path / "job"), "two", "a model")
    second.begin(lambda job: {"answer": "of the second run"})
    assert (first.is_begun(), second.is_begun()) == (False, True)
    over.touch()
    assert second.poll(None)["result"] == {"answer": 42}


@pytest.mark.parametrize(
    ("lease", "seconds", "ends"), [(3600, 3000, False), (60, 70, True)], ids=["in hours", "in seconds"]
)
def test_work_goes_on_for_its_lease(tmp_path: Path, lease: int, seconds: int, ends: bool):
    begin(tmp_path / "job", "one", "time.sleep(60)", lease=lease)
    process = pid(tmp_path / "job")
    left_behind(tmp_path / "job", seconds)
    if ends:
        wait_for_the_end(process)
    else:
        time.sleep(2.5)
        assert Job(str(tmp_path / "job"), "two").stop()


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forward", "back"])
def test_a_step_of_the_hosts_clock_neither_ends_nor_prolongs_a_lease(tmp_path: Path, ahead: float):
    wall_clock = WallClock(tmp_path)
    environment = wall_clock.environment
    job = begin(tmp_path / "job", "one", f"time.sleep({2 * PATIENCE})", lease=5, environment=environment)
    process = pid(tmp_path / "job")
    job.poll(0)
    wall_clock.set_ahead(ahead)
    assert round(wall_clock.seen() / DAY) == ahead / DAY
    time.sleep(2.5)
    assert job.is_running()
    wait_for_the_end(process)


def test_a_lease_from_before_a_restart_of_the_host_is_over(tmp_path: Path):
    """Its time may be anything, also one that is still to come."""
    begin(tmp_path / "job", "one", "time.sleep(60)")
    process = pid(tmp_path / "job")
    left_behind(tmp_path / "job", -1e6, boot="another")
    wait_for_the_end(process)


def test_work_of_another_host_is_neither_ended_nor_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Users who may not write below /run have the folder in a cache directory, which hosts may share."""
    monkeypatch.setattr(background, "BUSY_SECONDS", 1)
    begin(tmp_path / "job", "one", "time.sleep(60)", task="a model")
    here = pid(tmp_path / "job")
    monkeypatch.setattr(background, "_boot", lambda: "another host")
    with pytest.raises(Busy):
        Job(str(tmp_path / "job"), "two", "a model").begin(lambda job: {})
    assert Path(f"/proc/{here}").exists()
    monkeypatch.undo()
    assert Job(str(tmp_path / "job"), "two").stop()


def test_work_is_stopped(tmp_path: Path):
    job = begin(tmp_path / "job", "one", PRIVATE + "time.sleep(60)")
    process = pid(tmp_path / "job")
    assert Job(str(tmp_path / "job"), "two").stop()
    wait_for_the_end(process)
    assert not (tmp_path / "job").exists()
    assert not job.stop()


def test_the_same_task_is_told_by_what_is_asked_for():
    params = {"dir": "/weights", "token": "secret", "lease": 600, "_run": "1", "_wait": 2}
    task = background.task_of(params)
    assert background.task_of({**params, "lease": 7200, "_run": "2", "_wait": 5}) == task
    assert background.task_of({**params, "token": "another"}) != task
    assert "secret" not in task


def test_other_users_cannot_read_the_progress(tmp_path: Path):
    begin(tmp_path / "job", "one")
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700
