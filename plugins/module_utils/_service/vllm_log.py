# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the log of `vllm serve`: its lines, and the stage that a start has reached.

Written against vLLM 0.13.0 and vLLM-Ascend 0.13.0rc1.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable
from re import Pattern
from typing import NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROCESS = re.compile(r"^(?:\((\w+) pid=\d+\)\s?)+")
LEVEL = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\] ?")
KERNEL = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d),(\d+)([+-])(\d\d):(\d\d) (.*)")
TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")


class Line(NamedTuple):
    """A line of a log. ``at``: seconds since the epoch when it was written, if the log has times."""

    text: str
    at: float | None = None


class Stage(NamedTuple):
    """A stage of the start: the line that begins it, and what to do when it lasts too long."""

    id: str
    title: str
    begins: Pattern[str] | None
    remedy: str


def _stage(name: str, title: str, begins: str, remedy: str) -> Stage:
    return Stage(name, title, re.compile(begins) if begins else None, remedy)


STAGES = (
    _stage(
        "starting",
        "container started, Python and vLLM load",
        "",
        "Look at the container's log: vLLM has logged nothing yet",
    ),
    _stage(
        "gathering",
        "waiting for the supervisors of all hosts",
        r"^\[supervisor\] (?:rendezvous|cannot connect to the head)",
        "Look at the containers of the other hosts, and at the firewall between the hosts "
        "(all TCP ports must be open)",
    ),
    _stage(
        "configuring",
        "vLLM reads the model's configuration",
        r"vLLM API server version|Resolved architecture",
        "Look at the disk that holds the weights",
    ),
    _stage(
        "connecting",
        "waiting until the data parallel engines of all hosts are connected",
        r"Started DP Coordinator process|Launching \d+ data parallel engine",
        "vLLM logs nothing while it waits here. Look at the other hosts first, then at the firewall between "
        "the hosts (all TCP ports must be open)",
    ),
    _stage(
        "connected",
        "engines connected",
        r"Initializing a V1 LLM engine|world_size=\d+ rank=\d+ local_rank",
        "Look at the network between the hosts, and at the collective communication of the NPUs",
    ),
    _stage(
        "weights",
        "loading weights",
        r"Starting to load model",
        "Look at the read rate of the disk that holds the weights",
    ),
    _stage(
        "memory",
        "measuring the memory left for the KV cache",
        r"Loading (?:model )?weights took|Model loading took",
        "Look at the NPUs' memory and health",
    ),
    _stage("kv_cache", "KV cache reserved", r"GPU KV cache size", "Look at the NPUs' memory and health"),
    _stage(
        "graphs",
        "warming up and capturing graphs",
        r"Warming up model|Capturing (?:\w+ )?graphs|Graph capturing",
        "Graph capture takes minutes. If it lasts longer, look at the NPUs' streams and memory",
    ),
    _stage(
        "engine_ready",
        "engine ready",
        r"init engine \(",
        "Look at the other hosts: the API opens when the engines of all hosts are ready",
    ),
    _stage(
        "serving",
        "API open",
        r"Application startup complete",
        "Look at the network between this host and the head's API port",
    ),
)
SHARDS = re.compile(r"Loading \w+ checkpoint shards:\s*(\d+)% Completed \| (\d+)/(\d+)")
WEIGHTS = next(index for index, stage in enumerate(STAGES) if stage.id == "weights")


def clean(raw: str) -> str:
    """Return the line without colour codes, process and level prefixes, and secrets."""
    text = COLOUR.sub("", raw).replace("\r", "").rstrip()
    text = LEVEL.sub("", PROCESS.sub("", text))
    return redaction.text(text)


def timeline(lines: Iterable[Line], started: float | None = None) -> list[dict[str, object]]:
    """Return the stages of a start, each with its title, its progress and the seconds from *started*."""
    reached = [_entry(STAGES[0], Line("", started), started)]
    current = 0
    for line in lines:
        for index in range(len(STAGES) - 1, current, -1):
            begins = STAGES[index].begins
            if begins and begins.search(line.text):
                current = index
                reached.append(_entry(STAGES[index], line, started))
                break
        shards = SHARDS.search(line.text)
        if shards and current == WEIGHTS:
            reached[-1]["progress"] = "{}% ({} of {} files)".format(*shards.groups())
    return reached


def _entry(stage: Stage, line: Line, started: float | None) -> dict[str, object]:
    seconds = None if line.at is None or started is None else round(line.at - started, 1)
    return {"stage": stage.id, "title": stage.title, "progress": "", "seconds": seconds}


def remedy(stage: str) -> str:
    """Return what to do when the start stays in a stage."""
    return next(entry.remedy for entry in STAGES if entry.id == stage)


def epoch(timestamp: str) -> float | None:
    """Return the seconds since the epoch of a UTC time as Docker writes it."""
    match = TIMESTAMP.match(timestamp)
    if not match:
        return None
    return calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")) + float(match.group(2) or 0)


def docker_lines(output: str, after: str) -> tuple[list[Line], str]:
    """Return the lines of a Docker log with timestamps that are later than *after*, and the last timestamp.

    The lines are sorted, because Docker may give stdout and stderr one after the other. The filter is needed
    because a log read since a time begins with the line of that time.
    """
    split = (raw.partition(" ")[::2] for raw in output.split("\n"))
    stamped = sorted(
        ((stamp, text) for stamp, text in split if TIMESTAMP.match(stamp) and stamp > after),
        key=lambda pair: pair[0],
    )
    lines = [Line(clean(text), epoch(stamp)) for stamp, text in stamped]
    return lines, stamped[-1][0] if stamped else after


def lines_of(text: str) -> list[Line]:
    """Return the lines of a stored log, with their times if it is one of `docker logs --timestamps`."""
    stamped, _last = docker_lines(text, "")
    return stamped or [Line(clean(raw)) for raw in text.split("\n")]


def kernel_lines(text: str) -> list[Line]:
    """Return the messages of `dmesg --time-format iso`."""
    return [_kernel_line(match) for match in map(KERNEL.match, text.split("\n")) if match]


def _kernel_line(match: re.Match[str]) -> Line:
    second, fraction, sign, hours, minutes, message = match.groups()
    offset = (int(hours) * 60 + int(minutes)) * (60 if sign == "+" else -60)
    at = calendar.timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction) - offset
    return Line(clean(message), at)
