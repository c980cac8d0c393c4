# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the Docker daemon on this host. It needs the standard library only."""

from __future__ import annotations

import calendar
import hashlib
import http.client
import io
import json
import os
import re
import socket
import struct
import tarfile
import time
import urllib.parse
from typing import IO, Any, Iterable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError

SOCKET = "/var/run/docker.sock"
UNIX = "unix://"
SECONDS = 30.0
NO_IMAGE = "No such image"
CHECK = "Check Docker on the host (systemctl status docker, journalctl -u docker)"
START = "Install Docker, and start it (systemctl enable --now docker)"
ALLOW = "Run as root (become), or add the user to the group of the socket"
WAIT = "Find out why it is slow (time docker ps, journalctl -u docker), and run again"
CONTAINERD_STORE = "io.containerd.snapshotter.v1"  # in DriverStatus, where containerd keeps the images
CONTAINERD_ROOT = re.compile(r"""^root\s*=\s*["']([^"']+)["']""", re.M)
# What dockerd starts its own containerd with, and what configures the system's, which it else uses.
CONTAINERD_CONFIGS = ("/var/run/docker/containerd/containerd.toml", "/etc/containerd/config.toml")
LABELS = "ascend_ops.vllm."  # the prefix of this collection's labels
FRAME = struct.Struct(">BxxxL")  # before each piece of a log: stream and length
STREAMS = (0, 1, 2)
CHUNK = 1 << 20  # bytes


class DockerError(ProblemError):
    """The daemon does not answer, or refuses a request."""

    def __init__(self, found: str, remedy: str = CHECK) -> None:
        super().__init__(found, "a working Docker daemon", remedy)


class NotFound(DockerError):
    """The daemon does not have what a request names."""


class Connection(http.client.HTTPConnection):
    """HTTP over the daemon's socket, each answer within *seconds*."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("docker", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Docker:
    """The daemon at *socket_path*, each of its answers within *seconds*. All methods raise DockerError.

    Without *socket_path*, it is the daemon that the docker command uses: DOCKER_HOST, or the usual socket.
    """

    def __init__(self, socket_path: str | None = None, seconds: float = SECONDS) -> None:
        self.socket_path = socket_path or default_socket(os.environ)
        self._connection = Connection(self.socket_path, seconds)

    def info(self) -> dict[str, Any]:
        """Return what the daemon knows about itself and the host."""
        return dict(parsed(self._request("GET", "/info")))

    def engine(self) -> str:
        """Return what answers: Docker, or Podman, which has the same interface."""
        version = self._details("/version") or {}
        names = [str(part.get("Name")) for part in version.get("Components") or []]
        return "Podman" if "Podman Engine" in names else "Docker"

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers, running or not, as the daemon lists them."""
        return list(parsed(self._request("GET", "/containers/json?all=1")))

    def container(self, name: str) -> dict[str, Any] | None:
        """Return the details of a container, by name or id; None if there is none."""
        return self._details(_container(name, "json"))

    def image(self, name: str) -> dict[str, Any] | None:
        """Return the details of an image, by name or id; None if there is none."""
        return self._details(f"/images/{urllib.parse.quote(name, safe='/:@')}/json")

    def log(self, name: str, lines: int, since: str = "") -> str | None:
        """Return the last *lines* of a container's log, each with its time; None if there is no container.

        *since* is a time as the daemon writes it. Lines before it are left out.
        """
        options = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": lines}
        query = urllib.parse.urlencode({**options, "since": unix_time(since)} if since else options)
        raw = self._find(_container(name, f"logs?{query}"))
        return None if raw is None else without_frames(raw).decode("utf-8", "replace")

    def read_file(self, name: str, path: str) -> tuple[tarfile.TarInfo, bytes | None] | None:
        """Return the tar entry of a path in a container, and its content if it is a regular file.

        None if there is no such container or path.
        """
        raw = self._find(_container(name, "archive?" + urllib.parse.urlencode({"path": path})))
        if raw is None:
            return None
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            entry = archive.getmembers()[0]
            file = archive.extractfile(entry) if entry.isreg() else None
            return entry, file.read() if file else None

    def newest_files(
        self, name: str, folder: str, count: int, tail: int, whole: int
    ) -> tuple[dict[str, str], bool]:
        """Return {path: text} of the *count* newest files below a folder of a container, and whether these are all.

        Of each file, it is the last *tail* bytes. No more than *whole* bytes of the folder are read, because the daemon
        sends all of it. Without such a container or folder there is no file.
        """
        query = urllib.parse.urlencode({"path": folder})
        newest: list[tuple[float, str, bytes]] = []
        read = 0
        try:
            with self._open("GET", _container(name, f"archive?{query}")) as answer, tarfile.open(
                fileobj=answer, mode="r|"
            ) as archive:
                for entry in archive:
                    read += entry.size
                    file = archive.extractfile(entry) if entry.isreg() else None
                    if read > whole:
                        break
                    if file:
                        newest.append((entry.mtime, entry.name, _tail(file, tail)))
                        newest = sorted(newest)[-count:]
        except NotFound:
            return {}, True
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        except tarfile.TarError as error:
            raise DockerError(f"Docker sent an archive of {folder} that cannot be read: {error}") from error
        finally:
            self.close()  # what is left of the answer cannot be skipped
        return {path: raw.decode("utf-8", "replace") for _time, path, raw in newest}, read <= whole

    def write_files(self, name: str, folder: str, files: Iterable[tuple[tarfile.TarInfo, bytes]]) -> None:
        """Write *files*, with paths relative to a folder that exists in the container."""
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as archive:
            for entry, content in files:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        query = urllib.parse.urlencode({"path": folder, "noOverwriteDirNonDir": "true"})
        self._request("PUT", _container(name, f"archive?{query}"), body.getvalue())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _unreachable(self, error: Exception) -> DockerError:
        if isinstance(error, socket.timeout):
            seconds = f"{self._connection.timeout:g} s"
            return DockerError(
                f"the Docker daemon on {self.socket_path} did not answer within {seconds}", WAIT
            )
        if isinstance(error, PermissionError):
            return DockerError(f"the user may not use {self.socket_path}", ALLOW)
        return DockerError(f"no Docker daemon answers on {self.socket_path}: {_reason(error)}", START)

    def _details(self, path: str) -> dict[str, Any] | None:
        raw = self._find(path)
        return None if raw is None else dict(parsed(raw))

    def _find(self, path: str) -> bytes | None:
        """Return the answer to a GET request; None if the daemon does not have what it asks for."""
        try:
            return self._request("GET", path)
        except NotFound:
            return None

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            return self._open(method, path, body).read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def _open(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        """Return the answer to a request, to be read."""
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            if response.status < 400:
                return response
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        kind = NotFound if response.status == 404 else DockerError
        raise kind(f"Docker answered {response.status} to {method} {path}: {_message(answer)}")


def default_socket(environment: Mapping[str, str]) -> str:
    """Return the socket of the daemon that the docker command would use."""
    host = environment.get("DOCKER_HOST", "")
    if not host:
        return SOCKET
    if not host.startswith(UNIX):
        raise DockerError(f"DOCKER_HOST is {host}, which is not a {UNIX} socket of this host")
    return host[len(UNIX) :]


def _container(name: str, rest: str) -> str:
    return f"/containers/{urllib.parse.quote(name, safe='')}/{rest}"


def _tail(file: IO[bytes], size: int) -> bytes:
    """Return the last *size* bytes of a file that can only be read from its beginning."""
    end = b""
    while True:
        piece = file.read(max(size, CHUNK))
        if not piece:
            return end
        end = (end + piece)[-size:]


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def parsed(answer: bytes) -> Any:
    """Return the data of an answer."""
    try:
        return json.loads(answer)
    except ValueError as error:
        raise DockerError(f"Docker answered with text that is no JSON: {answer[:200]!r}") from error


def _message(answer: bytes) -> str:
    """Return the daemon's own message about a refused request."""
    text = answer.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


def without_frames(raw: bytes) -> bytes:
    """Return a log without the header of each piece, which it has unless the container has a terminal."""
    pieces, at = [], 0
    while at < len(raw):
        if len(raw) - at < FRAME.size or raw[at] not in STREAMS or any(raw[at + 1 : at + 4]):
            return raw
        length = FRAME.unpack_from(raw, at)[1]
        at += FRAME.size
        pieces.append(raw[at : at + length])
        at += length
    return b"".join(pieces)


def unix_time(written: str) -> str:
    """Return a time such as 2026-01-02T03:04:05.123456789Z as seconds since 1970, with all its digits."""
    whole, _point, fraction = written.rstrip("Z").partition(".")
    return f"{calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S'))}.{fraction or 0}"


def uses_containerd(info: Mapping[str, Any]) -> bool:
    """Return whether containerd keeps the images, as in Docker 29 and later by default."""
    return any(CONTAINERD_STORE in row for row in info.get("DriverStatus") or [])


def image_folder(info: Mapping[str, Any]) -> str:
    """Return the folder in which the daemon keeps its images."""
    if not uses_containerd(info):
        return str(info["DockerRootDir"])
    roots = [CONTAINERD_ROOT.search(read_text(file)) for file in CONTAINERD_CONFIGS]
    return next((root.group(1) for root in roots if root), "/var/lib/containerd")


def container_names(containers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return {id: name} of the daemon's list of containers."""
    return {item["Id"]: _name(item) for item in containers if item.get("Names")}


def running(containers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of the containers that run."""
    return [item for item in containers if item["State"] in ("running", "paused", "restarting")]


def image_layers(details: Mapping[str, Any]) -> str | None:
    """Return a SHA-256 over the layers of an image, from its details; None if they are unknown.

    It is the same wherever the image came from. Its id and its digests depend on where and how Docker stores it.
    """
    layers = (details.get("RootFS") or {}).get("Layers")
    return hashlib.sha256(json.dumps(layers).encode()).hexdigest() if layers else None


def served(containers: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {name: {image_id, labels}} of the containers, with the labels of this collection only."""
    return {
        _name(item): {"image_id": item["ImageID"], "labels": _own_labels(item.get("Labels") or {})}
        for item in containers
        if item.get("Names")
    }


def _name(item: Mapping[str, Any]) -> str:
    return str(item["Names"][0]).lstrip("/")


def _own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(LABELS)}


def image_platform(docker: str, image: str) -> commands.Output:
    """Return the platform of *image*, such as ``linux/arm64``, or Docker's message, with NO_IMAGE in it.

    Ask before ``docker run``, which would pull an image that the host does not have. The option against that,
    ``--pull=never``, exists since Docker 20.10 only.
    """
    found = commands.run([docker, "image", "inspect", "--format={{.Os}}/{{.Architecture}}", image])
    return found._replace(text=" ".join(line for line in found.text.splitlines() if line))
