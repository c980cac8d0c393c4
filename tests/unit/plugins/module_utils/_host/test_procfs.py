# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs
from hypothesis import given
from hypothesis import strategies as st

ID = "3f" * 32
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0A00000A:1F92 0B00000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
"""
NICS = [
    {"name": "lo", "addresses": ["127.0.0.1", "::1"]},
    {"name": "enp1", "addresses": ["10.0.0.10", "fd00::a"]},
]


def test_only_sockets_that_listen_count():
    assert procfs.listeners(TCP) == {8080: {"4711", "4712"}}
    assert procfs.listeners(TCP6) == {22: {"99"}}


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope\n",
        f"12:pids:/docker/{ID}\n11:cpu:/docker/{ID}\n",
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n",
        f"0::/docker/{ID}/init\n",
    ],
)
def test_the_container_of_a_process(cgroup: str):
    assert procfs.container_id(cgroup) == ID


@pytest.mark.parametrize(
    "cgroup", ["", "0::/init.scope\n", "0::/system.slice/docker.service\n", f"0::/user.slice/{ID}0\n"]
)
def test_a_process_of_the_host_is_in_none(cgroup: str):
    assert procfs.container_id(cgroup) is None


@pytest.mark.parametrize(
    ("address", "nic"), [("10.0.0.10", "enp1"), ("fd00:0::a", "enp1"), ("10.0.0.1", None), (None, None)]
)
def test_the_nic_of_an_address(address: str | None, nic: str | None):
    assert procfs.nic_of(address, NICS) == nic


def test_proxies_show_no_credentials():
    environment = {
        "HTTPS_PROXY": "http://user:secret@proxy:3128",
        "http_proxy": "",
        "no_proxy": "localhost",
        "PATH": "/bin",
    }
    assert procfs.proxies(environment) == {"HTTPS_PROXY": "http://***@proxy:3128", "no_proxy": "localhost"}


@pytest.mark.parametrize(
    ("bounds", "reserved", "expected"),
    [
        ("32768\t60999\n", "8080,9000-9010\n", {"first": 32768, "last": 60999, "reserved": "8080,9000-9010"}),
        ("32768 60999", "\n", {"first": 32768, "last": 60999, "reserved": ""}),
        ("", "8080", None),
        ("1 2 3", "", None),
    ],
)
def test_ports_for_outgoing_connections(bounds: str, reserved: str, expected: dict | None):
    assert procfs.ephemeral_ports(bounds, reserved) == expected


@pytest.mark.parametrize(
    ("port", "ranges", "inside"),
    [
        (8080, "8080", True),
        (8081, "8080", False),
        (8079, "8080", False),
        (9000, "8080,9000-9010", True),
        (9010, "8080,9000-9010", True),
        (9011, "8080,9000-9010", False),
        (8999, "8080,9000-9010", False),
        (8080, "", False),
    ],
)
def test_a_port_in_ranges(port: int, ranges: str, inside: bool):
    assert procfs.in_ranges(port, ranges) is inside


def test_a_file_that_cannot_be_read_is_empty(tmp_path):
    (tmp_path / "file").write_bytes(b"a\xff\n")
    assert procfs.read_text(str(tmp_path / "file")) == "a\ufffd\n"
    assert procfs.read_text(str(tmp_path / "none")) == ""


def test_memory_and_system():
    assert procfs.memory_total_mb("MemTotal:       2113410304 kB\nMemFree: 1 kB\n") == 2063877
    assert procfs.memory_total_mb("") is None
    assert (
        procfs.os_name('NAME="openEuler"\nPRETTY_NAME="openEuler 22.03 (LTS-SP4)"\n')
        == "openEuler 22.03 (LTS-SP4)"
    )
    assert procfs.os_name("") is None


@given(st.text())
def test_any_text_is_read_without_an_error(anything: str):
    for parse in (procfs.listeners, procfs.container_id, procfs.memory_total_mb, procfs.os_name):
        parse(anything)
