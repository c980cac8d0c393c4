#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the code in small ways and counts which changes the unit tests notice. Prints a score for each module.

`make mutants` tries COUNT changes of each file below plugins/module_utils, the same ones each time, on copies of the
checkout. A change of wording is none: golden files have that. Some changes make no difference at all, so the
score of good tests is below 100 %; look at what is listed as unnoticed.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import copy
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = Path("plugins/module_utils")
TESTS = Path("tests/unit/plugins/module_utils")
NEEDED = ("collections", "plugins", "profiles", "roles", "playbooks", "docs", "tests", "inventories")
FILES = ("galaxy.yml", "pyproject.toml", "ansible.cfg", "README.md", "README.zh-CN.md")

OPPOSITES = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the changes of one node, each as a node in its place."""
    if isinstance(node, ast.expr):
        yield from _changed_expression(node)
    elif isinstance(node, ast.If) and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, (ast.Raise, ast.Continue, ast.Break)) or _is_call(node):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))


def _changed_expression(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield ast.Compare(node.left, [OPPOSITES[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(OPPOSITES[type(node.op)](), node.values)
        yield node.values[0]
    elif isinstance(node, ast.BinOp) and type(node.op) in OPPOSITES and not _is_text(node):
        yield ast.BinOp(node.left, OPPOSITES[type(node.op)](), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def _is_text(node: ast.BinOp) -> bool:
    """Tell whether an addition may be one of strings or lists, which have no subtraction."""
    parts = (node.left, node.right)
    return not any(isinstance(part, ast.Constant) and isinstance(part.value, (int, float)) for part in parts)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, change and source of each mutant. Comments and layout are lost in it."""
    tree = ast.parse(source)
    places = [(parent, name) for parent in ast.walk(tree) for name in parent._fields]
    for parent, name in places:
        if isinstance(parent, (ast.arguments, ast.JoinedStr)) or name == "decorator_list":
            continue  # defaults and wording
        field = getattr(parent, name)
        for index, node in enumerate(field if isinstance(field, list) else [field]):
            for other in changed(node) if isinstance(node, ast.AST) else ():
                _put(parent, name, index, ast.copy_location(copy.deepcopy(other), node))
                text = ast.unparse(ast.fix_missing_locations(tree))
                _put(parent, name, index, node)
                before, after = (ast.unparse(one).splitlines()[0] for one in (node, other))
                yield getattr(node, "lineno", 0), f"{before}  ->  {after}", text


def _put(parent: ast.AST, name: str, index: int, node: Any) -> None:
    field = getattr(parent, name)
    if isinstance(field, list):
        field[index] = node
    else:
        setattr(parent, name, node)


def copied(folder: Path) -> Path:
    """Return a copy of the checkout, as far as unit tests read it."""
    for name in NEEDED:
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def passes(tree: Path, tests: Path, module: str = "", seconds: float | None = None) -> bool:
    """Tell whether the tests pass, those of the module first. Those that take too long fail: a loop may be endless."""
    own = [str(file) for file in [tests / f"test_{module}.py"] if (tree / file).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *own, str(tests)]
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def unnoticed(module: Path, count: int, run: Callable[..., Any]) -> tuple[int, list[str]]:
    """Return how many mutants of a module were tried, and which of them its tests did not notice."""
    source = (ROOT / module).read_text(encoding="utf-8")
    all_of_them = list(mutants(source))
    chosen = random.Random(str(module)).sample(all_of_them, min(count, len(all_of_them)))
    results = run([(module, line, change, text) for line, change, text in sorted(chosen)])
    return len(chosen), [found for found in results if found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=12, help="mutants of each file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--least", type=int, default=0, help="fail below this score, in per cent")
    parser.add_argument("modules", nargs="*", help="files, or folders such as _plan; all by default")
    options = parser.parse_args()
    paths = [ROOT / CODE / name for name in options.modules or [""]]
    modules = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))
    tried = killed = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(options.jobs):
            trees.put(copied(Path(folder, str(number))))

        limits: dict[Path, float] = {}

        def attempt(mutant: tuple[Path, int, str, str]) -> str:
            module, line, change, text = mutant
            tree, tests = trees.get(), TESTS / module.relative_to(CODE).parent
            kept = (tree / module).read_text(encoding="utf-8")
            (tree / module).write_text(text, encoding="utf-8")
            try:
                return (
                    f"  {module}:{line}: {change}" if passes(tree, tests, module.stem, limits[tests]) else ""
                )
            finally:
                (tree / module).write_text(kept, encoding="utf-8")
                trees.put(tree)

        for module in (file.relative_to(ROOT) for file in modules):
            tests = TESTS / module.relative_to(CODE).parent
            if tests not in limits:
                began = time.monotonic()
                if not passes(ROOT, tests):
                    sys.exit(f"{tests} fails without a change: repair that first.")
                limits[tests] = 20 + 4 * (time.monotonic() - began)
            count, missed = unnoticed(module, options.count, lambda found: list(pool.map(attempt, found)))
            if count:
                print(f"{100 * (count - len(missed)) // count:4} %  {count:3}  {module}", flush=True)
                print(*missed, sep="\n", end="\n" if missed else "", flush=True)
            tried, killed = tried + count, killed + count - len(missed)
    score = 100 * killed // max(1, tried)
    print(f"{score:4} %  {tried:3}  all: {killed} of {tried} noticed")
    if score < options.least:
        sys.exit(1)


if __name__ == "__main__":
    main()
