# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is and finds, and the lists of rules that the modules *_rules.py make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case


@dataclass(frozen=True)
class Found:
    """What a rule found. *known* if it is just so in what the collection ships."""

    severity: str
    found: str
    expected: str
    remedy: str
    source: str
    known: bool = False


Rule = Callable[[Case], Iterator[Found]]


class Rules:
    """Rules by the ids of their findings, in the order in which tables and messages have them."""

    def __init__(self) -> None:
        self.added: dict[str, Rule] = {}

    def named(self, name: str) -> Callable[[Rule], Rule]:
        """Add a rule. To be used as a decorator."""

        def add(function: Rule) -> Rule:
            self.added[name] = function
            return function

        return add
