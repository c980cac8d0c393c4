# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as awx.awx 24.6.1 returned them for answers of AWX 24.6.1."""

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx.answers import changes, refusals

SECRET = "xoxb-1-the-secret"
HOOK = {
    "name": "Hook",
    "type": "webhook",
    "configuration": {"url": "https://chat/x", "headers": {"k": SECRET}},
}


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            {"msg": "Unable to create notification_template Hook: No values specified for field 'channels'"},
            "Hook: Unable to create notification_template Hook: No values specified for field 'channels'",
        ),
        (
            {"msg": ["HTTP method must be either 'POST' or 'PUT'.", "Missing required fields"]},
            "Hook: HTTP method must be either 'POST' or 'PUT'.; Missing required fields",
        ),
        (
            {
                "msg": "Unable to update project P, see response",
                "response": {"status_code": 400, "json": {"scm_url": ["Invalid.", "Too long."]}},
                "item": None,
            },
            "Unable to update project P, see response; scm_url: Invalid. Too long.",
        ),
        (
            {"msg": "see response", "response": {"status_code": 409, "json": {"error": "In use."}}},
            "Hook: see response; In use.",
        ),
        (
            {"msg": "see response", "response": {"status_code": 400, "text": "<h1>Bad Request</h1>"}},
            "Hook: see response; <h1>Bad Request</h1>",
        ),
        ({"msg": f"Invalid: {SECRET} https://chat/x"}, "Hook: Invalid: *** ***"),
        ({"msg": ""}, "Hook: "),
    ],
)
def test_a_refusal_has_the_name_and_the_words_but_no_secret(result: dict, words: str):
    assert refusals([{"failed": True, "item": HOOK, **result}]) == [words]


def test_only_failed_results_are_told():
    assert refusals([{"failed": False, "msg": "x"}, {"changed": True}]) == []


def test_each_difference_has_a_line_without_the_values_of_variables():
    asked = {"variable": "port", "max": 5}
    found = {
        "description": "a \u4e2d",
        "variable": {"kept": 1, "key": SECRET, "gone": SECRET},
        "question": [{"variable": "mine"}, {**asked, "max": 9}],
        "credential": ["hosts", "vault"],
        "same": None,
    }
    made = {
        "description": "b",
        "variable": {"kept": 1, "key": "", "new": SECRET},
        "question": [asked],
        "credential": ["hosts", "key"],
        "same": None,
    }
    assert changes(found, made) == [
        'description: "a \u4e2d" becomes "b"',
        "variable gone is taken away",
        "variable key is reset",
        "variable new is added",
        "question mine is taken away",
        "question port is reset",
        "credential vault is taken away",
        "credential key is added",
    ]
    assert changes(made, made) == []
