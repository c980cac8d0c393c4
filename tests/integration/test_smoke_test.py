# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of NPUs and network on the running lab: two of the simulated NPUs of each host, with the real torch and Gloo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab import INVENTORY, NODES, Run, assert_names, on, place, playbook

NAME = "npu-test"
TEMPORARY = f"{NAME}-npu-test"


def smoke_test(folder: Path, ill: dict[str, Any] | None = None, **variables: Any) -> Run:
    """Run it, with node1 as ill as *ill* says."""
    settings = {
        "vllm_container_name": NAME,
        "vllm_npu_ids": [0, 1],
        "vllm_rpc_port": 8182,  # a service may be running
        "container_smoke_test": "auto",
        **variables,
    }
    own = {"vllm_container_env": {"LAB_TORCH_NPU": json.dumps(ill or {})}}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"vllm_workers": {"hosts": {"node1": own}}}), encoding="ascii")
    options = (*INVENTORY, "-i", str(inventory), "-e", json.dumps(settings))
    run = playbook("tests/integration/smoke_test.yml", *options)
    for node in NODES:
        assert TEMPORARY not in on(node, "docker", "ps", "--all", "--format", "{{.Names}}")
    return run


def test_healthy_hosts_pass_and_nothing_is_left(tmp_path):
    run = smoke_test(tmp_path)
    assert "4 NPUs in " in run.succeeded()
    assert smoke_test(tmp_path, container_smoke_test="never").changed() == {"node0": 0, "node1": 0}


ILL = {"add_error": "SetDevice:torch_npu/csrc/core, error code is 507033"}


def test_an_npu_that_fails_is_told_with_its_host(tmp_path):
    run = smoke_test(tmp_path, ILL)
    assert run.findings() == [("node1", "smoke_npus", "fail")]
    assert_names(run.failures[-1].message, place("node1", "container"), "507033", "preflight_accept")


@pytest.mark.campaign  # test_patch.py lets another temporary container fail
def test_a_temporary_container_that_does_not_start_is_removed(tmp_path):
    run = smoke_test(tmp_path, vllm_container_options={"working_dir": "/proc/none"})
    assert_names(run.failed()["node1"], place("node1", "container"), "/proc/none", "vllm_container_options")


@pytest.mark.campaign  # test_preflight_accept.py accepts other findings by the same list
def test_an_npu_that_fails_can_be_accepted(tmp_path):
    run = smoke_test(tmp_path, ILL, preflight_accept=["smoke_npus"])
    assert "Accepted by preflight_accept" in run.succeeded()


@pytest.mark.campaign  # test_patch.py interrupts one as well
def test_what_an_interrupted_run_has_left_is_removed(tmp_path):
    image = on("node0", "docker", "image", "ls", "--quiet").split()[0]
    on("node0", "docker", "run", "--detach", "--name", TEMPORARY, image, "sleep", "600")
    smoke_test(tmp_path, container_smoke_test="never").succeeded()
