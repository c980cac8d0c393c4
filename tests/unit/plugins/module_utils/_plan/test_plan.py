# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan, values
from shipped import FLAGS, settings

ADDRESSES = {"node0": "10.0.0.10", "node1": "10.0.0.11"}


def build(host, **overrides):
    return plan.build(host, ADDRESSES, "enp1", settings(**overrides), FLAGS)


@pytest.mark.parametrize(
    ("groups", "where", "found"),
    [
        ({"vllm_workers": ["node1"]}, "group vllm_head", "empty or missing"),
        ({"vllm_head": ["a", "b"]}, "group vllm_head", "2 hosts (a, b)"),
        ({"vllm_head": ["a"], "vllm_workers": ["a"]}, "host a", "in vllm_head and in vllm_workers"),
        ({"vllm_head": ["a"], "vllm_worker": ["b"]}, "group vllm_worker", "no group of the service"),
        ({"vllm_head": ["a"], "vllm-workers": ["b"]}, "group vllm-workers", "no group of the service"),
    ],
)
def test_groups_that_make_no_service_are_refused(groups, where, found):
    (problem,) = plan.inventory_problems(groups, "vllm_head", "vllm_workers")
    assert problem.where == where
    assert found in problem.found


@pytest.mark.parametrize("more", [{}, {"vllm": ["node0"]}, {"gpu_workers": ["a"]}, {"vllm_gateway": ["a"]}])
def test_a_single_head_is_a_service(more):
    assert plan.inventory_problems({"vllm_head": ["node0"], **more}, "vllm_head", "vllm_workers") == []


@pytest.mark.parametrize("variables", [{}, {"vllm_head_group": "", "vllm_worker_group": None}])
def test_groups_have_names_by_default(variables):
    assert plan.groups(variables) == ("vllm_head", "vllm_workers")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.10", "a placeholder"),
        ("node0.example.com", "is 'node0.example.com'"),
        ("0.0.0.0", "cannot reach"),
        ("127.0.0.1", "cannot reach"),
        (None, "is None"),
        ("10.0.0.12", "the same as host node2"),
    ],
)
def test_an_address_that_cannot_serve_is_named_with_its_host(address, found):
    (problem,) = plan.address_problems({"node2": "10.0.0.12", "node0": address})
    assert problem.where == "host node0"
    assert found in problem.found


def test_one_host_may_serve_on_loopback():
    assert plan.address_problems({"node0": "127.0.0.1"}) == []


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
        ({"vllm_model_dir": "/srv/models"}, "under no mount"),
        ({"vllm_npu_hbm_mb": 0}, "vllm_npu_hbm_mb is 0"),
        ({"vllm_model_size_gb": 10**12}, "vllm_model_size_gb is 1000000000000"),
        (
            {"vllm_container_hardened": True, "vllm_container_options": {"privileged": True}},
            "vllm_container_options has privileged: true",
        ),
        ({"vllm_serve_args": {"api-key": "x"}}, "`ps` would show"),
        ({"vllm_serve_extra_args": ["--api_key", "x"]}, "`ps` would show"),
        ({"vllm_serve_extra_args": ["--ssl-certfile=/etc/cert.pem"]}, "TLS, which the checks do not speak"),
        ({"vllm_serve_extra_args": ["--port", "9000"]}, 'vllm_serve_extra_args has port: "9000"'),
        (
            {"vllm_serve_extra_args": ["--served_model_name", "other", "glm47"]},
            'vllm_serve_extra_args has served-model-name: ["other", "glm47"]',
        ),
        ({"vllm_serve_env": {"A": "{local_ip}"}}, "vllm_serve_env has {local_ip} in A"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(variables, found):
    problems = plan.setting_problems(settings(**variables), FLAGS)
    assert any(found in problem.found for problem in problems), problems


def test_hosts_must_agree_on_what_is_common():
    (problem,) = plan.disagreements("node1", settings(vllm_api_port=9000), "node0", settings())
    assert (problem.where, problem.found) == ("host node1", "vllm_api_port is 9000")


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
    (problem,) = plan.setting_problems(settings(vllm_serve_env={"A": "{servce_ip}"}), FLAGS)
    assert problem.remedy == "write service_ip, if that is meant"


@pytest.mark.parametrize("key", plan.COMMON_KEYS)
def test_each_of_them_is_compared(key):
    worker = settings(**{f"vllm_{key}": OTHER_ON_ONE_HOST[key]})
    found = [problem.found for problem in plan.disagreements("node1", worker, "node0", settings())]
    assert any(text.startswith(f"vllm_{key} is") for text in found)


@pytest.mark.parametrize("key", sorted(set(OTHER_ON_ONE_HOST)))
def test_what_vllm_would_not_notice_is_common(key):
    assert key in plan.COMMON_KEYS


def test_head_and_worker_differ_only_in_what_the_recipe_says():
    head, worker = (build(host)["serve"]["args"] for host in ("node0", "node1"))
    assert [arg for arg in worker if arg not in head] == [["--data-parallel-start-rank", "1"], ["--headless"]]
    assert [arg for arg in head if arg not in worker] == []


@pytest.mark.parametrize(("seconds", "refuses"), [(0, False), (300, True)])
def test_a_stop_has_time_to_drain(seconds: int, refuses: bool):
    head, worker = (build(host, vllm_drain_seconds=seconds)["container"] for host in ("node0", "node1"))
    assert {head["stop_timeout"], worker["stop_timeout"]} == {seconds + 20}
    assert f"--drain-seconds={seconds}" in head["command"]
    assert f"--drain-seconds={seconds}" in worker["command"]
    assert (f"--middleware={plan.MIDDLEWARE}" in head["command"]) == refuses
    assert not any(word.startswith("--middleware") for word in worker["command"])


@pytest.mark.parametrize("name", [None, "enp67s0f0", "bond0.1044"])
def test_a_nic_may_have_the_names_that_linux_gives(name):
    assert plan.nic_problems(name) == []


@pytest.mark.parametrize("name", ["enp67s0f0 eth1", ["eth0"], "/dev/net/tun", "sixteen-letters-"])
def test_what_is_not_one_nic_is_refused(name):
    (problem,) = plan.nic_problems(name)
    assert problem.found == f"vllm_service_nic is {name!r}"


def test_ranks_follow_the_number_of_local_engines():
    third = plan.build(
        "node2",
        {**ADDRESSES, "node2": "10.0.0.12"},
        "enp1",
        settings(vllm_data_parallel_size_local=2, vllm_tensor_parallel_size=4),
        FLAGS,
    )
    assert third["data_parallel"] == {"size": 6}
    assert ["--data-parallel-start-rank", "4"] in third["serve"]["args"]
    command = third["container"]["command"]
    assert {"--rank=2", "--hosts=3", "--engines=6"} <= set(command)


def test_the_container_has_the_chips_that_are_chosen():
    chosen = settings(vllm_npu_ids=[4, 5], vllm_tensor_parallel_size=2)
    built = plan.build("node0", {"node0": "10.0.0.10"}, "enp1", chosen, FLAGS)
    devices = built["container"]["devices"]
    assert [path for path in devices if path.removeprefix("/dev/davinci").isdigit()] == [
        "/dev/davinci4",
        "/dev/davinci5",
    ]
    assert "/dev/davinci_manager" in devices
    assert built["serve"]["env"]["ASCEND_RT_VISIBLE_DEVICES"] == "0,1"
    assert built["npu"]["ids"] == [4, 5]


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.10", "http://10.0.0.10:8080"), ("fd00::10", "http://[fd00::10]:8080")]
)
def test_all_hosts_know_the_heads_url(address: str, url: str):
    for host in ("node0", "node1"):
        built = plan.build(host, {**ADDRESSES, "node0": address}, "enp1", settings(), FLAGS)
        assert built["url"] == url


def test_every_placeholder_has_a_value():
    names = plan.placeholders("node1", ADDRESSES, "enp1", settings())
    assert tuple(names) == values.NAMES
    assert None not in names.values()


WEIGHTS = {
    "source": "/opt/data/verification/models/GLM-4.7",
    "target": "/root/.cache/verification/models/GLM-4.7",
}


def test_a_hardened_container_can_write_to_its_caches_only():
    container = build("node0", vllm_container_hardened=True)["container"]
    assert container["security"]["security_opts"] == ["no-new-privileges:true"]
    assert container["security"]["cap_drop"] == ["ALL"]
    assert container["security"]["capabilities"] == ["DAC_OVERRIDE"]
    hardened = container["security"]["mounts"]
    assert [mount["target"] for mount in hardened if not mount["read_only"]] == ["/root/.cache"]
    assert hardened[-1] == {"type": "bind", **WEIGHTS, "read_only": True}
    assert all(mount["source"] != WEIGHTS["source"] for mount in container["mounts"])  # may not be there yet
    assert build("node0")["container"]["security"] == {}


def test_a_hardened_container_on_a_low_port():
    container = build("node0", vllm_container_hardened=True, vllm_api_port=80)["container"]
    assert container["security"]["capabilities"] == ["DAC_OVERRIDE", "NET_BIND_SERVICE"]


def test_weights_with_a_mount_of_their_own_are_mounted_once():
    mount = [f"{WEIGHTS['source']}:/weights"]
    container = build("node0", vllm_container_hardened=True, vllm_container_extra_mounts=mount)["container"]
    (weights,) = [one for one in container["security"]["mounts"] if one["source"] == WEIGHTS["source"]]
    assert (weights["target"], weights["read_only"]) == ("/weights", True)


def mounts(*texts: str):
    first, *others = texts
    return plan.mounts(
        {
            "npu_driver_mounts": [first],
            "container_mounts": [],
            "container_extra_mounts": others,
            "container_hardened": False,
            "supervisor_metrics_dir": None,
        }
    )


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a", {"type": "bind", "source": "/a", "target": "/a", "read_only": False}),
        ("/a:/b", {"type": "bind", "source": "/a", "target": "/b", "read_only": False}),
        ("/a:/b:ro", {"type": "bind", "source": "/a", "target": "/b", "read_only": True}),
    ],
)
def test_mounts_are_written_as_docker_users_write_them(text, mount):
    assert mounts(text) == [mount]


@pytest.mark.parametrize(
    ("extra", "count"), [("/c:/opt/data", 0), ("/c:/root/.cache/", 1), ("/opt/data:/root/.cache", 0)]
)
def test_two_mounts_on_one_target_are_refused(extra: str, count: int):
    problems = plan.setting_problems(settings(vllm_container_extra_mounts=[extra]), FLAGS)
    assert len([problem for problem in problems if "both mounted" in problem.found]) == count


@pytest.mark.parametrize(
    ("real", "inside"),
    [
        ({}, "/root/.cache/m/GLM"),
        ({"/opt/data": "/data1", "/opt/data/m/GLM": "/data1/m/GLM"}, "/root/.cache/m/GLM"),
        ({"/opt/data/m/GLM": "/opt/data/fast/GLM"}, "/root/.cache/fast/GLM"),
        ({"/opt/data/m/GLM": "/data1/m/GLM"}, None),
    ],
)
def test_links_of_the_host_are_followed_to_the_weights(real: dict[str, str], inside: str | None):
    chosen = settings(vllm_model_dir="/opt/data/m/GLM")
    assert plan.real_container_path(chosen, real) == inside
    assert (plan.link_problem(chosen, real) is None) == (inside is not None)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/opt/data/models", "/root/.cache/models"),
        ("/opt/data", "/root/.cache"),
        ("/opt/data/fast/models", "/fast/models"),
        ("/opt/database", None),
    ],
)
def test_the_innermost_mount_decides_where_a_path_appears(path, inside):
    bind_mounts = mounts("/opt/data:/root/.cache", "/opt/data/fast:/fast")
    assert plan.container_path(path, bind_mounts) == inside


def test_others_see_the_endpoint_and_each_host_with_its_first_engine():
    chosen = settings(vllm_data_parallel_size_local=2, vllm_tensor_parallel_size=4, vllm_api_port=9000)
    seen = plan.service(ADDRESSES, {"node0": chosen, "node1": chosen})
    assert (seen["name"], seen["api_port"], seen["engines"]) == ("glm47", 9000, 4)
    assert seen["hosts"] == [
        {"name": "node0", "address": "10.0.0.10", "rank": 0},
        {"name": "node1", "address": "10.0.0.11", "rank": 2},
    ]


def test_the_supervisor_writes_figures_where_the_host_wants_them():
    quiet, asked = build("node1"), build("node1", vllm_supervisor_metrics_dir="/var/lib/metrics")
    assert quiet["container"]["metrics"] is None
    assert not [option for option in quiet["container"]["command"] if option.startswith("--metrics")]
    assert asked["container"]["metrics"] == "/var/lib/metrics/ascend-ops-8080.prom"
    (mount,) = [one for one in asked["container"]["mounts"] if one not in quiet["container"]["mounts"]]
    assert (mount["source"], mount["read_only"]) == ("/var/lib/metrics", False)
    assert f"--metrics={mount['target']}/ascend-ops-8080.prom" in asked["container"]["command"]
