# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fnmatch
import json
import posixpath
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import weights
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.weights import (
    Choice,
    File,
    Hashed,
    Snapshot,
    Stat,
    Survey,
    WeightsError,
)
from hypothesis import given
from hypothesis import strategies as st

MANY = [File(f"shard-{number:02}", 1 << 20, "1" * 64) for number in range(12)]
ONE, TWO = File("config.json", 10, "1" * 64), File("model-00001-of-00001.safetensors", 1 << 30, "2" * 64)
SOURCE = {"endpoint": "https://hub.example", "repo": "org/model", "revision": "master"}
HEAD = "83ee97c66e841048bedc5c02c15ce2f3ed259feb"
OLDER = "f194f50981eaaa6019bbec5049a4c7e1fd294110"


def entry(path: str = "config.json", **other: Any) -> dict[str, Any]:
    return dict({"Path": path, "Type": "blob", "Size": 10, "Sha256": "1" * 64, "Revision": HEAD}, **other)


def listing(*entries: dict[str, Any], latest: Any = None) -> dict[str, Any]:
    return {"Files": list(entries), "LatestCommitter": latest}


# The hub's listing


def test_folders_are_no_files():
    found = weights.snapshot(listing({"Path": "sub", "Type": "tree", "Size": 0}, entry("sub/config.json")))
    assert found
    assert found.files == [File("sub/config.json", 10, "1" * 64)]


@pytest.mark.parametrize("data", [{"Files": None}, {"Files": []}, {}])
def test_an_unknown_revision_has_no_files(data: dict[str, Any]):
    assert weights.snapshot(data) is None


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
    found = weights.snapshot(listing(entry("a", Revision=OLDER), entry("b"), latest=latest))
    assert found
    assert found.commit == commit


BAD_ENTRIES = {
    "path above the folder": (entry("../config.json"), "../config.json"),
    "absolute path": (entry("/etc/passwd"), "/etc/passwd"),
    "empty part": (entry("a//b"), "a//b"),
    "backslash": (entry("a\\b"), repr("a\\b")),
    "line break": (entry("a\nb"), repr("a\nb")),
    "no path": (entry(""), "''"),
    "our manifest": (entry(weights.MANIFEST), weights.MANIFEST),
    "symlink": (entry(Type="symlink"), "symlink"),
    "no hash": (entry(Sha256=""), "config.json"),
    "bad hash": (entry(Sha256="xyz"), "xyz"),
    "no size": (entry(Size=None), "None"),
    "negative size": (entry(Size=-1), "-1"),
    "listed twice": (entry("weights.bin"), "weights.bin"),
}


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """Return the text of the error that the call raises."""
    with pytest.raises(WeightsError) as error:
        call(*arguments)
    return str(error.value)


def refused_entry(bad: dict[str, Any]) -> str:
    return refusal(weights.snapshot, listing(entry("weights.bin"), bad))


@pytest.mark.parametrize(("bad", "named"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_a_listing_that_must_not_be_followed_is_refused(bad: dict[str, Any], named: str):
    assert named in refused_entry(bad)


def test_a_listing_that_the_hub_may_have_cut_is_refused():
    entries = [entry(str(number)) for number in range(weights.LISTING_CAP)]
    assert "3000" in refusal(weights.snapshot, listing(*entries))


@given(st.text(alphabet="a./\\\n", max_size=12))
def test_a_plain_path_stays_below_its_folder(path: str):
    if weights.is_plain(path):
        assert posixpath.normpath(posixpath.join("/models", path)) == "/models/" + path


# Files that are wanted


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        (["*"], [], ["config.json", "figures/a.png", "original/x/y.bin"]),
        (["*.json", "*.bin"], [], ["config.json", "original/x/y.bin"]),
        (["*"], ["original/*", "*.png"], ["config.json"]),
    ],
)
def test_patterns_choose_files_by_the_whole_path(include: list[str], exclude: list[str], wanted: list[str]):
    files = [File(path, 1, "1" * 64) for path in ("config.json", "figures/a.png", "original/x/y.bin")]
    chosen = Snapshot(HEAD, files).chosen(Choice(include, exclude))
    assert (chosen.commit, [file.path for file in chosen.files]) == (HEAD, wanted)


def test_a_choice_of_nothing_is_refused():
    text = refusal(Snapshot(HEAD, [ONE, TWO]).chosen, Choice(["*.gguf"], []))
    assert all(name in text for name in ("*.gguf", "vllm_model_include"))


# What is on disk


@pytest.mark.parametrize(
    ("on_disk", "hashed", "where"),
    [
        (None, None, "wrong"),
        (Stat(9, 5), None, "wrong"),
        (Stat(10, 5), None, "unread"),
        (Stat(10, 6), Hashed(Stat(10, 5), ONE.sha256), "unread"),
        (Stat(10, 5), Hashed(Stat(10, 5), "3" * 64), "wrong"),
        (Stat(10, 5), Hashed(Stat(10, 5), ONE.sha256), "right"),
    ],
)
def test_a_file_is_right_only_if_it_was_read_as_it_is(
    on_disk: Stat | None, hashed: Hashed | None, where: str
):
    found = weights.survey(
        [ONE], {ONE.path: on_disk} if on_disk else {}, {ONE.path: hashed} if hashed else {}
    )
    assert found._asdict() == {**Survey([], [], [])._asdict(), where: [ONE]}


FILES = st.builds(File, st.text(), st.integers(0), st.text("0123456789abcdef", min_size=64, max_size=64))


@given(st.lists(FILES, unique_by=lambda file: file.path), st.data())
def test_every_file_is_in_one_place(files: list[File], data: st.DataObject):
    stats = st.builds(Stat, st.sampled_from([file.size for file in files] or [0]), st.integers(0, 2))
    on_disk = (
        data.draw(st.dictionaries(st.sampled_from([file.path for file in files]), stats)) if files else {}
    )
    hashed = {
        path: Hashed(data.draw(st.one_of(st.just(stat), stats)), data.draw(st.sampled_from(files)).sha256)
        for path, stat in on_disk.items()
    }
    found = weights.survey(files, on_disk, hashed)
    assert sorted(found.right + found.unread + found.wrong) == sorted(files)


# The manifest


ALL = Choice(["*"], [])


def written(files: list[File], commit: str = HEAD) -> str:
    return weights.manifest(
        {**SOURCE, **ALL._asdict()},
        commit,
        files,
        {file.path: Stat(file.size, 7) for file in files},
        "2026-01-01T00:00:00Z",
    )


@given(
    st.lists(
        FILES.filter(lambda file: weights.is_plain(file.path)), min_size=1, unique_by=lambda file: file.path
    )
)
def test_a_manifest_is_read_as_it_was_written(files: list[File]):
    found = weights.read_manifest(written(files))
    assert found
    assert (found.source, found.choice) == (SOURCE, ALL)
    assert found.snapshot == weights.Snapshot(HEAD, files)
    assert found.hashed == {file.path: Hashed(Stat(file.size, 7), file.sha256) for file in files}


def test_a_manifest_answers_for_its_revision_on_any_mirror():
    found = weights.read_manifest(written([ONE]))
    assert found
    assert found.answers("org/model", "master", ALL)
    assert found.answers("org/model", HEAD, ALL)
    assert not found.answers("org/model", "v1.0", ALL)
    assert not found.answers("org/other", "master", ALL)
    assert not found.answers("org/model", "master", Choice(["*"], ["figures/*"]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        written([ONE])[:-40],
        written([]),
        written([File("../config.json", 10, "1" * 64)]),
        json.dumps(dict(json.loads(written([ONE])), format=2)),
        json.dumps({**json.loads(written([ONE])), "files": [{"path": "config.json"}]}),
    ],
)
def test_what_is_no_manifest_vouches_for_nothing(text: str):
    assert weights.read_manifest(text) is None


# Shards that the index names, or their own names


@pytest.mark.parametrize(
    "paths",
    [
        [ONE.path],
        [TWO.path],
        ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "b/x-00003-of-00009.bin"],
    ],
)
def test_a_whole_series_of_shards_is_taken(paths: list[str]):
    weights.judge_shards(paths)


@pytest.mark.parametrize(
    ("include", "exclude"), [(["*"], ["*-00002-of-*"]), (["*.json", "*-0000[13]-of-*"], [])]
)
def test_a_choice_that_leaves_a_shard_out_is_refused_before_anything_is_fetched(
    include: list[str], exclude: list[str]
):
    shards = [File(f"model-{number:05}-of-00003.safetensors", 1, "1" * 64) for number in (1, 2, 3)]
    text = refusal(Snapshot("", [ONE, *shards]).chosen, Choice(include, exclude))
    assert "model-00002-of-00003.safetensors" in text
    assert "model-00001" not in text


def test_an_index_is_satisfied_by_its_shards():
    weights.judge_index(json.dumps({"weight_map": {"a": TWO.path, "b": TWO.path}}), [ONE.path, TWO.path])


@pytest.mark.parametrize(
    ("text", "named"),
    [(json.dumps({"weight_map": {"a": TWO.path}}), TWO.path), ("{}", weights.INDEX), ("[", weights.INDEX)],
)
def test_an_index_without_its_shards_is_refused(text: str, named: str):
    assert named in refusal(weights.judge_index, text, [ONE.path])


# The client


@given(st.lists(st.text("ab[]*?!-./", min_size=1, max_size=8), min_size=1, unique=True))
def test_patterns_match_their_files_and_no_others(paths: list[str]):
    files = [File(path, 0, "") for path in paths]
    for file, pattern in zip(files, weights.patterns(files), strict=True):
        assert [path for path in paths if fnmatch.fnmatchcase(path, pattern)] == [file.path]


TAKEN = 'docker: Conflict. The container name "/x" is already in use by container "0a".'
FAILED_CLIENTS = {
    "another run": ((125, "", TAKEN), "/models"),
    "no image": ((125, "", "docker: No such image: image:tag"), "docker: No such image: image:tag"),
    "no client": ((0, "\"ModuleNotFoundError: No module named 'modelscope'\"", ""), "image:tag"),
    "a broken file": (
        (0, '"FileDownloadError: 1 of 8; a: Hash mismatch"', "noise"),
        "1 of 8; a: Hash mismatch",
    ),
    "a token refused": ((0, '"FileDownloadError: 1 of 8; a: 403 Client Error"', ""), "weights_token"),
    "killed": ((137, "", "line\n" * 20 + "Killed"), "Killed"),
    "silent": ((1, "", ""), "code 1"),
}


def failed_client(outcome: tuple[int, str, str]) -> str:
    return refusal(weights.judge_client, "/models", "image image:tag", *outcome)


@pytest.mark.parametrize(("outcome", "named"), FAILED_CLIENTS.values(), ids=FAILED_CLIENTS)
def test_a_client_that_failed_is_explained(outcome: tuple[int, str, str], named: str):
    assert named in failed_client(outcome)


@pytest.mark.parametrize(
    ("returncode", "answer", "messages", "cut_off"),
    [
        (137, "", "", True),
        (-9, "", "", True),
        (125, "", "error waiting for container: unexpected EOF", True),
        (
            125,
            "",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            True,
        ),
        (
            125,
            "",
            'docker: Error response from daemon: Conflict. The container name "/x" is already in use by container "0a".',
            True,
        ),
        (125, "", "docker: Error response from daemon: No such image: image:tag", False),
        (1, "", "Traceback", False),
        (0, '"FileDownloadError: a: Hash mismatch"', "", False),
        (0, "null", "", False),
    ],
)
def test_only_a_client_that_was_ended_from_outside_is_begun_again(
    returncode: int, answer: str, messages: str, cut_off: bool
):
    assert weights.is_cut_off(returncode, answer, messages) is cut_off


def test_a_client_that_is_content_is_believed():
    weights.judge_client("/models", "image image:tag", 0, "null", "a warning")
    weights.judge_client(
        "/models", "image image:tag", 125, "null", "error waiting for container: unexpected EOF"
    )


def test_a_folder_has_one_container_however_it_is_written():
    assert (
        weights.container_name("/models/a/")
        == weights.container_name("/models//a")
        != weights.container_name("/models/b")
    )


# For people


def test_a_diff_names_ten_files_and_counts_the_rest():
    lines = weights.changes(Survey([], [ONE], MANY)).splitlines()
    assert [file.path for file in MANY if any(file.path in line for line in lines)] == [
        f"shard-{number:02}" for number in range(10)
    ]
    assert "12" in lines[-1]
    assert weights.changes(Survey([ONE], [], [])) == ""


# Checksum files


def test_a_checksum_file_is_read():
    text = f"{'1' * 64}  config.json\n{'A' * 64} *sub/two.bin\r\n{'2' * 64}  ./three four\n"
    files = [
        File("config.json", 5, "1" * 64),
        File("sub/two.bin", 5, "a" * 64),
        File("three four", 0, "2" * 64),
    ]
    assert weights.checksums(text, {"config.json": 5, "sub/two.bin": 5}.get) == weights.Snapshot("", files)


BAD_SUMS = ["", "1234  a", f"{'1' * 64}  ../a", f"{'1' * 64}  /a", f"{'1' * 64} a"]


@pytest.mark.parametrize("text", BAD_SUMS)
def test_what_is_no_checksum_file_is_refused(text: str):
    assert "sha256sum" in refusal(weights.checksums, text, lambda _path: 1)


def test_golden_messages(golden):
    shards = [File(f"model-{number:05}-of-00003.safetensors", 1, "1" * 64) for number in (1, 2, 3)]
    without = Choice(["*"], ["*-00002-of-*"])
    texts = {f"listing: {name}": refused_entry(bad) for name, (bad, _named) in BAD_ENTRIES.items()}
    texts["choice: nothing"] = refusal(Snapshot(HEAD, [ONE, TWO]).chosen, Choice(["*.gguf"], []))
    texts["choice: a shard missing"] = refusal(Snapshot("", shards).chosen, without)
    texts["index: a shard missing"] = refusal(
        weights.judge_index, json.dumps({"weight_map": {"a": TWO.path}}), [ONE.path]
    )
    texts["index: broken"] = refusal(weights.judge_index, "[", [ONE.path])
    texts.update((f"client: {name}", failed_client(case)) for name, (case, _named) in FAILED_CLIENTS.items())
    for text in BAD_SUMS[:2]:
        texts[f"checksums: {text!r}"] = refusal(weights.checksums, text, lambda _path: 1)
    texts["disk"] = str(weights.trouble(OSError(28, "No space left on device", "/models/a"), "/models"))
    texts["diff"] = weights.changes(Survey([], [ONE], MANY))
    texts["many files"] = weights.listed([file.path for file in MANY])
    golden("weights", texts)
