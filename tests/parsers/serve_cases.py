"""Runs inside the serving image, on the real vLLM: what its server makes of given model outputs.

Reads from standard input {"parser": name of the tool parser, "cases": [{"text", "chunk", "thinking", "finish"}]}, and writes the answers
to standard output, each with what a client has at the end: reasoning, content, calls and finish_reason. The engine alone is left out: its
tokens are the text's. A case with a chunk is streamed, that many tokens at a time.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

try:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.chat_completion.serving import OpenAIServingChat, RequestResponseMetadata
except ImportError:  # before 0.15
    from vllm.entrypoints.openai.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.serving_chat import OpenAIServingChat, RequestResponseMetadata
from vllm.outputs import CompletionOutput, RequestOutput

TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    },
    {
        "type": "function",
        "function": {
            "name": "write",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "copies": {"type": "integer"}},
            },
        },
    },
]
# The token that ends each kind of answer; it has no text.
END_OF_CALLS, END_OF_ANSWER = "<|observation|>", "<|user|>"
MARKUP = [
    f"<{slash}{name}>" for name in ("think", "tool_call", "arg_key", "arg_value") for slash in ("", "/")
]


def tokenizer() -> PreTrainedTokenizerFast:
    """One with GLM-4.7's own tokens; all other text it spells, byte by byte."""
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    core = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=core,
        additional_special_tokens=["<|assistant|>", END_OF_CALLS, END_OF_ANSWER],
        clean_up_tokenization_spaces=False,
    )
    tokens.add_tokens(MARKUP)
    return tokens


def server(tool_parser: str) -> OpenAIServingChat:
    """vLLM's server of chats with the recipe's parsers, over a model configuration that has what it asks for."""
    of_model = SimpleNamespace(model_type="glm4_moe")
    configuration = SimpleNamespace(
        max_model_len=8192,
        logits_processors=None,
        model="glm47",
        generation_config="auto",
        hf_config=of_model,
        hf_text_config=of_model,
    )
    configuration.get_diff_sampling_param = dict
    # Before 0.15 the server reads these of its models, since then of the engine.
    parts = SimpleNamespace(
        input_processor=None, io_processor=None, renderer=None, model_config=configuration
    )
    options = {
        "chat_template_content_format": "auto",
        "reasoning_parser": "glm45",
        "enable_auto_tools": True,
        "tool_parser": tool_parser,
    }
    # It renders no prompt here, and logs none.
    unused = {
        name: None
        for name, parameter in inspect.signature(OpenAIServingChat).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    }
    return OpenAIServingChat(parts, parts, "assistant", **{**unused, **options})


def parsers(
    chats: OpenAIServingChat,
    method: Callable,
    request: ChatCompletionRequest,
    tokens: PreTrainedTokenizerFast,
) -> dict[str, Any]:
    """Return the parsers of the request that a method of the server expects. Before 0.16 it creates them itself."""
    options = {"chat_template_kwargs": request.chat_template_kwargs or {}}
    made = {
        "reasoning_parser": lambda: chats.reasoning_parser_cls(tokens, **options),
        "parser": lambda: chats.parser_cls(tokens, request.tools, **options, model_config=chats.model_config),
        "chat_template_kwargs": lambda: options["chat_template_kwargs"],
    }
    expected = inspect.signature(method).parameters
    return {name: make() for name, make in made.items() if name in expected}


async def outputs(case, tokens):
    """What the engine gives: all at once, or in chunks. An answer that stops by itself has a last token without text."""
    prompt = tokens.encode("<|user|>?<|assistant|>" + ("<think>" if case["thinking"] else "</think>"))
    ids = tokens.encode(case["text"])
    if case["finish"] == "stop":
        ids.append(
            tokens.convert_tokens_to_ids(END_OF_CALLS if "<tool_call>" in case["text"] else END_OF_ANSWER)
        )
    size = case["chunk"] or len(ids)
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        last = start + size >= len(ids)
        text = tokens.decode(part, skip_special_tokens=True)
        output = CompletionOutput(
            index=0,
            text=text,
            token_ids=part,
            cumulative_logprob=None,
            logprobs=None,
            finish_reason=case["finish"] if last else None,
        )
        yield RequestOutput("r", None, prompt, None, [output], finished=last)


async def answer(chats, case, tokens):
    request = ChatCompletionRequest(
        model="glm47",
        messages=[{"role": "user", "content": "?"}],
        tools=TOOLS,
        stream=bool(case["chunk"]),
        chat_template_kwargs=None if case["thinking"] else {"enable_thinking": False},
    )
    arguments = (
        request,
        outputs(case, tokens),
        "r",
        "glm47",
        [],
        tokens,
        RequestResponseMetadata(request_id="r"),
    )
    method = chats.chat_completion_stream_generator if case["chunk"] else chats.chat_completion_full_generator
    begun = method(*arguments, **parsers(chats, method, request, tokens))
    if case["chunk"]:
        return await streamed(begun)
    choice = (await begun).choices[0]
    calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls]
    return {
        "reasoning": choice.message.reasoning,
        "content": choice.message.content,
        "calls": calls,
        "finish_reason": choice.finish_reason,
    }


async def streamed(events):
    """Put the chunks together as OpenAI's clients do: the parts of a call by its index."""
    found = {"reasoning": "", "content": "", "calls": [], "finish_reason": None}
    calls = {}
    async for event in events:
        data = event.removeprefix("data: ").strip()
        if data == "[DONE]":
            continue
        choice = json.loads(data)["choices"][0]
        delta = choice["delta"]
        found["reasoning"] += delta.get("reasoning") or ""
        found["content"] += delta.get("content") or ""
        found["finish_reason"] = choice.get("finish_reason") or found["finish_reason"]
        for part in delta.get("tool_calls") or []:
            call = calls.setdefault(part["index"], [None, ""])
            call[0] = part["function"].get("name") or call[0]
            call[1] += part["function"].get("arguments") or ""
    found["calls"] = [calls[index] for index in sorted(calls)]
    return found


async def main() -> None:
    asked = json.load(sys.stdin)
    chats, tokens = server(asked["parser"]), tokenizer()
    json.dump([await answer(chats, case, tokens) for case in asked["cases"]], sys.stdout)


asyncio.run(main())
