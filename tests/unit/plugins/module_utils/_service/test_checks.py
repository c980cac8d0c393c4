# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Answer, Stream, Verdict
from hypothesis import given
from hypothesis import strategies as st

METRICS = (Path(__file__).parents[2] / "fixtures" / "metrics.txt").read_text(encoding="utf-8")
TALKS = checks.conversations({})
REFUSED = Answer(0, "", 0.1, "connection refused")
PARAGRAPH = "Then I read the file again, and the function is still not where I had expected it to be, so I read it once more."


def answer(status: int = 200, **body: Any) -> Answer:
    return Answer(status, json.dumps(body), 0.1)


def chat(content: str | None = "I am GLM.", finish_reason: str = "stop", **message: Any) -> Answer:
    return answer(choices=[{"message": dict(message, content=content), "finish_reason": finish_reason}])


def call(name: str, arguments: str, content: str | None = None) -> Answer:
    return chat(
        content,
        "tool_calls",
        tool_calls=[{"type": "function", "function": {"name": name, "arguments": arguments}}],
    )


def judge(name: str, given: Answer, **expect: Any) -> Verdict:
    return checks.judge(
        name, given, "glm47", checks.conversations({name: {"expect": expect}} if expect else {})
    )


def text_of(verdict: Verdict) -> str:
    """Return a failure as it is reported."""
    assert not verdict.ok
    (text,) = checks.report({"check": verdict})
    return text


# What is sent


def test_given_keys_replace_default_ones():
    talks = checks.conversations({"chat": {"request": {"max_tokens": 64}, "expect": {"content": "hi"}}})
    assert talks["chat"].request == dict(TALKS["chat"].request, max_tokens=64)
    assert talks["chat"].expect == {"content": "hi"}
    assert talks["tool_call"] == TALKS["tool_call"]


WRONG_CONVERSATIONS = [
    ({"chatt": {}}, "chatt"),
    ({"chat": []}, "chat"),
    ({"chat": {"messages": []}}, "messages"),
    ({"tool_call": {"request": {}, "expect": "get_time"}}, "get_time"),
]


@pytest.mark.parametrize(("conversations", "named"), WRONG_CONVERSATIONS)
def test_wrong_conversations_are_named(conversations: dict[str, Any], named: str):
    (error,) = checks.conversation_errors(conversations)
    assert named in error


def test_right_conversations_are_accepted():
    assert (
        checks.conversation_errors(
            {"chat": {"request": {"max_tokens": 5}}, "tool_call": {"expect": {"name": "f"}}}
        )
        == []
    )


@pytest.mark.parametrize(
    "name",
    ["chat", "reasoning", "thinking_off", "tool_call", "tool_call_no_arguments", "completion", "streaming"],
)
def test_a_conversation_goes_to_the_model(name: str):
    sent = checks.request(name, "glm47", TALKS)
    assert sent.path == "/v1/chat/completions"
    assert sent.body["model"] == "glm47"
    assert sent.body["temperature"] == 0
    assert sent.body.get("stream", False) == (name == "streaming")


def test_requests_that_are_no_conversation():
    assert checks.request("health", "glm47", TALKS).path == "/health"
    assert checks.request("models", "glm47", TALKS).path == "/v1/models"
    assert not checks.request("key_refused", "glm47", TALKS).with_key
    assert checks.request("wrong_model", "glm47", TALKS).body["model"] != "glm47"


# What the answers prove


@pytest.mark.parametrize("name", sorted(set(checks.CHECKS) - {"completion", "streaming"}))
def test_no_answer_fails_every_check(name: str):
    assert REFUSED.error in text_of(judge(name, REFUSED))


@pytest.mark.parametrize("name", sorted(set(checks.CHECKS) - {"health", "completion", "streaming"}))
@pytest.mark.parametrize(
    "text",
    [
        "<html>proxy</html>",
        "[]",
        "null",
        '{"choices": []}',
        '{"choices": [{"message": null}]}',
        '{"data": [1]}',
        "",
    ],
)
def test_garbage_fails_every_check(name: str, text: str):
    assert not judge(name, Answer(200, text, 0.1)).ok


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_judged_without_an_exception(body: Any):
    given = answer(choices=[{"message": body, "finish_reason": body}], data=body, error=body)
    checks.judge_engines([given], {"0": 1}, 1)
    for name in set(checks.CHECKS) - {"completion", "streaming"}:
        judge(name, given)


@given(st.text())
def test_any_stream_is_judged_without_an_exception(text: str):
    checks.judge_stream(answer(), stream(["data: " + text, text]), {})


def test_an_error_is_quoted():
    verdict = judge("chat", answer(500, error={"message": "EngineCore encountered an issue.", "code": 500}))
    assert all(part in text_of(verdict) for part in ("500", "EngineCore encountered an issue."))


def test_a_wanted_key_is_the_remedy():
    assert "api_key" in text_of(judge("models", answer(401, error="Unauthorized")))


def test_models():
    listed = answer(object="list", data=[{"id": "glm47", "max_model_len": 8192}])
    right = judge("models", listed)
    assert right.ok
    assert "8192" in right.found
    wrong = text_of(checks.judge("models", listed, "glm-4.7", TALKS))
    assert "glm47" in wrong
    assert "glm-4.7" in wrong


def test_chat():
    assert judge("chat", chat()).ok
    assert judge("chat", chat("I am GLM."), content="I am GLM.").ok


WRONG_CHATS = {
    "nothing": chat(""),
    "thinking alone": chat(None, reasoning="Who am I?"),
    "cut off while thinking": chat(None, "length", reasoning="Who am I?"),
    "thinking in the content": chat("Who am I?</think>I am GLM."),
    "a loop": chat("ha " * 100),
    "a loop in the thinking": chat(None, "length", reasoning="Wait. " * 50),
}


@pytest.mark.parametrize("given", WRONG_CHATS.values(), ids=WRONG_CHATS)
def test_a_wrong_chat(given: Answer):
    assert not judge("chat", given).ok


def test_another_text_than_expected():
    text = text_of(judge("chat", chat("I am someone."), content="I am GLM."))
    assert "'I am someone.'" in text
    assert "'I am GLM.'" in text


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_in_a_field_of_its_own(field: str):
    assert judge("reasoning", chat(**{field: "Who am I?"}), reasoning="Who am I?").ok


@pytest.mark.parametrize("content", ["Who am I?</think>I am GLM.", "I am GLM."])
def test_thinking_not_in_its_field(content: str):
    assert not judge("reasoning", chat(content)).ok


def test_thinking_off():
    assert judge("thinking_off", chat()).ok
    assert "Who am I?" in text_of(judge("thinking_off", chat(reasoning="Who am I?")))
    assert not judge("thinking_off", chat("")).ok


def test_a_tool_call():
    assert judge("tool_call", call("get_weather", '{"city": "Oslo"}')) == Verdict(
        True, 'get_weather({"city": "Oslo"})'
    )
    assert judge("tool_call", call("get_weather", '{"city": "Oslo"}'), arguments={"city": "Oslo"}).ok
    assert judge("tool_call_no_arguments", call("get_time", "{}")).ok


UNPARSED_CALL = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>"
WRONG_CALLS = {
    "a call that is not parsed": (chat(UNPARSED_CALL), UNPARSED_CALL),
    "no call": (chat("It is sunny."), "It is sunny."),
    "cut off": (chat(None, "length", reasoning="I should"), "max_tokens"),
    "arguments that end early": (call("get_weather", '{"city": '), "city"),
    "arguments that are no object": (call("get_weather", '"Oslo"'), "Oslo"),
    "an argument missing": (call("get_weather", "{}"), "city"),
    "a name with a line break": (call("get_weather\n", '{"city": "Oslo"}'), "get_weather\n"),
    "another function": (call("get_time", '{"city": "Oslo"}'), "get_time"),
}


@pytest.mark.parametrize(("given", "named"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_tool_call(given: Answer, named: str):
    assert named in text_of(judge("tool_call", given))


def test_other_arguments_than_expected():
    assert not judge("tool_call", call("get_weather", '{"city": "Bergen"}'), arguments={"city": "Oslo"}).ok


def test_refusals():
    missing = {"message": "The model `glm47-not-there` does not exist.", "type": "NotFoundError", "code": 404}
    assert judge("wrong_model", answer(404, error=missing)).ok
    assert judge("key_refused", answer(401, error="Unauthorized")).ok
    assert not judge("key_refused", answer(200, data=[])).ok
    assert not judge("wrong_model", chat()).ok
    assert not judge("wrong_model", answer(500, error={})).ok


# Engines


def test_engine_counts_are_of_answered_requests():
    assert checks.engine_counts(METRICS) == {"0": 2, "1": 2}


@given(st.text())
def test_engine_counts_of_any_text(text: str):
    checks.engine_counts(text)


def test_every_engine_has_to_answer():
    answers = [chat(), chat()]
    assert checks.judge_engines(answers, {"0": 1, "1": 3}, 2).ok
    assert "engine 1" in text_of(checks.judge_engines(answers, {"0": 2, "1": 0}, 2))
    assert not checks.judge_engines(answers, {"0": 2}, 2).ok
    assert not checks.judge_engines(answers, {}, 2).ok


def test_a_failed_answer_of_one_engine_is_the_finding():
    assert REFUSED.error in text_of(checks.judge_engines([chat(), REFUSED], {"0": 1, "1": 1}, 2))
    assert not checks.judge_engines([chat(""), chat()], {"0": 1, "1": 1}, 2).ok


# Streams


def chunk(finish_reason: str | None = None, **delta: Any) -> str:
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish_reason}]})


WHOLE = [
    chunk(role="assistant", content=""),
    "",
    chunk(reasoning="Who ", reasoning_content="Who "),
    chunk(reasoning="am I?", reasoning_content="am I?"),
    chunk(content="I am "),
    chunk("stop", content="GLM."),
    'data: {"choices": [], "usage": {"completion_tokens": 7}}',
    "data: [DONE]",
]


def stream(lines: list[str]) -> Stream:
    read = Stream()
    for number, line in enumerate(lines):
        read.feed(line, float(number))
    return read


def test_a_stream_is_put_together_and_measured():
    read = stream(WHOLE)
    assert read.message == checks.Message("Who am I?", "I am GLM.", [], "stop")
    assert read.figures() == {"ttft": 2.0, "tokens_per_second": 2.0, "gap_p50": 1.0, "gap_p99": 1.0}
    assert checks.judge_stream(answer(), read, {}).ok
    assert checks.judge_stream(answer(), read, {"reasoning": "Who am I?", "content": "I am GLM."}).ok
    assert not checks.judge_stream(answer(), read, {"content": "I am someone."}).ok


WRONG_STREAMS = {
    "nothing": ([], "0"),
    "no end": (WHOLE[:-1], "[DONE]"),
    "no pieces": ([WHOLE[0], *WHOLE[-2:]], "0"),
    "an error": (
        [*WHOLE[:3], 'data: {"error": {"message": "EngineCore failed.", "code": 400}}', "data: [DONE]"],
        "EngineCore failed.",
    ),
    "broken JSON": ([*WHOLE[:3], "data: {", *WHOLE[3:]], "{"),
    "a list": ([*WHOLE[:3], "data: []", *WHOLE[3:]], "[]"),
    "a choice that is none": (['data: {"choices": [null]}'], '{"choices": [null]}'),
}


@pytest.mark.parametrize(("lines", "named"), WRONG_STREAMS.values(), ids=WRONG_STREAMS)
def test_a_wrong_stream(lines: list[str], named: str):
    assert named in text_of(checks.judge_stream(answer(), stream(lines), {}))


def test_a_stream_that_breaks_off():
    reset = Answer(200, "", 1, "connection reset")
    assert reset.error in text_of(checks.judge_stream(reset, stream(WHOLE[:4]), {}))
    assert REFUSED.error in text_of(checks.judge_stream(REFUSED, stream([]), {}))


def test_the_body_of_a_refused_stream_is_quoted():
    read = stream(['{"error": {"message": "no such model"}}'])
    text = text_of(checks.judge_stream(Answer(404, read.rest, 0.1), read, {}))
    assert "404" in text
    assert "no such model" in text


def test_figures_of_nothing():
    assert set(stream([]).figures().values()) == {None}


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (75, 3.0), (99, 4.0), (0, 1.0)])
def test_percentile(percent: float, value: float):
    assert checks.percentile([4.0, 1.0, 3.0, 2.0], percent) == value


# Loops


@pytest.mark.parametrize(
    "text",
    [
        "Let me see. " * 20,
        "Well: " + "ha" * 100,
        f"Start. {PARAGRAPH * 4}",
        "\n\n".join([PARAGRAPH, "So.", PARAGRAPH, "Or.", PARAGRAPH, "But.", PARAGRAPH, "End."]),
    ],
)
def test_a_loop_is_seen(text: str):
    assert checks.repetition(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No.",
        "ha ha ha",
        "我是GLM-4.7。" * 3,
        PARAGRAPH * 2,
        "word " + " " * 400,
        " ".join(str(n) for n in range(500)),
    ],
)
def test_no_loop_is_seen(text: str):
    assert not checks.repetition(text)


# Report


def test_all_failures_are_reported_and_common_ones_once():
    lines = checks.report(
        {
            "health": Verdict(True, "HTTP status 200"),
            "chat": Verdict(False, "connection refused", "content", "Start it."),
            "tool_call": Verdict(False, "connection refused", "a call", "Start it."),
            "models": Verdict(False, "the models a", "the model b", "Correct it."),
        }
    )
    both, other = lines
    assert all(part in both for part in ("chat", "tool_call", "connection refused", "Start it."))
    assert all(part in other for part in ("models", "the models a", "the model b", "Correct it."))


def test_shorten():
    assert checks.shorten("a\n  b") == "a b"
    assert checks.shorten("x" * 300, 10) == "xxxxxxx..."


def test_golden_messages(golden):
    listed = answer(object="list", data=[{"id": "glm47", "max_model_len": 8192}])
    verdicts = {
        "no connection": judge("chat", REFUSED),
        "an error of the server": judge("chat", answer(500, error={"message": "EngineCore failed."})),
        "no JSON": judge("chat", Answer(200, "<html>proxy</html>", 0.1)),
        "a key missing": judge("models", answer(401, error="Unauthorized")),
        "another model": checks.judge("models", listed, "glm-4.7", TALKS),
        "no models": judge("models", answer(data=[])),
        **{f"chat: {name}": judge("chat", given) for name, given in WRONG_CHATS.items()},
        "chat: another text": judge("chat", chat("I am someone."), content="I am GLM."),
        "completion: nothing": checks.judge_completion(chat("")),
        "reasoning: in the content": judge("reasoning", chat("Who am I?</think>I am GLM.")),
        "reasoning: none": judge("reasoning", chat("I am GLM.")),
        "thinking_off: thinking": judge("thinking_off", chat(reasoning="Who am I?")),
        **{f"tool_call: {name}": judge("tool_call", given) for name, (given, _name) in WRONG_CALLS.items()},
        "wrong_model: an answer": judge("wrong_model", chat()),
        "key_refused: an answer": judge("key_refused", answer(200, data=[])),
        "engines: one is silent": checks.judge_engines([chat(), chat()], {"0": 2, "1": 0}, 2),
        "engines: an empty answer": checks.judge_engines([chat(""), chat()], {"0": 1, "1": 1}, 2),
    }
    for name, (lines, _named) in WRONG_STREAMS.items():
        verdicts[f"streaming: {name}"] = checks.judge_stream(answer(), stream(lines), {})
    texts = {name: text_of(verdict) for name, verdict in verdicts.items()}
    for conversations, named in WRONG_CONVERSATIONS:
        (texts[f"vllm_probe: {named}"],) = checks.conversation_errors(conversations)
    golden("endpoint", texts)
