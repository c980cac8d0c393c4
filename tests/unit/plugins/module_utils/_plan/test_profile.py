# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import profile

SHIPPED = sorted(Path(__file__).resolve().parents[5].joinpath("profiles").glob("*.yml"))


@pytest.fixture(name="glm")
def shipped_glm():
    return yaml.safe_load(SHIPPED[0].read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_profile_has_every_key_of_its_type(path):
    assert profile.settings(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")), {})[1] == []


def test_a_mapping_is_merged_and_null_removes(glm):
    result, errors = profile.settings("glm", glm, {"vllm_serve_env": {"HCCL_BUFFSIZE": None, "EXTRA": "1"}})
    assert errors == []
    assert "HCCL_BUFFSIZE" not in result["serve_env"]
    assert result["serve_env"]["EXTRA"] == "1"
    assert result["serve_env"]["VLLM_USE_V1"] == "1"


def test_a_list_is_replaced(glm):
    assert profile.settings("glm", glm, {"vllm_npu_ids": [4, 5]})[0]["npu_ids"] == [4, 5]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("vllm_api_port", "9000", 9000),
        ("vllm_npu_ids", "[4, 5]", [4, 5]),
        ("vllm_container_env", '{"A": "b"}', {"PYTORCH_NPU_ALLOC_CONF": "max_split_size_mb:256", "A": "b"}),
    ],
)
def test_what_a_survey_sends_as_text_is_understood(glm, key, text, value):
    result, errors = profile.settings("glm", glm, {key: text})
    assert errors == []
    assert result[key[len("vllm_") :]] == value


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("vllm_api_port", "http", "a whole number"),
        ("vllm_api_port", True, "a whole number"),
        ("vllm_npu_ids", "0-7", "a list"),
        ("vllm_serve_args", ["--x"], "a mapping"),
        ("vllm_image", {"name": "x"}, "a string"),
        ("vllm_image", None, "a string"),
    ],
)
def test_a_bad_value_is_named_with_what_was_wanted(glm, key, value, wanted):
    errors = profile.settings("glm", glm, {key: value})[1]
    assert len(errors) == 1
    assert key in errors[0]
    assert wanted in errors[0]


def test_patch_set_may_be_null(glm):
    result, errors = profile.settings("glm", glm, {"vllm_patch_set": None})
    assert (result["patch_set"], errors) == (None, [])


def test_a_profile_lacking_a_key_or_with_a_strange_one_is_refused(glm):
    del glm["image"]
    glm["imgae"] = "x"
    errors = profile.settings("mine", glm, {})[1]
    assert ["has no image" in errors[0], "key imgae" in errors[1], len(errors)] == [True, True, 2]


def test_a_typo_in_a_variable_name_is_found():
    errors = profile.unknown_variables(["vllm_imgae", "ansible_host", "vllm_image", "vllm_service_ip"])
    assert errors == ["variable vllm_imgae is not a setting: did you mean vllm_image?"]
