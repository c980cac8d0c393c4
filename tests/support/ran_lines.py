# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down which lines of the collection each test runs, also in the processes that it starts; for `make mutants`.

Those processes import it as sitecustomize, and so it runs with each Python that the tests use.
"""

import os
import sys
import threading

ROOTS = tuple(
    os.path.join(os.environ["RAN_LINES_ROOT"], name) for name in ("collections", "plugins", "roles")
)
FILE = os.open(os.environ["RAN_LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

seen = set()
test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def begin(name):
    """Write what follows to the account of this test."""
    global test
    test = name
    seen.clear()


def _line(frame, _event, _argument):
    place = (frame.f_code.co_filename, frame.f_lineno)
    if place not in seen:
        seen.add(place)
        os.write(FILE, f"{test}\t{place[0]}\t{place[1]}\n".encode())
    return _line


def _call(frame, event, argument):
    return _line(frame, event, argument) if frame.f_code.co_filename.startswith(ROOTS) else None


threading.settrace(_call)
sys.settrace(_call)
