# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the endpoint is at more and more requests at a time, measured by `vllm bench serve`."""

from __future__ import annotations

import json
import math
import time
from typing import Any, Callable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError

GROWTH = 1.05  # less than 5 % more tokens a second count as no growth
FLAT_LEVELS = 2  # so many levels without growth end the sweep
SHORTEST, LONGEST = 10.0, 60.0  # seconds that one level is measured for
FEWEST_ROUNDS, MOST_ROUNDS = 2, 20  # requests of each stream at one level
FULL, TIME, MOST = "no growth", "time", "limit"  # why a sweep ended
# First token, time for each next one, gaps between them, whole answer.
METRICS = ("ttft", "tpot", "itl", "e2el")
QUANTILES = ("p50", "p90", "p99")

# Run by bash in the container. The serve script has the environment, and the API key in a variable: neither is in an
# argument. Standard output is the result alone. What Ansible was interrupted in goes on in the container, and keeps the lock.
SCRIPT = r"""
exec 9>/tmp/ascend-ops-benchmark.lock
flock --nonblock 9 || [[ $? -ne 1 ]] || exit 75 # an image without flock measures all the same
source <(sed '/^exec /,$d' "$1") >&2
export OPENAI_API_KEY=${VLLM_API_KEY:-none} HF_HUB_OFFLINE=1 no_proxy='*' # vllm bench would ask through a proxy
unset NO_PROXY
unset VLLM_API_KEY
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout --kill-after=10 "$2" vllm bench serve "${@:3}" --save-result --result-dir "$folder" --result-filename result.json >&2 || exit
cat "$folder/result.json"
"""
TIMED_OUT = 124  # by timeout(1)
IN_USE = 75  # by SCRIPT, where another measurement runs


class TimeOver(Exception):
    """A measurement did not end within its time."""


# Measures `concurrency` streams with `requests` requests in all, within `seconds`. Returns the result of vLLM.
Measure = Callable[[int, int, float], Mapping[str, Any]]


def flags(
    url: str, model: str, tokenizer: str, tokens: tuple[int, int], concurrency: int, requests: int
) -> list[str]:
    """Return the flags of `vllm bench serve`, those that 0.13.0 and 0.30.0 both have.

    *tokens* are those of each question and of each answer. Questions are random words, so nothing is downloaded.
    """
    values = {
        "base-url": url,
        "model": tokenizer,
        "served-model-name": model,
        "dataset-name": "random",
        "random-input-len": tokens[0],
        "random-output-len": tokens[1],
        "max-concurrency": concurrency,
        "num-prompts": requests,
        "percentile-metrics": ",".join(METRICS),
        "metric-percentiles": ",".join(name[1:] for name in QUANTILES),
        "seed": concurrency,  # no level finds the questions of another in the cache
        "ready-check-timeout-sec": 30,
    }
    return [f"--{name}={value}" for name, value in values.items()] + ["--disable-tqdm"]


def sweep(
    measure: Measure, seconds: float, most: int, clock: Callable[[], float] = time.monotonic
) -> tuple[list[dict[str, Any]], str]:
    """Measure 1, 2, 4, … streams until throughput grows no more, or *seconds* are over. Return levels and reason."""
    end = clock() + seconds
    began = clock()
    try:
        first = level(1, measure(1, FEWEST_ROUNDS, seconds))  # also warms up; tells how long an answer takes
    except TimeOver:
        raise ProblemError(
            f"{FEWEST_ROUNDS} requests, one after the other, took more than {seconds / 60:g} minutes",
            "time for several levels",
            "look whether the service is ready (playbooks/status.yml), or give more benchmark_minutes",
        ) from None
    overhead = max(0.0, clock() - began - first["seconds"])
    answer = first["e2el_ms"]["mean"] / 1000
    each = min(max(seconds / 12, SHORTEST), LONGEST)  # seconds for a level
    levels: list[dict[str, Any]] = []
    concurrency = 1
    while True:
        rounds = min(max(round(each / max(answer, 0.001)), FEWEST_ROUNDS), MOST_ROUNDS)
        left = end - clock()
        if overhead + rounds * answer > left:
            rounds = FEWEST_ROUNDS
        if overhead + rounds * answer > left:
            return levels or [first], TIME
        try:
            levels.append(level(concurrency, measure(concurrency, concurrency * rounds, left)))
        except TimeOver:
            return levels or [first], TIME
        if flat(levels):
            return levels, FULL
        answer = levels[-1]["e2el_ms"]["mean"] / 1000
        concurrency *= 2
        if concurrency > most:
            return levels, MOST


def flat(levels: list[dict[str, Any]]) -> bool:
    """Return whether the last levels brought no growth over the best before them."""
    rates = [one["output_tokens_per_second"] for one in levels]
    before, last = rates[:-FLAT_LEVELS], rates[-FLAT_LEVELS:]
    return bool(before) and max(last) < GROWTH * max(before)


def level(concurrency: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a result of `vllm bench serve`. Raises ProblemError if no request was answered."""
    completed = int(result.get("completed") or 0)
    failed = int(result.get("failed") or 0)
    if not completed:
        raise ProblemError(
            f"none of {failed or 'the'} requests at {concurrency} at a time was answered",
            "answers",
            "run `ansible-playbook playbooks/diagnose.yml`; if max-model-len of the service is less than "
            "benchmark_input_tokens and benchmark_output_tokens together, lower these",
        )
    return {
        "concurrency": concurrency,
        "completed": completed,
        "failed": failed,
        "seconds": round(float(result["duration"]), 2),
        "requests_per_second": round(float(result["request_throughput"]), 3),
        "output_tokens_per_second": round(float(result["output_throughput"]), 2),
        "total_tokens_per_second": round(float(result["total_token_throughput"]), 2),
        **{f"{name}_ms": _times(name, result) for name in METRICS},
    }


def _times(name: str, result: Mapping[str, Any]) -> dict[str, float]:
    values = {quantile: float(result[f"{quantile}_{name}_ms"]) for quantile in QUANTILES}
    values["mean"] = float(result[f"mean_{name}_ms"])
    return {key: round(value, 2) if math.isfinite(value) else 0.0 for key, value in values.items()}


def parsed(output: str) -> dict[str, Any]:
    """Return the result in what SCRIPT printed. A number that is none, as vLLM may write, is one to Python's JSON."""
    return dict(json.loads(output))
