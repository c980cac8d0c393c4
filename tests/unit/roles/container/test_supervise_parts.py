# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the supervisor in the process of the tests; test_supervise.py has whole ones."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import VLLM_STOP_SECONDS
from ports import free_port
from programs import PROGRAMS, load

supervise = load(PROGRAMS / "supervise.py")


@pytest.fixture(name="options")
def options_of_a_head(tmp_path: Path) -> argparse.Namespace:
    key = tmp_path / "key"
    key.write_text("the key of the service\n", encoding="ascii")
    given = {
        "rank": 0, "hosts": 3, "address": "127.0.0.1", "head": "127.0.0.1", "port": 1, "key": key, "grace": 3,
        "state": tmp_path / "state", "max-failures": 3, "status": tmp_path / "status", "api-port": 8080, "engines": 2,
        "probe-seconds": 60, "first-seconds": 600, "drain-seconds": 60, "draining": tmp_path / "draining",
    }  # fmt: skip
    return supervise.parse([*(f"--{name}={value}" for name, value in given.items()), "--", "vllm"])


def in_head(options: argparse.Namespace, work: Callable[[Any], Any]) -> Any:
    """Return what *work* returns for a head, which needs a running loop."""

    async def run() -> Any:
        found = work(supervise.Head(options))
        return await found if asyncio.iscoroutine(found) else found

    return asyncio.run(run())


def test_vllm_has_the_time_to_stop_that_lint_tells(options: argparse.Namespace):
    assert options.stop_seconds == VLLM_STOP_SECONDS


# Files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"failures": 2, "running": false, "lasted": 7.5}', (2, 7.5)),
        ('{"failures": 2, "running": true, "lasted": 0}', (3, 0.0)),
        ('{"failures": "x", "running": false, "lasted": 0}', (0, 0.0)),
        ('{"failures": 1, "running": false}', (0, 0.0)),
        ("[]", (0, 0.0)),
        ("", (0, 0.0)),
        (None, (0, 0.0)),
    ],
)
def test_the_count_of_failures_is_read(tmp_path: Path, content: str | None, expected: tuple[int, float]):
    file = tmp_path / "state"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    count = supervise.FailureCount(file)
    assert (count.failures, count.lasted) == expected


def test_the_count_of_failures_is_written_at_each_step(tmp_path: Path):
    file = tmp_path / "new/state"

    def written() -> dict[str, Any]:
        return json.loads(file.read_text(encoding="utf-8"))

    count = supervise.FailureCount(file)
    assert count.pause == 0
    count.begin()
    assert written() == {"failures": 0, "running": True, "lasted": 0}
    count.fail(7.26)
    assert count.failures == 1
    assert written() == {"failures": 1, "running": False, "lasted": 7.3}
    again = supervise.FailureCount(file)
    again.begin()
    assert written() == {"failures": 1, "running": True, "lasted": 0}
    again.settle()
    assert (again.failures, written()) == (0, {"failures": 0, "running": True, "lasted": 0})
    again.fail(0)
    again.reset()
    assert (again.failures, written()) == (0, {"failures": 0, "running": False, "lasted": 0})


def test_a_full_disk_costs_the_count_and_nothing_else(tmp_path: Path, capsys: Any):
    (tmp_path / "taken").write_text("", encoding="ascii")
    supervise.FailureCount(tmp_path / "taken/state").begin()
    assert "failed generations are not counted" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "enough"), [("0" * 15, False), ("0" * 16, True), (f" {'0' * 15}\n", False)])
def test_a_key_has_a_length(tmp_path: Path, key: str, enough: bool):
    file = tmp_path / "key"
    file.write_text(key, encoding="ascii")
    if enough:
        assert supervise.read_key(file) == key.encode()
        return
    with pytest.raises(ValueError, match="has a key of 15 bytes"):
        supervise.read_key(file)


def test_a_state_is_told_once_and_a_failure_as_one(options: argparse.Namespace):
    def work(head: Any) -> list[str]:
        told = []
        for text, failing in (("waiting", False), ("ready", False), ("lost", True)):
            head.report(text, failing)
            told.append(options.status.read_text(encoding="utf-8"))
        options.status.unlink()
        head.report("lost", True)
        assert not options.status.exists()
        return told

    assert in_head(options, work) == ["ok: waiting\n", "ok: ready\n", "failing: lost\n"]


def test_a_state_that_cannot_be_written_is_logged_once(options: argparse.Namespace, capsys: Any):
    options.status.mkdir()

    def work(head: Any) -> None:
        head.report("waiting")
        head.report("ready")

    in_head(options, work)
    assert capsys.readouterr().err.count("cannot write") == 1


def test_the_first_reason_to_stop_counts(options: argparse.Namespace):
    def work(head: Any) -> tuple[Any, ...]:
        assert not head.is_stopping
        head.stop("the engine hangs")
        head.stop("the container was stopped", False, 0)
        return head.is_stopping, head._stopped.result(), head.failure

    assert in_head(options, work) == (True, ("the engine hangs", 1), True)


# Engines


@pytest.mark.parametrize(
    ("labels", "sums"),
    [
        ([('engine="0"', "1"), ('engine="1",x="a"', "2.5"), ('engine="1",x="b"', "1e1")], {0: 1.0, 1: 12.5}),
        ([('x="a"', "3")], {0: 3.0}),
        ([('of_engine="7",engine="1"', "3"), ('x="a", engine="2"', "4")], {1: 3.0, 2: 4.0}),
        ([], {}),
    ],
)
def test_values_are_added_up_by_engine(labels: list[tuple[str, str]], sums: dict[int, float]):
    assert supervise.by_rank(labels) == sums


def observed(*steps: tuple[float, float, float], probe: str = "", probed: float | None = None) -> Any:
    """Return an engine after steps of (new tokens, KV cache, seconds)."""
    engine, before = supervise.Engine(0), supervise.Work(0, 0)
    engine.probed = probed
    for tokens, cache, seconds in steps:
        now = supervise.Work(before.tokens + tokens, cache)
        engine.observe(before, now, seconds)
        before = now
    return engine


def test_an_engine_that_computes_is_not_silent():
    engine = observed((0, 0, 5), (0, 0, 5))
    assert (engine.silence, engine.unanswered) == (10, 0)
    assert observed((0, 0, 5), (1, 0, 5)).silence == 0
    assert observed((0, 0, 5), (0, 0, 5), probed=4).unanswered == 6
    reading = observed((0, 0.1, 5), (0, 0.1, 5), probed=4)
    assert (reading.silence, reading.read, reading.unanswered) == (10, 5, 5)
    answered = observed((0, 0.1, 5), (1, 0.1, 5), probed=4)
    assert (answered.silence, answered.read, answered.probed) == (0, 0, None)


@pytest.mark.parametrize(("result", "silence"), [("answered", 0), ("refused", 0), ("failed", 9)])
def test_an_answer_ends_the_silence_of_an_engine(result: str, silence: float):
    async def work() -> Any:
        engine = supervise.Engine(0, silence=4)
        assert engine.answer() == ""

        async def probe() -> str:
            return result

        engine.probe = asyncio.ensure_future(probe())
        assert engine.answer() == ""  # not yet
        await engine.probe
        engine.observe(supervise.Work(0, 0), supervise.Work(0, 0), 5)
        return engine

    engine = asyncio.run(work())
    assert (engine.silence, engine.probe) == (silence, None)
    assert engine.probes == {**dict.fromkeys(supervise.PROBE_RESULTS, 0), result: 1}


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test gives for a path."""

    server: Any

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        time.sleep(self.server.delay)
        answer = self.server.answers[self.path]
        status, text = answer() if callable(answer) else answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(name="served")
def running_server() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked, server.delay = {}, [], 0.0
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def api_of(served: Any, key: Path | None = None, *addresses: str) -> Any:
    return supervise.Api(addresses or ["127.0.0.1"], served.server_address[1], key)


METRICS = """\
vllm:prompt_tokens_total{engine="0"} 3.0
vllm:generation_tokens_total{engine="0"} 4.0
vllm:generation_tokens_total{engine="1"} 1e1
vllm:kv_cache_usage_perc{engine="1"} 0.25
vllm:num_requests_running{engine="0"} 2.0
vllm:num_requests_waiting{engine="1"} 3.0
"""


def test_what_the_api_says(served: Any):
    api = api_of(served)
    served.answers = {"/health": (200, ""), "/metrics": (200, METRICS)}
    assert asyncio.run(api.is_ready())
    assert asyncio.run(api.work(5)) == {0: supervise.Work(7, 0, 0, 2), 1: supervise.Work(10, 0.25, 0, 3)}
    assert asyncio.run(api.requests()) == 5
    served.answers = {"/health": (503, ""), "/metrics": (503, "busy")}
    assert not asyncio.run(api.is_ready())
    assert asyncio.run(api.work(5)) == {}
    assert asyncio.run(api.requests()) is None


@pytest.mark.parametrize("value", [".", "-", "+", "1e", "e5", "1e999", "9" * 400, "NaN", "+Inf", "1.2.3"])
def test_what_is_no_number_counts_for_nothing(served: Any, value: str):
    """Nothing that a server may write ends the service."""
    names = ("prompt_tokens_total", "kv_cache_usage_perc", "request_success_total", "num_requests_running")
    text = "".join(f'vllm:{name}{{finished_reason="stop"}} {value}\n' for name in names)
    served.answers = {"/metrics": (200, text)}
    assert asyncio.run(api_of(served).work(5)) == {}
    assert asyncio.run(api_of(served).requests()) is None


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ('{"data": [{"id": "glm47"}]}', "glm47"),
        ("x", ""),
        ('{"data": []}', ""),
        ("[]", ""),
        ("{}", ""),
        ('{"data":' + "[" * 100_000, ""),
    ],
)
def test_the_model_that_is_served(served: Any, text: str, model: str):
    served.answers = {"/v1/models": (200, text)}
    assert asyncio.run(api_of(served).model(5)) == (200, model)


def test_one_token_is_asked_of_one_engine(served: Any, tmp_path: Path):
    (tmp_path / "key").write_text("the-key\n", encoding="ascii")
    served.answers = {"/v1/chat/completions": (201, "{}")}
    assert asyncio.run(api_of(served, tmp_path / "key").compute("glm47", 3, 1, 5)) == 201
    ((method, _path, headers, body),) = served.asked
    asked = json.loads(body)
    assert (method, asked["model"], asked["max_tokens"]) == ("POST", "glm47", 1)
    assert headers[supervise.RANK_HEADER] == "3"
    assert headers["Authorization"] == "Bearer the-key"


def test_the_address_that_answers_is_asked(served: Any):
    served.answers = {"/health": (200, "")}
    assert asyncio.run(api_of(served, None, "127.0.0.9", "127.0.0.1").is_ready())
    closed = supervise.Api(["127.0.0.1"], free_port(), None)
    assert asyncio.run(closed.model(5)) == (0, "")


@pytest.mark.parametrize(
    ("key", "header"),
    [(b"a b\n", "Bearer a b"), (b"", None), (b"\xff", None), (b"a\nb", None), (None, None)],
)
def test_a_key_is_sent_if_a_header_takes_it(tmp_path: Path, key: bytes | None, header: str | None):
    file = tmp_path / "key"
    if key is not None:
        file.write_bytes(key)
    assert supervise.Api([], 1, file)._authorization().get("Authorization") == header
    assert supervise.Api([], 1, None)._authorization() == {}


@pytest.mark.parametrize(
    ("model", "computed", "result"),
    [
        ((200, "glm47"), 200, "answered"),
        ((200, "glm47"), 399, "answered"),
        ((200, "glm47"), 400, "refused"),
        ((200, "glm47"), 499, "refused"),
        ((200, "glm47"), 500, "failed"),
        ((200, "glm47"), 0, "failed"),
        ((401, ""), None, "refused"),
        ((0, ""), None, "failed"),
        ((200, ""), None, "answered"),
    ],
)
def test_an_answer_to_a_probe_is_judged_by_its_status(options: Any, model: Any, computed: Any, result: str):
    async def its_model(_seconds: float) -> Any:
        return model

    async def compute(*_asked: Any) -> Any:
        assert computed is not None
        return computed

    async def work(head: Any) -> str:
        head._api = SimpleNamespace(model=its_model, compute=compute)
        return await head._probe(supervise.Engine(1))

    assert in_head(options, work) == result


@pytest.mark.parametrize(
    ("requests", "status", "result"),
    [(0, 503, "refused"), (1, 503, "failed"), (None, 503, "failed"), (0, 500, "failed"), (0, 504, "failed")],
)
def test_an_idle_engine_is_not_asked_where_the_others_have_too_much(
    options: Any, requests: float | None, status: int, result: str
):
    """With --max-num-queued-reqs or --max-num-queued-tokens, the API counts the requests of all engines."""

    async def its_model(_seconds: float) -> Any:
        return 200, "glm47"

    async def compute(*_asked: Any) -> int:
        return status

    async def work(head: Any) -> str:
        head._api = SimpleNamespace(model=its_model, compute=compute)
        engine, now = head._engines[1], supervise.Work(5, 0, 0, requests)
        engine.observe(supervise.Work(5, 0), now, 60)
        return await head._probe(engine)

    assert in_head(options, work) == result


# Hosts


def member(address: str, connected: bool = True) -> Any:
    return supervise.Member(address, object() if connected else None, 0.0)


@pytest.mark.parametrize(
    ("rank", "address", "members", "refused"),
    [
        (1, "a", {}, ""),
        (2, "a", {}, ""),
        (0, "a", {}, "host 0 is not one of the 3 hosts"),
        (3, "a", {}, "host 3 is not one of the 3 hosts"),
        (-1, "a", {}, "host -1 is not one of the 3 hosts"),
        (1, "a", {1: member("a")}, ""),
        (1, "b", {1: member("a")}, "host 1 is at a, and cannot be at b too"),
        (1, "b", {1: member("a", False)}, ""),
        (2, "b", {1: member("a")}, ""),
    ],
)
def test_who_may_join(options: Any, rank: int, address: str, members: dict[int, Any], refused: str):
    def work(head: Any) -> str:
        head._members = members
        return head._refusal(rank, address)

    found = in_head(options, work)
    assert found.startswith(refused)
    assert bool(found) == bool(refused)


class Writer:
    """A connection that notes whether it was closed at once."""

    def __init__(self, address: str) -> None:
        self.address, self.aborted = address, False
        self.transport = SimpleNamespace(abort=self._abort)

    def _abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return self.address, 1


@pytest.mark.parametrize(
    ("addresses", "kept"),
    [
        (["a"] * supervise.MAX_UNPROVEN_EACH, supervise.MAX_UNPROVEN_EACH),
        (["a"] * (supervise.MAX_UNPROVEN_EACH + 3), supervise.MAX_UNPROVEN_EACH),
        ([str(number) for number in range(supervise.MAX_UNPROVEN)], supervise.MAX_UNPROVEN),
        ([str(number) for number in range(supervise.MAX_UNPROVEN + 5)], supervise.MAX_UNPROVEN),
    ],
)
def test_the_oldest_connections_without_proof_are_closed(options: Any, addresses: list[str], kept: int):
    writers = [Writer(address) for address in addresses]

    def work(head: Any) -> list[Any]:
        head.spawn = lambda coroutine: coroutine.close()
        for writer in writers:
            head._accept(None, writer)
        return list(head._unproven)

    assert in_head(options, work) == writers[-kept:]
    assert [writer.aborted for writer in writers] == [True] * (len(writers) - kept) + [False] * kept


def test_figures_have_a_type_and_the_port():
    metrics = supervise.Metrics(8080)
    metrics.add("hosts", 2)
    metrics.add("probes_total", 1, engine=0)
    metrics.add("probes_total", 3, engine=1)
    assert str(metrics) == (
        "# TYPE ascend_ops_hosts gauge\n"
        'ascend_ops_hosts{port="8080"} 2.000\n'
        "# TYPE ascend_ops_probes_total counter\n"
        'ascend_ops_probes_total{port="8080",engine="0"} 1.000\n'
        'ascend_ops_probes_total{port="8080",engine="1"} 3.000\n'
    )


@pytest.mark.parametrize(("failures", "health"), [(0, "ok: "), (2, "ok: 2 gen"), (3, "failing: 3 gen")])
def test_many_failures_in_a_row_are_unhealthy(options: Any, failures: int, health: str):
    def work(head: Any) -> None:
        head._count.failures = failures
        head._report_generation("starting")

    in_head(options, work)
    told = options.status.read_text(encoding="utf-8")
    assert told.startswith(health)
    assert told.endswith("starting\n")


# A planned stop


@pytest.mark.parametrize(
    ("readings", "asked", "said"),
    [
        ([0, 0], 2, "[supervisor] drained after "),
        ([2, 1, 0, 0], 4, "[supervisor] drained after "),
        ([0, 1, 0, 0], 4, "[supervisor] drained after "),  # a request that came before the refusal
        ([0, None, 0, 0], 4, "[supervisor] drained after "),
    ],
)
def test_a_drain_ends_when_no_request_is_left(
    options: Any, monkeypatch: Any, capsys: Any, readings: list[Any], asked: int, said: str
):
    monkeypatch.setattr(supervise, "DRAIN_POLL_SECONDS", 0)
    left = iter(readings)
    count = []

    async def requests() -> Any:
        count.append(1)
        return next(left)

    async def work(head: Any) -> None:
        head._api = SimpleNamespace(requests=requests)
        await head.drain()
        assert not count  # it was not ready
        head._ready = True
        await head.drain()
        assert options.draining.exists()

    in_head(options, work)
    assert len(count) == asked
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("number", "said"), [(3, "3 request(s) are cut"), (None, "an unknown number of")])
def test_a_drain_does_not_take_longer_than_it_may(
    options: Any, monkeypatch: Any, capsys: Any, number: Any, said: str
):
    monkeypatch.setattr(supervise, "DRAIN_POLL_SECONDS", 0.01)
    options.drain_seconds = 0.1

    async def requests() -> Any:
        return number

    async def work(head: Any) -> None:
        head._api, head._ready = SimpleNamespace(requests=requests), True
        await head.drain()

    in_head(options, work)
    shown = capsys.readouterr().err
    assert said in shown
    assert "not drained after 0 s" in shown
    assert shown.count("draining: ") == 1


# Generations


@pytest.mark.parametrize(
    ("failures", "lasted", "pause"),
    [(0, 50, 0), (1, 50, 1), (2, 0, 2), (2, 50, 50), (3, 3, 4), (4, 0, 8), (30, 0, 600), (2, 9999, 600)],
)
def test_the_pause_after_failures(tmp_path: Path, failures: int, lasted: float, pause: float):
    count = supervise.FailureCount(tmp_path / "state")
    count.failures, count.lasted = failures, lasted
    assert count.pause == pause


class Sent:
    """A channel that notes what was sent, and receives what the test gives."""

    def __init__(self, *received: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self._received = list(received)

    def send(self, **message: Any) -> None:
        self.sent.append(message)

    async def receive(self, _seconds: float) -> Any:
        if not self._received:
            raise EOFError
        return self._received.pop(0)

    async def close(self) -> None:
        self.closed = True


def joined(*channels: Any) -> dict[int, Any]:
    return {rank: supervise.Member("a", one, 0.0) for rank, one in enumerate(channels, 1)}


@pytest.mark.parametrize(
    ("failure", "generation", "ready", "state"),
    [
        (True, "g", False, {"failures": 2, "running": False, "lasted": 9.0}),
        (True, "g", True, {"failures": 2, "running": False, "lasted": 0}),
        (True, "", False, {"failures": 2, "running": False, "lasted": 0}),
        (False, "g", False, {"failures": 0, "running": False, "lasted": 0}),
    ],
)
def test_all_hosts_learn_why_one_stops(options: Any, failure: bool, generation: str, ready: bool, state: Any):
    options.state.write_text('{"failures": 2, "running": false, "lasted": 0}', encoding="utf-8")
    channel = Sent()

    async def work(head: Any) -> None:
        head._members = joined(channel, None)
        head.failure, head.generation, head._ready = failure, generation, ready
        head._begun = supervise.time.monotonic() - 9
        await head.notify_peers("why")

    in_head(options, work)
    assert (channel.sent, channel.closed) == ([{"end": "why", "failure": failure}], True)
    stored = json.loads(options.state.read_text(encoding="utf-8"))
    assert {**stored, "lasted": 9.0 if stored["lasted"] >= 9 else stored["lasted"]} == state


@pytest.mark.parametrize(
    ("failures", "logged", "health"),
    [(0, "", "ok: "), (1, "back-off: 1 failed", "ok: 1 gen"), (3, "keeps failing: 3", "failing: 3 gen")],
)
def test_failures_are_told_before_the_next_start(
    options: Any, monkeypatch: Any, capsys: Any, failures: int, logged: str, health: str
):
    monkeypatch.setattr(supervise, "MAX_BACKOFF_SECONDS", 0)
    states: list[str] = []

    async def work(head: Any) -> None:
        head._count.failures, head.enter = failures, states.append
        await head._back_off()

    in_head(options, work)
    assert states == (["pausing", "waiting"] if failures else [])
    assert logged in capsys.readouterr().err
    assert options.status.read_text(encoding="utf-8").startswith(health)


@pytest.mark.parametrize("probes", [0, 60])
def test_all_hosts_learn_that_the_service_is_ready(options: Any, monkeypatch: Any, probes: int):
    monkeypatch.setattr(supervise, "READY_POLL_SECONDS", 0)
    options.probe_seconds, options.settled_seconds = probes, 0
    readings, channel = [False, False, True], Sent()

    async def is_ready() -> bool:
        return readings.pop(0)

    async def no_work() -> dict[int, Any]:
        return {}

    async def work(head: Any) -> None:
        head._api = SimpleNamespace(is_ready=is_ready, work=no_work)
        head._members, head._count.failures = joined(channel, None), 2
        await head._watch_service()
        assert head._ready
        assert bool(head._engine_watch) == bool(probes)
        assert head._state == "ready"
        while head._count.failures:
            await asyncio.sleep(0)

    in_head(options, work)
    assert channel.sent == [{"ready": True}]
    assert options.status.read_text(encoding="utf-8") == "ok: ready\n"


@pytest.mark.parametrize("command", ["/nowhere/vllm", "true"])
def test_vllm_that_cannot_start_or_exits_is_a_reason_to_stop(options: Any, command: str):
    options.command = [command]
    channel = Sent()

    async def work(head: Any) -> Any:
        head._members = joined(channel, Sent())
        head._watch_service = lambda: asyncio.sleep(0)
        await head._start_generation()
        return await head._stopped

    reason, code = in_head(options, work)
    assert code == 1
    assert "vLLM" in reason
    assert [set(one) for one in channel.sent] == ([{"start"}] if command == "true" else [])
    assert json.loads(options.state.read_text(encoding="utf-8"))["running"] is True


def test_vllm_gets_what_refuses_requests(options: Any, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setenv("PYTHONPATH", "/before")
    out = tmp_path / "out"
    options.command = ["sh", "-c", f'echo "$ASCEND_OPS_DRAINING $PYTHONPATH $0 $1" >{out}']
    options.middleware = Path("/own/drain.py")
    options.draining.touch()

    async def work(head: Any) -> Any:
        await head.start_vllm("g")
        assert (head.generation, head._state) == ("g", "loading")
        return await head._stopped

    assert in_head(options, work)[0] == "vLLM on host 0 exited with code 0"
    assert not options.draining.exists()
    assert out.read_text(encoding="utf-8").split() == [
        str(options.draining), "/before:/own", "--middleware", "drain.Refusal",
    ]  # fmt: skip


def test_a_task_that_fails_stops_the_supervisor_and_one_that_ends_does_not(options: Any):
    async def fails() -> None:
        raise KeyError("x")

    async def work(head: Any) -> list[bool]:
        stops = []
        for coroutine in (asyncio.sleep(0), asyncio.sleep(60), fails()):
            task = head.spawn(coroutine)
            if len(stops) == 1:
                task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
            stops.append(head.is_stopping)
        assert not head._tasks
        return stops

    assert in_head(options, work) == [False, False, True]


# Engines that are watched


@pytest.mark.parametrize(
    ("probed", "read", "unanswered"), [(None, 5, 0), (10, 0, 90), (10, 40, 60), (10, 9000, 8200), (2000, 9000, 8000)]
)  # fmt: skip
def test_what_an_engine_owes(probed: float | None, read: float, unanswered: float):
    silence = 10_000 if read == 9000 else 100
    assert supervise.Engine(0, silence, read, probed).unanswered == unanswered


def test_engines_that_hang_are_named():
    one, two = supervise.Engine(1, silence=7), supervise.Engine(2, silence=5)
    assert supervise.hang([one]).startswith("engine 1 hangs: no token for 7 s")
    assert supervise.hang([one, two]).startswith("engines 1, 2 hang: no token for 5 s")


@pytest.mark.parametrize(("answers", "seconds"), [((0, 0), 600), ((1, 0), 600), ((1, 1), 120), ((1, 2), 120)])
def test_an_engine_has_more_time_until_all_have_answered(options: Any, answers: Any, seconds: float):
    def work(head: Any) -> float:
        for engine, count in zip(head._engines, answers, strict=True):
            engine.finished = count
        return head._answer_seconds()

    assert in_head(options, work) == seconds
    options.first_seconds = 1
    assert in_head(options, work) == 120


@pytest.mark.parametrize(("answered", "tokens"), [(0, supervise.ANSWER_TOKENS), (1, 1)])
def test_the_first_answer_has_more_tokens(options: Any, answered: int, tokens: int):
    asked: list[Any] = []

    async def model(_seconds: float) -> Any:
        return 200, "glm47"

    async def compute(*what: Any) -> int:
        asked.append(what)
        return 200

    async def work(head: Any) -> None:
        head._api = SimpleNamespace(model=model, compute=compute)
        head._engines[1].probes["answered"] = answered
        await head._probe(head._engines[1])

    in_head(options, work)
    assert asked == [("glm47", 1, tokens, 120)]


@pytest.mark.parametrize(
    ("computes", "answer", "stops"), [(True, "failed", False), (False, "answered", False), (False, "failed", True)]
)  # fmt: skip
def test_engines_are_watched(options: Any, computes: bool, answer: str, stops: bool):
    options.probe_seconds, options.probe_timeout, options.first_seconds = 0.03, 0.06, 0.06
    rounds = []

    async def its_work(_seconds: float) -> dict[int, Any]:
        rounds.append(1)
        return {0: supervise.Work(len(rounds) if computes else 5.0), 1: supervise.Work(len(rounds))}

    async def probe(_engine: Any) -> str:
        return answer

    async def work(head: Any) -> str:
        head._api, head._probe = SimpleNamespace(work=its_work), probe
        watch = head.spawn(head._watch_engines())
        while len(rounds) < 60 and not head.is_stopping:
            await asyncio.sleep(0.01)
        watch.cancel()
        return str(head._stopped.result()[0]) if head.is_stopping else ""

    reason = in_head(options, work)
    assert reason.startswith("engine 0 hangs" if stops else "")
    assert bool(reason) is stops


BUSY = 0.5  # seconds that an answer takes here. A busy API was seen to take 40 for one of /health


def test_an_api_that_is_busy_is_ready(served: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervise, "REQUEST_SECONDS", BUSY / 5)
    served.answers, served.delay = {"/health": (200, "")}, BUSY
    assert asyncio.run(api_of(served).is_ready())


@pytest.mark.parametrize("computes", [True, False])
def test_engines_behind_an_api_that_is_busy_are_seen_to_compute(
    options: Any, served: Any, monkeypatch: pytest.MonkeyPatch, computes: bool
):
    monkeypatch.setattr(supervise, "REQUEST_SECONDS", BUSY / 5)
    options.probe_seconds, options.probe_timeout, options.first_seconds = BUSY, 4 * BUSY, 0
    counts = itertools.count() if computes else itertools.repeat(7)
    sample = 'vllm:generation_tokens_total{{engine="{}"}} {}.0\n'
    served.delay = BUSY
    served.answers = {
        "/metrics": lambda: (200, "".join(sample.format(rank, next(counts)) for rank in (0, 1))),
        "/v1/models": (503, ""),
    }

    async def work(head: Any) -> str:
        head._api = api_of(served)
        watch = head.spawn(head._watch_engines())
        await asyncio.wait({watch}, timeout=12 * BUSY)
        watch.cancel()
        return str(head._stopped.result()[0]) if head.is_stopping else ""

    assert in_head(options, work).partition(":")[0] == ("" if computes else "engines 0, 1 hang")


def figures(metrics: Any) -> dict[str, float]:
    lines = [line for line in str(metrics).splitlines() if not line.startswith("#")]
    return {
        line.rpartition(" ")[0].replace("ascend_ops_", ""): float(line.rpartition(" ")[2]) for line in lines
    }


@pytest.mark.parametrize(("ready", "probes"), [(True, 60), (False, 60), (True, 0)])
def test_the_figures_of_the_head(options: Any, ready: bool, probes: int):
    options.probe_seconds = probes

    def work(head: Any) -> dict[str, float]:
        head._members, head._ready, head._count.failures = joined(None), ready, 2
        head._engines[1].silence, head._engines[1].probed = 7, 4
        head._engines[1].probes["failed"] = 3
        head.enter("loading")
        return figures(head.metrics())

    found = in_head(options, work)
    assert found['supervisor_hosts{port="8080"}'] == 3
    assert found['supervisor_hosts_joined{port="8080"}'] == 2
    assert found['supervisor_failed_generations{port="8080"}'] == 2
    assert found['supervisor_failed_generations_limit{port="8080"}'] == 3
    states = {name.split('"')[3]: value for name, value in found.items() if "supervisor_state" in name}
    assert states == {state: float(state == "loading") for state in supervise.STATES}
    assert 'supervisor_generation_start_time_seconds{port="8080"}' not in found
    assert any("engine_" in name for name in found) is (ready and bool(probes))
    if ready and probes:
        assert found['engine_silence_seconds{port="8080",engine="1"}'] == 7
        assert found['engine_unanswered_seconds{port="8080",engine="1"}'] == 3
        assert found['engine_answered{port="8080",engine="1"}'] == 0
        assert found['engine_probes_total{port="8080",engine="1",result="failed"}'] == 3


def test_figures_are_written_where_they_are_wanted(options: Any, tmp_path: Path, capsys: Any):
    def work(head: Any) -> None:
        head.write_metrics()
        options.metrics = tmp_path / "metrics.prom"
        head.write_metrics()
        options.metrics = options.key / "metrics.prom"  # below a file
        head.write_metrics()
        head.write_metrics()

    in_head(options, work)
    assert "ascend_ops_supervisor_hosts" in (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    assert capsys.readouterr().err.count("cannot write") == 1


# Hosts that join, and leave


@pytest.mark.parametrize(
    ("generation", "own", "sent", "reason"),
    [
        ("", "g", [], "host 1 has restarted"),
        ("old", "g", [{"end": "it has restarted"}], "host 1 has restarted"),
        ("old", "", [{"end": "it has restarted"}], ""),
    ],
)
def test_a_worker_of_another_generation(options: Any, generation: str, own: str, sent: Any, reason: str):
    channel = Sent()

    async def work(head: Any) -> str:
        head.generation = own
        await head._follow(1, generation, channel, "a")
        assert not head._members
        return str(head._stopped.result()[0]) if head.is_stopping else ""

    assert in_head(options, work) == reason
    assert channel.sent == sent


def test_a_worker_that_may_not_join_is_told_why(options: Any):
    channel = Sent()

    async def work(head: Any) -> None:
        with pytest.raises(ValueError, match="host 7 is not one"):
            await head._follow(7, "", channel, "a")

    in_head(options, work)
    assert [set(one) for one in channel.sent] == [{"refused"}]


@pytest.mark.parametrize(
    ("generation", "hosts", "all_joined"), [("", 3, False), ("", 2, True), ("g", 3, False), ("g", 2, True)]
)
def test_a_worker_joins_until_its_connection_breaks(
    options: Any, generation: str, hosts: int, all_joined: bool
):
    options.hosts = hosts
    seen: list[Any] = []

    class Heard(Sent):
        async def receive(self, seconds: float) -> Any:
            seen.append((head_of[0]._all_joined.is_set(), set(head_of[0]._members), seconds))
            return await super().receive(seconds)

    channel, head_of = Heard({"heartbeat": True}), []

    async def work(head: Any) -> tuple[Any, ...]:
        head_of.append(head)
        head.generation, head._ready = generation, True
        head.logged.add("x")
        with pytest.raises(EOFError):
            await head._follow(1, generation, channel, "a")
        assert not head.logged
        members = {rank: (one.address, one.channel, one.heard > 0) for rank, one in head._members.items()}
        return members, head._all_joined.is_set()

    members, still = in_head(options, work)
    assert seen == [(all_joined, {1}, options.grace)] * 2
    assert channel.sent[0] == {"grace": options.grace, "ready": True}
    # Before a generation, who is not connected has not joined. During one, it may come back.
    assert members == ({1: ("a", None, True)} if generation else {})
    assert still is (all_joined and bool(generation))


def test_nobody_joins_a_head_that_stops(options: Any):
    channel = Sent()

    async def work(head: Any) -> Any:
        head.stop("x")
        await head._follow(1, "", channel, "a")
        return head._members

    assert in_head(options, work) == {}
    assert channel.sent == []


@pytest.mark.parametrize("failure", [True, False])
def test_the_end_of_a_worker_ends_the_service(options: Any, failure: bool):
    def work(head: Any) -> Any:
        head._handle_message(1, {"heartbeat": True})
        assert not head.is_stopping
        head._handle_message(1, {"end": "why", "failure": failure})
        return head._stopped.result(), head.failure

    assert in_head(options, work) == (("why", 1), failure)


def test_a_worker_that_stops_is_told_when_the_service_is_drained(options: Any):
    one, other = Sent(), Sent()

    async def work(head: Any) -> None:
        head._members = joined(one, other, None)
        head._handle_message(1, {"drain": True})
        await asyncio.wait(set(head._tasks))
        await head._drain_for(3)
        await head._drain_for(4)

    in_head(options, work)
    assert (one.sent, other.sent) == ([{"drained": True}], [])


@pytest.mark.parametrize(("generation", "ago", "stops"), [("g", 9, True), ("g", 0, False), ("", 9, False)])
def test_a_host_that_is_silent_ends_a_generation(options: Any, generation: str, ago: float, stops: bool):
    options.grace = 0.12

    async def work(head: Any) -> bool:
        head.grace, head.generation = 0.12, generation
        head._members = joined(None)
        head._members[1].heard = supervise.time.monotonic() - ago + (60 if not ago else 0)
        head.spawn(head._check_heartbeats())
        await asyncio.sleep(0.1)
        return bool(head.is_stopping)

    assert in_head(options, work) is stops


def test_hosts_that_are_missing_are_named_until_a_generation_starts(options: Any, capsys: Any):
    options.waiting_seconds = 0.01

    async def work(head: Any) -> None:
        head._members = joined(None)
        naming = head.spawn(head._name_missing())
        await asyncio.sleep(0.5)
        head.generation = "g"
        await asyncio.wait_for(naming, 5)

    in_head(options, work)
    assert "waiting for host 2\n" in capsys.readouterr().err


# A worker


def in_worker(options: Any, work: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        options.rank = 1
        return await work(supervise.Worker(options))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "failure"),
    [({"end": "x"}, True), ({"end": "x", "failure": False}, False), ({"end": "x", "failure": True}, True)],
)
def test_a_worker_stops_with_the_head(options: Any, message: dict[str, Any], failure: bool):
    async def work(worker: Any) -> Any:
        await worker._handle_message(message)
        return worker._stopped.result(), worker.failure

    assert in_worker(options, work) == (("the head reported: x", 1), failure)


def test_a_worker_starts_once_and_is_ready_after_that(options: Any):
    async def work(worker: Any) -> tuple[list[str], str]:
        started: list[str] = []

        async def start(generation: str) -> None:
            started.append(generation)
            worker.generation = generation
            worker.enter("loading")

        worker.start_vllm = start
        await worker._handle_message({"grace": 3, "ready": True})
        assert worker._state == "waiting"
        for message in ({"start": "g"}, {"start": "h"}, {"ready": False}):
            await worker._handle_message(message)
        assert worker._state == "loading"
        await worker._handle_message({"ready": True})
        assert not worker.drained.is_set()
        await worker._handle_message({"drained": True})
        assert worker.drained.is_set()
        return started, worker._state

    assert in_worker(options, work) == (["g"], "ready")


@pytest.mark.parametrize(("connected", "generation"), [(True, "g"), (True, ""), (False, "g")])
def test_a_worker_asks_the_head_to_drain(options: Any, connected: bool, generation: str):
    channel = Sent()

    async def work(worker: Any) -> str:
        worker._channel, worker.generation = channel if connected else None, generation
        worker.drained.set()
        await worker.drain()
        return worker._state

    asks = connected and bool(generation)
    assert in_worker(options, work) == ("draining" if asks else "waiting")
    assert channel.sent == [{"drain": True}] * asks


@pytest.mark.parametrize("failure", [True, False])
def test_a_worker_tells_the_head_why_it_stops(options: Any, failure: bool):
    channel = Sent()

    async def work(worker: Any) -> None:
        await worker.notify_peers("alone")
        worker._channel, worker.failure = channel, failure
        await worker.notify_peers("why")

    in_worker(options, work)
    assert channel.sent == [{"end": "host 1 reported: why", "failure": failure}]
    assert channel.closed


# Messages


class Wire:
    """What one side writes, for the reader of the other."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.write = reader.feed_data
        self.lines: list[bytes] = []

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def connected(work: Callable[[Any, Any], Any], key: bytes = b"k", other: bytes = b"k") -> Any:
    """Return what *work* returns for the channels of a head and of a worker."""

    async def run() -> Any:
        ours, theirs = asyncio.StreamReader(), asyncio.StreamReader()
        head = supervise.Channel(ours, Wire(theirs), key, listening=True)
        worker = supervise.Channel(theirs, Wire(ours), other, listening=False)
        await asyncio.gather(head.open(), worker.open())
        return await work(head, worker)

    return asyncio.run(run())


def test_messages_go_both_ways_in_their_order():
    async def work(head: Any, worker: Any) -> list[Any]:
        for number in range(2):
            worker.send(number=number)
        head.send(start="g")
        return [await head.receive(5), await head.receive(5), await worker.receive(5)]

    assert connected(work) == [{"number": 0}, {"number": 1}, {"start": "g"}]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (None, supervise.WrongSignature),
        (b"GET / HTTP/1.1\n", supervise.NotASupervisor),
        (b"0" * 64 + b" {}\n", supervise.WrongSignature),
        (b"half a line", EOFError),
    ],
)
def test_what_is_not_signed_with_the_key_is_refused(line: bytes | None, error: type[Exception]):
    async def work(head: Any, worker: Any) -> None:
        if line is None:
            worker.send(a=1)
        else:
            head._reader.feed_data(line)
            head._reader.feed_eof()
        with pytest.raises(error):
            await head.receive(5)

    connected(work, b"k", b"k" if line else b"another")


@pytest.mark.parametrize("again", ["the same message", "one of the other side"])
def test_a_message_counts_once_and_in_one_direction(again: str):
    async def work(head: Any, worker: Any) -> None:
        written: list[bytes] = []
        feed, worker._writer.write = worker._writer.write, written.append
        worker.send(a=1)
        feed(written[0])
        if again == "the same message":
            assert await head.receive(5) == {"a": 1}
            feed(written[0])
            with pytest.raises(supervise.WrongSignature):
                await head.receive(5)
        else:
            worker._reader.feed_data(written[0])
            with pytest.raises(supervise.WrongSignature):
                await worker.receive(5)

    connected(work)
