# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The download with each client that an image may hold, from the lab's hub on loopback.

Images of vLLM-Ascend pin no version of the client: they hold the newest one of the day they were built. The clients differ in
what they skip, list and accept, so each is tried as it is. Beside each stands a torch that cannot be imported, as torch cannot
in the serving image when there is no NPU driver.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from hub.authority import Authority
from hub.faulty import PIECE, Fault, FaultyHub
from hub.hub import Tokens
from shards import shard

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".cache" / "clients"
TORCH = ROOT / "tests/lab/image/files/opt/lab/without-driver"
NEWEST = "newest"
VERSIONS = ("1.22.3", "1.26.0", "1.30.0", "1.33.0", "1.34.0", "1.36.3", "1.37.1", "1.38.1", NEWEST)
REPO = "ZhipuAI/GLM-4.7"
OWNER, READER = "token-of-the-owner", "token-that-only-reads"
CONTENTS = {
    "config.json": b"{}",
    "README.md": b"# GLM\n",
    "figures/a.png": b"not a picture",
    "model-00001-of-00002.safetensors": shard(3 << 20),
    "model-00002-of-00002.safetensors": shard(2 << 20),
}


@pytest.fixture(name="client", scope="module", params=VERSIONS)
def installed_client(request: pytest.FixtureRequest) -> Path:
    """Return the Python of a virtual environment that has one client, installed once unless it is the newest."""
    environment = CLIENTS / request.param
    python = environment / "bin" / "python"
    if request.param == NEWEST:
        shutil.rmtree(environment, ignore_errors=True)
    if not (environment / "bin" / "modelscope").exists():
        package = "modelscope" if request.param == NEWEST else f"modelscope=={request.param}"
        subprocess.run(["uv", "venv", "--quiet", "--clear", environment], check=True)
        command = ["uv", "pip", "install", "--quiet", "--python", python, package, "setuptools<80"]
        subprocess.run(command, check=True)
    return python


@pytest.fixture(name="files")
def files_of_a_repository(tmp_path: Path) -> Path:
    files = tmp_path / "repository"
    for path, content in {**CONTENTS, ".gitattributes": b"*.safetensors filter=lfs\n"}.items():
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        (files / path).write_bytes(content)
    return files


@pytest.fixture(name="hub")
def running_hub(files: Path) -> Iterator[FaultyHub]:
    hub = FaultyHub(("127.0.0.1", 0), files, REPO, OWNER)
    hub.tokens = Tokens(OWNER, READER)
    with hub.serving():
        yield hub


def download(
    client: Path, hub: FaultyHub, folder: Path, token: str, **options: str
) -> subprocess.CompletedProcess[str]:
    arguments = {
        "repo": REPO,
        "endpoint": hub.url,
        "dir": str(folder / "weights"),
        "cache_dir": str(folder / "cache"),
        "token": token,
        "python": str(client),
        **options,
    }
    command = ["ansible", "localhost", "-i", "localhost,", "-c", "local"]
    command += ["-m", "ascend_ops.vllm.weights_download", "-a", json.dumps(arguments)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = dict(os.environ, PYTHONPATH=str(TORCH), ANSIBLE_FORCE_COLOR="0")
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("token", [OWNER, READER], ids=["owner", "read-only"])
def test_the_repository_arrives_whole(client: Path, hub: FaultyHub, tmp_path: Path, token: str):
    first = download(client, hub, tmp_path, token)
    assert first.returncode == 0, first.stdout
    assert "CHANGED" in first.stdout
    weights = tmp_path / "weights"
    assert {path: (weights / path).read_bytes() for path in CONTENTS} == CONTENTS
    requests = hub.requests
    again = download(client, hub, tmp_path, token)
    assert "SUCCESS" in again.stdout, again.stdout
    assert hub.requests == requests, "a second run asked the hub"


def test_a_commit_is_taken_as_revision(client: Path, hub: FaultyHub, tmp_path: Path):
    """Clients before 1.38 refuse one. The hub itself sends files of a commit."""
    done = download(client, hub, tmp_path, OWNER, revision=hub.repository.commit())
    assert done.returncode == 0, done.stdout
    weights = tmp_path / "weights"
    assert {path: (weights / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_connections_that_break_again_and_again_end_well(client: Path, hub: FaultyHub, tmp_path: Path):
    """A client gives up after its fifth try for a file, whatever each of them brought."""
    hub.faults = [Fault("model-00001", times=12, drop_after=PIECE)]
    done = download(client, hub, tmp_path, OWNER)
    assert done.returncode == 0, done.stdout
    assert hub.faults[0].times < 7
    assert (tmp_path / "weights/model-00001-of-00002.safetensors").read_bytes() == CONTENTS[
        "model-00001-of-00002.safetensors"
    ]


def test_a_busy_hub_is_asked_again(client: Path, hub: FaultyHub, tmp_path: Path):
    hub.faults = [Fault("/repo/files", times=3, status=HTTPStatus.SERVICE_UNAVAILABLE)]
    done = download(client, hub, tmp_path, OWNER)
    assert done.returncode == 0, done.stdout
    assert hub.faults[0].times == 0


def test_a_company_authority_is_trusted_for_hub_and_cdn(client: Path, files: Path, tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    authority.issue(["127.0.0.1"])
    with FaultyHub(("127.0.0.1", 0), files, REPO, OWNER, authority.context()).serving() as hub:
        assert "certificate that is not trusted" in download(client, hub, tmp_path, OWNER).stdout
        done = download(client, hub, tmp_path, OWNER, ca_bundle=str(authority.certificate))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "weights/README.md").read_bytes() == CONTENTS["README.md"]


def test_what_the_client_compared_with_is_known_without_a_question_after_the_last_byte(
    client: Path, hub: FaultyHub, tmp_path: Path
):
    """So a token may expire by then. Clients from 1.38 on keep their listing to themselves, and the hub is asked."""
    assert download(client, hub, tmp_path, OWNER).returncode == 0
    listings = [path for path in hub.asked if "/repo/files" in path]
    objects = [place for place, path in enumerate(hub.asked) if "/lfs-objects/" in path]
    assert listings
    asked = any("/repo/files" in path for path in hub.asked[objects[-1] :])
    assert asked == (client.parents[1].name in ("1.38.1", NEWEST))
