# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listener and caller over real sockets of the loopback network, and pings through the lab's simulated tool."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.connectivity import GREETING
from ansible_collections.ascend_ops.vllm.plugins.modules import peer_listener, peer_probe
from locks import alone_with
from npu_sim import install
from polling import wait_until
from ports import free_port

HEAD, CALLER, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


PATIENCE = 60  # seconds that a busy machine may take; a listener that nothing ends waits longer


def wait_for_the_end() -> None:
    wait_until(lambda: not peer_listener.earlier_listeners(), PATIENCE, "the listener ends", every=0.01)


@pytest.fixture(autouse=True)
def the_only_listener():
    """A new listener ends the earlier ones of the machine, also those of another pytest worker."""
    with alone_with("listener"):
        yield
        peer_listener.end_earlier_listeners()


def start(
    callers: int = 1, ports: tuple[int, ...] = (), ephemeral: int = 2, seconds: float = 2 * PATIENCE
) -> list[int]:
    """Listen on HEAD; return the ports."""
    servers = peer_listener.open_all(HEAD, list(ports), ephemeral)
    found = [server.getsockname()[1] for server in servers]
    peer_listener.serve_in_background(servers, callers, seconds)
    for server in servers:
        server.close()
    return found


def call(own: str, ports: list[int], address: str = HEAD, seconds: float = PATIENCE) -> list[str | None]:
    calls = [{"host": "node0", "address": address, "port": port} for port in ports]
    return [one["error"] for one in peer_probe.call_all(own, calls, seconds)]


def test_all_ports_are_called_and_the_listener_ends():
    ports = start(ports=(free_port(HEAD),), ephemeral=4)
    assert len(set(ports)) == 5
    assert peer_listener.earlier_listeners() != []
    assert call(CALLER, ports) == [None] * 5
    wait_for_the_end()


def test_the_ports_are_free_at_once_when_all_have_called():
    ports = start()
    assert call(CALLER, ports) == [None] * 2
    wait_for_the_end()
    for port in ports:
        with socket.socket() as strict:  # without SO_REUSEADDR, so not over a connection that lingers
            strict.bind((HEAD, port))


def test_a_call_whose_end_is_lost_holds_no_port():
    port = free_port(HEAD)
    start(ports=(port,), ephemeral=0)
    with socket.create_connection((HEAD, port), source_address=(CALLER, 0)) as call:
        call.sendall(GREETING)
        wait_until(lambda: can_listen(port), PATIENCE, "the port is free", every=0.01)
        assert peer_listener.earlier_listeners()
        wait_for_the_end()


def can_listen(port: int) -> bool:
    """Whether a server can listen as vLLM and the supervisor do."""
    with contextlib.suppress(OSError), socket.create_server((HEAD, port)):
        return True
    return False


def test_a_worker_of_the_service_that_calls_is_not_taken_for_the_host():
    port = free_port(HEAD)
    start(ports=(port,), ephemeral=0)
    for words in (b"\xff\0\0\0", b""):
        with socket.create_connection((HEAD, port), source_address=(CALLER, 0)) as worker:
            worker.sendall(words)
            time.sleep(0.1)
    assert call(CALLER, [port]) == [None]
    wait_for_the_end()
    with socket.socket() as strict:
        strict.bind((HEAD, port))


def test_the_listener_waits_for_every_caller():
    ports = start(callers=2)
    assert call(CALLER, ports) == [None] * 2
    assert call(CALLER, ports) == [None] * 2  # again, which makes no second host
    time.sleep(0.2)
    assert peer_listener.earlier_listeners()
    assert call(OTHER, ports) == [None] * 2
    wait_for_the_end()


def test_the_listener_ends_in_time_without_callers():
    start(seconds=0.2)
    wait_for_the_end()


def test_who_stops_the_listener_learns_whether_it_still_listened():
    start()
    assert peer_listener.end_earlier_listeners() is True
    assert peer_listener.end_earlier_listeners() is False


def test_a_new_listener_takes_the_place_of_an_earlier_one():
    port = free_port(HEAD)
    assert start(ports=(port,), ephemeral=0) == [port]
    earlier = peer_listener.earlier_listeners()
    peer_listener.end_earlier_listeners()
    assert start(ports=(port,), ephemeral=0) == [port]
    assert set(earlier).isdisjoint(peer_listener.earlier_listeners())


def test_a_port_that_is_taken_is_left_to_who_has_it():
    with socket.create_server((HEAD, 0)) as server:
        taken = server.getsockname()[1]
        assert taken not in start(ports=(taken,), ephemeral=1)


def test_ephemeral_ports_lie_over_the_whole_range_of_the_kernel():
    low, high = (int(text) for text in Path(peer_listener.RANGE).read_text(encoding="ascii").split())
    firsts = [candidates[0] for candidates in peer_listener.spread(4)]
    assert (firsts[0], firsts[-1]) == (low, high)
    assert firsts == sorted(set(firsts))
    assert all(low <= port <= high for candidates in peer_listener.spread(4) for port in candidates)


def test_an_address_that_is_not_the_hosts_own():
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        peer_listener.open_all("198.51.100.1", [], 1)
    assert call("198.51.100.1", [1]) == [os.strerror(errno.EADDRNOTAVAIL)]


def test_who_does_not_listen_and_who_does_not_answer(tmp_path):
    assert call(CALLER, [free_port(HEAD)]) == [os.strerror(errno.ECONNREFUSED)]
    with (
        socket.socket() as full
    ):  # one that accepts nothing: the kernel drops what comes when the queue is full
        full.bind((HEAD, 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection((HEAD, port)):
            began = time.monotonic()
            assert ["0.5 s" in error for error in call(CALLER, [port] * 50, seconds=0.5)] == [True] * 50
            assert time.monotonic() - began < 50 * 0.5 / 2  # side by side


# Pings


def ping(root: Path, *targets: tuple[int, str], seconds: float = 10) -> list[dict[str, Any]]:
    pings = [
        {"device": device, "host": "node1", "peer": device, "address": address} for device, address in targets
    ]
    return peer_probe.probe(CALLER, [], pings, seconds, str(root / install.HCCN_TOOL))["pings"]


def test_pings_are_counted(tmp_path):
    install.apply(tmp_path, {"ping_loss": [4], "unreachable": ["10.20.11.24"]}, 0, "node0")
    found = ping(tmp_path, (3, "10.20.11.22"), (4, "10.20.11.23"), (5, "10.20.11.24"), (3, "10.9.9.9"))
    assert {
        (one["device"], one["address"]): (one["sent"], one["received"], one["text"]) for one in found
    } == {
        (3, "10.20.11.22"): (3, 3, None),
        (3, "10.9.9.9"): (3, 0, None),
        (4, "10.20.11.23"): (3, 2, None),
        (5, "10.20.11.24"): (3, 0, None),
    }


def test_chips_ping_side_by_side_and_all_is_over_in_time(tmp_path):
    install.apply(tmp_path, {"delay": 1}, 0, "node0")
    found = ping(
        tmp_path,
        *((device, "10.20.11.19") for device in range(8)),
        *((0, "10.20.11.20") for _ in range(4)),
        seconds=4,
    )
    assert [one["received"] for one in found if one["device"]] == [3] * 7
    assert found[4]["received"] is None
    assert found[4]["text"]


def test_what_the_tool_says_instead_of_a_count_is_kept(tmp_path):
    install.apply(tmp_path, {}, 0, "node0")
    (tmp_path / install.ANSWERS / "hccn_tool" / "-i 0 -ping -g").write_text(
        "Command execute failed!\n", encoding="ascii"
    )
    assert [(one["received"], one["text"]) for one in ping(tmp_path, (0, "10.20.11.19"))] == [
        (None, "Command execute failed!")
    ]
    subprocess.run(["rm", tmp_path / install.HCCN_TOOL], check=True)
    assert "No such file" in ping(tmp_path, (0, "10.20.11.19"))[0]["text"]
