# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace

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
    ("hosts", "told"),
    [
        (["a", "b", "a"], "hosts a, b"),
        (["a"], "host a"),
        (["node 1, rack 2", "b"], "hosts node 1, rack 2, b"),
    ],
)
def test_one_problem_of_many_hosts_is_told_once(hosts: list[str], told: str):
    other = Problem("x", "y", "z").on("a")
    one, kept = together([PORT.on(hosts[0]), other, *(PORT.on(host) for host in hosts[1:])])
    assert (one.found, one.where, kept) == (PORT.found, told, other)


def test_one_problem_of_two_places_is_told_twice():
    places = [PORT, PORT.at("group g"), PORT.at("group h"), replace(PORT, place="stage weights").on("a")]
    assert together([*places, *places]) == places
    assert [one.where for one in places] == ["", "group g", "group h", "host a, stage weights"]


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
