# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that fetches files: by the ModelScope client from its hub, by itself from any other server.

It runs in a container of the serving image or with the host's Python. It is one file that needs only the
standard library and, for a ModelScope hub, the package modelscope, because it is started by its source text where
nothing of this collection is installed. In a fan-out it also exchanges files with the other hosts of the run.

It reads two lines of JSON from its standard input: at once the job, with the token and all else that does not
depend on the files, and later the work, the files to fetch. In the end it writes one line of JSON to its
standard output: a text that says why it failed, or the files that were here and that it had to replace, because
other hosts found them damaged, and whether all that arrived was compared with the hashes of the work. When its
standard input is closed, the process that started it has ended, and it ends too.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote, unquote, urlsplit

BLOCK = 4 << 20
RECEIVERS = 4  # files received from other hosts at a time
TICK = 0.5  # seconds between two polls of the other hosts
HELLO_SECONDS = 60  # in which every host must answer once: Ansible starts them at about the same time
SILENT_SECONDS = 30  # without an answer, after which a host counts as gone; its Docker may restart meanwhile
TRIES = 3  # of a file that arrives with a wrong hash
CONNECTIONS = 128  # that may wait to be answered
STRANGERS = 16  # connections at a time of hosts that are not of the run
MOST_STATE = 16 << 20  # bytes
FORBIDDEN = 403
SERVER_ERRORS = 500
REFUSALS = (401, 403, 404)  # of a server that would say the same again
OK = 200
PARTIAL = 206
# What a disk answers.
DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EUCLEAN,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ESTALE,
    errno.EREMOTEIO,
)
HUB = ""  # the key of the job that fetches from the hub; others have the path of their file
STATE = "/state"
FILES = "/files/"
SUSPECTS = "/suspects/"  # a file that arrived damaged


def end_with_input() -> None:
    """End this process together with the one that started it."""
    sys.stdin.read()
    os._exit(1)


def environment(job: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of the client that its functions have no argument for."""
    trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), job["ca_bundle"])
    return {
        **(trust if job["ca_bundle"] else {}),
        **job["proxies"],
        "HOME": job["home"],
        "MODELSCOPE_CACHE": job["cache_dir"],
        "MODELSCOPE_ENDPOINT": job["endpoint"],
        "MODELSCOPE_DOMAIN": job["endpoint"].split("://")[-1],  # older clients read only this one
        "TQDM_DISABLE": "1",
        # Nobody else downloads into this folder. NFS may have no locks, or keep that of a client that was killed.
        "MODELSCOPE_DOWNLOAD_FILE_LOCK": "false",
        "MODELSCOPE_HUB_FILE_LOCK": "false",  # the same for clients before 1.38
    }


def import_client(endpoint: str) -> None:
    """Import the client where there is no NPU driver, and have it use the scheme of the endpoint.

    Its logger imports torch where there is one. In the serving image torch loads torch_npu, which needs the
    driver, and a container that only downloads has none. Clients before 1.38 know a domain only and put
    ``https://`` before it.
    """
    sys.modules["torch"] = None  # type: ignore[assignment]
    import modelscope.hub.api  # type: ignore[import-not-found] # noqa: F401

    for name, module in list(sys.modules.items()):
        if name.startswith("modelscope.") and hasattr(module, "MODELSCOPE_URL_SCHEME"):
            vars(module)["MODELSCOPE_URL_SCHEME"] = endpoint.partition("://")[0] + "://"


@contextlib.contextmanager
def reasons_of_threads() -> Iterator[list[str]]:
    """Note what fails in the threads of a client. Those of 1.36 and 1.37 tell no more than the number of files."""
    set_exception, reasons = Future.set_exception, []

    def noting(future: Future[Any], error: BaseException | None) -> None:
        reasons.append(f"{type(error).__name__}: {error}")
        set_exception(future, error)

    Future.set_exception = noting  # type: ignore[method-assign, assignment]
    try:
        yield reasons
    except Exception as error:
        if reasons and str(error) not in reasons[-1]:
            error.args = (f"{error} {reasons[-1]}",)
        raise
    finally:
        Future.set_exception = set_exception  # type: ignore[method-assign]


@contextlib.contextmanager
def watched_listing(files: Sequence[Mapping[str, Any]]) -> Iterator[set[str]]:
    """Have the client fail if the hub lists other hashes of *files* by now, before it fetches them.

    Returns a set that takes the paths that it lists with the hashes of *files*. They need no further comparison
    once the client has them. A listing that the client reads from the stream by itself, as newer ones do, cannot
    be read here.
    """
    import requests

    send, seen = requests.Session.send, set()
    expected = {file["path"]: file["sha256"] for file in files}

    def watching(session: Any, request: Any, **options: Any) -> Any:
        response = send(session, request, **options)
        is_listing = response.status_code == OK and urlsplit(request.url).path.endswith("/repo/files")
        if is_listing and not options.get("stream"):
            for entry in (response.json().get("Data") or {}).get("Files") or []:
                path, digest = entry.get("Path"), entry.get("Sha256")
                if expected.get(path, digest) != digest:
                    raise RuntimeError(
                        f"the hub lists another {path} than before, its SHA-256 is {digest} now"
                    )
                if path in expected:
                    seen.add(path)
        return response

    requests.Session.send = watching  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def log_in(token: str, endpoint: str) -> None:
    """Log in with an access token.

    The hub lets no read-only token log in. As a cookie it accepts it like a session.
    """
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


def download(
    job: Mapping[str, Any], work: Mapping[str, Any], uncompared: set[str], paths: Sequence[str]
) -> None:
    """Fetch the files at *paths*: by the ModelScope client from its hub, else from their URLs.

    *uncompared* takes those of which nobody knows by which hash they were compared on arrival.
    """
    files = [file for file in work["files"] if file["path"] in set(paths)]
    if not job["with_client"]:
        fetch_files(job, work["revision"], files)
        return
    try:
        with reasons_of_threads():
            uncompared |= run_client(job, work, files)
    except Exception as error:
        if "has no revision" not in str(error):
            raise
        fetch_files(job, work["revision"], files)  # clients before 1.38 take no commit


def run_client(
    job: Mapping[str, Any], work: Mapping[str, Any], files: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Log in and download, as the manual procedure does.

    Returns the paths of those of *files* of which nobody knows by which hash they were compared on arrival.
    """
    import_client(job["endpoint"])
    from modelscope.hub.snapshot_download import snapshot_download  # type: ignore[import-not-found]

    with watched_listing(files) as seen:
        if job["token"]:
            log_in(job["token"], job["endpoint"])
        snapshot_download(
            job["repo"],
            revision=work["revision"],
            cache_dir=job["cache_dir"],
            local_dir=job["dir"],
            allow_patterns=[work["patterns"][file["path"]] for file in files],
            max_workers=job["workers"],
        )
    return {file["path"] for file in files} - seen


class NoForwardedToken(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to another host, such as a CDN, without the token."""

    def redirect_request(self, request: Any, *arguments: Any) -> urllib.request.Request | None:
        """Return the request that follows."""
        new = super().redirect_request(request, *arguments)
        if new and not is_same_server(request.full_url, new.full_url):
            for header in ("Authorization", "Cookie"):
                new.remove_header(header)
        return new

    def http_error_308(self, request: Any, answer: Any, _code: int, *details: Any) -> Any:
        """Follow a redirect that Python knows from 3.11 on."""
        return self.http_error_307(request, answer, 307, *details)


class OnlyHttp(urllib.request.FTPHandler):
    """Follows no redirect to another protocol. Python itself refuses those to files of this host."""

    def ftp_open(self, req: Any) -> Any:
        """Refuse to open it."""
        raise FetchError(f"the server redirects to {without_query(req.full_url)}")


def is_same_server(one: str, other: str) -> bool:
    """Whether a URL leads to the same server as another. The same name without TLS may be anybody."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


class FetchError(Exception):
    """A file that a server does not send, or not as it is listed."""


class BusyError(http.client.HTTPException):
    """A server that does not send a file now. It may say when to ask again."""

    def __init__(self, message: str, retry_after: str) -> None:
        super().__init__(message)
        self.pause = min(int(retry_after), SILENT_SECONDS) if retry_after.isdecimal() else 1


class DamagedError(FetchError):
    """A file that arrives with another content than it is listed with."""


class RefusedError(FetchError):
    """Another host that answers, but not this one, or that does not have the file any more."""


def fetch_files(job: Mapping[str, Any], revision: str, files: Sequence[Mapping[str, Any]]) -> None:
    """Fetch *files* from their URLs, the largest first. Each gets its name once its hash is right."""
    trust = ssl.create_default_context(cafile=job["ca_bundle"] or None)
    opener = urllib.request.build_opener(
        NoForwardedToken, OnlyHttp, urllib.request.HTTPSHandler(context=trust)
    )

    def fetch(file: Mapping[str, Any]) -> None:
        url = job["url"].format(revision=quote(revision, safe=""), path=quote(file["path"]))

        def open_at(first: int) -> Any:
            headers = {**job["headers"], "User-Agent": "ascend_ops.vllm", "Range": f"bytes={first}-"}
            try:
                return opener.open(urllib.request.Request(url, headers=headers), timeout=SILENT_SECONDS)
            except urllib.error.HTTPError as error:
                side = "Server" if error.code >= SERVER_ERRORS else "Client"
                message = f"{error.code} {side} Error: {error.reason} for url: {without_query(error.url)}"
                if error.code in REFUSALS and urlsplit(error.url).netloc == urlsplit(url).netloc:
                    raise FetchError(message) from None
                raise BusyError(message, error.headers.get("Retry-After", "")) from None

        try:
            receive(open_at, os.path.join(job["dir"], file["path"]), file, TRIES)
        except FetchError as error:
            raise FetchError(
                f"{file['path']} cannot be received from {without_query(url)}: {error}"
            ) from None

    pool = ThreadPoolExecutor(job["workers"])  # not joined: after a failure its threads are not waited for
    for one in as_completed(
        [pool.submit(fetch, file) for file in sorted(files, key=lambda file: -file["size"])]
    ):
        one.result()


def without_query(url: str) -> str:
    """Return a URL as messages may show it: the query of a pre-signed one lets anybody read."""
    return urlsplit(url)._replace(query="").geturl()


def receive(open_at: Callable[[int], Any], path: str, file: Mapping[str, Any], tries: int) -> None:
    """Receive a file, or the rest of it, from what *open_at* returns for its first byte.

    It gets its name once its hash is right. Raises DamagedError if it was wrong *tries* times, and FetchError if no
    byte arrives any more.
    """
    partial, failure = path + ".incomplete", ""
    present, deadline = size(partial), time.monotonic() + SILENT_SECONDS
    while tries:
        try:
            digest = receive_once(open_at, partial, file)
        except (OSError, http.client.HTTPException) as error:
            if is_of_disk(error):
                raise
            failure = f"{type(error).__name__}: {error}"
            if size(partial) > present:
                present, deadline = size(partial), time.monotonic() + SILENT_SECONDS
            if time.monotonic() > deadline:
                raise FetchError(failure) from None
            time.sleep(error.pause if isinstance(error, BusyError) else 1)
            continue
        if digest == file["sha256"]:
            os.replace(partial, path)
            return
        os.remove(partial)
        failure = f"its SHA-256 is {digest}, expected {file['sha256']}"
        tries -= 1
    raise DamagedError(failure)


def is_of_disk(error: Exception) -> bool:
    """Whether a file could not be written here. All other errors are the network's, and may pass."""
    if isinstance(error, ssl.SSLError):  # it has numbers of its own
        return False
    return isinstance(error, OSError) and error.errno in DISK_ERRORS


def receive_once(open_at: Callable[[int], Any], partial: str, file: Mapping[str, Any]) -> str:
    """Receive what lacks of a file, and return the hash of the whole."""
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
            with open_at(target.tell()) as answer:
                if answer.status == OK:  # a server that sends small files whole, whatever it is asked for
                    target.truncate(0)
                    digest = hashlib.sha256()
                elif starts_elsewhere(answer.headers.get("Content-Range", ""), target.tell()):
                    raise http.client.HTTPException(f"{file['path']} starts at another byte than requested")
                # Not more than is listed: what follows would be wrong, and may have no end.
                while target.tell() < file["size"]:
                    count = answer.readinto(view[: file["size"] - target.tell()])
                    if not count:
                        break
                    digest.update(view[:count])
                    target.write(view[:count])
        if target.tell() != file["size"]:
            raise http.client.HTTPException(f"{file['path']} ended after {target.tell()} bytes")
    return digest.hexdigest()


def starts_elsewhere(content_range: str, first: int) -> bool:
    """Whether a part begins elsewhere than it was asked to, as from a cache that ignores the range."""
    found = re.match(r"bytes (\d+)-", content_range)
    return bool(found) and int(found[1]) != first  # type: ignore[index]


def signature(key: str, nonce: str, path: str, span: str) -> str:
    """Return what proves for one request that its sender has the key of this run."""
    return hmac.new(key.encode(), "\n".join([nonce, path, span]).encode(), hashlib.sha256).hexdigest()


def answer_signature(key: str, nonce: str, body: bytes) -> str:
    """Return what proves that an answer to that request comes from a host that has the key."""
    return hmac.new(key.encode(), nonce.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def version_of(state: bytes) -> str:
    """Return what tells a state from others."""
    return hashlib.sha256(state).hexdigest()[:16]


def position(lacking: Sequence[int], rank: int, host: int) -> int:
    """Return the place of *host* among those that lack a file, in an order that differs from file to file."""
    start = rank % len(lacking)
    return (list(lacking[start:]) + list(lacking[:start])).index(host)


class Peer:
    """Another host, as of its last answer."""

    def __init__(self, index: int, address: str) -> None:
        self.index, self.address = index, address
        self.ready, self.listing, self.fetches = False, "", True
        self.have: frozenset[str] = frozenset()
        self.corrupt: frozenset[str] = frozenset()
        self.heard = 0.0
        self.left = self.refuses = False
        self.version = ""  # of the state
        self.connection: http.client.HTTPConnection | None = None  # on which it was asked for its state
        self.poll: Future[None] | None = None

    def update(self, raw: bytes) -> None:
        """Take over the state that the host reports, if it has changed. Raises ValueError for one that is none."""
        state = json.loads(raw)
        if state:
            try:
                have, corrupt = (frozenset(map(str, state[name])) for name in ("have", "corrupt"))
                self.ready, self.listing = bool(state["ready"]), str(state["listing"])
                self.fetches, self.have, self.corrupt = bool(state["fetches"]), have, corrupt
            except (KeyError, TypeError) as error:
                raise ValueError(f"no state: {error!r}") from None
            self.version = version_of(raw)
        self.heard, self.left, self.refuses = time.monotonic(), False, False

    def lose(self, path: str) -> None:
        """Ask it for no file that it did not send, until it reports it again."""
        self.have, self.version = self.have - {path}, ""

    def disconnect(self) -> None:
        """End the connection, which may be broken."""
        if self.connection:
            self.connection.close()
        self.connection = None


class Exchange:
    """Sends files of this host to the other hosts of the run, and receives theirs.

    All hosts follow the same rule, so none has to coordinate. For each file there is an order of the hosts
    that lack it. If no host has it, the first one that reaches the hub fetches it from there. Else as many hosts
    as have it receive it, each from another one, so that their number doubles. So each byte comes from the hub
    once, and no host sends a file to all others.

    A host that receives a file with a wrong hash tells the sender. That one reads the file, and if it is wrong,
    removes it and lacks it from then on.
    """

    def __init__(self, folder: str, addresses: Sequence[str], index: int, port: int, key: str) -> None:
        self.folder, self.index, self.port, self.key = folder, index, port, key
        self.addresses = addresses
        self.peers = [Peer(place, address) for place, address in enumerate(addresses) if place != index]
        self.ready, self.listing, self.fetches = False, "", True
        self.have: set[str] = set()
        self.corrupt: set[str] = set()  # files that were here, and turned out to be damaged
        self.files: dict[str, Mapping[str, Any]] = {}
        self._ranks: dict[str, int] = {}  # of the files, by their sizes
        self._own: set[str] = set()  # files that this host fetches from the hub, or has fetched
        self._jobs: dict[str, Future[None]] = {}  # by path, and by HUB
        self._damages: dict[str, int] = {}  # by path, how often it arrived damaged
        self._nonces: set[str] = set()
        self._last_nonces: dict[str, str] = {}
        self._lock = threading.Lock()
        self._pollers = ThreadPoolExecutor(max(1, len(self.peers)))
        server = Server((addresses[index], port), self)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # For requests of other hosts

    def is_authorized(self, address: str, nonce: str, path: str, span: str, signed: str) -> bool:
        """Whether a request comes from a host of this run. Each request is accepted once."""
        expected = signature(self.key, nonce, path, span)
        if address not in self.addresses or not hmac.compare_digest(signed.encode(), expected.encode()):
            return False
        with self._lock:
            # Questions for the state are too many to remember them all, but each host sends them one after the other.
            if path.startswith(STATE):
                new = nonce > self._last_nonces.get(address, "")
                self._last_nonces[address] = max(nonce, self._last_nonces.get(address, ""))
            else:
                new = nonce not in self._nonces
                self._nonces.add(nonce)
        return new

    def state(self, known: str) -> bytes:
        """Return what this host reports to the others: nothing if that is the version they *know*."""
        state = {
            "ready": self.ready,
            "have": sorted(self.have),
            "listing": self.listing,
            "fetches": self.fetches,
            "corrupt": sorted(self.corrupt),
        }
        raw = json.dumps(state).encode()
        return b"{}" if version_of(raw) == known else raw

    def suspect(self, path: str) -> None:
        """Read a file that another host received with a wrong hash. Until then nobody gets it."""
        with self._lock:
            if path not in self.have:
                return
            self.have.remove(path)
        threading.Thread(target=self._read_again, args=[path], daemon=True).start()

    def _read_again(self, path: str) -> None:
        name, digest = os.path.join(self.folder, path), hashlib.sha256()
        with contextlib.suppress(OSError), open(name, "rb") as file:  # its disk may not read it any more
            for block in iter(functools.partial(file.read, BLOCK), b""):
                digest.update(block)
        if digest.hexdigest() == self.files[path]["sha256"]:
            self.have.add(path)
            return
        with contextlib.suppress(OSError):
            os.remove(name)
        self.corrupt.add(path)

    # The work of this host

    def run(
        self,
        files: Sequence[Mapping[str, Any]],
        missing: Iterable[str],
        fetch: Callable[[Sequence[str]], None],
        fetches: bool = True,
    ) -> None:
        """Get what is missing, *fetch* this host's share from the hub, and stay until all hosts have all.

        A host that does not reach the hub has no share: it does not *fetches*.
        """
        self._announce(files, missing, fetches)
        self._barrier()
        pool = ThreadPoolExecutor(RECEIVERS + 1)  # not joined: after a failure its threads are not waited for

        def fetch_own(paths: Sequence[str]) -> None:
            self._own.update(paths)
            self._jobs[HUB] = pool.submit(fetch, paths)

        share = [path for path in sorted(missing) if self._fetcher(path) == self.index]
        if share:
            fetch_own(share)
        while self._has_work():
            for path in sorted(
                set(self.files) - self.have - self._own - set(self._jobs), key=self._ranks.__getitem__
            ):
                sender = self._sender(path)
                if sender and len(self._jobs) <= RECEIVERS:
                    self._jobs[path] = pool.submit(self._receive, sender, self.files[path])
                elif not sender and self._fetches_again(path):
                    fetch_own([path])
            time.sleep(TICK)
            self._poll_peers()

    def _announce(self, files: Sequence[Mapping[str, Any]], missing: Iterable[str], fetches: bool) -> None:
        """Let the other hosts see which files there are, and which of them this host has."""
        self.fetches = fetches
        by_size = sorted(files, key=lambda file: (-file["size"], file["path"]))
        self._ranks = {file["path"]: rank for rank, file in enumerate(by_size)}
        self.files = {file["path"]: file for file in files}
        self.listing = hashlib.sha256(
            json.dumps(sorted([file["path"], file["sha256"]] for file in files)).encode()
        ).hexdigest()
        self.have = set(self.files) - set(missing)
        self.ready = True

    def _sender(self, path: str) -> Peer | None:
        """Return the host that sends a file to this one now, None if others come first."""
        holders, lacking = self._holders(path), self._lacking(path)
        if self.index not in lacking:  # a suspect file, which is read meanwhile, and is right
            return None
        place = position(lacking, self._ranks[path], self.index)
        return holders[place] if place < len(holders) else None

    def _fetches_again(self, path: str) -> bool:
        """Whether it is for this host to fetch a file now that turned out to be damaged where it was."""
        corrupt = self.corrupt.union(*(peer.corrupt for peer in self.peers))
        return path in corrupt and HUB not in self._jobs and self._fetcher(path) == self.index

    def _holders(self, path: str) -> list[Peer]:
        return [peer for peer in self.peers if path in peer.have]

    def _fetcher(self, path: str) -> int | None:
        """Return the host that fetches a file from the hub, None if one has it already."""
        if self._holders(path):
            return None
        fetchers = {peer.index for peer in self.peers if peer.fetches} | (
            {self.index} if self.fetches else set()
        )
        lacking = [index for index in self._lacking(path) if index in fetchers]
        if not lacking:
            raise RuntimeError(f"no host can fetch {path} from the hub, and none has it")
        return lacking[self._ranks[path] % len(lacking)]

    def _lacking(self, path: str) -> list[int]:
        lacking = [peer.index for peer in self.peers if path not in peer.have]
        return sorted([*lacking, self.index] if path not in self.have else lacking)

    def _barrier(self) -> None:
        """Wait until all hosts know what they have: a file that another host still reads may be right."""
        begin = time.monotonic()
        while not all(peer.ready for peer in self.peers):
            self._poll_peers()
            for peer in self.peers:
                if peer.heard or time.monotonic() - begin <= HELLO_SECONDS:
                    continue
                if peer.refuses:
                    raise RuntimeError(
                        f"{peer.address} answers on TCP port {self.port}, but refuses this host, "
                        f"{self.addresses[self.index]}: it works for another run, or the network between the "
                        "hosts translates addresses"
                    )
                raise RuntimeError(
                    f"{peer.address} does not answer on TCP port {self.port} within {HELLO_SECONDS} s, "
                    f"from {self.addresses[self.index]}: see the error of that host, and open that port "
                    "between the hosts: O(port)"
                )
            self._check_liveness()
            time.sleep(TICK)
        if any(peer.listing != self.listing for peer in self.peers):
            raise RuntimeError(
                "the hub lists different files to different hosts; the revision has just changed: run again"
            )

    def _poll_peers(self) -> None:
        """Get the state of the other hosts, as far as they answer soon. One that does not holds up no other."""
        for peer in self.peers:
            if peer.poll is None or peer.poll.done():
                peer.poll = self._pollers.submit(self._poll, peer)
        wait([peer.poll for peer in self.peers if peer.poll], TICK)

    def _poll(self, peer: Peer) -> None:
        try:
            peer.update(self._ask_state(peer))
            return
        except ConnectionRefusedError:
            peer.left = bool(peer.heard)
        except RefusedError:
            peer.refuses = True
        except (OSError, http.client.HTTPException, ValueError):
            pass
        peer.disconnect()

    def _ask_state(self, peer: Peer) -> bytes:
        """Return the state of another host, by a connection that stays."""
        connection = peer.connection = peer.connection or self._connection(peer)
        path = f"{STATE}/{peer.version}"
        headers = self._signed(path)
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            require_success(peer, answer)
            raw = answer.read(MOST_STATE)
            signed = answer.headers.get("Signature", "")
        expected = answer_signature(self.key, headers["Nonce"], raw)
        if not hmac.compare_digest(signed.encode(), expected.encode()):
            raise ValueError("an answer that no host of this run has signed")
        return raw

    def _check_liveness(self) -> None:
        """Raise RuntimeError for a host that has gone before it had all files."""
        for peer in self.peers:
            if peer.heard and time.monotonic() - peer.heard > SILENT_SECONDS:
                raise RuntimeError(
                    f"{peer.address} has gone: see the error of that host. Complete files are kept"
                )

    def _has_work(self) -> bool:
        """Take note of what is complete. Whether something is left to do, for this host or for another."""
        for path, job in list(self._jobs.items()):
            if job.done():
                job.result()
                del self._jobs[path]
        for path in self._own - self.have:
            # A file gets its own name only once it is verified.
            if size(os.path.join(self.folder, path)) == self.files[path]["size"]:
                self.have.add(path)
        if self.have != set(self.files):
            self._check_liveness()
            return True
        # A host leaves once it knows that all have all files, perhaps before the others know. One that left
        # for another reason reports that itself.
        silent_since = time.monotonic() - SILENT_SECONDS
        return bool(self._jobs) or not all(
            peer.left or len(peer.have) == len(self.files) or peer.heard < silent_since for peer in self.peers
        )

    def _connection(self, peer: Peer) -> http.client.HTTPConnection:
        # From the address by which the other host knows this one; there may be more in the same network.
        own = (self.addresses[self.index], 0)
        return http.client.HTTPConnection(peer.address, self.port, timeout=SILENT_SECONDS, source_address=own)

    def _signed(self, path: str, span: str = "") -> dict[str, str]:
        """Return the headers of a request that prove that it comes from a host of this run."""
        nonce = f"{time.monotonic_ns():020}-{secrets.token_hex(8)}"
        return {"Nonce": nonce, "Signature": signature(self.key, nonce, path, span)}

    def _ask(self, peer: Peer, path: str, span: str = "") -> http.client.HTTPResponse:
        headers = {**self._signed(path, span), "Connection": "close"}
        connection = self._connection(peer)
        connection.request("GET", path, headers={**headers, **({"Range": span} if span else {})})
        answer = connection.getresponse()
        require_success(peer, answer)
        return answer

    def _receive(self, peer: Peer, file: Mapping[str, Any]) -> None:
        """Receive a file from another host. If it is damaged, tell that host, and leave it at that."""
        path = file["path"]
        try:
            receive(
                lambda first: self._ask(peer, FILES + quote(path), f"bytes={first}-"),
                os.path.join(self.folder, path),
                file,
                tries=1,
            )
        except RefusedError:
            peer.lose(path)
        except DamagedError as error:
            self._damages[path] = self._damages.get(path, 0) + 1
            if self._damages[path] >= TRIES:
                raise RuntimeError(f"{path} arrives damaged from {peer.address}: {error}") from None
            with contextlib.suppress(OSError, http.client.HTTPException, RefusedError):
                self._ask(peer, SUSPECTS + quote(path)).close()
            peer.lose(path)
        except FetchError as error:
            raise RuntimeError(f"{path} cannot be received from {peer.address}: {error}") from None
        else:
            self.have.add(path)


def require_success(peer: Peer, answer: http.client.HTTPResponse) -> None:
    """Raise RefusedError if another host refuses a request, HTTPException for another failure."""
    if answer.status in (OK, PARTIAL):
        return
    answer.close()
    failure = RefusedError if answer.status == FORBIDDEN else http.client.HTTPException
    raise failure(f"{peer.address} answers HTTP {answer.status}")


class Server(ThreadingHTTPServer):
    """Sends verified files to the other hosts of the run. Strangers get a refusal, a few at a time."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, address: tuple[str, int], exchange: Exchange) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.exchange = exchange
        self._strangers = threading.Semaphore(STRANGERS)
        super().__init__(address, Handler)

    def _is_known(self, client_address: Any) -> bool:
        return client_address[0] in self.exchange.addresses

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Whether to answer on a connection at all."""
        return self._is_known(client_address) or self._strangers.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer on a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            if not self._is_known(client_address):
                self._strangers.release()

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host name, which may take long."""
        self.allow_reuse_address = True
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def handle_error(self, *_arguments: Any) -> None:
        """Print no traceback for a connection that broke: its other end tries again."""


class Handler(BaseHTTPRequestHandler):
    """The requests of another host on one connection, which ends when nothing moves for a while."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = SILENT_SECONDS
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with the state of this host, or with a file from some byte on."""
        exchange = self.server.exchange
        nonce, span, signed = (self.headers.get(name, "") for name in ("Nonce", "Range", "Signature"))
        if not exchange.is_authorized(self.client_address[0], nonce, self.path, span, signed):
            self.send_error(FORBIDDEN)
            return
        if self.path.startswith(STATE):
            state = exchange.state(self.path[len(STATE) + 1 :])
            self._send_headers(OK, len(state), answer_signature(exchange.key, nonce, state))
            self.wfile.write(state)
            return
        if self.path.startswith(SUSPECTS):
            exchange.suspect(unquote(self.path[len(SUSPECTS) :]))
            self._send_headers(OK, 0)
            return
        path = unquote(self.path[len(FILES) :])
        if path not in exchange.have:
            self.send_error(FORBIDDEN)
            return
        first = int((re.fullmatch(r"bytes=(\d+)-", span) or [0, 0])[1])
        try:
            self._send_file(os.path.join(exchange.folder, path), first)
        except OSError as error:
            if is_of_disk(error):
                exchange.suspect(path)
            raise

    def _send_file(self, name: str, first: int) -> None:
        with open(name, "rb") as file:
            length = os.fstat(file.fileno()).st_size - first
            self._send_headers(PARTIAL, length)
            if length > 0:
                self.connection.sendfile(file, first, length)

    def _send_headers(self, status: int, length: int, signed: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(max(0, length)))
        if signed:
            self.send_header("Signature", signed)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_arguments: Any) -> None:
        """Log no requests."""


def size(path: str) -> int:
    """Return the size of a file, -1 if it does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def main() -> None:
    """Do the job. What the client prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    os.environ.update(environment(job))
    try:
        exchange = Exchange(job["dir"], **job["share"]) if job["share"] else None
        work = json.loads(sys.stdin.readline())
        threading.Thread(target=end_with_input, daemon=True).start()
        uncompared: set[str] = set()
        if exchange:
            exchange.run(
                work["files"],
                work["missing"],
                functools.partial(download, job, work, uncompared),
                bool(work["revision"]),
            )
        else:
            download(job, work, uncompared, work["missing"])
        outcome: object = {
            "replaced": sorted(exchange.corrupt) if exchange else [],
            "compared": not uncompared,
        }
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    answer.write(json.dumps(outcome) + "\n")
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
