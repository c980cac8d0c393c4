# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run by Ansible, without hub and Docker. The lab tests the rest."""

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
from ansible_run import module

REPO = "ZhipuAI/GLM-4.7"
CONTENTS = {
    "config.json": b"{}",
    "model-1.safetensors": os.urandom(9 << 20),
    "sub/model-2.safetensors": os.urandom(1000),
}


def run(folder: Path, *options: str, interpreter: str = sys.executable, **arguments: Any) -> dict[str, Any]:
    """Return the result of the module on this machine, which reaches no hub."""
    given = {
        "repo": REPO,
        "endpoint": "http://127.0.0.1:1",
        "dir": str(folder),
        "cache_dir": f"{folder}.cache",
    }
    return module("modelscope_download", {**given, **arguments}, *options, python=interpreter)


def fill(folder: Path) -> list[File]:
    for path, content in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return [
        File(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in CONTENTS.items()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in CONTENTS}


@pytest.fixture(name="bundle")
def a_bundle(tmp_path: Path) -> Path:
    files = fill(tmp_path / "bundle")
    stats = {file.path: Stat(file.size, 0) for file in files}
    request = Request(REPO, "master", Choice(["*"], []))
    text = manifest.render("", request, Snapshot("83ee97c6", files), stats, "")
    (tmp_path / "bundle" / MANIFEST).write_text(text, encoding="utf-8")
    return tmp_path / "bundle"


def test_weights_are_copied_from_a_bundle(tmp_path: Path, bundle: Path):
    folder = tmp_path / "model"
    checked = run(folder, "--check", source=str(bundle))
    assert (checked["changed"], checked["fetched_files"], folder.exists()) == (True, 3, False)
    done = run(folder, source=str(bundle))
    assert (done["changed"], done["fetched_files"], contents(folder)) == (True, 3, CONTENTS)
    assert not run(folder, source=str(bundle))["changed"]


def test_a_damaged_file_in_the_bundle_is_refused(tmp_path: Path, bundle: Path):
    (bundle / "model-1.safetensors").write_bytes(b"x" * len(CONTENTS["model-1.safetensors"]))
    problem = run(tmp_path / "model", source=str(bundle))["problem"]
    assert problem["found"] == f"wrong SHA-256 in {bundle}: model-1.safetensors"
    assert problem["where"] == "host localhost"
    assert not (tmp_path / "model" / "model-1.safetensors").exists()


def test_weights_of_another_model_are_refused(tmp_path: Path, bundle: Path):
    problem = run(tmp_path / "model", "--check", source=str(bundle), repo="other/model")["problem"]
    assert f"is of {REPO} master" in problem["found"]
    assert problem["expected"] == "one of other/model master, include ['*'], exclude []"


def test_another_choice_of_files_is_refused(tmp_path: Path, bundle: Path):
    problem = run(tmp_path / "model", "--check", source=str(bundle), exclude=["sub/*"])["problem"]
    assert f"is of {REPO} master, include ['*'], exclude []" in problem["found"]
    assert problem["expected"] == f"one of {REPO} master, include ['*'], exclude ['sub/*']"


@pytest.fixture(name="sums")
def checksum_file(tmp_path: Path) -> Path:
    lines = [f"{file.sha256}  {file.path}\n" for file in fill(tmp_path / "model")]
    (tmp_path / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "SHA256SUMS"


def test_weights_that_are_there_are_verified_by_a_checksum_file(tmp_path: Path, sums: Path):
    first = run(tmp_path / "model", fetch=False, checksums=str(sums))
    assert (first["changed"], first["verified_files"], first["fetched_files"]) == (True, 3, 0)
    again = run(tmp_path / "model", fetch=False, checksums=str(sums))
    assert (again["changed"], again["verified_files"]) == (False, 0)
    deep = run(tmp_path / "model", fetch=False, checksums=str(sums), verify=True)
    assert (deep["changed"], deep["verified_files"]) == (False, 3)


def test_weights_that_are_there_and_wrong_are_named_and_left(tmp_path: Path, sums: Path):
    (tmp_path / "model" / "model-1.safetensors").write_bytes(b"short")
    (tmp_path / "model" / "config.json").unlink()
    found = run(tmp_path / "model", fetch=False, checksums=str(sums))["problem"]["found"]
    wrong, _semicolon, missing = found.partition("; ")
    assert wrong == f"wrong size or SHA-256 in {tmp_path}/model: model-1.safetensors"
    assert missing == f"missing in {tmp_path}/model: config.json"
    assert (tmp_path / "model" / "model-1.safetensors").read_bytes() == b"short"


def test_a_folder_that_takes_no_manifest_is_refused_before_a_file_is_read(tmp_path: Path, sums: Path):
    folder, python = tmp_path / "model", tmp_path / "python"
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    alone = "unshare --mount" + ("" if os.geteuid() == 0 else " --map-root-user")
    python.write_text(
        f'#!/bin/sh\nexec {alone} sh -c \'{mount} && exec {sys.executable} "$@"\' sh "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    given = {"fetch": False, "checksums": str(sums)}
    for check in (("--check",), ()):
        problem = run(folder, *check, interpreter=str(python), **given)["problem"]
        assert problem["found"] == f"{folder} is not a writable folder"
    assert run(folder, **given)["changed"]
    assert not run(folder, interpreter=str(python), **given)["changed"]  # the manifest is there


def test_files_that_are_not_chosen_are_left_alone(tmp_path: Path, sums: Path):
    (tmp_path / "model" / "sub" / "model-2.safetensors").unlink()
    done = run(tmp_path / "model", fetch=False, checksums=str(sums), exclude=["sub/*"])
    assert (done["changed"], done["files"], done["verified_files"]) == (True, 2, 2)
    assert not run(tmp_path / "model", fetch=False, checksums=str(sums), exclude=["sub/*"])["changed"]
    again = run(tmp_path / "model", fetch=False, checksums=str(sums))
    assert again["problem"]["found"] == f"missing in {tmp_path}/model: sub/model-2.safetensors"


@pytest.mark.parametrize(
    ("proxy", "named"),
    [
        ("http://127.0.0.1:2", "http_proxy=http://127.0.0.1:2"),
        ("http://me:secret-of-the-proxy@127.0.0.1:2", "http_proxy=http://***@127.0.0.1:2"),
    ],
)
def test_a_proxy_that_does_not_answer_is_named_without_its_credentials(
    tmp_path: Path, proxy: str, named: str
):
    result = run(tmp_path / "model", "--check", proxy=proxy)
    assert named in result["problem"]["expected"]
    assert "secret-of-the-proxy" not in json.dumps(result)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"lease": 5}, "lease is 5"),
        (
            {"ca_bundle": "/nowhere.pem"},
            "ca_bundle is /nowhere.pem, which cannot be used: No such file or directory",
        ),
        ({"python": "/nowhere/python"}, "python is /nowhere/python, which is not a program on this host"),
    ],
)
def test_a_client_that_cannot_run_is_refused(tmp_path: Path, arguments: dict[str, Any], says: str):
    assert run(tmp_path / "model", "--check", **arguments)["problem"]["found"] == says


def test_a_file_without_certificates_is_refused(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("-----BEGIN NOTHING-----\n", encoding="ascii")
    problem = run(tmp_path / "model", "--check", ca_bundle=f"{tmp_path}/ca.pem")["problem"]
    assert problem["found"].startswith(f"ca_bundle is {tmp_path}/ca.pem, which cannot be used: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"checksums": "/nowhere", "fetch": False}, "/nowhere cannot be read"),
        ({"checksums": "/nowhere"}, "fetch is true"),
    ],
    ids=["no such file", "and to be fetched"],
)
def test_a_checksum_file_that_cannot_be_used_is_refused(tmp_path: Path, arguments: dict[str, Any], says: str):
    assert says in run(tmp_path / "model", "--check", **arguments)["problem"]["found"]


def test_messages_name_the_variables_that_set_the_options(tmp_path: Path):
    variables = {"workers": "weights_workers"}
    problem = run(tmp_path / "model", "--check", workers=0, _variables=variables)["problem"]
    assert problem["remedy"] == "Correct weights_workers"
