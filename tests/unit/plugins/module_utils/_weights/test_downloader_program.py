# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The downloader as a whole, which fetches from a server over HTTP or has a client do it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from actions import Clock
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import downloader
from huggingface_standin import HuggingFaceHub

CONTENTS = {"config.json": b"{}", "sub/a b.safetensors": bytes(range(256)) * 400}
TOKEN = "the token"
NETWORK = {"ca_bundle": "", "proxies": {}, "headers": {"Authorization": f"Bearer {TOKEN}"}}


def files_of(contents: dict[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in contents.items()
    ]


FILES = files_of(CONTENTS)


def job(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    return {**NETWORK, "dir": str(folder), "url": url, "workers": 2, "with_client": False, **more}


@pytest.fixture(name="clock")
def clock_without_pauses(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(downloader, "time", clock)
    return clock


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()
    }


# By itself


def test_files_of_a_hub_come_from_its_cdn_without_the_token(tmp_path: Path, clock: Clock):
    """The CDN refuses a token. Of two connections that break, the rest is fetched by another."""
    with HuggingFaceHub("a/b", CONTENTS, TOKEN).serving() as hub:
        hub.cuts = 2
        url = f"{hub.url}/a/b/resolve/{{revision}}/{{path}}"
        downloader.fetch_files(job(tmp_path, url), "main", FILES)
        spans = hub.spans
    assert content_of(tmp_path) == CONTENTS
    size = len(CONTENTS["sub/a b.safetensors"])
    assert spans == [0, size // 2, size // 2 + size // 4]


def test_what_a_server_will_say_again_is_told_at_once(tmp_path: Path, clock: Clock):
    with HuggingFaceHub("a/b", CONTENTS, TOKEN).serving() as hub:
        url = f"{hub.url}/a/b/resolve/{{revision}}/{{path}}?signed=secret"
        with pytest.raises(downloader.FetchError, match=r"^config\.json .*: 404 Client Error: ") as caught:
            downloader.fetch_files(job(tmp_path, url), "other", FILES[:1])
    assert "secret" not in str(caught.value)
    assert clock.now == Clock().now
    assert not (tmp_path / "config.json").exists()


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the test says."""

    server: Any

    def do_GET(self) -> None:
        self.server.asked.append(self.headers)
        status, headers, body = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


Served = Callable[..., ThreadingHTTPServer]


@pytest.fixture(name="serve")
def server_with_answers() -> Iterator[Served]:
    """Return a function that starts a server, which gives these answers one after the other."""
    servers = []

    def serve(*answers: tuple[int, dict[str, str], bytes]) -> ThreadingHTTPServer:
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.answers, server.asked = list(answers), []
        server.url = f"http://127.0.0.1:{server.server_address[1]}/{{path}}"
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


RIGHT = (200, {}, CONTENTS["config.json"])


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        ((503, {}, b""), 1),
        ((429, {"Retry-After": "7"}, b""), 7),
        ((416, {}, b""), 1),
        ((200, {}, b"{"), 1),  # ends too early
    ],
)
def test_a_server_that_is_busy_is_asked_again(
    tmp_path: Path, clock: Clock, serve: Served, answer: Any, pause: int
):
    server: Any = serve(answer, RIGHT)
    began = clock.now
    downloader.fetch_files(job(tmp_path, server.url), "main", FILES[:1])
    assert content_of(tmp_path) == {"config.json": b"{}"}
    assert clock.now - began == pause
    assert [headers["Authorization"] for headers in server.asked] == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize(("status", "side"), [(500, "Server"), (499, "Client"), (503, "Server")])
def test_a_server_that_stays_busy_is_told(
    tmp_path: Path, clock: Clock, serve: Served, status: int, side: str
):
    server: Any = serve(*[(status, {}, b"")] * 100)
    with pytest.raises(downloader.FetchError, match=f"BusyError: {status} {side} Error"):
        downloader.fetch_files(job(tmp_path, server.url), "main", FILES[:1])
    assert downloader.SILENT_SECONDS < clock.now - Clock().now <= downloader.SILENT_SECONDS + 2


def test_a_refusal_by_another_host_may_pass(tmp_path: Path, clock: Clock, serve: Served):
    """A CDN refuses an address whose time is over. The hub signs another one."""
    cdn: Any = serve((403, {}, b""), RIGHT)
    place = cdn.url.format(path="signed?x=secret")
    hub: Any = serve(*[(302, {"Location": place}, b"")] * 2)
    downloader.fetch_files(job(tmp_path, hub.url), "main", FILES[:1])
    assert content_of(tmp_path) == {"config.json": b"{}"}
    assert [headers["Authorization"] for headers in (*hub.asked, *cdn.asked)] == [
        *[f"Bearer {TOKEN}"] * 2,
        *[None] * 2,
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_server_keeps_the_token(
    tmp_path: Path, clock: Clock, serve: Served, status: int
):
    server: Any = serve((status, {"Location": "/elsewhere"}, b""), RIGHT)
    downloader.fetch_files(job(tmp_path, server.url), "main", FILES[:1])
    assert [headers["Authorization"] for headers in server.asked] == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/config.json?secret", "file:///etc/passwd"])
def test_a_redirect_to_another_protocol_is_not_followed(
    tmp_path: Path, clock: Clock, serve: Served, place: str
):
    server: Any = serve(*[(302, {"Location": place}, b"")] * 100)
    with pytest.raises(downloader.FetchError) as caught:
        downloader.fetch_files(job(tmp_path, server.url), "main", FILES[:1])
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "config.json").exists()


def test_another_content_than_is_listed_is_fetched_again_some_times(
    tmp_path: Path, clock: Clock, serve: Served
):
    wrong = (200, {}, b"[]")
    server: Any = serve(*[wrong] * (downloader.TRIES - 1), RIGHT)
    downloader.fetch_files(job(tmp_path, server.url), "main", FILES[:1])
    assert content_of(tmp_path) == {"config.json": b"{}"}
    server = serve(*[wrong] * downloader.TRIES, RIGHT)
    with pytest.raises(downloader.FetchError, match=r"config\.json .* its SHA-256 is "):
        downloader.fetch_files(job(tmp_path / "other", server.url), "main", FILES[:1])


def test_a_disk_that_takes_no_file_is_told_as_it_is(tmp_path: Path, clock: Clock, serve: Served):
    (tmp_path / "sub").write_bytes(b"")
    server: Any = serve(RIGHT)
    with pytest.raises(OSError, match="sub"):
        downloader.fetch_files(job(tmp_path, server.url), "main", FILES[1:])
    assert server.asked == []


# With the client

API = """
import os, sys
MODELSCOPE_URL_SCHEME = "https://"

class ModelScopeConfig:
    {cookies}

class HubApi:
    def login(self, token):
        print("logged in with", token)
        if token == "read-only":
            raise PermissionError("no login")
"""
COOKIES = """
    @staticmethod
    def save_cookies(jar):
        (cookie,) = jar
        print("a cookie for", cookie.domain, cookie.name, cookie.value)
"""
DOWNLOAD = """
import json, os, sys
import requests
from modelscope.hub import api

def snapshot_download(repo, revision, cache_dir, local_dir, allow_patterns, max_workers):
    torch = sys.modules["torch"]
    print("asked", json.dumps([repo, revision, cache_dir, allow_patterns, max_workers, torch, api.MODELSCOPE_URL_SCHEME]))
    if revision == "gone":
        raise ValueError("The model: a/b has no revision: gone")
    if revision == "broken":
        raise ValueError("1 file(s) failed")
    endpoint = os.environ["MODELSCOPE_ENDPOINT"]
    requests.get(endpoint + "/api/v1/models/a/b/repo/files")
    for path in allow_patterns:
        with open(os.path.join(local_dir, path), "wb") as file:
            file.write(b"{}")
"""


def client_in(folder: Path, cookies: str = "pass") -> None:
    """Write a client that does what the downloader depends on, in the place of ModelScope's."""
    hub = folder / "modelscope/hub"
    hub.mkdir(parents=True)
    (folder / "modelscope/__init__.py").touch()
    (hub / "__init__.py").touch()
    (hub / "api.py").write_text(API.format(cookies=cookies), encoding="utf-8")
    (hub / "snapshot_download.py").write_text(DOWNLOAD, encoding="utf-8")


class Program:
    """The downloader in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model"
        self.model.mkdir()
        self.packages = folder / "packages"
        self.packages.mkdir()

    def run(
        self, url: str, files: Any = FILES[:1], revision: str = "main", **more: Any
    ) -> tuple[Any, list[str]]:
        """Return the outcome, and the lines on the standard error."""
        given = {
            **job(self.model, f"{url}/a/b/resolve/{{revision}}/{{path}}"),
            "endpoint": url,
            "cache_dir": str(self.folder / "cache"),
            "home": str(self.folder / "home"),
            "repo": "a/b",
            "token": TOKEN,
            "share": None,
            **more,
        }
        work = {
            "files": files,
            "missing": [file["path"] for file in files],
            "patterns": {file["path"]: file["path"] for file in files},
            "revision": revision,
        }
        paths = os.pathsep.join([str(self.packages), os.environ.get("PYTHONPATH", "")])
        with subprocess.Popen(
            [sys.executable, downloader.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.write(f"{json.dumps(given)}\n{json.dumps(work)}\n")
            process.stdin.flush()
            outcome = json.loads(process.stdout.readline())
            return outcome, process.stderr.read().splitlines()


@pytest.fixture(name="program")
def program_in_a_folder(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture(name="hub")
def running_hub() -> Iterator[HuggingFaceHub]:
    with HuggingFaceHub("a/b", CONTENTS, TOKEN).serving() as hub:
        yield hub


def test_the_program_fetches_and_tells_that_all_was_compared(program: Program, hub: HuggingFaceHub):
    outcome, _printed = program.run(hub.url, FILES)
    assert outcome == {"replaced": [], "compared": True}
    assert content_of(program.model) == CONTENTS


def test_the_program_tells_why_it_failed(program: Program, hub: HuggingFaceHub):
    outcome, _printed = program.run(hub.url, revision="none")
    assert "404" in outcome
    assert outcome.startswith("FetchError: ")


@pytest.mark.parametrize("with_work", [False, True])
def test_the_program_ends_when_the_one_that_started_it_has_ended(program: Program, with_work: bool):
    """With work, it asks a server that does not answer."""
    listener = downloader.socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/{{path}}"
    given = job(program.model, url, endpoint=url, cache_dir="c", home="h", repo="a/b", token="", share=None)
    work = {"files": FILES, "missing": ["config.json"], "patterns": {}, "revision": "main"}
    lines = [given, work] if with_work else [given]
    done = subprocess.run(
        [sys.executable, downloader.__file__],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    listener.close()
    assert (done.returncode, done.stdout) == (1, "") or not with_work
    assert "JSONDecodeError" in done.stdout or with_work


def modelscope(*listed: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    files = [{"Path": one["path"], "Sha256": one["sha256"]} for one in listed]
    return 200, {}, json.dumps({"Data": {"Files": files}}).encode()


def asked(printed: list[str]) -> list[Any]:
    (line,) = [line for line in printed if line.startswith("asked ")]
    found = json.loads(line.removeprefix("asked "))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("listed", "compared"),
    [([FILES[0]], True), ([], False), ([{"path": "other", "sha256": "1"}], False)],
    ids=["as it is expected", "nothing", "another file"],
)
def test_a_client_compares_with_what_it_lists_itself(
    program: Program, serve: Served, listed: list[Any], compared: bool
):
    client_in(program.packages)
    server: Any = serve(modelscope(*listed))
    url = server.url.removesuffix("/{path}")
    outcome, printed = program.run(url, with_client=True)
    assert outcome == {"replaced": [], "compared": compared}
    assert content_of(program.model) == {"config.json": b"{}"}
    cache = str(program.folder / "cache")
    assert asked(printed) == ["a/b", "main", cache, ["config.json"], 2, None, "http://"]
    assert f"logged in with {TOKEN}" in printed


def test_a_client_that_lists_other_files_than_before_fails(program: Program, serve: Served):
    client_in(program.packages)
    server: Any = serve(modelscope({"path": "config.json", "sha256": "0" * 64}))
    outcome, _printed = program.run(server.url.removesuffix("/{path}"), with_client=True)
    assert outcome.startswith("RuntimeError: the hub lists another config.json than before")
    assert content_of(program.model) == {}


def test_a_token_that_gets_no_login_is_a_cookie(program: Program, serve: Served):
    client_in(program.packages, COOKIES)
    server: Any = serve(modelscope(FILES[0]))
    url = server.url.removesuffix("/{path}")
    outcome, printed = program.run(url, with_client=True, token="read-only")
    assert outcome["compared"]
    assert "a cookie for 127.0.0.1 m_session_id read-only" in printed


def test_a_client_without_cookies_tells_that_the_login_failed(program: Program, hub: HuggingFaceHub):
    client_in(program.packages)
    outcome, _printed = program.run(hub.url, with_client=True, token="read-only")
    assert outcome == "PermissionError: no login"


def test_without_a_token_nobody_logs_in(program: Program, serve: Served):
    client_in(program.packages)
    server: Any = serve(modelscope(FILES[0]))
    outcome, printed = program.run(server.url.removesuffix("/{path}"), with_client=True, token="")
    assert outcome["compared"]
    assert not [line for line in printed if "logged in" in line]


def test_a_revision_that_a_client_does_not_take_is_fetched_without_it(program: Program, hub: HuggingFaceHub):
    client_in(program.packages)
    hub.branches["gone"] = hub.branches["main"]
    outcome, _printed = program.run(hub.url, with_client=True, revision="gone")
    assert outcome == {"replaced": [], "compared": True}
    outcome, _printed = program.run(hub.url, with_client=True, revision="broken")
    assert outcome == "ValueError: 1 file(s) failed"


def test_a_program_without_the_client_says_so(program: Program, hub: HuggingFaceHub):
    outcome, _printed = program.run(hub.url, with_client=True)
    assert outcome.startswith("ModuleNotFoundError: ")
