# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model directory on this host: compare, hash, copy and remove its files, and write its manifest."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import time
from typing import Iterable, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Report
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.progress import readable
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import (
    Comparison,
    Hashed,
    Stat,
    compare,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    File,
    Request,
    Snapshot,
    total,
)

BLOCK = 4 << 20
KEPT_BYTES = 64 << 20  # configurations and tokenizers, no weights
COPIERS = 8  # files copied at a time
PARTIAL = ("{}.incomplete", "._____temp/{}")  # where newer and older clients keep incomplete files


class Folder:
    """A model directory, and the hashes that were read of its files.

    Files may be relative links to others below *links*, a folder that is mounted as a whole. The cache of
    Hugging Face is made of such links. If the directory is read-only, its manifest is in the folder *notes*.
    """

    def __init__(self, path: str, links: str = "", notes: str = "") -> None:
        self.path = path
        self._links = os.path.realpath(links) if links else ""
        self.manifest_path = self.join(MANIFEST)
        if notes and os.path.isdir(path) and not os.access(path, os.W_OK):
            name = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:16]
            self.manifest_path = os.path.join(notes, f"manifest-{name}.json")
        self.manifest = manifest.parse(self.read(self.manifest_path)) or manifest.parse(self.read(MANIFEST))
        self.hashed = dict(self.manifest.hashed) if self.manifest else {}
        self.verified = 0  # files read so far
        self._read_bytes = 0
        self._compared: dict[str, Stat] = {}  # the stats at the last comparison

    def join(self, path: str) -> str:
        """Return the path of a file in the folder."""
        return os.path.join(self.path, path)

    def read(self, path: str) -> str:
        """Return the text of a file, empty if it cannot be read."""
        try:
            with open(self.join(path), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def with_own(self, snapshot: Snapshot, keep: Sequence[str]) -> Snapshot:
        """Return the snapshot with the files that match the patterns *keep* as they are on the disk, if they are."""
        kept = [file for file in snapshot.files if any(fnmatch.fnmatchcase(file.path, one) for one in keep)]
        own = {}
        for path, stat in self.stats(kept).items():
            read = self.hashed.get(path)
            if stat.size > KEPT_BYTES:
                raise ProblemError(
                    f"{self.join(path)} has {readable(stat.size)}",
                    f"up to {readable(KEPT_BYTES)} for a file that was edited",
                    "Take it out of O(keep)",
                )
            if read is None or read.stat != stat:
                read = self.hashed[path] = Hashed(stat, self._sha256(self.join(path)))
            own[path] = File(path, stat.size, read.sha256)
        return snapshot._replace(files=[own.get(file.path, file) for file in snapshot.files])

    def stats(self, files: Iterable[File]) -> dict[str, Stat]:
        """Return the stats of those of *files* that exist. Raises ProblemError for a link."""
        found, inside = {}, os.path.realpath(self.path)
        for file in files:
            path = self.join(file.path)
            real = os.path.realpath(path)
            if os.path.islink(path) and not os.path.lexists(real):
                raise ProblemError(
                    f"{path} is a link to {real}, which does not exist",
                    "the file itself, or a link to one that is there",
                    "If it is in a cache of Hugging Face, whose download was interrupted or cleaned up, download it "
                    "again there. Else remove the link",
                )
            if real != os.path.join(inside, file.path) and not self._may_link(path, real):
                raise ProblemError(
                    f"{path} is a link to {real}, or below such a link",
                    f"plain files and folders below {self.path}"
                    + (f", or relative links to files below {self._links}" if self._links else ""),
                    "Replace the link by the file itself, or remove it",
                )
            if os.path.isfile(path):
                status = os.stat(path)
                found[file.path] = Stat(status.st_size, status.st_mtime_ns)
        return found

    def _may_link(self, path: str, real: str) -> bool:
        """Whether the file at *path* is a relative link to a file that is mounted too."""
        if not self._links or not os.path.islink(path) or os.path.isabs(os.readlink(path)):
            return False
        return os.path.isfile(real) and real.startswith(self._links.rstrip("/") + "/")

    def compare(self, files: list[File], report: Report | None = None) -> Comparison:
        """Compare *files* with the disk. With *report*, to which progress goes, read those not hashed yet."""
        self._compared = stats = self.stats(files)
        found = compare(files, stats, self.hashed)
        if not report or not found.unread:
            return found
        # The longest first: else the last one keeps a single processor busy in the end.
        unread = sorted(found.unread, key=lambda file: -file.size)
        self._read_bytes, all_bytes = 0, total(unread)
        report(lambda: {"stage": "verified", "done": self._read_bytes, "all": all_bytes})
        jobs = [functools.partial(self._sha256, self.join(file.path)) for file in unread]
        for file, digest in zip(unread, commands.side_by_side(jobs, len(os.sched_getaffinity(0)))):
            self.hashed[file.path] = Hashed(stats[file.path], digest)
        self.verified += len(jobs)
        return compare(files, stats, self.hashed)

    def _sha256(self, path: str) -> str:
        """Return the hash of a file, and count the bytes meanwhile."""
        digest = hashlib.sha256()
        view = memoryview(bytearray(BLOCK))
        with open(path, "rb", buffering=0) as file:
            while True:
                count = file.readinto(view)
                if not count:
                    return digest.hexdigest()
                digest.update(view[:count])
                self._read_bytes += count

    def mark_verified(self, files: list[File]) -> None:
        """Record the hashes of *files*, which were compared on arrival."""
        stats = self.stats(files)
        self.hashed.update(
            (file.path, Hashed(stats[file.path], file.sha256)) for file in files if file.path in stats
        )

    def remove(self, files: list[File]) -> None:
        """Remove *files*, except those that changed since: another run may have fetched them."""
        for path, stat in self.stats(files).items():
            if stat == self._compared.get(path):
                os.remove(self.join(path))

    def bytes_present(self, files: Iterable[File]) -> int:
        """Return how many bytes of *files* are on the disk, incomplete files included."""
        return sum(
            max(size(self.join(form.format(file.path))) for form in ("{}", *PARTIAL)) for file in files
        )

    def copy_from(self, source: str, files: list[File]) -> None:
        """Copy *files* from the folder *source*. Each gets its name once its hash is right.

        On the same file system it is a second name of the file, and takes no space.
        """
        commands.side_by_side([functools.partial(self._copy, source, file) for file in files], COPIERS)
        wrong = [file.path for file in files if not os.path.exists(self.join(file.path))]
        if wrong:
            raise ProblemError(
                f"wrong SHA-256 in {source}: {shortened(wrong)}",
                "the files of its manifest",
                "Copy these files to the host again. The others are kept",
            )

    def _copy(self, source: str, file: File) -> None:
        path = self.join(file.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        original, partial = os.path.join(source, file.path), path + ".incomplete"
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
        try:
            os.link(original, partial)
        except OSError:  # another file system, or one that knows no links, or a file of another user
            digest = _copy(original, partial)
        else:
            digest = self._sha256(partial)
        if digest == file.sha256:
            os.replace(partial, path)
        else:
            os.remove(partial)

    def require_place_for_manifest(self) -> None:
        """Raise ProblemError if the manifest cannot be written."""
        option = "dir" if self.manifest_path == self.join(MANIFEST) else "cache_dir"
        require_space(os.path.dirname(self.manifest_path), option)

    def write_manifest(self, endpoint: str, request: Request, snapshot: Snapshot) -> None:
        """Write the manifest atomically: an interrupted run leaves the previous one, or none."""
        verified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        verified_files = manifest.Manifest(endpoint, request, snapshot, self.hashed)
        text = manifest.render(verified_files, self.stats(snapshot.files), verified)
        path = self.manifest_path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)


def _copy(original: str, copy: str) -> str:
    """Copy a file, and return its hash."""
    digest = hashlib.sha256()
    with open(original, "rb", buffering=0) as source, open(copy, "wb", buffering=0) as target:
        for block in iter(functools.partial(source.read, BLOCK), b""):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def is_linkable(source: str, folder: str) -> bool:
    """Whether files below *source* can get a second name in *folder*, which need not exist."""
    return os.path.isdir(source) and os.stat(source).st_dev == os.stat(existing(folder)).st_dev


def existing(folder: str) -> str:
    """Return *folder*, or the nearest one above it that exists."""
    parent = os.path.abspath(folder)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    return parent


def size(path: str) -> int:
    """Return the size of a file, 0 if it does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def require_space(folder: str, option: str, needed: int = 0) -> None:
    """Raise ProblemError if *folder*, the value of *option*, is not writable or has too little space.

    `Source.require` calls it with the bytes that are still to come. The finding `disk` of the preflight,
    `_preflight.host_checks._disk`, comes before, and counts the image too.
    """
    parent = existing(folder)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise ProblemError(
            f"{parent} is not a writable folder",
            f"a writable folder in which {folder} can be",
            f"Choose a path on a writable file system: O({option})",
        )
    space = os.statvfs(parent)
    free = space.f_bavail * space.f_frsize
    if needed > free:
        raise ProblemError(
            f"the disk of {folder} has {readable(free)} free",
            f"{readable(needed)} for the files still to fetch",
            f"Free some space, or choose a folder on another disk: O({option})",
        )


def os_problem(error: OSError, folder: str) -> Problem:
    """Return a failure of the file system as a problem."""
    return Problem(
        str(error),
        f"files below {folder} that can be read and written",
        "Check that disk and its file system, then run again",
    )
