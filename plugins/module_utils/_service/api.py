# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to an OpenAI-compatible API of vLLM and their answers, whole or streamed."""

from __future__ import annotations

import json
import math
from typing import Any, Mapping, NamedTuple, Sequence

CHAT_PATH = "/v1/chat/completions"
# Names the engine that is to answer. Without it, vLLM chooses the one with the shortest queue.
ENGINE_HEADER = "X-data-parallel-rank"
# What reading a value from an unknown answer raises. In JSON, 1e999 is infinite, and brackets may nest without an end.
MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)


class Request(NamedTuple):
    """A GET, or with a body a POST. ``engine``: the rank of the data parallel engine that is to answer."""

    path: str
    body: dict[str, Any] | None = None
    engine: int | None = None
    with_key: bool = True


class Message(NamedTuple):
    """A message of the assistant, whole or assembled from a stream."""

    reasoning: str = ""
    content: str = ""
    tool_calls: Sequence[dict[str, Any]] = ()
    finish_reason: str = ""


class Answer(NamedTuple):
    """What came back. With status 0 nothing did, and ``error`` tells why."""

    status: int
    text: str
    seconds: float
    error: str = ""
    stream: Stream | None = None

    @property
    def body(self) -> Any:
        """The JSON body, or None."""
        try:
            return json.loads(self.text)
        except MALFORMED:
            return None

    @property
    def message(self) -> Message | None:
        """The assistant's message of a chat completion, or None if the answer is not one."""
        try:
            choice = self.body["choices"][0]
            return parse_message(choice["message"], choice["finish_reason"])
        except MALFORMED:
            return None

    @property
    def error_text(self) -> str:
        """The message of an error of the API, or the whole text of any other answer."""
        try:
            return str(self.body["error"]["message"])
        except MALFORMED:
            return self.text


class Stream:
    """A streamed answer, assembled line by line as it arrives."""

    def __init__(self) -> None:
        self.message = Message()
        self.error = ""
        self.rest = ""
        self.done = False
        self.closed = False  # by this client, because it took too long
        self.tokens = 0
        self.heard = 0.0  # when the last chunk came. A comment that keeps the connection alive is none
        self.times: list[float] = []

    def feed(self, line: str, at: float) -> None:
        """Take one line of the event stream, which arrived *at* seconds after the request."""
        if not line.startswith("data:"):
            self.rest += line
            return
        data = line[len("data:") :].strip()
        if data == "[DONE]":
            self.done = True
            return
        try:
            self._take(json.loads(data), at)
        except MALFORMED:
            self.error = f"the stream contains {shorten(data)!r}, which is not a chunk of a chat completion"

    def _take(self, event: Mapping[str, Any], at: float) -> None:
        # vLLM reports an engine that died as an event of a stream that began with status 200.
        if event.get("error"):
            self.error = str(event["error"]["message"])
            return
        self.tokens = int((event.get("usage") or {}).get("completion_tokens") or self.tokens)
        self.heard = at
        for choice in event["choices"][:1]:
            part = parse_message(choice.get("delta") or {}, choice.get("finish_reason"))
            if part.reasoning or part.content or part.tool_calls:
                self.times.append(at)
            self.message = Message(
                self.message.reasoning + part.reasoning,
                self.message.content + part.content,
                merge_calls(self.message.tool_calls, part.tool_calls),
                part.finish_reason or self.message.finish_reason,
            )

    def metrics(self) -> dict[str, float | None]:
        """Return time to first token, tokens per second after it, and the gaps between chunks, in seconds."""
        span = self.times[-1] - self.times[0] if self.times else 0.0
        gaps = [after - before for before, after in zip(self.times, self.times[1:])]
        return {
            "ttft": round(self.times[0], 3) if self.times else None,
            "tokens_per_second": round((self.tokens - 1) / span, 1) if span and self.tokens > 1 else None,
            "gap_p50": percentile(gaps, 50),
            "gap_p99": percentile(gaps, 99),
        }


def merge_calls(calls: Sequence[dict[str, Any]], parts: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the tool calls of a stream so far with the next parts of them, or raise one of MALFORMED.

    The first part of a call has its name, the others continue its arguments. `index` names the call.
    """
    merged = [dict(call, function=dict(call["function"])) for call in calls]
    for part in parts:
        index, function = int(part.get("index", len(merged))), part.get("function") or {}
        if not 0 <= index <= len(merged):
            raise ValueError(f"a part of call {index}, but there are {len(merged)}")
        if index == len(merged):
            merged.append({"function": {"name": "", "arguments": ""}})
        for key in ("name", "arguments"):
            merged[index]["function"][key] += text_of(function.get(key))
    return merged


def parse_message(raw: Mapping[str, Any], finish_reason: Any) -> Message:
    """Return a message of a chat completion, or raise one of MALFORMED."""
    # vLLM names the thinking `reasoning`, before 0.13 only `reasoning_content`, and in 0.13 both.
    reasoning = raw.get("reasoning") or raw.get("reasoning_content")
    return Message(
        text_of(reasoning),
        text_of(raw.get("content")),
        list(raw.get("tool_calls") or []),
        text_of(finish_reason),
    )


def text_of(value: Any) -> str:
    """Return a text or, for None, an empty one. Raise TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value or ""


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least *percent* of the values do not exceed."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)], 4)


def shorten(text: str, limit: int = 200) -> str:
    """Return the text in one line of at most *limit* characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
