# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import settings as layers
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from shipped import DEFAULTS, FLAGS, MODELS, PROFILES, ROOT, SETTINGS, merged, read, settings

NOT_IN_FILES = layers.INVENTORY_ONLY | {"plan_offline"}


@pytest.fixture(name="own")
def own_profile(tmp_path: Path):
    """A function that writes a profile and returns its path."""

    def write(name: str = "my.yml", **content: Any) -> str:
        (tmp_path / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return str(tmp_path / name)

    return write


# The schema


def test_every_default_is_documented():
    for key, value in DEFAULTS.items():
        option = SETTINGS[f"vllm_{key}"]
        if value is None or key in ("serve_env", "serve_args"):  # long, and the file explains them
            assert "default" not in option, key
        else:
            assert option["default"] == value, key


def test_a_setting_has_a_default_or_a_place_in_every_model():
    for path in MODELS:
        files = layers.read(SETTINGS, PROFILES.layers(path.stem, {}))
        assert files.given == set(SETTINGS) - NOT_IN_FILES, path


def test_every_setting_has_a_type_and_a_sentence():
    for name, option in SETTINGS.items():
        assert option["type"] in ("bool", "dict", "int", "list", "str"), name
        assert ("elements" in option) == (option["type"] == "list"), name
        assert "".join(option["description"]).endswith("."), name


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_model_is_right_and_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 50


# Layers


def test_a_mapping_is_merged_and_null_removes():
    result = settings(vllm_serve_env={"HCCL_BUFFSIZE": None, "EXTRA": "1"})
    assert "HCCL_BUFFSIZE" not in result["serve_env"]
    assert result["serve_env"]["EXTRA"] == "1"
    assert result["serve_env"]["VLLM_USE_V1"] == "1"


def test_a_list_is_replaced():
    assert settings(vllm_npu_ids=[4, 5])["npu_ids"] == [4, 5]


def test_flags_keep_the_order_of_the_manual_procedure():
    flags = [name for name, value in settings()["serve_args"].items() if value is not None]
    assert flags[6:13] == [
        "tensor-parallel-size",
        "enable-expert-parallel",
        "tool-call-parser",
        "reasoning-parser",
        "enable-auto-tool-choice",
        "served-model-name",
        "max-model-len",
    ]


def test_a_profile_of_five_keys_extends_another(own):
    path = own(
        extends="glm-4.7",
        model_repo="ZhipuAI/GLM-4.7-W8A8",
        model_size_gb=360,
        served_model_name="glm47-w8a8",
        serve_args={"quantization": "ascend", "trust-remote-code": None},
    )
    result = settings(path)
    assert result["model_dir"] == "/opt/data/verification/models/GLM-4.7-W8A8"
    assert result["image"] == settings()["image"]
    assert result["serve_args"]["quantization"] == "ascend"
    assert "trust-remote-code" not in result["serve_args"]


def test_a_profile_stands_alone_with_what_is_the_models(own):
    path = own(
        hardware="atlas-800t-a2",
        model_repo="Qwen/Qwen3-8B",
        model_size_gb=17,
        image="quay.io/ascend/vllm-ascend:v0.13.0rc1",
        image_size_gb=20,
        image_versions={"vllm": "0.13.0"},
        tensor_parallel_size=2,
    )
    result = settings(path)
    assert consistency.problems(result, FLAGS) == []
    assert result["served_model_name"] == "Qwen3-8B"
    assert result["patch_set"] is None
    assert "tool-call-parser" not in [flag for flag, value in result["serve_args"].items() if value]


def test_a_profile_extends_one_beside_it(own):
    own("base.yml", extends="glm-4.7", api_port=9000)
    assert settings(own(extends="base.yml", rpc_port=9001))["api_port"] == 9000


def test_the_inventory_chooses_the_hardware(own, tmp_path):
    own("small.yml", **read(ROOT / "profiles/hardware/atlas-800t-a2.yml") | {"npu_ids": [0, 1]})
    found = PROFILES.layers("glm-4.7", {"hardware": str(tmp_path / "small.yml")})
    assert layers.read(SETTINGS, found).values["vllm_npu_ids"] == [0, 1]


# What is wrong


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"extends": "my.yml"}, "extends itself"),
        ({"model_repo": "a/b"}, "names no hardware"),
        ({"hardware": "atlas-900"}, "vllm_hardware is 'atlas-900'"),
        ({"extends": "glm-4.8"}, "is 'glm-4.8'"),
    ],
)
def test_files_that_do_not_fit_together_are_named(own, content, named):
    with pytest.raises(ProblemError, match=named):
        PROFILES.layers(own(**content), {})


def test_shipped_files_are_named_where_one_is_missing():
    with pytest.raises(ProblemError) as error:
        PROFILES.layers("glm-4.8", {})
    assert "glm-4.7" in error.value.problem.expected
    assert error.value.problem.remedy == "write glm-4.7, if that is meant"


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("vllm_serve_args", "{max-model-len: 32768}", '{"KEY": VALUE} in an INI inventory'),
        ("vllm_serve_args", ["max-model-len"], "write {KEY: VALUE} in YAML"),
        ("vllm_serve_args", None, "indent the lines that belong to it"),
        ("vllm_npu_ids", None, "indent the lines that belong to it"),
        ("vllm_image", None, "give it a value, or remove the line"),
    ],
)
def test_a_value_of_another_type_is_refused_with_how_to_write_it(name, value, remedy):
    (problem,) = merged("glm-4.7", **{name: value})[1]
    assert problem.found.startswith(f"{name} is ")
    assert remedy in problem.remedy


def test_a_file_that_is_no_mapping_is_named(tmp_path):
    (tmp_path / "my.yml").write_text("[1]", encoding="utf-8")
    with pytest.raises(ProblemError, match="is not a mapping"):
        PROFILES.layers(str(tmp_path / "my.yml"), {})


def test_a_key_that_nothing_reads_is_refused_with_its_file(own):
    path = own(extends="glm-4.7", imgae="x", api_port="http")
    unknown, wrong = merged(path)[1]
    assert (unknown.where, wrong.where) == (path, path)
    assert unknown.remedy.startswith("rename it to image")
    assert wrong.found == "api_port is 'http'"


def test_a_setting_without_a_value_is_named(own):
    (problem, *others) = merged(own(hardware="atlas-800t-a2", model_repo="a/b", image="c"))[1]
    assert problem.found == "vllm_model_size_gb has no value"
    assert len(others) == 2


def test_null_in_a_mapping_of_a_file_stays():
    assert layers.merge({"a": None}, {"b": 1}) == {"a": None, "b": 1}
    assert layers.merge({"a": None, "b": 1}, {"b": None}) == {"a": None}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("vllm_patch_repairs", "False", False),
        ("vllm_patch_repairs", "Yes", True),
        ("vllm_api_port", " 9000 ", 9000),
        ("vllm_npu_ids", "[0, 1]", [0, 1]),
    ],
)
def test_what_surveys_and_the_command_line_send_is_read(name, text, value):
    assert settings(**{name: text})[name[len("vllm_") :]] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("vllm_model_revision", 42798), ("vllm_npu_driver_version", 25.1), ("vllm_npu_firmware_version", 7.1)],
)
def test_a_number_where_digits_count_is_refused(name, value):
    (problem,) = merged(**{name: value})[1]
    assert problem.found == f"{name} is the number {value}"
    assert "in quotes" in problem.remedy


@pytest.mark.parametrize("name", ["vllm_patch_set", "vllm_airgap_dir"])
def test_null_is_a_value_where_it_is_the_default(name):
    assert settings(**{name: None})[name[len("vllm_") :]] is None


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("vllm_image", None, "vllm_image is null"),
        ("vllm_serve_args", None, "vllm_serve_args is null"),
        ("vllm_api_port", "http", "vllm_api_port is 'http'"),
        ("vllm_model_dir", None, "vllm_model_dir is null"),
    ],
)
def test_a_wrong_value_of_the_inventory_is_named(name, value, found):
    (problem,) = merged(**{name: value})[1]
    assert (problem.found, problem.where) == (found, "")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("v0.23.0", "write 0.23.0, if that is meant"),
        ("0.13", "write 0.13.0, if that is meant"),
        ("0.13.0-rc1", "write 0.13.0rc1, if that is meant"),
        (
            "0.14.0",
            "choose one of them, or, for an image of another one, set vllm_image and vllm_image_versions",
        ),
        (
            "main",
            "choose one of them, or, for an image of another one, set vllm_image and vllm_image_versions",
        ),
    ],
)
def test_a_release_that_is_not_described_is_not_taken_for_another_one(name: str, remedy: str):
    with pytest.raises(ProblemError) as error:
        PROFILES.layers("glm-4.7", {"release": name})
    assert error.value.problem.remedy == remedy
