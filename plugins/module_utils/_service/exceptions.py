# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the exception that made vLLM exit, among those of all its processes that the lines of a log mix.

A log that people keep is often not whole: it may lack the head of a traceback, its indentation, or its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Iterable, Iterator, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

# The first line of a traceback that has the indentation of its head has the exception's name, whatever that ends with.
EXCEPTION = re.compile(r"^(?!(?:INFO|DEBUG|WARNING|ERROR|E[0-9A-Z]\d{4}):)(?:\w+\.)*[A-Z]\w+(?::|$)")
# Without the head of a traceback, only a usual name tells that a line is an exception.
NAMED = re.compile(r"^ {0,3}(?:\w+\.)*(?:[A-Z]\w*Error|(?:[A-Z]\w*)?Exception|exc\.[A-Z]\w+)(?:: |:?$)")
HEAD = re.compile(r"^(?P<indent> *)(?:\S.*: )?Traceback \(most recent call last\)")
FRAME = re.compile(r'^ *File "(?P<path>[^"]+)", line \d+(?:, in (?P<function>\S+))?')
# A line of a traceback with source: all that an exception without text says.
CODE = re.compile(r"^ {4,}[^\s~^]")
MARKS = re.compile(r"^[\s~^]+$")  # below a line of source
# vLLM says so of an exception in another process, or after one.
UNINFORMED = re.compile(
    r"^(?:\w+\.)*(?:RuntimeError: (?:Executor failed|Engine (?:core initialization|process) failed|Process \w+ \(PID"
    r"|(?:NPUModelRunner (?:init )?failed, error is ?)+$|cancelled$)"
    r"|Exception: WorkerProc initialization failed|AttributeError: '\w+Executor' object has no attribute"
    r"|EngineDeadError|SystemExit|KeyboardInterrupt|CancelledError)"
)
RELAYED = "RuntimeError: Worker failed with error '"  # the engine repeats what a worker's exception says
# What is printed before an exception that does not end the process: of a thread or task, of an object that Python
# frees, of a message, of a plugin that vLLM can do without, of a single transfer of the KV cache.
SURVIVED = re.compile(
    r"^(?:Exception in thread |Exception ignored |--- Logging error ---|Error in atexit|future: <|Failed to load plugin"
    r"|(?:ERROR:\s+)?Exception in ASGI application|Failed to transfer KV cache)"
)
REQUEST = re.compile(r"/entrypoints/(?:\S+/)?serving\w*\.py|/tool_parsers/|/lora/")  # only that request fails
HIT = "WorkerProc hit an exception"  # of a service: the engine ends, unless it is about a single request
HARMLESS = (*vllm_log.QUIET, "WARNING")  # vLLM logs what it survives so
LINKS = ("The above exception was the direct cause", "During handling of the above exception")  # of a chain
PACKAGE = re.compile(  # what is above it
    r"^.*/(?=(?:vllm(?!/lib/)|vllm_ascend|torch|torch_npu|transformers)/)"
)
OWN = re.compile(r"vllm(?:_ascend)?/")


class Raised(NamedTuple):
    """A chain of exceptions: the line of its root, the place that raised that, if known, and all texts.

    ``frames``: the places in vLLM's own code that led to the root, the innermost last. ``traced``: whether it has a
    traceback. ``survived``: whether vLLM continues after it. ``cut``: whether the log ends before the exception; then
    ``line`` is the last one with source.
    """

    line: Line
    place: str
    texts: Sequence[str]
    traced: bool
    survived: bool
    cut: bool = False
    frames: Sequence[str] = ()


@dataclass
class Trace:
    """A traceback that is being read: whether its head is kept, how far that is indented, and what its lines tell."""

    headed: bool
    indent: int
    survived: bool
    place: str = ""
    code: str = ""
    frames: list[str] = field(default_factory=list)

    def enter(self, frame: re.Match[str]) -> None:
        """Take the place of a frame, but rather one in vLLM's code than one in a library that this calls."""
        path, function = PACKAGE.sub("", frame["path"]), frame["function"]
        place = f"{path} in {function}" if function else path
        is_own = OWN.match(path) is not None
        if is_own:
            self.frames.append(place)
        if is_own or not OWN.match(self.place):
            self.place = place
        self.survived = self.survived or REQUEST.search(frame["path"]) is not None

    def ends(self, text: str) -> bool:
        """Return whether this line has the exception."""
        named = (EXCEPTION if self.headed else NAMED).match(text[self.indent :])
        return named is not None and not text[: self.indent].strip()

    def raised(self, line: Line) -> Raised:
        """Return the exception in this line."""
        text = line.text.strip()
        named = f"{text} ({self.code})" if ":" not in text and self.code else text
        survived = self.survived or line.level in HARMLESS
        return Raised(line._replace(text=named), self.place, [text], True, survived, frames=self.frames)

    def is_cut(self, last: Line) -> bool:
        """Return whether the last line of a process leaves the traceback without its exception.

        A stack that is only shown has no such head, and is no error.
        """
        shown = any(part.match(last.text) for part in (FRAME, CODE, MARKS))
        return shown and " in " in self.place and (self.headed or last.level == "ERROR")

    def cut(self, last: Line) -> Raised:
        """Return what the rest of the log tells about an exception that it does not have."""
        text = self.code or last.text.strip()
        return Raised(last._replace(text=text), self.place, [text], False, self.survived, cut=True)


def last_exception(lines: Sequence[Line], end: int | None, served: bool) -> Raised | None:
    """Return the exception that made vLLM exit, if there is one. *end*: the index of the line that says it exits.

    Python prints the root of a chain of exceptions first, and vLLM logs that it exits before it logs why. A service
    that was ready also logs exceptions that it survives, so only those at its exit count. In a start, those count
    that no later stage follows.
    """
    chains = _chains(lines)
    if end is None:
        hit = next((index for index, line in enumerate(lines) if line.text.startswith(HIT)), len(lines))
        reached = vllm_log.later_stages(lines)
        kept = (
            chain
            for at, chain in chains
            if at >= (hit if served else vllm_log.goes_on(chain[0].line.process, reached))
        )
        return _first(kept, survived=False)
    parts = [[chain for at, chain in chains if (at < end) == before] for before in (False, True)]
    found = (_whole_one(_first(part, survived) for part in parts) for survived in (False, True))
    raised = next((one for one in found if one), None)
    return _origin(raised, chains) if raised and raised.line.text.startswith(RELAYED) else raised


def _origin(relayed: Raised, chains: Iterable[tuple[int, Sequence[Raised]]]) -> Raised:
    """Return the root of the chain with the exception that another one repeats, that itself if there is none."""
    for _at, chain in chains:
        texts = (one.line.text.partition(": ")[2] for one in chain if not one.line.text.startswith(RELAYED))
        if any(text and text in relayed.line.text for text in texts):
            return _first([chain], survived=chain[0].survived) or relayed
    return relayed


def _first(chains: Iterable[Sequence[Raised]], survived: bool) -> Raised | None:
    """Return the root of the first chain, one without a traceback only if there is no other, a cut one last.

    Exceptions that vLLM survives count only if *survived* is true.
    """
    bare: list[Raised] = []
    for chain in chains:
        kept = [one for one in chain if not UNINFORMED.match(one.line.text) and survived >= one.survived]
        if kept and kept[0].traced:
            return kept[0]._replace(texts=[one.texts[0] for one in kept])
        bare += kept[:1]
    return _whole_one(bare)


def _whole_one(found: Iterable[Raised | None]) -> Raised | None:
    """Return the first exception, one that the log does not have whole only if there is no other."""
    return min((one for one in found if one), key=lambda one: one.cut, default=None)


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
    linked, trace, last, root = False, None, Line(""), 0
    for index, line in lines:
        text, announced, last = line.text, last.text, line if line.text else last
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
    rest = chain or _cut(trace, last)
    if rest:
        yield root if chain else index, rest


def _cut(trace: Trace | None, last: Line) -> list[Raised]:
    """Return the exception that a process was about to log in its last line."""
    return [trace.cut(last)] if trace and trace.is_cut(last) else []
