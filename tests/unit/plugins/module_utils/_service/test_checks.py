# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import api, checks, metrics
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer, Message, Stream
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Outcome
from hypothesis import given
from hypothesis import strategies as st

METRICS = (Path(__file__).parents[2] / "fixtures" / "metrics.txt").read_text(encoding="utf-8")
PROMPTS = checks.prompts({})
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


def check(name: str, given: Answer, model: str = "glm47", **expect: Any) -> Outcome:
    given_prompts = {checks.CHECKS[name].prompt or name: {"expect": expect}} if expect else {}
    return checks.outcome(name, given, checks.case(name, model, checks.prompts(given_prompts)))


def request(name: str) -> api.Request:
    return checks.CHECKS[name].request(checks.case(name, "glm47", PROMPTS))


def passes(outcome: Outcome) -> bool:
    return outcome.problem is None


def text_of(outcome: Outcome) -> str:
    """Return a failure as it is reported."""
    (problem,) = checks.problems({"check": outcome}, outcome.warning)
    return problem.line()


# What is sent


def test_given_keys_replace_default_ones():
    prompts = checks.prompts({"chat": {"request": {"max_tokens": 64}, "expect": {"content": "hi"}}})
    assert prompts["chat"].request == dict(PROMPTS["chat"].request, max_tokens=64)
    assert prompts["chat"].expect == {"content": "hi"}
    assert prompts["tool_call"] == PROMPTS["tool_call"]


WRONG_PROMPTS = [
    ({"chatt": {}}, "chatt"),
    ({"chat": []}, "chat"),
    ({"chat": {"messages": []}}, "messages"),
    ({"tool_call": {"request": {}, "expect": "get_time"}}, "get_time"),
]


@pytest.mark.parametrize(
    ("prompts", "named"), [*WRONG_PROMPTS, ({"chat": {"request": {}, "requests": {}}}, "requests")]
)
def test_wrong_prompts_are_named(prompts: dict[str, Any], named: str):
    (error,) = checks.prompt_errors(prompts)
    assert named in error


def test_right_prompts_are_accepted():
    assert (
        checks.prompt_errors({"chat": {"request": {"max_tokens": 5}}, "tool_call": {"expect": {"name": "f"}}})
        == []
    )


STREAMED = [
    "chat",
    "reasoning",
    "streaming",
    "thinking_off",
    "tool_call_streamed",
    "tool_call_no_arguments_streamed",
]


@pytest.mark.parametrize("name", [*STREAMED, "tool_call", "tool_call_no_arguments", "completion", "knows"])
def test_a_prompt_goes_to_the_model(name: str):
    sent = request(name)
    assert sent.path == "/v1/chat/completions"
    assert sent.body["model"] == "glm47"
    assert "temperature" not in sent.body
    assert sent.body.get("stream", False) == (name in STREAMED)
    counted = (sent.body.get("stream_options") or {}).get("include_usage", False)  # or no tokens per second
    assert counted == (name in STREAMED)


def test_other_messages_drop_the_known_answer():
    given = {"knows": {"request": {"messages": []}}}
    assert checks.prompts(given)["knows"].expect == {}
    given["knows"]["expect"] = {"contains": "Oslo"}
    assert checks.prompts(given)["knows"].expect == {"contains": "Oslo"}


@pytest.mark.parametrize(("served", "sent"), [(8192, 4096), (4096, 3072), (1024, 512), (None, 4096)])
def test_an_answer_fits_in_the_served_length(served: int | None, sent: int):
    models = answer(data=[{"id": "glm47", "max_model_len": served}])
    about = checks.case("chat", "glm47", PROMPTS, checks.room(models, "glm47"))
    assert checks.CHECKS["chat"].request(about).body["max_tokens"] == sent


def test_requests_without_a_prompt():
    assert request("health").path == "/health"
    assert request("models").path == "/v1/models"
    assert not request("key_refused").with_key
    assert request("wrong_model").body["model"] != "glm47"


# What the answers prove


@pytest.mark.parametrize("name", sorted(set(checks.CHECKS) - {"streaming"}))
def test_no_answer_fails_every_check(name: str):
    assert REFUSED.error in text_of(check(name, REFUSED))


@pytest.mark.parametrize("name", sorted(set(checks.CHECKS) - {"health", "streaming"}))
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
    assert not passes(check(name, Answer(200, text, 0.1)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_checked_without_an_exception(body: Any):
    given = answer(choices=[{"message": body, "finish_reason": body}], data=body, error=body)
    for name in set(checks.CHECKS) - {"streaming"}:
        check(name, given)


@given(st.text())
def test_any_stream_is_checked_without_an_exception(text: str):
    check("streaming", streamed(["data: " + text, text]))


def test_an_error_is_quoted():
    outcome = check("chat", answer(500, error={"message": "EngineCore encountered an issue.", "code": 500}))
    assert all(part in text_of(outcome) for part in ("500", "EngineCore encountered an issue."))


def test_a_wanted_key_is_the_remedy():
    assert "api_key" in text_of(check("models", answer(401, error="Unauthorized")))


def test_models():
    listed = answer(object="list", data=[{"id": "glm47", "max_model_len": 8192}])
    right = check("models", listed)
    assert passes(right)
    assert "8192" in right.detail
    wrong = text_of(check("models", listed, model="glm-4.7"))
    assert "glm47" in wrong
    assert "glm-4.7" in wrong


def test_chat():
    assert passes(check("chat", chat()))
    assert passes(check("chat", chat("I am GLM."), content="I am GLM."))


WRONG_CHATS = {
    "nothing": chat(""),
    "thinking alone": chat(None, reasoning="Who am I?"),
    "thinking in the content": chat("Who am I?</think>I am GLM."),
    "a loop": chat("ha " * 100),
    "a loop in the thinking": chat(None, "length", reasoning="Wait. " * 50),
    "one character": chat("!" * 10),
}


@pytest.mark.parametrize("given", WRONG_CHATS.values(), ids=WRONG_CHATS)
def test_a_wrong_chat(given: Answer):
    assert not passes(check("chat", given))


@pytest.mark.parametrize(
    ("name", "given", "detail"),
    [
        ("health", answer(), "HTTP status 200"),
        ("models", answer(data=[{"id": "glm47", "max_model_len": 8192}]), "glm47, up to 8192 tokens"),
        ("completion", chat("I am GLM."), "I am GLM."),
        ("knows", chat("Paris"), "Paris"),
        ("knows", chat(None, "length", reasoning="It is Paris."), "It is Paris."),
        ("chat", chat("I am GLM."), "I am GLM."),
        ("chat", chat(None, "length", reasoning="Who am I?"), "still thinking: Who am I?"),
        ("reasoning", chat(reasoning="Who am I?"), "Who am I?"),
        ("thinking_off", chat("I am GLM."), "I am GLM."),
        ("tool_call", call("get_weather", '{"city": "Oslo"}'), 'get_weather({"city": "Oslo"})'),
        ("wrong_model", answer(404, error={"message": "no such model"}), "HTTP status 404: no such model"),
    ],
)
def test_a_check_that_passes_tells_what_the_answer_shows(name: str, given: Answer, detail: str):
    assert check(name, given) == Outcome(detail, 0.1)


def test_long_thinking_passes_unless_a_text_is_expected():
    given = chat(None, "length", reasoning="Who am I?")
    assert passes(check("chat", given))
    assert not passes(check("chat", given, content="I am GLM."))


@pytest.mark.parametrize(
    ("name", "given", "warning"),
    [
        ("chat", chat("ha " * 100), True),
        ("reasoning", chat(), True),
        ("tool_call", chat("It is sunny."), True),
        ("knows", chat("Oslo"), False),
        ("completion", chat("!" * 10), False),
        ("tool_call", chat(""), False),
    ],
)
def test_what_is_tried_again_and_what_is_a_warning_then(name: str, given: Answer, warning: bool):
    outcome = check(name, given)
    assert (outcome.again, outcome.warning) == (True, warning)
    assert len(checks.problems({name: outcome}, warning)) == 1
    assert checks.problems({name: outcome}, not warning) == []


@pytest.mark.parametrize("content", ["Paris", "paris.", "It is **PARIS**"])
def test_a_known_answer(content: str):
    assert passes(check("knows", chat(content)))
    assert passes(check("knows", chat(None, "length", reasoning=f"The user asks ... {content}")))


def test_another_text_than_expected():
    text = text_of(check("chat", chat("I am someone."), content="I am GLM."))
    assert "'I am someone.'" in text
    assert "'I am GLM.'" in text


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_in_a_field_of_its_own(field: str):
    assert passes(check("reasoning", chat(**{field: "Who am I?"}), reasoning="Who am I?"))


@pytest.mark.parametrize("content", ["Who am I?</think>I am GLM.", "I am GLM."])
def test_thinking_not_in_its_field(content: str):
    assert not passes(check("reasoning", chat(content)))


def test_thinking_off():
    assert passes(check("thinking_off", chat()))
    assert "Who am I?" in text_of(check("thinking_off", chat(reasoning="Who am I?")))
    assert not passes(check("thinking_off", chat("")))


def test_a_tool_call():
    right = check("tool_call", call("get_weather", '{"city": "Oslo"}'))
    assert right == Outcome('get_weather({"city": "Oslo"})', 0.1)
    assert passes(check("tool_call", call("get_weather", '{"city": "Oslo"}'), arguments={"city": "Oslo"}))
    assert passes(check("tool_call_no_arguments", call("get_time", "{}")))
    assert passes(check("tool_call_no_arguments", call("get_time", '{"timezone": "UTC"}')))


UNPARSED_CALL = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>"
WRONG_CALLS = {
    "a call that is not parsed": (chat(UNPARSED_CALL), UNPARSED_CALL),
    "no call": (chat("It is sunny."), "It is sunny."),
    "cut off": (chat(None, "length", reasoning="I should"), "max_tokens"),
    "the call lost": (chat(None, reasoning="I call it."), "''"),
    "arguments that end early": (call("get_weather", '{"city": '), "city"),
    "arguments that are no object": (call("get_weather", '"Oslo"'), "Oslo"),
    "an argument missing": (call("get_weather", "{}"), "city"),
    "an argument of another name": (call("get_weather", '{"城市": "奥斯陆"}'), '{"城市": "奥斯陆"}'),
    "a name with a line break": (call("get_weather\n", '{"city": "Oslo"}'), r"get_weather\n"),
    "another function": (call("get_time", '{"city": "Oslo"}'), "get_time"),
}


@pytest.mark.parametrize(("given", "named"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_tool_call(given: Answer, named: str):
    assert named in text_of(check("tool_call", given))


def test_other_arguments_than_expected():
    assert not passes(
        check("tool_call", call("get_weather", '{"city": "Bergen"}'), arguments={"city": "Oslo"})
    )


def test_refusals():
    missing = {"message": "The model `glm47-not-there` does not exist.", "type": "NotFoundError", "code": 404}
    assert passes(check("wrong_model", answer(404, error=missing)))
    assert passes(check("key_refused", answer(401, error="Unauthorized")))
    assert not passes(check("key_refused", answer(200, data=[])))
    assert not passes(check("wrong_model", chat()))
    assert not passes(check("wrong_model", answer(500, error={})))


# Engines


def test_engine_counts_are_of_answered_requests():
    assert metrics.answered(METRICS) == {"0": 2, "1": 2}


@given(st.text())
def test_engine_counts_of_any_text(text: str):
    metrics.answered(text)


def engines(counts: dict[str, int], expected: int) -> Outcome:
    try:
        return Outcome(checks.check_engines(counts, expected), 0.1)
    except ProblemError as error:
        return checks.failed(error, 0.1)


def test_every_engine_has_to_answer():
    assert engines({"0": 1, "1": 3}, 2).detail == "each of 2 engines answered"
    assert engines({"0": 1}, 1).detail == "the engine answered"
    assert "engine 1" in text_of(engines({"0": 2, "1": 0}, 2))
    assert not passes(engines({"0": 2}, 2))
    assert not passes(engines({}, 2))


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


def streamed(lines: list[str], status: int = 200, error: str = "") -> Answer:
    read = stream(lines)
    return Answer(status, read.rest, 0.1, error, read)


def test_a_stream_is_assembled_and_measured():
    read = stream(WHOLE)
    assert read.message == Message("Who am I?", "I am GLM.", [], "stop")
    assert read.metrics() == {"ttft": 2.0, "tokens_per_second": 2.0, "gap_p50": 1.0, "gap_p99": 1.0}
    assert check("streaming", streamed(WHOLE)).detail == "7 tokens in 4 chunks"
    assert passes(check("streaming", streamed(WHOLE), reasoning="Who am I?", content="I am GLM."))
    assert not passes(check("streaming", streamed(WHOLE), content="I am someone."))


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
    "thinking in the content": ([chunk(content="Hm.</think>Hi."), chunk("stop"), *WHOLE[-2:]], "</think>"),
}


def every(**more: Any) -> list[str]:
    """The whole stream, with other fields in each of its chunks."""
    events = [json.loads(line[len("data: ") :]) for line in WHOLE if line.startswith("data: {")]
    return [*("data: " + json.dumps({**event, **more}) for event in events), WHOLE[-1]]


def without_reason(line: str) -> str:
    return line.replace(', "finish_reason": null', "")


RIGHT_STREAMS = {
    "comments": [": keep-alive", "", *WHOLE[:4], ": keep-alive", *WHOLE[4:]],
    "fields of an event": ["event: message", "id: 1", "retry: 3000", *WHOLE],
    "no blank after the colon": [line.replace("data: ", "data:") for line in WHOLE],
    "usage in each chunk": every(usage={"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}),
    "usage without a count": every(usage={"prompt_tokens": 3}),
    "usage that is null": [*every(usage=None)[:-2], *WHOLE[-2:]],
    "an error that is null": every(error=None),
    "no reason but the last": [without_reason(line) for line in WHOLE],  # vLLM before PR 19662
    "a delta that is null": ['data: {"choices": [{"delta": null, "finish_reason": null}]}', *WHOLE],
    "an empty delta at the end": [*WHOLE[:5], chunk(content="GLM."), chunk("stop"), *WHOLE[-2:]],
    "content that is null": [chunk(role="assistant", content=None, tool_calls=None), *WHOLE[2:]],
    "logprobs": [
        line.replace('{"delta"', '{"logprobs": {"content": []}, "index": 0, "delta"') for line in WHOLE
    ],
    "only the old name": [line.replace('"reasoning": "Who "', '"reasoning": null') for line in WHOLE],
}


@pytest.mark.parametrize("lines", RIGHT_STREAMS.values(), ids=RIGHT_STREAMS)
def test_a_right_stream_in_another_form(lines: list[str]):
    assert passes(check("streaming", streamed(lines)))
    assert stream(lines).message.content == "I am GLM."
    assert stream(lines).message.finish_reason == "stop"


def test_a_stream_that_was_closed_before_its_first_text_fails():
    answer = streamed([": keep-alive", chunk(role="assistant", content=""), ": keep-alive"])
    assert answer.stream
    answer.stream.closed = True
    for name in ("streaming", "chat", "reasoning", "thinking_off"):
        assert "no token" in text_of(check(name, answer)), name


def test_parts_of_calls_with_fields_that_are_null():
    """As vLLM sends them in the last part (PR 38640), and other servers in the first."""
    lines = [
        chunk(tool_calls=[{"index": 0, "id": "call-0", "type": "function", "function": None}]),
        chunk(
            content=None, tool_calls=[{"index": 0, "function": {"name": "get_weather", "arguments": None}}]
        ),
        chunk(
            tool_calls=[
                {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '{"city": '}}
            ]
        ),
        chunk("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": '"Oslo"}'}}]),
        *WHOLE[-2:],
    ]
    assert passes(check("tool_call_streamed", streamed(lines)))


def test_the_parts_of_streamed_calls_are_put_together():
    def part(index: int, **function: str) -> str:
        return chunk(tool_calls=[{"index": index, "function": function}])

    lines = [
        part(0, name="get_weather"),
        part(0, arguments='{"city":'),
        part(0, arguments=' "Oslo"}'),
        part(1, name="get_time", arguments="{}"),
        chunk("tool_calls"),
        *WHOLE[-2:],
    ]
    calls = [call["function"] for call in stream(lines).message.tool_calls]
    assert calls == [
        {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
        {"name": "get_time", "arguments": "{}"},
    ]
    assert passes(check("tool_call_streamed", streamed(lines)))
    assert passes(check("tool_call_no_arguments_streamed", streamed(lines)))
    assert stream([part(2, arguments="{}")]).error


@pytest.mark.parametrize(("lines", "named"), WRONG_STREAMS.values(), ids=WRONG_STREAMS)
def test_a_wrong_stream(lines: list[str], named: str):
    assert named in text_of(check("streaming", streamed(lines)))


def test_a_stream_that_breaks_off():
    assert "connection reset" in text_of(check("streaming", streamed(WHOLE[:4], error="connection reset")))
    assert REFUSED.error in text_of(check("streaming", streamed([], status=0, error=REFUSED.error)))


def test_the_body_of_a_refused_stream_is_quoted():
    text = text_of(check("streaming", streamed(['{"error": {"message": "no such model"}}'], status=404)))
    assert "404" in text
    assert "no such model" in text


def test_figures_of_nothing():
    assert set(stream([]).metrics().values()) == {None}


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (75, 3.0), (99, 4.0), (0, 1.0)])
def test_percentile(percent: float, value: float):
    assert api.percentile([4.0, 1.0, 3.0, 2.0], percent) == value


# Loops


@pytest.mark.parametrize(
    "text",
    [
        "Let me see. " * 20,
        "Well: " + "ha" * 100,
        f"Start. {PARAGRAPH * 4}",
        "\n\n".join([PARAGRAPH, "So.", PARAGRAPH, "Or.", PARAGRAPH, "But.", PARAGRAPH, "End."]),
        "!" * 10,
        "Well!!!!!!!!!!\n",
        "-" * 1000,
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
        "I laughed: " + "ha " * 12,
        "我是GLM-4.7。" * 3,
        PARAGRAPH * 2,
        "word " + " " * 400,
        "!" * 9,
        "| a | b |\n" + "-" * 220,
        " ".join(str(n) for n in range(500)),
    ],
)
def test_no_loop_is_seen(text: str):
    assert not checks.repetition(text)


DISTINCT = "".join(chr(ord("A") + number) for number in range(50))
LONG = "".join(f"{number:02} " for number in range(26)).ljust(80, ".")[:80]


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("ha" * 99, ""),
        ("ha" * 100, "ha"),
        (DISTINCT * 3, ""),
        (DISTINCT * 4, DISTINCT),
        (DISTINCT[:49] * 4, ""),
        (DISTINCT[:49] * 5, DISTINCT[:49]),
        ("x" + " ab" * 67, "ab"),
        ("\n\n".join([LONG, "a", LONG, "b", LONG, "c"]), ""),
        ("\n\n".join([LONG, "a", LONG, "b", LONG, "c", LONG, "d"]), LONG),
        ("\n\n".join([LONG[:79], "a", LONG[:79], "b", LONG[:79], "c", LONG[:79], "d"]), ""),
        ("a" + "!" * 9, ""),
        ("a" + "!" * 10 + " \n", "!"),
        ("=" * 999, ""),
        ("=" * 1000, "="),
        ("a\n" + "=" * 999, ""),
    ],
)
def test_what_is_repeated_and_how_often(text: str, loop: str):
    assert checks.repetition(text) == loop


@pytest.mark.parametrize(
    ("status", "named"), [(401, "api_key"), (403, "api_key"), (404, "log"), (500, "log"), (0, "port")]
)
def test_what_to_do_depends_on_the_status(status: int, named: str):
    outcome = check("health", Answer(status, "", 0.1, "" if status else "refused"))
    assert outcome.problem
    assert named in outcome.problem.remedy
    assert ("api_key" in outcome.problem.remedy) is (named == "api_key")


@pytest.mark.parametrize(
    ("limit", "room", "sent"), [(100, 0, 100), (100, 100, 100), (100, 99, 99), (100, 101, 100)]
)
def test_the_tokens_of_an_answer_are_at_most_those_that_there_is_room_for(limit: int, room: int, sent: int):
    about = checks.Case("m", checks.Prompt({"max_tokens": limit}, {}), room)
    for name in ("knows", "chat"):
        body = checks.CHECKS[name].request(about).body
        assert body
        assert body["max_tokens"] == sent
    assert "max_tokens" not in (
        checks.CHECKS["knows"].request(checks.Case("m", checks.Prompt({}, {}), 9)).body or {}
    )


def test_thinking_that_is_cut_off_is_told_with_its_tokens():
    thinking = [chunk(reasoning="Who am I?"), chunk(reasoning=" Hm."), chunk("length"), "data: [DONE]"]
    assert check("chat", streamed(thinking)).detail == "still thinking after 2 tokens: Who am I? Hm."
    counted = [*thinking[:-1], 'data: {"choices": [], "usage": {"completion_tokens": 7}}', "data: [DONE]"]
    assert check("chat", streamed(counted)).detail == "still thinking after 7 tokens: Who am I? Hm."


def test_a_stream_that_this_client_closed_is_one_that_was_cut_off():
    late = streamed([chunk(reasoning="Who am I?")])
    assert late.stream
    late.stream.closed = True
    assert check("chat", late).detail.startswith("still thinking")
    assert passes(check("streaming", late))


@pytest.mark.parametrize(
    "lines",
    [
        [chunk(content="Hi."), "data: [DONE]"],  # no reason
        [chunk("stop"), "data: [DONE]"],  # no text
        [chunk(content="Hi."), chunk("stop")],  # no end
    ],
)
def test_a_stream_has_a_text_a_reason_and_an_end(lines: list[str]):
    assert not passes(check("streaming", streamed(lines)))


def calls(*functions: tuple[str, str]) -> Answer:
    made = [{"function": {"name": name, "arguments": arguments}} for name, arguments in functions]
    return answer(choices=[{"message": {"content": None, "tool_calls": made}, "finish_reason": "tool_calls"}])


OSLO = ("get_weather", '{"city": "Oslo"}')


@pytest.mark.parametrize(
    ("given", "right", "again", "warning"),
    [
        ([OSLO], True, False, False),
        ([("get_time", "{}"), OSLO], True, False, False),
        ([("get_weather", "{}"), OSLO], True, False, False),
        ([("get_weather", "{}")], False, True, False),
        ([("get_time", "{}")], False, True, True),
        ([("get_wether", "{}"), OSLO], False, False, False),
        ([("get_weather", "[1]")], False, False, False),
        ([], False, True, False),
    ],
)
def test_one_right_call_is_enough(given: list[tuple[str, str]], right: bool, again: bool, warning: bool):
    outcome = check("tool_call", calls(*given))
    assert (passes(outcome), outcome.again, outcome.warning) == (right, again, warning)


@pytest.mark.parametrize(
    ("counts", "number", "silent"),
    [
        ({"0": 1, "1": 1}, 2, []),
        ({"0": 1}, 2, ["1"]),
        ({"1": 0}, 2, ["0", "1"]),
        ({"2": 1}, 1, ["0"]),
        ({}, 0, []),
    ],
)
def test_engines_that_answered_nothing(counts: dict[str, int], number: int, silent: list[str]):
    assert checks.silent_engines(counts, number) == silent
    assert passes(engines(counts, number)) is (not silent)


# Report


def test_all_failures_are_reported_and_common_ones_once():
    refused, other = Problem("connection refused", "content", "Start it"), Problem("a", "b", "Correct it")
    outcomes = {
        "health": Outcome("HTTP status 200", 0.1),
        "chat": Outcome("", 0.1, refused),
        "models": Outcome("", 0.1, other),
        "tool_call": Outcome("", 0.1, Problem("connection refused", "a call", "Start it")),
    }
    assert checks.problems(outcomes) == [refused.at("chat, tool_call"), other.at("models")]


def test_shorten():
    assert api.shorten("a\n  b") == "a b"
    assert api.shorten("x" * 300, 10) == "xxxxxxx..."


def test_golden_messages(golden):
    listed = answer(object="list", data=[{"id": "glm47", "max_model_len": 8192}])
    outcomes = {
        "no connection": check("chat", REFUSED),
        "an error of the server": check("chat", answer(500, error={"message": "EngineCore failed."})),
        "no JSON": check("chat", Answer(200, "<html>proxy</html>", 0.1)),
        "a key missing": check("models", answer(401, error="Unauthorized")),
        "another model": check("models", listed, model="glm-4.7"),
        "no models": check("models", answer(data=[])),
        **{f"chat: {name}": check("chat", given) for name, given in WRONG_CHATS.items()},
        "chat: another text": check("chat", chat("I am someone."), content="I am GLM."),
        "completion: nothing": check("completion", chat("")),
        "completion: one character": check("completion", chat("!" * 10)),
        "knows: another answer": check("knows", chat("Oslo")),
        "reasoning: in the content": check("reasoning", chat("Who am I?</think>I am GLM.")),
        "reasoning: none": check("reasoning", chat("I am GLM.")),
        "thinking_off: thinking": check("thinking_off", chat(reasoning="Who am I?")),
        **{f"tool_call: {name}": check("tool_call", given) for name, (given, _name) in WRONG_CALLS.items()},
        "wrong_model: an answer": check("wrong_model", chat()),
        "key_refused: an answer": check("key_refused", answer(200, data=[])),
        "engines: one is silent": engines({"0": 2, "1": 0}, 2),
    }
    for name, (lines, _named) in WRONG_STREAMS.items():
        outcomes[f"streaming: {name}"] = check("streaming", streamed(lines))
    texts = {name: text_of(outcome) for name, outcome in outcomes.items()}
    for prompts, named in WRONG_PROMPTS:
        (texts[f"vllm_probe: {named}"],) = checks.prompt_errors(prompts)
    golden("endpoint", texts)
