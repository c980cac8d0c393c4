# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries mutants of one folder of code, in a copy of the checkout; tests/mutants.py starts it.

It runs the tests of the folder once, and notes which lines each of them runs. For each mutant it then forks, before any
code of the collection is imported, and the child runs the tests that run the changed lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.collection_loader import _collection_finder
from hypothesis import Phase, settings

EXAMPLES = 25  # of a property
RECORD_SECONDS = 3600  # that all tests of a folder may take
TESTS_SECONDS = 25  # that the tests of one mutant may take, the fast ones first, as measured without a change
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

codes: dict[str, Any] = {}  # of what is imported once for all, by its path


class Runner:
    """A plugin of pytest that runs, in the place of all tests once, some of them for each mutant."""

    def __init__(self, tests: list[str], mutants: list[dict[str, Any]], tell: Callable[..., None]) -> None:
        self._tests, self._mutants, self._tell = tests, mutants, tell
        self._tree = Path.cwd()
        self._ran: dict[tuple[str, int], set[str]] = defaultdict(set)  # tests, by file and line
        self._seconds: dict[str, float] = {}  # by test
        self._begin: Callable[[str], None] | None = None  # of a test, told to the recorder

    def pytest_collection(self, session: pytest.Session) -> bool:
        phases = (Phase.explicit, Phase.generate)  # to make a failing example small takes long
        steady: dict[str, Any] = {"derandomize": True, "database": None, "max_examples": EXAMPLES}
        settings.register_profile("mutants", settings(), phases=phases, **steady)
        settings.load_profile("mutants")
        if self._record(session):
            for mutant in self._mutants:
                began = time.monotonic()
                noticed = self._is_noticed(session, mutant)
                self._tell(**mutant, noticed=noticed, seconds=round(time.monotonic() - began, 1))
        else:
            print(f"{' '.join(self._tests)} fail without a change: repair that first.", file=sys.stderr)
        return True

    def pytest_runtestloop(self) -> bool:
        return True

    def pytest_report_teststatus(self) -> tuple[str, str, str]:
        return "", "", ""  # no dots

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._seconds[report.nodeid] = report.duration
        if report.failed and self._begin:  # without a change
            print(f"{report.nodeid} fails: {report.longreprtext[-500:]}", file=sys.stderr)

    def _record(self, session: pytest.Session) -> bool:
        """Run all tests, and remember which lines they run. Import what they need from elsewhere."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(self._tree / "tests/support/ran_lines.py", f"{folder}/sitecustomize.py")
            lines, notes = Path(folder, "lines"), Path(folder, "notes")
            recording = {"RAN_LINES": str(lines), "RAN_LINES_ROOT": str(self._tree), "PYTHONPATH": folder}

            def run_all() -> bool:
                os.environ.update(recording)
                sys.path.insert(0, folder)
                sys.modules.pop("sitecustomize", None)
                self._begin = importlib.import_module("sitecustomize").begin
                passed = self._run(session, self._tests)
                sys.settrace(None)
                modules = {name: getattr(one, "__file__", None) or "" for name, one in sys.modules.items()}
                notes.write_text(json.dumps([self._seconds, modules]), encoding="utf-8")
                return passed

            if not forked(run_all, RECORD_SECONDS):
                return False
            for line in lines.read_text(encoding="utf-8").splitlines():
                test, file, number = line.split("\t")
                self._ran[self._relative(file), int(number)].add(test)
            self._seconds, modules = json.loads(notes.read_text(encoding="utf-8"))
        self._import_what_stays(modules)
        return True

    def _import_what_stays(self, modules: dict[str, str]) -> None:
        for name, file in modules.items():
            if not file.startswith(str(self._tree)):
                if name != "sitecustomize":
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)
            elif "/collections/" in file and file.endswith(".py"):
                codes[file] = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)

    def _relative(self, file: str) -> str:
        return str(Path(file).resolve().relative_to(self._tree))

    def _selected(self, mutant: dict[str, Any]) -> list[str]:
        """Return the tests that run the changed statement; those whose name begins so come first, and then the fast ones.

        What is run by an import, which may be in a test, may matter to each test that uses the file.
        """
        own = f"/test_{Path(mutant['file']).stem}"
        first, last = mutant["span"]
        found = {
            test for line in range(first, last + 1) for test in self._ran.get((mutant["file"], line), ())
        }
        if "" in found or mutant["by_import"]:
            found.update(*(tests for (file, _line), tests in self._ran.items() if file == mutant["file"]))
            found.update(test for test in self._seconds if own in test)
        known = sorted(found & self._seconds.keys(), key=self._seconds.__getitem__)
        known = known or [test for test in self._seconds if own in test] or list(self._seconds)
        total, chosen = 0.0, []
        for test in sorted(known, key=lambda one: own not in one):
            total += self._seconds[test]
            if total <= TESTS_SECONDS or not chosen:
                chosen.append(test)
        return chosen

    def _is_noticed(self, session: pytest.Session, mutant: dict[str, Any]) -> bool:
        """Tell whether the tests notice a mutant. Those that take too long fail: a loop may be endless."""
        tests = self._selected(mutant)
        path, source = self._tree / mutant["file"], mutant.pop("source")
        kept, times = path.read_text(encoding="utf-8"), path.stat()
        known = {file: codes.pop(file) for file in list(codes) if self._relative(file) == mutant["file"]}
        files = sorted({test.partition("::")[0] for test in tests})
        seconds = 30 + 5 * sum(self._seconds[test] for test in tests)
        path.write_text(source, encoding="utf-8")
        try:
            return bool(tests) and not forked(lambda: self._run(session, files, tests), seconds)
        finally:
            path.write_text(kept, encoding="utf-8")
            os.utime(path, (times.st_atime, times.st_mtime))  # or Python compiles it again each time
            codes.update(known)

    def _run(self, session: pytest.Session, files: list[str], chosen: list[str] | None = None) -> bool:
        """Run tests until one fails; tell whether none has."""
        if chosen:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        session.perform_collect(files)
        items = {item.nodeid: item for item in session.items}
        left = [items[test] for test in chosen or items if test in items]
        while left and not session.testsfailed:
            item = left.pop(0)
            if self._begin:
                self._begin(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=left[0] if left else None)
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
            ended, status = os.waitpid(-1, os.WNOHANG)  # also those whose parent is gone
            if ended == pid:
                return status == 0
            if not ended:
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


def keep_codes() -> None:
    """Let Ansible's loader, which keeps no bytecode, take what is in *codes*."""
    loader = _collection_finder._AnsibleCollectionPkgLoaderBase
    original = loader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return codes[path] if path in codes else original(self, fullname)

    loader.get_code = get_code


def main() -> None:
    """Take folder and mutants as JSON from standard input; write a line of JSON for each."""
    process = ctypes.CDLL(None)
    process.prctl(PR_SET_CHILD_SUBREAPER, 1)
    process.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    work = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what pytest prints

    def tell(**result: Any) -> None:
        print(json.dumps(result), file=out, flush=True)

    keep_codes()
    quiet = ["-qq", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]
    runner = Runner(work["tests"], work["mutants"], tell)
    pytest.main([*quiet, "-m", "not campaign", *work["tests"]], plugins=[runner])


if __name__ == "__main__":
    main()
