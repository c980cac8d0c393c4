# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the Hugging Face Hub, or a mirror of it, which files a revision has.

The API: https://huggingface.co/docs/hub/api. Its listing has the SHA-256 of large files, and of the others the
SHA-1 with which Git names their content. Those are small, so they are fetched with the listing and hashed.
"""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re
from typing import Any
from urllib.parse import quote

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    NOT_FETCHED,
    SHA256,
    File,
    Snapshot,
    bad_entry,
    require_plain,
    require_size,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import (
    NOT_SHOWN,
    SUCCESS,
    Reply,
    Server,
    proxies,
)

SMALL = 32 << 20  # Hugging Face takes larger files with Git LFS only, and those have a SHA-256
READERS = 8  # small files read at a time
MOST_ENTRIES, MOST_PAGES = 10_000, 100  # of a listing: a page has up to 1000 entries
COMMIT = re.compile(r"[0-9a-f]{40,64}")


class HuggingFace(Server):
    """The Hugging Face Hub or a mirror."""

    def url(self, repo: str) -> str:
        return f"{self.endpoint}/{quote(repo)}/resolve/{{revision}}/{{path}}"

    def _snapshot(self, repo: str, revision: str) -> Snapshot:
        base = f"/api/models/{quote(repo)}"
        commit = self._json(repo, revision, f"{base}/revision/{quote(revision, safe='')}").json()["sha"]
        if not COMMIT.fullmatch(commit):
            raise ValueError(f"sha is {commit[:50]!r}")
        entries = [
            entry
            for entry in self._entries(repo, revision, f"{base}/tree/{commit}?recursive=true")
            if entry.get("type") != "directory"
            and posixpath.basename(str(entry.get("path"))) not in NOT_FETCHED
        ]
        jobs = [functools.partial(self._file, repo, commit, entry) for entry in entries]
        return Snapshot(commit, commands.side_by_side(jobs, READERS))

    def _entries(self, repo: str, revision: str, page: str) -> list[dict[str, Any]]:
        """Return what the listing has on *page* and on those that follow it."""
        entries: list[dict[str, Any]] = []
        for _page in range(MOST_PAGES):
            answer = self._json(repo, revision, page)
            entries += answer.json()
            following = str(answer.links.get("next", {}).get("url", ""))
            if "/api/" not in following or len(entries) > MOST_ENTRIES:
                break
            page = following[following.index("/api/") :]
        else:
            raise ValueError(f"more than {MOST_PAGES} pages")
        if len(entries) > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES} entries")
        return entries

    def _file(self, repo: str, commit: str, entry: dict[str, Any]) -> File:
        path, large = str(entry.get("path") or ""), entry.get("lfs")
        require_plain(path)
        size = require_size(path, entry.get("size"))
        digest = str((large or {}).get("oid") or "")
        if SHA256.fullmatch(digest):
            return File(path, size, digest)
        if large or size > SMALL:
            raise bad_entry(path, f"with the hash {digest!r}", "a SHA-256 to verify the file with")
        return File(path, size, self._hash(repo, commit, path, str(entry.get("oid"))))

    def _hash(self, repo: str, commit: str, path: str, expected: str) -> str:
        """Return the SHA-256 of a small file, whose name in Git is *expected*."""
        where = f"/{quote(repo)}/resolve/{commit}/{quote(path)}"
        answer = self.ask("GET", where, allow_redirects=True)
        content = answer.content
        found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if answer.status_code != SUCCESS or found != expected:
            raise ProblemError(
                f"{self.endpoint}{where} answers HTTP {answer.status_code}, with the Git hash {found}",
                f"the file with the Git hash {expected}, as {self.endpoint} lists it",
                f"Check the connection to it ({proxies()}). If it is the hub, run again later",
            )
        return hashlib.sha256(content).hexdigest()

    def _json(self, repo: str, revision: str, path: str) -> Reply:
        """Return an answer of the API that has JSON."""
        answer = self.ask("GET", path, allow_redirects=True)
        code, message = answer.headers.get("X-Error-Code", ""), answer.headers.get("X-Error-Message", "")
        said = f"HTTP {answer.status_code}" + (f", {code}: {message}" if code or message else "")
        if code == "RevisionNotFound":
            raise ProblemError(
                f"{repo} has no revision {revision!r} on {self.endpoint} ({said})",
                "a branch, a tag or a commit",
                "Correct O(revision); its branch is `main` on Hugging Face",
            )
        if answer.status_code in NOT_SHOWN:
            raise self._not_shown(repo, answer.status_code, said)
        if answer.status_code != SUCCESS or "json" not in answer.headers.get("Content-Type", ""):
            raise ProblemError(
                f"{self.endpoint} answers {said}, asked to list {repo}",
                "the answer of a Hugging Face hub",
                f"Check O(endpoint) and O(hub), and the connection to it ({proxies()}). "
                "If it is the hub, run again later",
            )
        return answer
