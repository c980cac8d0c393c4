# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Main process of a serving container: the containers of one service live and die together.

vLLM 0.13.0 ends with exit code 0 whatever happened, its head answers `/health` with 200 beside a dead worker, and a half that
is started again alone never rejoins the other. So a supervisor stands over `vllm serve` on every host. Those of the workers
(rank 1 and up) hold a link to that of the head (rank 0), which starts all engines in one round. When an engine ends, a
supervisor is started anew, or a host is not heard of for `--grace` seconds, all end their engines and exit with 1, and
Docker's restart policy brings all of them back for the next round. A shorter silence changes nothing.

The link is TCP between the service addresses. Both sides prove that they know the key, and every message is signed with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

HANDSHAKE_SECONDS = 5
CONNECT_SECONDS = 2
RECONNECT_SECONDS = 0.5
SETTLED_SECONDS = 600  # a round that lasted so long was a good one: the next failure is the first again
LONGEST_PAUSE_SECONDS = 60
MAX_MESSAGE_BYTES = 4096
# Connections that have not yet proved that they know the key: of all addresses, and of one.
MAX_UNPROVEN = 64
MAX_UNPROVEN_EACH = 8
BACKLOG = 16  # asyncio accepts as many at a time, before any of them can be closed again
SIGNED = re.compile(rb"[0-9a-f]{64} \{")  # how a message of a supervisor begins, whatever its key
LINK_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    asyncio.TimeoutError,
)  # of a link that broke, or of a peer that is not one


def say(text: str) -> None:
    """Write a line to the container's log."""
    print(f"[supervisor] {text}", file=sys.stderr, flush=True)


class WrongSignature(ValueError):
    """A supervisor's message, signed with another key."""

    def __str__(self) -> str:
        return "wrong signature: is the key of this host the other's?"


class NotASupervisor(ValueError):
    """Something that no supervisor sends."""

    def __str__(self) -> str:
        return "not a supervisor"


class Channel:
    """An authenticated link: JSON messages, each on a line with its signature over session, direction and number."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, listening: bool
    ) -> None:
        self._reader, self._writer, self._key = reader, writer, key
        self._out, self._in = (b"head", b"worker") if listening else (b"worker", b"head")
        self._sent = self._received = 0
        self._session = b""

    async def open(self) -> None:
        """Agree on a session of two random numbers, so that no message of an earlier one fits. Raises one of LINK_ERRORS."""
        mine = secrets.token_hex(16).encode()
        self._writer.write(mine + b"\n")
        theirs = (await asyncio.wait_for(self._line(), HANDSHAKE_SECONDS)).strip()
        numbers = (mine, theirs) if self._out == b"head" else (theirs, mine)
        self._session = b":".join(numbers)

    def send(self, **message: Any) -> None:
        """Sign a message and hand it to the network."""
        text = json.dumps(message).encode()
        self._writer.write(b"%s %s\n" % (self._signature(self._out, self._sent, text), text))
        self._sent += 1

    async def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message. Raises one of LINK_ERRORS if none comes in time or it is not from a peer with our key.

        A line is bytes until its signature is right: before that, it may be anything from anybody.
        """
        line = (await asyncio.wait_for(self._line(), seconds)).rstrip(b"\n")
        signature, _blank, text = line.partition(b" ")
        if not hmac.compare_digest(signature, self._signature(self._in, self._received, text)):
            raise WrongSignature if SIGNED.match(line) else NotASupervisor
        self._received += 1
        message: dict[str, Any] = json.loads(text)
        return message

    async def close(self) -> None:
        """Close the link after what was sent."""
        with contextlib.suppress(*LINK_ERRORS):
            await asyncio.wait_for(self._writer.drain(), 1)
        self._writer.close()

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the link was closed")
        return line

    def _signature(self, direction: bytes, number: int, text: bytes) -> bytes:
        signed = b"%s:%s:%d:%s" % (self._session, direction, number, text)
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest().encode()


class History:
    """How often in a row rounds have failed, kept in the container's own file system, where a restart finds it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            self.failures, self._begun = int(known["failures"]), known["begun"]
        except (OSError, ValueError, KeyError, TypeError):  # the first start, or a file that is damaged
            self.failures, self._begun = 0, None
        if self._begun is not None:  # nobody said that the last round was over: it failed
            self.failures = 1 if time.time() - self._begun > SETTLED_SECONDS else self.failures + 1

    def begin(self) -> None:
        """A round begins."""
        self._write(time.time())

    def forget(self) -> None:
        """The round ends as planned."""
        self.failures = 0
        self._write(None)

    def _write(self, begun: float | None) -> None:
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"failures": self.failures, "begun": begun}), encoding="utf-8")
            new.replace(self._file)
        except OSError as error:  # a full disk: the count is a convenience, the service is not
            say(f"cannot write {self._file}: {error}; failed rounds are not counted")


@dataclasses.dataclass
class Member:
    """A worker as the head knows it: its link, if there is one now, and when it was last heard."""

    channel: Channel | None
    heard: float


class Supervisor:
    """What head and worker have in common: the engine, and the one reason for which it all ends."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.key = options.key.read_bytes().strip() if options.hosts > 1 else b""
        self.beat = options.grace / 6
        self.round = ""
        self.failure = True
        self.said: set[str] = set()  # of links that did not come about, since one did
        self._engine: asyncio.subprocess.Process | None = None
        self._over: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, reason: str, failure: bool = True, code: int = 1) -> None:
        """End it all for this reason, unless another came first. A code other than 0 lets Docker start the container again."""
        if not self._over.done():
            self.failure = failure
            self._over.set_result((reason, code))

    def say_once(self, text: str, about: str = "") -> None:
        """Say it, unless that, or something *about* the same, was said since a link came about.

        A host that is not of the service any more tries again and again, and a stranger has many ways to be wrong.
        """
        if (about or text) not in self.said:
            say(text)
        self.said.add(about or text)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work beside everything else. If it fails, that is the end: half a supervisor must not go on."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error:
            self.end(f"the supervisor failed: {error!r}")

    async def run(self) -> int:
        """Supervise until the end; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(
                number, self.end, "the container was stopped", False, 0
            )
        await self.begin()
        reason, code = await self._over
        say(f"ending: {reason}")
        await self.tell(reason)
        await self._end_engine()
        for task in self._tasks:
            task.cancel()
        return code

    async def begin(self) -> None:
        """Do the first steps."""
        raise NotImplementedError

    async def tell(self, reason: str) -> None:
        """Tell the peers why it ends."""
        raise NotImplementedError

    async def start_engine(self, round_id: str) -> None:
        """Start the engine, and end with it."""
        self.round = round_id
        say(f"round {round_id}: starting {' '.join(self.options.command)}")
        self._engine = await asyncio.create_subprocess_exec(*self.options.command, start_new_session=True)
        self.spawn(self._watch_engine(self._engine))

    async def _watch_engine(self, engine: asyncio.subprocess.Process) -> None:
        self.end(f"the engine of host {self.options.rank} ended with exit code {await engine.wait()}")

    async def _end_engine(self) -> None:
        """Ask the engine to end. What does not, or is not ours any more, the kernel ends with the container."""
        if self._engine and self._engine.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._engine.pid, signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._engine.wait(), self.options.stop_seconds)


class Head(Supervisor):
    """Begins a round when all workers are there, and ends it for all."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._members: dict[int, Member] = {}
        self._history = History(options.state)
        self._all_here = asyncio.Event()
        self._unproven: dict[
            asyncio.StreamWriter, str
        ] = {}  # connections and their addresses, the oldest first

    async def begin(self) -> None:
        if self.options.hosts > 1:
            server = await asyncio.start_server(
                self._accept,
                self.options.address,
                self.options.port,
                limit=MAX_MESSAGE_BYTES,
                backlog=BACKLOG,
            )
            say(
                f"waiting on {self.options.address}:{self.options.port} for {self.options.hosts - 1} worker(s)"
            )
            self.spawn(self._keep(server))
            self.spawn(self._listen_for_silence())
        else:
            self._all_here.set()
        self.spawn(self._begin_round())

    async def tell(self, reason: str) -> None:
        for member in list(self._members.values()):  # one whose link closes meanwhile is removed
            if member.channel:
                member.channel.send(end=reason)
                await member.channel.close()
        if not self.failure:
            self._history.forget()

    @staticmethod
    async def _keep(server: asyncio.AbstractServer) -> None:
        async with server:
            await server.serve_forever()

    async def _begin_round(self) -> None:
        failures = self._history.failures
        if failures >= self.options.max_failures:
            say(
                f"gave up: {failures} rounds in a row failed, wanted fewer than {self.options.max_failures}. "
                "Mend what the log above names, then run site.yml or start.yml, or `docker restart` this container on every host."
            )
            self._history.forget()  # for the next start, which is somebody's wish
            return
        if failures:
            pause = min(LONGEST_PAUSE_SECONDS, 2 ** (failures - 1))
            say(f"{failures} round(s) in a row failed: the next begins in {pause} s at the earliest")
            await asyncio.sleep(pause)
        await self._all_here.wait()
        self._history.begin()
        round_id = secrets.token_hex(4)
        await self.start_engine(round_id)
        for member in self._members.values():
            if member.channel:
                member.channel.send(start=round_id)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection. Where too many have proved nothing yet, the oldest of them make room."""
        address = str((writer.get_extra_info("peername") or ["?"])[0])
        same = [one for one, other in self._unproven.items() if other == address]
        for one in same[: max(0, len(same) + 1 - MAX_UNPROVEN_EACH)]:
            self._drop(one)
        for one in list(self._unproven)[: max(0, len(self._unproven) + 1 - MAX_UNPROVEN)]:
            self._drop(one)
        self._unproven[writer] = address
        self.spawn(self._welcome(reader, writer, address))

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        del self._unproven[writer]
        writer.transport.abort()

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        """Serve one link of a worker until it breaks; whether that matters, the coming seconds tell."""
        channel = Channel(reader, writer, self.key, listening=True)
        try:
            hello = await self._hello(channel, address)
            self._unproven.pop(writer, None)
            if hello:
                await self._serve(int(hello["rank"]), str(hello["round"]), channel)
        except (*LINK_ERRORS, KeyError) as error:
            self.say_once(f"link from {address}: {str(error) or type(error).__name__}")
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
            self.say_once(f"link from {address}: {error}", about="signature")
        except Exception:
            self.say_once(f"closed a connection from {address}, which is no supervisor's", about="stranger")
        return None

    async def _serve(self, rank: int, round_id: str, channel: Channel) -> None:
        if not 0 < rank < self.options.hosts:
            raise ValueError(f"host {rank} is none of the {self.options.hosts} of this service")
        if round_id != self.round:
            if round_id:
                channel.send(end="it was started anew")
            if self.round:
                self.end(f"host {rank} was started anew")
            return
        member = self._members[rank] = Member(channel, time.monotonic())
        say(f"host {rank} is here")
        self.said.clear()
        if len(self._members) == self.options.hosts - 1:
            self._all_here.set()
        beating = asyncio.ensure_future(beat(channel, self.beat))
        try:
            while True:
                message = await channel.receive(self.options.grace)
                member.heard = time.monotonic()
                if "end" in message:
                    self.end(message["end"], message["failure"])
        finally:
            beating.cancel()
            if self._members.get(rank) is member:
                member.channel = None
                if not self.round:  # it has to be here when the round begins
                    del self._members[rank]
                    self._all_here.clear()

    async def _listen_for_silence(self) -> None:
        while True:
            await asyncio.sleep(self.beat)
            for rank, member in self._members.items():
                silence = time.monotonic() - member.heard
                if self.round and silence > self.options.grace:
                    self.end(f"host {rank} was not heard of for {silence:.0f} s")


class Worker(Supervisor):
    """Waits for the head, as long as it takes, and does what it says."""

    _channel: Channel | None = None

    async def begin(self) -> None:
        self.spawn(self._follow())

    async def tell(self, reason: str) -> None:
        if self._channel:
            self._channel.send(end=f"host {self.options.rank} said: {reason}", failure=self.failure)
            await self._channel.close()

    async def _follow(self) -> None:
        heard = time.monotonic()
        while True:
            try:
                channel = await self._connect()
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(channel.close)
                    beating = asyncio.ensure_future(beat(channel, self.beat))
                    stack.callback(beating.cancel)
                    while True:
                        # Two beats missed: a new link is quicker than TCP's ever longer waits before it sends again.
                        message = await channel.receive(2.5 * self.beat)
                        heard = time.monotonic()
                        self.said.clear()
                        await self._obey(message)
            except LINK_ERRORS as error:
                self._channel = None
                self.say_once(
                    f"no link to the head at {self.options.head}:{self.options.port}: {str(error) or type(error).__name__}; trying on"
                )
            silence = time.monotonic() - heard
            if self.round and silence > self.options.grace:
                self.end(f"the head was not heard of for {silence:.0f} s")
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
        channel.send(rank=self.options.rank, round=self.round)
        self._channel = channel
        return channel

    async def _obey(self, message: dict[str, Any]) -> None:
        if "end" in message:
            self.end(f"the head said: {message['end']}")
        if "start" in message and not self.round:
            await self.start_engine(message["start"])


async def beat(channel: Channel, seconds: float) -> None:
    """Let the other side hear from us."""
    while True:
        channel.send(beat=True)
        await asyncio.sleep(seconds)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; `command` is what follows `--`."""
    parser = argparse.ArgumentParser(description="Supervise one host's part of a vLLM service.")
    parser.add_argument("--rank", type=int, required=True, help="number of this host, the head is 0")
    parser.add_argument("--hosts", type=int, required=True, help="number of hosts of the service")
    parser.add_argument(
        "--address", required=True, help="this host's address in the service network; nothing else is bound"
    )
    parser.add_argument("--head", required=True, help="the head's address")
    parser.add_argument("--port", type=int, required=True, help="port that the head's supervisor listens on")
    parser.add_argument(
        "--key", type=Path, required=True, help="file with the key that all hosts of the service share"
    )
    parser.add_argument("--state", type=Path, required=True, help="file that remembers failures")
    parser.add_argument("--grace", type=float, required=True, help="seconds of silence that are no failure")
    parser.add_argument(
        "--max-failures", type=int, required=True, help="failed rounds in a row after which it gives up"
    )
    parser.add_argument("--stop-seconds", type=float, default=8, help="seconds that the engine has to end")
    parser.add_argument("command", nargs="+", help="the engine")
    return parser.parse_args(arguments)


async def supervise(options: argparse.Namespace) -> int:
    """Run this host's supervisor; return its exit code."""
    try:
        return await (Worker if options.rank else Head)(options).run()
    except OSError as error:  # no key yet, or after a reboot no address yet: Docker tries again
        say(f"cannot start: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(supervise(parse())))
