# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the first cause of a failure in the logs of all hosts of a service.

Exit codes do not help: vLLM 0.13.0 exits with 0 when a worker failed, and in every failure after the start.
The host that complains first is seldom the one that failed: its complaint is only a trace of that exit.
"""

from __future__ import annotations

import re
import time
from itertools import islice
from typing import Any, Collection, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import exceptions, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.exceptions import Raised
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import (
    BY_ID,
    CAUSE,
    ECHO,
    KINDS,
    LONGEST,
    OTHER,
    PEER,
    RAISED,
    SIGNATURES,
    SUSPECT,
    SYMPTOM,
    UNCLEAR,
    WARNING,
    Signature,
    matches,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

FATAL = "fatal"
PAST = "past"  # the service was ready again afterwards
SEVERITIES = (FATAL, WARNING, PAST)
# Traces on other hosts and failures without a known reason compare by their times, but the clocks of hosts differ.
ORDER = {CAUSE: 0, PEER: 1, UNCLEAR: 1, SYMPTOM: 2, ECHO: 3, SUSPECT: 4, RAISED: 4, WARNING: 4}
DOUBTFUL = (SUSPECT, RAISED)
CLOCKS_SECONDS = 10
ENDS = tuple(signature for signature in SIGNATURES if signature.kind == ECHO)
DETAIL_LINES = 12  # CANN prints the lines that belong to an error after it
PROCESSES = 16  # workers of a host, whose lines mix
READY = re.compile(
    r"^init engine \(|^(?:INFO:\s+)?Application startup complete"
)  # a worker logs only the first
SERVES = re.compile(r'Avg prompt throughput: |- "(?:GET|POST) /\S* HTTP/')  # the begin may not be kept
# What an exception without a signature is about tells the place that raised it.
REFUSED = re.compile(
    r"^(?:\w+\.)*(?:(?:Value|Assertion|NotImplemented|Type|Key|Index|Attribute|Runtime)Error)(?:: (?P<why>.+)| \((?P<code>.+)\)$)"
)
UNFIT = re.compile(
    r"^(?:Type|Attribute|Index|Runtime)Error"
)  # code that meets what it does not know, not a check of a setting
PLACES = (
    (r"vllm_ascend/platform\.py in pre_register_and_update$", "package_mismatch"),  # it adds to vLLM's parser
    (
        r"\b(?:vllm/(?:config/|config\.py|engine/arg_utils)|vllm_ascend/(?:ascend_config|platform)\.py)",
        "bad_config",
    ),
    (r" in \w*validate\w*$", "bad_config"),
    (r" in (?:load_weights|\w*weight_loader\w*|_?load_\w*weights?\w*|_load_w\d+)$", "weights_do_not_fit"),
    (r"/quantization/", "quantization_unsupported"),
    (r"/structured_output/", "structured_output"),
    (
        r"\b(?:torch/_dynamo|torch/_inductor|torchair|npugraph_ex|vllm(?:_ascend)?/compilation)/",
        "graph_compilation",
    ),
    (
        r"\b(?:transformers/(?:\w+/)*(?:(?:token|process)\w+|convert_slow_tokenizer)\.py|vllm/(?:\w+/)?tokenizer)",
        "tokenizer_unreadable",
    ),
)
BY_PLACE = tuple((re.compile(place), BY_ID[known]) for place, known in PLACES)
# What vLLM can run without, or with other settings: an exception on the way through it has a remedy, wherever it
# was raised.
FEATURES = (
    (r"/spec_decode/", "speculation_failed"),
    (r"/eplb/", "eplb_failed"),
    (r"/kv_transfer/| in \w*kv_xfer\w*$", "kv_connector_failed"),
    (r" in (?:_?capture_model|\w*graph_capture)$", "graph_capture"),
    (r"^vllm/engine/arg_utils\.py in create_engine_config$", "bad_config"),  # all that checks settings
)
BY_FEATURE = tuple((re.compile(place), BY_ID[known]) for place, known in FEATURES)
CODED = {one.id for one in SIGNATURES if one.codes}
ENDING = 80  # characters
OPEN_END = re.compile(r"(?:Error:|Exception:|validation errors? for \w+:?)$")  # the reason is below it
FIELD = re.compile(r"^[\w.]+$")  # pydantic names the field before it says what is wrong with it
RULE = re.compile(r"^[\s=*#-]*$")
GENERATION = re.compile(r"^\[supervisor\] generation \w+: starting")
RUN = re.compile(r"^\[supervisor\] (?:generation \w+: starting|stopping: )")  # the first or last line of one
WITHOUT_HEAD = re.compile(r"^\[supervisor\] cannot connect to the head")
LINKED = re.compile(r"^\[supervisor\] connected to the head")
HEAD = re.compile(
    r"^\[supervisor\] (?:connected to the head|(?P<none>no connection to the head at .+ for \S+ s)$)"
)


class Finding(NamedTuple):
    """What a line of a log means. ``at``: seconds since the epoch, if the log has times."""

    host: str
    id: str
    kind: str
    severity: str
    cause: str
    remedy: str
    line: str
    source: str
    at: float | None

    @property
    def is_cause(self) -> bool:
        """Whether it is the reason for a failure, and not a trace of one."""
        return self.kind in (CAUSE, UNCLEAR) and self.severity == FATAL

    def data(self) -> dict[str, Any]:
        """Return it as modules return it, without its host."""
        keys = ("id", "severity", "cause", "remedy", "line", "source")
        return {key: getattr(self, key) for key in keys}

    def __str__(self) -> str:
        """Return cause, remedy and line as a paragraph."""
        return f"{self.cause}.\nRemedy: {self.remedy}.\nLine: {self.line}"


def diagnose(logs: Mapping[str, Sequence[Line]]) -> list[Finding]:
    """Return the findings in the logs of all hosts, the first cause first."""
    return sort_findings(finding for host, lines in logs.items() for finding in findings(host, lines))


def sort_findings(unsorted: Iterable[Finding]) -> list[Finding]:
    """Return the findings in the order of their severity, kind and time.

    Causes come first, then failures without a known reason and traces of other hosts' failures, symptoms,
    echoes, warnings, and what the service has recovered from. Findings without a time keep their order.
    """

    def rank(finding: Finding) -> tuple[int, int, float, bool]:
        at = float("inf") if finding.at is None else finding.at
        return (
            SEVERITIES.index(finding.severity),
            ORDER[finding.kind],
            at + (CLOCKS_SECONDS if finding.kind == PEER else 0),
            finding.kind == PEER,
        )

    return sorted(unsorted, key=rank)


def findings(host: str, lines: Sequence[Line]) -> list[Finding]:
    """Return the findings in one log, each signature once, in the order of its lines."""
    lines = list(_whole(lines))
    ready = max((index for index, line in enumerate(lines) if READY.search(line.text)), default=-1) + 1
    served = ready > 0 or any(SERVES.search(line.text) for line in since_start(lines[ready:]))
    past = [finding._replace(severity=PAST) for finding in _matches(host, lines[:ready])]
    return past + _current(host, lines[ready:], served)


def _current(host: str, lines: Sequence[Line], served: bool) -> list[Finding]:
    """Return the findings since the service was last ready, with an exception or an error of CANN that no signature has."""
    found = _matches(host, lines)
    kinds = {finding.kind for finding in found}
    end = next((index for index, line in enumerate(lines) if is_end(line)), None)
    raised = None if kinds & {CAUSE, PEER} else exceptions.last_exception(lines, end, served)
    if raised and raised.cut and kinds - {ECHO, WARNING}:  # it tells less than what is found
        raised = None
    known = {one.id for text in raised.texts for one, _what in matches(text)} if raised else set()
    if raised and not known & {finding.id for finding in found} and not _is_npus(raised.line, found):
        dead = (number for number, one in enumerate(found) if one.id == BY_ID["worker_died"].id)
        unknown = _unknown(host, raised)
        found.insert(next(dead, len(found)), unknown)  # in the same second, it says why
        known.add(unknown.id)
    elif not kinds - {ECHO, WARNING} and (end is not None or (not served and _is_npu_log(lines))):
        found += _npu_errors(host, lines)
    return _settled(found, known)


def _is_npu_log(lines: Sequence[Line]) -> bool:
    """Return whether these are lines of CANN's own log only, not of vLLM or the supervisor."""
    first = next((line.text for line in lines if line.text), "")
    others = (line for line in lines if not vllm_log.NPU_LINE.search(line.text))
    return vllm_log.NPU_LINE.search(first) is not None and not any(
        line.level or line.process or line.text.startswith("[supervisor]") for line in others
    )


def _npu_errors(host: str, lines: Sequence[Line]) -> list[Finding]:
    """Return the first error in CANN's own log, which also has errors that vLLM survives."""
    for line in lines:
        logged = vllm_log.NPU_LINE.search(line.text)
        if logged and logged["level"] in ("ERROR", "CRITICAL"):
            return [_finding(host, OTHER, f"{logged['module']} {logged['text'][:LONGEST]}", [line])]
    return []


def _is_npus(line: Line, found: Iterable[Finding]) -> bool:
    """Return whether the exception only repeats an error of the NPU's software: torch_npu raises this type."""
    named = any(one.kind == SYMPTOM or (one.kind == UNCLEAR and one.id in CODED) for one in found)
    return named and line.text.startswith("RuntimeError")


def _settled(found: Sequence[Finding], raised: Collection[str]) -> list[Finding]:
    """Return the findings of one host, with the kinds that they have next to each other.

    A suspect is a cause if this host failed and nothing else tells why; one of the kind RAISED only if no exception
    tells why, or the one that was *raised* is it. What is unclear after a trace of another host's failure is a
    consequence of that, and so is the death of a process after this host has reported a failure.
    """
    kinds = {one.kind for one in found if one.severity == FATAL and one.kind not in DOUBTFUL}
    failed = bool(kinds) and kinds <= {UNCLEAR, ECHO}
    settled: list[Finding] = []
    before: set[str] = set()
    for finding in found:
        reported = before & {CAUSE, UNCLEAR, SYMPTOM, ECHO}
        before.add(finding.kind)
        if finding.kind in DOUBTFUL:
            blamed = failed and (finding.kind == SUSPECT or UNCLEAR not in kinds)
            guilty = blamed or finding.id in raised
            finding = finding._replace(
                kind=CAUSE if guilty else WARNING, severity=FATAL if guilty else WARNING
            )
        elif finding.id == BY_ID["worker_died"].id and reported:
            finding = finding._replace(kind=ECHO)
        elif finding.kind == UNCLEAR and PEER in before:
            finding = finding._replace(kind=SYMPTOM)
        settled.append(finding)
    return settled


def _whole(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines, those that end before the reason of an error with the line that has it."""
    for index, line in enumerate(lines):
        if OPEN_END.search(line.text[-ENDING:]):
            after = [one.text.strip() for one in _from(lines, index, 5)[1:] if not RULE.match(one.text)]
            reason = " ".join(after[: 2 if FIELD.match("".join(after[:1])) else 1])
            line = line._replace(text=f"{line.text} {reason}".rstrip())
        yield line


def _matches(host: str, lines: Sequence[Line]) -> list[Finding]:
    found: dict[str, Finding] = {}
    seen: set[tuple[str, bool]] = set()  # each worker prints the same lines
    linked = max((index for index, line in enumerate(lines) if LINKED.search(line.text)), default=-1)
    for index, line in enumerate(lines):
        quiet = line.level in vllm_log.QUIET
        if not line.text or (line.text, quiet) in seen or (index < linked and WITHOUT_HEAD.search(line.text)):
            continue
        seen.add((line.text, quiet))
        best = _best(line.text, quiet)
        if best and best[0].id not in found:
            found[best[0].id] = _finding(host, *best, _from(lines, index, DETAIL_LINES))
    return list(found.values())


def _from(lines: Sequence[Line], index: int, count: int) -> list[Line]:
    """Return a line and those near that its process wrote after it, or one without a name; *count* in all."""
    near = lines[index : index + count * PROCESSES]
    return list(islice((line for line in near if line.process in ("", lines[index].process)), count))


def _best(text: str, quiet: bool) -> tuple[Signature, str] | None:
    """Return the signature that says most about a line, and what the line says."""
    return min(matches(text, quiet), key=lambda match: KINDS.index(match[0].kind), default=None)


def _finding(host: str, signature: Signature, what: str, lines: Sequence[Line]) -> Finding:
    cause = signature.cause.format(what=what).replace(" ()", "").replace(" :", ":").strip(": ")
    details = (signature.detail.search(line.text) for line in lines) if signature.detail else ()
    detail = next((match[0] for match in details if match), "")
    return Finding(
        host=host,
        id=signature.id,
        kind=signature.kind,
        severity=WARNING if signature.kind == WARNING else FATAL,
        cause=f"{cause} ({detail})" if detail and detail not in cause else cause,
        remedy=signature.remedy,
        line=lines[0].text,
        source=signature.source,
        at=lines[0].at,
    )


def _unknown(host: str, raised: Raised) -> Finding:
    """Return what an exception without a signature means, by the place that raised it."""
    line, refused = raised.line, None if raised.cut else REFUSED.match(raised.line.text)
    unfit = UNFIT.match(line.text) is not None
    signature = next((one for one in _signatures_of(raised) if not (unfit and one.id == "bad_config")), None)
    if refused and signature:
        return _finding(host, signature, refused["why"] or refused["code"], [line])
    where = f" (raised in {raised.place})" if raised.place else ""
    what = "that the log does not have whole: it ends at" if raised.cut else "that has no signature:"
    return Finding(
        host=host,
        id="unknown_exception",
        kind=UNCLEAR,
        severity=FATAL,
        cause=f"vLLM failed with an error {what} {line.text}{where}",
        remedy="Look at the traceback above this line in the container's log, and search the issues of vllm-ascend for its "
        "text. If nothing helps there, use another vllm_release, or start without speculative-config, compilation-config and "
        "additional-config in vllm_serve_args to find the one that it comes from",
        line=line.text,
        source="Python traceback",
        at=line.at,
    )


def _signatures_of(raised: Raised) -> Iterator[Signature]:
    """Yield what the place that raised an exception is about, then the features that led there, the innermost first."""
    yield from (one for place, one in BY_PLACE if place.search(raised.place))
    for frame in reversed(raised.frames):
        yield from (one for place, one in BY_FEATURE if place.search(frame))


def is_end(line: Line) -> bool:
    """Return whether vLLM or the supervisor logs that it exits. Its processes may linger, or exit with 0."""
    return line.level not in vllm_log.QUIET and any(end.match(line.text) is not None for end in ENDS)


def since_start(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the lines from the last start of vLLM on, all of them if it was not started.

    What the supervisor says of earlier failures is over when it starts vLLM again.
    """
    begins = [index for index, line in enumerate(lines) if GENERATION.search(line.text)]
    return lines[begins[-1] :] if begins else lines


def is_without_head(lines: Sequence[Line]) -> bool | None:
    """Return whether the supervisor says that the head is silent for longer than it may be; None if it says neither.

    It counts the seconds itself: the times of the log step with the clock of the host.
    """
    said = (HEAD.match(line.text) for line in reversed(lines))
    return next((match["none"] is not None for match in said if match), None)


def planned_stop(lines: Sequence[Line]) -> float | None:
    """Return when the last run of vLLM in a log was ended on purpose; None if it was not, or has no time."""
    last = next((line for line in reversed(lines) if RUN.search(line.text)), None)
    planned = last is not None and any(one.id == "stopped" for one, _what in matches(last.text, False))
    return last.at if last and planned else None


class Host(NamedTuple):
    """A host: the state of its container in words, and the log of its run, None if it does not run.

    ``stopped``: when that was stopped on purpose, in seconds since the epoch.
    """

    name: str
    role: str
    state: str
    log: Sequence[Line] | None
    stopped: float | None = None


def verdict(hosts: Sequence[Host], found: Sequence[Finding]) -> str:
    """Return the diagnosis as text: each host's state, the first cause, its remedy, and what followed."""
    rows = [
        ("HOST", "ROLE", "CONTAINER", "STAGE"),
        *((host.name, host.role, host.state, _stage(host)) for host in hosts),
    ]
    fatal = [finding for finding in found if finding.severity == FATAL]
    warnings = [finding for finding in found if finding.severity == WARNING]
    past = [finding for finding in found if finding.severity == PAST]
    table = ["{:<12} {:<7} {:<52} {}".format(*row).rstrip() for row in rows]
    if hosts and not fatal and all(host.stopped is not None for host in hosts):
        return "\n".join([*table, "", _stopped(hosts)])
    parts = [
        table,
        _first(fatal[0]) if fatal else ["No signature of a failure was found.", *_not_serving(hosts)],
        _list("Other failures, and what followed:", fatal[1:]),
        _list("Warnings:", warnings, remedy=True),
        _list("Before the service was last ready:", past),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _stopped(hosts: Sequence[Host]) -> str:
    begin = _at(min(host.stopped for host in hosts if host.stopped is not None))
    return f"The service was stopped on purpose at {begin}. start.yml starts it."


def _first(finding: Finding) -> list[str]:
    title = "First cause" if finding.is_cause else "The logs show no cause. First trace of one"
    return [
        f"{title}, on host {finding.host}{_when(finding)}: {finding.cause}.",
        f"Remedy: {finding.remedy}.",
        f"Line: {finding.line}",
        f"Signature: {finding.id}, from {finding.source}",
    ]


def _list(title: str, found: Sequence[Finding], remedy: bool = False) -> list[str]:
    lines = (
        f"- host {finding.host}{_when(finding)}: {finding.cause}."
        + (f" Remedy: {finding.remedy}." if remedy else "")
        for finding in found
    )
    return [title, *lines] if found else []


def _when(finding: Finding) -> str:
    return "" if finding.at is None else f" at {_at(finding.at)}"


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _stage(host: Host) -> str:
    if not host.log:
        return ""
    last = vllm_log.timeline(host.log)[-1]
    return ", ".join(str(last[key]) for key in ("title", "progress") if last[key])


def _not_serving(hosts: Sequence[Host]) -> list[str]:
    remedies = ((host, _remedy(host)) for host in hosts)
    return [
        f"Host {host.name} does not serve ({host.state}). Remedy: {remedy}."
        for host, remedy in remedies
        if remedy
    ]


def _remedy(host: Host) -> str:
    """Return what to do about a host that does not serve; empty if its own log shows that it does."""
    if host.log is None:
        return "Check that the host can be reached, then run site.yml"
    stage = vllm_log.timeline(host.log)[-1]["stage"]
    return "" if stage in ("engine_ready", "serving") else vllm_log.remedy(str(stage))
