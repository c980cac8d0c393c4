# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of the lab's model are what the endpoint probe can ask for and be content with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks

CONVERSATIONS = Path(__file__).resolve().parents[2] / "lab/model/conversations.yml"


@pytest.fixture(scope="module")
def talks() -> dict:
    return yaml.safe_load(CONVERSATIONS.read_text(encoding="utf-8"))


def test_the_probe_takes_them_and_none_is_missing(talks: dict) -> None:
    assert checks.prompt_errors(talks["probe"]) == []
    # The lab's inventory asks `knows` what it asks `thinking_off`.
    assert set(talks["probe"]) == set(checks.PROMPTS) - {"knows"}


def test_the_questions_that_the_probe_asks_by_default_are_known_too(talks: dict) -> None:
    def asked(request: dict) -> tuple:
        return request["messages"], request.get("tools"), request.get("chat_template_kwargs")

    taught = [asked(talk["request"]) for part in ("probe", "more") for talk in talks[part].values()]
    assert [name for name, prompt in checks.PROMPTS.items() if asked(prompt.request) not in taught] == [
        "knows"
    ]


def test_no_question_has_two_answers(talks: dict) -> None:
    answers: dict[str, object] = {}
    for part in ("probe", "more"):
        for talk in talks[part].values():
            asked = {
                key: value
                for key, value in talk["request"].items()
                if key not in ("max_tokens", "temperature")
            }
            assert answers.setdefault(repr(asked), talk["expect"]) == talk["expect"]
