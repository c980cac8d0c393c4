# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs the ModelScope client in the serving image, and passes files on to other hosts and takes them from there.

It gets its orders as two lines of JSON on standard input: at once those that do not depend on the files, the token among
them, and once it is known what is on the disk, the files. It writes one line of JSON to standard output: null, or why it
failed. When standard input ends, whoever gave the orders is gone, and it ends too.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterable, Mapping, Sequence
from urllib.parse import quote, unquote, urlsplit

BLOCK = 4 << 20
RECEIVERS = 4  # files taken from other hosts side by side
TICK = 0.5  # seconds between two looks at the other hosts
HELLO_SECONDS = 60  # in which every host must answer once: Ansible starts them at about the same time
SILENT_SECONDS = 30  # after which a host that had answered is gone; its Docker may restart meanwhile
TRIES = 3  # of a file that arrives other than it was sent
FORBIDDEN = 403
OK = 200
PARTIAL = 206
STATE = "/state"
FILES = "/files/"


def end_with_input() -> None:
    """Take this process down with the one that started it."""
    sys.stdin.read()
    os._exit(1)


def environment(orders: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that tell the client what its functions have no argument for."""
    return {
        **orders["proxies"],
        "HOME": orders["home"],
        "MODELSCOPE_CACHE": orders["cache_dir"],
        "MODELSCOPE_ENDPOINT": orders["endpoint"],
        "MODELSCOPE_DOMAIN": orders["endpoint"].split("://")[-1],  # the only one that older clients know
        "TQDM_DISABLE": "1",
    }


def import_client(endpoint: str) -> None:
    """Import the client where there is no NPU driver, and have it use the scheme of the endpoint.

    Its logger imports torch where there is one. In the serving image torch loads torch_npu, which needs the driver, and
    a container that only downloads has none. Clients before 1.38 know a domain only and put ``https://`` before it.
    """
    sys.modules["torch"] = None  # type: ignore[assignment]
    import modelscope.hub.api  # type: ignore[import-not-found] # noqa: F401

    for name, module in list(sys.modules.items()):
        if name.startswith("modelscope.") and hasattr(module, "MODELSCOPE_URL_SCHEME"):
            vars(module)["MODELSCOPE_URL_SCHEME"] = endpoint.partition("://")[0] + "://"


def log_in(token: str, endpoint: str) -> None:
    """Log in with an access token. The hub lets no read-only token log in; as a cookie it takes it like a session."""
    import requests
    from modelscope.hub.api import HubApi, ModelScopeConfig

    try:
        HubApi().login(token)
    except Exception:
        if not hasattr(ModelScopeConfig, "save_cookies"):
            raise
        jar = requests.cookies.RequestsCookieJar()
        jar.set("m_session_id", token, domain=urlsplit(endpoint).hostname, path="/")
        ModelScopeConfig.save_cookies(jar)


def download(orders: Mapping[str, Any], patterns: Sequence[str]) -> None:
    """Log in and download, as the manual procedure does."""
    import_client(orders["endpoint"])
    from modelscope.hub.snapshot_download import snapshot_download  # type: ignore[import-not-found]

    if orders["token"]:
        log_in(orders["token"], orders["endpoint"])
    snapshot_download(
        orders["repo"],
        revision=orders["revision"],
        cache_dir=orders["cache_dir"],
        local_dir=orders["dir"],
        allow_patterns=list(patterns),
        max_workers=orders["workers"],
    )


def signature(key: str, nonce: str, path: str, span: str) -> str:
    """Return what proves, for one request, that who sends it knows the key of this run."""
    return hmac.new(key.encode(), "\n".join([nonce, path, span]).encode(), hashlib.sha256).hexdigest()


def turn(lacking: Sequence[int], rank: int, host: int) -> int:
    """Return the place of *host* among the hosts that lack a file, in an order that differs from file to file."""
    start = rank % len(lacking)
    return (list(lacking[start:]) + list(lacking[:start])).index(host)


class Peer:
    """Another host, as it was last heard of."""

    def __init__(self, index: int, address: str) -> None:
        self.index, self.address = index, address
        self.ready, self.have, self.listing = False, frozenset(), ""  # type: bool, frozenset[str], str
        self.heard = 0.0
        self.left = False

    def hear(self, state: Mapping[str, Any]) -> None:
        """Take in what the host says of itself."""
        self.ready, self.have, self.listing = (
            bool(state["ready"]),
            frozenset(state["have"]),
            str(state["listing"]),
        )
        self.heard, self.left = time.monotonic(), False


class Exchange:
    """The files of this host, given to and taken from the other hosts of the run.

    All hosts follow the same rule, so nobody needs to lead. Of the hosts that lack a file, each file has its own order. The
    first takes it from the hub, but only if no host has it; else one host takes it from each host that has it, and so those who have it
    double. So each byte comes from the hub once, and no host gives a file to all others.
    """

    def __init__(self, folder: str, addresses: Sequence[str], index: int, port: int, key: str) -> None:
        self.folder, self.index, self.port, self.key = folder, index, port, key
        self.addresses = addresses
        self.peers = [Peer(place, address) for place, address in enumerate(addresses) if place != index]
        self.ready, self.have, self.listing = False, set(), ""  # type: bool, set[str], str
        self.files: dict[str, Mapping[str, Any]] = {}
        self._nonces: set[str] = set()
        self._last_asked: dict[str, str] = {}
        self._lock = threading.Lock()
        server = Server((addresses[index], port), self)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # What others ask

    def admits(self, address: str, nonce: str, path: str, span: str, signed: str) -> bool:
        """Whether a request comes from a host of this run; each is good for one time."""
        if address not in self.addresses or not hmac.compare_digest(
            signed.encode(), signature(self.key, nonce, path, span).encode()
        ):
            return False
        with self._lock:
            if path == STATE:  # too many to remember all, but a host asks for it one time after the other
                new = nonce > self._last_asked.get(address, "")
                self._last_asked[address] = max(nonce, self._last_asked.get(address, ""))
            else:
                new = nonce not in self._nonces
                self._nonces.add(nonce)
        return new

    def state(self) -> bytes:
        """Return what this host says of itself."""
        return json.dumps({"ready": self.ready, "have": sorted(self.have), "listing": self.listing}).encode()

    # What this host does

    def run(self, files: Sequence[Mapping[str, Any]], missing: Iterable[str], fetch: Any) -> None:
        """Get what is missing, *fetch* what falls to this host from the hub, and stay until all hosts have all."""
        by_size = sorted(files, key=lambda file: (-file["size"], file["path"]))
        ranks = {file["path"]: rank for rank, file in enumerate(by_size)}
        self.files = {file["path"]: file for file in files}
        self.listing = hashlib.sha256(
            json.dumps(sorted([file["path"], file["sha256"]] for file in files)).encode()
        ).hexdigest()
        self.have = set(self.files) - set(missing)
        self.ready = True
        self._meet()
        mine = [
            path
            for path in sorted(missing)
            if not self._with(path) and turn(self._without(path), ranks[path], self.index) == 0
        ]
        pool = ThreadPoolExecutor(RECEIVERS + 1)  # after a failure nobody waits for what still runs in it
        jobs: dict[str, Future[None]] = {"": pool.submit(fetch, mine)} if mine else {}
        while self._go_on(jobs, mine):
            for path in sorted(set(self.files) - self.have - set(mine) - set(jobs), key=ranks.__getitem__):
                holders = self._with(path)
                place = turn(self._without(path), ranks[path], self.index)
                if place < len(holders) and len(jobs) <= RECEIVERS:
                    jobs[path] = pool.submit(self._receive, holders[place], self.files[path])
            time.sleep(TICK)
            self._listen()

    def _with(self, path: str) -> list[Peer]:
        return [peer for peer in self.peers if path in peer.have]

    def _without(self, path: str) -> list[int]:
        lacking = [peer.index for peer in self.peers if path not in peer.have]
        return sorted([*lacking, self.index] if path not in self.have else lacking)

    def _meet(self) -> None:
        """Wait until all hosts know what they have; what another still reads may turn out to be right, and must not be fetched again."""
        begin = time.monotonic()
        while not all(peer.ready for peer in self.peers):
            self._listen()
            for peer in self.peers:
                if not peer.heard and time.monotonic() - begin > HELLO_SECONDS:
                    raise RuntimeError(
                        f"{peer.address} does not answer on TCP port {self.port} within {HELLO_SECONDS} s, from {self.addresses[self.index]}: "
                        "see what that host says, and open that port between the hosts (weights_port)"
                    )
            self._miss()
            time.sleep(TICK)
        if any(peer.listing != self.listing for peer in self.peers):
            raise RuntimeError(
                "the hub lists different files to different hosts; the revision was changed just now: run again"
            )

    def _listen(self) -> None:
        """Hear from the other hosts, as far as they answer."""
        for peer in self.peers:
            try:
                with self._ask(peer, STATE) as answer:
                    peer.hear(json.loads(answer.read()))
            except ConnectionRefusedError:
                peer.left = bool(peer.heard)
            except (OSError, http.client.HTTPException, ValueError):
                continue

    def _miss(self) -> None:
        """Raise for a host that has gone before it had all."""
        for peer in self.peers:
            if peer.heard and time.monotonic() - peer.heard > SILENT_SECONDS:
                raise RuntimeError(f"{peer.address} has gone: see what that host says; what is here is kept")

    def _go_on(self, jobs: dict[str, Future[None]], mine: Sequence[str]) -> bool:
        """Take stock. Whether there is something left to do, for this host or another."""
        for path, job in list(jobs.items()):
            if job.done():
                job.result()
                del jobs[path]
        for path in set(mine) - self.have:
            # Only verified files get their own name.
            if size(os.path.join(self.folder, path)) == self.files[path]["size"]:
                self.have.add(path)
        if self.have != set(self.files):
            self._miss()
            return True
        # Who has heard that all have all leaves, perhaps before the others heard it. One that left for another reason says so itself.
        over = time.monotonic() - SILENT_SECONDS
        return bool(jobs) or not all(
            peer.left or len(peer.have) == len(self.files) or peer.heard < over for peer in self.peers
        )

    def _ask(self, peer: Peer, path: str, span: str = "") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(peer.address, self.port, timeout=SILENT_SECONDS)
        nonce = f"{time.monotonic_ns():020}-{secrets.token_hex(8)}"
        headers = {"Nonce": nonce, "Signature": signature(self.key, nonce, path, span), "Connection": "close"}
        connection.request("GET", path, headers={**headers, **({"Range": span} if span else {})})
        answer = connection.getresponse()
        if answer.status not in (OK, PARTIAL):
            answer.close()
            raise http.client.HTTPException(f"{peer.address} answers HTTP {answer.status}")
        return answer

    def _receive(self, peer: Peer, file: Mapping[str, Any]) -> None:
        """Take a file from another host, going on where an earlier run left off; it gets its name once its hash is right."""
        path = os.path.join(self.folder, file["path"])
        tries, here, deadline = TRIES, size(path + ".incomplete"), time.monotonic() + SILENT_SECONDS
        while tries:
            try:
                digest = self._receive_once(peer, file, path + ".incomplete")
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
                    raise  # the disk
                trouble = f"{type(error).__name__}: {error}"
                if size(path + ".incomplete") > here:
                    here, deadline = size(path + ".incomplete"), time.monotonic() + SILENT_SECONDS
                if time.monotonic() > deadline:
                    break
                time.sleep(1)
                continue
            if digest == file["sha256"]:
                os.replace(path + ".incomplete", path)
                self.have.add(file["path"])
                return
            os.remove(path + ".incomplete")
            trouble = f"its SHA-256 is {digest}, wanted {file['sha256']}"
            tries -= 1
        raise RuntimeError(f"{file['path']} cannot be had from {peer.address}, {trouble}")

    def _receive_once(self, peer: Peer, file: Mapping[str, Any], partial: str) -> str:
        os.makedirs(os.path.dirname(partial), exist_ok=True)
        if size(partial) > file["size"]:
            os.remove(partial)
        digest = hashlib.sha256()
        view = memoryview(bytearray(BLOCK))
        with open(partial, "a+b", buffering=0) as target:
            target.seek(0)
            for count in iter(functools.partial(target.readinto, view), 0):
                digest.update(view[:count])
            if target.tell() < file["size"]:
                with self._ask(peer, FILES + quote(file["path"]), f"bytes={target.tell()}-") as answer:
                    for count in iter(functools.partial(answer.readinto, view), 0):
                        digest.update(view[:count])
                        target.write(view[:count])
            if target.tell() != file["size"]:
                raise http.client.HTTPException(f"{file['path']} broke off after {target.tell()} bytes")
        return digest.hexdigest()


class Server(ThreadingHTTPServer):
    """Gives verified files to the other hosts of the run."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], exchange: Exchange) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.exchange = exchange
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind, without the look-up of a name that nobody needs."""
        self.allow_reuse_address = True
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def handle_error(self, *_arguments: Any) -> None:
        """Let a host that went away go."""


class Handler(BaseHTTPRequestHandler):
    """One request of another host."""

    server: Server

    def do_GET(self) -> None:
        """Answer with what this host has, or with a file of it from some byte on."""
        exchange = self.server.exchange
        said = [self.headers.get(name, "") for name in ("Nonce", "Range", "Signature")]
        if not exchange.admits(self.client_address[0], said[0], self.path, said[1], said[2]):
            self.send_error(FORBIDDEN)
            return
        if self.path == STATE:
            state = exchange.state()
            self._begin(OK, len(state))
            self.wfile.write(state)
            return
        path = unquote(self.path[len(FILES) :])
        if path not in exchange.have:
            self.send_error(FORBIDDEN)
            return
        first = int((re.fullmatch(r"bytes=(\d+)-", said[1]) or [0, 0])[1])
        with open(os.path.join(exchange.folder, path), "rb") as file:
            length = os.fstat(file.fileno()).st_size - first
            self._begin(PARTIAL, length)
            if length > 0:
                self.connection.sendfile(file, first, length)

    def _begin(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing of what goes well."""


def size(path: str) -> int:
    """Return the size of a file, -1 if it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def main() -> None:
    """Carry out the orders. What the client prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    orders = json.loads(sys.stdin.readline())
    os.environ.update(environment(orders))
    try:
        exchange = Exchange(orders["dir"], **orders["share"]) if orders["share"] else None
        work = json.loads(sys.stdin.readline())
        threading.Thread(target=end_with_input, daemon=True).start()
        if exchange:
            exchange.run(
                work["files"],
                work["missing"],
                lambda paths: download(orders, [work["missing"][path] for path in paths]),
            )
        else:
            download(orders, list(work["missing"].values()))
        failure = None
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    answer.write(json.dumps(failure) + "\n")
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
