# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint of the running lab, behind an API key, as its users meet it: with the OpenAI client and with curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from lab import INVENTORY, NET, STATE, site
from openai import AuthenticationError, OpenAI

URL, MODEL, KEY = f"http://{NET}.10:8080/v1", "glm47", "a-key-of-the-lab"
TAUGHT = json.loads((STATE / "probe.json").read_text(encoding="utf-8"))["vllm_probe"]
HEADERS = ("-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json")


@pytest.fixture(scope="module", autouse=True, name="output")
def output_of_the_run_that_sets_the_key() -> str:
    """Start the service with the key, which the next run of site.yml removes."""
    return site(*INVENTORY, "-e", f"vllm_api_key={KEY}").succeeded()


def openai(key: str) -> OpenAI:
    return OpenAI(base_url=URL, api_key=key, max_retries=0, timeout=120)


@pytest.fixture(name="client")
def openai_client() -> Iterator[OpenAI]:
    with openai(KEY) as client:
        yield client


def taught(name: str) -> tuple[dict, dict]:
    """What the OpenAI client is to ask, and what the lab's model was taught to answer."""
    return {"model": MODEL, **TAUGHT[name]["request"]}, TAUGHT[name]["expect"]


def curl(*arguments: str) -> tuple[int, str]:
    """Run curl; return the status of the answer and its body."""
    run = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "120", "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _newline, status = run.stdout.rpartition("\n")
    return int(status), body


def body(request: dict) -> str:
    return json.dumps(request, ensure_ascii=False)


def test_openai_lists_the_model(client):
    assert [model.id for model in client.models.list()] == [MODEL]


def test_openai_chats(client):
    request, expected = taught("chat")
    choice = client.chat.completions.create(**request).choices[0]
    assert choice.message.content.strip() == expected["content"]
    assert choice.message.reasoning_content.strip() == expected["reasoning"]
    assert choice.finish_reason == "stop"


def test_openai_streams(client):
    request, expected = taught("streaming")
    deltas = [
        chunk.choices[0].delta
        for chunk in client.chat.completions.create(**request, stream=True)
        if chunk.choices
    ]
    parts = [delta.content for delta in deltas if delta.content]
    assert len(parts) > 1
    assert "".join(parts).strip() == expected["content"]
    assert (
        "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas).strip()
        == expected["reasoning"]
    )


def test_openai_calls_a_tool(client):
    request, expected = taught("tool_call")
    choice = client.chat.completions.create(**request).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        expected["name"],
        expected["arguments"],
    )


def test_openai_streams_a_tool_call(client):
    request, expected = taught("tool_call")
    calls = [
        call.function
        for chunk in client.chat.completions.create(**request, stream=True)
        for choice in chunk.choices
        for call in choice.delta.tool_calls or []
    ]
    assert [call.name for call in calls if call.name] == [expected["name"]]
    assert json.loads("".join(call.arguments or "" for call in calls)) == expected["arguments"]


def test_curl_chats():
    request, expected = taught("chat")
    status, answer = curl(f"{URL}/chat/completions", *HEADERS, "-d", body(request))
    assert status == 200
    assert json.loads(answer)["choices"][0]["message"]["content"].strip() == expected["content"]


def test_curl_streams():
    request, expected = taught("streaming")
    status, answer = curl(
        "--no-buffer", f"{URL}/chat/completions", *HEADERS, "-d", body({**request, "stream": True})
    )
    events = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: ")]
    assert (status, events[-1]) == (200, "[DONE]")
    deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas).strip() == expected["content"]


def test_curl_is_told_what_is_wrong():
    status, answer = curl(
        f"{URL}/chat/completions", *HEADERS, "-d", body({"model": "another", "messages": []})
    )
    assert status == 404
    assert "another" in json.loads(answer)["error"]["message"]


def test_the_key_is_not_shown(output):
    assert KEY not in output


@pytest.mark.parametrize("key", ["wrong", KEY + "x"])
def test_a_wrong_key_is_refused(key):
    with openai(key) as client, pytest.raises(AuthenticationError):
        client.chat.completions.create(**taught("chat")[0])


def test_no_key_is_refused():
    assert curl(f"{URL}/models")[0] == 401
