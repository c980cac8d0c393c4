# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker
from docker_daemon import Daemon, docker_daemon
from hypothesis import given
from hypothesis import strategies as st

ID = "3f" * 32
SECOND = "2026-01-02T03:04:05.123456789Z"


def archive(**files: bytes | None) -> bytes:
    """Return an archive with files, and folders for None."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.mode, entry.size = 0o640, len(content or b"")
            tar.addfile(entry, io.BytesIO(content or b""))
    return raw.getvalue()


def frame(stream: int, text: bytes) -> bytes:
    return docker.FRAME.pack(stream, len(text)) + text


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    log = "/containers/vllm/logs?stdout=1&stderr=1&timestamps=1&tail="
    answers: dict[str, Any] = {
        "/info": {"ServerVersion": "26.1.3"},
        "/containers/json?all=1": [{"Id": ID}],
        "/containers/vllm/json": {"Id": ID, "State": {"Running": True}},
        "/images/registry:5000/a/b@sha256:12/json": {"Id": "sha256:1"},
        f"{log}2": frame(1, b"1 out\n") + frame(2, b"2 err\n"),
        f"{log}9&since=1767323045.123456789": frame(1, b"late\n"),
        "/containers/vllm/archive?path=%2Fetc%2Fa+b": archive(b=b"text"),
        "/containers/vllm/archive?path=%2Fetc": archive(etc=None),
        "/containers/vllm/archive?path=%2Fsrv&noOverwriteDirNonDir=true": b"",
    }
    with docker_daemon(tmp_path, answers) as running:
        yield running


@pytest.fixture
def client(daemon: Daemon) -> docker.Docker:
    return docker.Docker(daemon.socket, 5)


def test_daemon_containers_and_images(client):
    assert client.info() == {"ServerVersion": "26.1.3"}
    assert client.containers() == [{"Id": ID}]
    assert client.container("vllm") == {"Id": ID, "State": {"Running": True}}
    assert client.image("registry:5000/a/b@sha256:12") == {"Id": "sha256:1"}


def test_what_the_daemon_does_not_have(client):
    assert client.container("no/such") is None
    assert client.image("none") is None
    assert client.log("none", 1) is None
    assert client.read_file("vllm", "/none") is None


@pytest.mark.parametrize(
    ("version", "engine"),
    [
        (None, "Docker"),
        ({}, "Docker"),
        ({"Components": None}, "Docker"),
        ({"Components": [{"Name": "Engine"}, {}]}, "Docker"),
        ({"Components": [{"Name": "Podman Engine"}]}, "Podman"),
    ],
)
def test_what_answers(client, daemon, version, engine):
    if version is not None:
        daemon.answers["/version"] = version
    assert client.engine() == engine


def test_the_newest_files_of_a_folder(client, daemon):
    """Of each the end, and of the folder no more than a limit."""
    texts = {"old": b"a", "new": b"bcd", "newer": b"0" * 70_000 + b"end"}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for at, (name, content) in enumerate(texts.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), at
            tar.addfile(entry, io.BytesIO(content))
    daemon.answers["/containers/vllm/archive?path=%2Flog"] = raw.getvalue()
    whole = sum(map(len, texts.values()))
    assert client.newest_files("vllm", "/log", 2, 3, whole) == ({"new": "bcd", "newer": "end"}, True)
    assert client.newest_files("vllm", "/log", 9, 2, whole - 1) == ({"old": "a", "new": "cd"}, False)
    assert client.newest_files("none", "/log", 2, 3, whole) == ({}, True)
    daemon.answers["/containers/vllm/archive?path=%2Flog"] = b"no archive"
    with pytest.raises(docker.DockerError, match="/log"):
        client.newest_files("vllm", "/log", 2, 3, whole)


def test_links_and_folders_are_no_newest_files(client, daemon):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for at, (name, kind) in enumerate(
            [("log", tarfile.DIRTYPE), ("log/one", tarfile.REGTYPE), ("log/latest", tarfile.SYMTYPE)]
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mtime, entry.linkname = kind, at, "one"
            tar.addfile(entry)
    daemon.answers["/containers/vllm/archive?path=%2Flog"] = raw.getvalue()
    assert client.newest_files("vllm", "/log", 9, 9, 9) == ({"log/one": ""}, True)


def test_what_is_sent_is_called_an_archive_and_nothing_else_is(client, daemon):
    client.write_files("vllm", "/srv", [(tarfile.TarInfo("a"), b"")])
    client.info()
    assert [kind for _method, kind in daemon.kinds] == ["application/x-tar", None]


def test_a_log(client):
    assert client.log("vllm", 2) == "1 out\n2 err\n"
    assert client.log("vllm", 9, SECOND) == "late\n"


def test_files_are_read(client):
    entry, content = client.read_file("vllm", "/etc/a b")
    assert (entry.mode, content) == (0o640, b"text")
    entry, content = client.read_file("vllm", "/etc")
    assert (entry.isdir(), content) == (True, None)


def test_files_are_written(client, daemon):
    entry = tarfile.TarInfo("sub/file.py")
    entry.mode = 0o755
    client.write_files("vllm", "/srv", [(entry, b"print()\n")])
    method, _path, body = daemon.requests[-1]
    assert method == "PUT"
    with tarfile.open(fileobj=io.BytesIO(body)) as written:
        member = written.getmember("sub/file.py")
        assert (member.mode, written.extractfile(member).read()) == (0o755, b"print()\n")


def test_a_refusal_has_the_message_of_the_daemon(client, daemon):
    daemon.answers["/info"] = {"message": "out of order"}
    daemon.status = 500
    with pytest.raises(docker.DockerError) as caught:
        client.info()
    assert "out of order" in caught.value.problem.found
    assert "500" in caught.value.problem.found


def test_an_answer_that_is_no_json(client, daemon):
    daemon.answers["/info"] = b"<html>"
    with pytest.raises(docker.DockerError, match="html"):
        client.info()


def test_no_daemon(tmp_path):
    path = str(tmp_path / "docker.sock")
    with pytest.raises(docker.DockerError, match=f"{path}: No such file"):
        docker.Docker(path).info()


def test_a_daemon_that_does_not_answer_in_time(tmp_path):
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(docker.DockerError, match=path):
            docker.Docker(path, 0.2).info()


def test_the_client_works_again_after_an_error(client, daemon):
    daemon.status = 500
    with pytest.raises(docker.DockerError):
        client.info()
    daemon.status = 200
    assert client.info() == {"ServerVersion": "26.1.3"}


def test_the_socket_is_that_of_the_docker_command():
    assert docker.default_socket({}) == "/var/run/docker.sock"
    assert (
        docker.default_socket({"DOCKER_HOST": "unix:///run/user/0/docker.sock"}) == "/run/user/0/docker.sock"
    )
    with pytest.raises(docker.DockerError, match="tcp://other:2375"):
        docker.default_socket({"DOCKER_HOST": "tcp://other:2375"})


@pytest.mark.parametrize("log", [b"", b"2026 plain text of a container with a terminal\n", b"\x01\0\0"])
def test_a_log_without_frames_stays_as_it_is(log):
    assert docker.without_frames(log) == log


@given(st.lists(st.tuples(st.sampled_from(docker.STREAMS), st.binary())))
def test_frames_are_removed(pieces):
    log = b"".join(frame(stream, text) for stream, text in pieces)
    assert docker.without_frames(log) == b"".join(text for _stream, text in pieces)


@pytest.mark.parametrize(
    ("state", "runs"),
    [("created", False), ("running", True), ("restarting", True), ("paused", True), ("exited", False)],
)
def test_which_containers_run(state: str, runs: bool):
    containers = [{"Id": ID, "State": state}]
    assert docker.running(containers) == (containers if runs else [])


def test_containers_have_names_and_images():
    labels = {"ascend_ops.vllm.patches": "a", "other": "b"}
    containers = [
        {"Id": ID, "Names": ["/vllm"], "ImageID": "sha256:1", "Labels": labels},
        {"Id": "ff", "Names": []},
    ]
    assert docker.container_names(containers) == {ID: "vllm"}
    assert docker.served(containers) == {
        "vllm": {"image_id": "sha256:1", "labels": {"ascend_ops.vllm.patches": "a"}}
    }


def test_a_container_without_a_name_is_left_out():
    containers = [{"Id": ID, "Names": ["/vllm"], "ImageID": "sha256:1"}, {"Id": "ff"}]
    assert docker.container_names(containers) == {ID: "vllm"}
    assert docker.served(containers) == {"vllm": {"image_id": "sha256:1", "labels": {}}}


CONTAINERD = {"DriverStatus": [["driver-type", docker.CONTAINERD_STORE]], "DockerRootDir": "/var/lib/docker"}


@pytest.mark.parametrize(
    ("info", "by_containerd"),
    [
        (CONTAINERD, True),
        ({"DriverStatus": [["Backing Filesystem", "xfs"]]}, False),
        ({"DriverStatus": None}, False),
        ({}, False),
    ],
)
def test_what_keeps_the_images(info: dict[str, Any], by_containerd: bool):
    assert docker.uses_containerd(info) is by_containerd


def test_the_folder_of_the_images_is_the_daemons_or_containerds(tmp_path, monkeypatch):
    own, systems = tmp_path / "own.toml", tmp_path / "system.toml"
    monkeypatch.setattr(docker, "CONTAINERD_CONFIGS", (str(own), str(systems)))
    assert docker.image_folder({"DockerRootDir": "/data/docker"}) == "/data/docker"
    assert docker.image_folder(CONTAINERD) == "/var/lib/containerd"
    systems.write_text("version = 2\nroot = '/data/containerd'\n", encoding="utf-8")
    assert docker.image_folder(CONTAINERD) == "/data/containerd"
    own.write_text('root = "/own"\n', encoding="utf-8")
    assert docker.image_folder(CONTAINERD) == "/own"


def test_layers_tell_images_apart():
    one, other = ({"RootFS": {"Layers": [layer]}} for layer in ("sha256:1", "sha256:2"))
    assert docker.image_layers(one) == docker.image_layers({**one, "Id": "x"}) != docker.image_layers(other)
    for unknown in ({}, {"RootFS": None}, {"RootFS": {"Layers": []}}):
        assert docker.image_layers(unknown) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2026-01-02T03:04:05.123456789Z", "1767323045.123456789"), ("2026-01-02T03:04:05Z", "1767323045.0")],
)
def test_a_time_keeps_all_its_digits(written: str, seconds: str):
    assert docker.unix_time(written) == seconds


@pytest.mark.parametrize("answer", [b"plain", b'["list"]', b'{"other": 1}', b'"text"'])
def test_a_refusal_of_another_form_is_quoted(client, daemon, answer):
    daemon.answers["/info"], daemon.status = answer, 400
    with pytest.raises(docker.DockerError) as caught:
        client.info()
    assert answer.decode() in caught.value.problem.found


def test_a_user_who_may_not_use_the_socket_learns_how(client):
    problem = client._unreachable(PermissionError(13, "Permission denied")).problem
    assert problem.remedy == docker.ALLOW
    assert client.socket_path in problem.found
    assert client._unreachable(FileNotFoundError(2, "No such file")).problem.remedy == docker.START


def test_the_platform_of_an_image_is_one_line(tmp_path):
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho; echo linux/arm64; echo; exit 3\n", encoding="utf-8")
    command.chmod(0o755)
    assert docker.image_platform(str(command), "image:tag") == (3, "linux/arm64")
