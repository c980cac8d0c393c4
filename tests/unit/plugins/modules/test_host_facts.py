# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on the machine that the tests run on."""

from __future__ import annotations

import os
import socket
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker
from ansible_collections.ascend_ops.vllm.plugins.modules import host_facts
from docker_daemon import docker_daemon
from polling import wait_until

ID = "3f" * 32


def gather(docker_socket: str = "/nowhere/docker.sock", **arguments: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{docker_socket}")
        defaults = {"service_ip": None, "paths": [], "ports": [], "disks": [], "image": None}
        return host_facts.facts({**defaults, **arguments})


def test_the_host_itself():
    began = time.time()
    facts = gather(service_ip="127.0.0.1")
    assert began <= facts["epoch"] <= time.time()
    assert facts["hostname"] == socket.gethostname()
    assert facts["service_nic"] == "lo"
    assert {"127.0.0.1"} <= set(next(nic for nic in facts["interfaces"] if nic["name"] == "lo")["addresses"])
    assert facts["memory_total_mb"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert facts["python_requests"] is True
    assert 1024 <= facts["ephemeral_ports"]["first"] < facts["ephemeral_ports"]["last"] < 2**16
    assert facts["python_version"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert (facts["kernel"], facts["containers"]) == (os.uname().release, None)
    assert facts["os"]


def test_an_address_of_no_nic():
    assert gather(service_ip="198.51.100.1")["service_nic"] is None


def test_the_order_in_which_docker_starts(tmp_path, monkeypatch):
    """Of a real file system that is not the root's, as systemd would report it."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        """#!/bin/sh
while [ "$1" != -- ]; do
  case $1 in show|--property=*) shift ;; *) echo "systemctl: invalid option -- '$1'" >&2; exit 1 ;; esac
done
for unit in "$@"; do
  case $unit in *.service|*.mount)
    printf 'Id=%s\\nLoadState=loaded\\nFragmentPath=/x\\nAfter=basic.target\\nBefore=\\n\\n' "$unit" ;;
  esac
done
""",
        encoding="ascii",
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    order = ["host_sys_init.service", "-.mount", "proc.mount"]
    facts = gather(paths=["/", "/proc/self", "/dev/null", "/nowhere"])
    assert facts["docker_order"] == {"needed": order, "missing": order}


def test_paths(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    paths = {
        "/dev/null": "char",
        str(tmp_path): "dir",
        f"{tmp_path}/": "dir",
        f"{tmp_path}/file": "file",
        f"{tmp_path}/link": "char",
        f"{tmp_path}/no": None,
    }
    assert gather(paths=list(paths))["paths"] == paths


def test_a_disk_is_measured_before_the_folder_is_there(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "shard").write_bytes(os.urandom(2**20))
    disks = gather(disks=[f"{tmp_path}/weights", f"{tmp_path}/not/yet"])["disks"]
    there, later = disks[f"{tmp_path}/weights"], disks[f"{tmp_path}/not/yet"]
    assert os.path.ismount(there["mount"])
    assert str(tmp_path).startswith(there["mount"])
    assert 2**20 <= there["used_bytes"] < 2**20 + 2**16
    assert (later["mount"], later["total_bytes"], later["used_bytes"]) == (
        there["mount"],
        there["total_bytes"],
        0,
    )
    assert 0 < later["free_bytes"] < later["total_bytes"]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_is_taken(family, address):
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        state = gather(ports=[port])["ports"][str(port)]
    assert (state["listening"], state["pid"]) == (True, os.getpid())
    assert state["process"] == Path("/proc/self/comm").read_text(encoding="ascii").strip()
    free = {"listening": False, "pid": None, "process": None, "container": None}
    wait_until(lambda: gather(ports=[port])["ports"][str(port)] == free, 60, "the port is free")


@pytest.fixture
def daemon(tmp_path):
    answers = {
        "/containers/json?all=1": [
            {"Id": ID, "Names": ["/vllm"], "ImageID": "sha256:1", "State": "running"},
            {
                "Id": "f" * 64,
                "Names": ["/ended"],
                "ImageID": "sha256:1",
                "State": "exited",
                "Labels": {"ascend_ops.vllm.smoke-test": "7", "a": "b"},
            },
        ],
        "/info": {"ServerVersion": "26.1.3", "DockerRootDir": "/"},
        "/images/registry:5000/a/b:v1/json": {"Id": "sha256:1", "RootFS": {"Layers": ["sha256:2"]}},
    }
    with docker_daemon(tmp_path, answers) as running:
        yield running


@pytest.mark.parametrize(
    ("image", "image_id"),
    [(None, None), ("registry:5000/a/b:v1", "sha256:1"), ("registry:5000/a/b:v2", None)],
)
def test_a_docker_daemon(daemon, image, image_id):
    facts = gather(docker_socket=daemon.socket, image=image)
    assert facts["docker_error"] is None
    assert facts["containers"] == {ID: "vllm"}
    assert {key: value for key, value in facts["docker"].items() if key != "disk"} == {
        "engine": "Docker",
        "version": "26.1.3",
        "containerd": False,
        "seccomp": False,
        "init": True,
        "container_names": ["ended", "vllm"],
        "served": {"vllm": {"image_id": "sha256:1", "labels": {}}},
        "stopped": {"ended": {"image_id": "sha256:1", "labels": {"ascend_ops.vllm.smoke-test": "7"}}},
        "image_id": image_id,
        "image_layers": image_id and sha256(b'["sha256:2"]').hexdigest(),
    }
    assert facts["docker"]["disk"]["mount"] == "/"
    assert 0 < facts["docker"]["disk"]["free_bytes"] < facts["docker"]["disk"]["total_bytes"]


def test_a_docker_daemon_that_fails(daemon):
    daemon.status = 500
    facts = gather(docker_socket=daemon.socket)
    assert (facts["containers"], facts["docker"]) == (None, None)
    assert "500" in facts["docker_error"]


def test_a_docker_daemon_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(host_facts, "DOCKER_SECONDS", 0.2)
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        facts = gather(docker_socket=path)
    assert facts["containers"] is None
    assert "0.2 s" in facts["docker_error"]
    assert facts["docker_remedy"] == docker.WAIT


def test_images_in_containerd(daemon, tmp_path, monkeypatch):
    status = [["driver-type", "io.containerd.snapshotter.v1"]]
    daemon.answers["/info"] = {"ServerVersion": "29.0.1", "DockerRootDir": "/nowhere", "DriverStatus": status}
    config = tmp_path / "config.toml"
    config.write_text(f'version = 3\nroot = "{tmp_path}"\n', encoding="ascii")
    monkeypatch.setattr(docker, "CONTAINERD_CONFIGS", ("/nowhere", str(config)))
    assert docker.image_folder(daemon.answers["/info"]) == str(tmp_path)
    facts = gather(docker_socket=daemon.socket)["docker"]
    assert facts["containerd"] is True
    assert str(tmp_path).startswith(facts["disk"]["mount"])


def test_a_docker_without_init(daemon, monkeypatch):
    monkeypatch.setattr(host_facts, "INIT_FOLDERS", ())
    daemon.answers["/info"].update(InitCommit={"ID": "N/A"}, SecurityOptions=["name=seccomp,profile=default"])
    facts = gather(docker_socket=daemon.socket)["docker"]
    assert (facts["init"], facts["seccomp"]) == (False, True)


def test_a_bond_below_a_vlan(tmp_path, monkeypatch):
    monkeypatch.setattr(host_facts, "NET", str(tmp_path))
    for file, text in {
        "bond0.7/mtu": "9000", "bond0.7/lower_bond0": "", "bond0/bonding/slaves": "eth0 eth1", "eth0/operstate": "up", "eth1/operstate": "down",
    }.items():  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"{text}\n", encoding="ascii")
    state = {"mtu": 9000, "bond": "bond0", "slaves": ["eth0", "eth1"], "slaves_down": ["eth1"]}
    assert host_facts.nic_facts("bond0.7") == state


def test_podman(daemon):
    daemon.answers["/version"] = {"Components": [{"Name": "Podman Engine"}]}
    assert gather(docker_socket=daemon.socket)["docker"]["engine"] == "Podman"


def test_weights_behind_links_and_reserved_space(tmp_path):
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "cache" / "blobs" / "a").write_bytes(os.urandom(2**20))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "shard").symlink_to(tmp_path / "cache" / "blobs" / "a")
    (tmp_path / "model" / "again").symlink_to(tmp_path / "cache" / "blobs")
    (tmp_path / "model" / "circle").symlink_to(tmp_path / "model")
    with (tmp_path / "model" / "download").open("wb") as file:
        file.truncate(2**30)
    assert 2**20 <= host_facts.used_bytes(str(tmp_path / "model")) < 2**20 + 2**16
