# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what vLLM's /metrics says of each engine."""

from __future__ import annotations

import re
from typing import Any

SAMPLE = re.compile(r"^(vllm:\w+)\{([^}]*)\} (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')
# The key of an engine's entry, the metric it comes from, and whether it is a counter, whose growth per second counts.
VALUES = {
    "running": ("vllm:num_requests_running", False),
    "waiting": ("vllm:num_requests_waiting", False),
    "kv_cache_used": ("vllm:kv_cache_usage_perc", False),
    "prompt_tokens_per_second": ("vllm:prompt_tokens_total", True),
    "generated_tokens_per_second": ("vllm:generation_tokens_total", True),
    "requests": ("vllm:request_success_total", False),
}


def parse(text: str) -> dict[tuple[str, str], float]:
    """Return {(metric, engine): value} of the Prometheus *text*; samples that differ in other labels are added up."""
    found = {}  # type: dict[tuple[str, str], float]
    for metric, labels, value in SAMPLE.findall(text):
        key = metric, dict(LABEL.findall(labels)).get("engine", "0")
        found[key] = found.get(key, 0.0) + float(value)
    return found


def engines(before: str, after: str, seconds: float) -> list[dict[str, Any]]:
    """Return what two texts of /metrics, *seconds* apart, say of each engine, by rank; a value they do not give is None."""
    then, now = parse(before), parse(after)
    result = []
    for rank in sorted({engine for _metric, engine in now}, key=lambda engine: (len(engine), engine)):
        entry = {"engine": int(rank)}  # type: dict[str, Any]
        for key, (metric, counter) in VALUES.items():
            value = now.get((metric, rank))
            if counter and value is not None:
                value = round((value - then.get((metric, rank), value)) / seconds, 1)
            entry[key] = value
        result.append(entry)
    return result
