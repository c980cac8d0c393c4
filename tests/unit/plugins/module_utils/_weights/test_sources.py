# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import sources
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import RefusedError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File, Snapshot

FILES = [File("config.json", 2, "a"), File("model.safetensors", sources.SMALL + 1, "b")]


class Answers(sources.Listing):
    """A hub that refuses some questions after the last byte."""

    def __init__(self, refusals: int, files: list[File]) -> None:
        self.refusals, self.files = refusals, files

    def read(self) -> Snapshot:
        self.refusals -= 1
        if self.refusals >= 0:
            raise ProblemError("the hub answers HTTP 503", "a listing", "Run again later")
        return Snapshot("", self.files)


@pytest.mark.parametrize(
    ("refusals", "seconds", "files", "compared"),
    [
        (0, 300, FILES, FILES[1:]),
        (3, 300, FILES, FILES[1:]),
        (10**9, 0.1, FILES, []),
        (0, 300, [FILES[0], File("model.safetensors", FILES[1].size, "c")], []),
    ],
    ids=["listed", "listed at last", "refused for good", "changed"],
)
def test_a_question_after_the_last_byte_never_ends_the_download(
    refusals: int,
    seconds: float,
    files: list[File],
    compared: list[File],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setattr(sources, "AFTERWARDS_SECONDS", seconds)
    monkeypatch.setattr(sources, "AFTERWARDS_PAUSE", 0.01)
    client = SimpleNamespace(fanout=None, fetch=lambda files, missing: False)
    source = sources.HubSource(Answers(refusals, files), client, str(tmp_path))
    assert source.fetch(Folder(str(tmp_path)), FILES, FILES) == compared


class Expired(sources.Listing):
    """A hub that refuses the token by now."""

    asked = 0

    def read(self) -> Snapshot:
        self.asked += 1
        raise RefusedError("the hub refuses the token", "a valid one", "Create one")


@pytest.mark.parametrize(
    ("compared", "trusted", "asked"), [(True, FILES[1:], 0), (False, [], 1)], ids=["by the client", "unknown"]
)
def test_a_token_that_expired_after_the_last_byte_is_not_waited_for(
    compared: bool, trusted: list[File], asked: int, tmp_path: Path
):
    client = SimpleNamespace(fanout=None, fetch=lambda files, missing: compared)
    listing = Expired()
    source = sources.HubSource(listing, client, str(tmp_path))
    assert source.fetch(Folder(str(tmp_path)), FILES, FILES) == trusted
    assert listing.asked == asked
