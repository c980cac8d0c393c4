# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a repository, with sizes and hashes: from a hub's listing or from a checksum file."""

from __future__ import annotations

import codecs
import collections
import fnmatch
import hashlib
import json
import posixpath
import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.shards import require_series

MANIFEST = ".ascend_ops_manifest.json"
LISTING_CAP = 3000  # where the hub truncates a listing silently
# Git's own files. The hub lists them, but most clients never download them.
NOT_FETCHED = (".gitattributes", ".gitignore")

# Read by people, or by ModelScope's own library. Transformers, vLLM and their tokenizers open none of these.
NOT_SERVED = (
    "configuration.json",
    "*.md",
    "license*",
    "*/license*",
    "notice*",
    "*.png",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.svg",
    "*.pdf",
)

SUMS = "SHA256SUMS"
SUMS_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
TAGGED_LINE = re.compile(
    r"SHA(?:2-)?256 ?\((?:\./)?(.+)\) ?= ?([0-9a-fA-F]{64})"
)  # sha256sum --tag, openssl dgst
# Bytes of a name on most file systems, without room for what a partial file has behind it; bytes of a path.
PARTIAL = ".incomplete"
LONGEST_NAME, LONGEST_PATH = 255 - len(PARTIAL), 2048
LARGEST = 1 << 50  # bytes of a file
SHA256 = re.compile(r"[0-9a-f]{64}")


class File(NamedTuple):
    """A file of a repository."""

    path: str
    size: int
    sha256: str


class Choice(NamedTuple):
    """Shell patterns that select files of a repository by their whole path; ``*`` matches ``/`` too."""

    include: list[str]
    exclude: list[str]

    def matches(self, path: str) -> bool:
        """Whether the file at *path* is selected."""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.include) and not any(
            fnmatch.fnmatchcase(path, pattern) for pattern in self.exclude
        )

    def __str__(self) -> str:
        return f"include {self.include}, exclude {self.exclude}"


class Request(NamedTuple):
    """The files to have: which of which revision."""

    repo: str
    revision: str
    choice: Choice

    def __str__(self) -> str:
        return f"{self.repo} {self.revision}, {self.choice}"


class Snapshot(NamedTuple):
    """The files of one revision. The commit is empty if the listing does not name it."""

    commit: str
    files: list[File]

    @property
    def digest(self) -> str:
        """The SHA-256 over paths and hashes. It depends on nothing but the content."""
        return _digest(self.files)

    @property
    def served_digest(self) -> str:
        """The same over the files that a server reads: without the documentation."""
        return _digest(file for file in self.files if is_served(file.path))

    @classmethod
    def of(cls, text: str) -> Snapshot:
        """Return the snapshot that :meth:`text` described. Raises ProblemError for another text."""
        try:
            data = json.loads(text)
            files = [File(str(path), int(size), str(digest)) for path, size, digest in data["files"]]
            sound = all(is_plain(file.path) and SHA256.fullmatch(file.sha256) for file in files)
            commit = str(data["commit"])
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise ProblemError(
                f"O(listing) is {text[:100]!r}",
                "what a check of another host returned",
                "Correct O(listing)",
            )
        return cls(commit, files)

    def text(self) -> str:
        """Return the snapshot as JSON, as one host hands it to others. A text is faster than data in Ansible."""
        return json.dumps({"commit": self.commit, "files": self.files})

    def __str__(self) -> str:
        return f"commit {self.commit or 'unknown'}, digest {self.digest[:12]}"

    def chosen(self, choice: Choice) -> Snapshot:
        """Return the snapshot with the files of *choice*.

        Raises ProblemError if there is none, or only some shards of a series: before anything is fetched.
        """
        files = [file for file in self.files if choice.matches(file.path)]
        if not files:
            raise ProblemError(
                f"none of {len(self.files)} files is selected by {choice}",
                "patterns that select the files of a model",
                "Correct O(include) and O(exclude)",
            )
        require_series([file.path for file in files])
        return self._replace(files=files)


def _digest(files: Iterable[File]) -> str:
    return hashlib.sha256(json.dumps(sorted([file.path, file.sha256] for file in files)).encode()).hexdigest()


def is_served(path: str) -> bool:
    """Whether a server may read the file at *path*. Documentation differs between hubs, and changes often."""
    return not any(fnmatch.fnmatchcase(path.lower(), pattern) for pattern in NOT_SERVED)


def total(files: Iterable[File]) -> int:
    """Return the size of *files* in bytes."""
    return sum(file.size for file in files)


def is_plain(path: str) -> bool:
    """Whether *path* stays below the folder it is put into, and is not the manifest."""
    return (
        path.isprintable()
        and "\\" not in path
        and not path.startswith(MANIFEST)
        and not any(part in ("", ".", "..") for part in path.split("/"))
    )


def parse_listing(data: Mapping[str, Any]) -> Snapshot | None:
    """Return the snapshot in the hub's answer to ``repo/files``.

    Returns None for one without files, as the hub answers for a revision that does not exist. Raises
    ProblemError for a listing that is truncated or names files that cannot be verified.
    """
    entries = data.get("Files") or []
    if len(entries) >= LISTING_CAP:
        raise ProblemError(
            f"the listing has {len(entries)} entries",
            f"fewer than {LISTING_CAP}, where the hub truncates it",
            "Use a repository with fewer files",
        )
    files = [_file(entry) for entry in entries if entry.get("Type") != "tree"]
    files = [file for file in files if posixpath.basename(file.path) not in NOT_FETCHED]
    return Snapshot(_commit(data), files) if entries else None


def require_consistent(origin: str, snapshot: Snapshot) -> None:
    """Raise ProblemError for files that cannot exist together in one folder, or if there is none.

    *origin* is what lists them.
    """
    times = collections.Counter(file.path for file in snapshot.files)
    folders = {folder for path in times for folder in _folders(path)}
    for path in times:
        found = ""
        if times[path] > 1:
            found = "twice"
        elif path in folders:
            found = "as a file and as a folder"
        elif len(path.encode()) > LONGEST_PATH or any(
            len(part.encode()) > LONGEST_NAME for part in path.split("/")
        ):
            found = f"with {len(path)} characters, too many for a file system"
        elif path.endswith(PARTIAL) and path[: -len(PARTIAL)] in times:
            found = "as well as a file that has this name until it is complete"
        if found:
            raise ProblemError(
                f"{origin} has {path[:100]!r} {found}",
                "files that can exist together in one folder",
                "Report it to its maintainers. Nothing was downloaded",
            )
    if not times:
        raise ProblemError(
            f"{origin} has no files in this revision", "the files of a model", "Check O(repo) and O(revision)"
        )


def _folders(path: str) -> Iterable[str]:
    while "/" in path:
        path = posixpath.dirname(path)
        yield path


def _file(entry: Mapping[str, Any]) -> File:
    path, kind, size = str(entry.get("Path") or ""), entry.get("Type"), entry.get("Size")
    digest = str(entry.get("Sha256") or "").lower()
    require_plain(path)
    if kind not in ("blob", None):
        raise bad_entry(path, f"as a {kind}", "a plain file")
    if not SHA256.fullmatch(digest):
        raise bad_entry(path, f"with the hash {digest!r}", "a SHA-256 to verify the file with")
    return File(path, require_size(path, size), digest)


def require_plain(path: str) -> None:
    """Raise ProblemError for a path of a hub's listing that leads out of the model directory."""
    if not is_plain(path):
        raise bad_entry(path, "by an unsafe path", "a relative path below the model directory")


def require_size(path: str, size: Any) -> int:
    """Return the size that a hub lists for the file at *path*. Raise ProblemError if it is none."""
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST:
        raise bad_entry(path, f"with the size {size!r}", "a number of bytes")
    return size


def bad_entry(path: str, found: str, expected: str) -> ProblemError:
    """Return the error of an entry of a hub's listing."""
    return ProblemError(
        f"the hub lists {path!r} {found}",
        expected,
        "Report it to the maintainer of the repository or mirror. Nothing was downloaded",
    )


def _commit(data: Mapping[str, Any]) -> str:
    """Return the commit. The hub gives its first letters, and for each file the one that last changed it."""
    latest = data.get("LatestCommitter") or {}
    start = str(latest.get("Id") or latest.get("ShortId") or "")
    full = {str(entry.get("Revision") or "") for entry in data["Files"]}
    return next((commit for commit in sorted(full) if start and commit.startswith(start)), start)


def parse_checksums(content: bytes, size_of: Callable[[str], int | None]) -> Snapshot:
    """Return the files in *content*, lines as ``sha256sum`` writes them.

    *size_of* returns the size of each on the disk. Raises ProblemError if it is not of that form.
    """
    digests: dict[tuple[str, str], None] = {}  # a file may be listed twice, if it is the same
    for number, line in enumerate(_decoded(content).split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        path, digest = _checksum(line)
        if not is_plain(path):
            raise _bad_checksums(
                f"line {number} of the checksum file is {line[:100]!r}",
                "a SHA-256, two spaces and a relative path",
            )
        # Its own line, which `sha256sum * >SHA256SUMS` writes, was made while it was empty.
        if path != SUMS:
            digests[path, digest] = None
    if not digests:
        raise _bad_checksums("the checksum file is empty", "a line for each file")
    # A missing file is wrong whatever its size should be.
    return Snapshot("", [File(path, size_of(path) or 0, digest) for path, digest in digests])


def _checksum(line: str) -> tuple[str, str]:
    """Return path and hash of a line. The path is empty if it is none."""
    match, tagged = SUMS_LINE.fullmatch(line), TAGGED_LINE.fullmatch(line)
    if match:
        return match[2], match[1].lower()
    return (tagged[1], tagged[2].lower()) if tagged else ("", "")


def _decoded(content: bytes) -> str:
    """Return a text that may have been written on Windows."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")


def _bad_checksums(found: str, expected: str) -> ProblemError:
    return ProblemError(found, expected, "Create the file with `sha256sum` in the folder of the weights")
