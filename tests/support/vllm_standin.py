# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with the API of vLLM 0.13.0 over two engines, healthy or sick. It serves no model.

What it answers has the fields of vLLM's own answers, and streams come in chunks of HTTP, as from uvicorn.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "a-key-of-the-test"
MODEL = "glm47"
LENGTH = 8192
PROMPT_TOKENS = 300
SALAD = "ство ഞ the zijn 的 }}; Ünlü kuin, 0x7f нет らない der lập qui ▁▁ ßt, wurde 나 ])) of لل und è "
THOUGHT = "The user wants an introduction."
SAID = "I am GLM, a large language model."


@dataclass
class Said:
    """What the model says. A token is a piece of four characters."""

    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        arguments = "".join(arguments for _name, arguments in self.calls)
        return max(1, len(self.reasoning + self.content + arguments) // 4)


@dataclass
class Asked:
    """A request, as far as a model's answer depends on it. ``number`` counts those with the same question."""

    question: str
    tools: bool
    thinks: bool
    streamed: bool
    engine: str
    max_tokens: int
    number: int


def healthy(asked: Asked) -> Said:
    """Answer as GLM-4.7 does, with its thinking first."""
    thought = THOUGHT if asked.thinks else ""
    if asked.tools and "weather" in asked.question:
        return Said(thought and "I call get_weather.", "", [("get_weather", '{"city": "Oslo"}')])
    if asked.tools and "time" in asked.question:
        return Said(thought and "I call get_time.", "", [("get_time", "{}")])
    return Said(thought, "Paris" if "capital of France" in asked.question else SAID)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if not self.passes():
            return
        if self.path == "/health":
            self.reply(200 if time.monotonic() >= self.server.ready_at else 503, "")
        elif self.path == "/metrics" and not self.server.metrics_answer():
            self.refuse(503, "Busy.", "ServiceUnavailable")
        elif self.path == "/metrics":
            self.reply(200, self.server.metrics(), "text/plain; version=0.0.4")
        elif not self.allowed():
            self.reply(401, {"error": "Unauthorized"})
        else:
            served = {"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": LENGTH}
            self.reply(200, {"object": "list", "data": [served]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.passes():
            return
        if not self.allowed():
            self.reply(401, {"error": "Unauthorized"})
        elif self.server.too_busy():
            self.refuse(503, "Too many requests are in flight.", "ServiceUnavailable")
        elif body["model"] != MODEL:
            self.refuse(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        elif body["max_tokens"] + PROMPT_TOKENS > LENGTH:
            self.refuse(400, f"'max_tokens' is too large: {body['max_tokens']}.", "BadRequestError")
        else:
            self.complete(body)

    def passes(self) -> bool:
        """Tell whether the middleware passes the request on. If not, it has answered it."""
        time.sleep(self.server.delay(self.path))
        passed, answer = [], []

        async def app(scope: dict[str, Any], _receive: object, _send: object) -> None:
            passed.append(scope)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(message: dict[str, Any]) -> None:
            answer.append(message)

        asyncio.run(self.server.middleware(app)({"type": "http", "path": self.path}, receive, send))
        for message in answer:
            if message["type"] == "http.response.start":
                self.send_response(message["status"])
                for name, value in message["headers"]:
                    self.send_header(name.decode(), value.decode())
                self.end_headers()
            else:
                self.wfile.write(message["body"])
        return bool(passed)

    def complete(self, body: dict[str, Any]) -> None:
        server = self.server
        named = self.headers.get("X-data-parallel-rank")
        engine = named if named in server.ranks else server.balance()
        server.bodies.append(body)
        question = body["messages"][-1]["content"]
        thinks = (body.get("chat_template_kwargs") or {}).get("enable_thinking", True)
        streamed = bool(body.get("stream"))
        server.asked[question] += 1
        asked = Asked(
            question,
            bool(body.get("tools")),
            thinks,
            streamed,
            engine,
            body["max_tokens"],
            server.asked[question],
        )
        server.count(engine, running=1)
        said, finish = cut(server.model(asked), body["max_tokens"])
        if server.fails(asked):
            self.refuse(500, "EngineCore encountered an issue.", "InternalServerError")
        elif streamed:
            self.stream(said, finish, asked)
        else:
            time.sleep(server.pause * said.tokens)
            message = {
                "role": "assistant",
                "content": said.content or None,
                "refusal": None,
                "annotations": None,
                "audio": None,
                "function_call": None,
                "tool_calls": [tool_call(*call) for call in said.calls],
                "reasoning": said.reasoning or None,
                "reasoning_content": said.reasoning or None,
            }
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": said.tokens}
            self.reply(200, {**envelope("chat.completion"), "choices": [choice], "usage": usage})
        server.count(engine, running=-1)
        server.answered[engine, finish if finish == "length" else "stop"] += 1
        server.tokens[engine] += said.tokens

    def stream(self, said: Said, finish: str, asked: Asked) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning": piece, "reasoning_content": piece} for piece in pieces(said.reasoning)]
        deltas += [{"content": piece} for piece in pieces(said.content)]
        for index, (name, arguments) in enumerate(said.calls):
            call = tool_call(name, "")
            deltas.append({"tool_calls": [{**call, "index": index, "function": {"name": name}}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in pieces(arguments)
            ]
        for number, delta in enumerate(deltas):
            if number == self.server.hangs_after:
                while not self.server.stop.wait(self.server.keep_alive or None):
                    self.send(": keep-alive")
                return
            time.sleep(self.server.pause)
            last = finish if number == len(deltas) - 1 else None
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": last}
            self.event({**envelope("chat.completion.chunk"), "choices": [choice]})
            if self.server.breaks(asked) and number == 2:
                error = {
                    "message": "EngineCore encountered an issue.",
                    "type": "BadRequestError",
                    "code": 400,
                }
                self.event({"error": error})
                break
        else:
            usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": said.tokens}
            self.event({**envelope("chat.completion.chunk"), "choices": [], "usage": usage})
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data: Any) -> None:
        self.send(f"data: {data if isinstance(data, str) else json.dumps(data)}")

    def send(self, line: str) -> None:
        text = f"{line}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def allowed(self) -> bool:
        return self.server.key is None or self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def refuse(self, status: int, message: str, kind: str) -> None:
        self.reply(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})

    def reply(self, status: int, body: Any, kind: str = "application/json") -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    """The API server. Its attributes say how healthy it is; a test changes them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024  # as uvicorn's, about

    def __init__(self, model: Callable[[Asked], Said] = healthy, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.model = model
        self.key: str | None = KEY
        self.ranks: tuple[str, ...] = ("0", "1")
        self.balanced = self.ranks  # the engines that requests without a rank go to
        self.ready_at = 0.0
        self.pause = 0.0  # seconds for each token
        self.delay: Callable[[str], float] = lambda _path: 0.0  # seconds before an answer begins, by the path
        self.hangs_after = -1  # pieces of a stream
        self.keep_alive = 0.0  # seconds between two comments in a stream that hangs, none if 0
        self.fails: Callable[[Asked], bool] = lambda _asked: False
        self.breaks: Callable[[Asked], bool] = lambda _asked: False
        self.too_busy: Callable[[], bool] = lambda: False
        self.middleware: Callable[..., Any] = lambda app: app
        self.metrics_answer: Callable[[], bool] = lambda: True
        self.cache: Callable[[str], float] = lambda _rank: 0.0  # how much of an engine's KV cache is used
        self.running: Counter[str] = Counter()
        self.answered: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.stop = threading.Event()
        self._next = itertools.count()
        self._counting = threading.Lock()

    def count(self, engine: str, running: int) -> None:
        with self._counting:
            self.running[engine] += running

    def balance(self) -> str:
        return self.balanced[next(self._next) % len(self.balanced)]

    def metrics(self) -> str:
        label = f'model_name="{MODEL}"'
        lines = []
        for rank in self.ranks:
            lines.append(f'vllm:num_requests_running{{engine="{rank}",{label}}} {self.running[rank]}.0')
            lines.append(f'vllm:num_requests_waiting{{engine="{rank}",{label}}} 0.0')
            lines.append(f'vllm:kv_cache_usage_perc{{engine="{rank}",{label}}} {self.cache(rank):.6f}')
            lines.append(f'vllm:generation_tokens_total{{engine="{rank}",{label}}} {self.tokens[rank]}.0')
            for reason in ("stop", "length", "abort"):
                count = self.answered[rank, reason]
                labels = f'engine="{rank}",finished_reason="{reason}",{label}'
                lines.append(f"vllm:request_success_total{{{labels}}} {count}.0")
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.set()
        self.shutdown()
        self.server_close()


def envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-0", "object": kind, "created": int(time.time()), "model": MODEL}


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "chatcmpl-tool-0", "type": "function", "function": function}


def pieces(text: str) -> Iterator[str]:
    return (text[at : at + 4] for at in range(0, len(text), 4))


def cut(said: Said, max_tokens: int) -> tuple[Said, str]:
    """Return what fits in the tokens, and the reason for the end. Calls are short and always fit."""
    if said.tokens <= max_tokens:
        return said, "tool_calls" if said.calls else "stop"
    reasoning = said.reasoning[: 4 * max_tokens]
    return Said(reasoning, said.content[: 4 * max_tokens - len(reasoning)]), "length"


class EngineProcess:
    """An engine in a process of its own, which says each line again. Its pid is in a file."""

    def __init__(self, pid_file: Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, bufsize=0)
        pid_file.write_text(str(self._process.pid), encoding="ascii")

    def compute(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"1\n")
        self._process.stdout.readline()


def main(port: str, folder: str, _flag: str = "", middleware: str = "") -> None:
    """Serve until killed, with two engines as processes and their pids in *folder*.

    Files there say what it does: with ``fills-RANK``, the KV cache of an engine fills, and with ``fails-now-and-then``,
    every second answer of /metrics is an error. The middleware is loaded as vLLM loads it.
    """
    engines = {rank: EngineProcess(Path(folder, f"engine-{rank}")) for rank in ("0", "1")}

    def computed(asked: Asked) -> Said:
        engines[asked.engine].compute()
        return healthy(asked)

    def filled(rank: str) -> float:
        return time.monotonic() % 1 if Path(folder, f"fills-{rank}").exists() else 0.0

    answers = itertools.count()

    def metrics_answer() -> bool:
        return not Path(folder, "fails-now-and-then").exists() or next(answers) % 2 == 0

    with Server(computed, int(port)) as server:
        server.cache, server.metrics_answer = filled, metrics_answer
        if middleware:
            module, name = middleware.rsplit(".", 1)
            server.middleware = getattr(importlib.import_module(module), name)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
