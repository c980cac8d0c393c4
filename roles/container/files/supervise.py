# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Main process of a serving container: starts and stops the vLLM processes of all hosts together.

vLLM cannot do this itself. vLLM 0.13.0 exits with code 0 in nearly every failure, its head answers `/health`
with 200 while a worker is dead, and a half that restarts alone never rejoins the other.

So every host runs a supervisor with `vllm serve` as its child. The supervisors of the workers (rank 1 and up)
stay connected to that of the head (rank 0). Once all have joined, the head starts a generation: one run of
vLLM on all hosts. It ends on all hosts when vLLM exits on one of them, when a supervisor restarts, or when a
host sends no heartbeat for the grace period (`--grace`). All supervisors then exit with code 1, and Docker's
restart policy brings them back for the next generation. A shorter silence changes nothing.

The head also asks vLLM whether it is ready. From then on, it asks for a token of each engine that has computed
none for a while, because the processes of an engine that hangs live on. An engine whose KV cache fills reads a long
prompt, and does not hang. One that has not answered yet may compile its kernels, which takes it minutes
(https://github.com/vllm-project/vllm-ascend/issues/7193), and gets more time (`--first-seconds`).

With `--metrics`, metrics for Prometheus are in a file of that name, as the textfile collector of node_exporter reads
them. Nothing listens for that.

A planned stop of any host drains the service first: the head lets vLLM refuse new requests (`drain.py`), and
waits until no engine has a request left, at most `--drain-seconds`. After SIGUSR1, it does not wait.

The connections are TCP between the service addresses. Both sides prove that they know the key, and sign every
message.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

HANDSHAKE_SECONDS = 5
CONNECT_SECONDS = 2
RECONNECT_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 600
LINGER_SECONDS = 5  # after a planned stop of another host, in which this one may be stopped too
READY_POLL_SECONDS = 2
REQUEST_SECONDS = 5  # that the watch of the engines waits for an answer before it goes on
# For an answer of /health. Under load it was seen to take 40 s (https://github.com/vllm-project/vllm/pull/38157), because
# the API has one event loop for all. While vLLM loads, it refuses connections at once.
HEALTH_SECONDS = 60
DRAIN_POLL_SECONDS = 1
DRAIN_REQUEST_SECONDS = 2  # for an answer of /metrics while the service drains
DRAIN_LOG_SECONDS = 10
# In a row. When an engine has no request left, the API may still be sending the end of its answer. And a request
# that came before the refusal may not have reached an engine yet.
IDLE_READINGS = 2
METRICS_SECONDS = 10  # between two writes of the metrics, in which a supervisor that is gone is noticed
STATES = ("waiting", "pausing", "loading", "ready", "draining", "stopped")
DRAIN_MARGIN_SECONDS = 5  # that a worker waits longer than the head, for its answer
PROBE_RESULTS = ("answered", "refused", "failed")
ANSWER_TOKENS = 2  # of the first answer: the prompt, and the step after it, have kernels of their own
PROMPT_SECONDS = 1800  # that an engine may read one prompt, before the first token of the answer
MIN_KEY_BYTES = 16
RANK_HEADER = "X-data-parallel-rank"
NUMBER = r"([0-9]{1,20}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)"  # one that is finite. vLLM writes no other
TOKENS = re.compile(r"^vllm:(?:prompt|generation)_tokens_total\{([^}]*)\} " + NUMBER + "$", re.M)
CACHE = re.compile(r"^vllm:kv_cache_usage_perc\{([^}]*)\} " + NUMBER + "$", re.M)
FINISHED = re.compile(
    r"^vllm:request_success_total\{([^}]*finished_reason=\"(?:stop|length)\"[^}]*)\} " + NUMBER + "$", re.M
)
REQUESTS = re.compile(r"^vllm:num_requests_(?:running|waiting)\{([^}]*)\} " + NUMBER + "$", re.M)
ENGINE_LABEL = re.compile(r'(?:^|[, ])engine="([0-9]{1,9})"')
MAX_MESSAGE_BYTES = 4096
# Connections that have not yet proved that they know the key: from all addresses, and from one.
MAX_UNPROVEN = 64
MAX_UNPROVEN_EACH = 8
BACKLOG = 16  # asyncio accepts this many at a time, before any of them can be closed again
PRINTABLE = re.compile(rb"[!-~]+( +[!-~]+)*")
SIGNED = re.compile(rb"[0-9a-f]{64} \{")  # how a message of a supervisor begins, whatever its key
# Raised by a connection that broke, or by a peer that is not a supervisor.
CONNECTION_ERRORS = (OSError, EOFError, ValueError, asyncio.TimeoutError)


def log(text: str) -> None:
    """Write a line to the container's log. Where nobody reads that any more, the service goes on without it."""
    with contextlib.suppress(OSError):
        print(f"[supervisor] {text}", file=sys.stderr, flush=True)


class WrongSignature(ValueError):
    """A supervisor's message, signed with another key."""

    def __str__(self) -> str:
        return "wrong signature: the two hosts have different keys"


class NotASupervisor(ValueError):
    """Something that no supervisor sends."""

    def __str__(self) -> str:
        return "not a supervisor"


class Channel:
    """An authenticated connection that carries JSON messages, one a line.

    The signature of a message covers session, direction and sequence number.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, listening: bool
    ) -> None:
        self._reader, self._writer, self._key = reader, writer, key
        self._out, self._in = (b"head", b"worker") if listening else (b"worker", b"head")
        self._sent = self._received = 0
        self._session = b""

    async def open(self) -> None:
        """Agree on a session, a random number of each side, so that no message of an earlier one is valid.

        Raises one of CONNECTION_ERRORS.
        """
        own = secrets.token_hex(16).encode()
        self._writer.write(own + b"\n")
        peer = (await asyncio.wait_for(self._line(), HANDSHAKE_SECONDS)).strip()
        numbers = (own, peer) if self._out == b"head" else (peer, own)
        self._session = b":".join(numbers)

    def send(self, **message: Any) -> None:
        """Sign a message and write it to the socket's buffer."""
        text = json.dumps(message).encode()
        self._writer.write(b"%s %s\n" % (self._signature(self._out, self._sent, text), text))
        self._sent += 1

    async def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message.

        Raises one of CONNECTION_ERRORS if none arrives in time, or if the peer does not have the key.
        A line is bytes until its signature is verified: before that, it may be anything from anyone.
        """
        line = (await asyncio.wait_for(self._line(), seconds)).rstrip(b"\n")
        signature, _blank, text = line.partition(b" ")
        if not hmac.compare_digest(signature, self._signature(self._in, self._received, text)):
            raise WrongSignature if SIGNED.match(line) else NotASupervisor
        self._received += 1
        message: dict[str, Any] = json.loads(text)
        return message

    async def close(self) -> None:
        """Close the connection after what was sent."""
        with contextlib.suppress(*CONNECTION_ERRORS):
            await asyncio.wait_for(self._writer.drain(), 1)
        self._writer.close()

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the connection was closed")
        return line

    def _signature(self, direction: bytes, number: int, text: bytes) -> bytes:
        signed = b"%s:%s:%d:%s" % (self._session, direction, number, text)
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest().encode()


class FailureCount:
    """How many generations in a row have failed, in a file that keeps it across restarts of the container.

    A generation is good when vLLM was ready and then ran for a while. How long it loaded before does not matter.
    The file has no time of day. `lasted`: seconds that the last generation loaded, if it never was ready.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.failures, self.lasted = self._read()

    @property
    def pause(self) -> float:
        """Return the seconds until the next generation may start.

        They double. From the second failure on, they are at least as long as the generation loaded, so that a
        start that fails late does not read the weights all the time.
        """
        if not self.failures:
            return 0
        shortest = 2 ** min(self.failures - 1, 20)
        return min(MAX_BACKOFF_SECONDS, max(shortest, self.lasted if self.failures > 1 else 0))

    def begin(self) -> None:
        """Record that a generation starts."""
        self._write(failures=self.failures, running=True, lasted=0)

    def settle(self) -> None:
        """Record that the generation is good."""
        self.failures = 0
        self._write(failures=0, running=True, lasted=0)

    def fail(self, loaded: float) -> None:
        """Record that a generation failed, and the seconds that it loaded if it never was ready."""
        self.failures, _lasted = self._read()  # an operator may have changed the file
        self._write(failures=self.failures, running=False, lasted=round(loaded, 1))

    def reset(self) -> None:
        """Record that the generation ended as planned."""
        self.failures = 0
        self._write(failures=0, running=False, lasted=0)

    def _read(self) -> tuple[int, float]:
        """Return failures and `lasted` as the file has them. A generation that still runs in it has failed."""
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            return int(stored["failures"]) + bool(stored["running"]), float(stored["lasted"])
        # The first start, or a damaged file.
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return 0, 0.0

    def _write(self, **state: float) -> None:
        try:
            write(self._file, json.dumps(state))
        except OSError as error:  # a full disk: the count is a convenience, the service is not
            log(f"cannot write {self._file}: {error}; failed generations are not counted")


def write(file: Path, text: str) -> None:
    """Write a file as a whole or, with OSError, not at all."""
    new = file.with_suffix(".new")
    file.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(text, encoding="utf-8")
    new.replace(file)


class Api:
    """vLLM's API on this host."""

    def __init__(self, addresses: Iterable[str], port: int, key: Path | None) -> None:
        self._addresses, self._port, self._key = tuple(addresses), port, key

    async def is_ready(self) -> bool:
        """Return whether /health answers with status 200."""
        status, _text = await self._ask("GET", "/health", HEALTH_SECONDS)
        return status == 200

    async def model(self, seconds: float) -> tuple[int, str]:
        """Return status and name of the model that is served; an empty name if the API does not say."""
        status, text = await self._ask("GET", "/v1/models", seconds)
        try:
            return status, str(json.loads(text)["data"][0]["id"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            return status, ""

    async def work(self, seconds: float) -> dict[int, Work]:
        """Return what each engine has done so far, by its rank."""
        _status, text = await self._ask("GET", "/metrics", seconds)
        counts = [by_rank(pattern.findall(text)) for pattern in (TOKENS, CACHE, FINISHED)]
        requests = by_rank(REQUESTS.findall(text))
        ranks = set(requests).union(*counts)
        return {rank: Work(*(count.get(rank, 0) for count in counts), requests.get(rank)) for rank in ranks}

    async def requests(self) -> int | None:
        """Return how many requests run or wait on all engines; None if the API does not say."""
        _status, text = await self._ask("GET", "/metrics", DRAIN_REQUEST_SECONDS)
        counts = by_rank(REQUESTS.findall(text))
        return round(sum(counts.values())) if counts else None

    async def compute(self, model: str, rank: int, tokens: int, seconds: float) -> int:
        """Let an engine compute so many tokens. Return the status of the answer, 0 for none in time."""
        message = {"role": "user", "content": "1"}
        body = json.dumps({"model": model, "messages": [message], "max_tokens": tokens})
        headers = {"Content-Type": "application/json", RANK_HEADER: str(rank)}
        status, _text = await self._ask("POST", "/v1/chat/completions", seconds, body, headers)
        return status

    async def _ask(
        self,
        method: str,
        path: str,
        seconds: float,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Return status and text of an answer; (0, "") for none."""

        def ask() -> tuple[int, str]:
            for address in self._addresses:  # vLLM may listen on one of them only
                connection = http.client.HTTPConnection(address, self._port, timeout=seconds)
                try:
                    connection.request(method, path, body, {**(headers or {}), **self._authorization()})
                    response = connection.getresponse()
                    return response.status, response.read().decode("utf-8", "replace")
                except ConnectionRefusedError:
                    continue
                except (OSError, http.client.HTTPException):
                    break
                finally:
                    connection.close()
            return 0, ""

        try:
            return await asyncio.wait_for(in_thread(ask), 2 * seconds)
        except asyncio.TimeoutError:
            return 0, ""

    def _authorization(self) -> dict[str, str]:
        """Return the header with the API key. With a key that no header takes, vLLM is asked without one."""
        key = b""
        with contextlib.suppress(OSError):
            key = self._key.read_bytes().strip() if self._key else b""
        return {"Authorization": f"Bearer {key.decode()}"} if PRINTABLE.fullmatch(key) else {}


def by_rank(values: Iterable[tuple[str, str]]) -> dict[int, float]:
    """Return the sums of the values of a metric, given with their labels, by the rank of the engine."""
    sums: dict[int, float] = {}
    for labels, value in values:
        label = ENGINE_LABEL.search(labels)
        rank = int(label.group(1)) if label else 0
        sums[rank] = sums.get(rank, 0) + float(value)
    return sums


async def in_thread(work: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Run *work* in a thread that does not keep the process alive, unlike one of asyncio.to_thread."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[tuple[int, str]] = loop.create_future()

    def deliver(value: tuple[int, str]) -> None:
        if not result.done():
            result.set_result(value)

    def run() -> None:
        value = work()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, value)

    threading.Thread(target=run, daemon=True).start()
    return await result


@dataclasses.dataclass
class Member:
    """A worker that has joined: its address, its connection, if there is one now, and the time of its last heartbeat."""

    address: str
    channel: Channel | None
    heard: float


@dataclasses.dataclass
class Work:
    """What an engine has done so far: tokens that it has read and written, answers. And how full its KV cache is.

    `requests`: those that run or wait on it; None if that is unknown.
    """

    tokens: float = 0.0
    cache: float = 0.0
    finished: float = 0.0
    requests: float | None = None


@dataclasses.dataclass
class Engine:
    """An engine that is ready.

    `silence`: seconds without a token. `read`: the silence at which it last was seen to read a prompt. `probed`: that at
    which it was first asked for a token. `probes`: how often it was asked, by PROBE_RESULTS. `finished`: answers to
    others that it has finished. `requests`: those of others that it has, None if that is unknown.
    """

    rank: int
    silence: float = 0.0
    read: float = 0.0
    probed: float | None = None
    probe: asyncio.Task[str] | None = None
    finished: float = 0.0
    requests: float | None = None
    probes: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(PROBE_RESULTS, 0))

    @property
    def unanswered(self) -> float:
        """Return for how many seconds it owes a token that it was asked for, while it did nothing else."""
        return 0.0 if self.probed is None else self.silence - max(self.probed, min(self.read, PROMPT_SECONDS))

    @property
    def has_answered(self) -> bool:
        """Tell whether it has answered anyone since it was ready."""
        return self.probes["answered"] > 0 or self.finished > 0

    def observe(self, before: Work, now: Work, passed: float) -> None:
        """Take what it has done within so many seconds.

        The tokens of a prompt count when all of it is read. Until then, only the KV cache shows that it computes.
        """
        self.silence += passed
        self.finished, self.requests = now.finished, now.requests
        if self.answer() in ("answered", "refused") or now.tokens > before.tokens:
            self.silence, self.read, self.probed = 0.0, 0.0, None
        elif now.cache != before.cache:
            self.read = self.silence

    def answer(self) -> str:
        """Return and count what the engine has answered since it was asked; nothing if it has not yet."""
        if not (self.probe and self.probe.done()):
            return ""
        result = self.probe.result()
        self.probe = None
        self.probes[result] += 1
        return result


def hang(engines: list[Engine]) -> str:
    """Return what is said of engines that hang. Where one does in a collective operation, the others soon wait for it."""
    ranks = ", ".join(str(engine.rank) for engine in engines)
    who = f"engine {ranks} hangs" if len(engines) == 1 else f"engines {ranks} hang"
    silence = min(engine.silence for engine in engines)
    return f"{who}: no token for {silence:.0f} s, and none when asked for one"


class Metrics:
    """Metrics for Prometheus, in its text format: https://prometheus.io/docs/instrumenting/exposition_formats/.

    Several services may run on a host, so each metric has the label `port`, that of the service's API.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lines: list[str] = []
        self._names: set[str] = set()

    def add(self, name: str, value: float, **labels: object) -> None:
        """Add a metric. Those of one name must follow each other."""
        name = f"ascend_ops_{name}"
        if name not in self._names:
            self._names.add(name)
            self._lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        shown = ",".join(f'{key}="{label}"' for key, label in {"port": self._port, **labels}.items())
        self._lines.append(f"{name}{{{shown}}} {value:.3f}")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def read_key(file: Path) -> bytes:
    """Return the key of the supervisors, or raise ValueError. Anyone knows an empty one."""
    key = file.read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
            f"{file} has a key of {len(key)} bytes, expected {MIN_KEY_BYTES} or more. "
            "Run start.yml, which gives all hosts a new one"
        )
    return key


class Supervisor:
    """What head and worker have in common: the vLLM process, and the one reason to stop."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.key = read_key(options.key) if options.hosts > 1 else b""
        self.grace: float = options.grace  # the head sends its own to the workers
        self.generation = ""
        self.failure = True
        self.logged: set[str] = set()  # connection errors since the last one that succeeded
        self._vllm: asyncio.subprocess.Process | None = None
        self._stopped: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._reported = ""
        self._state = STATES[0]
        self._generation_began = 0.0  # seconds since the epoch
        self._signalled = asyncio.Event()
        self.drained = asyncio.Event()  # there is nothing to wait for before a planned stop
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def heartbeat_seconds(self) -> float:
        """Seconds between two heartbeats."""
        return self.grace / 6

    def enter(self, state: str) -> None:
        """Record the state of this host, one of STATES."""
        self._state = state
        self.write_metrics()

    def metrics(self) -> Metrics:
        """Return the metrics of this host."""
        metrics = Metrics(self.options.api_port)
        metrics.add("supervisor_updated_time_seconds", time.time())
        if self._generation_began:
            metrics.add("supervisor_generation_start_time_seconds", self._generation_began)
        for state in STATES:
            metrics.add("supervisor_state", state == self._state, state=state)
        return metrics

    def write_metrics(self) -> None:
        """Write the metrics, if `--metrics` asks for them."""
        if not self.options.metrics:
            return
        try:
            write(self.options.metrics, str(self.metrics()))
        except OSError as error:
            self.log_once(f"cannot write {self.options.metrics}: {error}", about="metrics")

    async def _keep_metrics(self) -> None:
        while True:
            self.write_metrics()
            await asyncio.sleep(METRICS_SECONDS)

    def report(self, text: str, failing: bool = False) -> None:
        """Write the state of the service, as far as this host knows it, for the container's health check."""
        line = f"{'failing' if failing else 'ok'}: {text}\n"
        if line == self._reported:
            return
        self._reported = line
        try:
            write(self.options.status, line)
        except OSError as error:
            self.log_once(f"cannot write {self.options.status}: {error}", about="status")

    def record_success(self) -> None:
        """Leave a file in this container which tells upgrade.yml that its service has worked."""
        file = self.options.state.with_suffix(".good")
        try:
            write(file, "")
        except OSError as error:
            log(
                f"cannot write {file}: {error}; after a failed upgrade, the service before this one may return"
            )

    def stop(self, reason: str, failure: bool = True, code: int = 1) -> None:
        """Stop for this reason, unless there is one already. Docker restarts on any *code* but 0."""
        if not self._stopped.done():
            self.failure = failure
            self._stopped.set_result((reason, code))

    @property
    def is_stopping(self) -> bool:
        """Return whether there is a reason to stop."""
        return self._stopped.done()

    def log_once(self, text: str, about: str = "") -> None:
        """Log *text*, unless it, or something *about* the same, was logged since the last connection.

        A host that has left the service keeps trying, and a stranger can be wrong in many ways.
        """
        if (about or text) not in self.logged:
            log(text)
        self.logged.add(about or text)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* in the background. If it fails, stop: half a supervisor must not continue."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error:
            self.stop(f"the supervisor failed: {error!r}")

    async def run(self) -> int:
        """Supervise until there is a reason to stop. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal)
        loop.add_signal_handler(signal.SIGUSR1, self.drained.set)
        loop.add_signal_handler(signal.SIGHUP, log, "SIGHUP is ignored")  # which would end this process only
        if self.options.metrics:
            self.spawn(self._keep_metrics())
        await self.begin()
        reason, code = await self._stopped
        log(f"stopping: {reason}")
        await self.notify_peers(reason)
        await self._terminate_vllm()
        if code and not self.failure:
            # Docker forgets a `docker stop` that meets the container while it restarts.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), LINGER_SECONDS)
                code = 0
        for task in self._tasks:
            task.cancel()
        self.enter("waiting" if code else "stopped")
        return code

    def _signal(self) -> None:
        if not self._signalled.is_set():
            self._signalled.set()
            self.spawn(self._stop_as_planned())

    async def _stop_as_planned(self) -> None:
        if self.options.drain_seconds and not self.drained.is_set():
            await self.drain()
        self.stop("the container was stopped", False, 0)

    async def begin(self) -> None:
        """Start the background work."""
        raise NotImplementedError

    async def notify_peers(self, reason: str) -> None:
        """Send the peers the reason to stop."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until the service has no request left, but not longer than it may take."""
        raise NotImplementedError

    async def send_heartbeats(self, channel: Channel) -> None:
        """Send heartbeats until the task is cancelled."""
        while True:
            channel.send(heartbeat=True)
            await asyncio.sleep(self.heartbeat_seconds)

    async def start_vllm(self, generation: str) -> None:
        """Start the vLLM process. When it exits, stop."""
        self.generation, self._generation_began = generation, time.time()
        self.enter("loading")
        command, environment = list(self.options.command), dict(os.environ)
        if self.options.middleware:
            self.options.draining.unlink(missing_ok=True)
            environment["ASCEND_OPS_DRAINING"] = str(self.options.draining)
            folders = (environment.get("PYTHONPATH"), str(self.options.middleware.parent))
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
            command += ["--middleware", f"{self.options.middleware.stem}.Refusal"]
        log(f"generation {generation}: starting {' '.join(command)}")
        try:
            self._vllm = await asyncio.create_subprocess_exec(
                *command, env=environment, start_new_session=True
            )
        except OSError as error:  # on a worker, no failure of its connection
            self.stop(f"cannot start vLLM: {error}")
            return
        self.spawn(self._watch_vllm(self._vllm))

    async def _watch_vllm(self, vllm: asyncio.subprocess.Process) -> None:
        self.stop(f"vLLM on host {self.options.rank} exited with code {await vllm.wait()}")

    async def _terminate_vllm(self) -> None:
        """Ask vLLM to exit. The kernel ends what is left of it together with the container."""
        if self._vllm and self._vllm.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._vllm.pid, signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._vllm.wait(), self.options.stop_seconds)


class Head(Supervisor):
    """Starts a generation when all workers have joined, and stops it on all hosts."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._members: dict[int, Member] = {}
        self._count = FailureCount(options.state)
        addresses = dict.fromkeys(("127.0.0.1", options.address))
        self._api = Api(addresses, options.api_port, options.api_key_file)
        self._begun, self._ready = 0.0, False
        self._engines = [Engine(rank) for rank in range(options.engines)]
        self._engine_watch: asyncio.Task[None] | None = None
        self._model = ""  # by the name that is served
        self._reading: asyncio.Task[dict[int, Work]] | None = None
        self._draining: asyncio.Future[None] | None = None
        self._all_joined = asyncio.Event()
        # Connections and their addresses, the oldest first.
        self._unproven: dict[asyncio.StreamWriter, str] = {}

    async def begin(self) -> None:
        if self.options.hosts > 1:
            address, port = self.options.address, self.options.port
            server = await asyncio.start_server(
                self._accept, address, port, limit=MAX_MESSAGE_BYTES, backlog=BACKLOG
            )
            log(f"rendezvous on {address}:{port}: waiting for {self.options.hosts - 1} worker(s)")
            self.spawn(self._serve_forever(server))
            self.spawn(self._check_heartbeats())
            self.spawn(self._name_missing())
        else:
            self._all_joined.set()
        self.spawn(self._start_generation())

    def metrics(self) -> Metrics:
        metrics = super().metrics()
        metrics.add("supervisor_failed_generations", self._count.failures)
        metrics.add("supervisor_failed_generations_limit", self.options.max_failures)
        metrics.add("supervisor_hosts", self.options.hosts)
        metrics.add("supervisor_hosts_joined", 1 + len(self._members))
        if self._ready and self.options.probe_seconds:
            for engine in self._engines:
                metrics.add("engine_silence_seconds", engine.silence, engine=engine.rank)
            for engine in self._engines:
                metrics.add("engine_unanswered_seconds", engine.unanswered, engine=engine.rank)
            for engine in self._engines:
                metrics.add("engine_answered", engine.has_answered, engine=engine.rank)
            for engine in self._engines:
                for result, count in engine.probes.items():
                    metrics.add("engine_probes_total", count, engine=engine.rank, result=result)
        return metrics

    async def notify_peers(self, reason: str) -> None:
        for member in list(self._members.values()):  # one whose connection closes meanwhile is removed
            if member.channel:
                member.channel.send(end=reason, failure=self.failure)
                await member.channel.close()
        if not self.failure:
            self._count.reset()
        elif self.generation:
            self._count.fail(0 if self._ready else time.monotonic() - self._begun)

    async def drain(self) -> None:
        if not self._ready:
            return
        if not self._draining:  # for all hosts that are stopped
            self._draining = asyncio.ensure_future(self._drain())
        await asyncio.shield(self._draining)

    async def _drain(self) -> None:
        seconds, began = self.options.drain_seconds, time.monotonic()
        if self._engine_watch:  # whose requests would be refused, too
            self._engine_watch.cancel()
        self._refuse_requests()
        self.enter("draining")
        idle, next_line = 0, 0.0
        while True:
            requests = await self._api.requests()
            passed = time.monotonic() - began
            idle = idle + 1 if requests == 0 else 0
            left = "an unknown number of" if requests is None else requests
            if idle == IDLE_READINGS:
                log(f"drained after {passed:.0f} s")
                return
            if passed >= seconds or self.drained.is_set():
                log(f"not drained after {min(seconds, passed):.0f} s: {left} request(s) are cut")
                return
            if requests != 0:
                self.report(f"draining: {left} request(s) left")
                if passed >= next_line:
                    log(f"draining: {left} request(s) left, waiting up to {seconds - passed:.0f} s for them")
                    next_line = passed + DRAIN_LOG_SECONDS
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.drained.wait(), min(DRAIN_POLL_SECONDS, seconds - passed))

    def _refuse_requests(self) -> None:
        try:
            write(self.options.draining, "")
        except OSError as error:
            log(
                f"cannot write {self.options.draining}: {error}; vLLM accepts new requests until it is stopped"
            )

    async def _drain_for(self, rank: int) -> None:
        """Drain before a worker stops, and tell it."""
        await self.drain()
        member = self._members.get(rank)
        if member and member.channel:
            member.channel.send(drained=True)

    @staticmethod
    async def _serve_forever(server: asyncio.AbstractServer) -> None:
        async with server:
            await server.serve_forever()

    async def _start_generation(self) -> None:
        await self._back_off()
        while len(self._members) < self.options.hosts - 1:  # one may have left since the event
            await self._all_joined.wait()
        self._count.begin()
        self._begun = time.monotonic()
        generation = secrets.token_hex(4)
        await self.start_vllm(generation)
        if self.is_stopping:
            return
        for member in self._members.values():
            if member.channel:
                member.channel.send(start=generation)
        self._report_generation("starting")
        self.spawn(self._watch_service())

    async def _back_off(self) -> None:
        """Pause after failures. After too many, say so, where the health check sees it too."""
        failures, pause = self._count.failures, self._count.pause
        if not failures:
            self.report("waiting for all hosts")
            return
        if failures < self.options.max_failures:
            log(
                f"back-off: {failures} failed generation(s) in a row, the next starts in {pause:.0f} s or later"
            )
        else:
            log(
                f"keeps failing: {failures} generations in a row failed; the next starts in {pause:.0f} s or "
                "later. Fix what the log above names. To start at once, run start.yml, or "
                "`docker restart` this container on every host."
            )
        self._report_generation(f"the next starts within {pause:.0f} s")
        self.enter("pausing")
        await asyncio.sleep(pause)
        self.enter("waiting")

    def _report_generation(self, text: str) -> None:
        failures = self._count.failures
        before = f"{failures} generations in a row failed; " if failures else ""
        self.report(before + text, failing=failures >= self.options.max_failures)

    async def _name_missing(self) -> None:
        while not self.generation:
            await asyncio.sleep(self.options.waiting_seconds)
            missing = [str(rank) for rank in range(1, self.options.hosts) if rank not in self._members]
            if missing and not self.generation:
                log(f"waiting for host {', '.join(missing)}")

    async def _watch_service(self) -> None:
        """Wait until vLLM is ready. Then watch that its engines compute."""
        while not await self._api.is_ready():
            await asyncio.sleep(READY_POLL_SECONDS)
        self._ready = True
        self.enter("ready")
        for member in self._members.values():
            if member.channel:
                member.channel.send(ready=True)
        log(f"generation {self.generation}: ready after {time.monotonic() - self._begun:.0f} s")
        self.report("ready")
        self.spawn(self._settle())
        if self.options.probe_seconds:
            self._engine_watch = self.spawn(self._watch_engines())

    async def _settle(self) -> None:
        await asyncio.sleep(self.options.settled_seconds)
        self._count.settle()
        self.record_success()
        self.write_metrics()

    async def _watch_engines(self) -> None:
        """Stop when an engine computes nothing. While it does, its tokens prove it, and nothing is sent."""
        seconds = self.options.probe_seconds
        interval = min(seconds, self.options.probe_timeout) / 6
        work, last = await self._read_work(), time.monotonic()
        while True:
            await asyncio.sleep(interval)
            before, work = work, {**work, **await self._read_work()}
            # After a pause of this process or of the machine, the engines get their time again.
            passed = min(time.monotonic() - last, interval + 2 * REQUEST_SECONDS)
            last = time.monotonic()
            for engine in self._engines:
                now = work.get(engine.rank, Work())
                engine.observe(before.get(engine.rank, now), now, passed)
            limit = self._answer_seconds()
            hanging = [engine for engine in self._engines if engine.unanswered > limit]
            for engine in self._engines:
                if engine.silence > seconds and not engine.probe:
                    engine.probed = engine.silence if engine.probed is None else engine.probed
                    engine.probe = asyncio.ensure_future(self._probe(engine))
            self.write_metrics()
            if hanging:
                self.stop(hang(hanging))
                return

    async def _read_work(self) -> dict[int, Work]:
        """Return what the engines have done; nothing yet if the API is busy. Then the next call gets its answer."""
        self._reading = self._reading or asyncio.ensure_future(self._api.work(self.options.probe_timeout))
        await asyncio.wait({self._reading}, timeout=REQUEST_SECONDS)
        if not self._reading.done():
            return {}
        work, self._reading = self._reading.result(), None
        return work

    def _answer_seconds(self) -> float:
        """Return for how many seconds an engine may owe a token. While one compiles, the others wait for it."""
        timeout: float = self.options.probe_timeout
        answered = all(engine.has_answered for engine in self._engines)
        return timeout if answered else max(timeout, self.options.first_seconds)

    async def _probe(self, engine: Engine) -> str:
        """Return which of PROBE_RESULTS it is. A refusal of the API shows nothing, so it counts as an answer.

        Status 503 refuses what is too much (--max-num-queued-reqs), for the sake of the other engines if this one has
        nothing to do.
        """
        seconds, status = self.options.probe_timeout, 200
        if not self._model:
            status, self._model = await self._api.model(seconds)
        if self._model:
            tokens = 1 if engine.has_answered else ANSWER_TOKENS
            status = await self._api.compute(self._model, engine.rank, tokens, seconds)
        if 400 <= status < 500 or (status == 503 and engine.requests == 0):
            self.log_once(f"cannot ask engine {engine.rank} for a token: HTTP status {status}", about="probe")
            return "refused"
        return "answered" if 0 < status < 400 else "failed"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a connection. Where too many are unproven, close the oldest of them."""
        address = str((writer.get_extra_info("peername") or ["?"])[0])
        same = [one for one, other in self._unproven.items() if other == address]
        for one in same[: max(0, len(same) + 1 - MAX_UNPROVEN_EACH)]:
            self._drop(one)
        for one in list(self._unproven)[: max(0, len(self._unproven) + 1 - MAX_UNPROVEN)]:
            self._drop(one)
        self._unproven[writer] = address
        self.spawn(self._handle_connection(reader, writer, address))

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        del self._unproven[writer]
        writer.transport.abort()

    async def _handle_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        """Handle one connection of a worker until it breaks.

        That is no failure until the grace period is over.
        """
        channel = Channel(reader, writer, self.key, listening=True)
        try:
            hello = await self._hello(channel, address)
            # A worker that was dropped while its message waited to be read connects again.
            kept = self._unproven.pop(writer, None)
            if hello and kept:
                await self._follow(int(hello["rank"]), str(hello["generation"]), channel, address)
        except (*CONNECTION_ERRORS, KeyError) as error:
            self.log_once(f"connection from {address}: {str(error) or type(error).__name__}")
        finally:
            self._unproven.pop(writer, None)
            await channel.close()

    async def _hello(self, channel: Channel, address: str) -> dict[str, Any] | None:
        """Return the first message of a worker; None for anything else.

        Whatever comes before the proof of the key ends its own connection, and nothing more.
        """
        try:
            await channel.open()
            return await channel.receive(HANDSHAKE_SECONDS)
        except WrongSignature as error:
            self.log_once(f"connection from {address}: {error}", about="signature")
        except Exception:
            self.log_once(f"closed a connection from {address}: not a supervisor", about="stranger")
        return None

    async def _follow(self, rank: int, generation: str, channel: Channel, address: str) -> None:
        """Let a worker join, and receive its heartbeats."""
        refusal = self._refusal(rank, address)
        if refusal:
            channel.send(refused=refusal)
            raise ValueError(refusal)
        if generation != self.generation:
            if generation:
                channel.send(end="it has restarted")
            if self.generation:
                self.stop(f"host {rank} has restarted")
            return
        if self.is_stopping:  # the connected hosts have been sent the reason
            return
        member = self._members[rank] = Member(address, channel, time.monotonic())
        channel.send(grace=self.grace, ready=self._ready)
        log(f"host {rank} has joined")
        self.logged.clear()
        if len(self._members) == self.options.hosts - 1:
            self._all_joined.set()
        heartbeats = asyncio.ensure_future(self.send_heartbeats(channel))
        try:
            while True:
                message = await channel.receive(self.grace)
                member.heard = time.monotonic()
                self._handle_message(rank, message)
        finally:
            heartbeats.cancel()
            if self._members.get(rank) is member:
                member.channel = None
                if not self.generation:  # a generation starts only while all are connected
                    del self._members[rank]
                    self._all_joined.clear()

    def _refusal(self, rank: int, address: str) -> str:
        """Return why a worker may not join; empty if it may."""
        if not 0 < rank < self.options.hosts:
            return f"host {rank} is not one of the {self.options.hosts} hosts of this service"
        member = self._members.get(rank)
        if member and member.channel and member.address != address:
            return f"host {rank} is at {member.address}, and cannot be at {address} too"
        return ""

    def _handle_message(self, rank: int, message: dict[str, Any]) -> None:
        if "drain" in message:
            self.spawn(self._drain_for(rank))
        if "end" in message:
            self.stop(message["end"], message["failure"])

    async def _check_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            for rank, member in self._members.items():
                silence = time.monotonic() - member.heard
                if self.generation and silence > self.grace:
                    self.stop(f"host {rank} sent no heartbeat for {silence:.0f} s")


class Worker(Supervisor):
    """Waits for the head, for as long as it takes, and does what it says."""

    _channel: Channel | None = None

    async def begin(self) -> None:
        self.report("not connected to the head yet")
        self.spawn(self._stay_connected())

    async def notify_peers(self, reason: str) -> None:
        if self._channel:
            self._channel.send(end=f"host {self.options.rank} reported: {reason}", failure=self.failure)
            await self._channel.close()

    async def drain(self) -> None:
        """Ask the head, which has the API."""
        if self._channel and self.generation:
            self.report("waiting until the head has drained the service")
            self.enter("draining")
            self._channel.send(drain=True)
            seconds = self.options.drain_seconds + DRAIN_MARGIN_SECONDS
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.drained.wait(), seconds)

    async def _stay_connected(self) -> None:
        heard = time.monotonic()
        head = f"{self.options.head}:{self.options.port}"
        while True:
            try:
                channel = await self._connect()
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(channel.close)
                    while True:
                        # After two missed heartbeats a new connection is faster than TCP's retransmissions.
                        message = await channel.receive(2.5 * self.heartbeat_seconds)
                        if "refused" in message:
                            raise ValueError(message["refused"])
                        heard = time.monotonic()
                        self.logged.clear()
                        if "grace" in message:  # it has let this host join
                            self.grace = float(message["grace"])
                            heartbeats = asyncio.ensure_future(self.send_heartbeats(channel))
                            stack.callback(heartbeats.cancel)
                            log(f"connected to the head at {head}")
                            self.report("connected to the head")
                        await self._handle_message(message)
            except CONNECTION_ERRORS as error:
                self._channel = None
                reason = str(error) or type(error).__name__
                self.log_once(f"cannot connect to the head at {head}: {reason}; retrying")
            silence = time.monotonic() - heard
            if silence > self.grace:
                self.report(f"no connection to the head at {head}", failing=True)
                self.log_once(f"no connection to the head at {head} for {self.grace:g} s", about="silence")
            if self.generation and silence > self.grace:
                self.stop(f"the head sent no heartbeat for {silence:.0f} s")
                return
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self) -> Channel:
        connecting = asyncio.open_connection(
            self.options.head,
            self.options.port,
            local_addr=(self.options.address, 0),
            limit=MAX_MESSAGE_BYTES,
        )
        channel = Channel(*await asyncio.wait_for(connecting, CONNECT_SECONDS), self.key, listening=False)
        await channel.open()
        channel.send(rank=self.options.rank, generation=self.generation)
        self._channel = channel
        return channel

    async def _handle_message(self, message: dict[str, Any]) -> None:
        if "end" in message:
            self.stop(f"the head reported: {message['end']}", message.get("failure", True))
        if "drained" in message:
            self.drained.set()
        if "start" in message and not self.generation:
            await self.start_vllm(message["start"])
        if message.get("ready") and self._state == "loading":
            self.enter("ready")
            self.record_success()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; `command` is what follows `--`."""
    parser = argparse.ArgumentParser(description="Supervise one host's part of a vLLM service.")
    optional = parser.add_argument
    required = functools.partial(parser.add_argument, required=True)
    required("--rank", type=int, help="number of this host; the head is 0")
    required("--hosts", type=int, help="number of hosts of the service")
    required("--address", help="this host's service address, the only one that is bound")
    required("--head", help="the head's service address")
    required("--port", type=int, help="port that the head's supervisor listens on")
    required("--key", type=Path, help="file with the key that all hosts share")
    required("--state", type=Path, help="file that keeps the failure count")
    required("--grace", type=float, help="grace period in seconds without a heartbeat")
    required("--max-failures", type=int, help="failed generations in a row that make it unhealthy")
    required("--status", type=Path, help="file for the container's health check")
    optional("--metrics", type=Path, help="file for metrics that Prometheus can read")
    required("--api-port", type=int, help="port of vLLM's API on the head")
    optional("--api-key-file", type=Path, help="file with the API key of vLLM, if there is one")
    required("--engines", type=int, help="number of engines on all hosts")
    about = "seconds without a token after which an engine is asked for one; 0 to never ask"
    required("--probe-seconds", type=float, help=about)
    about = "seconds that such an engine then has to compute"
    optional("--probe-timeout", type=float, default=120, help=about)
    about = "seconds that it has until all engines have answered since they were ready"
    required("--first-seconds", type=float, help=about)
    about = "seconds between two lines about the hosts that have not joined"
    optional("--waiting-seconds", type=float, default=60, help=about)
    about = "seconds that a planned stop waits for running requests; 0 to stop at once"
    required("--drain-seconds", type=float, help=about)
    optional("--middleware", type=Path, help="file of drain.py, to refuse requests meanwhile")
    required("--draining", type=Path, help="file that exists while it refuses them")
    about = "seconds after which a ready generation is good"
    optional("--settled-seconds", type=float, default=600, help=about)
    optional("--stop-seconds", type=float, default=8, help="seconds that vLLM has to exit when asked")
    parser.add_argument("command", nargs="+", help="the command that starts vLLM")
    return parser.parse_args(arguments)


async def supervise(options: argparse.Namespace) -> int:
    """Run this host's supervisor. Return its exit code."""
    try:
        return await (Worker if options.rank else Head)(options).run()
    except (OSError, ValueError) as error:  # no key yet, or after a reboot no address yet: Docker tries again
        log(f"cannot start: {error}")
        with contextlib.suppress(OSError):
            write(options.status, f"failing: cannot start: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(supervise(parse())))
