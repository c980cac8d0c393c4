# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the downloader in a temporary container of the serving image, or with a Python of the host."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import time
from typing import Any, Callable, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import NO_IMAGE, image_platform
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.causes import Cause
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import downloader
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.causes import cause_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder, size
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File, Request

HOME = "/run/ascend-ops-weights"  # in the container, in memory: for the credentials of the ModelScope client
CA_BUNDLE = "/run/ascend-ops-ca-bundle.pem"  # in the container
INTERRUPTED_SECONDS = 30  # without a further byte, for Docker to come back or a former client to end
OUTAGE_SECONDS = 1800  # without a further byte, for a hub or a network to come back
PAUSE_SECONDS = 5  # between two starts, well below downloader.SILENT_SECONDS
DAMAGES = 3  # files that arrive damaged before the download fails
DOCKER_ERROR = 125
DAMAGED = re.compile(r"FileNotFoundError: .*/\._____temp/")
GLOB = re.compile(r"[][*?]")
# To be put in brackets, or clients 1.36 and 1.37 list only the folder that the pattern begins with.
FIRST = re.compile(r"^\w")
RUN_AGAIN = (
    "Run again, complete files are kept. If the same file fails each time, the hub's content differs from "
    "its listing: report it to the maintainer of the repository"
)


class Container:
    """Python of the serving image, in a container that Docker removes when it ends."""

    def __init__(self, docker: str, image: str, folders: Sequence[str], ca_bundle: str = "") -> None:
        self.place = f"image {image}"
        self.ca_bundle = CA_BUNDLE if ca_bundle else ""
        self._docker, self._image = docker, image
        self._folders, self._host_ca_bundle = folders, ca_bundle

    def home(self) -> str:
        """Return the folder for the client's credentials."""
        return HOME

    def require(self) -> None:
        """Raise ProblemError if the host does not have the image: `docker run` would pull it."""
        platform = image_platform(self._docker, self._image)
        if NO_IMAGE in platform.text:
            raise docker_run_error(self.place, platform.text.rstrip("."))

    def python(self) -> list[str]:
        """Return the command that starts Python."""
        options = ["--rm", "--interactive", "--network=host", "--entrypoint=python3"]
        options += [f"--tmpfs={HOME}:mode=0700", f"--name={container_name(self._folders[0])}"]
        options += [f"--volume={path}:{path}" for path in self._folders]
        if self.ca_bundle:
            options.append(f"--volume={self._host_ca_bundle}:{self.ca_bundle}:ro")
        return [self._docker, "run", *options, self._image]


class HostPython:
    """A Python of the host that has the package modelscope."""

    def __init__(self, python: str, private_dir: Callable[[str], str], ca_bundle: str = "") -> None:
        self.place = f"Python {python}"
        self.ca_bundle = ca_bundle
        self._python, self._private_dir = python, private_dir

    def home(self) -> str:
        """Return the folder for the client's credentials."""
        return self._private_dir("home")

    def require(self) -> None:
        """Nothing but Python is needed, and whether it can be run shows when it is."""

    def python(self) -> list[str]:
        """Return the command that starts Python."""
        return [self._python]


class Fanout(NamedTuple):
    """The hosts that share a download, and which of them this one is."""

    peers: list[str]
    address: str
    port: int
    key: str


class Fetched(NamedTuple):
    """What the downloader reports in the end."""

    replaced: list[str]  # files that were here and that other hosts found damaged: they are right now
    compared: bool  # all that arrived, with the hashes that the hub lists


class Client:
    """The downloader program, started where its runtime says and driven by two lines on its standard input."""

    def __init__(
        self,
        runtime: Container | HostPython,
        request: Request,
        folder: Folder,
        settings: dict[str, Any],
        fanout: Fanout | None = None,
    ) -> None:
        """*settings* has the endpoint, the token, the cache directory and the number of workers.

        It also says whether the ModelScope client does the work (``with_client``), and has the URL of a file, with
        placeholders for its revision and its path, and the headers to send.
        """
        self.fanout = fanout
        self._runtime, self._request, self._folder, self._settings = runtime, request, folder, settings
        # Its source text, because nothing of this collection is where it runs. Read now and not when it is
        # started, because Ansible removes the module's files while the work goes on.
        loader: Any = downloader.__loader__
        self._program = loader.get_source(downloader.__name__)
        self._job = ""
        self._process: commands.LineProcess | None = None

    def start(self) -> commands.LineProcess:
        """Return the downloader, started once. In a fan-out it serves other hosts from then on."""
        if self._process:
            return self._process
        self._runtime.require()
        for path in (self._folder.path, self._settings["cache_dir"]):
            os.makedirs(path, exist_ok=True)
        self._job = json.dumps(self._downloader_job())
        self._process = self._started()
        return self._process

    def fetch(self, files: list[File], missing: list[File], revision: str) -> Fetched:
        """Fetch *missing*, of *files*, from the hub's *revision*.

        It is empty if this host does not reach the hub. In a fan-out the others send what it lacks.

        A downloader that was interrupted is started again, as long as further bytes arrive. So is one that
        could not reach the hub, for half an hour, and one that received a damaged file, some times.
        """
        damages = 0
        process = self.start()
        present, last = self._folder.bytes_present(missing), time.monotonic()
        while True:
            outcome = self._run(process, files, missing, revision)
            now_present = self._folder.bytes_present(missing)
            if now_present > present:
                present, last = now_present, time.monotonic()
            damages += is_damaged(outcome)
            silent = time.monotonic() - last
            interrupted = was_interrupted(outcome) and silent <= INTERRUPTED_SECONDS
            lost = is_lost(outcome) and silent <= OUTAGE_SECONDS
            if not (interrupted or lost or (is_damaged(outcome) and damages < DAMAGES)):
                break
            time.sleep(PAUSE_SECONDS if lost else 1)
            process = self._started()
            # A file gets its own name only once it is verified.
            missing = [file for file in files if size(self._folder.join(file.path)) != file.size]
        return fetched(outcome, self._folder.path, self._runtime.place)

    def _downloader_job(self) -> dict[str, Any]:
        """Return what the downloader has to know before the files to fetch are determined."""
        peers = self.fanout.peers if self.fanout else []
        # The hosts of a fan-out share the bandwidth of the hub. With fewer files at a time, each is complete
        # sooner, and passed on.
        workers = max(1, self._settings["workers"] // max(1, len(peers)))
        return {
            **self._settings,
            "repo": self._request.repo,
            "dir": self._folder.path,
            "workers": workers,
            "home": self._runtime.home(),
            "ca_bundle": self._runtime.ca_bundle,
            "proxies": {
                key: value for key, value in os.environ.items() if key.lower() in procfs.PROXY_VARIABLES
            },
            "share": self.fanout
            and {
                "addresses": peers,
                "index": peers.index(self.fanout.address),
                "port": self.fanout.port,
                "key": self.fanout.key,
            },
        }

    def _started(self) -> commands.LineProcess:
        process = commands.LineProcess([*self._runtime.python(), "-c", self._program])
        process.send(self._job)
        return process

    @staticmethod
    def _run(
        process: commands.LineProcess, files: list[File], missing: list[File], revision: str
    ) -> commands.Streams:
        """Give the downloader its files, and return its outcome."""
        work = {
            "files": [file._asdict() for file in files],
            "missing": [file.path for file in missing],
            "patterns": {file.path: pattern(file) for file in files},
            "revision": revision,
        }
        process.send(json.dumps(work))
        outcome = process.wait()
        process.end()
        return outcome


def container_name(folder: str) -> str:
    """Return the name of the container for *folder*, so that Docker refuses a second one."""
    return "ascend-ops-weights-" + hashlib.sha256(posixpath.normpath(folder).encode()).hexdigest()[:12]


def pattern(file: File) -> str:
    """Return the glob pattern that matches the path of *file* and nothing else."""
    return FIRST.sub(r"[\g<0>]", GLOB.sub(r"[\g<0>]", file.path))


def was_interrupted(outcome: commands.Streams) -> bool:
    """Whether the downloader was ended from outside, by a signal or with Docker, or could not start yet.

    It cannot start while Docker is down, or while the container of an ended run still exists.
    """
    rejected = "Error response from daemon" in outcome.err and not _name_is_in_use(outcome.rc, outcome.err)
    return not outcome.out and (outcome.rc >= DOCKER_ERROR or outcome.rc < 0) and not rejected


def is_damaged(outcome: commands.Streams) -> bool:
    """Whether the client failed because a file arrived damaged.

    Clients before 1.38 remove such a file, and then do not find it.
    """
    return bool(DAMAGED.search(outcome.out))


def is_lost(outcome: commands.Streams) -> bool:
    """Whether the client failed for a cause that may end by itself, as when the hub cannot be reached."""
    cause = _cause(outcome)
    return cause is not None and cause.passes and not is_damaged(outcome)


def _cause(outcome: commands.Streams) -> Cause | None:
    """Return the cause of a failure that the client itself reported. Messages of a fan-out are no client's."""
    return None if outcome.out.startswith(("{", '"RuntimeError: ')) else cause_of(outcome.out)


def _name_is_in_use(returncode: int, text: str) -> bool:
    return returncode == DOCKER_ERROR and "is already in use" in text


def fetched(outcome: commands.Streams, folder: str, place: str) -> Fetched:
    """Return what the downloader, at *place*, reports. Raise ProblemError unless it succeeded."""
    try:
        reported = json.loads(outcome.out)
        if isinstance(reported, dict):  # also if Docker went away before it reported the end of the container
            return Fetched(**reported)
        failure = str(reported).rstrip(".")
    except ValueError:
        last_lines = "\n".join(outcome.err.splitlines()[-15:])
        failure = f"exit code {outcome.rc}: {last_lines or 'no output'}"
    if _name_is_in_use(outcome.rc, failure):
        raise ProblemError(
            f"the container of another download into {folder} exists",
            "one download at a time",
            f"Wait until it ends, or remove it: `docker rm -f {container_name(folder)}`",
        )
    if outcome.rc == DOCKER_ERROR:
        raise docker_run_error(place, failure)
    if re.match("(ModuleNotFound|Import)Error", failure):
        raise ProblemError(
            f"the {place} has no ModelScope client: {failure}",
            "the Python package modelscope in it",
            "Choose another one: O(image) or O(python)",
        )
    cause = _cause(outcome)
    if cause:
        raise ProblemError(f"{cause.found}: {failure}", cause.expected, cause.remedy)
    raise ProblemError(f"the download failed: {failure}", "all files fetched", RUN_AGAIN)


def docker_run_error(place: str, message: str) -> ProblemError:
    """Return the error of a container that Docker does not start."""
    return ProblemError(
        f"Docker does not run the {place}: {message}",
        "an image that is on the host, and a running Docker daemon",
        "Pull the image first, with the stage image",
    )
