# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run by Ansible, where neither a hub nor Docker is needed; the rest is seen on the lab."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import weights
from ansible_run import module

REPO = "ZhipuAI/GLM-4.7"
CONTENTS = {
    "config.json": b"{}",
    "model-1.safetensors": os.urandom(9 << 20),
    "sub/model-2.safetensors": os.urandom(1000),
}


def run(folder: Path, *options: str, **arguments: Any) -> dict[str, Any]:
    """Return what the module does on this machine, from which no hub is reached."""
    given = {
        "repo": REPO,
        "endpoint": "http://127.0.0.1:1",
        "dir": str(folder),
        "cache_dir": f"{folder}.cache",
    }
    return module("modelscope_download", {**given, **arguments}, *options)


def fill(folder: Path) -> list[weights.File]:
    for path, content in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return [
        weights.File(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in CONTENTS.items()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in CONTENTS}


@pytest.fixture(name="brought")
def weights_that_were_brought(tmp_path: Path) -> Path:
    files = fill(tmp_path / "brought")
    stats = {file.path: weights.Stat(file.size, 0) for file in files}
    source = {"endpoint": "", "repo": REPO, "revision": "master", "include": ["*"], "exclude": []}
    text = weights.manifest(source, "83ee97c6", files, stats, "")
    (tmp_path / "brought" / weights.MANIFEST).write_text(text, encoding="utf-8")
    return tmp_path / "brought"


def test_weights_are_taken_from_where_they_were_brought(tmp_path: Path, brought: Path):
    folder = tmp_path / "model"
    checked = run(folder, "--check", source=str(brought))
    assert (checked["changed"], checked["fetched_files"], folder.exists()) == (True, 3, False)
    done = run(folder, source=str(brought))
    assert (done["changed"], done["fetched_files"], contents(folder)) == (True, 3, CONTENTS)
    assert not run(folder, source=str(brought))["changed"]


def test_a_file_that_was_brought_damaged_is_refused(tmp_path: Path, brought: Path):
    (brought / "model-1.safetensors").write_bytes(b"x" * len(CONTENTS["model-1.safetensors"]))
    said = run(tmp_path / "model", source=str(brought))["msg"]
    assert str(brought) in said
    assert "model-1.safetensors" in said
    assert "config.json" not in said
    assert not (tmp_path / "model" / "model-1.safetensors").exists()


def test_weights_of_another_model_are_refused(tmp_path: Path, brought: Path):
    said = run(tmp_path / "model", "--check", source=str(brought), repo="other/model")["msg"]
    assert f"{REPO} master" in said
    assert "other/model master" in said


def test_another_choice_of_files_is_refused(tmp_path: Path, brought: Path):
    said = run(tmp_path / "model", "--check", source=str(brought), exclude=["sub/*"])["msg"]
    assert f"{REPO} master, include ['*'], exclude []" in said
    assert f"{REPO} master, include ['*'], exclude ['sub/*']" in said


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
    said = run(tmp_path / "model", fetch=False, checksums=str(sums))["msg"]
    assert "model-1.safetensors" in said
    assert "config.json" in said
    assert "model-2.safetensors" not in said
    assert (tmp_path / "model" / "model-1.safetensors").read_bytes() == b"short"


def test_files_that_are_not_chosen_are_left_alone(tmp_path: Path, sums: Path):
    (tmp_path / "model" / "sub" / "model-2.safetensors").unlink()
    done = run(tmp_path / "model", fetch=False, checksums=str(sums), exclude=["sub/*"])
    assert (done["changed"], done["files"], done["verified_files"]) == (True, 2, 2)
    assert not run(tmp_path / "model", fetch=False, checksums=str(sums), exclude=["sub/*"])["changed"]
    assert "sub/model-2.safetensors" in run(tmp_path / "model", fetch=False, checksums=str(sums))["msg"]


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
    assert named in result["msg"]
    assert "secret-of-the-proxy" not in json.dumps(result)


@pytest.mark.parametrize(("option", "value"), [("workers", 0), ("python", "/nowhere/python")])
def test_a_client_that_cannot_run_is_refused(tmp_path: Path, option: str, value: Any):
    said = run(tmp_path / "model", "--check", **{option: value})["msg"]
    assert option in said
    assert str(value) in said


@pytest.mark.parametrize(
    ("fetch", "named"), [(False, "/nowhere"), (True, "fetch")], ids=["no such file", "and to be fetched"]
)
def test_a_checksum_file_that_cannot_be_used_is_refused(tmp_path: Path, fetch: bool, named: str):
    assert named in run(tmp_path / "model", "--check", checksums="/nowhere", fetch=fetch)["msg"]
