# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import network


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
    (problem,) = network.address_problems({"node2": "10.0.0.12", "node0": address})
    assert problem.where == "host node0"
    assert found in problem.found


def test_a_host_without_an_address_is_told_apart_from_one_with_a_name():
    (problem,) = network.address_problems({"node0": "node0"})
    assert problem.found.startswith("neither vllm_service_ip nor ansible_host is set")


def test_one_host_may_serve_on_loopback():
    assert network.address_problems({"node0": "127.0.0.1"}) == []


@pytest.mark.parametrize("name", [None, "enp67s0f0", "bond0.1044"])
def test_a_nic_may_have_the_names_that_linux_gives(name):
    assert network.nic_problems(name) == []


@pytest.mark.parametrize("name", ["enp67s0f0 eth1", ["eth0"], "/dev/net/tun", "sixteen-letters-"])
def test_what_is_not_one_nic_is_refused(name):
    (problem,) = network.nic_problems(name)
    assert problem.found == f"vllm_service_nic is {name!r}"
