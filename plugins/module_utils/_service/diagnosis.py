# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong first, told from the logs of all hosts of a service together.

Exit codes are no help: with vLLM 0.13.0 a failed worker, and every failure after the start, ends with 0. And the host that
complains first is seldom the one that failed: its complaint is only the trace of the other's end.
"""

from __future__ import annotations

import re
import time
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import (
    CAUSE,
    ECHO,
    PEER,
    SIGNATURES,
    WARNING,
    Signature,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

FATAL = "fatal"
PAST = "past"  # the service was ready again afterwards
KINDS = (CAUSE, PEER, ECHO, WARNING)
SEVERITIES = (FATAL, WARNING, PAST)
READY = re.compile(r"^init engine \(|Application startup complete")  # the first is all that a worker says
EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)(?::|$)")
ALONE = re.compile(r"^\[supervisor\] no link to the head")
ALONE_SECONDS = 45  # all containers were started together
SHOWN = ("id", "severity", "cause", "remedy", "line", "source")


class Finding(NamedTuple):
    """A sign of failure. at: seconds since the epoch, if the log has times."""

    host: str
    id: str
    kind: str
    severity: str
    cause: str
    remedy: str
    line: str
    source: str
    at: float | None

    def shown(self) -> dict[str, Any]:
        """Return what a module returns of it, besides where it is from."""
        return {key: getattr(self, key) for key in SHOWN}


def diagnose(logs: Mapping[str, Sequence[Line]]) -> list[Finding]:
    """Return what the logs of all hosts say: the first cause, later ones, traces of peers, echoes; then warnings; then what is overcome."""
    return order(finding for host, lines in logs.items() for finding in findings(host, lines))


def order(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings, first cause first. Where times are not known, the order of hosts and lines stays."""

    def rank(finding: Finding) -> tuple[int, int, float]:
        return (
            SEVERITIES.index(finding.severity),
            KINDS.index(finding.kind),
            float("inf") if finding.at is None else finding.at,
        )

    return sorted(found, key=rank)


def findings(host: str, lines: Sequence[Line]) -> list[Finding]:
    """Return what one log says, each sign once, in the order of its lines."""
    ready = max((index for index, line in enumerate(lines) if READY.search(line.text)), default=-1) + 1
    overcome, now = _signs(host, lines[:ready]), _signs(host, lines[ready:])
    if not any(finding.kind in (CAUSE, PEER) for finding in now):
        unknown = _unknown_exception(lines[ready:], served=ready > 0)
        now += [
            _unknown(host, line) for line in unknown if line.text not in {finding.line for finding in now}
        ]
    return [finding._replace(severity=PAST) for finding in overcome] + now


def _signs(host: str, lines: Sequence[Line]) -> list[Finding]:
    found = {}  # type: dict[str, Finding]
    for line in lines:
        for signature in SIGNATURES:
            match = signature.id not in found and signature.pattern.search(line.text)
            if match:
                found[signature.id] = _finding(host, signature, match, line)
    return list(found.values())


def _finding(host: str, signature: Signature, match: re.Match[str], line: Line) -> Finding:
    what = next((value for value in match.groupdict().values() if value), "").strip(" .,'\"")
    severity = WARNING if signature.kind == WARNING else FATAL
    cause = signature.cause.format(what=what).replace("  ", " ").replace(" :", ":")
    return Finding(
        host,
        signature.id,
        signature.kind,
        severity,
        cause,
        signature.remedy,
        line.text,
        signature.source,
        line.at,
    )


def _unknown(host: str, line: Line) -> Finding:
    cause = "vLLM ended with an error that is not in the table: " + line.text
    remedy = "Look at the traceback above this line in the container's log."
    return Finding(
        host, "unknown_exception", CAUSE, FATAL, cause, remedy, line.text, "Python traceback", line.at
    )


def _unknown_exception(lines: Sequence[Line], served: bool) -> list[Line]:
    """Return the line of the exception that ended it, if there is one.

    Python prints the root of a chain of exceptions first, and vLLM says that it ends before it says why. A service that was
    ready logs exceptions that it outlives, so only what comes with its end counts.
    """
    end = next((index for index, line in enumerate(lines) if is_end(line)), None)
    if end is None:
        return [] if served else _first_exception(lines)
    return _first_exception(lines[end:]) or _first_exception(lines[:end])


def _first_exception(lines: Sequence[Line]) -> list[Line]:
    inside = False
    for line in lines:
        if line.text.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and EXCEPTION.match(line.text):
            return [line]
    return []


def is_end(line: Line) -> bool:
    """Tell whether vLLM or the supervisor says in this line that it does not go on; processes may linger, or end with 0."""
    return any(signature.kind == ECHO and signature.pattern.search(line.text) for signature in SIGNATURES)


def is_alone(last: Line, now: float) -> bool:
    """Tell whether this last line of a log means that the supervisor looks for the head in vain."""
    return bool(ALONE.search(last.text)) and last.at is not None and now - last.at > ALONE_SECONDS


class Host(NamedTuple):
    """What is known of a host: what its container does, in words, and the log of its present run, None if it does not run."""

    name: str
    role: str
    state: str
    log: Sequence[Line] | None


def verdict(hosts: Sequence[Host], found: Sequence[Finding]) -> str:
    """Return for a person where each host stands, the first cause, what followed, and what to do."""
    rows = [
        ("HOST", "ROLE", "CONTAINER", "STAGE"),
        *((host.name, host.role, host.state, _stage(host)) for host in hosts),
    ]
    table = ["{:<12} {:<7} {:<52} {}".format(*row).rstrip() for row in rows]
    fatal = [finding for finding in found if finding.severity == FATAL]
    said = _first(fatal[0]) if fatal else ["No known sign of failure."]
    if not fatal:
        said += [
            f"Not serving: host {host.name} is {host.state}. {_hint(host)}" for host in hosts if _hint(host)
        ]
    parts = [table, said, _list("What else failed, and what followed:", fatal[1:])]
    parts.append(
        _list("Worth a look:", [finding for finding in found if finding.severity == WARNING], remedy=True)
    )
    parts.append(
        _list(
            "Before the service was last ready:", [finding for finding in found if finding.severity == PAST]
        )
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def _first(finding: Finding) -> list[str]:
    title = "First cause" if finding.kind == CAUSE else "No cause is in the logs. First trace of one"
    return [
        f"{title}, on host {finding.host}{_when(finding)}: {finding.cause}.",
        f"To do: {finding.remedy}",
        f"Line: {finding.line}",
        f"Signature: {finding.id}, from {finding.source}",
    ]


def _list(title: str, found: Sequence[Finding], remedy: bool = False) -> list[str]:
    said = (
        f"- host {finding.host}{_when(finding)}: {finding.cause}." + (f" {finding.remedy}" if remedy else "")
        for finding in found
    )
    return [title, *said] if found else []


def _when(finding: Finding) -> str:
    return "" if finding.at is None else time.strftime(" at %Y-%m-%d %H:%M:%S UTC", time.gmtime(finding.at))


def _stage(host: Host) -> str:
    if not host.log:
        return ""
    last = vllm_log.timeline(host.log)[-1]
    return ", ".join(str(last[key]) for key in ("title", "progress") if last[key])


def _hint(host: Host) -> str:
    """Return where to look at a host that does not serve; empty if it does, as far as its own log tells."""
    if host.log is None:
        return "See that it can be reached, and run site.yml."
    stage = vllm_log.timeline(host.log)[-1]["stage"]
    return "" if stage in ("engine_ready", "serving") else f"To do: {vllm_log.hint(str(stage))}."
