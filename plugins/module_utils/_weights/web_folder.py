# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder on any HTTP server, with a file SHA256SUMS next to the weights."""

from __future__ import annotations

import functools
import re

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    SUMS,
    Snapshot,
    parse_checksums,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import SUCCESS, Server, proxies

ASKERS = 8  # sizes asked for at a time
PARTIAL, NOT_SATISFIABLE = 206, 416


class WebFolder(Server):
    """The folder at the URL. It has one revision, whatever that is called.

    A token that begins with a question mark is the signature of a pre-signed folder: a query that each URL gets.
    """

    def url(self, repo: str) -> str:
        query = self._token.replace("{", "{{").replace("}", "}}") if self._is_signed() else ""
        return f"{self.endpoint}/{{path}}{query}"

    def headers(self) -> dict[str, str]:
        return {} if self._is_signed() else super().headers()

    def _snapshot(self, repo: str, revision: str) -> Snapshot:
        answer = self.ask("GET", self._path(repo, revision, SUMS), allow_redirects=True)
        if answer.status_code != SUCCESS:
            raise ProblemError(
                f"{self.endpoint}/{SUMS} is answered with HTTP {answer.status_code}",
                "lines as `sha256sum` writes them, for all files of the folder",
                "Create it with `sha256sum` in that folder, or correct O(endpoint) and O(token)",
            )
        found = parse_checksums(answer.content, lambda path: None)
        jobs = [functools.partial(self._size, file.path) for file in found.files]
        sizes = commands.side_by_side(jobs, ASKERS)
        return Snapshot("", [file._replace(size=size) for file, size in zip(found.files, sizes)])

    def _is_signed(self) -> bool:
        return self._token.startswith("?")

    def _size(self, path: str) -> int:
        """Return the size of a file. Not every server answers HEAD, so it is asked for a byte."""
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
        answer = self.ask("GET", self._path("", "", path), read=False, allow_redirects=True, headers=headers)
        if answer.status_code == SUCCESS and answer.headers.get("Content-Length", "").isdigit():
            return int(answer.headers["Content-Length"])
        whole = re.fullmatch(r"bytes (?:0-0|\*)/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status_code in (PARTIAL, NOT_SATISFIABLE) and whole:
            return int(whole[1])
        raise ProblemError(
            f"{self.endpoint}/{path} is answered with HTTP {answer.status_code}",
            f"a file, as {SUMS} lists it, with its size",
            f"Put it there, or correct {SUMS}. Check the connection to it ({proxies()})",
        )
