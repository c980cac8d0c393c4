# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights come from: listings say what the files must be, sources bring them."""

from __future__ import annotations

import os
import time

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import Client
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Comparison
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder, require_space
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import Hub, RefusedError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Choice,
    File,
    Request,
    Snapshot,
    parse_checksums,
    total,
)

# A question after the last byte is repeated for so long: reading all files takes longer.
AFTERWARDS_SECONDS = 300
AFTERWARDS_PAUSE = 10
IN_REPOSITORY = 1 << 20  # up to this size, a file comes from the hub itself, and not from its CDN
SMALL = 64 << 20  # up to this size, reading a file again costs nothing


class Listing:
    """Says which files there must be, with their hashes."""

    origin: str  # as messages call it

    def read(self) -> Snapshot:
        """Return the files of the request. Raises ProblemError if it cannot be fulfilled."""
        raise NotImplementedError

    def try_out(self, file: File) -> None:
        """Raise ProblemError if the host that has the content of *file* cannot be reached."""


class HubListing(Listing):
    """The listing of a hub, read with its token."""

    def __init__(self, hub: Hub, request: Request) -> None:
        self.origin = hub.endpoint
        self._hub, self._request = hub, request

    def read(self) -> Snapshot:
        self._hub.log_in()
        snapshot = self._hub.snapshot(self._request.repo, self._request.revision)
        return snapshot.chosen(self._request.choice)

    def try_out(self, file: File) -> None:
        self._hub.try_out(self._request.repo, self._request.revision, file.path)


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


class ChecksumListing(Listing):
    """A file on the host as ``sha256sum`` writes it. It names no sizes: those on the disk are taken."""

    def __init__(self, path: str, folder: Folder, choice: Choice) -> None:
        self.origin = path
        self._folder, self._choice = folder, choice

    def read(self) -> Snapshot:
        try:
            with open(self.origin, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError as error:
            raise ProblemError(
                f"the checksum file {self.origin} cannot be read: {error.strerror}",
                "lines as sha256sum writes them",
                "Copy it to the host, or correct O(checksums)",
            ) from None
        return parse_checksums(text, self._size).chosen(self._choice)

    def _size(self, path: str) -> int | None:
        path = self._folder.join(path)
        return os.stat(path).st_size if os.path.isfile(path) else None


class Source:
    """Brings files that a listing names into a folder."""

    listing: Listing
    shares = False  # whether other hosts depend on this one, even if it has all files itself

    def start(self) -> None:
        """Begin what takes as long as the comparison of the files does."""

    def require(self, folder: Folder, found: Comparison) -> None:
        """Raise ProblemError, before anything is changed, if the files that are wrong cannot be fetched."""
        needed = total(found.wrong) - folder.bytes_present(found.wrong)
        require_space(folder.path, "dir", needed)

    def open(self) -> None:
        """Raise ProblemError, before anything is changed, if there is nothing on the host to fetch with."""

    def fetch(self, folder: Folder, files: list[File], missing: list[File]) -> list[File]:
        """Fetch *missing*, of *files*, and return those whose hash was compared on arrival."""
        raise NotImplementedError


class HubSource(Source):
    """A ModelScope hub, read by its own client, which compares hashes on arrival."""

    def __init__(self, listing: Listing, client: Client, cache_dir: str) -> None:
        self.listing = listing
        self.shares = client.fanout is not None
        self._client, self._cache_dir = client, cache_dir

    def start(self) -> None:
        if self.shares:  # the other hosts wait for it, and may need what is already here
            self.open()

    def open(self) -> None:
        self._client.start()

    def require(self, folder: Folder, found: Comparison) -> None:
        super().require(folder, found)
        require_space(self._cache_dir, "cache_dir")
        shards = [file for file in found.wrong if file.size > IN_REPOSITORY]
        if shards:
            self.listing.try_out(shards[0])

    def fetch(self, folder: Folder, files: list[File], missing: list[File]) -> list[File]:
        compared = self._client.fetch(files, missing)
        # Else a listing that is the same as before the download is what the client compared with.
        if missing and (compared or self._listed_now() == files):
            return [file for file in missing if file.size > SMALL]
        return []

    def _listed_now(self) -> list[File] | None:
        """Return the files as the hub lists them now.

        None if it does not, as to a token that has expired. All is here then, and is read instead.
        """
        deadline = time.monotonic() + AFTERWARDS_SECONDS
        while True:
            try:
                return self.listing.read().files
            except RefusedError:
                return None
            except ProblemError:
                if time.monotonic() > deadline:
                    return None
            time.sleep(AFTERWARDS_PAUSE)


class FolderSource(Source):
    """A folder with a manifest on the host, whose files are copied."""

    def __init__(self, listing: Listing, path: str) -> None:
        self.listing = listing
        self._path = path

    def fetch(self, folder: Folder, files: list[File], missing: list[File]) -> list[File]:
        folder.copy_from(self._path, missing)
        return missing


class NoSource(Source):
    """Nothing is fetched: the files must be there."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing

    def require(self, folder: Folder, found: Comparison) -> None:
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
