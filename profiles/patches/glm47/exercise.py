# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of GLM-4.7 through the patched parsers, in the image itself: `exercise.py [repairs]` fails with the first that comes out wrong.

The engine is left out, and the model's tokenizer: the parsers only ask for the numbers of a few tokens.
"""

import json
import re
import sys

from vllm.entrypoints.openai.protocol import ChatCompletionRequest
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}},
    }
    for name, properties in {"get_weather": {"city": "string", "days": "integer"}, "get_time": {}}.items()
]
WEATHER = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>北京</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>"
WANTED_WEATHER = ["get_weather", {"city": "北京", "days": 3}]
TIME, WANTED_TIME = "<tool_call>get_time</tool_call>", ["get_time", {}]


class Tokens:
    """The tokens that the parsers ask for."""

    TEXTS = ("<think>", "</think>", "<tool_call>", "</tool_call>")

    def get_vocab(self):
        return {text: number for number, text in enumerate(self.TEXTS)}


def request(**more):
    return ChatCompletionRequest(model="glm47", messages=[{"role": "user", "content": "?"}], tools=TOOLS, **more)


def whole(text):
    """Return the calls in an answer."""
    found = ToolParserManager.get_tool_parser("glm47")(Tokens()).extract_tool_calls(text, request())
    return [[call.function.name, json.loads(call.function.arguments)] for call in found.tool_calls]


def streamed(text):
    """Return the calls in an answer that comes token by token, put together as clients do."""
    parser, calls, before, ids = ToolParserManager.get_tool_parser("glm47")(Tokens()), {}, "", []
    for token in filter(None, re.split("(" + "|".join(Tokens.TEXTS) + "|.)", text)):
        new = [Tokens.TEXTS.index(token) if token in Tokens.TEXTS else len(Tokens.TEXTS)]
        found = parser.extract_tool_calls_streaming(before, before + token, token, ids, ids + new, new, request(stream=True))
        before, ids = before + token, ids + new
        for part in (found and found.tool_calls) or []:
            call = calls.setdefault(part.index, ["", ""])
            call[0] += part.function.name or ""
            call[1] += part.function.arguments or ""
    return [[name, json.loads(arguments)] for name, arguments in calls.values()]


def thinking(text, on=True):
    """Return reasoning and content of an answer."""
    arguments = {} if on else {"chat_template_kwargs": {"enable_thinking": False}}
    parser = ReasoningParserManager.get_reasoning_parser("glm45")(Tokens(), **arguments)
    return [part or "" for part in parser.extract_reasoning(text, request())]


def cases(repairs):
    """Yield what was asked, what came out and what is wanted."""
    yield "reasoning and content", thinking("a</think>b"), ["a", "b"]
    yield "an answer cut within the thinking", thinking("a"), ["a", ""]
    yield "thinking switched off", thinking("b", on=False), ["", "b"]
    yield "a tool call", whole(WEATHER), [WANTED_WEATHER]
    if repairs:
        yield "a tool call without arguments", whole(TIME), [WANTED_TIME]
        yield "tool calls in a stream", streamed(WEATHER + TIME), [WANTED_WEATHER, WANTED_TIME]


for name, found, wanted in cases("repairs" in sys.argv[1:]):
    if found != wanted:
        sys.exit(f"{name}: found {found}, wanted {wanted}")
print("all answers came out as wanted")
