# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides in two languages say the same, their links lead somewhere, and the messages and places that they name exist."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from shipped import GROUPS, ROOT, SETTABLE, read

NOT_SHIPPED = read(ROOT / "galaxy.yml")["build_ignore"]
CHINESE = sorted((ROOT / "docs").glob("*.zh-CN.md"))
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#:]*)(#[^)]*)?\)")
PLACE = re.compile(r"^\|.*\| `([\w./]+)` \| `([^`]+)` \|$", re.M)
# The rows of a table about messages: in the READMEs one of many tables.
MESSAGES = re.compile(
    r"^\| (?:message|stage|in the log|symptom|信息|阶段|日志中|现象) \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.M
)
HEADING = re.compile(r"^#+ (.+)$", re.M)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
VARIABLE = re.compile(r"^(?:vllm|weights|image|verify|serve|preflight|gateway|monitoring)_[a-z_]+$")
KNOWN = SETTABLE | GROUPS
# Messages in the tables that are not ours: of pip, Ansible, SSH, Docker, vLLM and CANN, and one that a template puts together.
FOREIGN = {
    "No matching distribution found for ansible>=11", "couldn't resolve module/action",
    "Host key verification failed", "Permission denied", "Missing sudo password", "x509", "timeout", "does not exist",
    "unrecognized arguments", "EI0006", "docker ps", "NPU out of memory", "Address already in use",
    "could not be pulled", "YAML parsing failed", "failed to parse inventory source",
}  # fmt: skip
OURS = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("plugins", "roles", "playbooks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".yml", ".j2")
)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def is_shipped(path: Path) -> bool:
    """Tell whether the tarball has a file of the repository, or its folder."""
    parts = (path, *path.parents[:-1]) if path.parts else ()
    return not any(fnmatch(str(part), pattern) for part in parts for pattern in NOT_SHIPPED)


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh-CN", ""))


def spans(page: Path) -> list[str]:
    """Return the code of a page, sorted: sentences have another order in another language."""
    return sorted({" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text(page)))})


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub and MyST make them."""
    titles = (
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()) for title in HEADING.findall(text(page))
    )
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_both_languages_name_the_same_code_and_have_the_same_sections(page: Path):
    pages = (english(page), page)
    assert len(HEADING.findall(text(pages[0]))) == len(HEADING.findall(text(pages[1])))
    assert spans(pages[0]) == spans(pages[1])


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name
)
def test_every_link_within_the_repository_leads_somewhere(page: Path):
    for target, anchor in LINK.findall(FENCE.sub("", text(page))):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert is_shipped(linked.resolve().relative_to(ROOT)), (
            f"{target} is not in the tarball, as the page is"
        )
        if anchor and linked.suffix == ".md":
            assert anchor[1:] in anchors(linked), anchor


@pytest.mark.parametrize(
    "page", [*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name
)
def test_every_variable_exists(page: Path):
    named = {span for span in SPAN.findall(text(page)) if VARIABLE.match(span)}
    assert named <= KNOWN


@pytest.mark.parametrize(
    "name", ["README.md", "README.zh-CN.md", "docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"]
)
def test_the_messages_that_a_page_names_exist(name: str):
    rows = "".join(MESSAGES.findall(text(ROOT / name)))
    spans = {span for cell in re.findall(r"^\| ([^|]+) \|", rows, re.M) for span in SPAN.findall(cell)}
    # What a message says of one host or file stands there as an ellipsis, or in quotes.
    parts = {part.strip() for span in spans - FOREIGN for part in re.split(r"…|'[^']+'", span)} - {""}
    assert parts
    one_line = re.sub(r'"?\s*\n\s*"?', " ", OURS)
    assert {part for part in parts - FOREIGN if part not in OURS and part not in one_line} == set()


def test_every_place_that_the_design_names_exists():
    rows = PLACE.findall(text(ROOT / "docs/design.md"))
    assert len(rows) > 10
    for path, name in rows:
        definition = rf"^\s*(?:(?:async )?def {re.escape(name)}\(|class {re.escape(name)}\b|- name: {re.escape(name)}$|{re.escape(name)}(?: ?=|:))"
        assert re.search(definition, text(ROOT / path), re.M), f"{name} is not in {path}"
