# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the log of `vllm serve`: its lines, and the stage that a start has reached.

Written against vLLM 0.13.0 and vLLM-Ascend 0.13.0rc1.
"""

from __future__ import annotations

import calendar
import codecs
import json
import re
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from re import Pattern
from typing import NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

DAY = 24 * 3600
LONGEST = 4000  # characters of a line that are read; vLLM's dump of its scheduler has one of many kilobytes
QUIET = ("DEBUG", "INFO")
# The escape character of a colour gets lost when a log is copied. Before 0.11, a process has a rank; with Ray, an address.
COLOUR = re.compile(r"\x1b\[[0-9;]*m|\[(?:0|0;0|[01];3\d)m")
PROCESS = re.compile(
    r"^(?:\((?:[\w ]+(?: rank=\d+)? pid=\d+(?:, ip=[^)]*)?|(?:APIServer|EngineCore|Worker)\w*)\)\s?)+"
)
# A format that users set may have another date, or none. vLLM-Ascend 0.23 puts its own name before its messages.
LEVEL = re.compile(
    r"^(DEBUG|INFO|WARNING|ERROR|CRITICAL) (?:(?:\d{4}-)?(\d\d-\d\d \d\d:\d\d:\d\d)(?:[.,]\d+)? "
    r"(?:[\[(][^\])]+[\])]|\w+\.py:\d+\]) ?(?:\[vllm-ascend\](?: \[\w+\])?(?: -)? )?|\[[\w/]+\.py:\d+\] ?)|^(INFO|DEBUG):(?=\s)"
)
# The usual format of Python's logging: time, logger, level.
LOGGED = re.compile(
    r"^\d{4}-(\d\d-\d\d \d\d:\d\d:\d\d)[.,]\d+ - [\w.]+ - (DEBUG|INFO|WARNING|ERROR|CRITICAL) - "
)
KERNEL = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(,\d+)([+-]\d\d:\d\d) (.*)")
# An error of CANN, and a line of its log with the module and the process that report it.
NPU_ERROR = re.compile(r"^\[(?:ERROR|CRITICAL)\] ")
NPU_TIME = re.compile(r"^\[[A-Z]+\] \w+\([^)]*\):(\d{4}-\d\d-\d\d)[- ](\d\d:\d\d:\d\d)\.(\d{3})\.?(\d{3})")
# Any line of CANN's log, wherever it begins, and as people quote it without its process and time.
NPU_LINE = re.compile(
    r"\[(?P<level>[A-Z]+)\] (?P<module>[A-Z]\w*)(?:\(\d+,[^)]*\):\S*| +(?=\w+\.c)) *(?P<text>.*)"
)
TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
# What writes a log puts before each line: its time (docker, kubectl, journalctl -o short-iso), and a name.
STAMP = re.compile(
    r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)([.,]\d+)?(Z|[+-]\d\d:?\d\d) (?:(?:stdout|stderr) [FP] )?"
)
NAME = re.compile(
    r"^[\w.@-]+ +\| "  # docker compose
    r"|^\[pod/[^\]]+\] "  # kubectl --prefix
    r"|^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?[\w.-]+ [\w.@/-]+\[\d+\]: "  # journald
    r"|^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: \|)? (?!-)"  # a time of no known zone
    r"|^(?:> ?)+"  # a quotation
)
WORKER = re.compile(r"^\((?:\w+ pid=\d+\) )?\(?\w*Worker|^\[rank")
NUMBER = re.compile(r"^ *\d+(?: ?[:|]|[-\t])(?!\d)")  # of cat -n, grep -n, an editor
RANK = re.compile(r"^\[rank\d+\]: ?")
REPEATED = re.compile(r" \[repeated \d+x across cluster\].*")  # Ray
SOURCE = re.compile(r"^ ?\[[\w/]+\.py:\d+\] ")  # what is left of vLLM's prefix where the rest was cut off


class Line(NamedTuple):
    """A line of a log. ``at``: seconds since the epoch when it was written, if the log has times.

    ``level`` is the level that vLLM logged it with, empty for other lines. ``process``: the name that vLLM puts
    before the lines of a process, as those of several mix.
    """

    text: str
    at: float | None = None
    level: str = ""
    process: str = ""


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
    return read(raw).text


def read(raw: str, at: float | None = None) -> Line:
    """Return a line as vLLM wrote it. Its time is *at*, or that of vLLM's own prefix."""
    text = COLOUR.sub("", raw[:LONGEST]).replace("\r", "").rstrip()
    name = PROCESS.match(text) or RANK.match(text)
    process = name[0].strip() if name else ""
    text = RANK.sub("", REPEATED.sub("", PROCESS.sub("", text)))
    text = LOGGED.sub(r"\2 \1 [-] ", text)  # as vLLM's own
    match = LEVEL.match(text)
    if not match:
        at = _npu_time(text) if at is None else at
        return Line(redaction.text(SOURCE.sub("", text)), at, "", process)
    if match[3]:  # of the API server's framework, which has no time
        return Line(redaction.text(text), at, match[3], process)
    at = own_time(match[2]) if at is None and match[2] else at
    return Line(redaction.text(RANK.sub("", text[match.end() :])), at, match[1], process)


def own_time(stamp: str) -> float:
    """Return the time that vLLM's prefix gives, for a log of the last year of a container in UTC."""
    clock = (int(stamp[6:8]), int(stamp[9:11]), int(stamp[12:14]))
    now = time.time()
    this_year = time.gmtime(now).tm_year
    for year in (this_year, this_year - 1):
        at = calendar.timegm((year, int(stamp[:2]), int(stamp[3:5]), *clock))
        if at < now + DAY:
            break
    return float(at)


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


def later_stages(lines: Sequence[Line]) -> list[tuple[int, str]]:
    """Return where the stages after the first begin in a log: the indexes of the lines, and their processes."""
    begins = [stage.begins for stage in STAGES if stage.begins]
    return [
        (number, line.process)
        for number, line in enumerate(lines)
        if any(one.search(line.text) for one in begins)
    ]


def goes_on(process: str, reached: Iterable[tuple[int, str]]) -> int:
    """Return the index of the last line that shows that a process continues; 0 if none does.

    A worker may get further although another one has failed, but the engine and the API server do not.
    """
    worker = WORKER.match(process)
    return max(
        (number for number, by in reached if not worker or by == process or not WORKER.match(by)), default=0
    )


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
    lines = [read(text, epoch(stamp)) for stamp, text in stamped]
    return lines, stamped[-1][0] if stamped else after


def decode(raw: bytes) -> str:
    """Return the text of a stored log: of UTF-8, or of UTF-16 as a redirect of PowerShell writes it."""
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if raw.startswith(mark):
            return raw.decode("utf-16", "replace")
    if raw[1:200:2].count(0) > len(raw[1:200:2]) // 2:
        return raw.decode("utf-16-le", "replace")
    return raw.decode("utf-8-sig", "replace")


def lines_of(text: str) -> list[Line]:
    """Return the lines of a stored log, whatever wrote it: docker, its JSON files, compose, kubectl, journald.

    If at least half of the lines have a time before them, these times count and order the lines; a line
    without one has the time of the line before it. Otherwise vLLM's own times do, as far as lines have them.
    """
    rows = [_unwrapped(raw) for raw in _plain(text).split("\n")]
    written = [row for row in rows if row[1].strip()]
    if 2 * sum(at is not None for at, _raw in written) < max(1, len(written)):
        return list(_timed(read(raw) for _at, raw in rows))
    lines = _timed(read(raw, at)._replace(at=at) for at, raw in written)
    return sorted(lines, key=lambda line: line.at or 0)


def _plain(text: str) -> str:
    """Return a text without the numbers and the indentation that all its lines have."""
    lines = text.split("\n")
    if all(NUMBER.match(line) or not line.strip() for line in lines):
        text = "\n".join(NUMBER.sub("", line) for line in lines)
    return textwrap.dedent(text)


def _timed(lines: Iterable[Line]) -> Iterator[Line]:
    last = None
    for line in lines:
        last = last if line.at is None else line.at
        yield line._replace(at=last)


def _unwrapped(raw: str) -> tuple[float | None, str]:
    """Return the time and the text of a stored line, without what its writer put before it."""
    raw = COLOUR.sub("", raw)
    at, text = None, raw
    if raw.startswith('{"log":'):
        at, text = _json_line(raw)
    for _prefix in range(3):  # a name, a time, or both
        stamp = STAMP.match(text)
        if stamp:
            at = _stamp(stamp) if at is None else at
            text = text[stamp.end() :]
            continue
        name = NAME.match(text)
        if not name:
            break
        text = text[name.end() :]
    return at, text


def _json_line(raw: str) -> tuple[float | None, str]:
    try:
        entry = json.loads(raw)
        return epoch(entry["time"]), entry["log"].rstrip("\n")
    except (ValueError, KeyError, TypeError, AttributeError):  # cut off, or not of Docker
        return None, raw


def _stamp(match: re.Match[str]) -> float:
    second, fraction, zone = match[1].replace(" ", "T"), (match[2] or ".0").replace(",", "."), match[3]
    return calendar.timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) + float(fraction) - _offset(zone)


def _offset(zone: str) -> int:
    """Return the seconds that a time zone such as +08:00 is ahead of UTC."""
    if zone == "Z":
        return 0
    digits = zone.replace(":", "")
    return (int(digits[1:3]) * 60 + int(digits[3:5])) * (-60 if digits[0] == "-" else 60)


def kernel_lines(text: str) -> list[Line]:
    """Return the messages of `dmesg --time-format iso`."""
    return [Line(clean(match[4]), _stamp(match)) for match in map(KERNEL.match, text.split("\n")) if match]


def npu_time(raw: str) -> float | None:
    """Return the time of an error in CANN's log; None for other lines."""
    return _npu_time(raw) if NPU_ERROR.match(raw) else None


def _npu_time(raw: str) -> float | None:
    """Return the time of a line of CANN's log, which images without a time zone write in UTC; None for other lines."""
    match = NPU_TIME.match(raw)
    if not match:
        return None
    second = calendar.timegm(time.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S"))
    return second + int(match[3] + match[4]) / 1e6


def npu_lines(text: str) -> list[Line]:
    """Return the errors in CANN's log."""
    timed = ((npu_time(raw), raw) for raw in text.split("\n"))
    return [Line(clean(raw), at, "ERROR") for at, raw in timed if at is not None]
