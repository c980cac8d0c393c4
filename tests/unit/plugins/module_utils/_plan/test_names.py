# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from shipped import FLAGS, ROLE_OPTIONS, SETTINGS, settings

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
    assert names.foreign(KNOWN, [name], FLAGS.kinds) == []


@pytest.mark.parametrize("name", ["vllm_dashboard_url", "weights_of_ours", "image_builder", "server"])
def test_a_variable_of_the_users_own_is_accepted(name: str):
    assert names.wrong(KNOWN, [name]) == []


def test_only_what_has_the_collections_own_prefix_is_warned_about():
    given = ["vllm_dashboard_url", "vllm_image", "image_builder", "vllm_port", "vllm_max_model_len"]
    assert names.foreign(KNOWN, given, FLAGS.kinds) == [("vllm_dashboard_url", "")]


def test_a_misspelt_flag_is_recognized():
    meant = "the flag max-model-len in vllm_serve_args"
    assert names.foreign(KNOWN, ["vllm_max_modellen"], FLAGS.kinds) == [("vllm_max_modellen", meant)]


def test_a_misspelt_prefix_is_doubtful():
    given = ["weight_distribution", "vlm_image", "verfiy_checks", "vllm_image", "server", "wait_timeout"]
    assert names.doubtful(KNOWN, given) == [
        ("verfiy_checks", "verify_checks"),
        ("vlm_image", "vllm_image"),
        ("weight_distribution", "weights_distribution"),
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("vllm-image", "vllm_image"),
        ("weights-token", "weights_token"),
        ("vllm_serve_args\N{FULLWIDTH COLON}{max-model-len", "vllm_serve_args"),
        ("\u201cvllm_image\u201d", "vllm_image"),
        ("vllm\N{FULLWIDTH LOW LINE}image", "vllm_image"),
        ("vllm_image ", "vllm_image"),
    ],
)
def test_a_setting_in_other_characters_is_refused_with_the_right_name(name: str, meant: str):
    (problem,) = names.wrong(KNOWN, ["ansible_host", name])
    assert repr(name) in problem.found
    assert problem.expected == f"the variable {meant}"
    assert names.foreign(KNOWN, [name], FLAGS.kinds) == []


@pytest.mark.parametrize("name", ["vllm-dashboard", "my-vllm_image", "镜像", "image-of-ours", "", "-"])
def test_another_name_in_such_characters_is_the_users_own(name: str):
    assert names.wrong(KNOWN, [name]) == []
    assert names.doubtful(KNOWN, [name]) == []


def test_a_setting_in_capitals_is_doubtful():
    assert names.doubtful(KNOWN, ["VLLM_IMAGE", "PATH"]) == [("VLLM_IMAGE", "vllm_image")]


def test_a_renamed_variable_has_a_name_that_exists():
    assert set(names.RENAMED.values()) <= set(KNOWN)
    assert not set(names.RENAMED) & set(KNOWN)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("vllm_max_model_len", "write vllm_serve_args: {max-model-len: VALUE}"),
        ("vllm_gpu_memory_utilization", "write vllm_serve_args: {gpu-memory-utilization: VALUE}"),
        ("vllm_quantization", "write vllm_serve_args: {quantization: VALUE}"),
        *((name, f"rename it to {meant}") for name, meant in names.GUESSES.items()),
    ],
)
def test_a_first_guess_leads_to_the_setting_and_shows_no_value(name: str, where: str):
    (problem,) = names.guessed(KNOWN, {name: "guessed-value", "ansible_host": "x"}, FLAGS.kinds, settings())
    assert (name in problem.found, problem.remedy) == (True, where)
    assert "guessed-value" not in str(problem)
    assert names.wrong(KNOWN, [name]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("vllm_max_model_len", 8192), ("vllm_port", "8080"), ("vllm_token", "x"), ("vllm_nic", "enp1")],
)
def test_a_guess_that_has_the_effective_value_is_a_helper_of_the_inventory(name: str, value: object):
    given = {name: value, "weights_token": "x", "vllm_service_nic": "enp1"}
    assert names.guessed(KNOWN, given, FLAGS.kinds, settings()) == []
    given[name] = "another"
    assert len(names.guessed(KNOWN, given, FLAGS.kinds, settings())) == 1


def test_a_guess_is_no_setting_and_leads_to_one():
    assert set(names.GUESSES.values()) <= set(KNOWN)
    assert not set(names.GUESSES) & set(KNOWN)
