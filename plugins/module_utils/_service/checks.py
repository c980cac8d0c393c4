# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to ask an OpenAI-compatible endpoint of vLLM, and what its answers prove."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CHECKS = (
    "health",
    "models",
    "completion",
    "chat",
    "streaming",
    "reasoning",
    "thinking_off",
    "tool_call",
    "tool_call_no_arguments",
    "wrong_model",
    "key_refused",
)

CHAT_PATH = "/v1/chat/completions"
# vLLM sends a request with this header to the engine it names; without it, to the one with the shortest queue.
ENGINE_HEADER = "X-data-parallel-rank"
# Text that the parsers of the server should have taken out of an answer.
MARKUP = re.compile(r"</?(?:think|tool_call|arg_key|arg_value)>")

MALFORMED = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)  # what taking a value out of an unknown answer raises

_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "Get the current time",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]


class Conversation(NamedTuple):
    """The body of a chat completion, and what its answer must hold."""

    request: dict[str, Any]
    expect: dict[str, Any]


def _talk(
    question: str, max_tokens: int, expect: Mapping[str, Any] | None = None, **more: Any
) -> Conversation:
    request = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    return Conversation(dict(request, **more), dict(expect or {}))


# What the checks send and expect unless the profile says otherwise. Thinking takes tokens, so what must come to an end has room for it;
# `completion` need not, and goes to every engine.
CONVERSATIONS = {
    "completion": _talk("Please introduce yourself.", 10),
    "chat": _talk("Please introduce yourself.", 2048),
    "streaming": _talk("Please introduce yourself.", 256),
    "thinking_off": _talk("Please introduce yourself.", 256, chat_template_kwargs={"enable_thinking": False}),
    "tool_call": _talk("What is the weather in Oslo?", 1024, {"name": "get_weather"}, tools=_TOOLS),
    "tool_call_no_arguments": _talk(
        "What time is it?", 1024, {"name": "get_time", "arguments": {}}, tools=_TOOLS
    ),
}


class Request(NamedTuple):
    """A GET, or with a body a POST; to the engine of that rank, if one is given."""

    path: str
    body: dict[str, Any] | None = None
    engine: int | None = None
    with_key: bool = True


class Answer(NamedTuple):
    """What came back. status 0: nothing did, and `error` says why."""

    status: int
    text: str
    seconds: float
    error: str = ""

    @property
    def body(self) -> Any:
        """The JSON body, or None."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Verdict(NamedTuple):
    """What a check found; wanted and remedy are for a failed one."""

    ok: bool
    found: str
    wanted: str = ""
    remedy: str = ""


class Message(NamedTuple):
    """An assistant's message, whole or put together from a stream."""

    reasoning: str
    content: str
    tool_calls: list[dict[str, Any]]
    finish_reason: str


NO_MESSAGE = Message("", "", [], "")


def conversation_errors(conversations: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the conversations that a profile gives."""
    errors = []
    for name, given in conversations.items():
        if name not in CONVERSATIONS:
            errors.append("{!r} is no conversation, wanted one of {}".format(name, ", ".join(CONVERSATIONS)))
        elif not isinstance(given, Mapping) or not set(given) <= {"request", "expect"}:
            errors.append(f"{name} is {given!r}, wanted a mapping with `request` and `expect`")
        elif not all(isinstance(part, Mapping) for part in given.values()):
            errors.append(f"{name} is {given!r}, wanted mappings as its `request` and `expect`")
    return errors


def shown(answer: Answer) -> dict[str, str]:
    """Return what a person wants to see of an answer."""
    found = message(answer) or NO_MESSAGE
    return {"reasoning": found.reasoning, "content": found.content}


def conversations(given: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Conversation]:
    """Return the conversations: the default ones, their keys replaced by those given."""
    return {
        name: Conversation(
            dict(default.request, **given.get(name, {}).get("request", {})),
            dict(default.expect, **given.get(name, {}).get("expect", {})),
        )
        for name, default in CONVERSATIONS.items()
    }


def request(name: str, model: str, talks: Mapping[str, Conversation]) -> Request:
    """Return the request of a check. `reasoning` has that of `chat`, and should not be sent twice."""
    if name == "health":
        return Request("/health")
    if name == "models":
        return Request("/v1/models")
    if name == "key_refused":
        return Request("/v1/models", with_key=False)
    if name == "wrong_model":
        return Request(CHAT_PATH, dict(talks["completion"].request, model=model + "-not-there"))
    body = dict(talks["chat" if name == "reasoning" else name].request, model=model)
    if name == "streaming":
        body.update(stream=True, stream_options={"include_usage": True})
    return Request(CHAT_PATH, body)


def message(answer: Answer) -> Message | None:
    """Return the assistant's message of a chat completion, or None if the answer is not one."""
    try:
        choice = answer.body["choices"][0]
        return _message(choice["message"], choice["finish_reason"])
    except MALFORMED:
        return None


def _message(raw: Mapping[str, Any], finish_reason: Any) -> Message:
    # vLLM calls the thinking `reasoning`, before 0.13 only `reasoning_content`, and in 0.13 both.
    reasoning = raw.get("reasoning") or raw.get("reasoning_content")
    return Message(
        _text(reasoning), _text(raw.get("content")), list(raw.get("tool_calls") or []), _text(finish_reason)
    )


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value or ""


class Stream:
    """A streamed answer, put together line by line as it arrives."""

    def __init__(self) -> None:
        self.message = NO_MESSAGE
        self.error = ""
        self.rest = ""
        self.done = False
        self.tokens = 0
        self.times = []  # type: list[float]

    def feed(self, line: str, at: float) -> None:
        """Take one line of the event stream, which arrived `at` seconds after the request."""
        if not line.startswith("data:"):
            self.rest += line
            return
        data = line[len("data:") :].strip()
        if data == "[DONE]":
            self.done = True
            return
        try:
            event = json.loads(data)
            self._take(event, at)
        except MALFORMED:
            self.error = f"the stream holds {shorten(data)!r}, which is no chunk of a chat completion"

    def _take(self, event: Mapping[str, Any], at: float) -> None:
        if (
            "error" in event
        ):  # vLLM reports an engine that died as an event of a stream that began with status 200
            self.error = event["error"]["message"]
            return
        if event.get("usage"):
            self.tokens = event["usage"]["completion_tokens"]
        for choice in event["choices"][:1]:
            part = _message(choice["delta"], choice["finish_reason"])
            if part.reasoning or part.content or part.tool_calls:
                self.times.append(at)
            self.message = Message(
                self.message.reasoning + part.reasoning,
                self.message.content + part.content,
                self.message.tool_calls + part.tool_calls,
                part.finish_reason or self.message.finish_reason,
            )

    def figures(self) -> dict[str, float | None]:
        """Return time to first token, tokens per second after it, and the gaps between chunks, in seconds."""
        span = self.times[-1] - self.times[0] if self.times else 0.0
        gaps = [after - before for before, after in zip(self.times, self.times[1:])]
        return {
            "ttft": round(self.times[0], 3) if self.times else None,
            "tokens_per_second": round((self.tokens - 1) / span, 1) if span and self.tokens > 1 else None,
            "gap_p50": percentile(gaps, 50),
            "gap_p99": percentile(gaps, 99),
        }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)], 4)


def engine_counts(metrics: str) -> dict[str, int]:
    """Return from the text of /metrics how many requests each engine has answered."""
    counts = {}  # type: dict[str, int]
    for labels, value in re.findall(r"^vllm:request_success_total\{([^}]*)\} (\S+)$", metrics, re.MULTILINE):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        answered = int(float(value)) if label.get("finished_reason") in ("stop", "length") else 0
        engine = label.get("engine", "0")
        counts[engine] = counts.get(engine, 0) + answered
    return counts


def repetition(text: str) -> str:
    """Return what a text repeats over and over, or an empty string.

    A loop is a text that ends with the same piece at least four times, 200 characters or more in all, or that
    has one paragraph of 80 characters or more at least four times.
    """
    for size in range(1, len(text) // 4 + 1):
        piece = text[-size:]
        times = 4 if size >= 50 else math.ceil(200 / size)
        if piece.strip() and text.endswith(piece * times):
            return piece.strip()
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text)]
    return next((part for part in paragraphs if len(part) >= 80 and paragraphs.count(part) >= 4), "")


def shorten(text: str, limit: int = 200) -> str:
    """Return the text in one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def failure(answer: Answer, wanted: str) -> Verdict | None:
    """Return the verdict on an answer that is not a success, None if it is one."""
    if answer.status == 200:
        return None
    if not answer.status:
        return Verdict(
            False,
            answer.error,
            wanted,
            "See that the service runs and that its port can be reached from this host.",
        )
    remedy = "Look at the head's log."
    if answer.status in (401, 403):
        remedy = "The server wants an API key: give the right one in `api_key`."
    return Verdict(False, f"HTTP status {answer.status}: {shorten(_error_text(answer))}", wanted, remedy)


def _error_text(answer: Answer) -> str:
    try:
        return str(answer.body["error"]["message"])
    except MALFORMED:
        return answer.text


def judge_models(answer: Answer, model: str) -> Verdict:
    """Judge the answer to GET /v1/models: the model is served under its name."""
    wanted = f"the model {model}"
    failed = failure(answer, wanted)
    if failed:
        return failed
    try:
        served = {_text(entry["id"]): entry.get("max_model_len") for entry in answer.body["data"]}
    except MALFORMED:
        return Verdict(
            False,
            "no list of models: " + shorten(answer.text),
            wanted,
            "See that the URL is that of a vLLM server.",
        )
    if model not in served:
        return Verdict(
            False,
            "the models " + ", ".join(sorted(served)),
            wanted,
            "Correct `model`, or --served-model-name of the service.",
        )
    return Verdict(True, f"{model}, up to {served[model]} tokens")


def judge_completion(answer: Answer) -> Verdict:
    """Judge a short answer, which may end in the midst of its thinking."""
    found, failed = _judge_message(answer, "an answer with text")
    if failed:
        return failed
    if not (found.reasoning or found.content):
        return Verdict(
            False,
            "an empty answer",
            "an answer with text",
            "Look at the head's log; compare the weights' checksums.",
        )
    return Verdict(True, shorten(found.reasoning + found.content, 60))


def judge_chat(answer: Answer, expect: Mapping[str, Any]) -> Verdict:
    """Judge a whole answer: content without markup, as expected if that is given."""
    found, failed = _judge_message(answer, "an answer with content")
    return failed or _judge_content(found, expect)


def judge_reasoning(answer: Answer, expect: Mapping[str, Any]) -> Verdict:
    """Judge the thinking: in its own field, and only there."""
    wanted = "the thinking in the field `reasoning` or `reasoning_content`, and only there"
    found, failed = _judge_message(answer, wanted)
    if failed:
        return failed
    remedy = "Run the patch stage, and see that the service has the model's --reasoning-parser."
    if "</think>" in found.content:
        return Verdict(False, "thinking in the content: " + shorten(found.content), wanted, remedy)
    if not found.reasoning:
        return Verdict(False, "no thinking, content " + repr(shorten(found.content)), wanted, remedy)
    return _judge_text(found.reasoning, expect.get("reasoning"))


def judge_thinking_off(answer: Answer, expect: Mapping[str, Any]) -> Verdict:
    """Judge an answer for which thinking was switched off: content alone."""
    found, failed = _judge_message(answer, "content and no thinking")
    if failed:
        return failed
    if found.reasoning:
        remedy = "Run the patch stage: without it the reasoning parser does not know that thinking is off."
        return Verdict(False, "thinking: " + shorten(found.reasoning), "content and no thinking", remedy)
    return _judge_content(found, expect)


def judge_tool_call(answer: Answer, talk: Conversation) -> Verdict:
    """Judge a call of a tool: parsed, the right one, with the arguments that its schema requires."""
    expect = talk.expect
    wanted = "a call of " + expect["name"]
    found, failed = _judge_message(answer, wanted)
    if failed:
        return failed
    if not found.tool_calls:
        return _no_call(found, wanted)
    try:
        name = found.tool_calls[0]["function"]["name"]
        arguments = dict(json.loads(found.tool_calls[0]["function"]["arguments"]))
        missing = [key for key in _required(talk.request["tools"], expect["name"]) if key not in arguments]
    except MALFORMED:
        return Verdict(
            False,
            "a broken call: " + shorten(json.dumps(found.tool_calls)),
            wanted,
            "Run the patch stage: the tool call parser fails.",
        )
    call = f"{name}({shorten(json.dumps(arguments, ensure_ascii=False), 80)})"
    if name != expect["name"] or missing:
        lacks = " without " + ", ".join(missing) if missing else ""
        return Verdict(
            False, call + lacks, wanted, "See that chat template and --tool-call-parser are the model's own."
        )
    if expect.get("arguments", arguments) != arguments:
        return Verdict(
            False,
            call,
            "{}({})".format(name, json.dumps(expect["arguments"], ensure_ascii=False)),
            "Compare the weights' checksums.",
        )
    return Verdict(True, call)


def _required(tools: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    for tool in tools:
        if tool["function"]["name"] == name:
            return list(tool["function"].get("parameters", {}).get("required", []))
    return []


def _no_call(found: Message, wanted: str) -> Verdict:
    if MARKUP.search(found.content):
        remedy = (
            "Run the patch stage: the tool call parser of this vLLM does not understand the model's calls."
        )
        return Verdict(False, "the call as content, not parsed: " + shorten(found.content), wanted, remedy)
    if found.finish_reason == "length":
        return _cut(found, wanted)
    return Verdict(
        False,
        "no call, content " + repr(shorten(found.content)),
        wanted,
        "See that the service has --enable-auto-tool-choice.",
    )


def silent_engines(counts: Mapping[str, int], engines: int) -> list[str]:
    """Return the ranks of the engines that answered nothing."""
    return [rank for rank in map(str, range(engines)) if counts.get(rank, 0) < 1]


def judge_engines(answers: Sequence[Answer], counts: Mapping[str, int], engines: int) -> Verdict:
    """Judge the answers to the request that went to every engine, and by how much the engines' counters grew."""
    for answer in answers:
        verdict = judge_completion(answer)
        if not verdict.ok:
            return verdict
    silent = silent_engines(counts, engines)
    if silent:
        return Verdict(
            False,
            "no answer of engine {} counted in /metrics ({})".format(
                ", ".join(silent), _counts(counts) or "no engine there"
            ),
            f"one of each of {engines} engines",
            "Look at the log of the host whose --data-parallel-start-rank is that number, and at --data-parallel-size.",
        )
    return Verdict(True, _counts(counts))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"engine {rank}: {counts[rank]}" for rank in sorted(counts))


def judge_stream(answer: Answer, stream: Stream, expect: Mapping[str, Any]) -> Verdict:
    """Judge a streamed answer: several pieces, an end, and text in it."""
    wanted = "an event stream with text, a finish_reason and [DONE]"
    failed = failure(answer, wanted)
    if failed:
        return failed
    found = stream.message
    error = stream.error or answer.error
    if error:
        return Verdict(False, error, wanted, "Look at the logs of all hosts: an engine failed.")
    if not (stream.done and found.finish_reason and stream.times):
        seen = "{} pieces of text, finish_reason {!r}, {}".format(
            len(stream.times), found.finish_reason, "[DONE]" if stream.done else "no [DONE]"
        )
        return Verdict(
            False, seen, wanted, "Look at the head's log, and at proxies between here and the head."
        )
    for text, wish in ((found.reasoning, expect.get("reasoning")), (found.content, expect.get("content"))):
        verdict = _judge_text(text, wish)
        if not verdict.ok:
            return verdict
    return Verdict(True, f"{stream.tokens} tokens in {len(stream.times)} pieces")


def judge_refusal(answer: Answer, status: int, remedy: str) -> Verdict:
    """Judge the answer to a request that must be refused."""
    wanted = f"HTTP status {status}"
    if answer.status == status:
        return Verdict(True, f"{wanted}: {shorten(_error_text(answer), 80)}")
    return failure(answer, wanted) or Verdict(
        False, "HTTP status 200: " + shorten(answer.text), wanted, remedy
    )


def _judge_message(answer: Answer, wanted: str) -> tuple[Message, Verdict | None]:
    """Return the message of an answer, and a verdict if there is none."""
    found = message(answer)
    if found and answer.status == 200:
        return found, None
    remedy = "See that the URL is that of a vLLM server."
    return NO_MESSAGE, failure(answer, wanted) or Verdict(
        False, "no chat completion: " + shorten(answer.text), wanted, remedy
    )


def _judge_content(found: Message, expect: Mapping[str, Any]) -> Verdict:
    wanted = "an answer with content"
    if not found.content and found.finish_reason == "length":
        return _cut(found, wanted)
    if not found.content:
        return Verdict(
            False,
            "no content, thinking " + repr(shorten(found.reasoning)),
            wanted,
            "See that the service has the model's --reasoning-parser.",
        )
    if MARKUP.search(found.content):
        return Verdict(
            False,
            "markup in the content: " + shorten(found.content),
            "content without markup",
            "Run the patch stage.",
        )
    return _judge_text(found.content, expect.get("content"))


def _cut(found: Message, wanted: str) -> Verdict:
    looped = repetition(found.reasoning)
    if looped:
        return _loop(looped)
    return Verdict(
        False,
        "an answer cut off by max_tokens while it was thinking: " + shorten(found.reasoning),
        wanted,
        "Raise max_tokens of this request.",
    )


def _judge_text(text: str, wish: str | None) -> Verdict:
    looped = repetition(text)
    if looped:
        return _loop(looped)
    if wish is not None and text != wish:
        return Verdict(
            False,
            repr(shorten(text)),
            repr(shorten(wish)),
            "Compare the weights' checksums and the chat template.",
        )
    return Verdict(True, shorten(text, 80))


def _loop(looped: str) -> Verdict:
    return Verdict(
        False,
        "the answer goes round in a loop: " + repr(shorten(looped, 80)),
        "an answer without a loop",
        "Known of GLM-4.7 in long tasks: sample with temperature 1.0 and top_p 0.95; where it happens with short questions, compare the weights' checksums.",
    )


def judge(name: str, answer: Answer, model: str, talks: Mapping[str, Conversation]) -> Verdict:
    """Judge the answer to the one request of a check."""
    talk = talks.get("chat" if name == "reasoning" else name, Conversation({}, {}))
    if name == "health":
        return failure(answer, "HTTP status 200") or Verdict(True, "HTTP status 200")
    if name == "models":
        return judge_models(answer, model)
    if name == "chat":
        return judge_chat(answer, talk.expect)
    if name == "reasoning":
        return judge_reasoning(answer, talk.expect)
    if name == "thinking_off":
        return judge_thinking_off(answer, talk.expect)
    if name == "wrong_model":
        return judge_refusal(answer, 404, "See that the URL is that of a vLLM server.")
    if name == "key_refused":
        return judge_refusal(answer, 401, "The server answers without a key: start it with the API key.")
    return judge_tool_call(answer, talk)


def report(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Return a line for each failure; checks that found the same share one, for they failed together."""
    same = {}  # type: dict[str, list[str]]
    for name, verdict in verdicts.items():
        if not verdict.ok:
            same.setdefault(verdict.found, []).append(name)
    return [
        "{}: found {}; wanted {}. {}".format(
            ", ".join(names), found, verdicts[names[0]].wanted, verdicts[names[0]].remedy
        )
        for found, names in same.items()
    ]
