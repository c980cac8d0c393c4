# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import groups


@pytest.mark.parametrize(
    ("members", "where", "found"),
    [
        ({"vllm_workers": ["node1"]}, "group vllm_head", "empty or missing"),
        ({"vllm_head": ["a", "b"]}, "group vllm_head", "2 hosts (a, b)"),
        ({"vllm_head": ["a"], "vllm_workers": ["a"]}, "host a", "in vllm_head and in vllm_workers"),
        ({"vllm_head": ["a"], "vllm_worker": ["b"]}, "group vllm_worker", "not a group of the service"),
        ({"vllm_head": ["a"], "vllm-workers": ["b"]}, "group vllm-workers", "not a group of the service"),
        ({"all": [], "vllm_head": ["a"]}, "host a", "it is missing in group all"),
    ],
)
def test_groups_that_make_no_service_are_refused(members, where, found):
    (problem,) = groups.problems(members, "vllm_head", "vllm_workers")
    assert problem.where == where
    assert found in problem.found


def test_a_head_in_a_group_with_a_dash_is_named():
    misspelt, empty = groups.problems({"all": ["a"], "vllm-head": ["a"]}, "vllm_head", "vllm_workers")
    assert (misspelt.where, empty.where) == ("group vllm-head", "group vllm_head")


def test_a_group_without_a_host_leads_to_the_warnings_of_ansible():
    (problem,) = groups.problems({"all": []}, "vllm_head", "vllm_workers")
    assert "warnings" in problem.remedy


@pytest.mark.parametrize(
    "more", [{}, {"all": ["node0"]}, {"vllm": ["node0"]}, {"gpu_workers": ["a"]}, {"vllm_gateway": ["a"]}]
)
def test_a_single_head_is_a_service(more):
    assert groups.problems({"vllm_head": ["node0"], **more}, "vllm_head", "vllm_workers") == []


@pytest.mark.parametrize("variables", [{}, {"vllm_head_group": "", "vllm_worker_group": None}])
def test_groups_have_names_by_default(variables):
    assert groups.of_service(variables) == ("vllm_head", "vllm_workers")
