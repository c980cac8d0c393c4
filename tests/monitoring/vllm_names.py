#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the metrics of a vLLM for metrics/names.yml, from its source: vllm_names.py VERSION FOLDER/vllm/v1/metrics/loggers.py."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {"_gauge_cls": ("",), "_counter_cls": ("_total",), "_histogram_cls": ("_bucket", "_count", "_sum")}


def names(source: str) -> Iterator[str]:
    """Yield the names as Prometheus sees them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SUFFIXES:
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(given.get("name"), ast.Constant):
                yield from (given["name"].value + suffix for suffix in SUFFIXES[node.func.attr])


if __name__ == "__main__":
    version, loggers = sys.argv[1:]
    print(f"{version}:", *sorted(names(Path(loggers).read_text(encoding="utf-8"))), sep="\n  - ")
