# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real supervisors on loopback addresses, each a host, over engines that only write down their pid and wait.

That of the head runs with the oldest Python of this machine from 3.8 on, the others with the Python of the tests.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import vllm_standin
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import matches
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line
from hypothesis import given, settings
from hypothesis import strategies as st
from polling import wait_until
from ports import free_port
from programs import load
from pythons import interpreters
from wall_clock import DAY, WallClock

FILES = Path(__file__).resolve().parents[4] / "roles/container/files"
SUPERVISE = FILES / "supervise.py"
GRACE = 3
OLDEST = interpreters()[0]
PATIENCE = 60  # seconds that a busy machine may take for what usually takes one
ENGINE = "echo $$ >{pid_file}; exec sleep 600"


class Host:
    """A host of the service: its supervisor's process, its files and its engine."""

    def __init__(self, folder: Path, rank: int, hosts: int, port: int, api_port: int) -> None:
        self.pid_file = folder / f"engine{rank}.pid"
        self.log = folder / f"host{rank}.log"
        self.state = folder / f"state{rank}.json"
        self.key = folder / f"key{rank}"
        self.key.write_text("the key of the service\n", encoding="ascii")
        self.python = sys.executable if rank else OLDEST
        self.shell = "bash"
        self.engine = ENGINE.format(pid_file=self.pid_file)
        self.options = {
            "rank": rank, "hosts": hosts, "address": f"127.0.0.{rank + 1}", "head": "127.0.0.1", "port": port,
            "key": self.key, "state": self.state, "grace": GRACE, "max-failures": 3,
            "status": folder / f"status{rank}", "api-port": api_port, "engines": hosts, "probe-seconds": 0,
            "first-seconds": 0,
            "drain-seconds": 0, "draining": folder / f"draining{rank}", "stop-seconds": 2,
        }  # fmt: skip
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = [f"--{name}={value}" for name, value in self.options.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, SUPERVISE, *options, "--", self.shell, "-c", self.engine],
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def code(self) -> int:
        assert self.process
        return self.process.wait(PATIENCE)

    def runs(self) -> bool:
        assert self.process
        return self.process.poll() is None

    def engine_pid(self) -> int | None:
        """The engine's pid while it runs."""
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int(self.pid_file.read_text(encoding="ascii"))
            os.kill(pid, 0)
            return pid
        return None

    def count(self) -> dict[str, Any]:
        """What its file says about failed generations."""
        return json.loads(self.state.read_text(encoding="utf-8"))

    def has_worked(self) -> bool:
        """What upgrade.yml sees of a generation that was good, also after a restart."""
        return self.state.with_suffix(".good").exists()

    def health(self) -> str:
        """What the container's health check sees."""
        status = Path(self.options["status"])
        return status.read_text(encoding="utf-8").strip() if status.exists() else ""

    def says(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def lines(self) -> list[Line]:
        return [Line(text) for text in self.says().splitlines()]

    def signs(self) -> list[str]:
        """The ids of the signatures that its log has, with repetitions: the log as the diagnosis reads it."""
        return [one.id for line in self.lines() for one, _what in matches(line.text)]

    def stages(self) -> list[str]:
        return [str(stage["stage"]) for stage in vllm_log.timeline(self.lines())]

    def remove(self) -> None:
        """End what is left: the supervisor as Docker would, and with it, as a container's end does, the engine."""
        if self.process and self.runs():
            self.process.kill()
            self.process.wait()
        pid = self.engine_pid()
        if pid:
            os.killpg(pid, signal.SIGKILL)


def wait(condition: Callable[[], object], *hosts: Host) -> None:
    wait_until(condition, PATIENCE, lambda: "\n".join(host.says() for host in hosts))


def wait_for_engines(*hosts: Host) -> None:
    wait(lambda: all(host.engine_pid() for host in hosts), *hosts)


def wait_for_sign(host: Host, sign: str) -> None:
    wait(lambda: sign in host.signs(), host)


@pytest.fixture(name="make")
def make_hosts(tmp_path):
    """Return a function that makes the hosts of a service."""
    made: list[Host] = []

    def make(count: int) -> list[Host]:
        ports = free_port(), free_port()
        made.extend(Host(tmp_path, rank, count, *ports) for rank in range(count))
        return made

    yield make
    for host in made:
        host.remove()


@pytest.fixture(name="pair")
def running_pair(make):
    """Head and worker, with their engines running."""
    hosts = make(2)
    for host in hosts:
        host.start()
    wait_for_engines(*hosts)
    return hosts


def test_an_engine_that_ends_with_0_is_a_failure_all_the_same(make):
    (host,) = make(1)
    host.engine = "exit 0"
    host.start()
    assert host.code() == 1
    assert host.signs() == ["vllm_exited"]


def test_no_engine_starts_before_all_hosts_are_there(make):
    head, first, second = make(3)
    head.start()
    first.start()
    wait(lambda: "host 1 has joined" in head.says(), head)
    assert not head.pid_file.exists()
    assert not first.pid_file.exists()
    second.start()
    wait_for_engines(head, first, second)


def pause(host: Host, grace: float) -> None:
    """Let its supervisor stand still for half of the grace period: long enough for a new connection."""
    host.signal(signal.SIGSTOP)
    time.sleep(grace / 2)
    host.signal(signal.SIGCONT)


def test_a_host_that_is_absent_and_then_late_is_named_and_waited_for(make):
    """One host is absent, and one is slow."""
    hosts = make(4)
    head, *workers, late = hosts
    head.options.update({"waiting-seconds": 1, "grace": 2 * GRACE})
    for host in (head, *workers):
        host.start()
    wait(lambda: head.says().count("waiting for host 3\n") > 1, *hosts)
    pause(workers[-1], 2 * GRACE)
    assert not any(host.engine_pid() for host in hosts)
    assert head.health() == "ok: waiting for all hosts"
    late.start()
    wait_for_engines(*hosts)
    assert all(host.health().startswith("ok: ") for host in hosts)
    assert head.count()["failures"] == 0
    assert [host.signs().count("other_host_failed") for host in hosts] == [0] * 4


def test_a_host_that_leaves_at_the_moment_of_the_start_is_waited_for(make):
    """Between the event that all have joined and the start, no process is quick enough: within one run of the loop."""
    hosts = make(2)
    arguments = [f"--{name}={value}" for name, value in hosts[0].options.items()]

    async def generation_after_a_leave() -> str:
        head = supervise.Head(supervise.parse([*arguments, "--", "true"]))
        start = asyncio.ensure_future(head._start_generation())
        await asyncio.sleep(0.1)
        head._members[1] = supervise.Member("127.0.0.2", None, time.monotonic())
        head._all_joined.set()
        del head._members[1]
        head._all_joined.clear()
        await asyncio.sleep(0.1)
        generation = head.generation
        start.cancel()
        return generation

    assert asyncio.run(generation_after_a_leave()) == ""


def test_one_host_that_is_lost_ends_all_others_and_is_named(make):
    hosts = make(4)
    for host in hosts:
        host.start()
    wait_for_engines(*hosts)
    *others, lost = hosts
    lost.remove()
    assert [host.code() for host in others] == [1, 1, 1]
    assert "host 3 sent no heartbeat" in others[0].says()
    for host in hosts:
        host.start()
    wait_for_engines(*hosts)


def test_a_worker_waits_for_its_head_and_counts_no_failure(make):
    head, worker = make(2)
    worker.options["grace"] = 4
    worker.start()
    wait_for_sign(worker, "no_link_to_head")
    assert diagnosis.is_without_head(worker.lines()) is None
    wait(lambda: diagnosis.is_without_head(worker.lines()), worker)
    time.sleep(2)
    assert worker.runs()
    assert worker.says().count("no connection to the head at") == 1
    head.start()
    wait_for_engines(head, worker)
    assert diagnosis.is_without_head(worker.lines()) is False


def test_the_grace_of_the_head_counts(make):
    head, worker = make(2)
    worker.options["grace"] = 600
    head.start()
    worker.start()
    wait_for_engines(head, worker)
    time.sleep(GRACE + 1)
    assert head.runs()
    assert worker.runs()
    head.signal(signal.SIGSTOP)
    assert worker.code() == 1


def test_a_connection_and_missing_hosts_are_logged(make):
    head, first, _second = make(3)
    first.start()
    wait_for_sign(first, "no_link_to_head")
    wait(lambda: first.health().startswith("failing"), first)
    head.start()
    wait(lambda: first.health() == "ok: connected to the head", first)
    assert "connected to the head" in first.says().splitlines()[-1]
    assert head.health() == "ok: waiting for all hosts"


@pytest.mark.parametrize("victim", [0, 1])
def test_all_end_when_an_engine_is_killed(pair, victim):
    os.kill(pair[victim].engine_pid(), signal.SIGKILL)
    assert [host.code() for host in pair] == [1, 1]
    assert [host.engine_pid() for host in pair] == [None, None]
    assert "vllm_killed" in pair[victim].signs()
    assert "other_host_failed" in pair[1 - victim].signs()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_supervisor_that_comes_back_ends_the_generation(make, victim):
    pair = make(2)
    for host in pair:
        host.options["grace"] = PATIENCE  # so that its silence does not
        host.start()
    wait_for_engines(*pair)
    pair[victim].remove()
    pair[victim].start()
    assert pair[1 - victim].code() == 1
    assert "other_host_failed" in pair[1 - victim].signs()


def test_the_generation_after_a_failure_starts_by_itself(pair):
    head, worker = pair
    os.kill(worker.engine_pid(), signal.SIGKILL)
    for host in pair:
        host.code()
        host.start()
    wait_for_engines(head, worker)
    assert head.count() == {"failures": 1, "running": True, "lasted": 0}


@pytest.mark.parametrize("victim", [0, 1])
def test_a_short_silence_changes_nothing(make, victim):
    pair = make(2)
    for host in pair:
        host.options["grace"] = 2 * GRACE
        host.start()
    wait_for_engines(*pair)
    engines = [host.engine_pid() for host in pair]
    pause(pair[victim], 2 * GRACE)
    time.sleep(GRACE + 0.5)
    assert [host.engine_pid() for host in pair] == engines


@pytest.mark.parametrize("victim", [0, 1])
def test_a_long_silence_ends_the_generation(pair, victim):
    pair[victim].signal(signal.SIGSTOP)
    other = pair[1 - victim]
    assert other.code() == 1
    assert "host_silent" in other.signs()
    pair[victim].signal(signal.SIGCONT)
    assert pair[victim].code() == 1


def test_a_stop_is_no_failure(pair):
    head, worker = pair
    worker.signal(signal.SIGTERM)
    assert (worker.code(), head.code()) == (0, 1)
    assert head.count() == {"failures": 0, "running": False, "lasted": 0}


def test_a_stop_of_all_one_after_the_other_is_a_stop_of_each(pair):
    """Docker forgets a stop that meets a container while it restarts, and starts it after the next boot."""
    head, worker = pair
    head.signal(signal.SIGTERM)
    wait_for_sign(worker, "stopped")
    time.sleep(1)
    worker.signal(signal.SIGTERM)
    assert (head.code(), worker.code()) == (0, 0)


def test_it_pauses_longer_after_each_failure_and_says_so(make, tmp_path):
    (host,) = make(1)
    starts = tmp_path / "starts"
    host.engine = f"echo start >>{starts}; exit 1"
    host.options["max-failures"] = 2
    for number in range(1, 4):
        host.start()
        assert host.code() == 1
        assert host.count()["failures"] == number
    assert starts.read_text(encoding="ascii").count("start") == 3
    assert host.signs().count("keeps_failing") == 1
    host.start()
    wait(lambda: host.signs().count("keeps_failing") == 2, host)
    assert host.health().startswith("failing: 3 generations in a row failed")
    host.signal(signal.SIGTERM)
    assert host.code() == 0
    assert host.count()["failures"] == 0


supervise = load(SUPERVISE)


@pytest.mark.parametrize(
    ("loaded", "pauses"),
    [
        (2, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]),
        (300, [1, 300, 300, 300, 300, 300, 300, 300, 300, 512, 600, 600]),
        (3600, [1, 600, 600, 600, 600, 600, 600, 600, 600, 600, 600, 600]),
    ],
)
def test_the_pauses_grow_however_long_a_start_takes(tmp_path, loaded: float, pauses: list[float]):
    found = []
    for _generation in pauses:
        count = supervise.FailureCount(tmp_path / "state")
        count.begin()
        count.fail(loaded)
        found.append(supervise.FailureCount(tmp_path / "state").pause)
    assert found == pauses


def test_a_peer_without_the_key_starts_nothing_and_is_logged_once(make):
    head, worker = make(2)
    worker.key.write_text("another key of the service\n", encoding="ascii")
    head.start()
    wait(lambda: "gathering" in head.stages(), head)
    worker.start()
    wait_for_sign(head, "supervisor_key")
    time.sleep(3)  # in which it tries six times more
    assert head.signs().count("supervisor_key") == 1
    assert "no_link_to_head" in worker.signs()
    assert len(worker.lines()) == len(set(worker.lines()))  # the link is closed or reset, as it comes
    assert not head.pid_file.exists()
    assert not worker.pid_file.exists()


def send(head: Host, data: bytes) -> None:
    """Send bytes to the head's port as a stranger, and close the connection."""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", head.options["port"]), timeout=PATIENCE) as stranger,
    ):
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        stranger.recv(1 << 16)


def test_strangers_do_not_disturb(pair):
    head, _worker = pair
    engines = [host.engine_pid() for host in pair]
    signed = b"0" * 64 + b' {"rank": 1, "generation": ""}\n'
    lines = (
        b"GET / HTTP/1.1\r\n\r\n",
        b"x" * 100_000,
        b"x\n\xc3\xa9\n",
        b"x\n\xc3\xa9 {}\n",
        b"x\n" + signed,
        b"",
    )
    for data in lines:
        send(head, data)
    time.sleep(GRACE)
    assert [host.engine_pid() for host in pair] == engines
    # A stranger's line must not read like the message about a key that differs; only a supervisor's shape may.
    assert head.says().count("not a supervisor") == 1
    assert head.signs().count("supervisor_key") == 1


def test_no_bytes_end_a_generation(pair):
    head, worker = pair
    engines = [host.engine_pid() for host in pair]

    @settings(max_examples=300)
    @given(st.lists(st.binary(max_size=200), max_size=4).map(b"\n".join))
    def any_bytes(data: bytes) -> None:
        send(head, data)
        assert head.runs()

    any_bytes()
    assert worker.runs()
    assert [host.engine_pid() for host in pair] == engines


def test_silent_connections_neither_keep_a_worker_out_nor_fill_the_log(make):
    """More of them than the process may have files; a worker that comes later gets its link."""
    head, worker = make(2)
    head.start()
    wait(lambda: "gathering" in head.stages(), head)
    resource.prlimit(head.process.pid, resource.RLIMIT_NOFILE, (128, 128))
    with contextlib.ExitStack() as stack:
        for number in range(400):
            source = (f"127.0.1.{number % 200 + 1}", 0)
            address = ("127.0.0.1", head.options["port"])
            stack.enter_context(socket.create_connection(address, PATIENCE, source_address=source))
        worker.start()
        wait_for_engines(head, worker)
    assert len(head.says().splitlines()) < 20


HOSTILE = (
    b"",
    b"x\n",
    b"\xc3\xa9\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"x\n" + b"0" * 64 + b' {"rank": 1, "generation": ""}\n',
    b"x" * 5000,
)


async def assault(address: tuple[str, int], count: int, at_a_time: int = 200) -> None:
    """Open *count* connections, each with other bytes: closed at once, half closed, reset, or left to the other side."""
    slots = asyncio.Semaphore(at_a_time)

    async def attack(number: int) -> None:
        source = f"127.0.{2 + number % 50}.{1 + number % 199}"
        async with slots:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                opening = asyncio.open_connection(*address, local_addr=(source, 0))
                reader, writer = await asyncio.wait_for(opening, PATIENCE)
                writer.write(HOSTILE[number % len(HOSTILE)])
                if number % 4 == 0:
                    writer.transport.abort()
                elif number % 4 == 1:
                    writer.write_eof()
                if number % 4 != 3:
                    await asyncio.wait_for(reader.read(), 0.5)
                writer.close()

    await asyncio.gather(*(attack(number) for number in range(count)))


def test_hostile_connections_change_nothing(make):
    """While they last, a worker joins, and heartbeats pass. `make hostile` opens ten thousand."""
    count = int(os.environ.get("HOSTILE_CONNECTIONS", "1000"))
    head, worker = make(2)
    head.start()
    wait(lambda: "gathering" in head.stages(), head)
    address = ("127.0.0.1", head.options["port"])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        attack = pool.submit(asyncio.run, assault(address, count))
        worker.start()
        wait_for_engines(head, worker)
        engines = [host.engine_pid() for host in (head, worker)]
        attack.result(120)
    time.sleep(GRACE)
    assert [host.engine_pid() for host in (head, worker)] == engines
    assert len(head.says().splitlines()) < 20
    descriptors = Path(f"/proc/{head.process.pid}/fd")
    wait(lambda: len(list(descriptors.iterdir())) < 32, head)


class Recorder:
    """The writing end of a connection, which keeps what was written."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.raw = writer
        self.last = b""

    def write(self, data: bytes) -> None:
        self.last = data
        self.raw.write(data)


async def session(server: asyncio.AbstractServer, accepted: asyncio.Queue[Any]) -> tuple[Any, ...]:
    """Return the channels of head and worker, and what records their messages."""
    key = b"the key of the service"
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    head_reader, head_writer = await accepted.get()
    records = Recorder(head_writer), Recorder(writer)
    head = supervise.Channel(head_reader, records[0], key, listening=True)
    worker = supervise.Channel(reader, records[1], key, listening=False)
    await asyncio.gather(head.open(), worker.open())
    return head, worker, *records


async def forged(forgery: str) -> None:
    accepted: asyncio.Queue[Any] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: accepted.put_nowait(ends), "127.0.0.1", 0)
    async with server:
        head, worker, from_head, from_worker = await session(server, accepted)
        worker.send(heartbeat=True)
        assert await head.receive(PATIENCE) == {"heartbeat": True}
        if forgery == "replayed":
            from_worker.raw.write(from_worker.last)
        elif forgery == "reflected":
            head.send(end="it has restarted")
            from_worker.raw.write(from_head.last)
        elif forgery == "changed":
            worker.send(heartbeat=True)
            await head.receive(PATIENCE)
            from_worker.raw.write(from_worker.last.replace(b"true", b"null"))
        else:
            old = from_worker.last
            head, worker, _from_head, from_worker = await session(server, accepted)
            from_worker.raw.write(old)
        await head.receive(PATIENCE)


@pytest.mark.parametrize("forgery", ["replayed", "reflected", "changed", "of another session"])
def test_a_message_counts_once_in_its_session_and_direction(forgery):
    with pytest.raises(supervise.WrongSignature):
        asyncio.run(forged(forgery))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_host_that_cannot_start_vllm_ends_the_generation_and_is_named(make, victim):
    """As for lack of processes, files or memory: the worker's connection is all right."""
    pair = make(2)
    pair[victim].shell = "/no/such/shell"
    for host in pair:
        host.start()
    assert [host.code() for host in pair] == [1, 1]
    assert pair[victim].signs()[-1] == "vllm_not_started"
    if victim == 0:
        assert "generation" not in pair[1].says()
    assert "other_host_failed" in pair[1 - victim].signs()


def test_two_hosts_with_the_same_number_are_named_on_both(make):
    head, first, second = make(3)
    second.options["rank"] = 1
    head.start()
    first.start()
    wait(lambda: "host 1 has joined" in head.says(), head)
    second.start()
    refusal = "host 1 is at 127.0.0.2, and cannot be at 127.0.0.3 too"
    wait(lambda: second.health().startswith("failing: no connection to the head"), head, second)
    assert [head.says().count(refusal), second.says().count(refusal)] == [1, 1]
    assert first.health() == "ok: connected to the head"


def test_a_second_host_with_the_same_number_ends_no_generation(make):
    head, worker, second = make(3)
    for host in (head, worker, second):
        host.options["hosts"] = 2
    second.options["rank"] = 1
    head.start()
    worker.start()
    wait_for_engines(head, worker)
    engines = [host.engine_pid() for host in (head, worker)]
    second.start()
    wait(lambda: "cannot be at 127.0.0.3 too" in second.says(), second)
    assert [host.engine_pid() for host in (head, worker)] == engines
    assert head.runs()


def test_a_host_that_is_not_of_the_service_is_told(make):
    head, worker = make(2)
    worker.options["rank"] = 5
    head.start()
    worker.start()
    refusal = "host 5 is not one of the 2 hosts of this service"
    wait(lambda: worker.health().startswith("failing: no connection to the head"), head, worker)
    assert [head.says().count(refusal), worker.says().count(refusal)] == [1, 1]


def test_a_head_that_waits_stops_as_planned_and_no_worker_joins_it_then(make):
    head, *workers, _absent = make(4)
    head.start()
    for worker in workers:
        worker.start()
    wait(lambda: head.says().count("has joined") == 2, head)
    head.signal(signal.SIGTERM)
    assert head.code() == 0
    before, after = head.says().split("stopping: ")
    assert after.startswith("the container was stopped\n")
    assert [part.count("has joined") for part in (before, after)] == [2, 0]
    for worker in workers:
        wait_for_sign(worker, "stopped")


@pytest.mark.parametrize("key", ["", "\n", "short"])
def test_a_key_that_anyone_may_guess_starts_nothing(make, key):
    head, worker = make(2)
    for host in (head, worker):
        host.key.write_text(key, encoding="ascii")
        host.start()
    assert [head.code(), worker.code()] == [1, 1]
    for host in (head, worker):
        assert f"{host.key} has a key of {len(key.strip())} bytes, expected 16 or more" in host.says()
        assert host.health().startswith("failing: cannot start: ")


def test_a_log_that_nobody_reads_any_more_ends_nothing(make):
    """And where it is lost, the other host is told why the generation ends, all the same."""
    head, worker = make(2)
    worker.start()
    options = [f"--{name}={value}" for name, value in head.options.items()]
    command = [head.python, SUPERVISE, *options, "--", "bash", "-c", head.engine]
    head.process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for_engines(head, worker)
    head.process.stderr.close()
    head.signal(signal.SIGHUP)  # which it logs
    time.sleep(1)
    assert head.runs()
    os.kill(head.engine_pid(), signal.SIGKILL)
    assert [head.code(), worker.code()] == [1, 1]
    assert "vLLM on host 0 exited with code -9" in worker.says()


def test_a_service_over_ipv6(make):
    hosts = make(2)
    for host in hosts:
        host.options.update({"address": "::1", "head": "::1"})
        host.start()
    wait_for_engines(*hosts)


@pytest.mark.parametrize(
    "state",
    ['{"failures": Infinity, "running": false, "lasted": NaN}', "null", "", "\0" * 50, "{" * 9, "folder"],
)
def test_a_state_that_is_damaged_or_lost_starts_all_the_same(make, state):
    (host,) = make(1)
    if state == "folder":
        host.state.mkdir()
        Path(host.options["status"]).mkdir()
    else:
        host.state.write_text(state, encoding="ascii")
    host.start()
    wait_for_engines(host)
    host.signal(signal.SIGTERM)
    assert host.code() == 0


def test_an_engine_that_ignores_its_end_delays_no_stop(make):
    (host,) = make(1)
    host.engine = f"trap '' TERM; echo $$ >{host.pid_file}; while true; do sleep 1; done"
    host.start()
    wait_for_engines(host)
    host.signal(signal.SIGTERM)
    assert host.code() == 0


def test_only_the_service_address_is_bound(pair):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.9", pair[0].options["port"]), timeout=PATIENCE)


def test_a_missing_key_is_named(make):
    head, _worker = make(2)
    head.key.unlink()
    head.start()
    assert head.code() == 1
    assert str(head.key) in head.says()


# With vLLM's API over engines that are processes of their own


@pytest.fixture(name="serving")
def serving_host(make, tmp_path):
    """A host whose command serves vLLM's API, and two engines."""
    (host,) = make(1)
    key = tmp_path / "api.key"
    key.write_text(vllm_standin.KEY + "\n", encoding="ascii")
    host.options.update({"engines": 2, "api-key-file": key, "probe-seconds": 1.5, "probe-timeout": PATIENCE})
    host.options["settled-seconds"] = 1
    return serve(host)


def serve(host: Host) -> Host:
    """Let the host's command serve vLLM's API, with the flags that the supervisor adds."""
    command = f"{sys.executable} {vllm_standin.__file__} {host.options['api-port']} {host.log.parent}"
    host.engine = f'echo $$ >{host.pid_file}; exec {command} "$0" "$@"'
    return host


def engine_of(host: Host, rank: int) -> int:
    return int((host.log.parent / f"engine-{rank}").read_text(encoding="ascii"))


def tokens(host: Host) -> dict[int, float]:
    api = supervise.Api(["127.0.0.1"], host.options["api-port"], None)
    return {rank: work.tokens for rank, work in asyncio.run(api.work(5)).items()}


HANG = 3  # seconds that an engine may take for a token, where the test lets it hang


def test_a_generation_is_good_once_it_was_ready_for_a_while(serving):
    serving.state.write_text('{"failures": 1, "running": false, "lasted": 5.0}', encoding="ascii")
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    wait(lambda: serving.count() == {"failures": 0, "running": True, "lasted": 0}, serving)
    wait(serving.has_worked, serving)
    assert serving.health() == "ok: ready"


def test_idle_engines_compute_a_token_now_and_then(serving):
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    wait(lambda: all(tokens(serving).get(rank, 0) >= 2 for rank in (0, 1)), serving)
    assert serving.runs()


@pytest.mark.parametrize("rank", [0, 1])
def test_an_engine_that_hangs_ends_the_generation(serving, rank):
    serving.options["probe-timeout"] = HANG
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    engine = engine_of(serving, rank)
    os.kill(engine, signal.SIGSTOP)
    assert serving.code() == 1
    assert f"stopping: engine {rank} hangs" in serving.says()
    assert "engine_hangs" in serving.signs()
    with contextlib.suppress(ProcessLookupError):
        os.kill(engine, signal.SIGKILL)


def stopped_before_it_is_asked(host: Host, rank: int) -> int:
    """Start the host, and stop an engine before it has answered. Return its pid."""
    host.start()
    wait(lambda: (host.log.parent / f"engine-{rank}").exists() and engine_of(host, rank), host)
    os.kill(engine_of(host, rank), signal.SIGSTOP)
    return engine_of(host, rank)


def test_an_engine_that_compiles_before_its_first_answer_does_not_hang_nor_one_that_waits_for_it(serving):
    """In a collective operation, an engine that has answered waits for one that compiles."""
    serving.options.update({"probe-timeout": HANG, "first-seconds": 10 * PATIENCE})
    compiles = stopped_before_it_is_asked(serving, 1)
    wait(lambda: tokens(serving).get(0, 0) >= 2, serving)
    os.kill(engine_of(serving, 0), signal.SIGSTOP)
    time.sleep(4 * HANG)
    assert serving.runs()
    os.kill(engine_of(serving, 0), signal.SIGCONT)
    os.kill(compiles, signal.SIGCONT)
    wait(lambda: tokens(serving).get(1, 0) >= 2, serving)
    os.kill(compiles, signal.SIGSTOP)
    assert serving.code() == 1
    assert "stopping: engine 1 hangs" in serving.says()
    os.kill(compiles, signal.SIGKILL)


def test_an_engine_that_never_answers_ends_the_generation_later(serving):
    serving.options.update({"probe-timeout": HANG, "first-seconds": 4 * HANG})
    engine = stopped_before_it_is_asked(serving, 1)
    assert serving.code() == 1
    found = re.search(r"stopping: engine 1 hangs: no token for (\d+) s", serving.says())
    assert found, serving.says()
    assert int(found.group(1)) > 4 * HANG
    os.kill(engine, signal.SIGKILL)


def test_an_answer_to_anyone_is_a_first_answer():
    engine = supervise.Engine(0)
    engine.observe(supervise.Work(), supervise.Work(tokens=301.0), 10)
    assert not engine.has_answered  # the step after the prompt may still be compiled
    engine.observe(supervise.Work(tokens=301.0), supervise.Work(tokens=320.0, finished=1.0), 10)
    assert engine.has_answered


def test_what_is_aborted_is_no_answer():
    with vllm_standin.Server() as server:
        api = supervise.Api(["127.0.0.1"], server.server_port, None)
        server.answered["0", "abort"] = 3
        server.answered["1", "length"] = 1
        work = asyncio.run(api.work(5))
    assert [work[rank].finished for rank in (0, 1)] == [0, 1]


def test_engines_that_hang_are_named_in_one_sentence():
    engines = [supervise.Engine(rank, silence=190.0 + rank) for rank in (0, 1)]
    asked = "no token for 190 s, and none when asked for one"
    assert supervise.hang(engines[:1]) == f"engine 0 hangs: {asked}"
    assert supervise.hang(engines) == f"engines 0, 1 hang: {asked}"


def test_an_engine_that_reads_a_long_prompt_does_not_hang(serving, tmp_path):
    """It has no token, and none when asked, for as long as it reads. Its KV cache fills meanwhile."""
    serving.options["probe-timeout"] = HANG
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    fills = tmp_path / "fills-0"
    fills.touch()
    os.kill(engine_of(serving, 0), signal.SIGSTOP)
    time.sleep(4 * HANG)
    assert serving.runs()
    fills.unlink()
    assert serving.code() == 1
    assert "stopping: engine 0 hangs" in serving.says()
    os.kill(engine_of(serving, 0), signal.SIGKILL)


def test_no_prompt_takes_for_ever(monkeypatch):
    monkeypatch.setattr(supervise, "PROMPT_SECONDS", 100)
    engine = supervise.Engine(0)
    engine.observe(supervise.Work(5, 0.0), supervise.Work(5, 0.0), 60)
    engine.probed = engine.silence
    for second in range(100):
        engine.observe(supervise.Work(5, second / 100), supervise.Work(5, (second + 1) / 100), 1)
    assert (engine.silence, engine.unanswered) == (160, 60)
    engine.observe(supervise.Work(5, 0.5), supervise.Work(6, 0.5), 1)
    assert (engine.silence, engine.unanswered) == (0, 0)


def test_metrics_that_fail_now_and_then_hide_no_engine_that_hangs(serving, tmp_path):
    serving.options["probe-timeout"] = HANG
    serving.start()
    wait(lambda: all(tokens(serving).get(rank, 0) >= 1 for rank in (0, 1)), serving)
    os.kill(engine_of(serving, 0), signal.SIGSTOP)
    (tmp_path / "fails-now-and-then").touch()
    assert serving.code() == 1
    assert "engine_hangs" in serving.signs()
    os.kill(engine_of(serving, 0), signal.SIGKILL)


@pytest.mark.parametrize("key", [b"\xff\xfe\x00key", b"key\nsecond", b" \n"])
def test_a_key_that_no_header_takes_hides_no_service_that_is_ready(serving, key):
    Path(serving.options["api-key-file"]).write_bytes(key)
    serving.start()
    wait(lambda: serving.health() == "ok: ready", serving)
    wait(lambda: "for a token: HTTP status 401" in serving.says(), serving)
    assert "Traceback" not in serving.says()


def test_an_api_that_hangs_ends_the_generation(serving):
    serving.options["probe-timeout"] = HANG
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    child = int(subprocess.check_output(["pgrep", "-P", str(serving.process.pid)]).split()[0])
    os.kill(child, signal.SIGSTOP)
    assert serving.code() == 1
    assert "engine_hangs" in serving.signs()
    os.kill(child, signal.SIGKILL)


def test_a_short_hang_and_a_loading_engine_end_nothing(serving):
    serving.options["probe-timeout"] = HANG
    serving.engine = f"sleep 5; {serving.engine}"
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    os.kill(engine_of(serving, 0), signal.SIGSTOP)
    before = tokens(serving).get(0, 0)
    time.sleep(2)
    os.kill(engine_of(serving, 0), signal.SIGCONT)
    wait(lambda: tokens(serving).get(0, 0) > before, serving)
    assert serving.runs()


def test_without_a_probe_nothing_is_asked(serving):
    serving.options.update({"probe-seconds": 0, "probe-timeout": 1})
    serving.start()
    wait(lambda: "ready after" in serving.says(), serving)
    os.kill(engine_of(serving, 0), signal.SIGSTOP)
    time.sleep(4)
    assert serving.runs()
    os.kill(engine_of(serving, 0), signal.SIGKILL)


def test_an_api_that_refuses_the_probe_is_left_alone(serving):
    serving.options.update({"api-key-file": serving.state, "probe-timeout": HANG})  # another key
    serving.start()
    wait(lambda: "cannot ask engine" in serving.says(), serving)
    time.sleep(HANG + 2)
    assert serving.runs()


SLOW_ANSWER = """
import asyncio, importlib.util, sys
spec = importlib.util.spec_from_file_location("supervise", sys.argv[1])
supervise = sys.modules["supervise"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supervise)
print(asyncio.run(supervise.Api(["127.0.0.1"], int(sys.argv[2]), None).compute("glm", 0, 1, 0.4)))
"""


@pytest.mark.parametrize("python", sorted({OLDEST, sys.executable}))
def test_an_answer_that_never_ends_is_none(python):
    """Before Python 3.11, the time-out of asyncio is another than the builtin one."""

    def trickle(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection, contextlib.suppress(OSError):
            while True:  # so that no single read takes too long
                connection.sendall(b"H")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener, concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(trickle, listener)
        arguments = (SUPERVISE, str(listener.getsockname()[1]))
        command = [python, "-c", SLOW_ANSWER, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("0\n", "")


# Metrics for Prometheus


def metrics(host: Host) -> dict[str, float]:
    """What is in the host's file of metrics: those of its states by the state, the others by name and engine."""
    file = Path(host.options["metrics"])
    text = file.read_text(encoding="ascii") if file.exists() else ""
    found = re.findall(
        r'^ascend_ops_(\w+)\{port="\d+"(?:,\w+="(\w+)")?(?:,result="(\w+)")?\} ([0-9.]+)$', text, re.M
    )
    shown = [line for line in text.splitlines() if not line.startswith("# TYPE ")]
    assert len(found) == len(shown), text
    return {" ".join(filter(None, name)): float(value) for *name, value in found}


def in_state(host: Host, state: str) -> bool:
    return metrics(host).get(f"supervisor_state {state}") == 1


def test_figures_follow_a_service_from_its_start_to_its_planned_stop(serving, tmp_path):
    loaded = tmp_path / "loaded"
    serving.options["metrics"] = tmp_path / "out/ascend-ops.prom"
    serving.state.write_text('{"failures": 2, "running": false, "lasted": 3.0}', encoding="ascii")
    serving.engine = f"until test -e {loaded}; do sleep 0.1; done; {serving.engine}"
    began = time.time()
    serving.start()
    wait(lambda: in_state(serving, "pausing"), serving)
    assert metrics(serving)["supervisor_failed_generations"] == 2
    assert "supervisor_generation_start_time_seconds" not in metrics(serving)
    wait(lambda: in_state(serving, "loading"), serving)
    assert began + 3 < metrics(serving)["supervisor_generation_start_time_seconds"] < time.time()
    loaded.touch()
    wait(lambda: in_state(serving, "ready"), serving)
    wait(lambda: metrics(serving)["supervisor_failed_generations"] == 0, serving)
    wait(lambda: metrics(serving).get("engine_probes_total 1 answered", 0) >= 2, serving)
    os.kill(engine_of(serving, 1), signal.SIGSTOP)
    wait(lambda: metrics(serving)["engine_unanswered_seconds 1"] > 1, serving)
    shown = metrics(serving)
    assert shown["engine_silence_seconds 1"] > shown["engine_unanswered_seconds 1"]
    assert shown["engine_unanswered_seconds 0"] < shown["engine_unanswered_seconds 1"]
    os.kill(engine_of(serving, 1), signal.SIGCONT)
    wait(lambda: metrics(serving)["engine_unanswered_seconds 1"] == 0, serving)
    serving.signal(signal.SIGTERM)
    assert serving.code() == 0
    states = {name: value for name, value in metrics(serving).items() if "state" in name}
    assert states.pop("supervisor_state stopped") == 1
    assert set(states.values()) == {0}
    assert began < metrics(serving)["supervisor_updated_time_seconds"] < time.time()


def test_each_host_has_figures_and_the_head_tells_who_is_missing(make, tmp_path):
    hosts = make(2)
    for host in hosts:
        host.options["metrics"] = tmp_path / f"ascend-ops-{host.options['rank']}.prom"
    head, worker = hosts
    head.start()
    wait(lambda: in_state(head, "waiting"), head)
    assert [metrics(head)[f"supervisor_hosts{rest}"] for rest in ("", "_joined")] == [2, 1]
    worker.start()
    wait_for_engines(*hosts)
    wait(lambda: all(in_state(host, "loading") for host in hosts), *hosts)
    assert metrics(head)["supervisor_hosts_joined"] == 2
    worker.remove()
    assert head.code() == 1
    assert in_state(head, "waiting")
    assert metrics(head)["supervisor_failed_generations"] == 1


def test_a_worker_is_ready_when_its_head_is(make, tmp_path):
    loaded = tmp_path / "loaded"
    hosts = make(2)
    head = serve(hosts[0])
    head.engine = f"until test -e {loaded}; do sleep 0.1; done; {head.engine}"
    for host in hosts:
        host.options["metrics"] = tmp_path / f"ascend-ops-{host.options['rank']}.prom"
        host.start()
    wait(lambda: all(in_state(host, "loading") for host in hosts), *hosts)
    assert not hosts[1].has_worked()
    loaded.touch()
    wait(lambda: all(in_state(host, "ready") for host in hosts), *hosts)
    wait(hosts[1].has_worked, *hosts)
    assert not hosts[0].has_worked()  # it may fail soon


def test_a_host_that_loads_for_much_longer_than_another_ends_nothing(make, tmp_path):
    """Nor does the one that waits for it."""
    loaded = tmp_path / "loaded"
    hosts = make(2)
    head = serve(hosts[0])
    head.engine = f"until test -e {loaded}; do sleep 0.1; done; {head.engine}"
    for host in hosts:
        host.options.update({"probe-seconds": 1, "probe-timeout": 1, "first-seconds": 1})
        host.start()
    wait_for_engines(hosts[1])
    time.sleep(4 * GRACE)
    assert all(host.runs() for host in hosts)
    loaded.touch()
    wait(lambda: head.health() == "ok: ready", *hosts)


def test_a_disk_that_is_full_costs_the_figures_and_not_the_service(serving, tmp_path):
    (tmp_path / "taken").write_text("no folder", encoding="ascii")
    serving.options["metrics"] = tmp_path / "taken/ascend-ops.prom"
    serving.start()
    wait(lambda: serving.health() == "ok: ready", serving)
    assert serving.says().count("cannot write") == 1


# Planned stops while vLLM answers


class Client:
    """A client of the service. Its request runs for as long as the engine is stopped."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ask(self, method: str, path: str) -> int:
        """Return the status of the answer once it is complete."""
        connection = http.client.HTTPConnection("127.0.0.1", self._host.options["api-port"], timeout=PATIENCE)
        message = {"role": "user", "content": "Who are you?"}
        body = {"model": vllm_standin.MODEL, "messages": [message], "max_tokens": 100, "stream": True}
        headers = {"Authorization": f"Bearer {vllm_standin.KEY}", supervise.RANK_HEADER: "0"}
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if method == "POST" else None, headers)
            response = connection.getresponse()
            response.read()
            return response.status

    def complete(self) -> int:
        return self.ask("POST", "/v1/chat/completions")

    @contextlib.contextmanager
    def request(self):
        """A request that runs on engine 0 until the engine is continued: yields its future status."""
        engine = engine_of(self._host, 0)
        os.kill(engine, signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            try:
                status = pool.submit(self.complete)
                wait(lambda: self.running() == 1, self._host)
                yield status
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(engine, signal.SIGCONT)

    def running(self) -> int | None:
        api = supervise.Api(["127.0.0.1"], self._host.options["api-port"], None)
        return asyncio.run(api.requests())

    def resume(self) -> None:
        os.kill(engine_of(self._host, 0), signal.SIGCONT)


@pytest.fixture(name="draining")
def draining_host(serving):
    """A host that serves, and drains before a planned stop."""
    return drain(serving)


def drain(host: Host) -> Host:
    """Let the host drain. The middleware has the name that it has in a container."""
    middleware = host.log.parent / "ascend_ops_drain.py"
    middleware.write_bytes((FILES / "drain.py").read_bytes())
    host.options.update({"drain-seconds": 10 * PATIENCE, "middleware": middleware})
    return host


def start_until_ready(*hosts: Host) -> None:
    for host in hosts:
        host.start()
    wait(lambda: hosts[0].health() == "ok: ready", *hosts)


def test_a_stop_waits_for_the_running_answer_and_refuses_others(draining):
    draining.options["probe-timeout"] = 4
    start_until_ready(draining)
    client = Client(draining)
    with client.request() as answer:
        draining.signal(signal.SIGTERM)
        wait(lambda: draining.health() == "ok: draining: 1 request(s) left", draining)
        assert [client.complete(), client.ask("GET", "/health"), client.ask("GET", "/metrics")] == [
            503,
            503,
            200,
        ]
        time.sleep(6)  # for longer than an engine may compute nothing: the other one is not asked now
        assert draining.runs()
        client.resume()
        assert answer.result(PATIENCE) == 200
    assert draining.code() == 0
    assert "drained after" in draining.says()
    assert draining.count()["failures"] == 0
    start_until_ready(draining)
    assert client.complete() == 200


def test_a_drain_is_bounded(draining):
    draining.options["drain-seconds"] = 2
    start_until_ready(draining)
    with Client(draining).request() as answer:
        draining.signal(signal.SIGTERM)
        assert draining.code() == 0
        assert answer.exception(PATIENCE)
    assert "not drained after 2 s: 1 request(s) are cut" in draining.says()


def test_a_drain_ends_when_asked_to(draining):
    start_until_ready(draining)
    with Client(draining).request() as answer:
        draining.signal(signal.SIGTERM)
        wait(lambda: draining.health() == "ok: draining: 1 request(s) left", draining)
        draining.signal(signal.SIGUSR1)
        assert draining.code() == 0
        assert answer.exception(PATIENCE)
    assert "1 request(s) are cut" in draining.says()
    assert draining.count() == {"failures": 0, "running": False, "lasted": 0}


@pytest.mark.parametrize("first", [0, 1])
def test_hosts_that_are_not_to_drain_stop_at_once(draining_pair, first):
    start_until_ready(*draining_pair)
    with Client(draining_pair[0]).request() as answer:
        for number in (signal.SIGUSR1, signal.SIGTERM):
            draining_pair[first].signal(number)
            draining_pair[1 - first].signal(number)
        assert [host.code() for host in draining_pair] == [0, 0]
        assert answer.exception(PATIENCE)
    assert draining_pair[0].count()["failures"] == 0


@pytest.fixture(name="draining_pair")
def draining_pair_of_hosts(make):
    """Head and worker that drain. The head's API is over two engines."""
    head, worker = make(2)
    drain(serve(head))
    worker.options["drain-seconds"] = 10 * PATIENCE
    return head, worker


def test_a_stop_of_a_worker_drains_the_service(draining_pair):
    head, worker = draining_pair
    start_until_ready(head, worker)
    client = Client(head)
    with client.request() as answer:
        worker.signal(signal.SIGTERM)
        wait(lambda: head.health() == "ok: draining: 1 request(s) left", head, worker)
        head.signal(signal.SIGTERM)
        time.sleep(GRACE)
        assert worker.engine_pid()
        client.resume()
        assert answer.result(PATIENCE) == 200
    assert [head.code(), worker.code()] == [0, 0]


def test_a_service_that_is_not_ready_is_stopped_at_once(draining_pair):
    head, worker = draining_pair
    head.engine = f"sleep 600; {head.engine}"
    for host in draining_pair:
        host.start()
    wait_for_engines(worker)
    worker.signal(signal.SIGTERM)
    assert worker.code() == 0  # while a drain may take ten times as long as this waits


# The time of day, which NTP sets forward and back


@pytest.fixture(name="wall_clock")
def wall_clock_to_set(tmp_path) -> WallClock:
    return WallClock(tmp_path)


def test_a_step_of_the_clock_restarts_nothing(make, wall_clock):
    hosts = make(2)
    for host in hosts:
        host.environment = wall_clock.environment
        host.start()
    wait_for_engines(*hosts)
    engines = [host.engine_pid() for host in hosts]
    for ahead in (DAY, -DAY):
        wall_clock.set_ahead(ahead)
        assert [round(wall_clock.seen(host.python) / DAY) for host in hosts] == [ahead / DAY] * 2
        time.sleep(1.5 * GRACE)
        assert [host.engine_pid() for host in hosts] == engines, [host.says() for host in hosts]
    # A host that is gone is noticed after its grace period all the same.
    began = time.monotonic()
    hosts[1].signal(signal.SIGSTOP)
    assert hosts[0].code() == 1
    # The period begins with the last heartbeat, of which there are six in it.
    assert time.monotonic() - began > GRACE - GRACE / 6
    hosts[1].signal(signal.SIGCONT)
    assert hosts[1].code() == 1


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forward", "back"])
def test_a_pause_lasts_as_long_whatever_the_clock_does(make, wall_clock, ahead):
    (host,) = make(1)
    host.environment = wall_clock.environment
    host.state.write_text('{"failures": 2, "running": false, "lasted": 4}', encoding="ascii")
    began = time.monotonic()
    host.start()
    wait(lambda: "back-off" in host.says(), host)
    wall_clock.set_ahead(ahead)
    wait_for_engines(host)
    assert time.monotonic() - began > 3
    # The generation that fails now has loaded for some seconds, not for a day.
    wall_clock.set_ahead(0)
    os.killpg(host.engine_pid(), signal.SIGKILL)
    assert host.code() == 1
    count = host.count()
    assert count["failures"] == 3
    assert 0 <= count["lasted"] < PATIENCE


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forward", "back"])
def test_engines_that_are_asked_and_a_drain_have_their_time_whatever_the_clock_does(
    draining, wall_clock, ahead
):
    draining.environment = wall_clock.environment
    draining.options["settled-seconds"] = PATIENCE
    draining.state.write_text('{"failures": 1, "running": false, "lasted": 0}', encoding="ascii")
    start_until_ready(draining)
    client = Client(draining)
    with client.request() as answer:
        time.sleep(2)  # longer than the engine may be silent, so that it is asked for a token
        wall_clock.set_ahead(ahead)
        time.sleep(2)
        assert draining.count()["failures"] == 1  # not good yet
        draining.signal(signal.SIGTERM)
        wait(lambda: draining.health().startswith("ok: draining: "), draining)
        wall_clock.set_ahead(0)
        time.sleep(2)
        client.resume()
        assert answer.result(PATIENCE) == 200
    assert draining.code() == 0
    assert "hangs" not in draining.says()
