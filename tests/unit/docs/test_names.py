# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What messages and pages tell people to set or to run exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from shipped import GROUPS, PLAYBOOK_OPTIONS, ROLES, ROOT, SETTABLE

TEXTS = (
    "roles/**/*.yml",
    "roles/**/*.j2",
    "roles/*/README.md",
    "playbooks/**/*.yml",
    "docs/*.md",
    "README*.md",
)
PLAYBOOK = re.compile(r"\bplaybooks/[\w/-]+\.yml")
# The end of a name that is made of parts, such as vllm_npu_{part}_version, is not here.
VARIABLE = re.compile(r"(?<![\w.{-])vllm_[a-z0-9_]*[a-z0-9](?![\w{:.*(])")
KNOWN = {
    *SETTABLE, *PLAYBOOK_OPTIONS, *GROUPS, "vllm_monitoring_group",
    *names.GUESSES,  # which messages name as wrong
    "vllm_plan", "vllm_host_facts", "vllm_image_content", "vllm_image_problem", "vllm_listener", "vllm_listener_outlasted", "vllm_npu", "vllm_peers",
    "vllm_records", "vllm_weights",  # facts
    "vllm_ascend", "vllm_exited", "vllm_killed", "vllm_log", "vllm_not_started", "vllm_patch",  # no variables
}  # fmt: skip


def texts() -> Iterator[tuple[Path, str]]:
    """Yield each string of the plugins, and each text for people, with its file."""
    for path in ROOT.glob("plugins/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value
    for pattern in TEXTS:
        for path in ROOT.glob(pattern):
            yield path, path.read_text(encoding="utf-8")


@pytest.fixture(name="everything", scope="module")
def everything_that_is_written() -> list[tuple[Path, str]]:
    return list(texts())


def test_each_variable_is_one(everything):
    found = {name: path.name for path, text in everything for name in VARIABLE.findall(text)}
    assert len(found) > 60
    assert {name: path for name, path in found.items() if name not in KNOWN} == {}


def test_each_playbook_is_one(everything):
    found = {name: path.name for path, text in everything for name in PLAYBOOK.findall(text)}
    assert len(found) > 10
    assert {name: path for name, path in found.items() if not (ROOT / name).is_file()} == {}


def test_each_variable_of_a_role_in_a_remedy_is_one():
    """The names of roles begin other words as well, so this is about remedies alone, as messages have them."""
    golden = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/unit/golden").glob("*.txt")]
    remedies = [remedy for text in golden for remedy in re.findall(r"Remedy: (.+)", text)]
    variable = re.compile(rf"(?<![\w./-])(?:vllm|{'|'.join(ROLES)})_[a-z0-9_]+(?![\w.])")
    found = {name for remedy in remedies for name in variable.findall(remedy)}
    assert len(found) > 20
    assert found <= KNOWN
