#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a vllm-ascend reads as YAML: keys of --additional-config, and variables VLLM_*. Nothing is imported.

Give it the unpacked source of a release, and keep what it prints:

tests/ascend_settings.py SOURCE RELEASE >profiles/ascend/RELEASE.yml
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

CONFIG = "additional_config"
# Of the factory of AscendConfig: what it takes out before the class, which knows no other keys, sees the rest.
STRIPPED = "_NON_USER_INPUT_KEYS"
READERS = ("get", "setdefault", "pop")


def text(node: ast.expr | None) -> str | None:
    """Return the value of a literal string."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def is_config(node: ast.expr) -> bool:
    """Return whether an expression is the mapping: `additional_config` or `vllm_config.additional_config`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name == CONFIG


def keys(tree: ast.AST) -> Iterator[str | None]:
    """Yield the keys of the mapping that a module reads: `get`, subscripts, `in`, functions that are given both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in READERS and is_config(function.value):
                yield text(node.args[0])
            elif is_config(node.args[0]) and len(node.args) > 1:
                yield text(node.args[1])
        elif isinstance(node, ast.Subscript) and is_config(node.value):
            yield text(node.slice)
        elif isinstance(node, ast.Compare) and is_config(node.comparators[0]):
            yield text(node.left)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == STRIPPED:
            yield from (text(part) for part in getattr(node.value, "elts", []))


def fields(tree: ast.AST) -> tuple[list[str], bool]:
    """Return the fields of AscendConfig where it is a dataclass of pydantic, and whether others are refused."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "AscendConfig":
            names = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
            return names, 'extra="forbid"' in ast.unparse(node).replace("'", '"')
    return [], False


def variables(tree: ast.AST) -> Iterator[str]:
    """Yield the names of variables VLLM_*: all such literals are."""
    for node in ast.walk(tree):
        name = text(node) if isinstance(node, ast.Constant) else None
        if name and name.startswith("VLLM_") and name.replace("_", "").isalnum() and name.isupper():
            yield name


def show(name: str, comment: str, items: set[str]) -> None:
    """Print one list, as YAML in lines of at most 110 columns."""
    filled = textwrap.fill(", ".join(sorted(items)), 106, break_on_hyphens=False)
    print(f"{name}: # {comment}\n  [\n{textwrap.indent(filled, '    ')},\n  ]")


def main(source: str, release: str) -> None:
    """Print keys and variables of the package below *source*."""
    trees = {
        path: ast.parse(path.read_text("utf-8-sig")) for path in Path(source, "vllm_ascend").rglob("*.py")
    }
    own, refused = fields(trees[Path(source, "vllm_ascend/ascend_config.py")])
    found = {name for tree in trees.values() for name in (*keys(tree), *own) if name}
    print(f"---\n# What vllm-ascend {release} reads, by tests/ascend_settings.py. Do not edit.")
    print(f"refuses_unknown_keys: {str(refused).lower()}")
    show("additional_config", "keys", {name for name in found if not name.startswith("_")})
    show("environment", "variables", {name for tree in trees.values() for name in variables(tree)})


main(*sys.argv[1:])
