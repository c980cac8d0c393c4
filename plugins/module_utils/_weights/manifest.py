# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest next to the weights: what an earlier run verified."""

from __future__ import annotations

import json
from typing import Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Hashed, Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Request,
    Snapshot,
    is_plain,
)

FORMAT = 1


class Manifest(NamedTuple):
    """The request that was fulfilled, the files, and their hashes with the stats they had."""

    endpoint: str
    request: Request
    snapshot: Snapshot
    hashed: dict[str, Hashed]

    def covers(self, request: Request) -> bool:
        """Whether it has the files of *request*. The endpoint does not matter: mirrors hold the same."""
        return (
            self.request.repo == request.repo
            and request.revision in (self.request.revision, self.snapshot.commit)
            and self.request.choice == request.choice
        )


def render(manifest: Manifest, on_disk: Mapping[str, Stat], verified: str) -> str:
    """Return the text of a manifest. All files of its snapshot have been verified, at the time *verified*.

    Edited files, which have another hash than was listed, are recorded with both hashes.
    """
    request, snapshot, hashed = manifest.request, manifest.snapshot, manifest.hashed
    edited = {
        file.path: {"own_size": on_disk[file.path].size, "own_sha256": hashed[file.path].sha256}
        for file in snapshot.files
        if file.path in hashed and hashed[file.path].sha256 != file.sha256
    }
    document = {
        "format": FORMAT,
        "endpoint": manifest.endpoint,
        "repo": request.repo,
        "revision": request.revision,
        **request.choice._asdict(),
        "commit": snapshot.commit,
        "verified": verified,
        "files": [
            {**file._asdict(), "mtime_ns": on_disk[file.path].mtime_ns, **edited.get(file.path, {})}
            for file in snapshot.files
        ],
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Manifest | None:
    """Return the manifest in *text*; None if it is damaged or of another format."""
    try:
        document = json.loads(text)
        files = [
            File(str(entry["path"]), int(entry["size"]), str(entry["sha256"])) for entry in document["files"]
        ]
        hashed = {
            str(entry["path"]): Hashed(
                Stat(int(entry.get("own_size", entry["size"])), int(entry["mtime_ns"])),
                str(entry.get("own_sha256", entry["sha256"])),
            )
            for entry in document["files"]
        }
        choice = Choice(list(document["include"]), list(document["exclude"]))
        request = Request(str(document["repo"]), str(document["revision"]), choice)
        endpoint, commit = str(document["endpoint"]), str(document.get("commit") or "")
        sound = document["format"] == FORMAT and files and all(is_plain(file.path) for file in files)
    except (ValueError, KeyError, TypeError):
        return None
    return Manifest(endpoint, request, Snapshot(commit, files), hashed) if sound else None
