# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a job: its lock, lease and state, without work in progress."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Busy, Job

OURS = "ours"


@pytest.fixture(name="folder")
def folder_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(background, "TICK", 0.01)
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


@pytest.fixture(name="held")
def lock_that_is_held(folder: Path) -> Iterator[int]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


@pytest.fixture(name="other")
def process_that_works() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def job(folder: Path, task: str = "", seconds: float = 30) -> Job:
    return Job(str(folder), OURS, task, seconds)


def write(folder: Path, name: str, **content: object) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def polled(folder: Path, ago: float, run: str = "theirs", boot: str | None = None) -> None:
    write(
        folder,
        "lease.json",
        run=run,
        boot=boot or background._boot(),
        polled=time.monotonic() - ago,
        seconds=600,
    )


def lease(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "lease.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize(
    ("text", "content"), [('{"a": 1}', {"a": 1}), ("[1]", {}), ("{", {}), ("", {}), (None, {})]
)
def test_what_is_no_mapping_says_nothing(tmp_path: Path, text: str | None, content: dict[str, int]):
    if text is not None:
        (tmp_path / "file").write_text(text, encoding="utf-8")
    assert background._read(str(tmp_path / "file")) == content


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path):
    background._write(str(tmp_path / "file"), {"a": 1})
    background._write(str(tmp_path / "file"), {"a": 2})
    assert background._read(str(tmp_path / "file")) == {"a": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    background._write(str(tmp_path / "none/file"), {"a": 1})


def test_the_age_of_a_lease_is_that_of_its_last_poll():
    now, boot = time.monotonic(), background._boot()
    assert 5 <= background._age({"boot": boot, "polled": now - 5}) < 60
    for unknown in ({}, {"boot": "another", "polled": now}):
        assert background._age(unknown) == float("inf")


def test_work_is_running_while_its_lock_is_held(folder: Path, held: int):
    assert job(folder).is_running()
    fcntl.flock(held, fcntl.LOCK_UN)
    assert not job(folder).is_running()
    assert not job(folder / "none").is_running()


def test_a_run_has_begun_what_its_lease_names(folder: Path):
    assert not job(folder).is_begun()
    polled(folder, 0)
    assert not job(folder).is_begun()
    polled(folder, 0, OURS)
    assert job(folder).is_begun()


@pytest.mark.usefixtures("held")
def test_a_poll_tells_the_progress_and_renews_the_lease(folder: Path):
    polled(folder, 100)
    write(folder, "state.json", task="x", done=1)
    assert job(folder, seconds=77).poll(0) == {"done": 1}
    assert (lease(folder)["run"], lease(folder)["seconds"]) == (OURS, 77)
    assert background._age(lease(folder)) < 60
    began = time.monotonic()
    assert job(folder).poll(0.2) == {"done": 1}
    assert time.monotonic() - began >= 0.2


def test_a_poll_of_work_that_is_gone_removes_what_is_private(folder: Path):
    (folder / "lock").touch()
    (folder / "private.1").mkdir()
    write(folder, "state.json", task="x", done=1)
    assert job(folder).poll(0)["result"]["failed"] is True
    assert not (folder / "private.1").exists()
    write(folder, "state.json", task="x", result={"a": 1})
    assert job(folder).poll(0) == {"result": {"a": 1}}
    assert not folder.exists()


def test_a_free_lock_is_taken_by_its_user_alone(folder: Path):
    folder.rmdir()
    lock = job(folder)._take_lock()
    assert lock is not None
    assert job(folder).is_running()
    assert (folder.stat().st_mode & 0o777, (folder / "lock").stat().st_mode & 0o777) == (0o700, 0o600)
    os.close(lock)


@pytest.mark.usefixtures("held")
def test_the_same_work_is_taken_over_once_it_is_left_behind(folder: Path):
    write(folder, "state.json", task="x")
    polled(folder, background.STALE_SECONDS + 5)
    assert job(folder, "x")._take_lock() is None
    assert lease(folder)["run"] == OURS


def test_other_work_that_is_left_behind_is_killed(folder: Path, held: int, other: subprocess.Popen[bytes]):
    os.write(held, f"{background._boot()} {other.pid}".encode())
    write(folder, "state.json", task="y")
    polled(folder, background.STALE_SECONDS + 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "BUSY_SECONDS", 0.3)
        with pytest.raises(Busy):
            job(folder, "x")._take_lock()  # the lock is still held here
    assert other.wait(60) == -9
    assert lease(folder)["run"] == "theirs"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("ago", [1, float("inf")])
def test_who_polls_or_cannot_be_told_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch, ago: float):
    monkeypatch.setattr(background, "BUSY_SECONDS", 0.3)
    write(folder, "state.json", task="x")
    polled(folder, min(ago, 1), boot=None if ago == 1 else "another")
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(Busy):
        job(folder, "x")._take_lock()
    assert lease(folder)["run"] == "theirs"
    assert len(os.listdir("/proc/self/fd")) == len(open_before)  # though it has opened the lock many times


@pytest.mark.parametrize(("text", "killed"), [("{boot} {pid}", True), ("x {pid}", False), ("{pid}", False)])
def test_only_a_process_of_this_host_is_killed(
    folder: Path, other: subprocess.Popen[bytes], text: str, killed: bool
):
    (folder / "lock").write_text(text.format(boot=background._boot(), pid=other.pid), encoding="ascii")
    job(folder)._kill()
    if killed:
        assert other.wait(60) == -9
    else:
        time.sleep(0.05)
        assert other.poll() is None


def test_a_lock_that_was_removed_is_not_the_jobs(folder: Path, held: int):
    assert job(folder)._is_in_place(held)
    (folder / "lock").unlink()
    assert not job(folder)._is_in_place(held)
    (folder / "lock").touch()
    assert not job(folder)._is_in_place(held)


@pytest.mark.usefixtures("held")
def test_a_folder_in_which_another_run_works_is_not_removed(folder: Path):
    job(folder)._remove()
    assert folder.exists()


def test_a_stop_without_work_removes_the_folder(folder: Path):
    write(folder, "state.json", task="x")
    assert job(folder).stop() is False
    assert not folder.exists()


def test_private_folders_are_new_and_their_users_alone(folder: Path):
    one = job(folder)
    first = Path(one.private_dir("a"))
    (first / "file").touch()
    second = Path(one.private_dir("b"))
    assert (first / "file").exists()
    assert list(Path(one.private_dir("a")).iterdir()) == []
    assert {path.stat().st_mode & 0o777 for path in (first, second, first.parent)} == {0o700}
    assert first.parent == second.parent


def test_parameters_that_may_differ_do_not_make_another_task():
    params = {"dir": "/weights", "parallel": 4}
    assert background.task_of(params, ["parallel"]) == background.task_of(
        {**params, "parallel": 8}, ["parallel"]
    )
    assert background.task_of(params) != background.task_of({**params, "parallel": 8})
    assert background.task_of(params) == background.task_of(dict(reversed(params.items())))
