# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the supervisor in the process of the tests; test_supervise.py has whole ones."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ports import free_port

PROGRAM = Path(__file__).resolve().parents[4] / "roles/container/files/supervise.py"
SPEC = importlib.util.spec_from_file_location("supervise_parts", PROGRAM)
assert SPEC
assert SPEC.loader
supervise = importlib.util.module_from_spec(SPEC)
sys.modules["supervise_parts"] = supervise
SPEC.loader.exec_module(supervise)


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
        status, text = self.server.answers[self.path]
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
    server.answers, server.asked = {}, []
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
    assert asyncio.run(api.work()) == {0: supervise.Work(7, 0), 1: supervise.Work(10, 0.25)}
    assert asyncio.run(api.requests()) == 5
    served.answers = {"/health": (503, ""), "/metrics": (503, "busy")}
    assert not asyncio.run(api.is_ready())
    assert asyncio.run(api.work()) == {}
    assert asyncio.run(api.requests()) is None


@pytest.mark.parametrize(
    ("text", "model"),
    [('{"data": [{"id": "glm47"}]}', "glm47"), ("x", ""), ('{"data": []}', ""), ("[]", ""), ("{}", "")],
)
def test_the_model_that_is_served(served: Any, text: str, model: str):
    served.answers = {"/v1/models": (200, text)}
    assert asyncio.run(api_of(served).model()) == (200, model)


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
    assert asyncio.run(closed.model()) == (0, "")


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
    async def its_model() -> Any:
        return model

    async def compute(*_asked: Any) -> Any:
        assert computed is not None
        return computed

    async def work(head: Any) -> str:
        head._api = SimpleNamespace(model=its_model, compute=compute)
        return await head._probe(supervise.Engine(1))

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
        ([0, 0], 2, "drained after 0 s"),
        ([2, 1, 0, 0], 4, "drained after 0 s"),
        ([0, 1, 0, 0], 4, "drained after 0 s"),  # a request that came before the refusal
        ([0, None, 0, 0], 4, "drained after 0 s"),
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
