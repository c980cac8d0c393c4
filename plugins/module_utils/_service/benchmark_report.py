# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a benchmark: one HTML file without scripts, and what became slower since the previous one.

A report is plain data: ``date``, ``service`` and ``load`` (mappings of names to texts or numbers), ``levels`` and ``ended`` as
:mod:`benchmark` makes them. ``others``: requests of others when it began, if there were any.
"""

from __future__ import annotations

import html
import json
import math
from typing import Any, Mapping, Sequence

Report = Mapping[str, Any]
Points = Sequence["tuple[float, float]"]

# What is compared at each number of requests at a time: name, path in a level, how far it may change before it is
# called a regression, and whether more is better. The slowest 1 % of few requests vary most.
COMPARED = (
    ("output tokens/s", ("output_tokens_per_second",), 0.10, True),
    ("first token, p50", ("ttft_ms", "p50"), 0.20, False),
    ("first token, p99", ("ttft_ms", "p99"), 0.50, False),
    ("time per token, p50", ("tpot_ms", "p50"), 0.10, False),
    ("time per token, p99", ("tpot_ms", "p99"), 0.30, False),
)
ENDED = {
    "no growth": "More requests at a time bring no more tokens a second.",
    "time": "The time was over before the throughput stopped growing.",
    "limit": "The largest number of requests at a time was reached; the throughput was still growing.",
}
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 460, 260, 58, 36, 16  # of a plot, in pixels
COLOURS = ("#0b6bcb", "#c2410c")
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #d0d7de;text-align:right}p{margin:.2rem 0}
td:first-child,th:first-child{text-align:left}.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}
figcaption{font-weight:600}.worse{color:#b42318;font-weight:600}.better{color:#1a7f37}svg text{font:11px system-ui,sans-serif;fill:#57606a}"""


def value(level: Mapping[str, Any], path: Sequence[str]) -> float:
    """Return a number of a level."""
    found: Any = level
    for name in path:
        found = found[name]
    return float(found)


def changes(report: Report, former: Report) -> list[dict[str, Any]]:
    """Return each compared value at each number of requests at a time that both reports have.

    ``change`` is a fraction of the previous value, such as -0.12. ``verdict`` is worse, better or same.
    """
    before = {level["concurrency"]: level for level in former["levels"]}
    rows = []
    for level in report["levels"]:
        if level["concurrency"] not in before:
            continue
        for name, path, tolerance, more_is_better in COMPARED:
            old, new = value(before[level["concurrency"]], path), value(level, path)
            change = (new - old) / old if old else 0.0
            worse, better = (-change, change) if more_is_better else (change, -change)
            verdict = "worse" if worse > tolerance else "better" if better > tolerance else "same"
            rows.append(
                {
                    "concurrency": level["concurrency"], "name": name, "former": old, "new": new,
                    "change": change, "verdict": verdict,
                }
            )  # fmt: skip
    return rows


def differences(report: Report, former: Report) -> list[str]:
    """Return what else is different: settings, versions, hardware."""
    return [
        f"{name}: {former['service'].get(name)} before, {report['service'].get(name)} now"
        for name in dict.fromkeys([*former["service"], *report["service"]])
        if former["service"].get(name) != report["service"].get(name)
    ]


def comparable(report: Report, former: Report) -> bool:
    """Return whether both were measured with the same model and the same load."""
    return (report["load"], report["service"].get("model")) == (
        former["load"],
        former["service"].get("model"),
    )


def regressions(report: Report, former: Report) -> list[str]:
    """Return a line for each value that became worse."""
    return [
        f"{row['name']} at {row['concurrency']} at a time: {figure(row['former'])} before, {figure(row['new'])} now ({row['change']:+.0%})"
        for row in changes(report, former)
        if row["verdict"] == "worse"
    ]


def figure(value: float) -> str:
    """Return a measured value as people read it: three digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def best(report: Report) -> Mapping[str, Any]:
    """Return the level with the most tokens a second."""
    return max(report["levels"], key=lambda level: level["output_tokens_per_second"])


def summary(report: Report, former: Report | None = None) -> str:
    """Return the report in a few lines for a terminal. *former* may be empty."""
    top, single = best(report), report["levels"][0]
    requests = f"{top['concurrency']} request{'s' * (top['concurrency'] > 1)}"
    lines = [
        f"{figure(top['output_tokens_per_second'])} tokens/s at {requests} at a time. {ENDED[report['ended']]}",
        f"One request alone: first token after {figure(single['ttft_ms']['p50'])} ms, then one each {figure(single['tpot_ms']['p50'])} ms.",
    ]
    failed = sum(level["failed"] for level in report["levels"])
    if failed:
        lines.append(f"{failed} requests failed.")
    if report.get("others"):
        lines.append(
            f"When it began, the service had {report['others']} requests of others, which slow what was measured."
        )
    if not former:
        lines.append("There is no previous report to compare with.")
    elif not comparable(report, former):
        lines.append(
            f"The previous report, of {former['date']}, had another model or load. It is not compared."
        )
    else:
        worse = regressions(report, former)
        lines.append(f"Compared with {former['date']}: " + ("slower." if worse else "no regression."))
        lines += [f"  {line}" for line in worse + differences(report, former)]
    return "\n".join(lines)


def page(report: Report, former: Report | None = None) -> str:
    """Return the report as one HTML page, which loads nothing. *former* may be empty."""
    old = former if former and comparable(report, former) else None
    title = f"{report['service'].get('model')}, {report['date']}"
    intro = "".join(f"<p>{html.escape(line)}</p>" for line in summary(report, former).splitlines())
    parts = [
        f"<h1>Benchmark of {html.escape(title)}</h1>{intro}",
        f"<div class=plots>{''.join(plots(report, old))}</div>",
        f"<h2>Levels</h2>{levels_table(report)}",
    ]
    if old is not None:
        parts.append(f"<h2>Compared with {html.escape(str(old['date']))}</h2>{changes_table(report, old)}")
    parts += [
        f"<h2>Load</h2>{mapping_table(report['load'])}",
        f"<h2>Service</h2>{mapping_table(report['service'])}",
    ]
    head = f"<meta charset=utf-8><title>Benchmark of {html.escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def is_report(text: str) -> bool:
    """Return whether a text is a report as JSON that another one can be compared with."""
    try:
        report = json.loads(text)
        page(report, report)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def plots(report: Report, former: Report | None) -> list[str]:
    """Return the plots: throughput, and median and slowest 1 % of first token, next tokens and whole answer."""

    def line(source: Report, *path: str) -> Points:
        return [(level["concurrency"], value(level, path)) for level in source["levels"]]

    rate = {"now": line(report, "output_tokens_per_second")}
    if former is not None:
        rate["before"] = line(former, "output_tokens_per_second")
    times = {"First token, ms": "ttft_ms", "Time per token, ms": "tpot_ms", "Whole answer, ms": "e2el_ms"}
    drawn = [plot("Output tokens a second", rate)]
    for title, name in times.items():
        drawn.append(plot(title, {"p50": line(report, name, "p50"), "p99": line(report, name, "p99")}))
    return drawn


def plot(title: str, lines: Mapping[str, Points]) -> str:
    """Return a line plot as SVG: requests at a time, by doublings, against values from 0."""
    xs = sorted({x for points in lines.values() for x, _y in points})
    top = ticks(max(y for points in lines.values() for _x, y in points))
    span = max(math.log2(xs[-1] / xs[0]), 1)

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 12) * math.log2(x / xs[0]) / span
        return f"{across:.1f},{HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / top[-1]:.1f}"

    parts = []
    for tick in top:
        height = place(xs[0], tick).partition(",")[2]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{height}" y2="{height}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{float(height) + 4}" text-anchor="end">{tick:g}</text>')
    for x in xs:
        across = place(x, 0).partition(",")[0]
        parts.append(f'<text x="{across}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>')
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for spot in path.split():
            across, _comma, height = spot.partition(",")
            parts.append(f'<circle cx="{across}" cy="{height}" r="3" fill="{colour}"/>')
        if len(lines) > 1:
            parts.append(
                f'<text x="{LEFT + 8}" y="{TOP + 12 + 15 * index}" style="fill:{colour}">{html.escape(name)}</text>'
            )
    parts.append(
        f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">requests at a time</text>'
    )
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    caption = html.escape(title)
    return f'<figure><figcaption>{caption}</figcaption><svg {size} role="img" aria-label="{caption}">{"".join(parts)}</svg></figure>'


def ticks(largest: float) -> list[float]:
    """Return four to six round numbers from 0 to *largest* or more."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(largest / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * 5 >= largest)
    return [step * number for number in range(math.ceil(largest / step) + 1)]


def levels_table(report: Report) -> str:
    """Return the levels as a table."""
    times = [
        f"{name} {quantile}, ms"
        for name in ("first token", "per token", "answer")
        for quantile in ("p50", "p99")
    ]
    names = ("at a time", "answered", "failed", "tokens/s", *times)
    rows = [
        (
            level["concurrency"], level["completed"], level["failed"], f"{level['output_tokens_per_second']:.1f}",
            *(f"{level[name][quantile]:.1f}" for name in ("ttft_ms", "tpot_ms", "e2el_ms") for quantile in ("p50", "p99")),
        )
        for level in report["levels"]
    ]  # fmt: skip
    return table(names, rows)


def changes_table(report: Report, former: Report) -> str:
    """Return what changed since the previous report as a table."""
    rows = [
        (
            f"{row['name']} at {row['concurrency']}", figure(row["former"]), figure(row["new"]), f"{row['change']:+.0%}", row["verdict"],
        )
        for row in changes(report, former)
    ]  # fmt: skip
    return table(("value", "before", "now", "change", "verdict"), rows)


def mapping_table(values: Mapping[str, Any]) -> str:
    """Return names and values as a table."""
    return table(("", ""), values.items())


def table(names: Sequence[str], rows: Any) -> str:
    """Return an HTML table. A cell that is a verdict has its colour."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(str(cell)) for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    kind = f" class={text}" if text in ("worse", "better") else ""
    return f"<td{kind}>{html.escape(text)}</td>"
