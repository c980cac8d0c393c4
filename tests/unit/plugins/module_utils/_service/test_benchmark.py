# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sweep against an engine whose speed is a formula, on a clock of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import benchmark
from polling import wait_until

TOKENS = 100  # of each answer


class Engine:
    """Answers at 10 tokens a second each, but no more than *most* in all; a run has 5 s of *overhead*."""

    def __init__(self, most: float, overhead: float = 5) -> None:
        self.most = most
        self.overhead = overhead
        self.now = 0.0
        self.asked: list[tuple[int, int]] = []

    def measure(self, concurrency: int, requests: int, seconds: float) -> dict[str, Any]:
        self.asked.append((concurrency, requests))
        rate = min(10.0 * concurrency, self.most)
        duration = requests * TOKENS / rate
        self.now += min(self.overhead + duration, seconds)
        if self.overhead + duration > seconds:
            raise benchmark.TimeOver
        return result(duration, requests, rate, 1000 * TOKENS * concurrency / rate)

    def sweep(self, seconds: float, most: int = 256) -> tuple[list[int], str]:
        levels, ended = benchmark.sweep(self.measure, seconds, most, lambda: self.now)
        return [level["concurrency"] for level in levels], ended


def result(duration: float, completed: int, rate: float, answer_ms: float, failed: int = 0) -> dict[str, Any]:
    """Return what `vllm bench serve` of 0.13.0 writes, as far as it is read."""
    times = {
        f"{kind}_{name}_ms": answer_ms
        for name in benchmark.METRICS
        for kind in ("mean", *benchmark.QUANTILES)
    }
    rates = {
        "request_throughput": rate / TOKENS,
        "output_throughput": rate,
        "total_token_throughput": 5 * rate,
    }
    return {"duration": duration, "completed": completed, "failed": failed, **rates, **times}


@pytest.mark.parametrize(
    ("most", "seconds", "limit", "levels", "ended"),
    [
        (80, 6000, 256, [1, 2, 4, 8, 16, 32], "no growth"),
        (10, 6000, 256, [1, 2, 4], "no growth"),
        (1e9, 6000, 16, [1, 2, 4, 8, 16], "limit"),
        (1e9, 200, 256, [1, 2, 4, 8, 16, 32, 64], "time"),
        (80, 30, 256, [1], "time"),
    ],
)
def test_it_ends_where_nothing_grows_or_the_time_is_over(most, seconds, limit, levels, ended):
    engine = Engine(most)
    assert engine.sweep(seconds, limit) == (levels, ended)
    assert engine.now <= seconds


def test_each_level_has_two_rounds_or_more_and_a_bounded_time():
    engine = Engine(1e9)
    engine.sweep(600)
    measured = dict(engine.asked[1:])
    assert all(requests % concurrency == 0 for concurrency, requests in measured.items())
    assert all(2 <= requests // concurrency <= 20 for concurrency, requests in measured.items())
    assert max(requests / concurrency * 10 for concurrency, requests in measured.items()) <= 70


@pytest.mark.parametrize(
    ("seconds", "answer", "rounds"),
    [
        (1200, 10, 6),  # a level has 60 s at most
        (1200, 8.1, 7),
        (600, 10, 5),  # a twelfth of the time
        (60, 1, 10),  # 10 s at least
        (60, 0.1, 20),  # no more than these rounds
        (600, 100, 2),  # no fewer than these
        (600, 0, 20),
    ],
)
def test_the_first_level_has_as_many_rounds_as_its_time_takes(seconds: float, answer: float, rounds: int):
    asked = []

    def measure(concurrency: int, requests: int, _seconds: float) -> dict[str, Any]:
        asked.append((concurrency, requests))
        return result(requests * answer, requests, 10, 1000 * answer)

    benchmark.sweep(measure, seconds, 1, lambda: 0.0)
    assert asked == [(1, 2), (1, rounds)]


@pytest.mark.parametrize(("seconds", "levels", "ended"), [(40, [1], "limit"), (39.9, [1], "time")])
def test_a_level_begins_if_it_can_end_in_time(seconds: float, levels: list[int], ended: str):
    """Without overhead, the first requests take 20 s, and so does the first level."""
    engine = Engine(1e9, overhead=0)
    assert engine.sweep(seconds, 1) == (levels, ended)
    assert len(engine.asked) == (2 if ended == "limit" else 1)


def test_the_tool_is_asked_for_all_figures_that_are_read():
    flags = benchmark.flags("http://a", "glm47", "/models", (10, 20), 4, 8)
    assert {
        "--base-url=http://a",
        "--model=/models",
        "--served-model-name=glm47",
        "--random-input-len=10",
        "--random-output-len=20",
        "--max-concurrency=4",
        "--num-prompts=8",
        "--metric-percentiles=50,90,99",
        "--disable-tqdm",
    } <= set(flags)


def test_a_level_that_does_not_end_is_left_out():
    def measure(concurrency: int, requests: int, seconds: float) -> dict[str, Any]:
        if concurrency == 4:
            raise benchmark.TimeOver
        return result(1, requests, 10 * concurrency, 1000)

    levels, ended = benchmark.sweep(measure, 600, 256)
    assert ([level["concurrency"] for level in levels], ended) == ([1, 2], "time")


def test_a_service_that_answers_nothing_is_a_problem():
    with pytest.raises(ProblemError, match="none of 2 requests at 1 at a time was answered"):
        benchmark.sweep(lambda *_asked: {"completed": 0, "failed": 2, "duration": 1.0}, 600, 256)


def test_too_little_time_for_the_first_level_is_a_problem():
    with pytest.raises(ProblemError, match="2 requests, one after the other, took more"):
        Engine(10).sweep(15)


def test_numbers_that_are_none_do_not_reach_the_report():
    raw = result(1, 2, 10, 1000)
    raw["p99_tpot_ms"] = float("nan")
    parsed = benchmark.parsed(json.dumps(raw))
    assert benchmark.level(1, parsed)["tpot_ms"]["p99"] == 0


def test_the_environment_of_the_service_changes_neither_the_result_nor_the_way_to_it(tmp_path):
    """Scripts of CANN may print warnings, and the environment may have a proxy, through which aiohttp would ask."""
    script = benchmark.SCRIPT.replace("/tmp/ascend-ops-benchmark.lock", str(tmp_path / "lock"))
    (tmp_path / "serve").write_text(
        "export http_proxy=http://proxy:3128 NO_PROXY=localhost\necho a warning\nexec serve\n",
        encoding="utf-8",
    )
    check = 'import sys, urllib.request as r; sys.exit(not r.proxy_bypass("10.0.0.10:8080"))'
    tool = tmp_path / "vllm"
    tool.write_text(
        f"""#!/bin/bash
{sys.executable} -c '{check}' || exit 9
while [[ $1 != --result-dir ]]; do shift; done
echo '{{"completed": 1}}' >"$2/result.json"
""",
        encoding="utf-8",
    )
    tool.chmod(0o755)
    command = ["bash", "-c", script, "bash", str(tmp_path / "serve"), "60"]
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert benchmark.parsed(done.stdout) == {"completed": 1}


def test_of_two_measurements_at_a_time_the_second_is_refused(tmp_path):
    """The first is what goes on in the container when Ansible was interrupted."""
    script = benchmark.SCRIPT.replace("/tmp/ascend-ops-benchmark.lock", str(tmp_path / "lock"))
    serve = tmp_path / "serve"
    serve.write_text("exec serve\n", encoding="utf-8")
    tool = tmp_path / "vllm"
    tool.write_text("#!/bin/bash\ntouch $ARRIVED; read -r _line < $GOES_ON\n", encoding="utf-8")
    tool.chmod(0o755)
    arrived, goes_on = tmp_path / "arrived", tmp_path / "goes-on"
    os.mkfifo(goes_on)
    given = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ARRIVED": str(arrived), "GOES_ON": str(goes_on)}
    command = ["bash", "-c", script, "bash", str(serve), "60"]
    with subprocess.Popen(command, env=given) as first:
        wait_until(arrived.exists, 30, "the first runs")
        assert subprocess.run(command, env=given, check=False).returncode == benchmark.IN_USE
        goes_on.write_text("go on\n", encoding="ascii")
        first.wait()


def test_the_first_level_is_one_request_at_a_time_with_the_figures_of_the_tool():
    (first, *_others), _ended = benchmark.sweep(Engine(80).measure, 30, 256, lambda: 0.0)
    assert (first["concurrency"], first["completed"], first["seconds"]) == (1, 2, 20.0)
    raw = {**result(1.23456, 2, 10.126, 1000.126)}
    level = benchmark.level(3, raw)
    assert (level["concurrency"], level["seconds"], level["output_tokens_per_second"]) == (3, 1.23, 10.13)
    assert level["e2el_ms"]["mean"] == 1000.13
