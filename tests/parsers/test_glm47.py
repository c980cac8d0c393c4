# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients get from the real vLLM 0.13.0: unpatched, with the manual procedure's three patches, and with our fixes.

And from later releases, as published and patched. Their packages take 7 GB each: `make campaign` builds and tries them.
"""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

UNPATCHED, RECIPE, FIXES = "unpatched", "recipe", "fixes"

NO_ARGUMENTS = "<tool_call>get_time</tool_call>"
NO_ARGUMENTS_NEWLINE = "<tool_call>get_time\n</tool_call>"
INLINE = "<tool_call>write<arg_key>text</arg_key><arg_value>Oslo</arg_value><arg_key>copies</arg_key><arg_value>3</arg_value></tool_call>"
NEWLINES = "<tool_call>write\n<arg_key>text</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>copies</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
ESCAPED = r"<tool_call>write\n<arg_key>text</arg_key>\n<arg_value>Oslo</arg_value></tool_call>"
LINES = "<tool_call>write<arg_key>text</arg_key><arg_value>one\ntwo</arg_value></tool_call>"
SEVERAL = f"{NO_ARGUMENTS}\n{INLINE}\n{NO_ARGUMENTS}"
AFTER_TEXT = f"Let me see.{NO_ARGUMENTS}"
NO_CALL = "See: <tool_call></tool_call>"
TEXT = "Oslo is a city."
TEXTS = (
    NO_ARGUMENTS,
    NO_ARGUMENTS_NEWLINE,
    INLINE,
    NEWLINES,
    ESCAPED,
    LINES,
    SEVERAL,
    AFTER_TEXT,
    NO_CALL,
    TEXT,
)

TIME = ("get_time", {})
WRITE = ("write", {"text": "Oslo", "copies": 3})
AS_WRITTEN = "as written"

# Of each text, the calls a client gets of an answer as a whole, or that it gets the text.
WHOLE = {
    UNPATCHED: {
        NO_ARGUMENTS: AS_WRITTEN,
        NO_ARGUMENTS_NEWLINE: [TIME],
        INLINE: AS_WRITTEN,
        NEWLINES: [WRITE],
    },
    RECIPE: {
        NO_ARGUMENTS: AS_WRITTEN,
        NO_ARGUMENTS_NEWLINE: AS_WRITTEN,
        INLINE: [WRITE],
        NEWLINES: [("write\n", WRITE[1])],
        LINES: [("write", {"text": "one\ntwo"})],
        SEVERAL: AS_WRITTEN,
        TEXT: AS_WRITTEN,
    },
    FIXES: {
        NO_ARGUMENTS: [TIME],
        NO_ARGUMENTS_NEWLINE: [TIME],
        INLINE: [WRITE],
        NEWLINES: [WRITE],
        ESCAPED: [("write", {"text": "Oslo"})],
        LINES: [("write", {"text": "one\ntwo"})],
        SEVERAL: [TIME, WRITE, TIME],
        AFTER_TEXT: [TIME],
        NO_CALL: AS_WRITTEN,
        TEXT: AS_WRITTEN,
    },
}
# The same streamed token by token, where it differs from the answer as a whole: a lost call leaves nothing at all.
STREAMED = {
    UNPATCHED: {NO_ARGUMENTS: [], INLINE: []},
    RECIPE: {NO_ARGUMENTS: [], NO_ARGUMENTS_NEWLINE: [], SEVERAL: []},
    FIXES: {},
}
CHUNKS = (1, 2, 3, 5, 8, 13, 1000)  # tokens

THOUGHT = "why</think>because"
THOUGHT_CALL = f"why</think>{NO_ARGUMENTS}"
CUT = "why, and then"


def case(text, chunk=0, thinking=False, finish="stop"):
    return {"text": text, "chunk": chunk, "thinking": thinking, "finish": finish}


CASES = (
    *(case(text, chunk) for text in TEXTS for chunk in (0, *CHUNKS)),
    *(case(text, chunk, thinking=True) for text in (THOUGHT, THOUGHT_CALL) for chunk in (0, 1)),
    *(case(CUT, chunk, thinking=True, finish="length") for chunk in (0, 1, 5)),
)


@pytest.fixture(name="got", scope="session")
def what_clients_get(image):
    """Ask the server about all cases, three times: the package is patched in place, and patched further."""
    got = {}
    for state, parser in ((UNPATCHED, "glm45"), (RECIPE, "glm47"), (FIXES, "glm47")):
        if state != UNPATCHED:
            assert image.patch(fixes=state == FIXES)
        answers = image.answers(parser, list(CASES))
        got[state] = {json.dumps(asked): answer for asked, answer in zip(CASES, answers, strict=True)}
    return lambda state, *args, **kwargs: got[state][json.dumps(case(*args, **kwargs))]


def calls(answer):
    return [(name, json.loads(arguments)) for name, arguments in answer["calls"]]


@pytest.mark.parametrize(
    ("state", "text"), [(state, text) for state, texts in WHOLE.items() for text in texts]
)
@pytest.mark.parametrize("chunk", [0, 1], ids=["whole", "streamed"])
def test_tool_calls(got, state, text, chunk):
    answer = got(state, text, chunk)
    expected = WHOLE[state][text]
    if chunk:
        expected = STREAMED[state].get(text, expected)
    if expected == AS_WRITTEN:
        assert (answer["content"], answer["calls"]) == (text, [])
    else:
        assert (answer["content"].strip(), calls(answer)) == (text.partition("<tool_call>")[0], expected)


@pytest.mark.parametrize(("text", "chunk"), list(itertools.product(TEXTS, CHUNKS)))
def test_with_fixes_a_stream_gives_the_same_in_chunks_of_any_size(got, text, chunk):
    whole, streamed = got(FIXES, text), got(FIXES, text, chunk)
    assert [streamed[key] for key in ("content", "calls", "finish_reason")] == [
        whole[key] for key in ("content", "calls", "finish_reason")
    ]


def test_without_fixes_a_call_in_the_last_chunk_loses_its_name(got):
    assert got(RECIPE, INLINE, 1000)["calls"][0][0] is None


@pytest.mark.parametrize("chunk", [0, 1], ids=["whole", "streamed"])
def test_thinking_is_apart(got, chunk):
    assert "why" in got(UNPATCHED, THOUGHT, chunk, thinking=True)["content"]
    for state in (RECIPE, FIXES):
        answer = got(state, THOUGHT, chunk, thinking=True)
        assert (answer["reasoning"], answer["content"]) == ("why", "because")


@pytest.mark.parametrize("chunk", [0, 1], ids=["whole", "streamed"])
def test_a_call_after_thinking(got, chunk):
    answer = got(FIXES, THOUGHT_CALL, chunk, thinking=True)
    assert (answer["reasoning"], calls(answer)) == ("why", [TIME])


@pytest.mark.parametrize("chunk", [0, 1, 5])
def test_an_answer_cut_while_thinking_is_reasoning(got, chunk):
    """The prompt ends with <think>: what the model wrote by then is no answer, and must not be shown as one."""
    for state in (RECIPE, FIXES):
        answer = got(state, CUT, chunk, thinking=True, finish="length")
        assert (answer["reasoning"], answer["content"] or "", answer["finish_reason"]) == (CUT, "", "length")


def test_fixes_go_off_and_on_in_a_patched_package(image, got):
    parser = "tool_parsers/glm47_moe_tool_parser.py"
    assert image.patch(fixes=True) == []
    assert image.patch(fixes=False) == [parser]
    assert image.patch(fixes=True) == [parser]


def test_a_file_changed_by_another_hand_is_refused(image, releases):
    file = next(file for file in releases[0]["files"] if file["path"] == "tool_parsers/__init__.py")
    text = image.read(file["path"]) + "\n"
    new, (problem,) = patch_set.changes([file], {file["path"]: text})
    assert new == {}
    assert all(word in problem.found for word in (file["path"], patch_set.checksum(text)))
    assert all(file[key] in problem.expected for key in ("sha256_before", "sha256_after"))


# Later releases, each in the image of one whose packages it runs with.
LATER = (("0.18.0", "0.18.0"), ("0.23.0", "0.18.0"), ("0.30.0", "0.30.0"))
# Of the other two, vLLM's own parsers take a written-out newline for a part of the name, and some a call without a name for one.
CALLED = [text for text in TEXTS if text not in (ESCAPED, NO_CALL)]
LATER_CASES = [case(text, chunk) for text in CALLED for chunk in (0, *CHUNKS)]
CUT_CALLS = [INLINE[: INLINE.index(mark)] for mark in ("text", "Oslo", "slo", "copies", "3")]  # by max_tokens
CUT_CASES = [case(text, chunk, finish="length") for text in CUT_CALLS for chunk in CHUNKS]
# What clients get of 0.18.0 as published.
LOST = (
    (INLINE, 1000, [["write", "{}"]]),
    (NEWLINES, 2, [["write", '{"text": "Oslo","copies": 3{"text": "Oslo", "copies": 3}']]),
    (SEVERAL, 1000, [["get_time", "{}"]]),
    (AFTER_TEXT, 1000, []),
)


def is_right(asked, answer):
    expected = WHOLE[FIXES][asked["text"]]
    if expected == AS_WRITTEN:
        return (answer["content"], answer["calls"]) == (asked["text"], [])
    before = asked["text"].partition("<tool_call>")[0]
    return ((answer["content"] or "").strip(), answer["finish_reason"]) == (before, "tool_calls") and calls(
        answer
    ) == expected


@pytest.mark.campaign
@pytest.mark.parametrize("later", LATER, ids=[version for version, _image in LATER], indirect=True)
def test_a_later_release_patched_gives_the_same_in_chunks_of_any_size(later, smoke_test):
    patched = later.patch(fixes=True)
    answers = later.answers("glm47", LATER_CASES)
    wrong = [pair for pair in zip(LATER_CASES, answers, strict=True) if not is_right(*pair)]
    assert wrong == []
    if patched:  # as in role patch
        told = later.python(smoke_test, "fixes", modules=later.modules)
        assert told.returncode == 0, told.stderr


@pytest.mark.campaign
@pytest.mark.parametrize("later", LATER[:1], ids=["0.18.0"], indirect=True)
def test_018_as_published_loses_what_is_not_first_in_a_chunk(later, smoke_test):
    asked = [case(text, chunk) for text, chunk, _found in LOST]
    assert [answer["calls"] for answer in later.answers("glm47", asked)] == [
        found for _text, _chunk, found in LOST
    ]
    told = later.python(smoke_test, "fixes")
    assert told.returncode == 1
    assert "tool calls, streamed in chunks of 1: found" in told.stderr


@pytest.mark.campaign
@pytest.mark.parametrize("later", LATER[:1], ids=["0.18.0"], indirect=True)
def test_018_patched_does_not_complete_a_call_that_is_cut(later):
    """A client must not take it for a call without arguments."""
    assert later.patch(fixes=True)
    for answer in later.answers("glm47", CUT_CASES):
        assert all(
            '{"text": "Oslo","copies": 3}'.startswith(arguments) for _name, arguments in answer["calls"]
        )
    assert later.patch(fixes=True) == []
