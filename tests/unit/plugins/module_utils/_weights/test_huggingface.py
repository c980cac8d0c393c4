# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings of a hub that answers as Hugging Face does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import huggingface
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.huggingface import HuggingFace
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import RefusedError
from huggingface_standin import HuggingFaceHub

REPO = "me/Small-0.6B"
CONTENTS = {
    "config.json": b"{}",
    "sub/a b.json": b"[1]",
    "model.safetensors": b"weights",
    ".gitattributes": b"x",
}


@pytest.fixture(name="hub")
def serving_hub() -> Iterator[HuggingFaceHub]:
    with HuggingFaceHub(REPO, dict(CONTENTS)).serving() as hub:
        yield hub


def test_all_pages_are_read_and_each_file_has_its_sha256(hub):
    found = HuggingFace(hub.url + "/", "").snapshot(REPO, "main")
    assert found.commit == "a" * 40
    expected = {path: hashlib.sha256(CONTENTS[path]).hexdigest() for path in CONTENTS if path[0] != "."}
    assert {file.path: file.sha256 for file in found.files} == expected
    assert {file.path: file.size for file in found.files} == {path: len(CONTENTS[path]) for path in expected}


@pytest.mark.parametrize(
    ("repo", "revision", "said"), [(REPO, "v9", "has no revision 'v9'"), ("me/none", "main", "does not show")]
)
def test_what_the_hub_does_not_have(hub, repo, revision, said):
    with pytest.raises(ProblemError, match=said) as caught:
        HuggingFace(hub.url, "").snapshot(repo, revision)
    assert isinstance(caught.value, RefusedError) is (repo != REPO)
    assert "NotFound" in str(caught.value)


@pytest.mark.parametrize(
    ("token", "said", "option"),
    [
        ("", "without a token", "Set O(token), which is empty"),
        ("wrong", "with this token", "O(token) may read it"),
    ],
)
def test_a_token_that_is_missing_or_wrong(hub, token, said, option):
    hub.token = "right"
    with pytest.raises(RefusedError, match=said) as refused:
        HuggingFace(hub.url, token).snapshot(REPO, "main")
    assert option in refused.value.problem.remedy
    assert HuggingFace(hub.url, "right").snapshot(REPO, "main").files


def test_a_small_file_that_is_another_one_is_refused(hub):
    class Changing(dict[str, bytes]):
        """A repository whose small file changes after it was listed."""

        def get(self, path: str, default: Any = None) -> Any:
            return b"[]" if path == "config.json" else super().get(path, default)

    hub.commits["a" * 40] = Changing(CONTENTS)
    with pytest.raises(ProblemError, match=r"config\.json answers HTTP 200, with the Git hash"):
        HuggingFace(hub.url, "").snapshot(REPO, "main")


def test_a_large_file_without_a_sha256_is_refused(hub, monkeypatch):
    monkeypatch.setattr(huggingface, "SMALL", 2)
    with pytest.raises(ProblemError, match=r"a b\.json"):
        HuggingFace(hub.url, "").snapshot(REPO, "main")


def test_what_is_no_hub_is_told(hub):
    class Page(HuggingFace):
        """A hub behind something that answers with a page."""

        def ask(self, method: str, path: str, **options: Any) -> Any:
            answer = super().ask(method, path, **options)
            answer.headers["Content-Type"] = "text/html"
            return answer

    with pytest.raises(ProblemError, match=r"answers HTTP 200, asked to list"):
        Page(hub.url, "").snapshot(REPO, "main")


def test_the_url_of_a_file_has_places_for_revision_and_path():
    assert HuggingFace("http://hub/", "").url("a b/c") == "http://hub/a%20b/c/resolve/{revision}/{path}"
