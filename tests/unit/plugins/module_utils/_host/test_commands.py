# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from polling import wait_until

PATIENCE = 60  # seconds that a busy machine may take


def test_both_streams_and_the_exit_code():
    assert commands.run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")


def test_the_messages_are_of_the_c_locale(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert commands.run(["sh", "-c", "echo $LC_ALL"]).text == "C\n"


def test_text_that_is_not_utf_8_is_read():
    assert commands.run(["printf", r"\xd5\xfd"]).text == "\ufffd\ufffd"


def test_colours_are_left_out():
    assert commands.run(["printf", r"\033[1;32m| 0 | OK |\033[0m\n"]).text == "| 0 | OK |\n"


def test_a_tool_that_is_not_there():
    assert commands.run(["/nowhere/npu-smi", "info"]) == (None, "/nowhere/npu-smi: No such file or directory")


def test_a_tool_that_hangs_is_killed_with_what_it_started(tmp_path: Path):
    pid_file = tmp_path / "pid"
    answer = commands.run(["sh", "-c", f"sleep 600 & echo $! >{pid_file}; wait"], timeout=0.5)
    assert answer.rc is None
    assert "0.5 s" in answer.text
    pid = int(pid_file.read_text(encoding="ascii"))
    wait_until(lambda: not is_alive(pid), PATIENCE, f"process {pid} ends")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_jobs_run_at_the_same_time_and_answer_in_their_order(tmp_path: Path):
    """Each waits until all have begun."""
    script = f"touch {tmp_path}/$0; until [ $(ls {tmp_path} | wc -l) = 8 ]; do sleep 0.1; done; echo $0"
    jobs = [
        functools.partial(commands.run, ["sh", "-c", script, str(number)], PATIENCE) for number in range(8)
    ]
    assert [answer.text for answer in commands.side_by_side(jobs)] == [f"{number}\n" for number in range(8)]
    assert commands.side_by_side([]) == []


def test_no_more_jobs_run_at_the_same_time_than_are_allowed():
    running: list[int] = []
    most: list[int] = []

    def job() -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()

    commands.side_by_side([job] * 12, 3)
    assert 1 <= max(most) <= 3


def test_a_command_runs_after_this_process_however_it_ends(tmp_path: Path):
    file, early = tmp_path / "ran", tmp_path / "early"

    def work() -> None:
        commands.after_this_process(["sh", "-c", f"echo x >>{file}"])
        time.sleep(0.5)
        if file.exists():
            early.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    wait_until(file.exists, PATIENCE, "it has run")
    assert not early.exists()
    wait_until(lambda: file.read_text(encoding="ascii") == "x\nx\n", PATIENCE, "it has run again")


def test_a_process_reads_lines_until_it_ends():
    program = commands.LineProcess(["sh", "-c", "read one; read two; echo $two $one; echo err >&2; exit 3"])
    program.send("first")
    program.send("second")
    assert program.wait() == (3, "second first", "err")
    program.send("too late")
    program.end()


def test_a_process_ends_with_its_input_and_leaves_no_file_open():
    open_before = os.listdir("/proc/self/fd")
    program = commands.LineProcess(["cat"])
    program.end()
    assert len(os.listdir("/proc/self/fd")) == len(open_before)


def test_a_tool_writes_to_a_terminal():
    said = []
    assert (
        commands.on_terminal(
            ["sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size && printf '\\303\\274'; exit 3"],
            said.append,
        )
        == 3
    )
    assert "".join(said) == "1000 160\r\nü"


def test_a_tool_that_is_silent_is_ended(tmp_path: Path):
    pid_file, said = tmp_path / "pid", []
    rc = commands.on_terminal(
        ["sh", "-c", f"echo $$ >{pid_file}; echo begun; exec sleep 600"], said.append, silence=1
    )
    assert rc == -signal.SIGHUP
    assert "".join(said).split("\r\n") == ["begun", "", "no output for 1 seconds", ""]
    assert not is_alive(int(pid_file.read_text(encoding="ascii")))


def test_a_tool_that_goes_on_writing_is_not_ended():
    """For longer than it may be silent, of which a busy machine may take most to start it."""
    said = []
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11; do echo $i; sleep 0.5; done"
    assert commands.on_terminal(["sh", "-c", script], said.append, silence=5) == 0
    assert "".join(said).split() == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize("hang_up", [signal.SIG_DFL, signal.SIG_IGN], ids=["shell", "nohup"])
def test_a_terminal_ends_with_who_looks_at_it_and_the_tool_with_the_terminal(
    tmp_path: Path, hang_up: signal.Handlers
):
    pid_file = tmp_path / "pid"

    def look() -> None:
        signal.signal(signal.SIGHUP, hang_up)
        commands.on_terminal(["sh", "-c", f"echo $$ >{pid_file}; exec sleep 600"], print)

    looker = multiprocessing.get_context("fork").Process(target=look)
    looker.start()
    wait_until(
        lambda: pid_file.exists() and pid_file.read_text(encoding="ascii").strip(),
        PATIENCE,
        "the tool has begun",
    )
    pid = int(pid_file.read_text(encoding="ascii"))
    assert is_alive(pid)
    looker.kill()
    looker.join()
    wait_until(lambda: not is_alive(pid), PATIENCE, f"process {pid} ends")
