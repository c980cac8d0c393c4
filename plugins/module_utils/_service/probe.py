# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make checks of an endpoint: send their requests and examine the answers."""

from __future__ import annotations

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer, Message
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Case, Outcome, Prompt
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client

TRIES = 3  # of a check that the model decides
RETRY_SECONDS = 120  # a try that took longer is the last one
ENGINE_ROUNDS = 3
COUNT_SECONDS = 3  # vLLM counts a request shortly after it has answered it
COUNT_POLL_SECONDS = 0.1
EACH_ENGINE = ("completion", "knows")


def probe(
    client: Client,
    names: Sequence[str],
    model: str,
    prompts: Mapping[str, Prompt],
    engines: int,
    room: int = 0,
) -> tuple[dict[str, Outcome], dict[str, Any]]:
    """Return the outcome of each check, and facts from the answers. *room*: see checks.Case."""
    cases = {name: checks.case(name, model, prompts, room) for name in names}
    outcomes: dict[str, Outcome] = {}
    facts: dict[str, Any] = {}
    if "streaming" in names:  # first and alone, so that its metrics are those of one stream
        outcomes["streaming"], answer = _settle(client, "streaming", cases["streaming"])
        facts.update(answer.stream.metrics() if answer.stream else {})
    with ThreadPoolExecutor(len(names) + 2 * engines) as pool:
        talk = [name for name in ("chat", "reasoning") if name in names]  # of the same answer
        talking = pool.submit(_settle_together, client, talk, cases[talk[0]]) if talk else None
        pending = {
            name: pool.submit(_settle, client, name, about)
            for name, about in cases.items()
            if name not in ("streaming", *EACH_ENGINE, *talk)
        }
        known = (
            {rank: pool.submit(_settle, client, "knows", cases["knows"], rank) for rank in range(engines)}
            if "knows" in names
            else {}
        )
        if "completion" in names:
            outcomes["completion"], facts["engines"] = _each_engine(
                client, pool, cases["completion"], engines
            )
        if known:
            outcomes["knows"] = _of_engines({rank: future.result()[0] for rank, future in known.items()})
        outcomes.update({name: future.result()[0] for name, future in pending.items()})
        if talking:
            together, answer = talking.result()
            outcomes.update(together)
            message = (answer.stream.message if answer.stream else answer.message) or Message()
            facts["answer"] = {"reasoning": message.reasoning, "content": message.content}
    return {name: outcomes[name] for name in names}, facts


def _settle(client: Client, name: str, about: Case, engine: int | None = None) -> tuple[Outcome, Answer]:
    """Return the outcome of a check, after more than one try if the model decides it, and the last answer."""
    outcomes, answer = _settle_together(client, [name], about, engine)
    return outcomes[name], answer


def _settle_together(
    client: Client, names: Sequence[str], about: Case, engine: int | None = None
) -> tuple[dict[str, Outcome], Answer]:
    """Do the same for checks that examine one answer."""
    request = checks.CHECKS[names[0]].request(about)._replace(engine=engine)
    for _try in range(TRIES):
        answer = client.ask(request)
        outcomes = {name: checks.outcome(name, answer, about) for name in names}
        again = any(one.again for one in outcomes.values())
        if not again or answer.seconds > RETRY_SECONDS:
            break
    return outcomes, answer


def _of_engines(outcomes: Mapping[int, Outcome]) -> Outcome:
    """Return one outcome for those of all engines: the first that failed, or what all of them found."""
    seconds = max(outcome.seconds for outcome in outcomes.values())
    for rank, outcome in outcomes.items():
        if outcome.problem:
            problem = replace(outcome.problem, found=f"engine {rank}: {outcome.problem.found}")
            return outcome._replace(detail=problem.found, seconds=seconds, problem=problem)
    return Outcome(", ".join(f"engine {rank}: {one.detail}" for rank, one in outcomes.items()), seconds)


def _each_engine(client: Client, pool: Executor, about: Case, engines: int) -> tuple[Outcome, dict[str, int]]:
    """Return the outcome over all engines, and how many requests each has answered meanwhile.

    Each request names an engine. A server that ignores this distributes them as it likes, so there is more
    than one round.
    """
    began = time.monotonic()
    before = client.answered()
    grown: dict[str, int] = {}
    try:
        for _round in range(ENGINE_ROUNDS):
            settled = [pool.submit(_settle, client, "completion", about, rank) for rank in range(engines)]
            outcome = _of_engines({rank: future.result()[0] for rank, future in enumerate(settled)})
            if outcome.problem:
                return outcome, grown
            grown = _growth(client, before, engines)
            if not checks.silent_engines(grown, engines):
                break
        return Outcome(checks.check_engines(grown, engines), time.monotonic() - began), grown
    except ProblemError as error:
        return checks.failed(error, time.monotonic() - began), grown


def _growth(client: Client, before: Mapping[str, int], engines: int) -> dict[str, int]:
    """Return by how much the engines' counters grew, once all did or the time is over."""
    deadline = time.monotonic() + COUNT_SECONDS
    while True:
        grown = {engine: count - before.get(engine, 0) for engine, count in client.answered().items()}
        if not checks.silent_engines(grown, engines) or time.monotonic() >= deadline:
            return grown
        time.sleep(COUNT_POLL_SECONDS)
