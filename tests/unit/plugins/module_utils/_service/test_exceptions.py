# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
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


def last(lines: list[Line], served: bool = False) -> exceptions.Raised:
    found = exceptions.last_exception(lines, None, served)
    assert found
    return found


def test_an_exception_without_a_text_has_its_line_of_source():
    assert last(raised("", "AssertionError")).line.text == "AssertionError (self.run())"
    assert last(raised("", "AssertionError: no room")).line.text == "AssertionError: no room"
    without = [line for line in raised("", "AssertionError") if not line.text.startswith("    ")]
    assert last(without).line.text == "AssertionError"


def test_the_place_is_rather_one_of_vllm_than_of_a_library():
    frames = [
        ("/site/vllm/engine/core.py", "vllm/engine/core.py in run"),
        ("/site/torch/nn/modules/module.py", "vllm/engine/core.py in run"),
        ("/site/vllm_ascend/worker.py", "vllm_ascend/worker.py in run"),
    ]
    lines = [Line(HEAD, None, "ERROR")]
    for path, place in frames:
        lines.append(Line(f'  File "{path}", line 7, in run', None, "ERROR"))
        assert last([*lines, Line("ValueError: x", None, "ERROR")]).place == place
    assert last(raised("", "ValueError: x", "/site/torch/serialization.py")).place == (
        "torch/serialization.py in run"
    )
    found = last([*lines, Line("ValueError: x", None, "ERROR")])
    assert list(found.frames) == ["vllm/engine/core.py in run", "vllm_ascend/worker.py in run"]


def test_a_log_that_ends_before_the_exception_is_cut():
    *cut, _exception = raised("", "ValueError: x")
    found = last(cut)
    assert (found.cut, found.line.text) == (True, "self.run()")
    whole = last([*cut, *raised("(Worker)", "ValueError: whole")])
    assert (whole.cut, whole.line.text) == (False, "ValueError: whole")


def test_of_a_chain_the_first_exception_counts_with_all_texts():
    chain = [
        *raised("", "KeyError: 'a'"),
        Line("During handling of the above exception, another exception occurred:", None, "ERROR"),
        *raised("", "RuntimeError: b"),
    ]
    found = last(chain)
    assert found.line.text == "KeyError: 'a'"
    assert list(found.texts) == ["KeyError: 'a'", "RuntimeError: b"]
    apart = [*raised("", "KeyError: 'a'"), *raised("", "RuntimeError: b")]
    assert list(last(apart).texts) == ["KeyError: 'a'"]


def test_what_vllm_survives_is_no_reason_for_its_end():
    served = [
        *raised("", "ValueError: of a request", "/site/vllm/entrypoints/openai/serving_chat.py"),
        *raised("(Worker)", "ValueError: of the engine"),
    ]
    assert last(served).line.text == "ValueError: of the engine"
    quiet = [line._replace(level="WARNING") for line in raised("", "ValueError: quiet")]
    assert exceptions.last_exception(quiet, None, served=False) is None
    assert exceptions.last_exception([], None, served=False) is None


def test_a_bare_exception_counts_if_there_is_no_traceback():
    bare = Line("ValueError: bare", None, "ERROR")
    assert last([bare]).traced is False
    assert last([bare, *raised("", "TypeError: traced")]).line.text == "TypeError: traced"
    assert exceptions.last_exception([Line("All is well: fine", None, "ERROR")], None, False) is None


@pytest.mark.parametrize("blank", [[], [Line("")], [Line(""), Line("")]])
def test_what_announces_a_harmless_traceback_is_before_it(blank: list[Line]):
    announced = [Line("Exception ignored in: <function x>"), *blank, *raised("", "ValueError: x")]
    assert exceptions.last_exception(announced, None, served=False) is None
    other = [Line("Exception ignored in: <function x>"), Line("text"), *raised("", "ValueError: x")]
    assert last(other).line.text == "ValueError: x"
