# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan, profile

PROFILE = Path(__file__).resolve().parents[5] / "profiles" / "glm-4.7.yml"
ADDRESSES = {"node0": "10.0.0.10", "node1": "10.0.0.11", "node2": "10.0.0.12"}


def settings(**overrides):
    merged, errors = profile.settings(
        "glm-4.7", yaml.safe_load(PROFILE.read_text(encoding="utf-8")), overrides
    )
    assert errors == []
    return merged


def build(host, **overrides):
    return plan.build(host, ["node0", "node1"], ADDRESSES, "enp1", settings(**overrides))


@pytest.mark.parametrize(
    ("heads", "workers", "words"),
    [
        ([], ["node1"], ["vllm_head", "empty", "exactly one"]),
        (["a", "b"], [], ["2 hosts", "a, b", "exactly one"]),
        (["a"], ["a"], ["host a", "vllm_head", "vllm_workers"]),
    ],
)
def test_groups_that_make_no_service_are_refused(heads, workers, words):
    errors = plan.inventory_errors(heads, workers)
    assert len(errors) == 1
    assert all(word in errors[0] for word in words)


def test_a_single_head_is_a_service():
    assert plan.inventory_errors(["node0"], []) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.0.2.10", "placeholder"),
        ("node0.example.com", "wanted the IP address"),
        ("0.0.0.0", "cannot reach"),
        ("127.0.0.1", "cannot reach"),
        (None, "wanted the IP address"),
        ("10.0.0.12", "the same as host node2"),
    ],
)
def test_an_address_that_cannot_serve_is_named_with_its_host(address, words):
    errors = plan.address_errors({"node2": "10.0.0.12", "node0": address})
    assert len(errors) == 1
    assert "host node0" in errors[0]
    assert words in errors[0]


def test_one_host_may_serve_on_loopback():
    assert plan.address_errors({"node0": "127.0.0.1"}) == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"vllm_api_port": 0}, "from 1 to 65535"),
        ({"vllm_rpc_port": 8080}, "both 8080, wanted different ports"),
        ({"vllm_supervisor_port": 8082}, "vllm_rpc_port and vllm_supervisor_port are both 8082"),
        ({"vllm_supervisor_grace": 0}, "vllm_supervisor_grace is 0, wanted 1 or more"),
        ({"vllm_tensor_parallel_size": 16}, "the 8 NPUs"),
        ({"vllm_model_dir": "models"}, "an absolute path"),
        ({"vllm_airgap_dir": "models"}, "an absolute path"),
        (
            {"vllm_airgap_dir": "/data", "vllm_image": "quay.io/x@sha256:" + "0" * 64},
            "an archive keeps no digest",
        ),
        ({"vllm_model_dir": "/srv/models"}, "under no mount"),
        ({"vllm_serve_args": {"api-key": "x"}}, "`ps` would show"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(overrides, words):
    errors = plan.setting_errors(settings(**overrides))
    assert any(words in error for error in errors), errors


def test_the_recipes_settings_fit_together():
    assert plan.setting_errors(settings()) == []


def test_hosts_must_agree_on_what_is_common():
    errors = plan.disagreements("node1", settings(vllm_api_port=9000), "node0", settings())
    assert len(errors) == 1
    assert "host node1: vllm_api_port is 9000" in errors[0]


def test_head_and_worker_differ_only_in_what_the_recipe_says():
    head, worker = (build(host)["serve"]["args"] for host in ("node0", "node1"))
    assert [arg for arg in worker if arg not in head] == [["--data-parallel-start-rank", "1"], ["--headless"]]
    assert [arg for arg in head if arg not in worker] == []


def test_ranks_follow_the_number_of_local_engines():
    third = plan.build(
        "node2",
        list(ADDRESSES),
        ADDRESSES,
        "enp1",
        settings(vllm_data_parallel_size_local=2, vllm_tensor_parallel_size=4),
    )
    assert third["data_parallel"] == {"size": 6, "size_local": 2, "start_rank": 4}


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.10", "http://10.0.0.10:8080"), ("fd00::10", "http://[fd00::10]:8080")]
)
def test_all_hosts_know_the_heads_url(address: str, url: str):
    for host in ("node0", "node1"):
        assert (
            plan.build(
                host, ["node0", "node1"], {"node0": address, "node1": "10.0.0.11"}, "enp1", settings()
            )["url"]
            == url
        )


def test_flags_of_every_kind():
    flags = {"bare": True, "off": False, "gone": None, "json": {"a": 1}, "port": "{api_port}", "number": 0.9}
    assert plan.arguments(flags, {"api_port": 8080}) == [
        ["--bare"],
        ["--json", '{"a": 1}'],
        ["--port", "8080"],
        ["--number", "0.9"],
    ]


def test_environment_is_text_and_an_unknown_nic_stays_unknown():
    assert plan.environment({"A": 1, "B": True, "C": "{nic}"}, {"nic": None}) == {
        "A": "1",
        "B": "true",
        "C": None,
    }


def test_an_unknown_placeholder_is_refused():
    with pytest.raises(ValueError, match=r"\{local_ip\}.*known are service_ip"):
        plan.environment({"A": "{local_ip}"}, {"service_ip": "10.0.0.1"})


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a", {"type": "bind", "source": "/a", "target": "/a", "read_only": False}),
        ("/a:/b", {"type": "bind", "source": "/a", "target": "/b", "read_only": False}),
        ("/a:/b:ro", {"type": "bind", "source": "/a", "target": "/b", "read_only": True}),
    ],
)
def test_mounts_are_written_as_docker_users_write_them(text, mount):
    assert plan.mounts({"container_mounts": [text], "container_extra_mounts": []}) == [mount]


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
    mounts = plan.mounts(
        {"container_mounts": ["/opt/data:/root/.cache", "/opt/data/fast:/fast"], "container_extra_mounts": []}
    )
    assert plan.container_path(path, mounts) == inside
