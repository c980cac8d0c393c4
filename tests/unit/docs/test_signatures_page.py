# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of log signatures that `make docs` makes."""

from __future__ import annotations

import runpy

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import SIGNATURES
from shipped import ROOT


def test_the_page_has_every_signature_and_code():
    page = runpy.run_path(str(ROOT / "tests" / "signatures_page.py"))["page"]().split("\n")
    assert {f"## {one.id}" for one in SIGNATURES} < set(page)
    rows = {line.split(" | ")[0] for line in page if line.startswith("| ")}
    assert {f"| {code}" for one in SIGNATURES for code in one.codes} < rows
    assert any("its rules for vLLM" in line and "| 21 of 21 |" in line for line in page)
