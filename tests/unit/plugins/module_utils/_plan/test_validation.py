# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import profile, validation

PROFILES = sorted(Path(__file__).resolve().parents[5].joinpath("profiles").glob("*.yml"))


def errors(**changes: Any) -> list[str]:
    settings = yaml.safe_load(PROFILES[0].read_text(encoding="utf-8"))
    return validation.errors({**settings, **changes})


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_shipped_profile_is_right(path: Path):
    assert validation.errors(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_every_form_is_of_a_setting():
    assert set(validation.FORMS) <= set(profile.SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image", "10.0.0.5:5000/ascend/vllm-ascend:v0.13.0rc1-openeuler"),
        ("image", "quay.io/ascend/vllm-ascend@sha256:" + "0a" * 32),
        ("image", "vllm-ascend"),
        ("model_endpoint", "http://10.0.0.5:8090"),
        ("model_revision", "83ee97c66e841048bedc5c02c15ce2f3ed259feb"),
        ("airgap_dir", None),
        ("container_extra_mounts", ["/data", "/data:/models", "/data:/models:ro", "/data:/models:rw"]),
        ("container_ulimits", ["memlock:-1:-1", "nofile:65536"]),
        ("container_shm_size", "16gb"),
        ("npu_firmware_version", "7.5.0.1.129"),
        ("npu_driver_version", "24.1.rc2"),
        ("serve_args", {"max-model-len": 4096, "compilation-config.level": 3, "O3": None}),
        ("serve_env", {"HCCL_CONNECT_TIMEOUT": 600, "_X": None, "Y": True}),
        ("image_versions", {"python": ">=3.10,<3.12", "cann": "8.3.rc2", "torch": 2.8}),
    ],
)
def test_what_is_right_is_taken(key: str, value: Any):
    assert errors(**{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image", "", "vllm_image is '', wanted an image as `docker pull` takes it"),
        ("image", "quay.io/Ascend/vllm", "vllm_image is 'quay.io/Ascend/vllm', wanted"),
        ("model_repo", "GLM-4.7", "vllm_model_repo is 'GLM-4.7', wanted OWNER/NAME"),
        (
            "model_endpoint",
            "modelscope.cn",
            "vllm_model_endpoint is 'modelscope.cn', wanted a URL such as https://",
        ),
        ("model_dir", "models/GLM", "vllm_model_dir is 'models/GLM', wanted an absolute path on the host"),
        (
            "model_cache_dir",
            "/opt/GLM:4.7",
            "vllm_model_cache_dir is '/opt/GLM:4.7', wanted an absolute path on the host, without colon",
        ),
        ("model_exclude", [""], "vllm_model_exclude has '', wanted a shell pattern"),
        ("host_memory_gb", -4, "vllm_host_memory_gb is -4, wanted 0 or more"),
        ("npu_ids", [0, "a"], "vllm_npu_ids has 'a', wanted numbers"),
        ("npu_ids", [0, True], "vllm_npu_ids has True, wanted numbers"),
        ("npu_ids", [0, 0], "vllm_npu_ids is [0, 0], wanted each number once"),
        (
            "npu_driver_version",
            "newest",
            "vllm_npu_driver_version is 'newest', wanted a version such as 25.2.1",
        ),
        ("container_name", "my container", "vllm_container_name is 'my container', wanted letters, digits"),
        (
            "container_extra_mounts",
            ["data"],
            "vllm_container_extra_mounts has 'data', wanted SOURCE[:TARGET[:ro]]",
        ),
        (
            "container_extra_mounts",
            ["/data:models"],
            "vllm_container_extra_mounts has '/data:models', wanted",
        ),
        ("container_shm_size", "lots", "vllm_container_shm_size is 'lots', wanted a size such as 1g"),
        ("container_ulimits", ["memlock"], "vllm_container_ulimits has 'memlock', wanted NAME:SOFT[:HARD]"),
        (
            "container_restart_policy",
            "sometimes",
            "vllm_container_restart_policy is 'sometimes', wanted no, always,",
        ),
        ("served_model_name", "glm 47", "vllm_served_model_name is 'glm 47', wanted a name without blanks"),
        ("serve_env_scripts", [5], "vllm_serve_env_scripts has 5, wanted absolute paths in the container"),
        ("serve_env", {"A B": 1}, "vllm_serve_env has 'A B', wanted names of environment variables"),
        ("serve_env", {"A": {"b": 1}}, "vllm_serve_env has A: {'b': 1}, wanted a string or a number"),
        (
            "serve_args",
            {"--port": 1},
            "vllm_serve_args has '--port', wanted flags of vllm serve without the leading --",
        ),
        (
            "serve_args",
            {"max_model_len": 1},
            "vllm_serve_args has 'max_model_len', wanted flags of vllm serve without the leading --, and with - for _",
        ),
        (
            "image_versions",
            {"torch": ">>1"},
            "vllm_image_versions has torch: '>>1', wanted a version or conditions",
        ),
        (
            "probe",
            {"completion": 5},
            "vllm_probe: completion is 5, wanted a mapping with `request` and `expect`",
        ),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, said: str):
    (error,) = errors(**{key: value})
    assert error.startswith(said)
    assert error.endswith(": correct it.")
