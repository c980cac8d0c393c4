# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Busy, Job
from polling import wait_until

# Run in a process of its own, so that the fork does not copy pytest's threads.
PROGRAM = """
import sys, time
sys.path[:0] = [{tests!r}]
import conftest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background
background.LEASE_SECONDS = {lease}
def work(job):
    job.report(lambda: {{"stage": "counting", "done": 1}})
    {work}
    return {{"answer": 42}}
background.Job({folder!r}, {run!r}).begin(work)
"""


def begin(folder: Path, run: str, work: str = "pass", lease: int = 30) -> Job:
    program = PROGRAM.format(
        tests=str(Path(__file__).parents[4]), folder=str(folder), run=run, work=work, lease=lease
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    return Job(str(folder), run)


def pid(folder: Path) -> int:
    lock = folder / "lock"
    wait_until(lambda: lock.read_text(encoding="ascii"), 10, "the work has begun", every=0.01)
    return int(lock.read_text(encoding="ascii"))


def wait_for_the_end(process: int) -> None:
    wait_until(lambda: not Path(f"/proc/{process}").exists(), 10, f"process {process} ends")


def test_work_outlives_its_starter_and_returns_its_result_once(tmp_path: Path):
    job = begin(tmp_path / "job", "one", "time.sleep(3)")
    assert job.is_begun()
    assert job.poll(2) == {"run": "one", "stage": "counting", "done": 1}
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
    assert {file.name for file in (tmp_path / "job").iterdir()} == {"lock", "lease", "state.json"}


def test_private_files_are_removed_when_the_lease_ends(tmp_path: Path):
    begin(tmp_path / "job", "one", PRIVATE + "time.sleep(60)", lease=1)
    wait_for_the_end(pid(tmp_path / "job"))
    assert not (tmp_path / "job/private").exists()


@pytest.mark.parametrize("run", ["one", "two"])
def test_private_files_of_killed_work_are_removed_by_the_next_poll_or_run(tmp_path: Path, run: str):
    first = begin(tmp_path / "job", "one", PRIVATE + "time.sleep(60)")
    token = tmp_path / "job/private/secrets/token"
    wait_until(token.exists, 10, "the work has written its file")
    os.kill(pid(tmp_path / "job"), 9)
    if run == "one":
        assert first.poll(None)["result"]["failed"]
    else:
        begin(tmp_path / "job", "two", "time.sleep(3)")
    assert not token.exists()


def test_another_run_is_refused_while_the_work_is_polled(tmp_path: Path):
    job = begin(tmp_path / "job", "one", "time.sleep(60)")
    polling = subprocess.Popen(
        ["sh", "-c", 'while touch "$0/lease"; do sleep 0.2; done', str(tmp_path / "job")]
    )
    try:
        with pytest.raises(Busy):
            Job(str(tmp_path / "job"), "two").begin(lambda job: {})
    finally:
        polling.kill()
        polling.wait()
        os.kill(pid(tmp_path / "job"), 9)
    assert job.is_begun()


def test_another_run_takes_over_work_without_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(background, "STALE_SECONDS", 1)
    begin(tmp_path / "job", "one", "time.sleep(60)")
    first = pid(tmp_path / "job")
    lock = Job(str(tmp_path / "job"), "two")._take_lock()
    wait_for_the_end(first)
    os.close(lock)


def test_other_users_cannot_read_the_progress(tmp_path: Path):
    begin(tmp_path / "job", "one")
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700
