# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the dashboard of role monitoring as SVG, from what a Prometheus has. It stands in for Grafana, which no distribution has."""

from __future__ import annotations

import html
import math
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from monitoring import Watched

CELL = (46, 24)  # pixels of a column and a row of the dashboard's grid
MARGIN = 44  # left of a graph, for its scale
LETTER = 6.2  # pixels of a letter, about
POINTS = 90  # of each line
COLOURS = ("#3274d9", "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#8ab8ff")
STATES = (
    "#8e8e8e",
    "#e0752d",
    "#c4162a",
    "#e0b400",
    "#56a64b",
    "#3274d9",
    "#8e8e8e",
)  # from waiting to stopped
LABEL = re.compile(r"\{\{(\w+)\}\}")
UNITS = {
    "s": "s",
    "percentunit": "%",
    "percent": "%",
    "celsius": "°C",
    "watt": "W",
    "bytes": "B",
    "Bps": "B/s",
}
Series = dict[str, list[tuple[float, float]]]  # name, and times and values


def series(site: Watched, panel: Mapping[str, Any], begin: float, end: float) -> Series:
    """Return what Prometheus has for a panel."""
    lines: Series = {}
    for target in panel["targets"]:
        query = site.filled(target["expr"], f"{round(end - begin)}s")
        asked = {"query": query, "start": begin, "end": end, "step": (end - begin) / POINTS}
        for one in requests.get(f"{site.url}/api/v1/query_range", asked, timeout=30).json()["data"]["result"]:
            metric = one["metric"]
            name = LABEL.sub(lambda found, metric=metric: metric.get(found[1], ""), target["legendFormat"])
            values = [
                (float(at), float(value)) for at, value in one["values"] if value not in ("NaN", "+Inf")
            ]
            lines[name or " ".join(metric.get(key, "") for key in ("alertname", "host"))] = values
    return {name: values for name, values in lines.items() if values}


def shown(value: float, unit: str) -> str:
    """Return a value as people read it."""
    if unit == "percentunit":
        value *= 100
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:.0f} ms"
    power = min(int(math.log(max(abs(value), 1), 1000)), 4)
    return f"{value / 1000**power:.3g} {' kMGT'[power].strip()}{UNITS.get(unit, '')}".rstrip()


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{html.escape(words)}</text>'


class Panel:
    """A panel, in its place."""

    def __init__(self, panel: Mapping[str, Any], lines: Series, begin: float, end: float) -> None:
        grid, defaults = panel["gridPos"], panel["fieldConfig"]["defaults"]
        self.left, self.top = grid["x"] * CELL[0] + 4, grid["y"] * CELL[1] + 4
        self.width, self.height = grid["w"] * CELL[0] - 8, grid["h"] * CELL[1] - 8
        self.title, self.kind, self.unit = panel["title"], panel["type"], defaults["unit"]
        self.texts = {
            key: one["text"] for map_ in defaults["mappings"] for key, one in map_["options"].items()
        }
        self.lines, self.begin, self.end = lines, begin, end
        self.body = {"stat": self.stat, "state-timeline": self.states, "table": self.states}.get(
            self.kind, self.plot
        )
        names = max(map(len, lines), default=0) if self.body == self.states else 0
        self.margin = max(MARGIN, LETTER * names + 12)

    def across(self, at: float) -> float:
        part = (at - self.begin) / (self.end - self.begin)
        return self.left + self.margin + (self.width - self.margin - 8) * part

    def svg(self) -> str:
        frame = f'<rect x="{self.left}" y="{self.top}" width="{self.width}" height="{self.height}" fill="#fff" stroke="#d8d9da"/>'
        title = text(self.left + 8, self.top + 16, self.title, 'font-weight="600"')
        nothing = [] if self.lines else [text(self.left + MARGIN, self.top + 50, "no data", 'fill="#8e8e8e"')]
        return "".join([frame, title, *nothing, *(self.body() if self.lines else [])])

    def stat(self) -> Iterator[str]:
        value = next(iter(self.lines.values()))[-1][1]
        words = self.texts.get(f"{value:g}", shown(value, self.unit))
        yield text(
            self.left + self.width / 2,
            self.top + self.height * 0.75,
            words,
            'font-size="28" text-anchor="middle"',
        )

    def states(self) -> Iterator[str]:
        """Yield a bar for each series: pieces of the same value have a colour, and their text where there is room."""
        high = min((self.height - 30) / len(self.lines), 26)
        for number, (name, values) in enumerate(sorted(self.lines.items())):
            y, step = self.top + 26 + number * high, (self.end - self.begin) / POINTS
            pieces: list[list[float]] = []  # from, to, value
            for at, value in values:
                if pieces and pieces[-1][2] == value and at - pieces[-1][1] < 1.5 * step:
                    pieces[-1][1] = at
                else:
                    pieces.append([at, at, value])
            for begin, end, value in pieces:
                x, width = (
                    self.across(begin),
                    max(self.across(min(end + step, self.end)) - self.across(begin), 2),
                )
                colour = STATES[int(value)] if self.texts else "#c4162a"
                yield f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{high - 4:.0f}" fill="{colour}" fill-opacity=".75"/>'
                words = self.texts.get(f"{value:g}", "")
                if words and width > 7 * len(words):
                    yield text(x + 4, y + high / 2 + 2, words, 'fill="#fff"')
            yield text(self.left + 6, y + high / 2 + 2, name)

    def plot(self) -> Iterator[str]:
        top = max(max(value for _at, value in values) for values in self.lines.values()) or 1
        high = self.height - 62

        def down(value: float) -> float:
            return self.top + 26 + high * (1 - value / top)

        for part in (0, 0.5, 1):
            y = down(part * top)
            yield f'<line x1="{self.left + MARGIN}" x2="{self.left + self.width - 8}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e9edf2"/>'
            yield text(self.left + 40, y + 4, shown(part * top, self.unit), 'text-anchor="end" font-size="9"')
        legend = self.left + 8
        for colour, (name, values) in zip(COLOURS * len(self.lines), self.lines.items(), strict=False):
            gap, before, path = 1.5 * (self.end - self.begin) / POINTS, 0.0, ""
            for at, value in values:
                path += f"{'L' if at - before < gap else 'M'}{self.across(at):.0f} {down(value):.0f}"
                before = at
            yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
            if name and legend + 6 * len(name) < self.left + self.width:
                yield text(legend, self.top + self.height - 6, name, f'fill="{colour}"')
                legend += 6 * len(name) + 12
        for part in (0.0, 0.5, 1.0):
            at = self.begin + part * (self.end - self.begin)
            clock = time.strftime("%H:%M", time.gmtime(at))
            yield text(
                self.across(at),
                self.top + 40 + high,
                clock,
                'text-anchor="middle" font-size="9" fill="#8e8e8e"',
            )


def dashboard(site: Watched, seconds: float) -> str:
    """Return the dashboard as it shows the last *seconds*."""
    end = time.time()
    begin, parts = end - seconds, []
    for panel in site.dashboard["panels"]:
        grid = panel["gridPos"]
        if panel["type"] == "row":
            parts.append(
                text(8, grid["y"] * CELL[1] + 18, panel["title"], 'font-size="14" font-weight="600"')
            )
        else:
            parts.append(Panel(panel, series(site, panel, begin, end), begin, end).svg())
    height = (
        max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in site.dashboard["panels"]) * CELL[1] + 8
    )
    size = f'width="{24 * CELL[0]}" height="{height}" viewBox="0 0 {24 * CELL[0]} {height}"'
    style = 'font-family="system-ui,sans-serif" font-size="11" fill="#24292e"'
    ground = f'<rect width="100%" height="100%" fill="#f4f5f5"/><g {style}>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{ground}{"".join(parts)}</g></svg>\n'
