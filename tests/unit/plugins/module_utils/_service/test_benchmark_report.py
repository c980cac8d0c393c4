# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import benchmark_report
from hypothesis import given
from hypothesis import strategies as st

TIMES = {"p50": 100.0, "p90": 150.0, "p99": 200.0, "mean": 110.0}


def level(concurrency: int, rate: float) -> dict[str, Any]:
    counts = {"concurrency": concurrency, "completed": 10 * concurrency, "failed": 0, "seconds": 20.0}
    rates = {
        "requests_per_second": 1.0,
        "output_tokens_per_second": rate,
        "total_tokens_per_second": 5 * rate,
    }
    return {**counts, **rates, **{f"{name}_ms": dict(TIMES) for name in ("ttft", "tpot", "itl", "e2el")}}


REPORT: dict[str, Any] = {
    "date": "2026-11-28 10:00:00 UTC",
    "load": {"input tokens": 1024, "output tokens": 256},
    "service": {"model": "glm47", "image": "vllm-ascend:v0.13.0rc1", "flags": "--max-num-seqs 16"},
    "levels": [level(1, 14.0), level(2, 27.5), level(4, 50.0), level(8, 51.0)],
    "ended": "no growth",
}


def changed(**values: Any) -> dict[str, Any]:
    """Return the report with other values at 4 requests at a time, given as output_tokens_per_second or ttft_ms__p99."""
    report = copy.deepcopy(REPORT)
    for name, value in values.items():
        outer, _two, inner = name.partition("__")
        target = report["levels"][2][outer] if inner else report["levels"][2]
        target[inner or outer] = value
    return report


@pytest.mark.parametrize(
    ("values", "worse"),
    [
        ({}, []),
        ({"output_tokens_per_second": 46.0}, []),
        ({"output_tokens_per_second": 44.0}, ["output tokens/s at 4 at a time: 50 before, 44 now (-12%)"]),
        ({"output_tokens_per_second": 90.0}, []),
        ({"ttft_ms__p50": 119.0}, []),
        ({"ttft_ms__p50": 130.0}, ["first token, p50 at 4 at a time: 100 before, 130 now (+30%)"]),
        ({"ttft_ms__p50": 50.0, "tpot_ms__p99": 190.0}, []),
        ({"tpot_ms__p50": 120.0}, ["time per token, p50 at 4 at a time: 100 before, 120 now (+20%)"]),
    ],
)
def test_what_became_worse_is_named(values: dict[str, float], worse: list[str]):
    report = changed(**values)
    assert benchmark_report.regressions(report, REPORT) == worse
    assert ("slower." in benchmark_report.summary(report, REPORT)) == bool(worse)


def test_a_change_is_a_part_of_the_former_value_and_as_large_as_the_tolerance_none():
    zero = changed(output_tokens_per_second=0.0)
    rows = {row["name"]: row for row in benchmark_report.changes(REPORT, zero) if row["concurrency"] == 4}
    assert rows["output tokens/s"]["change"] == 0
    for name, path, tolerance, more_is_better in benchmark_report.COMPARED:
        for sign, verdict in ((1, "better"), (-1, "worse")):
            factor = 1 + sign * tolerance * (1 if more_is_better else -1)
            for beyond, expected in ((0, "same"), (sign if more_is_better else -sign, verdict)):
                former = changed(**{"__".join(path): 1024.0})
                new = changed(**{"__".join(path): 1024.0 * factor + beyond})
                (row,) = [
                    one
                    for one in benchmark_report.changes(new, former)
                    if one["name"] == name and one["concurrency"] == 4
                ]
                if beyond or abs(row["change"]) <= tolerance:
                    assert row["verdict"] == expected, (name, factor)


def test_only_levels_that_both_have_are_compared():
    former = {**REPORT, "levels": [level(2, 27.5), level(16, 100.0)]}
    assert {row["concurrency"] for row in benchmark_report.changes(REPORT, former)} == {2}


@pytest.mark.parametrize("other", [{"load": {"input tokens": 1}}, {"service": {"model": "qwen"}}])
def test_another_model_or_load_is_not_compared(other: dict[str, Any]):
    former = {**REPORT, **other, "levels": [level(1, 1000.0)]}
    assert "It is not compared." in benchmark_report.summary(REPORT, former)
    assert "Compared with" not in benchmark_report.page(REPORT, former)


def test_the_texts(golden):
    slower = changed(output_tokens_per_second=40.0, ttft_ms__p99=400.0, failed=3)
    slower["service"] = {**slower["service"], "image": "vllm-ascend:v0.18.0"}
    golden(
        "benchmark",
        {
            "first": benchmark_report.summary(REPORT, None),
            "same": benchmark_report.summary(REPORT, REPORT),
            "slower": benchmark_report.summary({**slower, "ended": "time"}, REPORT),
            "another load": benchmark_report.summary({**REPORT, "ended": "limit"}, {**REPORT, "load": {}}),
        },
    )


class Tags(HTMLParser):
    """Counts tags, and fails on those that do not match."""

    VOID = ("meta", "line", "circle", "polyline")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing():
    evil = {**REPORT, "service": {**REPORT["service"], "flags": "<script>alert(1)</script>"}}
    page = benchmark_report.page(evil, changed(output_tokens_per_second=60.0))
    tags = Tags(page).seen
    assert tags.count("svg") == 4
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not re.search(r"https?://|url\(|@import", page)
    assert "<td class=worse>worse</td>" in page


@pytest.mark.parametrize("largest", [0, 0.3, 1, 7, 51, 99.9, 100, 1234567])
def test_an_axis_has_few_round_numbers_up_to_the_largest_value(largest: float):
    ticks = benchmark_report.ticks(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= largest
    assert 2 <= len(ticks) <= 6


def test_every_point_is_within_the_plot():
    for plot in benchmark_report.plots(REPORT, changed(ttft_ms__p99=5000.0)):
        for path in re.findall(r'points="([^"]+)"', plot):
            for spot in path.split():
                x, y = map(float, spot.split(","))
                assert benchmark_report.LEFT <= x <= benchmark_report.WIDTH
                assert 0 < y <= benchmark_report.HEIGHT


def test_both_axes_have_their_numbers():
    first = benchmark_report.plots(REPORT, None)[0]
    labels = re.findall(r">([0-9.e+]+)</text>", first)
    assert labels[-4:] == ["1", "2", "4", "8"]
    assert labels[0] == "0"
    heights = [float(y) for y in re.findall(r'<line [^>]*y1="([\d.]+)"', first)]
    assert len(heights) == len(labels) - 4  # a line for each number of the upright axis, from the bottom
    assert heights == sorted(heights, reverse=True)


def test_a_busy_service_is_named():
    lines = benchmark_report.summary({**REPORT, "others": 5}).splitlines()
    assert "When it began, the service had 5 requests of others, which slow what was measured." in lines
    assert "others" not in benchmark_report.summary({**REPORT, "others": 0})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '"text"', json.dumps({**REPORT, "levels": []}), json.dumps({**REPORT, "levels": [{}]})]
)  # fmt: skip
def test_what_is_no_report_is_told_before_a_measurement(text: str):
    assert benchmark_report.is_report(text) is False


def test_a_report_is_one_after_it_was_written():
    assert benchmark_report.is_report(json.dumps(REPORT))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0123, "0.0123"), (34.52, "34.5"), (99.96, "100"), (297.95, "298"), (1837.3, "1837")],
)
def test_a_figure_has_three_digits_or_all_before_the_point(value: float, shown: str):
    assert benchmark_report.figure(value) == shown


@given(st.floats(1e-3, 1e9))
def test_the_numbers_of_an_axis_are_round_and_reach_the_largest_value(largest: float):
    found = benchmark_report.ticks(largest)
    assert found[0] == 0
    assert found[-1] >= largest > found[-2]
    assert 3 <= len(found) <= 6
    step = found[1]
    assert found == pytest.approx([step * number for number in range(len(found))])
    assert f"{step:e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


def test_an_axis_without_values_ends_at_one():
    assert benchmark_report.ticks(0) == [0.0, 1.0]


def test_each_value_has_a_spot_on_its_line():
    lines = {"p50": [(1, 5.0), (2, 10.0), (8, 20.0)], "p99": [(1, 10.0), (8, 40.0)]}
    drawn = benchmark_report.plot("First token, ms", lines)
    spots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert len(spots) == 5
    (x1, y5), (x2, _y10), (x8, y20), _first, (_x8, y40) = spots
    assert (x8 - x1) == pytest.approx(3 * (x2 - x1), abs=0.3)  # by doublings
    assert (y5 - y40) == pytest.approx(7 * (y5 - y20) / 3, abs=0.3)  # from 0
    paths = re.findall(r'<polyline points="([^"]+)"', drawn)
    assert [len(path.split()) for path in paths] == [3, 2]
    assert "p50" in drawn
    assert "p50" not in benchmark_report.plot("First token, ms", {"p50": lines["p50"]})
