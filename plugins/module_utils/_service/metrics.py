# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what /metrics of vLLM reports about each engine."""

from __future__ import annotations

import re
from typing import Any, Iterator

# A value that is finite. vLLM writes no other.
SAMPLE = re.compile(r"^(vllm:\w+)\{([^}]*)\} ([0-9]{1,20}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)$", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')
RANK = re.compile(r"[0-9]{1,9}")
ANSWERED = ("stop", "length")  # reasons to finish a request that mean an answer
# The key of an engine's entry, its metric, and whether that is a counter: then its growth per second counts.
VALUES = {
    "running": ("vllm:num_requests_running", False),
    "waiting": ("vllm:num_requests_waiting", False),
    "kv_cache_used": ("vllm:kv_cache_usage_perc", False),
    "prompt_tokens_per_second": ("vllm:prompt_tokens_total", True),
    "generated_tokens_per_second": ("vllm:generation_tokens_total", True),
    "requests": ("vllm:request_success_total", False),
}


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield metric, labels and value of each sample of vLLM's engines in a Prometheus *text*."""
    for metric, labels, value in SAMPLE.findall(text):
        named = {"engine": "0", **dict(LABEL.findall(labels))}
        if RANK.fullmatch(named["engine"]):
            yield metric, named, float(value)


def parse(text: str) -> dict[tuple[str, str], float]:
    """Return {(metric, engine): value}. Samples that differ in other labels are added up."""
    sums: dict[tuple[str, str], float] = {}
    for metric, labels, value in _samples(text):
        key = metric, labels["engine"]
        sums[key] = sums.get(key, 0.0) + value
    return sums


def answered(text: str) -> dict[str, int]:
    """Return how many requests each engine has answered, by its rank."""
    counts: dict[str, int] = {}
    for metric, labels, value in _samples(text):
        if metric == "vllm:request_success_total":
            count = int(value) if labels.get("finished_reason") in ANSWERED else 0
            counts[labels["engine"]] = counts.get(labels["engine"], 0) + count
    return counts


def engines(before: str, after: str, seconds: float) -> list[dict[str, Any]]:
    """Return what two readings, *seconds* apart, report about each engine. Missing values are None."""
    earlier, later = parse(before), parse(after)
    result = []
    for rank in sorted({engine for _metric, engine in later}, key=lambda engine: (len(engine), engine)):
        entry: dict[str, Any] = {"engine": int(rank)}
        for key, (metric, counter) in VALUES.items():
            value = later.get((metric, rank))
            if counter and value is not None:
                grown = value - earlier.get((metric, rank), value)
                value = round(max(0.0, grown) / seconds, 1)  # vLLM may have started again meanwhile
            entry[key] = value
        result.append(entry)
    return result
