# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoke test of the patched parsers, run inside the image: `smoke_test.py [fixes]`.

It fails with the first wrong result. It needs neither the engine nor the model's tokenizer: the parsers only look up the ids of a few tokens.
"""

import inspect
import json
import re
import sys

try:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
except ImportError:  # below 0.15
    from vllm.entrypoints.openai.protocol import ChatCompletionRequest
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager


def tool(name, **properties):
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("get_weather", city="string", days="integer"), tool("get_time")]
WEATHER = (
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>北京</arg_value>"
    "<arg_key>days</arg_key><arg_value>3</arg_value></tool_call>"
)
WEATHER_CALL = ["get_weather", {"city": "北京", "days": 3}]
TIME, TIME_CALL = "<tool_call>get_time</tool_call>", ["get_time", {}]


class Tokenizer:
    """The tokens that the parsers look up."""

    TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>")

    def get_vocab(self):
        return {token: number for number, token in enumerate(self.TOKENS)}


def request(**options):
    messages = [{"role": "user", "content": "?"}]
    return ChatCompletionRequest(model="glm47", messages=messages, tools=TOOLS, **options)


def tool_parser():
    parser = ToolParserManager.get_tool_parser("glm47")
    if "tools" in inspect.signature(parser).parameters:  # newer releases read types of arguments there
        return parser(Tokenizer(), request().tools)
    return parser(Tokenizer())


def parsed(arguments):
    """Return arguments; as text if they are no JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def calls(text):
    """Return the tool calls in a complete answer."""
    result = tool_parser().extract_tool_calls(text, request())
    return [[call.function.name, parsed(call.function.arguments)] for call in result.tool_calls]


def streamed_calls(text, size):
    """Return the tool calls in an answer that is streamed in chunks of so many tokens, assembled as clients do."""
    parser, assembled, before, ids = tool_parser(), {}, "", []
    answer = list(filter(None, re.split("(" + "|".join(Tokenizer.TOKENS) + "|.)", text)))
    for start in range(0, len(answer), size):
        part = answer[start : start + size]
        new = [Tokenizer().get_vocab().get(token, len(Tokenizer.TOKENS)) for token in part]
        texts, tokens = (before, before + "".join(part), "".join(part)), (ids, ids + new, new)
        delta = parser.extract_tool_calls_streaming(*texts, *tokens, request(stream=True))
        before, ids = texts[1], tokens[1]
        for part in (delta and delta.tool_calls) or []:
            call = assembled.setdefault(part.index, ["", ""])
            call[0] += part.function.name or ""
            call[1] += part.function.arguments or ""
    return [[name, parsed(arguments)] for name, arguments in assembled.values()]


def thinking(text, enabled=True):
    """Return reasoning and content of an answer."""
    options = {} if enabled else {"chat_template_kwargs": {"enable_thinking": False}}
    parser = ReasoningParserManager.get_reasoning_parser("glm45")(Tokenizer(), **options)
    return [part or "" for part in parser.extract_reasoning(text, request())]


def cases(fixes):
    """Yield name, result and expected result of each case."""
    yield "reasoning and content", thinking("a</think>b"), ["a", "b"]
    yield "an answer that ends within the thinking", thinking("a"), ["a", ""]
    yield "thinking disabled", thinking("b", enabled=False), ["", "b"]
    yield "a tool call", calls(WEATHER), [WEATHER_CALL]
    if fixes:
        yield "a tool call without arguments", calls(TIME), [TIME_CALL]
        for size in (1, 2, 7, 1000):
            found = streamed_calls(WEATHER + TIME, size)
            yield f"tool calls, streamed in chunks of {size}", found, [WEATHER_CALL, TIME_CALL]


for name, found, expected in cases("fixes" in sys.argv[1:]):
    if found != expected:
        sys.exit(f"{name}: found {found}, expected {expected}")
print("All answers were parsed as expected.")
