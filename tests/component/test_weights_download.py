# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run by Ansible, without hub and Docker. The lab tests the rest.

All calls are made in one run of Ansible, each on a folder of its own or after those that it builds on.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Choice,
    File,
    Request,
    Snapshot,
)
from ansible_run import Call, modules
from shards import shard

REPO = "ZhipuAI/GLM-4.7"
CONTENTS = {
    "config.json": b"{}",
    "model-1.safetensors": shard(9 << 20),
    "sub/model-2.safetensors": shard(1000),
}


def call(folder: Path, check: bool = False, interpreter: str = sys.executable, **arguments: Any) -> Call:
    """A call for the folder on this machine, which reaches no hub."""
    given = {
        "repo": REPO,
        "endpoint": "http://127.0.0.1:1",
        "dir": str(folder),
        "cache_dir": f"{folder}.cache",
    }
    return Call("weights_download", {**given, **arguments}, check, interpreter)


def fill(folder: Path) -> list[File]:
    for path, content in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return [
        File(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in CONTENTS.items()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in CONTENTS}


def bundle(folder: Path) -> Path:
    """Make a bundle there."""
    files = fill(folder)
    stats = {file.path: Stat(file.size, 0) for file in files}
    request = Request(REPO, "master", Choice(["*"], []))
    text = manifest.render(manifest.Manifest("", request, Snapshot("83ee97c6", files), {}), stats, "")
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return folder


def brought(folder: Path) -> dict[str, Any]:
    """Put weights into the folder; return the arguments with which they are verified by a checksum file."""
    sums = folder.with_suffix(".SHA256SUMS")
    lines = [f"{file.sha256}  {file.path}\n" for file in fill(folder)]
    sums.write_text("".join(lines), encoding="utf-8")
    return {"fetch": False, "checksums": str(sums)}


def hugging_face_cache(folder: Path) -> Path:
    """Make a cache as `huggingface_hub` does: relative links to files that are named by their hash."""
    snapshot, blobs = folder / "snapshots/abc", folder / "blobs"
    files = fill(snapshot)
    blobs.mkdir()
    for file in files:
        (snapshot / file.path).rename(blobs / file.sha256)
        (snapshot / file.path).symlink_to(os.path.relpath(blobs / file.sha256, (snapshot / file.path).parent))
    return snapshot


def read_only(folder: Path) -> str:
    """Return a Python that cannot write to the folder."""
    python = folder.with_suffix(".python")
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    alone = "unshare --mount" + ("" if os.geteuid() == 0 else " --map-root-user")
    python.write_text(
        f'#!/bin/sh\nexec {alone} sh -c \'{mount} && exec {sys.executable} "$@"\' sh "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    return str(python)


@pytest.fixture(scope="module", name="root")
def folder_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


PROXIES = {
    "http://127.0.0.1:2": "http_proxy=http://127.0.0.1:2",
    "http://me:secret-of-the-proxy@127.0.0.1:2": "http_proxy=http://***@127.0.0.1:2",
}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:9716\nsize 4932307584\n"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no workers": ({"workers": 0}, "workers is 0"),
    "a short lease": ({"lease": 5}, "lease is 5"),
    "no such certificates": (
        {"ca_bundle": "/nowhere.pem"},
        "ca_bundle is /nowhere.pem, which cannot be used: No such file or directory",
    ),
    "no such Python": (
        {"python": "/nowhere/python"},
        "python is /nowhere/python, which is not a program on this host",
    ),
    "no such checksums": (
        {"checksums": "/nowhere", "fetch": False},
        "the checksum file /nowhere cannot be read: No such file or directory",
    ),
    "checksums of what is to be fetched": ({"checksums": "/nowhere"}, "checksums is set and fetch is true"),
}


@pytest.fixture(scope="module", name="results")
def results_of_all_calls(root: Path) -> dict[str, dict[str, Any]]:
    source = str(bundle(root / "bundle"))
    damaged = bundle(root / "damaged")
    (damaged / "model-1.safetensors").write_bytes(b"x" * len(CONTENTS["model-1.safetensors"]))
    by_hand = brought(root / "by-hand")
    wrong = brought(root / "wrong")
    (root / "wrong/model-1.safetensors").write_bytes(b"short")
    (root / "wrong/config.json").unlink()
    locked = brought(root / "locked")
    here = {**locked, "cache_dir": str(root / "locked/cache")}
    shelved = brought(root / "shelved")
    chosen = {**brought(root / "chosen"), "exclude": ["sub/*"]}
    (root / "chosen/sub/model-2.safetensors").unlink()
    cache = hugging_face_cache(root / "hub")
    torn = hugging_face_cache(root / "torn")
    (root / "torn/blobs" / hashlib.sha256(CONTENTS["config.json"]).hexdigest()).unlink()
    undocumented = brought(root / "undocumented")
    with Path(undocumented["checksums"]).open("a", encoding="utf-8") as file:
        file.write(f"{'0' * 64}  README.md\n{'0' * 64}  configuration.json\n")
    cloned = brought(root / "cloned")
    (root / "cloned/model-1.safetensors").write_bytes(POINTER)
    Path(cloned["checksums"]).write_text(
        f"{hashlib.sha256(POINTER).hexdigest()}  model-1.safetensors\n", encoding="utf-8"
    )
    edited = brought(root / "edited")
    (root / "edited/config.json").write_bytes(b'{"dtype": "float16"}')
    (root / "no-certificates.pem").write_text("-----BEGIN NOTHING-----\n", encoding="ascii")
    interpreter, reader = read_only(root / "locked"), read_only(root / "shelved")
    calls = {
        "copied: check": call(root / "checked", check=True, source=source),
        "copied": call(root / "copied", source=source),
        "copied: again": call(root / "copied", source=source),
        "damaged": call(root / "from-damaged", source=str(damaged)),
        "another model": call(root / "model", check=True, source=source, repo="other/model"),
        "another choice": call(root / "model", check=True, source=source, exclude=["sub/*"]),
        "by hand": call(root / "by-hand", **by_hand),
        "by hand: again": call(root / "by-hand", **by_hand),
        "by hand: deep": call(root / "by-hand", **by_hand, verify=True),
        "wrong": call(root / "wrong", **wrong),
        "in place": call(root / "bundle", source=source),
        "in place: damaged": call(damaged, source=str(damaged)),
        "locked: check": call(root / "locked", check=True, interpreter=interpreter, **here),
        "locked": call(root / "locked", interpreter=interpreter, **here),
        "unlocked": call(root / "locked", **here),
        "locked: again": call(root / "locked", interpreter=interpreter, **here),
        "shelved": call(root / "shelved", interpreter=reader, **shelved),
        "shelved: again": call(root / "shelved", interpreter=reader, **shelved),
        "cache": call(cache, **by_hand, links=str(root / "hub")),
        "cache: again": call(cache, **by_hand, links=str(root / "hub")),
        "cache: torn": call(torn, **by_hand, links=str(root / "torn")),
        "cache: not mounted": call(cache, **by_hand, links=str(cache)),
        "undocumented": call(root / "undocumented", **undocumented),
        "cloned": call(root / "cloned", **cloned),
        "edited": call(root / "edited", **edited, keep=["config.json"]),
        "edited: again": call(root / "edited", **edited, keep=["config.json"]),
        "edited: not to be kept": call(root / "edited", **edited),
        "chosen": call(root / "chosen", **chosen),
        "chosen: again": call(root / "chosen", **chosen),
        "all": call(root / "chosen", **{**chosen, "exclude": []}),
        "certificates": call(root / "model", check=True, ca_bundle=str(root / "no-certificates.pem")),
        "variables": call(root / "model", check=True, workers=0, _variables={"workers": "weights_workers"}),
        **{proxy: call(root / "model", check=True, proxy=proxy) for proxy in PROXIES},
        **{case: call(root / "model", check=True, **arguments) for case, (arguments, _) in REFUSED.items()},
    }
    return modules(calls)


def test_weights_are_copied_from_a_bundle(root: Path, results: dict[str, Any]):
    checked, done = results["copied: check"], results["copied"]
    assert (checked["changed"], checked["fetched_files"], (root / "checked").exists()) == (True, 3, False)
    assert (done["changed"], done["fetched_files"], contents(root / "copied")) == (True, 3, CONTENTS)
    assert not results["copied: again"]["changed"]
    copied = [(root / "copied" / path, root / "bundle" / path) for path in CONTENTS]
    assert all(copy.samefile(original) for copy, original in copied), "two copies on one file system"


def test_a_bundle_is_served_in_place_and_nothing_of_it_is_removed(root: Path, results: dict[str, Any]):
    assert (results["in place"]["verified_files"], results["in place"]["fetched_files"]) == (3, 0)
    problem = results["in place: damaged"]["problem"]
    assert problem["found"] == f"wrong size or SHA-256 in {root}/damaged: model-1.safetensors"
    assert (root / "damaged/model-1.safetensors").exists()


def test_a_damaged_file_in_the_bundle_is_refused(root: Path, results: dict[str, Any]):
    problem = results["damaged"]["problem"]
    assert problem["found"] == f"wrong SHA-256 in {root}/damaged: model-1.safetensors"
    assert problem["where"] == "host localhost"
    assert not (root / "from-damaged/model-1.safetensors").exists()


def test_weights_of_another_model_are_refused(results: dict[str, Any]):
    problem = results["another model"]["problem"]
    assert f"is of {REPO} master" in problem["found"]
    assert problem["expected"] == "one of other/model master, include ['*'], exclude []"


def test_another_choice_of_files_is_refused(results: dict[str, Any]):
    problem = results["another choice"]["problem"]
    assert f"is of {REPO} master, include ['*'], exclude []" in problem["found"]
    assert problem["expected"] == f"one of {REPO} master, include ['*'], exclude ['sub/*']"


def test_weights_that_are_there_are_verified_by_a_checksum_file(results: dict[str, Any]):
    first, again, deep = (results[f"by hand{then}"] for then in ("", ": again", ": deep"))
    assert (first["changed"], first["verified_files"], first["fetched_files"]) == (True, 3, 0)
    assert (again["changed"], again["verified_files"]) == (False, 0)
    assert (deep["changed"], deep["verified_files"]) == (False, 3)


def test_weights_that_are_there_and_wrong_are_named_and_left(root: Path, results: dict[str, Any]):
    wrong, _semicolon, missing = results["wrong"]["problem"]["found"].partition("; ")
    assert wrong == f"wrong size or SHA-256 in {root}/wrong: model-1.safetensors"
    assert missing == f"missing in {root}/wrong: config.json"
    assert (root / "wrong/model-1.safetensors").read_bytes() == b"short"


def test_a_place_that_takes_no_manifest_is_refused_before_a_file_is_read(root: Path, results: dict[str, Any]):
    for case in ("locked: check", "locked"):
        assert results[case]["problem"]["found"] == f"{root}/locked is not a writable folder"
        assert results[case]["problem"]["remedy"].endswith(": cache_dir")
    assert results["unlocked"]["changed"]
    assert not results["locked: again"]["changed"]  # the manifest is there


def test_read_only_weights_have_their_manifest_elsewhere(root: Path, results: dict[str, Any]):
    first = results["shelved"]
    assert (first["changed"], Path(first["manifest"]).parent) == (True, root / "shelved.cache")
    assert not results["shelved: again"]["changed"]


def test_a_cache_of_hugging_face_is_served_as_it_is(results: dict[str, Any]):
    assert (results["cache"]["changed"], results["cache"]["verified_files"]) == (True, 3)
    assert not results["cache: again"]["changed"]
    assert "a link to" in results["cache: not mounted"]["problem"]["found"]
    assert "which does not exist" in results["cache: torn"]["problem"]["found"]


def test_documentation_need_not_be_there(results: dict[str, Any]):
    assert results["undocumented"]["files"] == 3


def test_pointers_of_git_lfs_are_no_weights_even_with_their_own_checksums(
    root: Path, results: dict[str, Any]
):
    assert "pointer of Git LFS" in results["cloned"]["problem"]["found"]
    assert not (root / "cloned" / MANIFEST).exists()


def test_an_edited_file_that_is_to_be_kept_stays_and_counts(root: Path, results: dict[str, Any]):
    edited = results["edited"]
    assert edited["changed"]
    assert edited["ansible_facts"] != results["by hand"]["ansible_facts"]
    assert not results["edited: again"]["changed"]
    problem = results["edited: not to be kept"]["problem"]
    assert problem["found"] == f"wrong size or SHA-256 in {root}/edited: config.json"


def test_files_that_are_not_chosen_are_left_alone(root: Path, results: dict[str, Any]):
    done = results["chosen"]
    assert (done["changed"], done["files"], done["verified_files"]) == (True, 2, 2)
    assert not results["chosen: again"]["changed"]
    assert results["all"]["problem"]["found"] == f"missing in {root}/chosen: sub/model-2.safetensors"


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_that_does_not_answer_is_named_without_its_credentials(results: dict[str, Any], proxy: str):
    assert PROXIES[proxy] in results[proxy]["problem"]["expected"]
    assert "secret-of-the-proxy" not in json.dumps(results[proxy])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused(results: dict[str, Any], case: str):
    assert results[case]["problem"]["found"] == REFUSED[case][1]


def test_a_file_without_certificates_is_refused(root: Path, results: dict[str, Any]):
    found = results["certificates"]["problem"]["found"]
    assert found.startswith(f"ca_bundle is {root}/no-certificates.pem, which cannot be used: ")


def test_messages_name_the_variables_that_set_the_options(results: dict[str, Any]):
    assert results["variables"]["problem"]["remedy"] == "Correct weights_workers"
