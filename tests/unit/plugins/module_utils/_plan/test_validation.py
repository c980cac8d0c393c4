# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import validation
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_run import ROOT
from shipped import SETTINGS, settings


def problems(**changes: Any) -> list[Problem]:
    return validation.problems({**settings(), **changes})


def test_options_that_the_container_has_already_are_refused():
    planned = yaml.safe_load((ROOT / "roles/container/vars/main.yml").read_text("utf-8"))
    for option in planned["__container_planned_options"]:
        assert len(problems(container_options={option: "x"})) == 1, option


def test_every_pattern_is_of_a_setting():
    assert {f"vllm_{key}" for key in validation.PATTERNS} <= set(SETTINGS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image", "10.0.0.5:5000/ascend/vllm-ascend:v0.13.0rc1-openeuler"),
        ("image", "quay.io/ascend/vllm-ascend@sha256:" + "0a" * 32),
        ("image", "vllm-ascend"),
        ("model_endpoint", "http://10.0.0.5:8090"),
        ("model_repo", "GLM-4.7-W8A8-of-ours"),
        ("model_hub", "huggingface"),
        ("model_revision", "83ee97c66e841048bedc5c02c15ce2f3ed259feb"),
        ("airgap_dir", None),
        ("container_extra_mounts", ["/data", "/data:/models", "/data:/models:ro", "/data:/models:rw"]),
        ("container_ulimits", ["memlock:-1:-1", "nofile:65536"]),
        ("container_shm_size", "16gb"),
        ("npu_firmware_version", "7.5.0.1.129"),
        ("npu_driver_version", "24.1.rc2"),
        ("serve_args", {"max-model-len": 4096, "compilation-config.level": 3, "O3": None}),
        ("serve_env", {"HCCL_CONNECT_TIMEOUT": 600, "_X": None, "Y": "on"}),
        ("serve_env", {"PYTHONPATH": "/opt/lib:${PYTHONPATH}"}),
        ("image_versions", {"python": ">=3.10,<3.12", "cann": "8.3.rc2", "torch": "2.8"}),
        *(("drain_seconds", seconds) for seconds in (0, 9999, 79999, 85999, 86399, 86400)),
        *(("supervisor_grace", seconds) for seconds in (10, 45, 9999, 10000, 86400)),
        *(("supervisor_probe_seconds", seconds) for seconds in (0, 1, 86400)),
    ],
)
def test_what_is_right_is_taken(key: str, value: Any):
    assert problems(**{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value", "found", "expected"),
    [
        ("image", "", "is ''", "an image"),
        ("image", "quay.io/Ascend/vllm", "is 'quay.io/Ascend/vllm'", "an image"),
        ("model_repo", "a/b/GLM-4.7", "is 'a/b/GLM-4.7'", "OWNER/NAME"),
        ("model_hub", "gitlab", "is 'gitlab'", "modelscope, huggingface or http"),
        ("model_endpoint", "modelscope.cn", "is 'modelscope.cn'", "a URL"),
        ("model_dir", "models/GLM", "is 'models/GLM'", "an absolute path"),
        ("model_cache_dir", "/opt/GLM:4.7", "is '/opt/GLM:4.7'", "without colon"),
        ("model_dir", "/opt/a,b", "is '/opt/a,b'", "comma"),
        ("container_extra_mounts", ["/a,readonly:/b"], "has '/a,readonly:/b'", "SOURCE[:TARGET[:ro]]"),
        ("container_extra_mounts", ["/a:/b:rx"], "has '/a:/b:rx'", "SOURCE[:TARGET[:ro]]"),
        ("model_exclude", [""], "has ''", "a shell pattern"),
        ("host_memory_gb", -4, "is -4", "0 to 999999999"),
        ("npu_ids", [-1, 0], "has -1", "0 or more"),
        ("npu_ids", [7, 6], "is [7, 6]", "ascending"),
        ("npu_ids", [0, 0], "is [0, 0]", "ascending numbers, each once"),
        ("npu_driver_version", "newest", "is 'newest'", "a version"),
        ("container_name", "my container", "is 'my container'", "letters, digits"),
        ("container_name", "-x", "is '-x'", "letters, digits"),
        ("container_name", ".x", "is '.x'", "letters, digits"),
        ("container_extra_mounts", ["data"], "has 'data'", "SOURCE[:TARGET[:ro]]"),
        ("container_extra_mounts", ["/data:models"], "has '/data:models'", "SOURCE[:TARGET[:ro]]"),
        ("npu_driver_mounts", ["dcmi"], "has 'dcmi'", "SOURCE[:TARGET[:ro]]"),
        ("container_shm_size", "lots", "is 'lots'", "a size"),
        ("container_ulimits", ["memlock"], "has 'memlock'", "NAME:SOFT[:HARD]"),
        ("served_model_name", "glm 47", "is 'glm 47'", "without blanks"),
        ("supervisor_grace", 9, "is 9", "10 to 86400 seconds"),
        ("supervisor_grace", 86401, "is 86401", "10 to 86400 seconds"),
        ("supervisor_grace", 10**400, "is 1000", "10 to 86400 seconds"),
        ("supervisor_probe_seconds", -1, "is -1", "0 to 86400 seconds"),
        ("supervisor_probe_seconds", 10**6, "is 1000000", "0 to 86400 seconds"),
        ("supervisor_max_failures", 0, "is 0", "1 to 999999999"),
        ("supervisor_max_failures", 10**9, "is 1000000000", "1 to 999999999"),
        ("drain_seconds", -1, "is -1", "0 to 86400 seconds"),
        ("drain_seconds", 86401, "is 86401", "0 to 86400 seconds"),
        ("drain_seconds", 100000, "is 100000", "0 to 86400 seconds"),
        ("serve_env_scripts", ["5"], "has '5'", "an absolute path"),
        ("serve_env", {"A B": 1}, "has 'A B'", "environment variables"),
        ("serve_env", {"A": {"b": 1}}, "has A: {'b': 1}", "a whole number"),
        ("serve_env", {"HCCL_INTRA_PCIE_ENABLE": True}, "has HCCL_INTRA_PCIE_ENABLE: True", "'1'"),
        ("serve_env", {"A": 2.1}, "has A: 2.1", "in quotes"),
        ("serve_env", {"VLLM_API_KEY": "s3cret"}, "has VLLM_API_KEY", "no secret"),
        ("container_env", {"HF_TOKEN": "s3cret"}, "has HF_TOKEN", "no secret"),
        ("container_env", {"MODELSCOPE_API_TOKEN": "s3cret"}, "has MODELSCOPE_API_TOKEN", "no secret"),
        ("serve_env", {"PYTHONPATH": "/opt/lib"}, "has PYTHONPATH", "the previous value in it"),
        ("container_env", {"A": "/x:$A"}, "has A: /x:$A", "a plain value"),
        ("container_options", {"image": "x"}, "has 'image'", "docker_container"),
        ("container_options", {"shm_size": "2g"}, "has 'shm_size', which has a setting", "docker_container"),
        ("container_mounts", ["/root/.cache/../x"], "has '/root/.cache/../x'", "SOURCE"),
        ("model_dir", "/opt/data/..", "is '/opt/data/..'", "or `..`"),
        ("serve_args", {"--port": 1}, "has '--port'", "without the leading --"),
        ("serve_args", {"max_model_len": 1}, "has 'max_model_len'", "with - for _"),
        ("image_versions", {"torch": 2.1}, "has torch: 2.1", "in quotes"),
        ("image_versions", {"torch": ">>1"}, "has torch: '>>1'", "a version, or conditions"),
        ("probe", {"completion": 5}, "completion is 5", "built-in conversations"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, found: str, expected: str):
    (problem,) = problems(**{key: value})
    assert problem.found.startswith(f"vllm_{key}")
    assert found in problem.found
    assert expected in problem.expected
