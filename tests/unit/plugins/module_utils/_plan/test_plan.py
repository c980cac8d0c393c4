# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan, values
from shipped import FLAGS, settings
from two_hosts import ADDRESSES, planned


def test_head_and_worker_differ_only_in_what_the_recipe_says():
    head, worker = (planned(host)["serve"]["args"] for host in ("node0", "node1"))
    assert [arg for arg in worker if arg not in head] == [["--data-parallel-start-rank", "1"], ["--headless"]]
    assert [arg for arg in head if arg not in worker] == []


def test_ranks_follow_the_number_of_local_engines():
    third = plan.build(
        plan.Member("node2", {**ADDRESSES, "node2": "10.0.0.12"}, "enp1"),
        settings(vllm_data_parallel_size_local=2, vllm_tensor_parallel_size=4),
        FLAGS,
    )
    assert third["data_parallel"] == {"size": 6}
    assert ["--data-parallel-start-rank", "4"] in third["serve"]["args"]
    command = third["container"]["command"]
    assert {"--rank=2", "--hosts=3", "--engines=6"} <= set(command)


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.10", "http://10.0.0.10:8080"), ("fd00::10", "http://[fd00::10]:8080")]
)
def test_all_hosts_know_the_heads_url(address: str, url: str):
    for host in ("node0", "node1"):
        built = plan.build(plan.Member(host, {**ADDRESSES, "node0": address}, "enp1"), settings(), FLAGS)
        assert built["url"] == url


def test_every_placeholder_has_a_value():
    names = plan.placeholders(plan.Member("node1", ADDRESSES, "enp1"), settings())
    assert tuple(names) == values.NAMES
    assert None not in names.values()


@pytest.mark.parametrize(("address", "listens"), [("10.0.0.10", "0.0.0.0"), ("fd00::10", "::")])
def test_the_api_listens_on_all_addresses_of_the_kind_that_the_service_has(address: str, listens: str):
    member = plan.Member("node1", {**ADDRESSES, "node0": address}, "enp1")
    names = plan.placeholders(member, settings(vllm_npu_ids=[4, 6]))
    assert (names["listen_address"], names["head_ip"]) == (listens, address)
    assert (names["npu_ids"], names["npu_indices"]) == ("4,6", "0,1")


def test_others_see_the_endpoint_and_each_host_with_its_first_engine():
    chosen = settings(vllm_data_parallel_size_local=2, vllm_tensor_parallel_size=4, vllm_api_port=9000)
    seen = plan.service(ADDRESSES, {"node0": chosen, "node1": chosen})
    assert (seen["name"], seen["api_port"], seen["engines"]) == ("glm47", 9000, 4)
    assert seen["hosts"] == [
        {"name": "node0", "address": "10.0.0.10", "rank": 0},
        {"name": "node1", "address": "10.0.0.11", "rank": 2},
    ]


def test_the_model_comes_from_the_branch_and_the_url_of_its_hub_unless_others_are_given():
    model = planned("node0")["model"]
    assert (model["revision"], model["endpoint"]) == ("master", "https://www.modelscope.cn")
    model = planned("node0", vllm_model_revision="v1", vllm_model_endpoint="http://hub")["model"]
    assert (model["revision"], model["endpoint"]) == ("v1", "http://hub")
    model = planned("node0", vllm_model_hub="huggingface")["model"]
    assert (model["revision"], model["endpoint"]) == ("main", "https://huggingface.co")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, 600),
        ({"vllm_serve_env": {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3000"}}, 3000),
        ({"vllm_container_env": {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": 1200}}, 1200),
        ({"vllm_serve_env": {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": 300}}, 600),
        ({"vllm_serve_env": {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "$STEP"}}, 600),
        ({"profile": "glm-5.3-flash-w8a8"}, 3000),
    ],
)
def test_an_engine_may_compile_before_its_first_answer_for_as_long_as_vllm_lets_it(variables, seconds):
    container = planned("node0", **variables)["container"]
    assert f"--first-seconds={seconds}" in container["command"]
    assert container["first_seconds"] == seconds


@pytest.mark.parametrize(("port", "needed"), [(1023, True), (1024, False)])
def test_a_hardened_container_may_bind_low_ports_if_it_has_to(port, needed):
    container = planned("node0", vllm_container_hardened=True, vllm_api_port=port)["container"]
    assert ("NET_BIND_SERVICE" in container["security"]["capabilities"]) is needed
