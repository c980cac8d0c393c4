# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import listing
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Snapshot,
    is_plain,
    parse_checksums,
    parse_listing,
    require_consistent,
)
from hypothesis import given
from hypothesis import strategies as st

CONFIG, SHARD = File("config.json", 10, "1" * 64), File("model-00001-of-00001.safetensors", 1 << 30, "2" * 64)
HEAD = "83ee97c66e841048bedc5c02c15ce2f3ed259feb"
OLDER = "f194f50981eaaa6019bbec5049a4c7e1fd294110"


def entry(path: str = "config.json", **other: Any) -> dict[str, Any]:
    return dict({"Path": path, "Type": "blob", "Size": 10, "Sha256": "1" * 64, "Revision": HEAD}, **other)


def answer(*entries: dict[str, Any], latest: Any = None) -> dict[str, Any]:
    return {"Files": list(entries), "LatestCommitter": latest}


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """Return the text of the problem that the call raises."""
    with pytest.raises(ProblemError) as error:
        call(*arguments)
    return str(error.value)


# The hub's listing


def test_folders_are_not_files():
    found = parse_listing(answer({"Path": "sub", "Type": "tree", "Size": 0}, entry("sub/config.json")))
    assert found
    assert found.files == [File("sub/config.json", 10, "1" * 64)]


@pytest.mark.parametrize("data", [{"Files": None}, {"Files": []}, {}])
def test_an_unknown_revision_has_no_files(data: dict[str, Any]):
    assert parse_listing(data) is None


@pytest.mark.parametrize(
    ("latest", "commit"),
    [
        ({"Id": "", "ShortId": HEAD[:8]}, HEAD),
        ({"Id": HEAD, "ShortId": HEAD[:8]}, HEAD),
        ({"Id": "", "ShortId": "0a0a0a0a"}, "0a0a0a0a"),  # it changed none of the files that are left
        (None, ""),
    ],
)
def test_the_commit_is_the_latest_one(latest: Any, commit: str):
    found = parse_listing(answer(entry("a", Revision=OLDER), entry("b"), latest=latest))
    assert found
    assert found.commit == commit


BAD_ENTRIES = {
    "path above the folder": (entry("../config.json"), "../config.json"),
    "absolute path": (entry("/etc/passwd"), "/etc/passwd"),
    "empty part": (entry("a//b"), "a//b"),
    "backslash": (entry("a\\b"), repr("a\\b")),
    "line break": (entry("a\nb"), repr("a\nb")),
    "no path": (entry(""), "''"),
    "the manifest": (entry(listing.MANIFEST), listing.MANIFEST),
    "symlink": (entry(Type="symlink"), "symlink"),
    "no hash": (entry(Sha256=""), "config.json"),
    "bad hash": (entry(Sha256="xyz"), "xyz"),
    "no size": (entry(Size=None), "None"),
    "negative size": (entry(Size=-1), "-1"),
    "a size that is none": (entry(Size=True), "True"),
    "a size of no disk": (entry(Size=10**30), "000"),
}


@pytest.mark.parametrize(("bad", "named"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_a_listing_with_a_bad_entry_is_refused(bad: dict[str, Any], named: str):
    assert named in refusal(parse_listing, answer(entry("weights.bin"), bad))


@pytest.mark.parametrize("key", ["Path", "Sha256", "Size"])
def test_a_listing_without_a_part_of_an_entry_is_refused(key: str):
    for bad in ({**entry(), key: None}, {name: value for name, value in entry().items() if name != key}):
        assert "the hub lists" in refusal(parse_listing, answer(bad))


LONG = "a" * 250
BAD_TOGETHER = {
    "twice": (["config.json", "config.json"], "twice"),
    "a file and a folder": (["a", "a/b"], "as a file and as a folder"),
    "a long name": ([LONG], "250"),
    "a long path": (["a/" * 2000 + "b"], "4001"),
    "the name of a part": (["a.bin", "a.bin.incomplete"], "until it is complete"),
    "none": ([], "no files"),
}


@pytest.mark.parametrize(("paths", "named"), BAD_TOGETHER.values(), ids=BAD_TOGETHER)
def test_files_that_cannot_be_in_one_folder_are_refused(paths: list[str], named: str):
    found = Snapshot("", [CONFIG._replace(path=path) for path in paths])
    assert named in refusal(require_consistent, "the listing of a/b", found)


def test_names_that_differ_in_case_or_accents_alone_are_different_files():
    require_consistent(
        "", Snapshot("", [CONFIG._replace(path=path) for path in ("A", "a", "\u00e9", "e\u0301")])
    )


def test_a_revision_with_gits_own_files_alone_exists():
    assert parse_listing(answer(entry(".gitattributes"))) == Snapshot("", [])


def test_a_listing_that_may_be_truncated_is_refused():
    entries = [entry(str(number)) for number in range(listing.LISTING_CAP)]
    assert "3000" in refusal(parse_listing, answer(*entries))


@given(st.text(alphabet="a./\\\n", max_size=12))
def test_a_plain_path_stays_below_its_folder(path: str):
    if is_plain(path):
        assert posixpath.normpath(posixpath.join("/models", path)) == "/models/" + path


# Selection of files


@pytest.mark.parametrize(
    ("include", "exclude", "selected"),
    [
        (["*"], [], ["config.json", "figures/a.png", "original/x/y.bin"]),
        (["*.json", "*.bin"], [], ["config.json", "original/x/y.bin"]),
        (["*"], ["original/*", "*.png"], ["config.json"]),
    ],
)
def test_patterns_select_files_by_the_whole_path(include: list[str], exclude: list[str], selected: list[str]):
    files = [File(path, 1, "1" * 64) for path in ("config.json", "figures/a.png", "original/x/y.bin")]
    chosen = Snapshot(HEAD, files).chosen(Choice(include, exclude))
    assert (chosen.commit, [file.path for file in chosen.files]) == (HEAD, selected)


def test_a_choice_of_nothing_is_refused():
    text = refusal(Snapshot(HEAD, [CONFIG, SHARD]).chosen, Choice(["*.gguf"], []))
    assert all(name in text for name in ("*.gguf", "O(include)"))


@pytest.mark.parametrize(
    ("include", "exclude"), [(["*"], ["*-00002-of-*"]), (["*.json", "*-0000[13]-of-*"], [])]
)
def test_a_choice_that_leaves_a_shard_out_is_refused_before_anything_is_fetched(
    include: list[str], exclude: list[str]
):
    shards = [File(f"model-{number:05}-of-00003.safetensors", 1, "1" * 64) for number in (1, 2, 3)]
    text = refusal(Snapshot("", [CONFIG, *shards]).chosen, Choice(include, exclude))
    assert "model-00002-of-00003.safetensors" in text
    assert "model-00001" not in text


# Checksum files


def test_a_checksum_file_is_read():
    text = f"{'1' * 64}  config.json\n{'A' * 64} *sub/two.bin\r\n{'2' * 64}  ./three four\n"
    files = [
        File("config.json", 5, "1" * 64),
        File("sub/two.bin", 5, "a" * 64),
        File("three four", 0, "2" * 64),
    ]
    assert parse_checksums(text.encode(), {"config.json": 5, "sub/two.bin": 5}.get) == Snapshot("", files)


ONE, OTHER = "1" * 64, "2" * 64
# Forms that are found beside weights, with the same meaning.
SUMS = {
    "no last line break": f"{ONE}  a".encode(),
    "a byte order mark": f"\ufeff{ONE}  a\n".encode(),
    "of PowerShell": f"{ONE}  a\r\n".encode("utf-16"),
    "capital letters": f"{'1' * 64}  a\n".upper().replace("A", "a").encode(),
    "comments and empty lines": f"# made with care\n\n{ONE}  a\n \n".encode(),
    "twice the same": f"{ONE}  a\n{ONE}  ./a\n".encode(),
    "sha256sum --tag": f"SHA256 (a) = {ONE}\n".encode(),
    "openssl dgst": f"SHA2-256(a)= {ONE}\n".encode(),
    "its own line": f"{ONE}  a\n{OTHER}  SHA256SUMS\n".encode(),
}


@pytest.mark.parametrize("content", SUMS.values(), ids=SUMS)
def test_a_checksum_file_has_many_forms(content: bytes):
    assert parse_checksums(content, lambda _path: 5).files == [File("a", 5, ONE)]


def test_a_checksum_file_with_two_hashes_of_a_file_is_refused():
    found = parse_checksums(f"{ONE}  a\n{OTHER}  a\n".encode(), lambda _path: 5)
    assert "twice" in refusal(require_consistent, "/models/SHA256SUMS", found)


BAD_SUMS = [
    "",
    "1234  a",
    f"{'1' * 64}  ../a",
    f"{'1' * 64}  /a",
    f"{'1' * 64} a",
    "# a",
    f"\\{'1' * 64}  a\\nb",
]


@pytest.mark.parametrize("text", BAD_SUMS)
def test_a_bad_checksum_file_is_refused(text: str):
    assert "sha256sum" in refusal(parse_checksums, text.encode(), lambda _path: 1)


def test_golden_messages(golden):
    shards = [File(f"model-{number:05}-of-00003.safetensors", 1, "1" * 64) for number in (1, 2, 3)]
    texts = {
        f"listing: {name}": refusal(parse_listing, answer(entry("weights.bin"), bad))
        for name, (bad, _named) in BAD_ENTRIES.items()
    }
    for name, (paths, _named) in BAD_TOGETHER.items():
        together = Snapshot("", [CONFIG._replace(path=path) for path in paths])
        texts[f"together: {name}"] = refusal(require_consistent, "the listing of a/b", together)
    texts["choice: nothing"] = refusal(Snapshot(HEAD, [CONFIG, SHARD]).chosen, Choice(["*.gguf"], []))
    texts["choice: a shard missing"] = refusal(Snapshot("", shards).chosen, Choice(["*"], ["*-00002-of-*"]))
    for text in BAD_SUMS[:2]:
        texts[f"checksums: {text!r}"] = refusal(parse_checksums, text.encode(), lambda _path: 1)
    golden("listing", texts)
