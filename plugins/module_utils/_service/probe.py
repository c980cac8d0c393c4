# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make checks of an endpoint: send their requests and examine the answers."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, metrics
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer, Message, Request
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Case, Outcome
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client

TRIES = 3  # of a check that the model decides
RETRY_SECONDS = 120  # a try that took longer is the last one
BUSY = 503  # with which vLLM refuses what is too much, as with --max-num-queued-reqs
BUSY_SECONDS = 60  # for which such a request is made again
BUSY_POLL_SECONDS = 1
ENGINE_ROUNDS = 3
COUNT_SECONDS = 3  # vLLM counts a request shortly after it has answered it
COUNT_POLL_SECONDS = 0.1
EACH_ENGINE = ("completion", "knows")
ONE_ANSWER = ("chat", "reasoning")  # checks that examine the same one


def probe(
    client: Client, cases: Mapping[str, Case], engines: int
) -> tuple[dict[str, Outcome], dict[str, Any]]:
    """Return the outcome of each check, given as {name: case}, and facts from the answers."""
    outcomes: dict[str, Outcome] = {}
    facts: dict[str, Any] = {}
    if "streaming" in cases:  # first and alone, so that its metrics are those of one stream
        outcomes["streaming"], answer = _settle(client, "streaming", cases["streaming"])
        facts.update(answer.stream.metrics() if answer.stream else {})
    talk = [name for name in ONE_ANSWER if name in cases]
    others = [name for name in cases if name not in ("streaming", *EACH_ENGINE, *ONE_ANSWER)]
    with ThreadPoolExecutor(len(cases) + 2 * engines) as pool:
        talking = pool.submit(_settle_together, client, talk, cases[talk[0]]) if talk else None
        pending = {name: pool.submit(_settle, client, name, cases[name]) for name in others}
        knowing = _on_engines(client, pool, "knows", cases["knows"], engines) if "knows" in cases else None
        if "completion" in cases:
            outcomes["completion"], facts["engines"] = _each_engine(
                client, pool, cases["completion"], engines
            )
        if knowing:
            outcomes["knows"] = _of_engines(knowing)
        outcomes.update({name: future.result()[0] for name, future in pending.items()})
        if talking:
            together, answer = talking.result()
            outcomes.update(together)
            facts["answer"] = _parts(answer)
    return {name: outcomes[name] for name in cases}, facts


def _parts(answer: Answer) -> dict[str, str]:
    message = (answer.stream.message if answer.stream else answer.message) or Message()
    return {"reasoning": message.reasoning, "content": message.content}


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
        answer = _ask(client, request)
        outcomes = {name: checks.outcome(name, answer, about) for name in names}
        again = any(one.again for one in outcomes.values())
        if not again or answer.seconds > RETRY_SECONDS:
            break
    return outcomes, answer


def _ask(client: Client, request: Request) -> Answer:
    """Return the answer to a request, which is made again while the service has too much to do."""
    return _again(
        lambda: client.ask(request), lambda answer: answer.status == BUSY, BUSY_SECONDS, BUSY_POLL_SECONDS
    )


def _again(
    ask: Callable[[], Answer], unfit: Callable[[Answer], bool], seconds: float, pause: float
) -> Answer:
    """Return the first answer that is not *unfit*, or the last after so many *seconds*, with a *pause* between two."""
    deadline = time.monotonic() + seconds
    answer = ask()
    while unfit(answer) and time.monotonic() < deadline:
        time.sleep(pause)
        answer = ask()
    return answer


def _on_engines(
    client: Client, pool: Executor, name: str, about: Case, engines: int
) -> list[Future[tuple[Outcome, Answer]]]:
    """Let a check of each engine begin, by their ranks."""
    return [pool.submit(_settle, client, name, about, rank) for rank in range(engines)]


def _of_engines(settling: Sequence[Future[tuple[Outcome, Answer]]]) -> Outcome:
    """Return one outcome for those of all engines: the first that failed, or what all of them found."""
    outcomes = [future.result()[0] for future in settling]
    seconds = max(outcome.seconds for outcome in outcomes)
    for rank, outcome in enumerate(outcomes):
        if outcome.problem:
            problem = replace(outcome.problem, found=f"engine {rank}: {outcome.problem.found}")
            return outcome._replace(detail=problem.found, seconds=seconds, problem=problem)
    return Outcome(", ".join(f"engine {rank}: {one.detail}" for rank, one in enumerate(outcomes)), seconds)


def _each_engine(client: Client, pool: Executor, about: Case, engines: int) -> tuple[Outcome, dict[str, int]]:
    """Return the outcome over all engines, and how many requests each has answered meanwhile.

    Each request names an engine. A server that ignores this distributes them as it likes, so there is more
    than one round.
    """
    began = time.monotonic()
    grown: dict[str, int] = {}
    try:
        before = answered(client)
        for _round in range(ENGINE_ROUNDS):
            outcome = _of_engines(_on_engines(client, pool, "completion", about, engines))
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
        grown = {engine: count - before.get(engine, 0) for engine, count in answered(client).items()}
        if not checks.silent_engines(grown, engines) or time.monotonic() >= deadline:
            return grown
        time.sleep(COUNT_POLL_SECONDS)


def answered(client: Client) -> dict[str, int]:
    """Return how many requests each engine has answered so far. Raises ProblemError if the metrics do not answer."""
    answer = _again(client.metrics, lambda answer: answer.status != 200, COUNT_SECONDS, COUNT_POLL_SECONDS)
    checks.require_success(answer, "status 200 of /metrics, which counts the answers of each engine")
    return metrics.answered(answer.text)
