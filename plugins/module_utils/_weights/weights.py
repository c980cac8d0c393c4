# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge weights on disk: against a hub's listing, and against the manifest that an earlier run left beside them."""

from __future__ import annotations

import collections
import fnmatch
import hashlib
import json
import posixpath
import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import progress

MANIFEST = ".ascend_ops_manifest.json"
MANIFEST_FORMAT = 1
INDEX = "model.safetensors.index.json"
LISTING_CAP = 3000  # where the hub cuts a listing short, without a word
SHOWN = 10
DOCKER_ERROR = 125
NO_ENTRY = re.compile(r"\b40[13] Client Error|\b(?:Unauthorized|Forbidden)\b")
AGAIN = "Run again: what is right is kept. If it is the same file each time, the hub's content and its listing differ: tell who keeps the repository"

SUMS_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
SHA256 = re.compile(r"[0-9a-f]{64}")
DAMAGED = re.compile(r"FileNotFoundError: .*/\._____temp/")
GLOB = re.compile(r"[][*?]")
# To be put in brackets, or clients 1.36 and 1.37 list only the folder that the pattern begins with.
FIRST = re.compile(r"^\w")
# Git's own files. The hub lists them, but most clients never download them.
NOT_FETCHED = (".gitattributes", ".gitignore")
SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})\.safetensors")  # as Transformers names them


class WeightsError(ProblemError):
    """Weights that are not right, or cannot be downloaded."""


class File(NamedTuple):
    """A file of a repository."""

    path: str
    size: int
    sha256: str


class Choice(NamedTuple):
    """Which files of a repository are wanted, by shell patterns over the whole path, in which ``*`` matches ``/`` too."""

    include: list[str]
    exclude: list[str]

    def holds(self, path: str) -> bool:
        """Whether the file at *path* is wanted."""
        return any(fnmatch.fnmatchcase(path, one) for one in self.include) and not any(
            fnmatch.fnmatchcase(path, one) for one in self.exclude
        )

    def __str__(self) -> str:
        """The patterns, for a person."""
        return f"include {self.include}, exclude {self.exclude}"


class Snapshot(NamedTuple):
    """The files of one revision. The commit is empty if the hub does not tell it."""

    commit: str
    files: list[File]

    @property
    def digest(self) -> str:
        """The SHA-256 over paths and hashes: the same for the same content, whenever it was verified."""
        return hashlib.sha256(
            json.dumps(sorted([file.path, file.sha256] for file in self.files)).encode()
        ).hexdigest()

    def chosen(self, choice: Choice) -> Snapshot:
        """Return the snapshot with the files of *choice* alone. Raises WeightsError if there is none, or only some shards of a series."""
        files = [file for file in self.files if choice.holds(file.path)]
        if not files:
            raise WeightsError(
                f"of {len(self.files)} files none is chosen by include {choice.include} and exclude {choice.exclude}",
                "patterns that choose the files of a model",
                "Correct vllm_model_include and vllm_model_exclude",
            )
        judge_shards([file.path for file in files])
        return self._replace(files=files)


class Stat(NamedTuple):
    """What tells without reading it that a file is the one that was read before."""

    size: int
    mtime_ns: int


class Hashed(NamedTuple):
    """The hash of a file as it was when it had that stat."""

    stat: Stat
    sha256: str


class Survey(NamedTuple):
    """The files of a snapshot by what is known of them: right, of the right size but not yet hashed, and wrong or missing."""

    right: list[File]
    unread: list[File]
    wrong: list[File]


def snapshot(data: Mapping[str, Any]) -> Snapshot | None:
    """Return the snapshot in the answer to ``repo/files``; None if it has no files, as for a revision that does not exist.

    Raises WeightsError for a listing that must not be followed.
    """
    entries = data.get("Files") or []
    if len(entries) >= LISTING_CAP:
        raise WeightsError(
            f"the listing has {len(entries)} entries",
            f"fewer than {LISTING_CAP}, where the hub cuts a listing short",
            "Use a repository with fewer files",
        )
    files = [_file(entry) for entry in entries if entry.get("Type") != "tree"]
    files = [file for file in files if posixpath.basename(file.path) not in NOT_FETCHED]
    for path, times in collections.Counter(file.path for file in files).items():
        if times > 1:
            raise _bad_listing(path, "twice", "once")
    return Snapshot(_commit(data), files) if files else None


def _file(entry: Mapping[str, Any]) -> File:
    path, kind, digest = (
        str(entry.get("Path") or ""),
        entry.get("Type"),
        str(entry.get("Sha256") or "").lower(),
    )
    if not is_plain(path):
        raise _bad_listing(path, "by a path that is not plain", "a relative path below the model directory")
    if kind not in ("blob", None):
        raise _bad_listing(path, f"as a {kind}", "a plain file")
    if not SHA256.fullmatch(digest):
        raise _bad_listing(path, f"with the hash {digest!r}", "a SHA-256 to verify the file with")
    if not isinstance(entry.get("Size"), int) or entry["Size"] < 0:
        raise _bad_listing(path, f"with the size {entry.get('Size')!r}", "a number of bytes")
    return File(path, entry["Size"], digest)


def is_plain(path: str) -> bool:
    """Whether *path* stays below the folder it is put into and is no file of ours."""
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and not path.startswith(MANIFEST)
        and not any(part in ("", ".", "..") for part in parts)
    )


def _bad_listing(path: str, found: str, wanted: str) -> WeightsError:
    return WeightsError(
        f"the hub lists {path!r} {found}",
        wanted,
        "Tell who keeps the repository or the mirror; nothing of it has been downloaded",
    )


def _commit(data: Mapping[str, Any]) -> str:
    """Return the commit: the hub tells its first letters, and of each file the commit that last changed it."""
    latest = data.get("LatestCommitter") or {}
    start = str(latest.get("Id") or latest.get("ShortId") or "")
    full = {str(entry.get("Revision") or "") for entry in data["Files"]}
    return next((commit for commit in sorted(full) if start and commit.startswith(start)), start)


def survey(files: Iterable[File], on_disk: Mapping[str, Stat], hashed: Mapping[str, Hashed]) -> Survey:
    """Return what is known of *files*, given the stats of those on disk and the hashes read so far."""
    result = Survey([], [], [])
    for file in files:
        stat, known = on_disk.get(file.path), hashed.get(file.path)
        if stat is None or stat.size != file.size:
            result.wrong.append(file)
        elif known is None or known.stat != stat:
            result.unread.append(file)
        else:
            (result.right if known.sha256 == file.sha256 else result.wrong).append(file)
    return result


def total(files: Iterable[File]) -> int:
    """Return the bytes of *files*."""
    return sum(file.size for file in files)


def manifest(
    source: Mapping[str, Any], commit: str, files: Iterable[File], on_disk: Mapping[str, Stat], verified: str
) -> str:
    """Return the text of the manifest of *files*, all of them verified."""
    entries = [
        {"path": file.path, "size": file.size, "mtime_ns": on_disk[file.path].mtime_ns, "sha256": file.sha256}
        for file in files
    ]
    document = dict(source, format=MANIFEST_FORMAT, commit=commit, verified=verified, files=entries)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


class Manifest(NamedTuple):
    """What an earlier run verified."""

    source: dict[str, str]
    choice: Choice
    snapshot: Snapshot
    hashed: dict[str, Hashed]

    def answers(self, repo: str, revision: str, choice: Choice) -> bool:
        """Whether it is of those files. The endpoint does not matter: the same commit has the same files on every mirror."""
        return (
            self.source["repo"] == repo
            and revision in (self.source["revision"], self.snapshot.commit)
            and self.choice == choice
        )

    def __str__(self) -> str:
        """What it is of, for a person."""
        return "{repo} {revision}, {choice}".format(**self.source, choice=self.choice)


def read_manifest(text: str) -> Manifest | None:
    """Return the manifest in *text*; None if it is none, or damaged, or of another format."""
    try:
        document = json.loads(text)
        files = [
            File(str(entry["path"]), int(entry["size"]), str(entry["sha256"])) for entry in document["files"]
        ]
        stats = [Stat(int(entry["size"]), int(entry["mtime_ns"])) for entry in document["files"]]
        source = {key: str(document[key]) for key in ("endpoint", "repo", "revision")}
        choice = Choice(list(document["include"]), list(document["exclude"]))
        whole = (
            document["format"] == MANIFEST_FORMAT
            and bool(files)
            and all(is_plain(file.path) for file in files)
        )
    except (ValueError, KeyError, TypeError):
        return None
    hashed = {file.path: Hashed(stat, file.sha256) for file, stat in zip(files, stats)}
    return (
        Manifest(source, choice, Snapshot(str(document.get("commit") or ""), files), hashed)
        if whole
        else None
    )


def checksums(text: str, sizes: Callable[[str], int | None]) -> Snapshot:
    """Return the files that the lines of `sha256sum` in *text* list; *sizes* tells how long each is, None for one that is not there.

    Raises WeightsError for what is no such text.
    """
    files = []
    for number, line in enumerate(text.splitlines(), 1):
        found = SUMS_LINE.fullmatch(line.rstrip("\r"))
        if not found or not is_plain(found[2]):
            raise WeightsError(
                f"line {number} of the checksum file is {line[:100]!r}",
                "SHA-256, two blanks and a relative path",
                "Make the file with `sha256sum` in the folder of the weights",
            )
        # One that is missing has no size to compare: it is wrong whatever it should have.
        files.append(File(found[2], sizes(found[2]) or 0, found[1].lower()))
    if not files:
        raise WeightsError(
            "the checksum file has no line",
            "one for each file",
            "Make the file with `sha256sum` in the folder of the weights",
        )
    return Snapshot("", files)


def judge_shards(paths: Sequence[str]) -> None:
    """Raise WeightsError if *paths* have some shards of a series and not all, by the count in their names: before anything is fetched."""
    series = {found.groups() for found in map(SHARD.fullmatch, paths) if found}
    whole = {
        f"{name}-{number:05}-of-{count}.safetensors"
        for name, count in series
        for number in range(1, int(count) + 1)
    }
    _refuse_lack(whole - set(paths), "every shard of its series")


def judge_index(index: str, paths: Iterable[str]) -> None:
    """Raise WeightsError if the text of a safetensors index names shards that are not among *paths*."""
    try:
        missing = set(map(str, json.loads(index)["weight_map"].values())) - set(paths)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(
            f"{INDEX} is no index of safetensors",
            "a JSON object with weight_map",
            "Tell who keeps the repository: its file is broken",
        ) from None
    _refuse_lack(missing, f"every shard that {INDEX} names")


def _refuse_lack(missing: set[str], wanted: str) -> None:
    if missing:
        raise WeightsError(
            f"{listed(sorted(missing))} not among the files",
            wanted,
            "See that vllm_model_include and vllm_model_exclude leave them in; if they do, tell who keeps the repository: it is not complete",
        )


def judge_client(folder: str, place: str, returncode: int, answer: str, messages: str) -> None:
    """Raise WeightsError unless the client has done its work, by its answer and by what it and Docker said. *place* is where it runs."""
    if answer == "null":  # also where Docker went away before it told of the client's end
        return
    try:
        said = json.loads(answer).rstrip(".")
    except (ValueError, AttributeError):
        said = f"ended with code {returncode}: " + ("\n".join(messages.splitlines()[-15:]) or "nothing said")
    if is_taken(returncode, said):
        raise taken(folder)
    if returncode == DOCKER_ERROR:
        raise not_run(place, said)
    if re.match("(ModuleNotFound|Import)Error", said):
        raise WeightsError(
            f"the {place} has no ModelScope client: {said}",
            "one with the Python package modelscope",
            "Choose such a one: vllm_image or weights_python",
        )
    if NO_ENTRY.search(said):
        raise WeightsError(
            f"the hub refused the ModelScope client while it downloaded, {said}",
            "a token that stays valid until the last file",
            "Make a new one and give it as weights_token, then run again: what is complete is kept",
        )
    raise WeightsError(f"the ModelScope client failed, {said}", "its end with all files fetched", AGAIN)


def is_cut_off(returncode: int, answer: str, messages: str) -> bool:
    """Whether the client was ended from outside, by a signal or with Docker, or could not begin, as Docker was away or an older client not yet gone."""
    refused = "Error response from daemon" in messages and not is_taken(returncode, messages)
    return not answer and (returncode >= DOCKER_ERROR or returncode < 0) and not refused


def is_damaged(answer: str) -> bool:
    """Return whether the client failed because a file arrived damaged.

    Clients before 1.38 remove such a file, and then do not find it.
    """
    return bool(DAMAGED.search(answer))


def is_taken(returncode: int, messages: str) -> bool:
    """Whether Docker refused the container as there is one of that name."""
    return returncode == DOCKER_ERROR and "is already in use" in messages


def not_run(place: str, said: str) -> WeightsError:
    """Return the error of a container that Docker does not make."""
    return WeightsError(
        f"Docker does not run the {place}, {said}",
        "an image that is on the host and a Docker daemon",
        "Run the stage image first",
    )


def taken(folder: str) -> WeightsError:
    """Return the error of a second run into the same folder."""
    name = container_name(folder)
    return WeightsError(
        f"another run is downloading into {folder}",
        "one run at a time",
        f"Wait for its end, or end its container (`docker rm -f {name}`) or weights_python",
    )


def trouble(error: OSError, folder: str) -> WeightsError:
    """Return a failure of the file system as an error for a person."""
    return WeightsError(
        str(error),
        f"files below {folder} that can be read and written",
        "See that disk and its file system, then run again",
    )


def patterns(files: Iterable[File]) -> list[str]:
    """Return the glob patterns that match *files* and nothing else."""
    return [FIRST.sub(r"[\g<0>]", GLOB.sub(r"[\g<0>]", file.path)) for file in files]


def container_name(folder: str) -> str:
    """Return the name of the container that downloads into *folder*: one a folder, so that Docker itself refuses a second one."""
    return "ascend-ops-weights-" + hashlib.sha256(posixpath.normpath(folder).encode()).hexdigest()[:12]


def listed(paths: Sequence[str]) -> str:
    """Return *paths* for a person: the first few, and how many more."""
    more = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def changes(found: Survey) -> str:
    """Return, line by line, what is done about the files that are not known to be right: for diff mode."""
    if not found.wrong and not found.unread:
        return ""
    lines = [
        f"fetch {file.path} ({progress.readable(file.size)}, sha256 {file.sha256[:12]})"
        for file in found.wrong[:SHOWN]
    ]
    if len(found.wrong) > SHOWN:
        lines.append(f"fetch {len(found.wrong) - SHOWN} more")
    to_fetch, to_verify = (
        f"{len(files)} {{}} ({progress.readable(total(files))})" for files in (found.wrong, found.unread)
    )
    lines.append(f"in all {to_fetch.format('files to fetch')}, {to_verify.format('there to verify')}")
    return "\n".join(lines) + "\n"
