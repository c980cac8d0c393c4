# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import exceptions
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

HEAD = "Traceback (most recent call last):"


def raised(process: str, text: str, path: str = "/site/vllm/worker.py") -> list[Line]:
    """Return the lines of a traceback."""
    texts = [HEAD, f'  File "{path}", line 7, in run', "    self.run()", text]
    return [Line(one, None, "ERROR", process) for one in texts]


def test_the_exception_that_the_engine_repeats_is_that_of_a_worker_and_no_other():
    """It is in the log before the line of the exit, and another worker's may be before it."""
    unrelated, own = (
        raised("(Worker_TP1)", "TypeError: another"),
        raised("(Worker_TP0)", "ValueError: no room"),
    )
    before = [*unrelated, *own]
    relayed = raised("(EngineCore)", "RuntimeError: Worker failed with error 'no room', see the trace")
    found = exceptions.last_exception([*before, *relayed], len(before), served=False)
    assert found
    assert (found.line.text, found.line.process) == ("ValueError: no room", "(Worker_TP0)")
    alone = exceptions.last_exception([*unrelated, *relayed], len(unrelated), served=False)
    assert alone
    assert alone.line.process == "(EngineCore)"
