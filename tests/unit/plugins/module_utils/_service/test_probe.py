# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks against a real server with vLLM's API: they pass a healthy service and fail a sick one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, endpoint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import probe as probe_module
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Request
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Outcome
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.probe import probe
from vllm_standin import KEY, MODEL, SAID, SALAD, THOUGHT, Asked, Said, Server, healthy

# As profiles/models/glm-4.7.yml has it.
REQUESTS = {"completion": {"request": {"messages": [{"role": "user", "content": "请做一下自我介绍"}]}}}
ALL = set(checks.CHECKS)


@pytest.fixture(name="server")
def running_server() -> Iterator[Server]:
    with Server() as server:
        yield server


def probed(
    server: Server, silence: float = 20, longest: float = 60, names: Sequence[str] = tuple(checks.CHECKS)
) -> tuple[dict[str, Outcome], Any]:
    client = Client(server.url, KEY, silence, longest)
    room = checks.room(client.ask(Request("/v1/models")), MODEL)
    prompts = checks.prompts(REQUESTS)
    return probe(client, {name: checks.case(name, MODEL, prompts, room) for name in names}, 2)


def failures(outcomes: dict[str, Outcome], warning: bool = False) -> set[str]:
    return {name for name, one in outcomes.items() if one.problem and one.warning == warning}


def introduces(asked: Asked) -> bool:
    return asked.thinks and not asked.tools


def thinks_long(asked: Asked) -> Said:
    said = healthy(asked)
    points = "".join(f"Point {number}: is it so? I weigh it. " for number in range(1000))
    return replace(said, reasoning=points) if introduces(asked) else said


def asks_back(asked: Asked) -> Said:
    return (
        Said("The user gave no place.", "Which city?")
        if asked.tools and asked.number == 1
        else healthy(asked)
    )


def extra_argument(asked: Asked) -> Said:
    said = healthy(asked)
    return replace(
        said, calls=[(name, '{"timezone": "UTC", "city": "Oslo"}') for name, _arguments in said.calls]
    )


def both_tools(asked: Asked) -> Said:
    both = [("get_time", "{}"), ("get_weather", '{"city": "Oslo"}')]
    return replace(healthy(asked), calls=both) if asked.tools else healthy(asked)


def table(asked: Asked) -> Said:
    rows = "\n".join(f"| {word} | yes |" for word in ("code", "text", "math"))
    return (
        replace(healthy(asked), content=f"I can help:\n\n{rows}\n\n{'-' * 220}")
        if introduces(asked)
        else healthy(asked)
    )


def loops_once(asked: Asked) -> Said:
    return Said("Wait. " * 60, "") if introduces(asked) and asked.number < 3 else healthy(asked)


HEALTHY = [healthy, thinks_long, asks_back, extra_argument, both_tools, table, loops_once]


@pytest.mark.parametrize("model", HEALTHY)
def test_a_healthy_service_passes(server: Server, model: Callable[[Asked], Said]):
    server.model = model
    outcomes, facts = probed(server)
    assert set(outcomes) == ALL
    assert [one.problem for one in outcomes.values() if one.problem] == []
    assert all(count >= 1 for count in facts["engines"].values())
    assert not any("temperature" in body for body in server.bodies)
    assert facts["answer"].keys() == {"reasoning", "content"}
    assert model is not healthy or facts["answer"] == {"reasoning": THOUGHT, "content": SAID}


def test_long_thinking_passes_with_a_note(server: Server):
    server.model = thinks_long
    outcomes, facts = probed(server)
    assert outcomes["chat"].detail.startswith(f"still thinking after {checks.THINKING_TOKENS} tokens")
    assert (facts["answer"]["content"], outcomes["reasoning"].problem) == ("", None)


def test_a_stream_is_measured_while_it_arrives(server: Server):
    server.pause = 0.05
    _outcomes, facts = probed(server, names=["streaming"])
    assert facts["ttft"] < 20 * 0.05
    assert facts["gap_p50"] >= 0.05
    assert 0 < facts["tokens_per_second"] <= 20


def test_a_server_that_counts_nothing_is_not_waited_for_for_ever(server: Server, monkeypatch):
    monkeypatch.setattr(probe_module, "COUNT_SECONDS", 0.1)
    server.metrics_answer = lambda: False
    outcomes, facts = probed(server, names=["completion", "health"])
    assert failures(outcomes) == {"completion"}
    assert facts["engines"] == {}


def test_a_slow_service_passes(server: Server):
    """The whole answer takes longer than the limit, which is one of silence."""
    server.pause = 0.25
    outcomes, _facts = probed(server, silence=3, names=["chat"])
    assert failures(outcomes) == set()
    assert outcomes["chat"].seconds > 3


def test_a_stream_that_takes_too_long_is_closed_and_passes(server: Server):
    server.model, server.pause = thinks_long, 0.1
    outcomes, _facts = probed(server, longest=5)
    assert failures(outcomes) == set()
    assert outcomes["chat"].detail.startswith("still thinking")


# What the model decides


def never_calls(asked: Asked) -> Said:
    return Said("No tool fits.", "It is sunny.") if asked.tools else healthy(asked)


def loops(asked: Asked) -> Said:
    return Said("Wait. " * 60, "Well.") if introduces(asked) and asked.max_tokens > 10 else healthy(asked)


def does_not_think(asked: Asked) -> Said:
    return replace(healthy(asked), reasoning="")


CALLS = {"tool_call", "tool_call_no_arguments", "tool_call_streamed", "tool_call_no_arguments_streamed"}
CHOICES = [(never_calls, CALLS), (loops, {"reasoning", "streaming"}), (does_not_think, {"reasoning"})]


@pytest.mark.parametrize(("model", "warned"), CHOICES)
def test_what_the_model_decides_is_a_warning(
    server: Server, model: Callable[[Asked], Said], warned: set[str]
):
    server.model = model
    outcomes, _facts = probed(server)
    assert failures(outcomes) == set()
    assert failures(outcomes, warning=True) == warned


def test_what_the_model_decides_is_tried_three_times(server: Server):
    server.model = never_calls
    probed(server)
    assert server.asked["What time is it?"] == 6  # whole and streamed


# Sick


def only_bangs(asked: Asked) -> Said:
    bangs = "!" * 4 * asked.max_tokens
    return Said(bangs) if asked.thinks else Said("", bangs)


def salad(asked: Asked) -> Said:
    """Computes wrongly, but its marks for thinking and calls survive."""
    calls = [(name, arguments.replace("Oslo", "ство")) for name, arguments in healthy(asked).calls]
    return Said(SALAD if asked.thinks else "", "" if calls else SALAD, calls)


def on_engine_1(sick: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
    return lambda asked: sick(asked) if asked.engine == "1" else healthy(asked)


def unparsed_stream(asked: Asked) -> Said:
    said = healthy(asked)
    if not (asked.streamed and introduces(asked)):
        return said
    return Said("", f"{said.reasoning}</think>{said.content}")


def unparsed_call(asked: Asked) -> Said:
    call = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>"
    return Said("I call it.", call) if asked.tools else healthy(asked)


def lost_call(asked: Asked) -> Said:
    """As the parser of vLLM 0.13.0 loses streamed calls without arguments."""
    said = healthy(asked)
    return replace(said, calls=[]) if asked.streamed and said.calls == [("get_time", "{}")] else said


def lost_argument(asked: Asked) -> Said:
    said = healthy(asked)
    return replace(said, calls=[(name, "{}") for name, _arguments in said.calls])


def line_break_in_name(asked: Asked) -> Said:
    said = healthy(asked)
    return replace(said, calls=[(name + "\n", arguments) for name, arguments in said.calls])


def thinks_always(asked: Asked) -> Said:
    said = healthy(asked)
    return said if asked.thinks else Said(said.content)


SICK = {
    "nonsense everywhere": (salad, {"knows"}),
    "nonsense on one engine": (on_engine_1(salad), {"knows"}),
    "one character on one engine": (on_engine_1(only_bangs), {"completion", "knows"}),
    "thinking in the content of streams": (unparsed_stream, {"chat", "reasoning", "streaming"}),
    "calls not parsed": (unparsed_call, CALLS),
    "a streamed call lost": (lost_call, {"tool_call_no_arguments_streamed"}),
    "arguments lost": (lost_argument, {"tool_call", "tool_call_streamed"}),
    "a line break in the name": (line_break_in_name, CALLS),
    "thinking cannot be turned off": (thinks_always, {"thinking_off"}),
}


@pytest.mark.parametrize(("model", "failed"), SICK.values(), ids=SICK)
@pytest.mark.parametrize("balanced", [("0", "1"), ("0",)])
def test_a_sick_service_fails(
    server: Server, model: Callable[[Asked], Said], failed: set[str], balanced: Any
):
    """Also where the balancer prefers engine 0."""
    server.model, server.balanced = model, balanced
    outcomes, _facts = probed(server)
    assert failed <= failures(outcomes)
    if balanced == ("0",):
        assert failures(outcomes) == failed


def test_an_engine_that_hangs_fails(server: Server):
    server.hangs_after = 4
    outcomes, _facts = probed(server, silence=4)  # of which a loaded machine may take two
    streamed = {
        "chat",
        "reasoning",
        "streaming",
        "thinking_off",
        *(name for name in CALLS if "streamed" in name),
    }
    assert failures(outcomes) == streamed
    assert {outcomes[name].detail for name in streamed} == {"no token for 4 s"}


@pytest.mark.parametrize("begun", [0, 1, 4])
def test_an_engine_that_hangs_fails_though_the_api_keeps_the_stream_alive(server: Server, begun: int):
    """As with --sse-keep-alive-interval."""
    server.hangs_after, server.keep_alive = begun, 0.2
    outcomes, _facts = probed(
        server, silence=4, longest=12, names=["streaming", "chat", "tool_call_streamed"]
    )
    assert failures(outcomes) == {"streaming", "chat", "tool_call_streamed"}
    assert {one.detail for one in outcomes.values()} == {"no token for 4 s"}
    assert max(one.seconds for one in outcomes.values()) < 12  # it is not heard to the end


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("answered", "first", "works"),
    [((), 30, True), (("0",), 30, True), (("0", "1"), 30, False), ((), 0, False)],
)
def test_engines_may_compile_until_all_of_them_have_answered(
    server: Server, streamed, answered, first, works
):
    for rank in answered:
        server.answered[rank, "stop"] = 1
    server.pause = 3
    client = Client(server.url, KEY, 1, first=first)
    message = {
        "messages": [{"role": "user", "content": "capital of France"}],
        "model": MODEL,
        "max_tokens": 1,
    }
    answer = client.ask(Request("/v1/chat/completions", {**message, "stream": streamed}))
    assert bool(answer.status == 200 and not answer.error) == works, answer


def test_where_the_metrics_do_not_say_who_has_answered_nobody_waits_longer(server: Server):
    server.metrics_answer, server.pause = lambda: False, 3
    message = {
        "messages": [{"role": "user", "content": "capital of France"}],
        "model": MODEL,
        "max_tokens": 1,
    }
    answer = Client(server.url, KEY, 1, first=30).ask(
        Request("/v1/chat/completions", {**message, "stream": True})
    )
    assert answer.error == "no token for 1 s"


def test_while_the_metrics_are_late_engines_may_compile(server: Server, monkeypatch: pytest.MonkeyPatch):
    """A busy API that does not tell who has answered yet says nothing about that."""
    monkeypatch.setattr(endpoint, "HEALTH_SECONDS", 0.3)
    server.delay = lambda path: 2 if path == "/metrics" else 0
    server.pause = 3
    message = {
        "messages": [{"role": "user", "content": "capital of France"}],
        "model": MODEL,
        "max_tokens": 1,
    }
    client = Client(server.url, KEY, 1, first=30)
    answer = client.ask(Request("/v1/chat/completions", {**message, "stream": True}))
    assert (answer.status, answer.error) == (200, "")


ENGINE_1 = 'vllm:request_success_total{engine="1",finished_reason="stop",model_name="glm47"} 5.0\n'


@pytest.mark.parametrize("failing", [1, 1000])
def test_metrics_that_do_not_answer_prove_no_engine(server: Server, monkeypatch, failing: int):
    """Without the count before, an answer of last week would prove an engine that answers nothing today."""
    monkeypatch.setattr(probe_module, "COUNT_SECONDS", 3)
    server.answered["0", "stop"] = 5
    server.ranks = server.balanced = ("0",)  # no request reaches engine 1
    readings, text = itertools.count(), server.metrics
    server.metrics_answer, server.metrics = lambda: next(readings) >= failing, lambda: text() + ENGINE_1
    outcomes, _facts = probed(server, names=["completion"])
    assert outcomes["completion"].detail.startswith(
        "no answer of engine 1 counted" if failing == 1 else "HTTP status 503"
    )


def test_metrics_that_fail_once_fail_no_healthy_service(server: Server):
    readings = itertools.count()
    server.metrics_answer = lambda: next(readings) not in (0, 2)
    outcomes, facts = probed(server, names=["completion"])
    assert failures(outcomes) == set()
    assert facts["engines"].keys() == {"0", "1"}


def test_requests_at_the_same_time_may_learn_from_different_metrics_who_has_answered(server: Server):
    """While one has asked which engines have answered, another may see that all have."""
    client, metrics = Client(server.url, KEY, 1, first=30), server.metrics
    message = {"messages": [{"role": "user", "content": "Hello"}], "model": MODEL, "max_tokens": 1}
    request = Request("/v1/chat/completions", {**message, "stream": True})

    def overtaken() -> str:
        server.metrics, text = metrics, metrics()
        server.answered.update({("0", "stop"): 1, ("1", "stop"): 1})
        assert client.ask(request).status == 200
        return text

    server.metrics = overtaken
    assert client.ask(request).status == 200


@pytest.mark.parametrize("refusals", [2, 1000])
def test_a_service_that_has_too_much_to_do_is_asked_again(server: Server, monkeypatch, refusals: int):
    """With --max-num-queued-reqs, the API refuses requests with status 503 while it has that many."""
    monkeypatch.setattr(probe_module, "BUSY_SECONDS", 2)
    monkeypatch.setattr(probe_module, "BUSY_POLL_SECONDS", 0.1)
    numbers = itertools.count()
    server.too_busy = lambda: next(numbers) < refusals
    outcomes, _facts = probed(server, names=["thinking_off"])
    assert failures(outcomes) == (set() if refusals == 2 else {"thinking_off"})
    assert refusals == 2 or "HTTP status 503" in outcomes["thinking_off"].detail


def test_an_engine_that_dies_fails_at_once(server: Server):
    server.fails = lambda asked: asked.tools and not asked.streamed
    server.breaks = lambda asked: asked.streamed
    outcomes, _facts = probed(server)
    assert failures(outcomes) >= {"tool_call", "tool_call_no_arguments", "chat", "streaming", "thinking_off"}
    assert server.asked["What time is it?"] == 2  # whole and streamed, once each


def test_the_room_comes_from_the_served_length(server: Server):
    prompts = checks.prompts({"chat": {"request": {"max_tokens": 100_000}}})
    client = Client(server.url, KEY, 20)
    room = checks.room(client.ask(Request("/v1/models")), MODEL)
    outcomes, _facts = probe(client, {"chat": checks.case("chat", MODEL, prompts, room)}, 2)
    assert outcomes["chat"].problem is None
    assert [body["max_tokens"] for body in server.bodies] == [8192 - checks.PROMPT_TOKENS]
