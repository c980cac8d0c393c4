# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency
from shipped import FLAGS, settings


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"vllm_api_port": 0}, "vllm_api_port is 0"),
        ({"vllm_api_port": 65536}, "vllm_api_port is 65536"),
        ({"vllm_rpc_port": 8080}, "vllm_api_port and vllm_rpc_port are both 8080"),
        ({"vllm_supervisor_port": 8082}, "vllm_rpc_port and vllm_supervisor_port are both 8082"),
        ({"vllm_tensor_parallel_size": 16}, "is 16 x 1 = 16"),
        ({"vllm_model_dir": "models"}, "vllm_model_dir is 'models'"),
        ({"vllm_airgap_dir": "models"}, "vllm_airgap_dir is 'models'"),
        (
            {"vllm_airgap_dir": "/data", "vllm_image": "quay.io/x@sha256:" + "0" * 64},
            "vllm_airgap_dir is set",
        ),
        ({"vllm_model_dir": "/srv/models"}, "not below a mount"),
        ({"vllm_npu_hbm_mb": 0}, "vllm_npu_hbm_mb is 0"),
        ({"vllm_model_size_gb": 10**12}, "vllm_model_size_gb is 1000000000000"),
        (
            {"vllm_container_hardened": True, "vllm_container_options": {"privileged": True}},
            "vllm_container_options has privileged: true",
        ),
        ({"vllm_model_config": {"num_hidden_layers": "many"}}, "vllm_model_config: "),
        ({"vllm_serve_args": {"api-key": "x"}}, "`ps` would show"),
        ({"vllm_serve_extra_args": ["--api_key", "x"]}, "`ps` would show"),
        ({"vllm_serve_extra_args": ["--ssl-certfile=/etc/cert.pem"]}, "TLS, which the checks do not speak"),
        (
            {"vllm_serve_extra_args": ["--max-model-len 65536"]},
            "has --max-model-len and its value in one word",
        ),
        ({"vllm_serve_extra_args": ["-tp 8"]}, "has -tp and its value in one word"),
        ({"vllm_serve_extra_args": ["--port", "9000"]}, 'vllm_serve_extra_args has port: "9000"'),
        (
            {"vllm_serve_extra_args": ["--served_model_name", "other", "glm47"]},
            'vllm_serve_extra_args has served-model-name: ["other", "glm47"]',
        ),
        ({"vllm_serve_env": {"A": "{local_ip}"}}, "vllm_serve_env has {local_ip} in A"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(variables, found):
    problems = consistency.problems(settings(**variables), FLAGS)
    assert any(found in problem.found for problem in problems), problems


@pytest.mark.parametrize(
    "variables", [{}, {"vllm_container_hardened": True}, {"vllm_container_options": {"privileged": True}}]
)
def test_settings_that_fit_together_have_no_problem(variables):
    assert consistency.problems(settings(**variables), FLAGS) == []


@pytest.mark.parametrize("port", [1, 65535])
def test_the_first_and_the_last_port_are_ports(port: int):
    assert consistency.problems(settings(vllm_api_port=port), FLAGS) == []


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        ({"vllm_tensor_parallel_size": 16}, "vllm_tensor_parallel_size to 8"),
        ({"vllm_data_parallel_size_local": 0}, "set each of them to 1 or more"),
        ({"vllm_tensor_parallel_size": 4, "vllm_serve_args": {"pipeline-parallel-size": 4}}, "lower one of them"),
        ({"vllm_tensor_parallel_size": 4, "vllm_serve_extra_args": ["-pp", "4"]}, "lower one of them"),
    ],
)  # fmt: skip
def test_engines_that_need_other_chips_than_there_are_learn_what_to_change(variables, remedy):
    found = [p for p in consistency.problems(settings(**variables), FLAGS) if "from 1 to the 8" in p.expected]
    assert [remedy in problem.remedy for problem in found] == [True]


def test_hosts_must_agree_on_what_is_common():
    (problem,) = consistency.disagreements("node1", settings(vllm_api_port=9000), "node0", settings())
    assert (problem.where, problem.found) == ("host node1", "vllm_api_port is 9000")


def test_hosts_that_disagree_are_told_where_a_setting_of_all_belongs():
    (problem,) = consistency.disagreements("node1", settings(vllm_api_port=9000), "node0", settings())
    assert problem.remedy == "set it once for all hosts, as in group_vars/all.yml"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vllm_model_dir", "models/GLM-4.7"),
        ("vllm_model_dir", "~/GLM-4.7"),
        ("vllm_npu_ids", [0, 0, 1]),
        ("vllm_npu_ids", [-1]),
    ],
)
def test_what_follows_from_a_mistake_is_not_told_as_another_one(name: str, value: object):
    (problem,) = consistency.problems(settings(**{name: value}), FLAGS)
    assert name in problem.found


@pytest.mark.parametrize(
    "word", ['--speculative-config={"method": "mtp"}', "a b", '{"a": 1, "b": 2}', "- x", "--x"]
)
def test_other_blanks_in_a_word_are_its_own(word: str):
    given = settings(vllm_serve_extra_args=["--max-num-seqs", "8", word])
    assert not [p for p in consistency.problems(given, FLAGS) if "in one word" in p.found]


OTHER_ON_ONE_HOST = {
    "model_repo": "a/b",
    "model_revision": "v2",
    "model_include": ["x"],
    "model_exclude": ["x"],
    "image": "x:y",
    "patch_set": None,
    "patch_repairs": False,
    "served_model_name": "other",
    "api_port": 1,
    "rpc_port": 1,
    "supervisor_port": 1,
    "drain_seconds": 30,
    "tensor_parallel_size": 4,
    "data_parallel_size_local": 2,
    "serve_args": {"max-num-seqs": 1},
    "serve_extra_args": ["--x"],
}


def test_a_misspelt_placeholder_is_told_the_right_one():
    (problem,) = consistency.problems(settings(vllm_serve_env={"A": "{servce_ip}"}), FLAGS)
    assert problem.remedy == "write service_ip, if that is meant"


@pytest.mark.parametrize("key", consistency.COMMON_KEYS)
def test_each_of_them_is_compared(key):
    worker = settings(**{f"vllm_{key}": OTHER_ON_ONE_HOST[key]})
    found = [problem.found for problem in consistency.disagreements("node1", worker, "node0", settings())]
    assert any(text.startswith(f"vllm_{key} is") for text in found)


@pytest.mark.parametrize("key", sorted(set(OTHER_ON_ONE_HOST)))
def test_what_vllm_would_not_notice_is_common(key):
    assert key in consistency.COMMON_KEYS
