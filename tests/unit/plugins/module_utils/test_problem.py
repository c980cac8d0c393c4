# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import (
    Problem,
    ProblemError,
    failure,
    listed,
    together,
)

PORT = Problem("port 8080 is in use by nginx (pid 7)", "a free port", "Stop nginx or set vllm_api_port")


def test_a_paragraph_has_the_place_only_where_it_is_given():
    text = "Found: port 8080 is in use by nginx (pid 7).\nExpected: a free port.\nRemedy: Stop nginx or set vllm_api_port."
    assert str(PORT) == text
    assert str(PORT.at("host node1, stage preflight")) == "Host node1, stage preflight\n" + text


def test_a_list_has_a_line_for_each():
    lines = listed([PORT, PORT.at("host node1")]).splitlines()
    assert lines == [f"- {PORT.line()}", f"- host node1: {PORT.line()}"]


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (["host a", "host b", "host a"], "hosts a, b"),
        (["host a"], "host a"),
        (["host a, stage weights", "host b, stage weights"], "hosts a, b, stage weights"),
        (["host a, stage weights", "host b"], "host a, stage weights; host b"),
        (["group g", "host a"], "group g; host a"),
        ([""], ""),
    ],
)
def test_one_problem_of_many_hosts_is_told_once(places: list[str], told: str):
    other = Problem("x", "y", "z", "host a")
    problems = together([PORT.at(places[0]), other, *(PORT.at(place) for place in places[1:])])
    assert problems == [PORT.at(told), other]


def test_a_result_carries_the_parts_and_survives_json():
    result = json.loads(json.dumps(failure(PORT.at("host node1"), changed=False)))
    assert Problem.of(result["problem"]) == PORT.at("host node1")
    assert result["msg"] == str(PORT.at("host node1"))
    assert result["changed"] is False


def test_options_of_a_module_are_told_by_the_variables_that_set_them():
    problem = Problem("O(dir) is full", "space in O(dir) or O(cache_dir)", "Set O(dir)", "host node1")
    assert problem.naming({"dir": "vllm_model_dir"}) == Problem(
        "vllm_model_dir is full",
        "space in vllm_model_dir or cache_dir",
        "Set vllm_model_dir",
        "host node1",
    )


def test_an_error_carries_its_problem():
    assert ProblemError(PORT.found, PORT.expected, PORT.remedy).problem == PORT
