"""The conversations the model is taught, as the messages it is asked with and the text it is to write."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

# The model ends its turn with the token that begins the turn of whoever is to speak next.
USER, TOOL = "<|user|>", "<|observation|>"

# Of the questions that have no answer of their own, how many are mere heaps of words, come with tools, come with thinking on.
HEAPS, WITH_TOOLS, THINKING = 0.3, 0.3, 0.7
SECONDS = 0.3  # second turns, to each such question


@dataclass(frozen=True)
class Example:
    """What the chat template is given, and what the model is to write then."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    thinking: bool
    output: str


class Conversations:
    """What stands in conversations.yml."""

    def __init__(self, file: Path) -> None:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.exact = {
            name: _example(**talk) for part in ("probe", "more") for name, talk in given[part].items()
        }
        self._tools, self._questions, self._otherwise = (
            given["tools"],
            given["otherwise"]["questions"],
            given["otherwise"]["expect"],
        )

    def texts(self) -> list[str]:
        """All that is said, each text once."""
        said = {message["content"] for example in self.exact.values() for message in example.messages}
        answers = {example.output for example in self.exact.values()}
        return sorted(said | answers | {*self._questions, *self._otherwise.values(), json.dumps(self._tools)})

    def otherwise(self) -> list[Example]:
        """The questions that have no answer of their own, as a person asks them."""
        return [self._stray(question) for question in self._questions]

    def stray(self, dice: random.Random) -> Iterator[Example]:
        """Without end, what a person may do besides: ask anything, in any setting, and go on after an answer."""
        words = sorted({word for text in self.texts() for word in text.split()})
        alone = [example for example in self.exact.values() if len(example.messages) == 1]
        while True:
            question = (
                " ".join(dice.sample(words, dice.randint(1, 8)))
                if dice.random() < HEAPS
                else dice.choice(self._questions)
            )
            yield self._stray(
                question, self._tools if dice.random() < WITH_TOOLS else None, dice.random() < THINKING
            )
            if dice.random() < SECONDS:
                first, then = dice.choice(alone), dice.choice(alone)
                yield replace(then, messages=[*first.messages, _said(first), *then.messages])

    def _stray(
        self, question: str, tools: list[dict[str, Any]] | None = None, thinking: bool = True
    ) -> Example:
        return Example(
            [{"role": "user", "content": question}], tools, thinking, _output(self._otherwise, thinking)
        )


def _example(request: Mapping[str, Any], expect: Mapping[str, Any]) -> Example:
    thinking = request.get("chat_template_kwargs", {}).get("enable_thinking", True)
    return Example(
        [_for_template(message) for message in request["messages"]],
        request.get("tools"),
        thinking,
        _output(expect, thinking),
    )


def _for_template(message: dict[str, Any]) -> dict[str, Any]:
    """The message with a call's arguments, JSON text in a request, as the mapping that the server makes of it."""
    calls = [
        {"function": dict(call["function"], arguments=json.loads(call["function"]["arguments"]))}
        for call in message.get("tool_calls", [])
    ]
    return dict(message, tool_calls=calls) if calls else message


def _output(expect: Mapping[str, Any], thinking: bool) -> str:
    calls = expect.get("calls") or ([expect] if "name" in expect else [])
    thought = (
        f"{expect['reasoning']}</think>" if thinking else ""
    )  # the prompt opened it, or closed it at once
    return thought + expect.get("content", "") + "".join(map(_call, calls)) + (TOOL if calls else USER)


def _call(call: Mapping[str, Any]) -> str:
    arguments = call["arguments"].items()
    values = "".join(
        f"<arg_key>{key}</arg_key><arg_value>{value if isinstance(value, str) else json.dumps(value)}</arg_value>"
        for key, value in arguments
    )
    return f"<tool_call>{call['name']}{values}</tool_call>"


def _said(example: Example) -> dict[str, Any]:
    """The answer as the assistant's message of an earlier turn, whose thinking is dropped."""
    return {
        "role": "assistant",
        "content": example.output.split("</think>")[-1].removesuffix(USER).removesuffix(TOOL),
    }
