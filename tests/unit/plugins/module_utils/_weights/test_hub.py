# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against the lab's hub, over HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import model_files, server
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import Answer, Hub
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File
from hub.authority import Authority
from ports import free_port

REPO, TOKEN = "ZhipuAI/GLM-4.7", "the-right-token"
FILES = {"config.json": b'{"hidden_size": 8}', "sub/model.safetensors": b"weights"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait seconds for what never comes back."""
    monkeypatch.setattr(server, "RECONNECT_PAUSES", (0.1, 0.1))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "localhost")


@pytest.fixture(scope="module")
def lab() -> ModuleType:
    path = Path(__file__).resolve().parents[4] / "lab" / "hub" / "hub.py"
    spec = importlib.util.spec_from_file_location("lab_hub", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def served(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def endpoint(lab: ModuleType, tmp_path: Path) -> Iterator[str]:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    yield from served(lab.Hub(("127.0.0.1", 0), lab.Repository(tmp_path, REPO), lab.Tokens(TOKEN)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue(["127.0.0.1"])
    return authority


@pytest.fixture
def over_tls(lab: ModuleType, endpoint: str, tmp_path: Path, authority: Authority) -> Iterator[str]:
    """The same repository over HTTPS."""
    hub = lab.Hub(
        ("127.0.0.1", 0), lab.Repository(tmp_path, REPO), lab.Tokens(TOKEN), tls=authority.context()
    )
    yield from (address.replace("http:", "https:") for address in served(hub))


def test_a_company_authority_is_trusted_for_hub_and_cdn(over_tls: str, authority: Authority):
    hub = Hub(over_tls, TOKEN, str(authority.certificate))
    hub.log_in()
    assert hub.snapshot(REPO, "master").files
    hub.try_out(REPO, "master", "sub/model.safetensors")


def test_a_company_authority_that_is_not_trusted_is_named_as_the_cause(
    over_tls: str, monkeypatch: pytest.MonkeyPatch
):
    """At once: that does not end by itself."""
    pauses: list[float] = []
    monkeypatch.setattr(server, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(ProblemError, match="certificate that is not trusted") as error:
        Hub(over_tls, TOKEN).log_in()
    assert "O(ca_bundle)" in str(error.value)
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "text", "ok", "said"),
    [
        (200, b'{"Code": 200, "Success": true}', True, "HTTP 200"),
        (200, b'{"a": 1}', True, "HTTP 200"),  # a file of a repository
        (200, b'{"Code": 404, "Message": "no"}', False, "HTTP 200, code 404: no"),
        (200, b'{"Code": 200, "Success": false}', False, "HTTP 200"),
        (200, b"{}", False, "HTTP 200, without the hub's JSON"),
        (200, b"[1]", False, "HTTP 200, without the hub's JSON"),
        (502, b"<html>", False, "HTTP 502, without the hub's JSON"),
        (500, b'{"Code": 200}', False, "HTTP 500"),
    ],
)
def test_the_envelope_of_an_answer(status: int, text: bytes, ok: bool, said: str):
    answer = Answer(status, text)
    assert (answer.ok, str(answer)) == (ok, said)


@pytest.mark.parametrize(
    ("text", "data"), [(b'{"Data": {"a": 1}}', {"a": 1}), (b'{"Data": [1]}', {}), (b"{}", {}), (b"x", {})]
)
def test_the_content_of_an_answer(text: bytes, data: dict[str, int]):
    assert Answer(200, text).data == data


@pytest.mark.parametrize(
    ("token", "status", "reader", "option"),
    [
        ("secret", 404, "with this token", "O(token) may read it"),
        ("", 404, "without a token", "or set O(token)"),
        ("", 401, "without a token", "Set O(token), which is empty"),
    ],
)
def test_a_repository_that_is_not_shown(token: str, status: int, reader: str, option: str):
    problem = Hub("http://hub", token)._not_shown(REPO, status, str(Answer(status, b"{}"))).problem
    assert reader in problem.found
    assert option in problem.remedy


@pytest.mark.parametrize(
    ("existing", "found", "expected"),
    [
        ({"Branches": [{"Revision": "v1"}]}, "has no revision 'v2'", "one of v1, or a commit"),
        ({"Branches": None, "Tags": [{"Revision": "t1"}]}, "has no revision 'v2'", "one of t1, or a commit"),
        ({}, "has no revision 'v2'", "one of its revisions, or a commit"),
        ({"Tags": [{"Revision": "v2"}]}, "has no files in revision 'v2'", "the files of a model"),
    ],
)
def test_a_revision_that_has_no_files(existing: dict[str, object], found: str, expected: str):
    problem = Hub("http://hub", "")._no_revision(REPO, "v2", existing).problem
    assert found in problem.found
    assert problem.expected == expected


def test_a_token_is_sent_as_a_header_and_as_a_session():
    assert Hub("http://hub", "").headers() == {}
    assert Hub("http://hub", "t").headers() == {"Authorization": "Bearer t", "Cookie": "m_session_id=t"}
    url = "http://hub/api/v1/models/a%20b/c/repo?Revision={revision}&FilePath={path}"
    assert Hub("http://hub/", "").url("a b/c") == url


class Cdn(BaseHTTPRequestHandler):
    """The hub of one file, which redirects to the host that has it, and this host."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        place = "" if self.path.startswith("/file") else self.server.place
        self.send_response(302 if place else self.server.status)
        self.send_header("Location", place) if place else None
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def cdn() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Cdn)
    server.place, server.status, server.asked = f"http://localhost:{server.server_address[1]}/file", 206, []
    for _address in served(server):
        yield server


def asked_for_a_byte(cdn: HTTPServer) -> None:
    Hub(f"http://127.0.0.1:{cdn.server_address[1]}", TOKEN).try_out(REPO, "master", "model.safetensors")


def test_one_byte_is_asked_of_the_cdn_without_the_token(cdn: HTTPServer):
    asked_for_a_byte(cdn)
    (_path, of_hub), (path, of_cdn) = cdn.asked
    assert TOKEN in of_hub["Authorization"]
    assert (path, of_cdn["Range"]) == ("/file", "bytes=0-0")
    assert TOKEN not in str(of_cdn)


@pytest.mark.parametrize(
    ("place", "status", "found"),
    [
        (
            "http://127.0.0.1:1/file",
            206,
            "the CDN 127.0.0.1:1, which has the files of the hub, cannot be reached",
        ),
        (
            "http://cdn.invalid/file",
            206,
            "the CDN cdn.invalid, which has the files of the hub, cannot be reached",
        ),
        (None, 403, "the CDN localhost:"),
    ],
    ids=["closed port", "unknown name", "refused"],
)
def test_a_cdn_that_cannot_be_used_is_named(cdn: HTTPServer, place: str | None, status: int, found: str):
    cdn.place, cdn.status = place or cdn.place, status
    with pytest.raises(ProblemError) as error:
        asked_for_a_byte(cdn)
    assert error.value.problem.found.startswith(found)


@pytest.mark.parametrize("status", [200, 206, 404, 503])
def test_other_answers_of_a_cdn_are_no_reason_to_refuse(cdn: HTTPServer, status: int):
    cdn.status = status
    asked_for_a_byte(cdn)


def test_a_hub_that_comes_back_within_seconds_is_asked_again(
    lab: ModuleType, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    port = free_port()
    pauses: list[float] = []
    with contextlib.ExitStack() as running:

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == len(server.RECONNECT_PAUSES):
                back = lab.Hub(("127.0.0.1", port), lab.Repository(tmp_path, REPO), lab.Tokens(TOKEN))
                running.enter_context(contextlib.contextmanager(served)(back))

        monkeypatch.setattr(server, "time", SimpleNamespace(sleep=pause))
        assert Hub(f"http://127.0.0.1:{port}", TOKEN).snapshot(REPO, "master").files
    assert pauses == list(server.RECONNECT_PAUSES)


@pytest.mark.parametrize("revision", ["master", "v1.0"])
def test_a_revision_is_listed(endpoint: str, revision: str):
    hub = Hub(endpoint + "/", TOKEN)
    hub.log_in()
    found = hub.snapshot(REPO, revision)
    assert found.files == [
        File(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()
    ]
    assert hub.snapshot(REPO, found.commit) == found


def test_the_files_of_a_model_are_described_without_its_weights(endpoint: str):
    files = model_files.of_hub(Hub(endpoint, TOKEN), REPO, "master")
    assert files == (json.loads(FILES["config.json"]), len(FILES["sub/model.safetensors"]), {})


def test_a_file_that_does_not_exist_is_named(endpoint: str):
    with pytest.raises(ProblemError, match=r"config\.yml"):
        Hub(endpoint, TOKEN).document(REPO, "master", "config.yml")


def test_a_wrong_token_is_refused_with_the_hubs_message(endpoint: str):
    with pytest.raises(ProblemError, match="10010103009") as error:
        Hub(endpoint, "the-wrong-token").log_in()
    assert "O(token)" in str(error.value)
    assert "the-wrong-token" not in str(error.value)


def test_an_unknown_revision_is_answered_with_the_existing_ones(endpoint: str):
    with pytest.raises(ProblemError, match="'main'") as error:
        Hub(endpoint, TOKEN).snapshot(REPO, "main")
    assert "master, v1.0" in str(error.value)


@pytest.mark.parametrize(("repo", "token"), [("ZhipuAI/GLM-9", TOKEN), (REPO, ""), (REPO, "the-wrong-token")])
def test_a_repository_that_is_not_shown_is_named(endpoint: str, repo: str, token: str):
    with pytest.raises(ProblemError, match=repo):
        Hub(endpoint, token).snapshot(repo, "master")


def test_an_unreachable_hub_is_named_with_the_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ProblemError, match=f"http://127.0.0.1:{port}") as error:
        Hub(f"http://127.0.0.1:{port}", "").snapshot(REPO, "master")
    assert "https_proxy=http://***@proxy.example, no_proxy=localhost" in str(error.value)


class Elsewhere(BaseHTTPRequestHandler):
    """Redirects every request to another hub."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def test_the_token_does_not_follow_a_redirect(endpoint: str, capfd: pytest.CaptureFixture[str]):
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    server.elsewhere = endpoint
    for address in served(server):
        with pytest.raises(ProblemError, match="HTTP 302"):
            Hub(address, TOKEN).log_in()
        with pytest.raises(ProblemError, match="HTTP 302"):
            Hub(address, TOKEN).snapshot(REPO, "master")
    assert capfd.readouterr().out == ""  # the other hub has seen nothing


class Polite(BaseHTTPRequestHandler):
    """Refuses with HTTP status 200, as the hub does at times."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.body).encode())

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("refusal", [{"Success": False}, {"Code": 10010205001}])
def test_a_refusal_with_status_200_is_one(refusal: dict[str, object]):
    server = HTTPServer(("127.0.0.1", 0), Polite)
    server.body = {"Code": 200, "Success": True, "Message": "no", "Data": {"Files": []}, **refusal}
    for address in served(server):
        with pytest.raises(ProblemError):
            Hub(address, TOKEN).log_in()
        with pytest.raises(ProblemError, match="HTTP 200"):
            Hub(address, TOKEN).snapshot(REPO, "master")


def test_credentials_of_a_netrc_do_not_replace_the_token(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Hub(endpoint, TOKEN).log_in()
    assert Hub(endpoint, TOKEN).snapshot(REPO, "master").files


def test_golden_messages(endpoint: str, golden):
    cases = {
        "wrong token": lambda: Hub(endpoint, "the-wrong-token").log_in(),
        "no such revision": lambda: Hub(endpoint, TOKEN).snapshot(REPO, "main"),
        "no such repository": lambda: Hub(endpoint, TOKEN).snapshot("ZhipuAI/GLM-9", "master"),
        "no token": lambda: Hub(endpoint, "").snapshot(REPO, "master"),
        "no hub": lambda: Hub("http://127.0.0.1:1", "").snapshot(REPO, "master"),
    }
    texts = {}
    for name, case in cases.items():
        with pytest.raises(ProblemError) as error:
            case()
        texts[name] = str(error.value).replace(endpoint, "http://hub")
    golden("hub", texts)
