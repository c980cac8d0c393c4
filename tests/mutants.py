#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the code in small ways and counts which changes the unit tests notice. Prints a score for each file.

`make mutants` tries a sample of each file, the same one each time, and another with --seed. A change of wording is none:
golden files have that. Some changes make no difference at all, so the score of good tests is below 100 %.

Each folder of code has one process of tests/support/mutant_runner.py, in a copy of the checkout.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import copy
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RUNNER = "tests/support/mutant_runner.py"
# What is changed, and the folder of its tests, without the folders in that.
CODE = {
    "plugins/module_utils": "tests/unit/plugins/module_utils",
    "plugins/action": "tests/unit/plugins/action",
    "plugins/plugin_utils": "tests/unit/plugins/action",
    "plugins/filter": "tests/unit/plugins/filter",
    "roles/container/files": "tests/unit/roles/container",
}
NEEDED = ("collections", "plugins", "profiles", "roles", "playbooks", "docs", "tests", "inventories")
FILES = ("galaxy.yml", "pyproject.toml", "ansible.cfg", "README.md", "README.zh-CN.md")
LARGE = 40  # changes of a file that add one to its sample
TIMES = re.compile(r"SECONDS|PAUSE|TIMEOUT|TICK")  # in the names of constants
LAYOUT = ("buffering", "indent")  # arguments that change nothing but the form of what is written or its speed

running: list[subprocess.Popen[str]] = []

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
    elif isinstance(node, ast.Return) and node.value and not _is_none_or_false(node.value):
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


def _is_none_or_false(node: ast.expr) -> bool:
    """Tell whether None in the place of a value makes no difference."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _is_text(node: ast.BinOp) -> bool:
    """Tell whether an addition may be one of strings or lists, which have no subtraction."""
    parts = (node.left, node.right)
    return not any(isinstance(part, ast.Constant) and isinstance(part.value, (int, float)) for part in parts)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


class Place(NamedTuple):
    """A change that can be made: the node, what comes in its place, and the lines of its statement.

    ``by_import``: an import runs that statement, not the call of a function.
    """

    parent: ast.AST
    name: str
    index: int
    node: Any
    other: ast.AST
    span: tuple[int, int]
    by_import: bool

    @property
    def title(self) -> str:
        before, after = (ast.unparse(one).splitlines()[0] for one in (self.node, self.other))
        return f"{getattr(self.node, 'lineno', 0)}: {before}  ->  {after}"

    def source(self, tree: ast.AST) -> str:
        """Return the source with the change, without comments and layout."""
        _put(self.parent, self.name, self.index, ast.copy_location(copy.deepcopy(self.other), self.node))
        text = ast.unparse(ast.fix_missing_locations(tree))
        _put(self.parent, self.name, self.index, self.node)
        return text


def places(parent: ast.AST, span: tuple[int, int] = (0, 0), by_import: bool = True) -> Iterator[Place]:
    """Yield the changes below a node."""
    by_import = by_import and not isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for name, field in ast.iter_fields(parent):
        if (
            isinstance(parent, (ast.arguments, ast.JoinedStr))
            or name == "decorator_list"
            or _is_tuning(parent)
        ):
            continue  # defaults, wording, and what nobody notices
        for index, node in enumerate(field if isinstance(field, list) else [field]):
            if isinstance(node, ast.AST):
                own = _span(node, span)
                for other in changed(node):
                    yield Place(parent, name, index, node, other, own, by_import)
                yield from places(node, own, by_import)


def _is_tuning(node: ast.AST) -> bool:
    """Tell whether a part of the code has only how long, how much at a time, or in which form."""
    if isinstance(node, ast.Assign):
        return all(
            isinstance(one, ast.Name) and one.id.isupper() and TIMES.search(one.id) for one in node.targets
        )
    if isinstance(node, ast.BinOp):  # a size of so many bytes, such as 4 << 20
        return isinstance(node.op, ast.LShift) and isinstance(node.right, ast.Constant)
    return isinstance(node, ast.keyword) and node.arg in LAYOUT


def _span(node: ast.AST, span: tuple[int, int]) -> tuple[int, int]:
    """Return the lines of a statement, without those that it has in it."""
    if not isinstance(node, (ast.stmt, ast.excepthandler)):
        return span
    body = getattr(node, "body", None)
    end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, end)


def _put(parent: ast.AST, name: str, index: int, node: Any) -> None:
    field = getattr(parent, name)
    if isinstance(field, list):
        field[index] = node
    else:
        setattr(parent, name, node)


def copied(folder: Path) -> Path:
    """Return a copy of the checkout, as far as unit tests read it."""
    skipped = shutil.ignore_patterns("__pycache__", "output")
    for name in NEEDED:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=skipped)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def sample(file: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return mutants of a file, more of a large one."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = list(places(tree))
    count = min(len(found), options.count + len(found) // LARGE)
    chosen = random.Random(f"{options.seed}{file}").sample(range(len(found)), count)
    return [
        {
            "file": str(file),
            "span": found[one].span,
            "by_import": found[one].by_import,
            "title": found[one].title,
            "source": found[one].source(tree),
        }
        for one in sorted(chosen)
    ]


def attempts(tests: str, mutants: list[dict[str, Any]], trees: queue.Queue[Path]) -> list[dict[str, Any]]:
    """Return what one process of pytest tells about the mutants of a folder."""
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / tests).glob("test_*.py"))
    if not files:
        return [{**mutant, "noticed": False} for mutant in mutants]
    tree = trees.get()
    results = []
    try:
        command = [sys.executable, RUNNER]
        with subprocess.Popen(
            command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            running.append(process)
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"tests": files, "mutants": mutants}))
            process.stdin.close()
            for line in process.stdout:
                results.append(json.loads(line))
                mark = " " if results[-1]["noticed"] else "-"
                print(
                    f"{mark} {results[-1]['seconds']:6} s {results[-1]['file']}:{results[-1]['title']}",
                    file=sys.stderr,
                )
    finally:
        trees.put(tree)
    return results


def report(results: list[dict[str, Any]]) -> int:
    """Print the score of each file, of each folder and of all, and what was not noticed. Return the last score."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        path = Path(result["file"])
        for number, name in enumerate((str(path), f"{path.parent}/", "all")):
            groups[number, name].append(result)
    score = 0
    for (number, name), group in sorted(groups.items()):
        missed = [result for result in group if not result["noticed"]]
        score = 100 * (len(group) - len(missed)) // len(group)
        print(f"{score:4} %  {len(group):4}  {name}")
        for result in missed if number == 0 else ():
            print(f"        {result['file']}:{result['title']}")
    return score


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=6, help="mutants of each file; large files have more")
    parser.add_argument("--seed", default="", help="any text, for another sample")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("--least", type=int, default=0, help="fail below this score, in per cent")
    parser.add_argument("names", nargs="*", help="parts of paths, such as _plan or supervise; all by default")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folders: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for code, tests in CODE.items():
        for file in sorted((ROOT / code).rglob("*.py")):
            path = file.relative_to(ROOT)
            if not options.names or any(name in str(path) for name in options.names):
                folders[str(Path(tests) / path.relative_to(code).parent)] += sample(path, options)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(options.jobs):
            trees.put(copied(Path(folder, str(number)).resolve()))
        work = sorted(folders.items(), key=lambda item: -len(item[1]))
        try:
            done = list(pool.map(lambda item: attempts(*item, trees), work))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise
        results = [result for results in done for result in results]
    score = report(results)
    untried = sum(map(len, folders.values())) - len(results)
    if untried or score < options.least:
        sys.exit(f"{untried} mutants were not tried, and the score is {score} %.")


if __name__ == "__main__":
    main()
