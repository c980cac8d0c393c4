# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that exchange files over HTTP on this machine. In place of the hub, the test writes the files."""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import json
import multiprocessing
import os
import socket
import ssl
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import downloader
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.downloader import (
    Exchange,
    Peer,
    position,
    signature,
)
from polling import wait_until
from ports import free_port

KEY = "the key of the run"
CONTENTS = {f"shard-{number}": os.urandom(3_000_000 + number) for number in range(7)}
CONTENTS["sub/small.json"] = b"{}"
FILES = [
    {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    for path, content in CONTENTS.items()
]


STATE = {"ready": True, "listing": "", "fetches": True, "have": [], "corrupt": []}


@pytest.fixture(autouse=True)
def frequent_polls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(downloader, "TICK", 0.02)


class Host:
    """A host with a folder, which records what it fetched."""

    def __init__(self, folder: Path, addresses: list[str], index: int, port: int, has: list[str]) -> None:
        self.folder, self.fetched, self.has, self.fetches = folder, [], has, True
        for path in has:
            self.write(path)
        self.exchange = Exchange(str(folder), addresses, index, port, KEY)

    def write(self, path: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(CONTENTS[path])

    def fetch(self, paths: list[str]) -> None:
        self.fetched += paths
        for path in paths:
            self.write(path)

    def run(self) -> None:
        missing = [path for path in CONTENTS if path not in self.has]
        self.exchange.run(FILES, missing, self.fetch, self.fetches)


def hosts(tmp_path: Path, port: int, *has: list[str]) -> list[Host]:
    addresses = [f"127.0.0.{number + 1}" for number in range(len(has))]
    return [
        Host(tmp_path / address, addresses, index, port, has[index])
        for index, address in enumerate(addresses)
    ]


def run(all_hosts: list[Host]) -> None:
    with ThreadPoolExecutor() as pool:
        for job in [pool.submit(host.run) for host in all_hosts]:
            job.result()


@pytest.fixture(name="port")
def a_free_port() -> int:
    return free_port()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_file_is_fetched_once_and_all_hosts_have_all(tmp_path: Path, port: int, count: int):
    all_hosts = hosts(tmp_path, port, *[[] for _host in range(count)])
    run(all_hosts)
    assert sorted(path for host in all_hosts for path in host.fetched) == sorted(CONTENTS)
    assert all(
        len(host.fetched) in (len(CONTENTS) // count, len(CONTENTS) // count + 1) for host in all_hosts
    )
    for host in all_hosts:
        assert {path: (host.folder / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_a_host_without_a_way_out_fetches_nothing_and_gets_all(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, [], [], [])
    all_hosts[0].fetches = all_hosts[2].fetches = False
    run(all_hosts)
    assert [sorted(host.fetched) for host in all_hosts] == [[], sorted(CONTENTS), []]
    for host in all_hosts:
        assert {path: (host.folder / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_hosts_without_a_way_out_say_so(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, ["shard-1"], ["shard-1"])
    all_hosts[0].fetches = all_hosts[1].fetches = False
    with pytest.raises(RuntimeError, match="no host can fetch shard-0 from the hub, and none has it"):
        run(all_hosts)


def test_what_a_host_has_is_not_fetched(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [], [])
    run(all_hosts)
    assert [host.fetched for host in all_hosts] == [[], [], []]
    assert (all_hosts[2].folder / "shard-3").read_bytes() == CONTENTS["shard-3"]


def test_a_part_that_an_earlier_run_left_is_kept(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [path for path in CONTENTS if path != "shard-1"])
    (all_hosts[1].folder / "shard-1.incomplete").write_bytes(CONTENTS["shard-1"][:1_000_000])
    asked = []
    ask = Exchange._ask
    monkeypatch.setattr(
        Exchange,
        "_ask",
        lambda self, peer, path, span="": asked.append((path, span)) or ask(self, peer, path, span),
    )
    run(all_hosts)
    assert ("/files/shard-1", "bytes=1000000-") in asked
    assert (all_hosts[1].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_damaged_part_is_discarded(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [path for path in CONTENTS if path != "shard-1"])
    (all_hosts[1].folder / "shard-1.incomplete").write_bytes(b"x" * 1_000_000)
    run(all_hosts)
    assert (all_hosts[1].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_host_that_cannot_read_a_suspect_file_gets_it_again(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [path for path in CONTENTS if path != "shard-1"])
    (all_hosts[0].folder / "shard-1").unlink()
    run(all_hosts)
    assert sorted(path for host in all_hosts for path in host.fetched) == ["shard-1"]
    assert (all_hosts[1].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_host_with_a_damaged_file_is_told_and_gets_it_again(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), list(CONTENTS), [])
    for host in all_hosts[:2]:
        (host.folder / "shard-1").write_bytes(b"x" * len(CONTENTS["shard-1"]))
    run(all_hosts)
    assert sorted(path for host in all_hosts for path in host.fetched) == ["shard-1"]
    assert "shard-1" in all_hosts[0].exchange.corrupt | all_hosts[1].exchange.corrupt
    assert (all_hosts[2].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_file_that_only_arrives_damaged_is_received_again(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [])
    receive_once, damaged = downloader.receive_once, []

    def damage_once(open_at: Any, partial: str, file: Any) -> str:
        digest = receive_once(open_at, partial, file)
        if file["path"] != "shard-1" or damaged:
            return digest
        damaged.append(partial)
        return "0" * 64

    monkeypatch.setattr(downloader, "receive_once", damage_once)
    run(all_hosts)
    assert [host.fetched for host in all_hosts] == [[], []]
    assert [host.exchange.corrupt for host in all_hosts] == [set(), set()]
    assert (all_hosts[1].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_damaged_file_that_nobody_can_fetch_is_named(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), [])
    (all_hosts[0].folder / "shard-1").write_bytes(b"x" * len(CONTENTS["shard-1"]))
    all_hosts[0].fetches = all_hosts[1].fetches = False
    with pytest.raises(RuntimeError, match="no host can fetch shard-1 from the hub, and none has it"):
        run(all_hosts)


def test_a_file_that_turns_out_to_be_right_has_no_sender(tmp_path: Path, port: int):
    """Its reading ends at any time, so also while the host looks for a sender."""
    exchange = hosts(tmp_path, port, list(CONTENTS), list(CONTENTS))[0].exchange
    exchange._announce(FILES, [], fetches=True)
    assert exchange._sender("shard-1") is None
    exchange.have.remove("shard-1")
    exchange.peers[0].have = frozenset({"shard-1"})
    assert exchange._sender("shard-1") is exchange.peers[0]


def test_a_host_with_all_files_waits_for_its_jobs_and_for_the_other_hosts(tmp_path: Path, port: int):
    exchange = hosts(tmp_path, port, list(CONTENTS), list(CONTENTS))[0].exchange
    exchange._announce(FILES, [], fetches=True)
    (other,) = exchange.peers
    other.heard, other.have = time.monotonic(), frozenset(list(CONTENTS)[1:])
    assert exchange._has_work()
    other.have = frozenset(CONTENTS)
    assert not exchange._has_work()
    job = exchange._jobs[downloader.HUB] = Future()
    assert exchange._has_work()
    job.set_result(None)
    assert not exchange._has_work()
    other.have = frozenset()
    other.left = True
    assert not exchange._has_work()
    other.left, other.heard = False, time.monotonic() - downloader.SILENT_SECONDS - 1
    assert not exchange._has_work()


def test_a_file_that_a_host_does_not_have_any_more_is_received_from_another(tmp_path: Path, port: int):
    all_hosts = hosts(tmp_path, port, list(CONTENTS), list(CONTENTS), [])
    receiver = all_hosts[2].exchange
    for peer in receiver.peers:
        peer.update(json.dumps({**STATE, "have": ["shard-1"]}).encode())
    all_hosts[1].exchange.have = {"shard-1"}
    for peer in receiver.peers:
        receiver._receive(peer, FILES[1])
    assert ["shard-1" in peer.have for peer in receiver.peers] == [False, True]
    assert (all_hosts[2].folder / "shard-1").read_bytes() == CONTENTS["shard-1"]


def test_a_host_of_another_run_is_told_from_a_closed_port(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloader, "HELLO_SECONDS", 5)
    addresses = ["127.0.0.1", "127.0.0.2"]
    Exchange(str(tmp_path), addresses, 1, port, "the key of another run")
    host = Host(tmp_path / "one", addresses, 0, port, [])
    with pytest.raises(
        RuntimeError, match=r"127.0.0.2 answers on TCP port \d+, but refuses this host, 127.0.0.1"
    ):
        host.run()


def test_a_request_comes_from_the_address_that_the_other_hosts_know(tmp_path: Path, port: int):
    """On Linux, without that, a request to any address of the loopback comes from 127.0.0.1."""
    addresses = ["127.0.0.4", "127.0.0.5"]
    run(
        [
            Host(tmp_path / address, addresses, index, port, list(CONTENTS))
            for index, address in enumerate(addresses)
        ]
    )


def test_a_host_that_never_comes_is_named(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(downloader, "HELLO_SECONDS", 0.1)
    host = Host(tmp_path / "one", ["127.0.0.1", "127.0.0.2"], 0, port, [])
    with pytest.raises(
        RuntimeError,
        match=r"127.0.0.2 does not answer on TCP port .* see the error of that host, and open that port",
    ):
        host.run()


def start_host(
    folder: Path, addresses: list[str], port: int, fetch_seconds: float
) -> multiprocessing.Process:
    """Start a host in a process of its own, which can be killed.

    It has the first two files, and fetches each of the others in so many seconds.
    """

    def work() -> None:
        host = Host(folder, addresses, 0, port, list(CONTENTS)[:2])
        fetch = host.fetch
        host.fetch = lambda paths: [(time.sleep(fetch_seconds), fetch([path])) for path in paths]
        host.run()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


# Only this process has the collection's import hook, so the host is a fork of it. It uses no thread of this one.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_host_that_is_killed_and_restarted_is_waited_for(tmp_path: Path, port: int):
    addresses = ["127.0.0.1", "127.0.0.2"]
    killed = start_host(tmp_path / "one", addresses, port, 60)
    two = Host(tmp_path / "two", addresses, 1, port, [])
    with ThreadPoolExecutor() as pool:
        running = pool.submit(two.run)
        wait_until(
            lambda: two.fetched and len(two.exchange.have) >= 2 + len(two.fetched),
            60,
            "the first host sends its files",
            every=0.01,
        )
        killed.kill()
        killed.join()
        wait_until(lambda: two.exchange.peers[0].left, 60, "the other host notices it", every=0.01)
        again = start_host(tmp_path / "one", addresses, port, 0)
        running.result()
    again.join()
    assert again.exitcode == 0
    assert len(two.fetched) == (len(CONTENTS) - 2) // 2  # the other half is the other host's
    for folder in ("one", "two"):
        assert {path: (tmp_path / folder / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_a_host_that_falls_silent_is_named_and_no_other(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    """It takes connections, but answers none. The others answer as before."""
    one, two, silent = hosts(tmp_path, port, [], [], [])
    monkeypatch.setattr(downloader, "SILENT_SECONDS", 10)
    over = threading.Event()

    def fall_silent(_paths: list[str]) -> None:
        wait_until(lambda: one.fetched and two.fetched, 60, "the others have begun", every=0.01)
        silent.exchange.state = lambda _known: over.wait(60)  # type: ignore[method-assign]
        over.wait(60)
        raise RuntimeError("the test is over")

    silent.fetch = fall_silent
    with ThreadPoolExecutor() as pool:
        pool.submit(silent.run)
        for running in [pool.submit(host.run) for host in (one, two)]:
            with pytest.raises(RuntimeError, match=r"127\.0\.0\.3 has gone"):
                running.result()
        over.set()


@pytest.mark.parametrize(
    "state",
    ["x", 1, [1], {"ready": True}, {**STATE, "have": 1}, {**STATE, "corrupt": None}],
    ids=lambda state: json.dumps(state)[:30],
)
def test_a_state_of_another_form_is_none(state: object):
    with pytest.raises(ValueError, match="no state"):
        Peer(1, "127.0.0.2").update(json.dumps(state).encode())


class Unsigned(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({**STATE, "have": list(CONTENTS)}).encode())

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_state_that_no_host_of_the_run_has_signed_is_not_believed(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloader, "HELLO_SECONDS", 1)
    with ThreadingHTTPServer(("127.0.0.2", port), Unsigned) as liar:
        threading.Thread(target=liar.serve_forever, args=[0.05], daemon=True).start()
        host = Host(tmp_path / "one", ["127.0.0.1", "127.0.0.2"], 0, port, [])
        with pytest.raises(RuntimeError, match=r"127\.0\.0\.2 does not answer"):
            host.run()
        liar.shutdown()


def test_hosts_with_different_listings_do_not_start(tmp_path: Path, port: int):
    one, two = hosts(tmp_path, port, [], [])
    other = [{**FILES[0], "sha256": "0" * 64}, *FILES[1:]]
    with ThreadPoolExecutor() as pool:
        second = pool.submit(two.exchange.run, other, list(CONTENTS), two.fetch)
        with pytest.raises(RuntimeError, match="the hub lists different files"):
            one.run()
        with pytest.raises(RuntimeError, match="the hub lists different files"):
            second.result()
    assert one.fetched == two.fetched == []


# Authorization


def get(port: int, path: str, headers: dict[str, str], source: str = "127.0.0.2") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def signed(path: str, nonce: str = "one", key: str = KEY) -> dict[str, Any]:
    return {"Nonce": nonce, "Signature": signature(key, nonce, path, "")}


def test_only_signed_requests_of_hosts_of_the_run_are_accepted_and_only_once(tmp_path: Path, port: int):
    Host(tmp_path, ["127.0.0.1", "127.0.0.2"], 0, port, []).exchange.have = {"shard-0"}
    (tmp_path / "shard-0").write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"secret")
    assert get(port, "/state", signed("/state")) == 200
    assert get(port, "/state", signed("/state")) == 403  # a replay
    assert get(port, "/state", signed("/state", "before one")) == 403  # an older one, delayed
    assert get(port, "/state", {}) == 403
    assert get(port, "/state", signed("/state", "two", "another key")) == 403
    assert get(port, "/files/shard-0", signed("/state", "three")) == 403
    assert get(port, "/state", signed("/state", "four"), source="127.0.0.3") == 403
    assert get(port, "/files/shard-0", signed("/files/shard-0", "five")) == 206
    assert get(port, "/files/shard-0", signed("/files/shard-0", "five")) == 403
    for number, path in enumerate(
        ("/files/secret", "/files/../secret", "/files/%2e%2e/secret", "/elsewhere")
    ):
        assert get(port, path, signed(path, f"other-{number}")) == 403


def test_connections_of_strangers_keep_no_host_out(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloader.Handler, "timeout", 2)
    Host(tmp_path, ["127.0.0.1", "127.0.0.2"], 0, port, [])
    with ExitStack() as stack:
        idle = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 60, source_address=("127.0.0.3", 0))
            )
            for _number in range(downloader.STRANGERS + 20)
        ]
        began = time.monotonic()
        ends = [one.recv(1) for one in reversed(idle)]
        assert ends == [b""] * len(idle), "an idle connection was answered"
        assert time.monotonic() - began < 30, "idle connections stay"
        assert get(port, "/state", signed("/state")) == 200
    assert get(port, "/state", signed("/state", "two"), source="127.0.0.3") == 403


# The transport


class Answer(io.BytesIO):
    """An answer with a body, which may go on for ever."""

    def __init__(self, body: bytes, endless: bool = False, **headers: str) -> None:
        super().__init__(body)
        self.status = 206 if headers else 200
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.endless, self.given = endless, 0

    def readinto(self, view: memoryview) -> int:
        count = super().readinto(view)
        if not count and self.endless:
            view[:] = bytes(len(view))
            count = len(view)
        self.given += count
        return count


def test_a_body_without_an_end_fills_no_disk(tmp_path: Path):
    answer = Answer(b"x", endless=True)
    with pytest.raises(downloader.DamagedError, match="SHA-256"):
        downloader.receive(lambda _first: answer, str(tmp_path / "a"), FILES[0], tries=1)
    assert answer.given == FILES[0]["size"]
    assert not list(tmp_path.iterdir())


def test_a_part_from_elsewhere_is_not_appended(tmp_path: Path):
    content = CONTENTS["shard-1"]
    (tmp_path / "shard-1.incomplete").write_bytes(content[:1000])
    answers = [
        Answer(content, Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}"),
        Answer(content[1000:], Content_Range=f"bytes 1000-{len(content) - 1}/{len(content)}"),
    ]
    downloader.receive(lambda _first: answers.pop(0), str(tmp_path / "shard-1"), FILES[1], tries=1)
    assert (tmp_path / "shard-1").read_bytes() == content


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://hub.example.com/b", True),
        ("http://hub.example.com/a", False),
        ("https://cdn.example.com/a", False),
        ("https://hub.example.com:8443/a", False),
    ],
)
def test_the_token_follows_to_the_same_server_alone(other: str, same: bool):
    assert downloader.is_same_server("https://hub.example.com/a", other) is same


@pytest.mark.parametrize(("asked", "pause"), [("", 1), ("5", 5), ("soon", 1), ("9999", 30)])
def test_a_busy_server_says_when_to_ask_again(asked: str, pause: int):
    assert downloader.BusyError("429", asked).pause == pause


@pytest.mark.parametrize(
    ("error", "of_disk"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
        (ssl.SSLError(ssl.SSL_ERROR_SYSCALL, "Some I/O error occurred"), False),
        (http.client.IncompleteRead(b""), False),
    ],
    ids=lambda value: str(value).strip("[]") if isinstance(value, Exception) else "",
)
def test_errors_of_the_disk_are_told_from_those_of_the_network(error: Exception, of_disk: bool):
    assert downloader.is_of_disk(error) == of_disk


def test_every_host_has_another_position_for_each_file():
    for rank in range(8):
        assert sorted(position([0, 2, 5], rank, host) for host in (0, 2, 5)) == [0, 1, 2]
    assert [position([0, 2, 5], rank, 2) for rank in range(3)] == [1, 0, 2]
