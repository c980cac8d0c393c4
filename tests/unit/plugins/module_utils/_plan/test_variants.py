# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    capacity,
    capacity_report,
    plan,
    variants,
)
from shipped import PROFILES, SETTINGS, merged


def planned(hosts: int, profile: str = "glm-4.7", hardware: str = "") -> dict[str, Any]:
    """Return the plan of a shipped profile on so many hosts, of other hardware if one is given."""
    own = merged(profile)[0]
    if hardware:
        own = {**own, "npu_name": hardware}
    addresses = {f"node{index}": f"10.0.0.1{index}" for index in range(hosts)}
    flags = PROFILES.serve_flags(own["image_versions"]["vllm"])
    return plan.build(plan.Member("node0", addresses, "enp1"), own, flags)


def names(its_plan: dict[str, Any], **changed: Any) -> list[str]:
    model = capacity.of_plan(its_plan)
    assert model
    return variants.quantized(PROFILES, SETTINGS, its_plan, replace(model, **changed))


@pytest.mark.parametrize(
    ("hosts", "hardware", "expected"),
    [
        (1, "", ["glm-4.7-w8a8"]),
        (2, "", ["glm-4.7-w8a8"]),
        (1, "Ascend910", ["glm-4.7-w8a8-a3"]),
        (1, "910X", []),
    ],
)
def test_the_shipped_variants_are_those_for_the_same_hardware(hosts, hardware, expected):
    assert names(planned(hosts, hardware=hardware)) == expected


def test_a_model_with_a_name_alike_is_another_one():
    assert names(planned(1), layers=47) == []
    its_plan = planned(1)
    its_plan["model"] = {
        **its_plan["model"],
        "repo": "me/GLM-4",
        "config": {**its_plan["model"]["config"], "repo": "me/GLM-4"},
    }
    assert names(its_plan, layers=40) == []


@pytest.mark.parametrize("profile", ["deepseek-v3.1-w8a8", "glm-5.3-flash-w8a8"])
def test_a_profile_without_variants_has_none(profile):
    assert names(planned(1, profile)) == []


def test_the_remedy_names_the_profile():
    its_plan = planned(1)
    model = capacity.of_plan(its_plan)
    estimate = capacity.estimate(its_plan, model)
    found = capacity_report.problem(
        its_plan, model, estimate, lambda *asked: variants.quantized(PROFILES, SETTINGS, *asked)
    )
    assert (
        found.remedy == "Use one of these: 2 hosts like these; vllm_profile: glm-4.7-w8a8, quantized weights"
    )
    assert capacity_report.problem(its_plan, model, estimate).remedy.endswith("; quantized weights")
