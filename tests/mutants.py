#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the code in small ways and counts which changes the unit tests notice. Prints a score for each file.

`make mutants` tries a sample of each file, the same one each time, and another with --seed. A change of wording is none:
golden files have that. Some changes make no difference at all, so the score of good tests is below 100 %.

Each folder of code has one process of pytest, in a copy of the checkout. It runs the tests of the folder once, and notes
which lines each of them runs. For each mutant it forks, before any code of the collection is imported, and the
child runs the tests that run the changed line.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import contextlib
import copy
import ctypes
import importlib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible.utils.collection_loader import _collection_finder
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[1]
# What is changed, and the folder of its tests.
CODE = {
    "plugins/module_utils": "tests/unit/plugins/module_utils",
    "plugins/action": "tests/unit/plugins/action",
    "plugins/plugin_utils": "tests/unit/plugins/action",
    "plugins/filter": "tests/unit/plugins/filter",
    "roles/container/files": "tests/unit/roles/container",
}
NEEDED = ("collections", "plugins", "profiles", "roles", "playbooks", "docs", "tests", "inventories")
FILES = ("galaxy.yml", "pyproject.toml", "ansible.cfg", "README.md", "README.zh-CN.md")
EXAMPLES = 25  # of a property
TESTS_SECONDS = 25  # that the tests of one mutant may take, the fast ones first, as measured without a change
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
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
    elif isinstance(node, ast.Return) and node.value and getattr(node.value, "value", ...) is not None:
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


class Place(NamedTuple):
    """A change that can be made: the node, what comes in its place, and the lines of its statement."""

    parent: ast.AST
    name: str
    index: int
    node: Any
    other: ast.AST
    span: tuple[int, int]

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


def places(parent: ast.AST, span: tuple[int, int] = (0, 0)) -> Iterator[Place]:
    """Yield the changes below a node."""
    for name, field in ast.iter_fields(parent):
        if isinstance(parent, (ast.arguments, ast.JoinedStr)) or name == "decorator_list":
            continue  # defaults and wording
        for index, node in enumerate(field if isinstance(field, list) else [field]):
            if isinstance(node, ast.AST):
                own = _span(node, span)
                for other in changed(node):
                    yield Place(parent, name, index, node, other, own)
                yield from places(node, own)


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


class Campaign:
    """A plugin of pytest that runs, in the place of all tests once, some of them for each mutant."""

    def __init__(self, work: dict[str, Any], tell: Callable[..., None]) -> None:
        self._tests, self._mutants, self._tell = work["tests"], work["mutants"], tell
        self._tree = Path.cwd()
        self._ran: dict[tuple[str, int], set[str]] = defaultdict(set)  # tests, by file and line
        self._seconds: dict[str, float] = {}
        self._codes: dict[str, Any] = {}
        self._recorder: Any = None

    def pytest_collection(self, session: pytest.Session) -> bool:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        steady = {"derandomize": True, "database": None, "max_examples": EXAMPLES}
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings(), **steady, phases=phases)
        settings.load_profile("mutants")
        self._cache_code()
        if not self._record(session):
            print(f"{self._tests} fails without a change: repair that first.", file=sys.stderr)
            return True
        for mutant in self._mutants:
            began = time.monotonic()
            noticed = self._try(session, mutant)
            self._tell(
                **{**mutant, "source": ""}, noticed=noticed, seconds=round(time.monotonic() - began, 1)
            )
        return True

    def pytest_runtestloop(self) -> bool:
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and self._recorder:
            self._note({"seconds": [report.nodeid, report.duration]})

    def _cache_code(self) -> None:
        """Compile what is imported once only: Ansible's loader keeps no bytecode."""
        loader = _collection_finder._AnsibleCollectionPkgLoaderBase
        original = loader.get_code

        def get_code(self: Any, fullname: str) -> Any:
            path = self.get_filename(fullname)
            return codes[path] if path in codes else original(self, fullname)

        codes, loader.get_code = self._codes, get_code

    def _note(self, note: dict[str, Any]) -> None:
        with open(os.environ["NOTES"], "a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")

    def _record(self, session: pytest.Session) -> bool:
        """Run all tests, and remember which lines they run. Import what they need from elsewhere."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(ROOT / "tests/support/ran_lines.py", f"{folder}/sitecustomize.py")
            lines, notes = Path(folder, "lines"), Path(folder, "notes")
            lines.touch()
            recording = {"RAN_LINES": str(lines), "RAN_LINES_ROOT": str(self._tree), "PYTHONPATH": folder}
            os.environ["NOTES"] = str(notes)

            def all_of_them() -> bool:
                os.environ.update(recording)
                sys.path.insert(0, folder)
                self._recorder = importlib.import_module("sitecustomize")
                passed = self._run(session, [self._tests], None)
                sys.settrace(None)
                names = {name: getattr(one, "__file__", None) or "" for name, one in sys.modules.items()}
                self._note({"modules": names})
                return passed

            if not forked(all_of_them, 1800):
                return False
            self._remember(
                lines, [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
            )
        return True

    def _remember(self, lines: Path, notes: list[dict[str, Any]]) -> None:
        for line in set(lines.read_text(encoding="utf-8").splitlines()):
            test, file, number = line.split("\t")
            self._ran[self._relative(file), int(number)].add(test)
        for note in notes:
            if "seconds" in note:
                test, seconds = note["seconds"]
                self._seconds[test] = seconds
        for name, file in notes[-1]["modules"].items():
            if not file.startswith(str(self._tree)) and name != "sitecustomize":
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            elif "/plugins/" in file and "/collections/" in file and file.endswith(".py"):
                source = Path(file).read_text(encoding="utf-8")
                self._codes[file] = compile(source, file, "exec", dont_inherit=True)

    def _relative(self, file: str) -> str:
        return str(Path(file).resolve().relative_to(self._tree))

    def _selected(self, mutant: dict[str, Any]) -> list[str]:
        """Return the tests that run the changed statement; those of the same name come first, and then the fast ones.

        What is run by an import may matter to each test that uses the file.
        """
        first, last = mutant["span"]
        found = {
            test for line in range(first, last + 1) for test in self._ran.get((mutant["file"], line), ())
        }
        if "" in found:
            found.update(*(tests for (file, _line), tests in self._ran.items() if file == mutant["file"]))
        own = f"/test_{Path(mutant['file']).stem}.py::"
        known = sorted(found & self._seconds.keys(), key=self._seconds.__getitem__)
        known = known or sorted(test for test in self._seconds if own in test)
        total, chosen = 0.0, []
        for test in sorted(known, key=lambda one: own not in one):
            total += self._seconds[test]
            if total <= TESTS_SECONDS or not chosen:
                chosen.append(test)
        return chosen

    def _try(self, session: pytest.Session, mutant: dict[str, Any]) -> bool:
        """Tell whether the tests notice a mutant. Those that take too long fail: a loop may be endless."""
        tests = self._selected(mutant)
        path = self._tree / mutant["file"]
        kept, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(mutant["source"], encoding="utf-8")
        known = {
            name: self._codes.pop(name)
            for name in list(self._codes)
            if self._relative(name) == mutant["file"]
        }
        files = sorted({test.partition("::")[0] for test in tests})
        seconds = 30 + 5 * sum(self._seconds[test] for test in tests)
        try:
            return not forked(lambda: self._run(session, files, tests), seconds) if tests else False
        finally:
            path.write_text(kept, encoding="utf-8")
            os.utime(path, (times.st_atime, times.st_mtime))
            self._codes.update(known)

    def _run(self, session: pytest.Session, files: list[str], chosen: list[str] | None) -> bool:
        """Run tests until one fails; tell whether none has."""
        if chosen is not None:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        session.perform_collect(files)
        items = session.items
        if chosen is not None:
            rank = {test: number for number, test in enumerate(chosen)}
            items = sorted((one for one in items if one.nodeid in rank), key=lambda one: rank[one.nodeid])
        for item, following in zip(items, [*items[1:], None], strict=True):
            if session.testsfailed:
                break
            if self._recorder:
                self._recorder.begin(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        session._setupstate.teardown_exact(None)
        return not session.testsfailed


def forked(work: Callable[[], bool], seconds: float) -> bool:
    """Run *work* in a child; tell whether it succeeds in time. Nothing that it has started goes on."""
    pid = os.fork()
    if pid == 0:
        done = False
        with contextlib.suppress(BaseException):
            done = work()
        os._exit(0 if done else 1)
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.02)
        return False
    finally:
        end_children()


def end_children() -> None:
    """End all processes below this one. Those whose parent is gone are its own children, as it is a subreaper."""
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.02)


def serve(work: dict[str, Any]) -> None:
    """Run pytest in a copy of the checkout; write a line for each mutant."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def tell(**result: Any) -> None:
        print(json.dumps(result), file=out, flush=True)

    options = [
        "-q",
        "--assert=plain",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-m",
        "not campaign",
    ]
    os.dup2(2, 1)
    pytest.main([*options, work["tests"]], plugins=[Campaign(work, tell)])


def sample(file: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return mutants of a file, more of a large one."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = list(places(tree))
    count = min(len(found), options.count + len(found) // 40)
    chosen = random.Random(f"{options.seed}{file}").sample(range(len(found)), count)
    return [
        {
            "file": str(file),
            "span": found[one].span,
            "title": found[one].title,
            "source": found[one].source(tree),
        }
        for one in sorted(chosen)
    ]


def attempts(tests: str, mutants: list[dict[str, Any]], trees: queue.Queue[Path]) -> list[dict[str, Any]]:
    """Return what one process of pytest tells about the mutants of a folder."""
    if not (ROOT / tests).exists():
        return [{**mutant, "noticed": False} for mutant in mutants]
    tree = trees.get()
    results = []
    try:
        command = [sys.executable, "tests/mutants.py", "--serve"]
        with subprocess.Popen(
            command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            running.append(process)
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"tests": tests, "mutants": mutants}))
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
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="parts of paths, such as _plan or supervise; all by default")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.serve:
        serve(json.load(sys.stdin))
        return
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
