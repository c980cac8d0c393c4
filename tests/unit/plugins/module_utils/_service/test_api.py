# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the API, whole and streamed, as plain texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import api
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer, Message, Stream
from hypothesis import example, given
from hypothesis import strategies as st

CALL = {"index": 0, "function": {"name": "weather", "arguments": '{"city"'}}
MORE = {"index": 0, "function": {"arguments": ': "Paris"}'}}


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, body if isinstance(body, str) else json.dumps(body), 0.1)


def choice(finish: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (choice(content="Hi"), Message("", "Hi", [], "stop")),
        (choice(content=None, reasoning="So", tool_calls=[CALL]), Message("So", "", [CALL], "stop")),
        (choice(content="Hi", reasoning=None, reasoning_content="Old"), Message("Old", "Hi", [], "stop")),
        (choice(content="Hi", reasoning="New", reasoning_content="Old"), Message("New", "Hi", [], "stop")),
        (choice(None, content="Hi"), Message("", "Hi", [], "")),
        (choice(content=7), None),
        (choice(0, content="Hi"), None),
        (choice(content=[]), None),
        (choice(content="Hi", tool_calls=1), None),
        ({"choices": []}, None),
        ({"choices": [{"message": {"content": "Hi"}}]}, None),
        ([], None),
        ("no JSON", None),
        ("", None),
    ],
)
def test_the_message_of_an_answer(body, message):
    assert answer(body).message == message


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({"error": "other"}, '{"error": "other"}'),
        ("Bad gateway", "Bad gateway"),
        ("[]", "[]"),
    ],
)
def test_the_text_of_an_error(body, text):
    assert answer(body, 400).error_text == text


def chunk(finish: Any = None, usage: int = 0, **delta: Any) -> str:
    used = {"usage": {"completion_tokens": usage}} if usage else {}
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}], **used})


def fed(*lines: str, step: float = 0.5) -> Stream:
    """Return a stream whose lines arrived *step* seconds after each other, the first after as many."""
    stream = Stream()
    for number, line in enumerate(lines, 1):
        stream.feed(line, number * step)
    return stream


def test_a_stream_is_put_together():
    last = "data: " + json.dumps({"choices": [], "usage": {"completion_tokens": 5}})
    lines = (
        chunk(role="assistant"), "", chunk(reasoning="I th"), chunk(reasoning_content="ink"), chunk(content="H"),
        chunk(content="i", finish="stop"), last, "data: [DONE]",
    )  # fmt: skip
    stream = fed(*lines)
    assert stream.message == Message("I think", "Hi", [], "stop")
    assert (stream.done, stream.error, stream.rest, stream.tokens) == (True, "", "", 5)
    assert stream.times == [1.5, 2.0, 2.5, 3.0]  # neither those without text nor the empty ones
    assert stream.metrics() == {"ttft": 1.5, "tokens_per_second": 2.7, "gap_p50": 0.5, "gap_p99": 0.5}


def test_the_reason_of_the_end_stays_if_a_chunk_follows():
    assert fed(chunk(content="a", finish="length"), chunk(content="b")).message.finish_reason == "length"
    assert fed(chunk(content="a", finish="length"), chunk(finish="stop")).message.finish_reason == "stop"


def test_parts_of_a_tool_call_have_a_time_as_well():
    stream = fed(chunk(tool_calls=[CALL]), chunk(tool_calls=[MORE]))
    assert stream.times == [0.5, 1.0]
    (call,) = stream.message.tool_calls
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([chunk(content="a"), 'data: {"error": {"message": "EngineDead"}}'], "EngineDead"),
        (["data: {"], "{"),
        (['data: {"choices": [1]}'], "choices"),
        (['data: {"error": "dead"}'], "dead"),
        ([chunk(content=3)], "content"),
        (['data: {"choices": [], "usage": {"completion_tokens": "x"}}'], "usage"),
    ],
)
def test_a_stream_that_breaks_has_an_error(lines, error):
    stream = fed(*lines)
    assert error in stream.error
    assert not stream.done


def test_an_empty_stream_has_no_tokens():
    assert (fed().tokens, fed().message, fed().done) == (0, Message(), False)


def test_figures_are_in_milliseconds_and_gaps_finer():
    stream = Stream()
    for at in (0.12345, 0.23456, 0.34):
        stream.feed(chunk(content="a", usage=3), at)
    assert stream.metrics() == {
        "ttft": 0.123,
        "tokens_per_second": 9.2,
        "gap_p50": 0.1054,
        "gap_p99": 0.1111,
    }


def test_what_is_no_event_is_kept_as_the_rest():
    assert fed('{"detail": ', '"gone"}').rest == '{"detail": "gone"}'


def test_only_the_first_choice_counts():
    choices = [{"delta": {"content": text}, "finish_reason": None} for text in ("a", "b")]
    assert fed("data: " + json.dumps({"choices": choices})).message.content == "a"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], {"ttft": None, "tokens_per_second": None, "gap_p50": None, "gap_p99": None}),
        ([chunk(content="a", usage=1)], {"ttft": 0.5, "tokens_per_second": None, "gap_p50": None, "gap_p99": None}),
        ([chunk(content="a"), chunk(content="b", usage=1)], {"ttft": 0.5, "tokens_per_second": None, "gap_p50": 0.5, "gap_p99": 0.5}),
        ([chunk(content="a"), chunk(content="b", usage=2)], {"ttft": 0.5, "tokens_per_second": 2.0, "gap_p50": 0.5, "gap_p99": 0.5}),
    ],
)  # fmt: skip
def test_figures_of_a_stream(lines, expected):
    assert fed(*lines).metrics() == expected


def test_gaps_are_between_neighbours():
    stream = Stream()
    for at in (1.0, 1.1, 1.3, 2.3):
        stream.feed(chunk(content="a"), at)
    found = stream.metrics()
    assert (found["gap_p50"], found["gap_p99"]) == (0.2, 1.0)


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([[CALL]], ["weather"]),
        ([[CALL], [{"index": 1, "function": {"name": "time"}}]], ["weather", "time"]),
        ([[{"function": {"name": "a"}}, {"function": {"name": "b"}}]], ["a", "b"]),
        ([[{"index": 0, "function": {"name": "a"}}], [{"index": 0, "function": {"name": "b"}}]], ["ab"]),
    ],
)
def test_parts_of_calls_are_joined_by_their_index(parts, names):
    calls: Any = ()
    for part in parts:
        calls = api.merge_calls(calls, part)
    assert [call["function"]["name"] for call in calls] == names


@pytest.mark.parametrize("index", [1, -1])
def test_a_part_of_a_call_that_has_not_begun_is_an_error(index):
    with pytest.raises(ValueError, match=f"call {index}"):
        api.merge_calls([], [{"index": index, "function": {}}])


def test_earlier_calls_are_not_changed():
    first = api.merge_calls([], [CALL])
    api.merge_calls(first, [MORE])
    assert first[0]["function"]["arguments"] == '{"city"'


@pytest.mark.parametrize(("values", "percent", "expected"), [
    ([], 50, None), ([3.0], 0, 3.0), ([3.0], 100, 3.0), ([1, 2, 3, 4], 50, 2), ([1, 2, 3, 4], 51, 3), ([2, 1], 1, 1),
    ([0.123456], 50, 0.1235), (range(1000), 50, 499), (range(1000), 99, 989),
])  # fmt: skip
def test_percentiles(values, percent, expected):
    assert api.percentile(values, percent) == expected


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_that_enough_do_not_exceed(values, percent):
    found = api.percentile(values, percent)
    assert found in values
    enough = len(values) * percent / 100
    assert sum(value <= found for value in values) >= enough
    assert sum(value < found for value in values) < enough


@given(st.text(), st.integers(4, 50))
@example("four", 4)
@example("fives", 4)
def test_a_shortened_text_is_one_line_and_not_longer(text, limit):
    line = api.shorten(text, limit)
    assert len(line) <= limit
    whole = " ".join(text.split())
    assert line == whole or (len(whole) > limit == len(line) and line == whole[: limit - 3] + "...")


DEEP = "[" * 100_000


@pytest.mark.parametrize("body", [DEEP, '{"choices":' + DEEP, '{"error":' + DEEP, '{"data":' + DEEP])
def test_an_answer_without_an_end_of_brackets_is_none_that_can_be_read(body: str):
    read = answer(body, 500)
    assert (read.body, read.message, read.error_text) == (None, None, body)


@pytest.mark.parametrize(
    "event",
    [
        DEEP,
        '{"choices": [], "usage": {"completion_tokens": 1e999}}',
        '{"choices": [{"delta": {"tool_calls": [{"index": 1e999, "function": {}}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"index": NaN, "function": {}}]}}]}',
    ],
)
def test_a_chunk_with_a_number_without_an_end_is_an_error_of_the_stream(event: str):
    stream = Stream()
    stream.feed(f"data: {event}", 0.1)
    assert "is not a chunk of a chat completion" in stream.error
