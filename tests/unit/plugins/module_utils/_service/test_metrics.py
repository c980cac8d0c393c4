# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import metrics

TEXT = (Path(__file__).parents[2] / "fixtures" / "metrics.txt").read_text(encoding="utf-8")


def test_counters_become_rates_and_gauges_stay():
    later = TEXT.replace('engine="1",model_name="glm47"} 48.0', 'engine="1",model_name="glm47"} 98.0')
    first, second = metrics.engines(TEXT, later, 2.0)
    assert (first["engine"], second["engine"]) == (0, 1)
    assert (first["generated_tokens_per_second"], second["generated_tokens_per_second"]) == (0.0, 25.0)
    assert (first["running"], first["requests"], second["requests"]) == (0.0, 2.0, 2.0)


def test_rates_have_one_digit_behind_the_point():
    later = TEXT.replace('engine="1",model_name="glm47"} 48.0', 'engine="1",model_name="glm47"} 49.0')
    assert metrics.engines(TEXT, later, 3.0)[1]["generated_tokens_per_second"] == 0.3


def test_only_answers_count_as_answered():
    sample = 'vllm:request_success_total{{engine="{}",finished_reason="{}"}} {}'
    rows = [("0", "stop", 2), ("0", "length", 1), ("0", "abort", 40), ("1", "abort", 5)]
    assert metrics.answered("\n".join(sample.format(*row) for row in rows)) == {"0": 3, "1": 0}


def test_what_is_not_given_is_unknown():
    assert metrics.engines(TEXT, TEXT, 2.0)[0]["waiting"] is None
    assert metrics.engines("", "", 2.0) == []


def test_an_engine_that_appears_meanwhile_has_no_rate_yet():
    assert metrics.engines("", TEXT, 2.0)[0]["generated_tokens_per_second"] == 0.0


def test_only_tokens_are_counted_by_the_second():
    def text(number: int) -> str:
        rows = [(metric, number) for metric, _counter in metrics.VALUES.values()]
        return "\n".join(f'{metric}{{engine="0"}} {value}' for metric, value in rows)

    assert metrics.engines(text(10), text(30), 2.0) == [
        {
            "engine": 0,
            "running": 30.0,
            "waiting": 30.0,
            "kv_cache_used": 30.0,
            "prompt_tokens_per_second": 10.0,
            "generated_tokens_per_second": 10.0,
            "requests": 30.0,
        }
    ]


def test_engines_are_in_the_order_of_their_numbers_and_labels_are_added_up():
    rows = [("10", "a", 1), ("2", "a", 2), ("2", "b", 3)]
    text = "\n".join(f'vllm:num_requests_running{{engine="{engine}",x="{x}"}} {n}' for engine, x, n in rows)
    found = metrics.engines(text, text, 1.0)
    assert [(one["engine"], one["running"]) for one in found] == [(2, 5.0), (10, 1.0)]
    assert metrics.parse("vllm:num_requests_running{} 4") == {("vllm:num_requests_running", "0"): 4.0}


@pytest.mark.parametrize("value", ["1e999", "9" * 400, "NaN", "+Inf", ".", "1e", "\u0661"])
def test_what_is_no_finite_number_counts_for_nothing(value: str):
    text = f'vllm:request_success_total{{engine="0",finished_reason="stop"}} {value}'
    assert (metrics.answered(text), metrics.engines(text, text, 1.0)) == ({}, [])


@pytest.mark.parametrize("rank", ["", "x", "-1", "1.0", "\u0662", "\u00b2", "9" * 5000])
def test_what_is_no_rank_is_no_engine(rank: str):
    text = f'vllm:request_success_total{{engine="{rank}",finished_reason="stop"}} 1'
    assert (metrics.answered(text), metrics.engines(text, text, 1.0)) == ({}, [])


def test_a_service_that_starts_again_meanwhile_computes_nothing_less_than_nothing():
    before, after = (f'vllm:generation_tokens_total{{engine="0"}} {count}' for count in (900, 5))
    assert metrics.engines(before, after, 2.0)[0]["generated_tokens_per_second"] == 0.0
