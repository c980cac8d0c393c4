#!/usr/bin/env python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the table of log signatures as a page in Markdown: a list of codes, and a section for each signature.

Usage: PYTHONPATH=collections:tests/support tests/signatures_page.py [zh-CN]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import (
    BY_CODE,
    CAUSE,
    ECHO,
    FAMILIES,
    PEER,
    RAISED,
    SIGNATURES,
    SUSPECT,
    SYMPTOM,
    UNCLEAR,
    WARNING,
    Signature,
)
from vendor_codes import LISTS, RULES, RULES_SOURCE, CodeList

CHINESE = yaml.safe_load(Path(__file__).with_name("signatures.zh-CN.yml").read_text(encoding="utf-8"))
ENGLISH = {
    "title": "Log signatures",
    "head": "What the module `log_diagnosis`, `diagnose.yml` and `site.yml` find in logs: what it means, what to do, and the "
    "source. Search this page for the code or a word of your line. A text in angle brackets stands for a part of the line.\n\n"
    "[简体中文](signatures.zh-CN.md)",
    "coverage": "Coverage",
    "lists": "list of the vendor | known |",
    "codes": "Codes",
    "columns": "code | the vendor's meaning | signature",
    "family": "a code of this family that no list has",
    "kind": "Kind: ",
    "remedy": "Remedy: ",
    "source": "Source: ",
    "own": "Codes: ",
    "pattern": "Pattern:",
    CAUSE: "the cause of a failure",
    SUSPECT: "the cause, if vLLM fails after it",
    RAISED: "the cause, if vLLM fails with it",
    PEER: "a trace of a failure on another host or in the network",
    UNCLEAR: "a failure of this host whose reason the log does not show",
    SYMPTOM: "names only the layer that failed",
    ECHO: "follows from an earlier failure",
    WARNING: "a warning",
}
LANGUAGES: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "en": (ENGLISH, {}),
    "zh-CN": (CHINESE["page"], CHINESE["signatures"]),
}


def page(language: str = "en") -> str:
    """Return the page. A signature without a text in the language has the English one."""
    words, texts = LANGUAGES[language]
    rows = sorted((code, meaning, one.id) for one in SIGNATURES for code, meaning in one.codes.items())
    rows += [(f"{family}…", words["family"], one.id) for family, one in FAMILIES]
    codes = [f"| {code} | {_cell(meaning)} | [{name}](#{name}) |" for code, meaning, name in rows]
    return "\n".join(
        [
            f"# {words['title']}",
            "",
            words["head"],
            "",
            f"## {words['coverage']}",
            "",
            f"| {words['lists']} |",
            "|---|---|---|",
            *map(_coverage, LISTS),
            _rules(),
            "",
            f"## {words['codes']}",
            "",
            f"| {words['columns']} |",
            "|---|---|---|",
            *codes,
            "",
            *(line for one in SIGNATURES for line in _section(one, words, texts.get(one.id))),
        ]
    )


def _coverage(one: CodeList) -> str:
    known = sum(code in BY_CODE for code in one.codes)
    return f"| [{one.name}]({one.source.partition(',')[0]}) | {known} of {len(one.codes)} | {one.rest} |"


def _rules() -> str:
    names = {name for name, _signature, _line in RULES}
    missed = {name for name, signature, line in RULES if first(line) != signature}
    source = RULES_SOURCE.partition(" ")[0]
    return f"| [ascend-fd, its rules for vLLM]({source}) | {len(names - missed)} of {len(names)} | |"


def first(text: str) -> str:
    """Return the signature that knows a text best; empty if none does."""
    found = diagnosis.diagnose({"host": vllm_log.lines_of(text)})
    return found[0].id if found else ""


def _section(one: Signature, words: Mapping[str, str], text: Mapping[str, str] | None) -> list[str]:
    end = words["end"] if text else "."
    shown = one._replace(**text or {})
    cause = shown.cause.replace("{what}", "<…>")
    lines = [f"## {one.id}", "", f"{cause[0].upper()}{cause[1:]}{end}".replace("<", "&lt;"), ""]
    lines += [
        f"- {words['kind']}{words[one.kind]}",
        f"- {words['remedy']}{shown.remedy.replace('<', '&lt;')}{end}",
        f"- {words['source']}{_linked(one.source)}",
    ]
    if one.codes:
        lines.append(f"- {words['own']}{', '.join(sorted(one.codes))}")
    if one.pattern:
        lines += [f"- {words['pattern']}", "", "  ```text", f"  {one.pattern.pattern}", "  ```"]
    return [*lines, ""]


def _linked(source: str) -> str:
    return f"<{source}>" if source.startswith("https://") and " " not in source else source


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(*sys.argv[1:]))
