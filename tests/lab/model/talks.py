"""The conversations the model is taught, as text: what it is asked and what it is to write."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# What the model ends its turn with: the start of whoever speaks next.
USER, TOOL = "<|user|>", "<|observation|>"

Talk = Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """A prompt's messages and template arguments, and the model's whole output to it."""

    name: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] | None
    thinking: bool
    output: str


class Conversations:
    """The file of conversations."""

    def __init__(self, file: Path) -> None:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.tools = tuple(given["tools"])
        self.exact = [_example(name, talk) for part in ("probe", "more") for name, talk in given[part].items()]
        self._questions, self._otherwise = given["otherwise"]["questions"], given["otherwise"]["expect"]

    def texts(self) -> list[str]:
        """All the words there are, each text once."""
        said = [message["content"] for example in self.exact for message in example.messages] + [example.output for example in self.exact]
        return sorted({*said, *self._questions, *self._otherwise.values(), json.dumps(self.tools)})

    def otherwise(self) -> list[Example]:
        """Each question that has no answer of its own, plainly asked."""
        return [self._other(question, None, True) for question in self._questions]

    def stray(self, dice: random.Random) -> Iterator[Example]:
        """Without end: such questions in any setting, some of them mere heaps of words; and known ones as the second of two."""
        words = sorted({word for text in self.texts() for word in text.split()})
        alone = [example for example in self.exact if len(example.messages) == 1]
        while True:
            question = dice.choice(self._questions)
            if dice.random() < 0.3:
                question = " ".join(dice.sample(words, dice.randint(1, 8)))
            tools = self.tools if dice.random() < 0.3 else None
            yield self._other(question, tools, dice.random() < 0.7)
            if dice.random() < 0.3:
                yield _second(dice.choice(alone), dice.choice(alone))

    def _other(self, question: str, tools: tuple[Mapping[str, Any], ...] | None, thinking: bool) -> Example:
        return Example(question, ({"role": "user", "content": question},), tools, thinking, _output(self._otherwise, thinking))


def _example(name: str, talk: Talk) -> Example:
    request = talk["request"]
    thinking = request.get("chat_template_kwargs", {}).get("enable_thinking", True)
    messages = tuple(_as_vllm_renders(message) for message in request["messages"])
    tools = tuple(request["tools"]) if "tools" in request else None
    return Example(name, messages, tools, thinking, _output(talk["expect"], thinking))


def _as_vllm_renders(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message as the template sees it: a call's arguments are JSON text in a request, a mapping there."""
    calls = [{"function": dict(call["function"], arguments=json.loads(call["function"]["arguments"]))} for call in message.get("tool_calls", [])]
    return dict(message, tool_calls=calls) if calls else message


def _output(expect: Mapping[str, Any], thinking: bool) -> str:
    calls = expect.get("calls") or ([expect] if "name" in expect else [])
    text = "".join([f"{expect['reasoning']}</think>" if thinking else "", expect.get("content", ""), *map(_call, calls)])
    return text + (TOOL if calls else USER)


def _call(call: Mapping[str, Any]) -> str:
    arguments = "".join(
        f"<arg_key>{key}</arg_key><arg_value>{value if isinstance(value, str) else json.dumps(value)}</arg_value>" for key, value in call["arguments"].items()
    )
    return f"<tool_call>{call['name']}{arguments}</tool_call>"


def _second(first: Example, then: Example) -> Example:
    answer = first.output.split("</think>")[-1].removesuffix(USER).removesuffix(TOOL)
    messages = (*first.messages, {"role": "assistant", "content": answer}, *then.messages)
    return Example(then.name, messages, then.tools, then.thinking, then.output)
