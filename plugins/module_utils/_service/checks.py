# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of an OpenAI-compatible endpoint of vLLM: what they ask, and what the answers must show.

To add a check, add a function and an entry in CHECKS, a prompt in PROMPTS if it needs one of its own, and its
name in the documentation of the module endpoint_probe.

Some of what an answer shows is the model's decision and no fault of the server: whether it calls a tool, or
ends in a loop. A model samples, so such a check gets more than one try (see Undecided).
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

RULE = "-=_*~|."
LONGEST_RULE = 1000
LOOP_CHARACTERS = 10

LOOK_AT_HEAD = "Look at the head's log"
WRONG_URL = "Check that the URL is that of a vLLM server"
COMPARE_WEIGHTS = "Compare the weights' checksums (weights_verify)"
CHECK_PARSER = "Run the patch stage, and check that the service has the model's --reasoning-parser"
LOGS_OF_ALL = "Look at the logs of all hosts: an engine failed"

THINKING_TOKENS = 4096  # for an answer with its thinking, of which GLM-4.7 needs 1500 to introduce itself
PROMPT_TOKENS = 1024  # more than any prompt here takes, with tools and the chat template


class Undecided(ProblemError):
    """What one answer alone does not prove, because the model samples. Worth another try."""


class ModelChoice(Undecided):
    """What the model decided, and the server only passed on. A warning, if it does so every time."""


class Prompt(NamedTuple):
    """The body of a chat completion without its model, and what the answer must contain."""

    request: dict[str, Any]
    expect: dict[str, Any]


class Case(NamedTuple):
    """What a check is about: the name of the served model and, for a chat completion, the prompt.

    ``room``: the most tokens that an answer may have, 0 if unknown.
    """

    model: str
    prompt: Prompt
    room: int = 0


class Check(NamedTuple):
    """A check of the endpoint.

    ``examine`` returns what an answer shows, or raises ProblemError. ``prompt`` is a key of PROMPTS, if it is
    not the name of the check.
    """

    request: Callable[[Case], Request]
    examine: Callable[[Answer, Case], str]
    prompt: str = ""


class Outcome(NamedTuple):
    """What a check found, how long its answer took, and the problem if it failed.

    ``again``: another try may succeed. ``warning``: if it does not, the service is not at fault.
    """

    detail: str
    seconds: float
    problem: Problem | None = None
    again: bool = False
    warning: bool = False


def _prompt(question: str, max_tokens: int, expect: Mapping[str, Any] | None = None, **more: Any) -> Prompt:
    messages = [{"role": "user", "content": question}]
    return Prompt(dict(messages=messages, max_tokens=max_tokens, **more), dict(expect or {}))


# What the checks send and expect unless the profile says otherwise. No temperature: the model's own counts.
# Those of `completion` and `knows` go to every engine.
INTRODUCE = "Please introduce yourself."
NO_THINKING = {"enable_thinking": False}
PROMPTS = {
    "completion": _prompt(INTRODUCE, 10),
    "knows": _prompt(
        "What is the capital of France? Answer with one word.",
        64,
        {"contains": "Paris"},
        chat_template_kwargs=NO_THINKING,
    ),
    "chat": _prompt(INTRODUCE, THINKING_TOKENS),
    "streaming": _prompt(INTRODUCE, 256),
    "thinking_off": _prompt(INTRODUCE, 512, chat_template_kwargs=NO_THINKING),
    "tool_call": _prompt("What is the weather in Oslo?", 2048, {"name": "get_weather"}, tools=TOOLS),
    "tool_call_no_arguments": _prompt("What time is it?", 2048, {"name": "get_time"}, tools=TOOLS),
}


def prompts(given: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Prompt]:
    """Return the prompts: the default ones, with the keys of those given in place of their own.

    The text that an answer must contain belongs to its question. Other messages drop it.
    """
    result = {}
    for name, default in PROMPTS.items():
        request, expect = given.get(name, {}).get("request", {}), dict(default.expect)
        if "messages" in request:
            expect.pop("contains", None)
        expect.update(given.get(name, {}).get("expect", {}))
        result[name] = Prompt({**default.request, **request}, expect)
    return result


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


def case(name: str, model: str, available: Mapping[str, Prompt], room: int = 0) -> Case:
    """Return what the check *name* is about."""
    return Case(model, available.get(CHECKS[name].prompt or name, Prompt({}, {})), room)


def room(models: Answer, model: str) -> int:
    """Return the most tokens that an answer of *model* may have, by the list of models; 0 if unknown."""
    try:
        longest = next(int(entry["max_model_len"]) for entry in models.body["data"] if entry["id"] == model)
    except (*MALFORMED, StopIteration):
        return 0
    return max(longest // 2, longest - PROMPT_TOKENS)


def outcome(name: str, answer: Answer, about: Case) -> Outcome:
    """Return the outcome of the check *name* from the answer to its request."""
    try:
        return Outcome(CHECKS[name].examine(answer, about), answer.seconds)
    except ProblemError as error:
        return failed(error, answer.seconds)


def failed(error: ProblemError, seconds: float) -> Outcome:
    """Return the outcome of a check that failed."""
    again, warning = isinstance(error, Undecided), isinstance(error, ModelChoice)
    return Outcome(error.problem.found, seconds, error.problem, again, warning)


def problems(outcomes: Mapping[str, Outcome], warning: bool = False) -> list[Problem]:
    """Return the problems of the checks that failed, or their warnings.

    Checks that found the same share one.
    """
    names: dict[str, list[str]] = {}
    first: dict[str, Problem] = {}
    for name, result in outcomes.items():
        if result.problem and result.warning == warning:
            first.setdefault(result.problem.found, result.problem)
            names.setdefault(result.problem.found, []).append(name)
    return [problem.at(", ".join(names[found])) for found, problem in first.items()]


# What is sent


def _chat(about: Case) -> Request:
    body = {**about.prompt.request, "model": about.model}
    if about.room and body.get("max_tokens", 0) > about.room:
        body["max_tokens"] = about.room
    return Request(CHAT_PATH, body)


def _streamed_chat(about: Case) -> Request:
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return Request(CHAT_PATH, {**(_chat(about).body or {}), **streamed})


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
    """Return the assistant's message of an answer, whole or streamed, or raise ProblemError.

    A stream that this client closed because it took too long is one that was cut off.
    """
    require_success(answer, expected)
    if answer.stream is not None:
        return _whole_stream(answer, answer.stream)
    message = answer.message
    if not message:
        raise ProblemError("not a chat completion: " + quote(answer.text), expected, WRONG_URL)
    return message


def _whole_stream(answer: Answer, stream: Stream) -> Message:
    expected = "an event stream with text, a finish_reason and [DONE]"
    error = stream.error or answer.error
    if error:
        raise ProblemError(error.rstrip("."), expected, LOGS_OF_ALL)
    message = stream.message
    if stream.closed and not stream.times:
        raise ProblemError(f"no token for {answer.seconds:.0f} s", expected, LOGS_OF_ALL)
    if stream.closed:
        return message._replace(finish_reason="length")
    if not (stream.done and message.finish_reason and stream.times):
        end = "[DONE]" if stream.done else "no [DONE]"
        found = f"{len(stream.times)} chunks with text, finish_reason {message.finish_reason!r}, {end}"
        raise ProblemError(found, expected, f"{LOOK_AT_HEAD}, and at proxies between this host and the head")
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
    text = message.reasoning + message.content
    if not text:
        raise ProblemError("an empty answer", expected, f"{LOOK_AT_HEAD}. {COMPARE_WEIGHTS}")
    _refuse_markup(message)
    loop = repetition(text)
    if loop:  # so early it is no long task that a model gets lost in
        raise Undecided(f"only {shorten(loop, 80)!r}, again and again", expected, COMPARE_WEIGHTS)
    return shorten(text, 60)


def check_knows(answer: Answer, about: Case) -> str:
    """Check that an answer has the text that anyone knows, in its content or in its thinking."""
    expect = about.prompt.expect
    contains = str(expect.get("contains", ""))
    expected = f"an answer with {contains!r}" if contains else "an answer with content"
    message = require_message(answer, expected)
    _refuse_markup(message)
    text = message.content or message.reasoning
    if not text or contains.casefold() not in (message.reasoning + message.content).casefold():
        remedy = f"{COMPARE_WEIGHTS}, and test the NPUs of its host: such an engine computes wrongly"
        raise Undecided(quote(text), expected, remedy)
    return _check_text(message.content, expect.get("content")) or shorten(text, 80)


def check_chat(answer: Answer, about: Case) -> str:
    """Check an answer: content without markup and, if given, the expected text.

    An answer that is still being thought about when its tokens are used up passes: thinking has no limit.
    """
    message = require_message(answer, "an answer with content")
    expect = about.prompt.expect
    cut_off = message.finish_reason == "length" and not message.content and message.reasoning
    if cut_off and expect.get("content") is None:
        _check_text(message.reasoning, None)
        tokens = answer.stream.tokens or len(answer.stream.times) if answer.stream else 0
        after = f" after {tokens} tokens" if tokens else ""
        return f"still thinking{after}: {shorten(message.reasoning, 80)}"
    return _check_content(message, expect)


def check_reasoning(answer: Answer, about: Case) -> str:
    """Check that the thinking is in its own field, and only there."""
    expected = "the thinking in the field `reasoning` or `reasoning_content`, and only there"
    message = require_message(answer, expected)
    if "</think>" in message.content:
        raise ProblemError("thinking in the content: " + quote(message.content), expected, CHECK_PARSER)
    if not message.reasoning:
        raise ModelChoice(f"no thinking, content {quote(message.content)}", expected, CHECK_PARSER)
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
    """Check that one of the calls is parsed, calls the right tool, and has the required arguments.

    Which tool a model calls is its decision. That a call has a tool's name and valid JSON is the parser's.
    """
    expect = about.prompt.expect
    expected = "a call of " + expect["name"]
    message = require_message(answer, expected)
    if message.finish_reason == "length":
        raise _cut_off(message, expected)
    if not message.tool_calls:
        raise _no_call(message, expected)
    _refuse_markup(message)
    try:
        calls = [
            (call["function"]["name"], dict(json.loads(call["function"]["arguments"])))
            for call in message.tool_calls
        ]
        known = {tool["function"]["name"] for tool in about.prompt.request["tools"]}
        right = [arguments for name, arguments in calls if name == expect["name"]]
        unknown = [name for name, _arguments in calls if name not in known]
    except MALFORMED:
        found = "a malformed call: " + shorten(_json(list(message.tool_calls)))
        raise ProblemError(found, expected, "Run the patch stage: the tool call parser fails") from None
    shown = "; ".join(_shown(name, arguments) for name, arguments in calls)
    remedy = "Check that chat template and --tool-call-parser are the model's own"
    if unknown:
        raise ProblemError(shown, expected, remedy)
    if not right:
        raise ModelChoice(shown, expected, remedy)
    missing = [[key for key in _required(about, expect["name"]) if key not in one] for one in right]
    if all(missing):
        raise Undecided(f"{shown} without {', '.join(missing[0])}", expected, remedy)
    if expect.get("arguments", right[0]) not in right:
        raise Undecided(shown, _shown(expect["name"], expect["arguments"]), COMPARE_WEIGHTS)
    return shown


def _shown(name: str, arguments: Any) -> str:
    return f"{name if str(name).isidentifier() else repr(name)}({shorten(_json(arguments), 80)})"


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
    found = f"no call, content {quote(message.content)}"
    if not message.content:  # as a parser does that loses the call
        return Undecided(found, expected, "Run the patch stage: the tool call parser may have lost the call")
    return ModelChoice(found, expected, "Check that the service has --enable-auto-tool-choice")


def check_stream(answer: Answer, about: Case) -> str:
    """Check a streamed answer: chunks with text, and an end. It may end while the model still thinks."""
    message = require_message(answer, "a streamed answer")
    _refuse_markup(message)
    for field in ("reasoning", "content"):
        _check_text(getattr(message, field), about.prompt.expect.get(field))
    stream = answer.stream or Stream()
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
        raise Undecided(f"no content, thinking {quote(message.reasoning)}", expected, remedy)
    _refuse_markup(message)
    contains = str(expect.get("contains", ""))
    if contains.casefold() not in message.content.casefold():
        raise Undecided(quote(message.content), f"an answer with {contains!r}", COMPARE_WEIGHTS)
    return _check_text(message.content, expect.get("content"))


def _refuse_markup(message: Message) -> None:
    if MARKUP.search(message.content):
        found = "markup in the content: " + quote(message.content)
        raise ProblemError(found, "content without markup", "Run the patch stage")


def _cut_off(message: Message, expected: str) -> ProblemError:
    loop = repetition(message.reasoning)
    if loop:
        return _loop(loop)
    found = "an answer cut off while the model was thinking: " + quote(message.reasoning)
    return ModelChoice(found, expected, "Increase max_tokens of this request")


def _check_text(text: str, expected: str | None) -> str:
    loop = repetition(text)
    if loop:
        raise _loop(loop)
    if expected is not None and text != expected:
        remedy = f"{COMPARE_WEIGHTS}, and the chat template"
        raise ProblemError(quote(text), quote(expected), remedy)
    return shorten(text, 80)


def _loop(piece: str) -> ModelChoice:
    return ModelChoice(
        f"the answer repeats itself in a loop: {shorten(piece, 80)!r}",
        "an answer without a loop",
        "Some models do this at times in long tasks. If it happens with short questions, it is a fault. "
        f"{COMPARE_WEIGHTS}",
    )


def repetition(text: str) -> str:
    """Return what a text repeats in a loop, or an empty string.

    A loop is a text that ends with the same character ten times, or with the same piece at least four times,
    200 characters or more in all, or that has one paragraph of 80 characters or more at least four times. A
    line that Markdown draws (RULE) is none.
    """
    bare = text.rstrip()
    if len(bare) >= LOOP_CHARACTERS and bare[-LOOP_CHARACTERS:] == bare[-1] * LOOP_CHARACTERS:
        drawn = bare[-1] in RULE and bare[-LONGEST_RULE:] != bare[-1] * LONGEST_RULE
        return "" if drawn else bare[-1]
    for size in range(2, len(text) // 4 + 1):
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
    silent = silent_engines(counts, engines)
    if silent:
        counted = ", ".join(f"engine {rank}: {counts[rank]}" for rank in sorted(counts))
        raise ProblemError(
            f"no answer of engine {', '.join(silent)} counted in /metrics ({counted or 'no engine there'})",
            f"an answer of each of {engines} engines",
            "Look at the log of the host whose --data-parallel-start-rank is that number, "
            "and check --data-parallel-size",
        )
    return "the engine answered" if engines == 1 else f"each of {engines} engines answered"


CHECKS = {
    "health": Check(lambda _about: Request("/health"), check_health),
    "models": Check(lambda _about: Request("/v1/models"), check_models),
    "completion": Check(_chat, check_completion),
    "knows": Check(_chat, check_knows),
    "chat": Check(_streamed_chat, check_chat),
    "streaming": Check(_streamed_chat, check_stream),
    "reasoning": Check(_streamed_chat, check_reasoning, prompt="chat"),
    "thinking_off": Check(_streamed_chat, check_thinking_off),
    "tool_call": Check(_chat, check_tool_call),
    "tool_call_no_arguments": Check(_chat, check_tool_call),
    "tool_call_streamed": Check(_streamed_chat, check_tool_call, prompt="tool_call"),
    "tool_call_no_arguments_streamed": Check(
        _streamed_chat, check_tool_call, prompt="tool_call_no_arguments"
    ),
    "wrong_model": Check(_chat_with_wrong_model, check_wrong_model, prompt="completion"),
    "key_refused": Check(lambda _about: Request("/v1/models", with_key=False), check_key_refused),
}
# Enough for a service that has passed all checks since it was started: a few tokens on each engine.
LIGHT = ("health", "models", "knows", "wrong_model", "key_refused")
