#!/usr/bin/env python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print profiles/releases.yml as a table in Markdown, as docs/releases.md and docs/releases.zh-CN.md have it.

Usage: tests/releases_table.py [zh]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

PROFILES = Path(__file__).resolve().parents[1] / "profiles"
HEADS = {
    "en": ("release", "vLLM", "CANN", "torch, torch_npu", "Python", "driver", "GLM-4.7 parsers", "unknown keys", "API servers", "drain"),
    "zh": ("版本", "vLLM", "CANN", "torch、torch_npu", "Python", "驱动", "GLM-4.7 解析器", "未知配置项", "API 服务进程", "排空"),
}  # fmt: skip
WORDS = {
    "en": {
        "unknown": "not known", "from": "{} or later", "range": "{} to {}", "patch": "by patches", "own": "in vLLM",
        "refused": "refused", "ignored": "ignored", "per": "one for each engine", "yes": "yes", "no": "no",
    },
    "zh": {
        "unknown": "未知", "from": "{} 及以上", "range": "{} 至 {}", "patch": "由补丁提供", "own": "vLLM 自带",
        "refused": "拒绝启动", "ignored": "忽略", "per": "每个引擎一个", "yes": "支持", "no": "不支持",
    },
}  # fmt: skip


def read(path: str) -> Any:
    """Return the content of a YAML file of profiles/."""
    return yaml.safe_load((PROFILES / path).read_text(encoding="utf-8"))


def driver(row: dict[str, Any], words: dict[str, str]) -> str:
    """Return the range of driver packages as text."""
    oldest, newest = row["driver"]["oldest"], row["driver"]["newest"]
    if oldest is None:
        return words["unknown"]
    return words["from"].format(oldest) if newest is None else words["range"].format(oldest, newest)


def cells(name: str, row: dict[str, Any], words: dict[str, str]) -> list[str]:
    """Return the cells of one release."""
    vllm, ascend = read(f"flags/{row['vllm']}.yml"), read(f"ascend/{row['settings']}.yml")
    flags = {flag for kind, names in vllm.items() if kind != "environment" for flag in names}
    return [
        name,
        row["vllm"],
        f"{row['cann']}",
        f"{row['torch']}, {row['torch_npu']}",
        row["python"],
        driver(row, words),
        words["own" if "glm47" in vllm["tool_parsers"] else "patch"],
        words["refused" if ascend["refuses_unknown_keys"] else "ignored"],
        "1" if row["api_servers"] == 1 else words["per"],
        words["yes" if "shutdown-timeout" in flags else "no"],
    ]


def table(language: str) -> str:
    """Return the table."""
    rows = [cells(name, row, WORDS[language]) for name, row in read("releases.yml")["releases"].items()]
    head, *body = ("| " + " | ".join(line) + " |" for line in [HEADS[language], *rows])
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


if __name__ == "__main__":
    print(table(*sys.argv[1:] or ["en"]))
