# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from shipped import ROLE_OPTIONS, SETTINGS

KNOWN = {**SETTINGS, **ROLE_OPTIONS}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("vllm_imgae", "vllm_image"),
        ("vllm_container_extra_mount", "vllm_container_extra_mounts"),
        ("weights_distrbution", "weights_distribution"),
        *names.RENAMED.items(),
    ],
)
def test_a_misspelt_or_renamed_variable_is_refused_with_the_right_name(name: str, meant: str):
    (problem,) = names.wrong(KNOWN, ["vllm_image", name, "ansible_host"])
    assert name in problem.found
    assert meant in problem.remedy
    assert names.foreign(KNOWN, [name]) == []


@pytest.mark.parametrize("name", ["vllm_dashboard_url", "weights_of_ours", "image_builder", "server"])
def test_a_variable_of_the_users_own_is_accepted(name: str):
    assert names.wrong(KNOWN, [name]) == []


def test_only_what_has_the_collections_own_prefix_is_warned_about():
    given = ["vllm_dashboard_url", "vllm_image", "image_builder"]
    assert names.foreign(KNOWN, given) == ["vllm_dashboard_url"]


def test_a_renamed_variable_has_a_name_that_exists():
    assert set(names.RENAMED.values()) <= set(KNOWN)
    assert not set(names.RENAMED) & set(KNOWN)
