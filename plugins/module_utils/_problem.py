# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems as data: what was found, what was expected, what to do about it, and one renderer for all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Iterable, Mapping

OPTION = re.compile(r"\bO\((\w+)\)")  # an option of a module, as in its documentation


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in four parts, each a phrase or sentence without its final full stop.

    ``place`` is where it is, such as a group or a file, and ``hosts`` are the hosts that have it, by the inventory's
    names. Both stay empty in modules: they know neither the inventory's name of their host nor the stage they work
    for. Action plugins and roles add it.
    """

    found: str
    expected: str
    remedy: str
    place: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Return the place as text, such as ``host node1, stage weights``."""
        names = ", ".join(self.hosts)
        host = f"host{'s' if len(self.hosts) > 1 else ''} {names}" if names else ""
        return ", ".join(filter(None, [host, self.place]))

    @classmethod
    def of(cls, data: Mapping[str, str]) -> Problem:
        """Return the problem that :meth:`data` described, for example in the result of a failed module."""
        return cls(data["found"], data["expected"], data["remedy"], data.get("where", ""))

    def at(self, where: str) -> Problem:
        """Return the same problem with its place."""
        return replace(self, place=where, hosts=())

    def on(self, host: str) -> Problem:
        """Return the same problem, of a host."""
        return replace(self, hosts=(host,))

    def naming(self, variables: Mapping[str, str]) -> Problem:
        """Return the same problem, with each ``O(option)`` as the variable that sets it, or as its name."""

        def named(text: str) -> str:
            return OPTION.sub(lambda match: variables.get(match[1], match[1]), text)

        return replace(
            self, found=named(self.found), expected=named(self.expected), remedy=named(self.remedy)
        )

    def data(self) -> dict[str, str]:
        """Return the parts as a dictionary, as it goes into a task's result."""
        return {
            "found": self.found,
            "expected": self.expected,
            "remedy": self.remedy,
            "where": self.where,
        }

    def line(self) -> str:
        """Return the problem as one line, for a list of many."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.found}. Expected: {self.expected}. Remedy: {self.remedy}."

    def __str__(self) -> str:
        """Return the problem as a paragraph."""
        place = f"{self.where[0].upper()}{self.where[1:]}\n" if self.where else ""
        return f"{place}Found: {self.found}.\nExpected: {self.expected}.\nRemedy: {self.remedy}."


class ProblemError(Exception):
    """A problem that ends the work at hand."""

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        self.problem = Problem(found, expected, remedy)
        super().__init__(str(self.problem))


def failure(problem: Problem, **facts: Any) -> dict[str, Any]:
    """Return the arguments of ``fail_json`` for *problem*: its text as ``msg``, its parts as ``problem``."""
    return {"msg": str(problem), "problem": problem.data(), **facts}


def together(problems: Iterable[Problem]) -> list[Problem]:
    """Return each of *problems* once: those that differ in their host alone become one of all these hosts."""
    hosts: dict[Problem, list[str]] = {}
    for problem in dict.fromkeys(problems):
        hosts.setdefault(replace(problem, hosts=()), []).extend(problem.hosts)
    return [replace(problem, hosts=tuple(names)) for problem, names in hosts.items()]


def listed(problems: Iterable[Problem]) -> str:
    """Return *problems* as a list with one line each."""
    return "\n".join(f"- {problem.line()}" for problem in problems)
