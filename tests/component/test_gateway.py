# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role gateway, run by Ansible: a real nginx between real clients and a server with the API of vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import pytest
from ansible_run import ROOT, playbook, run
from nginx import nginx
from ports import free_port
from vllm_standin import KEY, MODEL, SAID, THOUGHT, Server, healthy

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="The role makes files that only root may read.")

TEAM, GUEST = "key-of-the-team-0123456789+/=", "key-of-a-guest-9876543210"
CROWD = (
    "key-of-two-hundred-users-42"  # a key of its own, as its requests leave no room for others in the minute
)
ENGINE = 'an "engine\'s" key\\with $pecial {signs};#'  # whatever an HTTP header takes
PATIENCE = 60  # seconds that a busy machine may take
PROMPT = "Tell nobody about the blue envelope."
ROLE = """\
- hosts: {host}
  gather_facts: false
  environment: {{PATH: "{folder}/bin:/usr/bin:/bin", UNITS: "{folder}/etc"}}
  roles: [ascend_ops.vllm.gateway]
"""
CHANGED = re.compile(r"^(\w+) +: ok=\d+ +changed=(\d+)", re.M)
# What vLLM 0.13.0, 0.18.0, 0.23.0 and 0.30.0 answer, by the decorators in vllm/entrypoints of these releases.
EXPOSED = {
    "/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST", "/v1/completions": "POST",
    "/v1/responses": "POST", "/v1/messages": "POST", "/v1/messages/count_tokens": "POST",
}  # fmt: skip
CLOSED = """
/abort_requests /classify /cohere/v2/chat /cohere/v2/chat/render /collective_rpc /detokenize /docs /fault_tolerance/apply /fault_tolerance/status
/finish_weight_update /generate /generative_scoring /get_world_size /inference/v1/generate /init_weight_transfer_engine
/invocations /is_paused /is_scaling_elastic_ep /is_sleeping /load /metrics /openapi.json /pause /ping /pooling /ready /readyz /rerank
/reset_encoder_cache /reset_mm_cache /reset_prefix_cache /resume /scale_elastic_ep /score /server_info /sleep /start_draft_weight_update /start_profile
/start_weight_update /static /stop_profile /tokenize /tokenizer_info /update_weight_version /update_weights /v1 /v1/audio/transcriptions
/v1/audio/translations /v1/chat/completions/batch /v1/chat/completions/derender /v1/chat/completions/render
/v1/completions/derender /v1/completions/render /v1/embeddings
/v1/load_lora_adapter /v1/messages/render /v1/realtime /v1/rerank /v1/responses/1 /v1/responses/1/cancel /v1/responses/render /v1/score /v1/unload_lora_adapter
/v2/embed /v2/rerank /version /wake_up /weight_info
"""
TRICKS = """
/%2e%2e/metrics /v1/%2e%2e/metrics http://gateway/metrics https://gateway/v1/../metrics /v1\\models /v1/models%0d%0aX:1 /HEALTH
/v1/models/../load_lora_adapter /v1/models/..%2fload_lora_adapter //v1/load_lora_adapter /v1/%6coad_lora_adapter
/health/../v1/load_lora_adapter /v1/models/ /v1/models;/../load_lora_adapter /V1/LOAD_LORA_ADAPTER /health/../metrics /v1/models%00
"""


def title(pid: str) -> str:
    """Return what a process calls itself, "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


class Gateway:
    """The gateway of the role, in a folder of its own, with the service behind it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.output = ""
        self.variables = {
            "folder": str(folder),
            "gateway_api_keys": {"team": TEAM, "guest": GUEST, "crowd": CROWD},
            "gateway_nginx": nginx(),
            "gateway_port": self.port,
            "gateway_upstream": server.url,
            "vllm_api_key": ENGINE,
            "__gateway_access_log": str(folder / "access.log"),
            "__gateway_dir": str(folder / "etc/gateway"),
            "__gateway_header_seconds": 8,
            "__gateway_names": ["gateway.example.com", "127.0.0.1"],
            "__gateway_pid": str(folder / "nginx.pid"),
            "__gateway_state_dir": str(folder / "state"),
            "__gateway_unit": str(folder / "etc/ascend-ops-gateway.service"),
            "__gateway_user": "daemon",
        }
        (folder / "bin").mkdir()
        (folder / "etc").mkdir()
        (folder / "bin/systemctl").symlink_to(ROOT / "tests/support/systemctl.py")

    def play(self, names: tuple[str, ...], *options: str, **more: str) -> dict[str, int]:
        """Run the role for each of *names*, all of which are this machine. Return how many tasks changed something."""
        hosts = {name: {"ansible_connection": "local"} for name in names}
        plays = [ROLE.format(host=name, folder=self.folder) for name in names]
        inventory = {
            "vllm_head": {"hosts": {"node0": {"ansible_host": "10.0.0.10"}}},
            "gateways": {"hosts": hosts},
        }
        (self.folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        (self.folder / "play.yml").write_text("".join(plays), encoding="utf-8")
        (self.folder / "variables.json").write_text(json.dumps({**self.variables, **more}), encoding="utf-8")
        given = ("-i", str(self.folder / "hosts.json"), "-e", f"@{self.folder}/variables.json", "-vv")
        python = ("-e", "ansible_python_interpreter={{ ansible_playbook_python }}")
        done, _failures = playbook(str(self.folder / "play.yml"), *given, *python, *options)
        assert done.returncode == 0, done.stdout
        self.output += done.stdout + done.stderr
        return {name: int(changed) for name, changed in CHANGED.findall(done.stdout)}

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("etc/**/*"))

    def systemctl(self, action: str) -> None:
        environment = {**os.environ, "UNITS": str(self.folder / "etc")}
        subprocess.run(
            [self.folder / "bin/systemctl", action, "ascend-ops-gateway"], env=environment, check=True
        )

    def workers(self) -> set[int]:
        """Return the processes that take new connections."""
        master = int((self.folder / "nginx.pid").read_text(encoding="ascii"))
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
        return {int(pid) for pid in children if not re.search("shutting down|^$", title(pid))}

    def reload(self) -> None:
        """Reload, and return when the former workers take no new connection: until then they answer as before."""
        former = self.workers()
        self.systemctl("reload")
        while not (workers := self.workers()) or workers & former:
            time.sleep(0.01)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "etc/gateway/tls.crt"))

    def client(self, key: str = TEAM) -> openai.OpenAI:
        http = httpx2.Client(verify=self.context())
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, http_client=http, max_retries=0)

    def log(self, until: str = "") -> str:
        """Return the access log, as soon as *until* is in it: nginx writes a line after the answer."""
        deadline = time.monotonic() + PATIENCE
        while until not in (text := (self.folder / "access.log").read_text(encoding="utf-8")):
            assert time.monotonic() < deadline, text
            time.sleep(0.01)
        return text

    def send(self, data: bytes, until: bytes = b"") -> bytes:
        """Send bytes over TLS; return what comes back up to *until*, or until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            plain.settimeout(PATIENCE)
            with self.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(data)
                answer = b""
                while (not until or until not in answer) and (part := connection.recv(65536)):
                    answer += part
                return answer

    def ask(self, method: str, path: str, key: str = TEAM) -> int:
        """Return the status of a request whose path is sent as it is."""
        body = json.dumps(
            {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]}
        )
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: gateway",
            "Connection: close",
            f"Authorization: Bearer {key}",
        ]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        return int(self.send((head + body).encode()).split()[1])


@pytest.fixture(scope="module", name="gateway")
def a_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run the role twice."""
    with Server() as server:
        server.key = ENGINE
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), server)
        gateway.changed = gateway.play(("first", "second"))
        yield gateway
        gateway.systemctl("stop")


@pytest.mark.campaign
def test_a_check_changes_nothing_and_a_removal_leaves_nothing(tmp_path: Path):
    with Server() as server:
        gateway = Gateway(tmp_path, server)
        assert gateway.play(("first",), "--check") == {"first": 4}
        assert gateway.files() == []
        gateway.play(("first",))
        gateway.play(("first",), gateway_state="absent", __gateway_user="nobody-of-the-test")
        assert gateway.files() == []
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", gateway.port)):
            """Nothing listens any more."""


def test_a_second_run_changes_nothing(gateway: Gateway):
    assert gateway.changed == {"first": 7, "second": 0}
    assert "self-signed" in gateway.output


def test_only_root_reads_the_secrets_and_no_output_shows_them(gateway: Gateway):
    modes = {
        file.name: oct(file.stat().st_mode & 0o777) for file in (gateway.folder / "etc/gateway").iterdir()
    }
    assert modes == dict.fromkeys(("keys.conf", "tls.key"), "0o600") | dict.fromkeys(
        ("nginx.conf", "tls.crt"), "0o644"
    )
    for secret in (TEAM, GUEST, ENGINE):
        assert secret not in gateway.output


def issued(folder: Path, name: str, signer: str = "") -> Path:
    """Return a certificate of its own key, signed by another or by itself."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    by = ["-CA", folder / f"{signer}.crt", "-CAkey", folder / f"{signer}.key"] if signer else []
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "5", *kind, *by, *names], check=True, capture_output=True
    )
    return certificate


@pytest.mark.campaign
def test_a_certificate_with_its_chain_is_taken_and_one_of_another_key_is_not(
    gateway: Gateway, tmp_path: Path
):
    """In the wrong order, the chain is one of another key. What nginx has stays as it is then."""
    own = {name: (gateway.folder / "etc/gateway" / name).read_bytes() for name in ("tls.crt", "tls.key")}
    for name, signer in (("root", ""), ("middle", "root"), ("leaf", "middle")):
        issued(tmp_path, name, signer)
    leaf, middle = ((tmp_path / f"{name}.crt").read_text(encoding="ascii") for name in ("leaf", "middle"))
    chain, metrics = tmp_path / "chain.crt", tmp_path / "metrics"
    metrics.mkdir()
    given = {
        "gateway_certificate": str(chain),
        "gateway_certificate_key": str(tmp_path / "leaf.key"),
        "gateway_metrics_dir": str(metrics),
    }
    try:
        chain.write_text(middle + leaf, encoding="ascii")
        with pytest.raises(AssertionError, match=r"the first certificate in .* is not that of the key"):
            gateway.play(("first",), **given)
        assert {name: (gateway.folder / "etc/gateway" / name).read_bytes() for name in own} == own
        chain.write_text(leaf + middle, encoding="ascii")
        assert gateway.play(("first", "second"), **given) == {"first": 4, "second": 0}
        context = ssl.create_default_context(cafile=str(tmp_path / "root.crt"))
        with httpx2.Client(base_url=gateway.url, verify=context) as client:
            assert client.get("/health").status_code == 200
        ends = (metrics / "ascend-ops-gateway.prom").read_text(encoding="ascii").split()[-1]
        assert abs(int(ends) - time.time() - 5 * 86400) < 600
    finally:
        for name, content in own.items():
            (gateway.folder / "etc/gateway" / name).write_bytes(content)
        gateway.reload()


def test_gixy_finds_nothing(gateway: Gateway):
    # HSTS is for browsers, and would hold for everything else on that host too.
    found = run(
        "gixy", "--format", "json", "--skips", "hsts_header", str(gateway.folder / "etc/gateway/nginx.conf")
    )
    assert (found.returncode, json.loads(found.stdout)) == (0, []), found.stdout + found.stderr


def test_the_openai_client_talks_through_it(gateway: Gateway):
    with gateway.client() as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        messages = [{"role": "user", "content": PROMPT}]
        answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=100)
        assert answer.choices[0].message.content == SAID
        stream = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=100, stream=True)
        deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == SAID
        assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == THOUGHT
        with pytest.raises(openai.NotFoundError, match="does not exist"):  # vLLM's own words pass
            client.chat.completions.create(model="other", messages=messages, max_tokens=100)


@pytest.mark.parametrize("key", ["", KEY, ENGINE, TEAM[:-1], TEAM + "x", TEAM.upper(), f"{TEAM} {TEAM}"])
def test_a_wrong_key_opens_nothing(gateway: Gateway, key: str):
    before = len(gateway.server.bodies)
    assert gateway.ask("POST", "/v1/chat/completions", key) == 401
    assert len(gateway.server.bodies) == before


def test_a_client_is_told_what_is_wrong_with_its_key(gateway: Gateway):
    with (
        gateway.client("another-key") as client,
        pytest.raises(openai.AuthenticationError, match="wrong or revoked"),
    ):
        client.models.list()


def test_only_what_is_exposed_answers(gateway: Gateway):
    for path, method in EXPOSED.items():
        others = {"GET", "POST", "PUT", "DELETE", "OPTIONS"} - {method}
        assert {gateway.ask(other, path) for other in others} == {405}, path
        # The service has no such answer for all of them, but each request reaches it.
        assert gateway.ask(method, path) not in (401, 404, 405), path
    answers = {
        (path, gateway.ask(method, path)) for path in (CLOSED + TRICKS).split() for method in ("GET", "POST")
    }
    assert {path for path, status in answers if status not in (400, 404)} == set()


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n"
HOSTILE = {
    "both lengths": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "a signed length": "Content-Length: +5",
    "an endless length": "Content-Length: 99999999999999999999",
    "an unknown encoding": "Transfer-Encoding: xchunked",
    "two encodings": "Transfer-Encoding: chunked, identity",
    "a space before the colon": "Content-Length: 5\r\nTransfer-Encoding : chunked",
    "a second key": "Content-Length: 0\r\nAuthorization: Bearer another",
    "a second host": "Content-Length: 0\r\nHost: another",
    "a folded line": "Content-Length: 0\r\nX-Header: a\r\n b",
    "a null byte": "Content-Length: 0\r\nX-Header: a\0b",
}


@pytest.mark.parametrize("lines", HOSTILE.values(), ids=HOSTILE)
def test_a_request_that_two_servers_may_read_differently_is_refused(gateway: Gateway, lines: str):
    before = len(gateway.server.bodies)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {TEAM}\r\n{lines}\r\n\r\n"
    )
    answers = gateway.send(head.encode() + b"0\r\n\r\n" + SMUGGLED)
    assert re.findall(rb"^HTTP/1.1 (\d+)", answers, re.M)[0] in (b"400", b"501")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert len(gateway.server.bodies) == before


def test_a_stream_arrives_as_it_is_said(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    over = threading.Event()
    monkeypatch.setattr(gateway.server, "stop", over)
    monkeypatch.setattr(gateway.server, "hangs_after", 2)
    with gateway.client() as client:
        messages = [{"role": "user", "content": PROMPT}]
        stream = client.chat.completions.create(
            model=MODEL, messages=messages, max_tokens=100, stream=True, timeout=PATIENCE
        )
        try:
            assert all(next(stream).choices for _number in range(2))
        finally:
            over.set()


@pytest.mark.campaign
def test_it_delays_the_first_token_hardly(gateway: Gateway):
    """Asked in turns, so that what else the machine does slows both."""
    body = {
        "model": MODEL,
        "max_tokens": 100,
        "stream": True,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    times: dict[str, list[float]] = {TEAM: [], ENGINE: []}
    with contextlib.ExitStack() as stack:
        clients = {}
        for key, url in ((TEAM, gateway.url), (ENGINE, gateway.server.url)):
            headers = {"Authorization": f"Bearer {key}"}
            client = httpx2.Client(base_url=url, headers=headers, verify=gateway.context())
            clients[key] = stack.enter_context(client)
        for _number in range(40):
            for key, client in clients.items():
                begun = time.monotonic()
                with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                    next(answer.iter_raw())
                    times[key].append(time.monotonic() - begun)
    assert statistics.median(times[TEAM]) - statistics.median(times[ENGINE]) < 0.005


async def stream(gateway: Gateway, context: ssl.SSLContext, key: str = TEAM) -> bytes:
    """Return a whole streamed answer."""
    body = json.dumps(
        {"model": MODEL, "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def streams(gateway: Gateway, count: int, key: str = TEAM) -> list[bytes]:
    context = gateway.context()
    return await asyncio.gather(*(stream(gateway, context, key) for _number in range(count)))


def whole(answer: bytes) -> bool:
    """Tell whether an answer has all pieces of what the model says, up to the end of the stream."""
    said = "".join(re.findall(r'"content": "([^"]*)"', answer.decode()))
    return said == SAID and b"data: [DONE]\n\n" in answer and answer.endswith(b"0\r\n\r\n")


def test_two_hundred_streams_at_once(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.server, "pause", 0.05)
    answers = asyncio.run(streams(gateway, 200, CROWD))
    assert [answer for answer in answers if not whole(answer)] == []


def is_allowed(client: openai.OpenAI) -> bool:
    """Tell whether the client's key is accepted on the connection that it has."""
    try:
        client.models.list()
    except openai.AuthenticationError:
        return False
    return True


def test_a_reload_cuts_no_stream_and_a_revoked_key_is_refused_at_once(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
):
    keys = gateway.folder / "etc/gateway/keys.conf"
    before = keys.read_text(encoding="utf-8")
    monkeypatch.setattr(gateway.server, "pause", 1)
    assert gateway.ask("GET", "/v1/models", GUEST) == 200
    with ThreadPoolExecutor() as pool, gateway.client(GUEST) as idle:
        idle.models.list()  # leaves an open connection to a process that the reload ends
        running = pool.submit(asyncio.run, streams(gateway, 50))
        while sum(gateway.server.running.values()) < 50:
            time.sleep(0.02)
        keys.write_text(
            "".join(line for line in before.splitlines(True) if "guest" not in line), encoding="utf-8"
        )
        try:
            gateway.systemctl("reload")
            begun = time.monotonic()
            while gateway.ask("GET", "/v1/models", GUEST) != 401 or is_allowed(idle):
                assert time.monotonic() - begun < 3
                time.sleep(0.05)
            assert not running.done()
        finally:
            gateway.server.pause = 0
            keys.write_text(before, encoding="utf-8")
            gateway.reload()
        answers = running.result()
    assert [answer for answer in answers if not whole(answer)] == []


def test_what_is_too_large_is_refused(gateway: Gateway):
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {TEAM}\r\n"
    answer = gateway.send(f"{head}Content-Length: 9000000\r\n\r\n".encode(), until=b"}}")
    assert b" 413 " in answer.split(b"\r\n")[0]
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    answer = gateway.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + 9 * chunk, until=b"}}")
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"larger than 8 MB" in answer
    many = "".join(f"X-{number}: {'x' * 8000}\r\n" for number in range(6))
    assert b" 400 " in gateway.send(f"{head}{many}\r\n".encode(), until=b"</html>").split(b"\r\n")[0]


def closes(connection: ssl.SSLSocket) -> bool:
    """Tell whether the other side has closed the connection by the next fifth of a second."""
    connection.settimeout(0.2)
    try:
        connection.sendall(b"X-Header: x\r\n")
        return not connection.recv(1000)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_dawdles_with_headers_is_cut_off(gateway: Gateway):
    deadline = time.monotonic() + 10 * gateway.variables["__gateway_header_seconds"]
    with (
        socket.create_connection(("127.0.0.1", gateway.port)) as plain,
        gateway.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        while not closes(connection):
            assert time.monotonic() < deadline


def test_a_client_chooses_neither_engine_nor_name_of_its_request(gateway: Gateway):
    ours = {"X-Request-Id": "mine", "X-Data-Parallel-Rank": "1"}
    engines = []
    gateway.server.balanced = ("0",)
    gateway.server.model = lambda asked: engines.append(asked.engine) or healthy(asked)
    with gateway.client() as client:
        messages = [{"role": "user", "content": PROMPT}]
        answer = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=messages, max_tokens=100, extra_headers=ours
        )
    gateway.server.balanced, gateway.server.model = gateway.server.ranks, healthy
    assert engines == ["0"]
    assert answer.headers["X-Request-Id"] != "mine"
    assert gateway.log(until=answer.headers["X-Request-Id"])


def test_too_many_requests_of_one_key_leave_the_others_alone(gateway: Gateway):
    with (
        httpx2.Client(base_url=gateway.url, verify=gateway.context()) as client,
        ThreadPoolExecutor(16) as pool,
    ):

        def status(key: str) -> int:
            return client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code

        assert set(pool.map(status, 500 * [GUEST])) == {200, 429}
        assert status(TEAM) == 200


def test_health_is_that_of_the_service(gateway: Gateway):
    with httpx2.Client(base_url=gateway.url, verify=gateway.context()) as client:
        assert client.get("/health").status_code == 200
        gateway.server.ready_at = time.monotonic() + 1000
        assert client.get("/health").status_code == 503
        gateway.server.ready_at = 0


def test_the_log_names_the_client_and_nothing_else_of_it(gateway: Gateway):
    paths = {
        f"/v1/models?api_key={TEAM}&q=blue+envelope": "GET /v1/models",
        f"/blue-envelope/{TEAM}": "GET other",
    }
    with httpx2.Client(base_url=gateway.url, verify=gateway.context()) as client:
        for path, request in paths.items():
            answer = client.get(path, headers={"Authorization": f"Bearer {TEAM}"})
            log = gateway.log(until=answer.headers["X-Request-Id"]).splitlines()
            (entry,) = (json.loads(line) for line in log if answer.headers["X-Request-Id"] in line)
            said = {"client": "team", "request": request, "status": str(answer.status_code)}
            assert said.items() <= entry.items()
    for secret in (TEAM, GUEST, ENGINE, "envelope"):
        assert secret not in gateway.log()
        assert secret not in gateway.output


def test_without_a_service_clients_are_told_to_come_back(gateway: Gateway):
    away = gateway.folder / "etc/gateway/nginx.conf"
    before = away.read_text(encoding="utf-8")
    away.write_text(before.replace(gateway.server.url[7:], f"127.0.0.1:{free_port()}"), encoding="utf-8")
    gateway.reload()
    try:
        with gateway.client() as client, pytest.raises(openai.InternalServerError) as refused:
            client.models.list()
    finally:
        away.write_text(before, encoding="utf-8")
        gateway.reload()
    assert (refused.value.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")
