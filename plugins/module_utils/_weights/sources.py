# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights come from: listings say what the files must be, sources bring them."""

from __future__ import annotations

import os
import time
from typing import Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import Client
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Comparison
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import (
    Folder,
    is_linkable,
    require_space,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Choice,
    File,
    Request,
    Snapshot,
    is_served,
    parse_checksums,
    require_consistent,
    total,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import (
    RefusedError,
    Server,
    UnreachableError,
)

# A question after the last byte is repeated for so long: reading all files takes longer.
AFTERWARDS_SECONDS = 300
AFTERWARDS_PAUSE = 10
IN_REPOSITORY = 1 << 20  # up to this size, a file comes from the hub itself, and not from its CDN
SMALL = 64 << 20  # up to this size, reading a file again costs nothing


class MovedError(ProblemError):
    """The hub has other files by now than those that the hosts use."""


class Listing:
    """Says which files there must be, with their hashes."""

    origin: str  # as messages call it

    def read(self) -> Snapshot:
        """Return the files of the request. Raises ProblemError if it cannot be fulfilled."""
        raise NotImplementedError

    def confirms(self, snapshot: Snapshot) -> bool:
        """Whether the files of *snapshot*, which an earlier run verified for the same request, will do."""
        return True


class GivenListing(Listing):
    """The listing that all hosts of a service have in common."""

    origin = "the listing that all hosts share"

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def read(self) -> Snapshot:
        return self._snapshot

    def confirms(self, snapshot: Snapshot) -> bool:
        return snapshot.digest == self._snapshot.digest


class HubListing(Listing):
    """The listing of a hub, read with its token."""

    def __init__(self, hub: Server, request: Request) -> None:
        self.origin = hub.endpoint
        self._hub, self._request = hub, request
        self._last: Snapshot | None = None

    def read(self) -> Snapshot:
        self._hub.log_in()
        snapshot = self._hub.snapshot(self._request.repo, self._request.revision)
        self._last = snapshot.chosen(self._request.choice)
        return self._last

    def revision_with(self, files: list[File], commit: str) -> str:
        """Return the revision under which the hub has *files*: that of the request or, if it has moved, *commit*.

        Raises MovedError if neither has them.
        """
        repo, revision, _choice = self._request
        if set(files) <= set((self._last or self.read()).files):
            return revision
        reason = f"which commit had {shortened([file.path for file in files])} is unknown"
        if commit:
            try:
                if set(files) <= set(self._hub.snapshot(repo, commit).files):
                    return commit
                reason = f"its commit {commit} has other files"
            except ProblemError as error:
                reason = error.problem.found
        raise MovedError(
            f"{repo} {revision} has changed on the hub, and {reason}",
            "the files that this service already uses, as its manifests have them",
            f"To change to the present files, remove {MANIFEST} from O(dir) on all hosts, or set O(revision) to a "
            "commit of the hub. To keep the old ones, copy them from a host that has them",
        )

    def try_out(self, revision: str, files: list[File]) -> None:
        """Raise ProblemError if the host that has the content of a large one of *files* cannot be reached."""
        large = next((file for file in files if file.size > IN_REPOSITORY), None)
        if large:
            self._hub.try_out(self._request.repo, revision, large.path)


class ManifestListing(Listing):
    """The manifest in a folder that this module filled on another machine."""

    def __init__(self, folder: str, request: Request) -> None:
        self.origin = os.path.join(folder, MANIFEST)
        self._folder, self._request = folder, request

    def read(self) -> Snapshot:
        manifest = Folder(self._folder).manifest
        if manifest and manifest.covers(self._request):
            return manifest.snapshot
        raise ProblemError(
            f"the manifest {self.origin} is {f'of {manifest.request}' if manifest else 'missing or damaged'}",
            f"one of {self._request}",
            "Fill the folder with playbooks/fetch.yml, and copy all of it to the host: O(source)",
        )

    def confirms(self, snapshot: Snapshot) -> bool:
        """Whether the folder has no other files. It need not be there any more."""
        manifest = Folder(self._folder).manifest
        if manifest is None or not manifest.covers(self._request):
            return True
        return manifest.snapshot.digest == snapshot.digest


class ChecksumListing(Listing):
    """A file on the host as ``sha256sum`` writes it. It names no sizes: those on the disk are taken."""

    def __init__(self, path: str, folder: Folder, choice: Choice) -> None:
        self.origin = path
        self._folder, self._choice = folder, choice

    def read(self) -> Snapshot:
        try:
            with open(self.origin, "rb") as file:
                text = file.read()
        except OSError as error:
            raise ProblemError(
                f"the checksum file {self.origin} cannot be read: {error.strerror}",
                "lines as sha256sum writes them",
                "Copy it to the host, or correct O(checksums)",
            ) from None
        found = parse_checksums(text, self._size)
        require_consistent(self.origin, found)
        return found.chosen(self._choice)

    def _size(self, path: str) -> int | None:
        path = self._folder.join(path)
        return os.stat(path).st_size if os.path.isfile(path) else None


class Source:
    """Brings files that a listing names into a folder."""

    listing: Listing
    shares = False  # whether other hosts depend on this one, even if it has all files itself
    unreached: ProblemError | None = None  # why this host cannot fetch; others of a fan-out may
    replaced: Sequence[str] = ()  # files that were right by the manifest, but damaged, and are right now
    keeps_revision = False  # whether it can bring the files of a manifest after a branch has moved

    def start(self) -> None:
        """Begin what takes as long as the comparison of the files does."""

    def needed(self, snapshot: Snapshot, found: Comparison) -> Snapshot:
        """Return the snapshot with the files that there must be, after a comparison."""
        return snapshot

    def require(self, folder: Folder, snapshot: Snapshot, found: Comparison) -> None:
        """Raise ProblemError, before anything is changed, if the files that are wrong cannot be fetched.

        Here: if the disk is too small for them.
        """
        needed = total(found.wrong) - folder.bytes_present(found.wrong)
        require_space(folder.path, "dir", needed)

    def open(self) -> None:
        """Raise ProblemError, before anything is changed, if there is nothing on the host to fetch with."""

    def fetch(self, folder: Folder, snapshot: Snapshot, missing: list[File]) -> list[File]:
        """Fetch *missing*, of the files of *snapshot*, and return those whose hash was compared on arrival."""
        raise NotImplementedError


class HubSource(Source):
    """A server, read by the downloader program. That compares hashes on arrival."""

    keeps_revision = True

    def __init__(self, listing: Listing, hub: HubListing, client: Client, cache_dir: str) -> None:
        """*listing* may be another one than *hub*: files that another host has or will have."""
        self.listing = listing
        self.shares = client.fanout is not None
        self._hub, self._client, self._cache_dir = hub, client, cache_dir
        self._revision = ""

    def start(self) -> None:
        if self.shares:  # the other hosts wait for it, and may need what is already here
            self.open()

    def open(self) -> None:
        self._client.start()

    def require(self, folder: Folder, snapshot: Snapshot, found: Comparison) -> None:
        super().require(folder, snapshot, found)
        require_space(self._cache_dir, "cache_dir")
        self._revision = ""
        try:
            self._revision = self._hub.revision_with(found.wrong, snapshot.commit)
            self._hub.try_out(self._revision, found.wrong)
        except (UnreachableError, MovedError) as error:
            if not self.shares:
                raise
            self._revision, self.unreached = "", error

    def fetch(self, folder: Folder, snapshot: Snapshot, missing: list[File]) -> list[File]:
        self.replaced, compared = self._client.fetch(snapshot.files, missing, self._revision)
        if missing and (compared or self._was_listed(missing, snapshot.commit)):
            return [file for file in missing if file.size > SMALL]
        return []

    def _was_listed(self, files: list[File], commit: str) -> bool:
        """Whether what the client compared with has these files.

        Yes if the revision is a commit, or is the same after the download as before. No if the
        hub does not answer, as to a token that has expired. All is here then, and is read instead.
        """
        return self._revision == commit or set(files) <= set(self._listed_now())

    def _listed_now(self) -> list[File]:
        """Return the files as the hub lists them now; none if it does not."""
        deadline = time.monotonic() + AFTERWARDS_SECONDS
        while True:
            try:
                return self._hub.read().files
            except RefusedError:
                return []
            except ProblemError:
                if time.monotonic() > deadline:
                    return []
            time.sleep(AFTERWARDS_PAUSE)


class FolderSource(Source):
    """A folder with a manifest on the host, whose files are copied."""

    def __init__(self, listing: Listing, path: str) -> None:
        self.listing = listing
        self._path = path

    def require(self, folder: Folder, snapshot: Snapshot, found: Comparison) -> None:
        if is_linkable(self._path, folder.path):
            require_space(folder.path, "dir")
        else:
            super().require(folder, snapshot, found)
        manifest = Folder(self._path).manifest
        other = sorted(
            file.path for file in set(found.wrong) - set(manifest.snapshot.files if manifest else [])
        )
        if other:
            raise ProblemError(
                f"{self._path} has other files than those that the hosts use ({snapshot}): {shortened(other)}",
                "one folder for all hosts",
                f"Copy the folder that the other hosts were filled from to this one, or remove {MANIFEST} from "
                "O(dir) on all hosts to change to the weights in this folder",
            )

    def fetch(self, folder: Folder, snapshot: Snapshot, missing: list[File]) -> list[File]:
        folder.copy_from(self._path, missing)
        return missing


class NoSource(Source):
    """Nothing is fetched: the files that a server reads must be there."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing

    def needed(self, snapshot: Snapshot, found: Comparison) -> Snapshot:
        unneeded = {file for file in found.wrong if not is_served(file.path)}
        return snapshot._replace(files=[file for file in snapshot.files if file not in unneeded])

    def require(self, folder: Folder, snapshot: Snapshot, found: Comparison) -> None:
        if not found.wrong:
            return
        differing = [file.path for file in found.wrong if os.path.lexists(folder.join(file.path))]
        missing = [file.path for file in found.wrong if file.path not in differing]
        parts = (("wrong size or SHA-256", differing), ("missing", missing))
        raise ProblemError(
            "; ".join(f"{name} in {folder.path}: {shortened(paths)}" for name, paths in parts if paths),
            f"all files as {self.listing.origin} lists them",
            "Copy these files to the host again, have them fetched (O(fetch)), or, if vLLM does not need them, leave "
            "them out (O(exclude))",
        )
