# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subject folders of module_utils stand in layers: none imports another in a circle."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import pytest
from ansible_run import ROOT

FOLDERS = sorted((ROOT / "plugins/module_utils").glob("_*/"))


def imported(text: str) -> set[str]:
    return set(re.findall(r"plugins\.module_utils\.(_\w+)[. ]", text))


def test_no_circle():
    graph = {
        folder.name: {
            other
            for file in folder.rglob("*.py")
            for other in imported(file.read_text(encoding="utf-8"))
            if other != folder.name
        }
        for folder in FOLDERS
    }
    assert "_problem" in graph["_service"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
