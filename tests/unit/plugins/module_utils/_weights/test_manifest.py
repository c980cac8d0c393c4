# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Hashed, Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Request,
    Snapshot,
    is_plain,
)
from hypothesis import given
from hypothesis import strategies as st

CONFIG = File("config.json", 10, "1" * 64)
HEAD = "83ee97c66e841048bedc5c02c15ce2f3ed259feb"
REQUEST = Request("org/model", "master", Choice(["*"], []))
FILES = st.builds(File, st.text(), st.integers(0), st.text("0123456789abcdef", min_size=64, max_size=64))


def written(files: list[File], **own: str) -> str:
    """Return a manifest of *files*, of which those named in *own* have this hash."""
    stats = {file.path: Stat(file.size, 7) for file in files}
    hashed = {path: Hashed(stats[path], digest) for path, digest in own.items()}
    content = manifest.Manifest("https://hub.example", REQUEST, Snapshot(HEAD, files), hashed)
    return manifest.render(content, stats, "2026-01-01T00:00:00Z")


@given(st.lists(FILES.filter(lambda file: is_plain(file.path)), min_size=1, unique_by=lambda file: file.path))
def test_a_manifest_is_read_as_it_was_written(files: list[File]):
    found = manifest.parse(written(files))
    assert found
    assert (found.endpoint, found.request) == ("https://hub.example", REQUEST)
    assert found.snapshot == Snapshot(HEAD, files)
    assert found.hashed == {file.path: Hashed(Stat(file.size, 7), file.sha256) for file in files}


def test_an_edited_file_is_recorded_beside_what_was_listed():
    found = manifest.parse(written([CONFIG._replace(path="config")], config="2" * 64))
    assert found
    assert found.snapshot.files[0].sha256 == CONFIG.sha256
    assert found.hashed["config"].sha256 == "2" * 64


def test_a_file_that_is_as_it_was_listed_is_recorded_once():
    entry = json.loads(written([CONFIG._replace(path="config")], config=CONFIG.sha256))["files"][0]
    assert set(entry) == {"path", "size", "sha256", "mtime_ns"}


@pytest.mark.parametrize("commit", [None, ""])
def test_a_commit_that_is_not_known_is_empty(commit: str | None):
    found = manifest.parse(json.dumps({**json.loads(written([CONFIG])), "commit": commit}))
    assert found
    assert found.snapshot.commit == ""


def test_a_manifest_covers_its_revision_and_its_commit():
    found = manifest.parse(written([CONFIG]))
    assert found
    assert found.covers(REQUEST)
    assert found.covers(REQUEST._replace(revision=HEAD))
    assert not found.covers(REQUEST._replace(revision="v1.0"))
    assert not found.covers(REQUEST._replace(repo="org/other"))
    assert not found.covers(REQUEST._replace(choice=Choice(["*"], ["figures/*"])))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        written([CONFIG])[:-40],
        written([]),
        written([File("../config.json", 10, "1" * 64)]),
        json.dumps(dict(json.loads(written([CONFIG])), format=2)),
        json.dumps({**json.loads(written([CONFIG])), "files": [{"path": "config.json"}]}),
    ],
)
def test_a_damaged_manifest_is_none(text: str):
    assert manifest.parse(text) is None
