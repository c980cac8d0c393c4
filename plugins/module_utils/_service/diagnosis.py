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
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any, Collection, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import (
    BY_ID,
    CAUSE,
    ECHO,
    KINDS,
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
# The first line of a traceback that has the indentation of its head has the exception's name, whatever that ends with.
EXCEPTION = re.compile(r"^(?!(?:INFO|DEBUG|WARNING|ERROR|E[0-9A-Z]\d{4}):)(?:\w+\.)*[A-Z]\w+(?::|$)")
# Without the head of a traceback, only a usual name tells that a line is an exception.
NAMED = re.compile(r"^ {0,3}(?:\w+\.)*(?:[A-Z]\w*Error|(?:[A-Z]\w*)?Exception|exc\.[A-Z]\w+)(?:: |:?$)")
HEAD = re.compile(r"^(?P<indent> *)(?:\S.*: )?Traceback \(most recent call last\)")
FRAME = re.compile(r'^ *File "(?P<path>[^"]+)", line \d+(?:, in (?P<function>\S+))?')
CODE = re.compile(
    r"^ {4,}[^\s~^]"
)  # a line of a traceback with source: all that an exception without text says
# vLLM says so of an exception in another process, or after one.
UNINFORMED = re.compile(
    r"^(?:\w+\.)*(?:RuntimeError: (?:Executor failed|Engine (?:core initialization|process) failed|Process \w+ \(PID"
    r"|(?:NPUModelRunner (?:init )?failed, error is ?)+$)"
    r"|Exception: WorkerProc initialization failed|AttributeError: '\w+Executor' object has no attribute"
    r"|EngineDeadError|SystemExit|KeyboardInterrupt|CancelledError)"
)
RELAYED = "RuntimeError: Worker failed with error '"  # the engine repeats what a worker's exception says
# What is printed before an exception that does not end the process: of a thread or task, of an object that Python
# frees, of a message, of a plugin that vLLM can do without.
SURVIVED = re.compile(
    r"^(?:Exception in thread |Exception ignored |--- Logging error ---|Error in atexit|future: <|Failed to load plugin"
    r"|(?:ERROR:\s+)?Exception in ASGI application)"
)
REQUEST = re.compile(r"/entrypoints/(?:\S+/)?serving\w*\.py|/tool_parsers/|/lora/")  # only that request fails
HIT = "WorkerProc hit an exception"  # of a service: the engine ends, unless it is about a single request
HARMLESS = (*vllm_log.QUIET, "WARNING")  # vLLM logs what it survives so
LINKS = ("The above exception was the direct cause", "During handling of the above exception")  # of a chain
PACKAGE = re.compile(
    r"^.*/(?=(?:vllm(?!/lib/)|vllm_ascend|torch|torch_npu|transformers)/)"
)  # what is above it
OWN = re.compile(r"vllm(?:_ascend)?/")
# What an exception without a signature is about tells the place that raised it.
REFUSED = re.compile(
    r"^(?:\w+\.)*(?:(?:Value|Assertion|NotImplemented|Type|Key|Index|Attribute|Runtime)Error)(?:: (?P<why>.+)| \((?P<code>.+)\)$)"
)
UNFIT = re.compile(
    r"^(?:Type|Attribute|Index|Runtime)Error"
)  # code that meets what it does not know, not a check of a setting
PLACES = (
    (
        r"\b(?:vllm/(?:config/|config\.py|engine/arg_utils)|vllm_ascend/(?:ascend_config|platform)\.py)",
        "bad_config",
    ),
    (r" in \w*validate\w*$", "bad_config"),
    (r" in (?:load_weights|\w*weight_loader\w*|_?load_\w*weights?\w*|_load_w\d+)$", "weights_do_not_fit"),
    (r"/quantization/", "quantization_unsupported"),
    (r"/spec_decode/", "speculation_failed"),
    (r"/structured_output/", "structured_output"),
    (
        r"\b(?:torch/_dynamo|torch/_inductor|torchair|npugraph_ex|vllm(?:_ascend)?/compilation)/",
        "graph_compilation",
    ),
    (r"\btransformers/(?:\w+/)*(?:tokenization\w*|processing\w*)\.py", "tokenizer_unreadable"),
)
BY_PLACE = tuple((re.compile(place), BY_ID[known]) for place, known in PLACES)
CODED = {one.id for one in SIGNATURES if one.codes}
ENDING = 80  # characters
OPEN_END = re.compile(r"(?:Error:|Exception:|validation errors? for \w+:?)$")  # the reason is below it
FIELD = re.compile(r"^[\w.]+$")  # pydantic names the field before it says what is wrong with it
RULE = re.compile(r"^[\s=*#-]*$")
GENERATION = re.compile(r"^\[supervisor\] generation \w+: starting")
RUN = re.compile(r"^\[supervisor\] (?:generation \w+: starting|stopping: )")  # the first or last line of one
WITHOUT_HEAD = re.compile(r"^\[supervisor\] cannot connect to the head")
WITHOUT_HEAD_SECONDS = 45  # the containers of all hosts were started together


class Raised(NamedTuple):
    """A chain of exceptions: the line of its root, the place that raised that, if known, and all texts.

    ``traced``: whether it has a traceback. ``survived``: whether vLLM goes on after it.
    """

    line: Line
    place: str
    texts: Sequence[str]
    traced: bool
    survived: bool

    @property
    def known(self) -> set[str]:
        """The names of the signatures that match the chain."""
        return {one.id for text in self.texts for one, _what in matches(text)}


@dataclass
class Trace:
    """A traceback that is being read: whether its head is kept, how far that is indented, and what its lines tell."""

    headed: bool
    indent: int
    survived: bool
    place: str = ""
    code: str = ""

    def enter(self, frame: re.Match[str]) -> None:
        """Take the place of a frame, but rather one in vLLM's code than one in a library that this calls."""
        path = PACKAGE.sub("", frame["path"])
        if OWN.match(path) or not OWN.match(self.place):
            self.place = f"{path} in {frame['function']}"
        self.survived = self.survived or REQUEST.search(frame["path"]) is not None

    def ends(self, text: str) -> bool:
        """Tell whether this line has the exception."""
        named = (EXCEPTION if self.headed else NAMED).match(text[self.indent :])
        return named is not None and not text[: self.indent].strip()

    def raised(self, line: Line) -> Raised:
        """Return the exception in this line."""
        text = line.text.strip()
        named = f"{text} ({self.code})" if ":" not in text and self.code else text
        survived = self.survived or line.level in HARMLESS
        return Raised(line._replace(text=named), self.place, [text], True, survived)


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
    past, current = _matches(host, lines[:ready]), _matches(host, lines[ready:])
    found = {finding.id for finding in current}
    raised = None
    if not {finding.kind for finding in current} & {CAUSE, PEER}:
        served = ready > 0 or any(SERVES.search(line.text) for line in since_start(lines))
        raised = _last_exception(lines[ready:], served)
    known = raised.known if raised else set()
    if raised and not known & found and not _is_npus(raised.line, current):
        dead = (number for number, one in enumerate(current) if one.id == BY_ID["worker_died"].id)
        current.insert(next(dead, len(current)), _unknown(host, raised))  # in the same second, it says why
    return [finding._replace(severity=PAST) for finding in past] + _settled(current, known)


def _is_npus(line: Line, found: Iterable[Finding]) -> bool:
    """Tell whether the exception only repeats an error of the NPU's software: torch_npu raises this type."""
    told = any(one.kind == SYMPTOM or (one.kind == UNCLEAR and one.id in CODED) for one in found)
    return told and line.text.startswith("RuntimeError")


def _settled(found: Sequence[Finding], raised: Collection[str]) -> list[Finding]:
    """Return the findings of one host, with the kinds that they have beside each other.

    A suspect is a cause if this host failed and nothing else tells why; one of the kind RAISED only if no exception
    tells why, or the one that was *raised* is it. What is unclear after a trace of another host's failure is a
    consequence of that.
    """
    kinds = {one.kind for one in found if one.severity == FATAL and one.kind not in DOUBTFUL}
    failed = bool(kinds) and kinds <= {UNCLEAR, ECHO}
    settled, traced = [], False
    for finding in found:
        traced = traced or finding.kind == PEER
        if finding.kind in DOUBTFUL:
            blamed = failed and (finding.kind == SUSPECT or UNCLEAR not in kinds)
            guilty = blamed or finding.id in raised
            finding = finding._replace(
                kind=CAUSE if guilty else WARNING, severity=FATAL if guilty else WARNING
            )
        elif finding.kind == UNCLEAR and traced:
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
    for index, line in enumerate(lines):
        quiet = line.level in vllm_log.QUIET
        if not line.text or (line.text, quiet) in seen:
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
    """Return what an exception without a signature means, as far as the place tells that raised it."""
    line, refused = raised.line, REFUSED.match(raised.line.text)
    signature = next((one for place, one in BY_PLACE if place.search(raised.place)), None)
    if refused and signature and not (signature.id == "bad_config" and UNFIT.match(line.text)):
        return _finding(host, signature, refused["why"] or refused["code"], [line])
    where = f" (raised in {raised.place})" if raised.place else ""
    return Finding(
        host=host,
        id="unknown_exception",
        kind=UNCLEAR,
        severity=FATAL,
        cause=f"vLLM failed with an error that has no signature: {line.text}{where}",
        remedy="Look at the traceback above this line in the container's log, and search the issues of vllm-ascend for its "
        "text. If nothing helps there, use another vllm_release, or start without speculative-config, compilation-config and "
        "additional-config in vllm_serve_args to find the one that it comes from",
        line=line.text,
        source="Python traceback",
        at=line.at,
    )


def _last_exception(lines: Sequence[Line], served: bool) -> Raised | None:
    """Return the exception that made vLLM exit, if there is one.

    Python prints the root of a chain of exceptions first, and vLLM logs that it exits before it logs why. A service
    that was ready also logs exceptions that it survives, so only those at its exit count. In a start, those count
    that no later stage follows.
    """
    end = next((index for index, line in enumerate(lines) if is_end(line)), None)
    chains = _chains(lines)
    if end is None:
        hit = next((index for index, line in enumerate(lines) if line.text.startswith(HIT)), len(lines))
        reached = vllm_log.later_stages(lines)
        kept = (
            chain
            for at, chain in chains
            if at >= (hit if served else vllm_log.goes_on(chain[0].line.process, reached))
        )
        return _first_exception(kept, survived=False)
    parts = [[chain for at, chain in chains if (at < end) == before] for before in (False, True)]
    found = (_first_exception(part, survived) for survived in (False, True) for part in parts)
    raised = next((one for one in found if one), None)
    return _origin(raised, chains) if raised and raised.line.text.startswith(RELAYED) else raised


def _origin(relayed: Raised, chains: Iterable[tuple[int, Sequence[Raised]]]) -> Raised:
    """Return the root of the chain with the exception that another one repeats, that itself if there is none."""
    for _at, chain in chains:
        told = (one.line.text.partition(": ")[2] for one in chain if not one.line.text.startswith(RELAYED))
        if any(text and text in relayed.line.text for text in told):
            return _first_exception([chain], survived=chain[0].survived) or relayed
    return relayed


def _first_exception(chains: Iterable[Sequence[Raised]], survived: bool) -> Raised | None:
    """Return the root of the first chain, one without a traceback only if there is no other.

    Exceptions that vLLM survives count only if *survived* is true.
    """
    bare = None
    for chain in chains:
        kept = [one for one in chain if not UNINFORMED.match(one.line.text) and survived >= one.survived]
        if kept and kept[0].traced:
            return kept[0]._replace(texts=[one.texts[0] for one in kept])
        bare = bare or next(iter(kept), None)
    return bare


def _chains(lines: Sequence[Line]) -> list[tuple[int, list[Raised]]]:
    """Return the chains of exceptions of a log, each with the index of its root, in the order of their roots."""
    written: dict[str, list[tuple[int, Line]]] = {}
    for numbered in enumerate(lines):
        written.setdefault(numbered[1].process, []).append(numbered)
    return sorted((chain for part in written.values() for chain in _process_chains(part)), key=itemgetter(0))


def _process_chains(lines: Iterable[tuple[int, Line]]) -> Iterator[tuple[int, list[Raised]]]:
    """Yield the exceptions of a process, those together of which Python says that one led to the other.

    The head of a traceback may not be kept, or nothing of it but the exception.
    """
    chain: list[Raised] = []
    linked, trace, above, root = False, None, "", 0
    for index, line in lines:
        text, announced, above = line.text, above, line.text or above
        head, frame = HEAD.match(text), FRAME.match(text)
        if head or (frame and not trace):
            if chain and not linked:
                yield root, chain
                chain = []
            indent = len(head["indent"]) if head else 0
            linked, trace = False, Trace(head is not None, indent, SURVIVED.match(announced) is not None)
        if trace and frame:
            trace.enter(frame)
        elif trace and trace.ends(text):
            root = root if chain else index
            chain.append(trace.raised(line))
            trace = None
        elif trace and CODE.match(text):
            trace.code = text.strip()
        elif not trace and NAMED.match(text):
            named = line._replace(text=text.strip())
            yield index, [Raised(named, "", [named.text], traced=False, survived=line.level in HARMLESS)]
        elif text.lstrip().startswith(LINKS):
            linked = True
    if chain:
        yield root, chain


def is_end(line: Line) -> bool:
    """Tell whether vLLM or the supervisor logs that it exits. Its processes may linger, or exit with 0."""
    return line.level not in vllm_log.QUIET and any(end.match(line.text) is not None for end in ENDS)


def since_start(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the lines from the last start of vLLM on, all of them if it was not started.

    What the supervisor says of earlier failures is over when it starts vLLM again.
    """
    begins = [index for index, line in enumerate(lines) if GENERATION.search(line.text)]
    return lines[begins[-1] :] if begins else lines


def is_without_head(last: Line, now: float) -> bool:
    """Tell whether this last line of a log means that the supervisor cannot connect to the head."""
    return (
        bool(WITHOUT_HEAD.search(last.text)) and last.at is not None and now - last.at > WITHOUT_HEAD_SECONDS
    )


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
    """Return what to do about a host that does not serve; empty if it does, as far as its own log shows."""
    if host.log is None:
        return "Check that the host can be reached, then run site.yml"
    stage = vllm_log.timeline(host.log)[-1]["stage"]
    return "" if stage in ("engine_ready", "serving") else vllm_log.remedy(str(stage))
