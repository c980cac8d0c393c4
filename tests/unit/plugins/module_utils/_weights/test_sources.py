# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import sources
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import Fetched
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Comparison
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Request,
    Snapshot,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import RefusedError

FILES = [File("config.json", 2, "a"), File("model.safetensors", sources.SMALL + 1, "b")]


REQUEST = Request("owner/name", "master", Choice(["*"], []))
COMMIT = "1" * 40


class Revisions:
    """A hub with these revisions, which refuses some of the next questions."""

    endpoint = "http://hub"

    def __init__(self, refusals: int = 0, **files: list[File]) -> None:
        self.refusals, self.files = refusals, files
        self.refusal, self.asked = ProblemError, 0

    def try_out(self, repo: str, revision: str, path: str) -> None:
        pass

    def log_in(self) -> None:
        pass

    def snapshot(self, repo: str, revision: str) -> Snapshot:
        self.refusals, self.asked = self.refusals - 1, self.asked + 1
        if self.refusals >= 0:
            raise self.refusal("the hub answers HTTP 503", "a listing", "Run again later")
        if revision not in self.files:
            raise ProblemError(f"{repo} has no revision {revision}", "a revision", "Correct it")
        return Snapshot("", self.files[revision])


def source_of(
    hub: Revisions, folder: Path, compared: bool = False, fanout: object = None
) -> sources.HubSource:
    """Return a source whose client *compared* what it fetched, or does not tell."""
    fetched = Fetched(replaced=[], compared=compared)
    client = SimpleNamespace(fanout=fanout, fetch=lambda files, missing, revision: fetched)
    listing = sources.HubListing(hub, REQUEST)
    return sources.HubSource(listing, listing, client, str(folder))


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
    snapshot = Snapshot("", FILES)
    hub = Revisions(master=FILES)
    source, folder = source_of(hub, tmp_path), Folder(str(tmp_path))
    source.require(folder, snapshot, Comparison([], [], FILES))
    hub.refusals, hub.files["master"] = refusals, files
    assert source.fetch(folder, snapshot, FILES) == compared


@pytest.mark.parametrize(
    ("by_client", "trusted", "asked"),
    [(True, FILES[1:], 0), (False, [], 1)],
    ids=["by the client", "unknown"],
)
def test_a_token_that_expired_after_the_last_byte_is_not_waited_for(
    by_client: bool, trusted: list[File], asked: int, tmp_path: Path
):
    hub = Revisions(master=FILES)
    source, folder = source_of(hub, tmp_path, by_client), Folder(str(tmp_path))
    source.require(folder, Snapshot("", FILES), Comparison([], [], FILES))
    hub.refusals, hub.refusal, before = 10**9, RefusedError, hub.asked
    assert source.fetch(folder, Snapshot("", FILES), FILES) == trusted
    assert hub.asked - before == asked


@pytest.mark.parametrize(("fanout", "begins"), [(None, 0), ("with others", 1)])
def test_a_client_is_started_when_it_is_needed_and_for_other_hosts_at_once(
    fanout: object, begins: int, tmp_path: Path
):
    started = []
    client = SimpleNamespace(fanout=fanout, start=lambda: started.append(1))
    listing = sources.HubListing(Revisions(master=FILES), REQUEST)
    source = sources.HubSource(listing, listing, client, str(tmp_path))
    source.start()
    assert len(started) == begins
    source.open()
    assert len(started) == begins + 1


OTHER = [FILES[0]._replace(sha256="c"), FILES[1]]


@pytest.mark.parametrize(
    ("hub", "expected", "revision"),
    [
        ({"master": FILES}, FILES, "master"),
        ({"master": OTHER}, FILES[1:], "master"),
        ({"master": OTHER, COMMIT: FILES}, FILES, COMMIT),
    ],
    ids=["as it was", "moved, but not this file", "moved"],
)
def test_files_come_from_the_branch_or_if_it_has_moved_from_the_commit(
    hub: dict[str, list[File]], expected: list[File], revision: str, tmp_path: Path
):
    listing = sources.HubListing(Revisions(**hub), REQUEST)
    assert listing.revision_with(expected, COMMIT) == revision


@pytest.mark.parametrize(
    ("hub", "commit", "says"),
    [
        ({"master": OTHER}, COMMIT, f"has no revision {COMMIT}"),
        ({"master": OTHER, COMMIT: OTHER}, COMMIT, f"its commit {COMMIT} has other files"),
        ({"master": OTHER}, "", "which commit had config.json, model.safetensors is unknown"),
    ],
)
def test_files_that_the_hub_has_no_more_are_refused(hub: dict[str, list[File]], commit: str, says: str):
    listing = sources.HubListing(Revisions(**hub), REQUEST)
    with pytest.raises(ProblemError) as caught:
        listing.revision_with(FILES, commit)
    assert says in caught.value.problem.found


def test_other_hosts_of_a_fan_out_may_have_what_the_hub_has_no_more(tmp_path: Path):
    hub, found = Revisions(master=OTHER), Comparison([], [], FILES)
    with pytest.raises(sources.MovedError):
        source_of(hub, tmp_path).require(Folder(str(tmp_path)), Snapshot(COMMIT, FILES), found)
    source = source_of(hub, tmp_path, fanout="with others")
    source.require(Folder(str(tmp_path)), Snapshot(COMMIT, FILES), found)
    assert "has changed on the hub" in source.unreached.problem.found
