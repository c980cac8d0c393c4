# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command in the docs is run by a test, or is a step of the Makefile."""

from __future__ import annotations

import re

import pytest
from ansible_run import ROOT
from docs_commands import DOCS, ELSEWHERE, HERE, IN_BLOCK, NO_COMMAND, PICTURE, commands

STEP = re.compile(r"^([a-z-]+):", re.M)


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_there_and_still_in_the_docs(command):
    file, sign = ELSEWHERE[command]
    assert sign in (ROOT / file).read_text(encoding="utf-8")
    assert command in commands(*DOCS)


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_command_is_overlooked(file):
    text = PICTURE.sub("", file.read_text(encoding="utf-8"))
    assert "```" not in text, "commands are indented by four blanks"
    lines = re.findall(r"^ {4}\S.*$", text, re.MULTILINE)
    assert [
        line for line in lines if not IN_BLOCK.fullmatch(line) and not NO_COMMAND.match(line.strip())
    ] == []


def test_what_is_run_on_the_lab_starts_no_step_of_the_makefile():
    assert HERE
    assert [command for command in HERE if command.startswith("make ")] == []


def test_the_steps_that_the_docs_name_are_in_the_makefile():
    steps = set(STEP.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {command.split()[1] for command in commands(*DOCS) if command.startswith("make ")}
    assert named
    assert named - steps == set()


def test_both_readmes_have_the_same_commands():
    english, chinese = commands(ROOT / "README.md"), commands(ROOT / "README.zh-CN.md")
    assert english == chinese
    assert len(english) > 15
