# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of an OpenAI-compatible endpoint of vLLM: what they ask, and what the answers must show.

To add a check, add a function and an entry in CHECKS, a prompt in PROMPTS if it needs one of its own, and its
name in the documentation of the module endpoint_probe.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Callable, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import (
    CHAT_PATH,
    MALFORMED,
    Answer,
    Message,
    Request,
    Stream,
    shorten,
    text_of,
)

# Text that the parsers of the server should have removed from an answer.
MARKUP = re.compile(r"</?(?:think|tool_call|arg_key|arg_value)>")

TOOLS = [
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

LOOK_AT_HEAD = "Look at the head's log"
WRONG_URL = "Check that the URL is that of a vLLM server"
COMPARE_WEIGHTS = "Compare the weights' checksums (weights_verify)"


class Prompt(NamedTuple):
    """The body of a chat completion without its model, and what the answer must contain."""

    request: dict[str, Any]
    expect: dict[str, Any]


class Case(NamedTuple):
    """What a check is about: the name of the served model and, for a chat completion, the prompt."""

    model: str
    prompt: Prompt


class Check(NamedTuple):
    """A check of the endpoint.

    ``examine`` returns what an answer shows, or raises ProblemError. ``prompt`` is a key of PROMPTS, if it is
    not the name of the check.
    """

    request: Callable[[Case], Request]
    examine: Callable[[Answer, Case], str]
    prompt: str = ""


class Outcome(NamedTuple):
    """What a check found, how long its answer took, and the problem if it failed."""

    detail: str
    seconds: float
    problem: Problem | None = None


def _prompt(question: str, max_tokens: int, expect: Mapping[str, Any] | None = None, **more: Any) -> Prompt:
    messages = [{"role": "user", "content": question}]
    request = dict(messages=messages, max_tokens=max_tokens, temperature=0, **more)
    return Prompt(request, dict(expect or {}))


# What the checks send and expect unless the profile says otherwise. Thinking takes tokens, so prompts whose
# answer must be complete leave room for it. That of `completion` need not be, and it goes to every engine.
INTRODUCE = "Please introduce yourself."
PROMPTS = {
    "completion": _prompt(INTRODUCE, 10),
    "chat": _prompt(INTRODUCE, 2048),
    "streaming": _prompt(INTRODUCE, 256),
    "thinking_off": _prompt(INTRODUCE, 256, chat_template_kwargs={"enable_thinking": False}),
    "tool_call": _prompt("What is the weather in Oslo?", 1024, {"name": "get_weather"}, tools=TOOLS),
    "tool_call_no_arguments": _prompt(
        "What time is it?", 1024, {"name": "get_time", "arguments": {}}, tools=TOOLS
    ),
}


def prompts(given: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Prompt]:
    """Return the prompts: the default ones, with the keys of those given in place of their own."""
    return {
        name: Prompt(
            {**default.request, **given.get(name, {}).get("request", {})},
            {**default.expect, **given.get(name, {}).get("expect", {})},
        )
        for name, default in PROMPTS.items()
    }


def prompt_errors(given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the prompts that a profile or a task gives."""
    errors = []
    for name, prompt in given.items():
        if name not in PROMPTS:
            errors.append(f"{name!r} is not a prompt, expected one of {', '.join(PROMPTS)}")
        elif not isinstance(prompt, Mapping) or not set(prompt) <= {"request", "expect"}:
            errors.append(f"{name} is {prompt!r}, expected a mapping with `request` and `expect`")
        elif not all(isinstance(part, Mapping) for part in prompt.values()):
            errors.append(f"{name} is {prompt!r}, expected mappings as its `request` and `expect`")
    return errors


def quote(text: str) -> str:
    """Return the text in quotation marks, in one line and not too long."""
    return repr(shorten(text))


def case(name: str, model: str, available: Mapping[str, Prompt]) -> Case:
    """Return what the check *name* is about."""
    return Case(model, available.get(CHECKS[name].prompt or name, Prompt({}, {})))


def outcome(name: str, answer: Answer, about: Case) -> Outcome:
    """Return the outcome of the check *name* from the answer to its request."""
    try:
        return Outcome(CHECKS[name].examine(answer, about), answer.seconds)
    except ProblemError as error:
        return failed(error.problem, answer.seconds)


def failed(problem: Problem, seconds: float) -> Outcome:
    """Return the outcome of a check that failed."""
    return Outcome(problem.found, seconds, problem)


def problems(outcomes: Mapping[str, Outcome]) -> list[Problem]:
    """Return the problems of the checks that failed. Checks that found the same share one."""
    names: dict[str, list[str]] = {}
    first: dict[str, Problem] = {}
    for name, result in outcomes.items():
        if result.problem:
            first.setdefault(result.problem.found, result.problem)
            names.setdefault(result.problem.found, []).append(name)
    return [problem.at(", ".join(names[found])) for found, problem in first.items()]


# What is sent


def _chat(about: Case) -> Request:
    return Request(CHAT_PATH, {**about.prompt.request, "model": about.model})


def _streamed_chat(about: Case) -> Request:
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return Request(CHAT_PATH, {**about.prompt.request, "model": about.model, **streamed})


def _chat_with_wrong_model(about: Case) -> Request:
    return Request(CHAT_PATH, {**about.prompt.request, "model": about.model + "-not-there"})


# What the answers must show


def require_success(answer: Answer, expected: str) -> None:
    """Raise ProblemError for an answer with another status than 200."""
    if answer.status == 200:
        return
    if not answer.status:
        raise ProblemError(
            answer.error, expected, "Check that the service runs, and that this host can reach its port"
        )
    remedy = LOOK_AT_HEAD
    if answer.status in (401, 403):
        remedy = "The server requires an API key. Set `api_key` to the right one"
    raise ProblemError(f"HTTP status {answer.status}: {quote(answer.error_text)}", expected, remedy)


def require_message(answer: Answer, expected: str) -> Message:
    """Return the assistant's message of an answer, or raise ProblemError."""
    require_success(answer, expected)
    message = answer.message
    if not message:
        raise ProblemError("not a chat completion: " + quote(answer.text), expected, WRONG_URL)
    return message


def check_health(answer: Answer, _about: Case) -> str:
    """Check the answer to GET /health."""
    require_success(answer, "HTTP status 200")
    return "HTTP status 200"


def check_models(answer: Answer, about: Case) -> str:
    """Check that the list of models has the model under its name."""
    expected = f"the model {about.model}"
    require_success(answer, expected)
    try:
        served = {text_of(entry["id"]): entry.get("max_model_len") for entry in answer.body["data"]}
    except MALFORMED:
        raise ProblemError("not a list of models: " + quote(answer.text), expected, WRONG_URL) from None
    if about.model not in served:
        found = "the models " + ", ".join(sorted(served)) if served else "no models"
        raise ProblemError(found, expected, "Correct `model`, or --served-model-name of the service")
    return f"{about.model}, up to {served[about.model]} tokens"


def check_completion(answer: Answer, _about: Case) -> str:
    """Check a short answer. It may end while the model still thinks."""
    expected = "an answer with text"
    message = require_message(answer, expected)
    if not (message.reasoning or message.content):
        raise ProblemError("an empty answer", expected, f"{LOOK_AT_HEAD}. {COMPARE_WEIGHTS}")
    return shorten(message.reasoning + message.content, 60)


def check_chat(answer: Answer, about: Case) -> str:
    """Check a complete answer: content without markup and, if given, the expected text."""
    return _check_content(require_message(answer, "an answer with content"), about.prompt.expect)


def check_reasoning(answer: Answer, about: Case) -> str:
    """Check that the thinking is in its own field, and only there."""
    expected = "the thinking in the field `reasoning` or `reasoning_content`, and only there"
    remedy = "Run the patch stage, and check that the service has the model's --reasoning-parser"
    message = require_message(answer, expected)
    if "</think>" in message.content:
        raise ProblemError("thinking in the content: " + quote(message.content), expected, remedy)
    if not message.reasoning:
        raise ProblemError(f"no thinking, content {quote(message.content)}", expected, remedy)
    return _check_text(message.reasoning, about.prompt.expect.get("reasoning"))


def check_thinking_off(answer: Answer, about: Case) -> str:
    """Check an answer to a request that turns thinking off: content, and nothing else."""
    expected = "content and no thinking"
    message = require_message(answer, expected)
    if message.reasoning:
        remedy = "Run the patch stage. Without it, the reasoning parser ignores that thinking is off"
        raise ProblemError("thinking: " + quote(message.reasoning), expected, remedy)
    return _check_content(message, about.prompt.expect)


def check_tool_call(answer: Answer, about: Case) -> str:
    """Check a tool call: it is parsed, calls the right tool, and has the required arguments."""
    expect = about.prompt.expect
    expected = "a call of " + expect["name"]
    message = require_message(answer, expected)
    if not message.tool_calls:
        raise _no_call(message, expected)
    try:
        name = message.tool_calls[0]["function"]["name"]
        arguments = dict(json.loads(message.tool_calls[0]["function"]["arguments"]))
        missing = [key for key in _required(about, expect["name"]) if key not in arguments]
    except MALFORMED:
        found = "a malformed call: " + shorten(_json(list(message.tool_calls)))
        raise ProblemError(found, expected, "Run the patch stage: the tool call parser fails") from None
    shown = name if str(name).isidentifier() else repr(name)
    call = f"{shown}({shorten(_json(arguments), 80)})"
    if name != expect["name"] or missing:
        without = " without " + ", ".join(missing) if missing else ""
        remedy = "Check that chat template and --tool-call-parser are the model's own"
        raise ProblemError(call + without, expected, remedy)
    if expect.get("arguments", arguments) != arguments:
        raise ProblemError(call, f"{name}({_json(expect['arguments'])})", COMPARE_WEIGHTS)
    return call


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _required(about: Case, name: str) -> list[str]:
    for tool in about.prompt.request["tools"]:
        if tool["function"]["name"] == name:
            return list(tool["function"].get("parameters", {}).get("required", []))
    return []


def _no_call(message: Message, expected: str) -> ProblemError:
    if MARKUP.search(message.content):
        remedy = "Run the patch stage. The tool call parser of this vLLM does not support the model's calls"
        return ProblemError(f"the call as content, not parsed: {quote(message.content)}", expected, remedy)
    if message.finish_reason == "length":
        return _cut_off(message, expected)
    remedy = "Check that the service has --enable-auto-tool-choice"
    return ProblemError(f"no call, content {quote(message.content)}", expected, remedy)


def check_stream(answer: Answer, about: Case) -> str:
    """Check a streamed answer: several chunks with text, and an end."""
    expected = "an event stream with text, a finish_reason and [DONE]"
    require_success(answer, expected)
    stream = answer.stream or Stream()
    error = stream.error or answer.error
    if error:
        raise ProblemError(error.rstrip("."), expected, "Look at the logs of all hosts: an engine failed")
    message = stream.message
    if not (stream.done and message.finish_reason and stream.times):
        end = "[DONE]" if stream.done else "no [DONE]"
        found = f"{len(stream.times)} chunks with text, finish_reason {message.finish_reason!r}, {end}"
        raise ProblemError(found, expected, f"{LOOK_AT_HEAD}, and at proxies between this host and the head")
    for field in ("reasoning", "content"):
        _check_text(getattr(message, field), about.prompt.expect.get(field))
    return f"{stream.tokens} tokens in {len(stream.times)} chunks"


def check_wrong_model(answer: Answer, _about: Case) -> str:
    """Check that a request for a model that is not served gets status 404."""
    return _check_refusal(answer, 404, WRONG_URL)


def check_key_refused(answer: Answer, _about: Case) -> str:
    """Check that a request without the API key gets status 401."""
    return _check_refusal(answer, 401, "The server answers without a key. Start it with the API key")


def _check_refusal(answer: Answer, status: int, remedy: str) -> str:
    expected = f"HTTP status {status}"
    if answer.status != status:
        require_success(answer, expected)
        raise ProblemError("HTTP status 200: " + quote(answer.text), expected, remedy)
    return f"{expected}: {shorten(answer.error_text, 80)}"


def _check_content(message: Message, expect: Mapping[str, Any]) -> str:
    expected = "an answer with content"
    if not message.content and message.finish_reason == "length":
        raise _cut_off(message, expected)
    if not message.content:
        remedy = "Check that the service has the model's --reasoning-parser"
        raise ProblemError(f"no content, thinking {quote(message.reasoning)}", expected, remedy)
    if MARKUP.search(message.content):
        found = "markup in the content: " + quote(message.content)
        raise ProblemError(found, "content without markup", "Run the patch stage")
    return _check_text(message.content, expect.get("content"))


def _cut_off(message: Message, expected: str) -> ProblemError:
    loop = repetition(message.reasoning)
    if loop:
        return _loop(loop)
    found = "an answer cut off by max_tokens while the model was thinking: " + quote(message.reasoning)
    return ProblemError(found, expected, "Increase max_tokens of this request")


def _check_text(text: str, expected: str | None) -> str:
    loop = repetition(text)
    if loop:
        raise _loop(loop)
    if expected is not None and text != expected:
        remedy = f"{COMPARE_WEIGHTS}, and the chat template"
        raise ProblemError(quote(text), quote(expected), remedy)
    return shorten(text, 80)


def _loop(piece: str) -> ProblemError:
    return ProblemError(
        f"the answer repeats itself in a loop: {shorten(piece, 80)!r}",
        "an answer without a loop",
        "GLM-4.7 does this at times in long tasks: sample with temperature 1.0 and top_p 0.95. "
        f"If it happens with short questions, it is a fault. {COMPARE_WEIGHTS}",
    )


def repetition(text: str) -> str:
    """Return what a text repeats in a loop, or an empty string.

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


def silent_engines(counts: Mapping[str, int], engines: int) -> list[str]:
    """Return the ranks of the engines that answered nothing."""
    return [rank for rank in map(str, range(engines)) if counts.get(rank, 0) < 1]


def check_engines(counts: Mapping[str, int], engines: int) -> str:
    """Check by how much the engines' counters of answers grew: each engine must have answered."""
    counted = ", ".join(f"engine {rank}: {counts[rank]}" for rank in sorted(counts))
    silent = silent_engines(counts, engines)
    if silent:
        raise ProblemError(
            f"no answer of engine {', '.join(silent)} counted in /metrics ({counted or 'no engine there'})",
            f"an answer of each of {engines} engines",
            "Look at the log of the host whose --data-parallel-start-rank is that number, "
            "and check --data-parallel-size",
        )
    return counted


CHECKS = {
    "health": Check(lambda _about: Request("/health"), check_health),
    "models": Check(lambda _about: Request("/v1/models"), check_models),
    "completion": Check(_chat, check_completion),
    "chat": Check(_chat, check_chat),
    "streaming": Check(_streamed_chat, check_stream),
    "reasoning": Check(_chat, check_reasoning, prompt="chat"),
    "thinking_off": Check(_chat, check_thinking_off),
    "tool_call": Check(_chat, check_tool_call),
    "tool_call_no_arguments": Check(_chat, check_tool_call),
    "wrong_model": Check(_chat_with_wrong_model, check_wrong_model, prompt="completion"),
    "key_refused": Check(lambda _about: Request("/v1/models", with_key=False), check_key_refused),
}
