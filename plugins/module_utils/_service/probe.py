# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make checks of an endpoint: send their requests and examine the answers."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer, Message
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Case, Outcome, Prompt
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client

ENGINE_ROUNDS = 3
COUNT_SECONDS = 3  # vLLM counts a request shortly after it has answered it
COUNT_POLL_SECONDS = 0.1


def probe(
    client: Client, names: Sequence[str], model: str, prompts: Mapping[str, Prompt], engines: int
) -> tuple[dict[str, Outcome], dict[str, Any]]:
    """Return the outcome of each check, and facts from the answers."""
    cases = {name: checks.case(name, model, prompts) for name in names}
    outcomes: dict[str, Outcome] = {}
    facts: dict[str, Any] = {}
    if "streaming" in names:  # first and alone, so that its figures are those of one stream
        about = cases["streaming"]
        answer = client.stream(checks.CHECKS["streaming"].request(about))
        outcomes["streaming"] = checks.outcome("streaming", answer, about)
        facts.update(answer.stream.figures() if answer.stream else {})
    with ThreadPoolExecutor(len(names) + engines) as pool:
        pending = _send(client, pool, cases)
        if "completion" in names:
            outcomes["completion"], facts["engines"] = _each_engine(
                client, pool, cases["completion"], engines
            )
        for name, future in pending.items():
            answer = future.result()
            outcomes[name] = checks.outcome(name, answer, cases[name])
            if name in ("chat", "reasoning"):
                message = answer.message or Message()
                facts["answer"] = {"reasoning": message.reasoning, "content": message.content}
    return {name: outcomes[name] for name in names}, facts


def _send(client: Client, pool: Executor, cases: Mapping[str, Case]) -> dict[str, Future[Answer]]:
    """Send the requests of the checks that need one plain answer. `reasoning` examines that of `chat`."""
    pending: dict[str, Future[Answer]] = {}
    for name, about in cases.items():
        if name == "reasoning" and "chat" in pending:
            pending[name] = pending["chat"]
        elif name not in ("streaming", "completion"):
            pending[name] = pool.submit(client.ask, checks.CHECKS[name].request(about))
    return pending


def _each_engine(client: Client, pool: Executor, about: Case, engines: int) -> tuple[Outcome, dict[str, int]]:
    """Return the outcome over all engines, and how many requests each has answered meanwhile.

    Each request names an engine. A server that ignores this distributes them as it likes, so there is more
    than one round.
    """
    began = time.monotonic()
    request = checks.CHECKS["completion"].request(about)
    before, grown = client.answered(), {}
    try:
        for _round in range(ENGINE_ROUNDS):
            for answer in pool.map(client.ask, [request._replace(engine=rank) for rank in range(engines)]):
                checks.check_completion(answer, about)
            grown = _growth(client, before, engines)
            if not checks.silent_engines(grown, engines):
                break
        return Outcome(checks.check_engines(grown, engines), time.monotonic() - began), grown
    except ProblemError as error:
        return checks.failed(error.problem, time.monotonic() - began), grown


def _growth(client: Client, before: Mapping[str, int], engines: int) -> dict[str, int]:
    """Return by how much the engines' counters grew, once all did or the time is over."""
    deadline = time.monotonic() + COUNT_SECONDS
    while True:
        grown = {engine: count - before.get(engine, 0) for engine, count in client.answered().items()}
        if not checks.silent_engines(grown, engines) or time.monotonic() >= deadline:
            return grown
        time.sleep(COUNT_POLL_SECONDS)
