# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's files in a folder: compare, fetch, verify, record."""

from __future__ import annotations

import os
from typing import Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.background import Report
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import RUN_AGAIN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Comparison
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Request, Snapshot, total
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.shards import (
    INDEX,
    require_indexed,
    require_whole,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.sources import Source


class Download:
    """The way from a request to a verified folder with a manifest, in four steps."""

    def __init__(
        self, endpoint: str, request: Request, folder: Folder, source: Source, keep: Sequence[str] = ()
    ) -> None:
        """*keep* are patterns of small files that may have been edited, and then stay as they are."""
        self._keep = keep
        self.request, self.folder, self.source = request, folder, source
        self._endpoint = endpoint  # for the manifest
        self.listed = Snapshot("", [])  # the files as the listing has them
        self.snapshot = Snapshot("", [])  # the same, with those that were edited as they are
        self.found = Comparison([], [], [])
        self.is_known = False  # whether the snapshot is that of the manifest
        self.recorded = False  # whether the manifest has all that there is to record
        self.verified_files = 0  # files that had to be read, or still have to be
        self.differing: list[str] = []  # files that were there and are wrong

    def run(self, report: Report, reread: bool = False) -> None:
        """Do all steps. *report* takes the progress; with *reread* the manifest's hashes are not trusted."""
        self.source.start()
        self.compare(report, reread)
        self.fetch(report)
        self.verify(report)
        self.record()

    def compare(self, report: Report | None = None, reread: bool = False) -> None:
        """Compare the folder with its manifest, and if there is none for the request, with the listing.

        Files that differ from the manifest are compared with the listing too, unless the source can bring them
        as the manifest has them.

        Changes nothing. Without *report* no file is read; those that would have to be are unread in *found*.
        Raises ProblemError if the source cannot fetch what is wrong, or if the manifest cannot be written.
        """
        manifest = self.folder.manifest
        if manifest and manifest.covers(self.request) and self.source.listing.confirms(manifest.snapshot):
            unread = self.folder.compare(manifest.snapshot.files).unread
            if reread:
                self.folder.hashed = {}
            self._compare_with(manifest.snapshot, report)
            self.recorded = not unread and self.folder.hashed.items() <= manifest.hashed.items()
            self.is_known = True
        is_new = not self.snapshot.files
        if is_new or (self.found.wrong and not self.source.keeps_revision):
            is_new, self.is_known = True, False
            self._compare_with(self.source.listing.read(), report)
        if is_new or self.found.wrong:
            self.recorded = False
            self.source.require(self.folder, self.snapshot, self.found)
        if not self.recorded:  # a manifest will be written, after all files were read
            self.folder.require_place_for_manifest()
        self.verified_files = self.folder.verified + len(self.found.unread)
        paths = [file.path for file in self.found.wrong]
        self.differing = [path for path in paths if os.path.lexists(self.folder.join(path))]

    def _compare_with(self, snapshot: Snapshot, report: Report | None) -> None:
        with_own = self.folder.with_own(snapshot, self._keep)
        found = self.folder.compare(with_own.files, report)
        self.snapshot = self.source.needed(with_own, found)
        self.found = found._replace(wrong=[file for file in found.wrong if file in self.snapshot.files])
        paths = {file.path for file in self.snapshot.files}
        self.listed = snapshot._replace(files=[file for file in snapshot.files if file.path in paths])

    def fetch(self, report: Report) -> None:
        """Fetch the files that are wrong, and stay until other hosts that depend on this one have theirs."""
        missing = self.found.wrong
        if not missing and not self.source.shares:
            return
        self.source.open()
        os.makedirs(self.folder.path, exist_ok=True)
        self.folder.remove(missing)
        all_bytes = total(missing)

        def progress() -> dict[str, object]:
            done = self.folder.bytes_present(missing)
            stage = "fetched" if done < all_bytes else "complete, serving other hosts;"
            return {"stage": stage, "done": done, "all": all_bytes}

        report(progress)
        self.folder.mark_verified(self.source.fetch(self.folder, self.snapshot, missing))
        for path in self.source.replaced:
            self.folder.hashed.pop(path, None)
            self.differing.append(path)
            self.recorded = False

    def verify(self, report: Report) -> None:
        """Read what was not compared on arrival.

        Raises ProblemError for a wrong file, or for a shard that the index names and the listing does not.
        """
        if self.recorded:
            return
        wrong = self.folder.compare(self.snapshot.files, report).wrong
        if wrong:
            self.folder.remove(wrong)
            raise ProblemError(
                f"fetched, but not as listed, and removed: {shortened([file.path for file in wrong])}",
                ", ".join(
                    f"{file.path} with {file.size} bytes and SHA-256 {file.sha256}" for file in wrong[:3]
                ),
                RUN_AGAIN,
            )
        paths = [file.path for file in self.snapshot.files]
        if INDEX in paths:
            require_indexed(self.folder.read(INDEX), paths)
        require_whole(self.folder.path, paths)

    def record(self) -> None:
        """Write the manifest."""
        if not self.recorded:
            self.folder.write_manifest(self._endpoint, self.request, self.listed)
