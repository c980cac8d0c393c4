# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from other places than ModelScope, over HTTP on this machine: a Hugging Face hub, and a plain folder."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.huggingface import HuggingFace
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    File,
    Snapshot,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.web_folder import WebFolder
from ansible_run import module
from hub.authority import Authority
from huggingface_standin import HuggingFaceHub
from shards import shard

REPO, TOKEN = "zai-org/GLM-4.7", "token-of-the-reader"
CONTENTS = {
    "config.json": b'{"model_type": "glm4_moe"}',
    "sub/empty": b"",
    "model-00001-of-00002.safetensors": shard(6 << 20),
    "model-00002-of-00002.safetensors": shard(5 << 20),
}
FILES = [File(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in CONTENTS.items()]


def download(folder: Path, *options: str, **arguments: Any) -> dict[str, Any]:
    given = {"repo": REPO, "dir": str(folder), "cache_dir": f"{folder}.cache"}
    return module("weights_download", {**given, **arguments}, *options)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


@pytest.fixture(name="hub")
def a_hub() -> Iterator[HuggingFaceHub]:
    given = {**CONTENTS, ".gitattributes": b"*.safetensors filter=lfs\n"}
    with HuggingFaceHub(REPO, given, TOKEN).serving() as hub:
        yield hub


def test_a_private_repository_of_hugging_face_arrives_over_broken_connections(
    hub: HuggingFaceHub, tmp_path: Path
):
    source = {"hub": "huggingface", "endpoint": hub.url, "revision": "main", "token": TOKEN}
    hub.cuts = 2
    first = download(tmp_path / "model", **source)
    assert (first["changed"], first["fetched_files"], first["commit"]) == (True, len(CONTENTS), "a" * 40)
    assert contents(tmp_path / "model") == CONTENTS
    assert len([span for span in hub.spans if span > 0]) == 2, "what had arrived was fetched again"
    assert first["digest"] == Snapshot("", FILES).digest, "the same files from another hub are the same"
    requests = len(hub.requests)
    assert not download(tmp_path / "model", **source)["changed"]
    assert len(hub.requests) == requests, "a second run asked the hub"


@pytest.mark.campaign
def test_a_damaged_file_comes_again_from_its_commit_after_the_branch_has_moved(
    hub: HuggingFaceHub, tmp_path: Path
):
    source = {"hub": "huggingface", "endpoint": hub.url, "revision": "main", "token": TOKEN}
    download(tmp_path / "model", **source)
    hub.commits["b" * 40], hub.branches["main"] = {**CONTENTS, "config.json": b"{}"}, "b" * 40
    (tmp_path / "model" / "config.json").write_bytes(b"edited")
    again = download(tmp_path / "model", **source)
    assert (again["differing"], again["commit"]) == (["config.json"], "a" * 40)
    assert contents(tmp_path / "model") == CONTENTS


@pytest.mark.parametrize(
    ("token", "repo", "revision", "says"),
    [
        (TOKEN, REPO, "v9", f"{REPO} has no revision 'v9'"),
        ("of-another-user", REPO, "main", f"does not show {REPO} with this token (HTTP 401, RepoNotFound"),
        ("", REPO, "main", f"does not show {REPO} without a token"),
        (TOKEN, "zai-org/GLM-9", "main", "does not show zai-org/GLM-9"),
    ],
    ids=["no such revision", "wrong token", "no token", "no such repository"],
)
def test_what_hugging_face_does_not_show_is_named(
    hub: HuggingFaceHub, token: str, repo: str, revision: str, says: str
):
    with pytest.raises(ProblemError) as caught:
        HuggingFace(hub.url, token).snapshot(repo, revision)
    assert says in caught.value.problem.found


class Quiet(SimpleHTTPRequestHandler):
    """The web server of Python, which knows no ranges. It can ask for a query, as pre-signed folders do."""

    query = ""

    def do_GET(self) -> None:
        if parse_qs(urlsplit(self.path).query) == parse_qs(self.query):
            super().do_GET()
        else:
            self.send_error(403)

    def log_message(self, *_arguments: object) -> None:
        pass


class Site:
    """A folder that a web server serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for file in FILES:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(CONTENTS[file.path])
        lines = [f"{file.sha256}  ./{file.path}\n" for file in FILES]
        (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
        self.handler = type("Handler", (Quiet,), {})
        answer = functools.partial(self.handler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(name="site")
def a_web_site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    thread = threading.Thread(target=site.server.serve_forever, args=[0.05])
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def test_weights_arrive_from_any_server_that_has_checksums(site: Site, tmp_path: Path):
    partial = tmp_path / "model" / "model-00001-of-00002.safetensors.incomplete"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 1000)
    first = download(tmp_path / "model", hub="http", endpoint=site.url, repo="ours-w8a8")
    assert (first["changed"], first["bytes"]) == (True, sum(map(len, CONTENTS.values())))
    assert contents(tmp_path / "model") == CONTENTS
    assert not download(tmp_path / "model", hub="http", endpoint=site.url, repo="ours-w8a8")["changed"]


def test_a_presigned_folder_gets_its_signature_with_each_question_and_no_message_shows_it(
    site: Site, tmp_path: Path
):
    site.handler.query = "sp=r&sig=a%2Fb{0}%3D"
    given = {"hub": "http", "endpoint": site.url, "token": f"?{site.handler.query}"}
    download(tmp_path / "model", **given)
    assert contents(tmp_path / "model") == CONTENTS
    (site.folder / "config.json").write_bytes(bytes(len(CONTENTS["config.json"])))
    for wrong in ({}, {"token": "?sp=r&sig=expired"}):
        result = download(tmp_path / "other", **{**given, **wrong})
        assert result["problem"]["found"]
        assert "sig=" not in json.dumps(result)


@pytest.mark.campaign
def test_a_file_that_is_not_as_its_checksum_is_refused_and_named(site: Site, tmp_path: Path):
    rotten = "model-00002-of-00002.safetensors"
    (site.folder / rotten).write_bytes(bytes(len(CONTENTS[rotten])))
    problem = download(tmp_path / "model", hub="http", endpoint=site.url)["problem"]
    assert rotten in problem["found"]
    assert "another content" in problem["found"]
    assert contents(tmp_path / "model").keys() == CONTENTS.keys() - {rotten}


def test_a_company_authority_is_trusted_for_listing_and_files(site: Site, tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    authority.issue(["127.0.0.1"])
    site.server.socket = authority.context().wrap_socket(site.server.socket, server_side=True)
    given = {"hub": "http", "endpoint": site.url.replace("http:", "https:"), "include": ["config.json"]}
    problem = download(tmp_path / "model", **given)["problem"]
    assert "certificate that is not trusted" in problem["found"]
    download(tmp_path / "model", ca_bundle=str(authority.certificate), **given)
    assert contents(tmp_path / "model") == {"config.json": CONTENTS["config.json"]}


@pytest.mark.parametrize("name", ["SHA256SUMS", "config.json"])
def test_a_server_that_lacks_a_file_is_refused_before_the_first_byte(site: Site, name: str):
    (site.folder / name).unlink()
    with pytest.raises(ProblemError) as caught:
        WebFolder(site.url + "/", "").snapshot(REPO, "")
    assert f"{site.url}/{name} is answered with HTTP 404" in caught.value.problem.found
