# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights on the disk of this host: looked at, read and hashed, copied, removed, and vouched for by a manifest."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from typing import TYPE_CHECKING, Iterable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import progress
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import weights

if TYPE_CHECKING:
    from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Job

BLOCK = 4 << 20
SIDE_BY_SIDE = 8  # files copied
PARTIAL = ("{}.incomplete", "._____temp/{}")  # where newer and older clients keep what is not yet a file


class Folder:
    """A model directory, and what is known of the files in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.manifest = weights.read_manifest(self.read(weights.MANIFEST))
        self.hashed = dict(self.manifest.hashed) if self.manifest else {}
        self.verified = 0  # files read so far
        self.read_bytes = 0
        self.judged: dict[str, weights.Stat] = {}  # what the last survey went by

    def read(self, name: str) -> str:
        """Return the text of a file, empty if it cannot be read."""
        try:
            with open(os.path.join(self.path, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def stats(self, files: Iterable[weights.File]) -> dict[str, weights.Stat]:
        """Return the stats of those of *files* that are there. Refuses one that a link leads astray."""
        found, inside = {}, os.path.realpath(self.path)
        for file in files:
            path = os.path.join(self.path, file.path)
            real = os.path.realpath(path)
            if real != os.path.join(inside, file.path):
                raise weights.WeightsError(
                    f"{path} is, or lies behind, a link to {real}",
                    f"plain files and folders below {self.path}",
                    "Put the file itself in the place of the link, or remove the link",
                )
            if os.path.isfile(path):
                status = os.stat(path)
                found[file.path] = weights.Stat(status.st_size, status.st_mtime_ns)
        return found

    def survey(self, files: list[weights.File], job: Job | None = None) -> weights.Survey:
        """Return what is known of *files*, after reading those of which nothing is known, if it is part of a *job*."""
        self.judged = stats = self.stats(files)
        found = weights.survey(files, stats, self.hashed)
        if not job or not found.unread:
            return found
        unread = sorted(
            found.unread, key=lambda file: -file.size
        )  # the longest first, so that no processor is left with one at the end
        self.read_bytes, all_bytes = 0, weights.total(unread)
        job.report(lambda: {"stage": "verified", "done": self.read_bytes, "all": all_bytes})
        jobs = [functools.partial(self.sha256, os.path.join(self.path, file.path)) for file in unread]
        for file, digest in zip(unread, commands.side_by_side(jobs, len(os.sched_getaffinity(0)))):
            self.hashed[file.path] = weights.Hashed(stats[file.path], digest)
        self.verified += len(jobs)
        return weights.survey(files, stats, self.hashed)

    def sha256(self, path: str) -> str:
        """Return the hash of a file, and count the bytes while they are read."""
        digest = hashlib.sha256()
        view = memoryview(bytearray(BLOCK))
        with open(path, "rb", buffering=0) as file:
            while True:
                count = file.readinto(view)
                if not count:
                    return digest.hexdigest()
                digest.update(view[:count])
                self.read_bytes += count

    def believe(self, files: list[weights.File]) -> None:
        """Take the hash of *files*, which the client has compared."""
        stats = self.stats(files)
        self.hashed.update(
            (file.path, weights.Hashed(stats[file.path], file.sha256)) for file in files if file.path in stats
        )

    def remove(self, files: list[weights.File]) -> None:
        """Remove *files*, but for one that came while we judged: another run may have fetched it."""
        for path, stat in self.stats(files).items():
            if stat == self.judged.get(path):
                os.remove(os.path.join(self.path, path))

    def here(self, files: Iterable[weights.File]) -> int:
        """Return how many bytes of *files* are on the disk, those of files that are not complete counted."""
        return sum(
            max(size(os.path.join(self.path, form.format(file.path))) for form in ("{}", *PARTIAL))
            for file in files
        )

    def write_manifest(self, source: dict[str, str], snapshot: weights.Snapshot) -> None:
        """Write the manifest in one step: a run that dies leaves the old one or none."""
        verified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = weights.manifest(source, snapshot.commit, snapshot.files, self.stats(snapshot.files), verified)
        target = os.path.join(self.path, weights.MANIFEST)
        with open(target + ".new", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(target + ".new", 0o644)
        os.replace(target + ".new", target)


def size(path: str) -> int:
    """Return the size of a file, 0 if it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def judge_place(folder: str, needed: int = 0) -> None:
    """Refuse a folder that cannot be written, or a disk on which so much does not fit."""
    parent = os.path.abspath(folder)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise weights.WeightsError(
            f"{parent} is no folder that can be written to",
            f"one to have {folder} in",
            "Give paths on a file system that is writable: vllm_model_dir, vllm_model_cache_dir",
        )
    space = os.statvfs(parent)
    free = space.f_bavail * space.f_frsize
    if needed > free:
        raise weights.WeightsError(
            f"the disk of {folder} has {progress.readable(free)} free",
            f"{progress.readable(needed)} for the files still to fetch",
            "Make room, or choose a folder on another disk: vllm_model_dir",
        )


def copy(brought: str, folder: Folder, files: list[weights.File]) -> None:
    """Copy *files* from *brought*, a folder that was brought to the host, each under its name once its hash is right."""

    def copy_one(file: weights.File) -> None:
        path = os.path.join(folder.path, file.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        digest = hashlib.sha256()
        with open(os.path.join(brought, file.path), "rb", buffering=0) as source, open(
            path + ".incomplete", "wb", buffering=0
        ) as target:
            for block in iter(functools.partial(source.read, BLOCK), b""):
                digest.update(block)
                target.write(block)
        if digest.hexdigest() == file.sha256:
            os.replace(path + ".incomplete", path)
        else:
            os.remove(path + ".incomplete")

    commands.side_by_side([functools.partial(copy_one, file) for file in files], SIDE_BY_SIDE)
    missing = [file.path for file in files if not os.path.exists(os.path.join(folder.path, file.path))]
    if missing:
        raise weights.WeightsError(
            f"wrong SHA-256 in {brought}: {weights.listed(missing)}",
            "the files of its manifest",
            "Bring these files again; what is right is kept",
        )
