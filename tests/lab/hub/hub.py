#!/usr/bin/env python3
"""A hub that the unmodified ModelScope client logs in to and downloads from.

It serves the files of one folder as one private repository, and answers as www.modelscope.cn does, oddities included:

- A wrong token is a 400 of the login endpoint and of no other. A read-only token is a 400 there too, but works elsewhere.
- The listing of a revision that does not exist is a 200 without files. It is recursive for ``Recursive=True`` only.
- A large file is a 302 to the CDN, another host with a signed URL. A small one is a 200 with the whole file, whatever
  the Range header says. A missing one is a 200 with an error as JSON.

One line for each request goes to standard output. It never holds a header, and so no token.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, unquote, urlsplit

BRANCH = "master"
OBJECTS = "/lfs-objects/"
TAG = "v1.0"
# The cookie that a login issues and that the client sends back; the client sends an access token of its own under that name, too.
SESSION_COOKIE = "m_session_id"

# The codes and messages of the real hub.
# ruff: noqa: RUF001
TOKEN_REFUSED = 10010103009, "登录失败，AccessToken错误，请从用户中心获取AccessToken或刷新"
NO_SUCH_REPOSITORY = 10010205001, "获取模型信息失败，信息不存在"
NO_ACCESS = 10010205001, "用户没有权限"
NO_SUCH_FILE = 10990101007, "获取模型文件失败，文件内容为空"


class Refused(Exception):
    """An answer that is no success: an HTTP status, and the code and message of the envelope."""

    def __init__(self, status: HTTPStatus, reason: tuple[int, str]) -> None:
        super().__init__(reason[1])
        self.status, self.reason = status, reason


def is_large(path: Path) -> bool:
    """Return whether the hub keeps the file in its object store, as Git LFS does, and not in the repository."""
    return path.suffix == ".safetensors"


def last_change(path: Path, digest: str) -> str:
    """Return the commit that last changed a file: it differs from file to file, and from the newest commit."""
    return hashlib.sha1(f"{path} {digest}".encode(), usedforsecurity=False).hexdigest()


class Repository:
    """A folder as a repository: every revision shows what the folder holds now."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root.resolve(), name
        self._hashes: dict[tuple[Path, int, int], str] = {}

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def commit(self) -> str:
        """Like git's: another content is another commit."""
        content = [(str(path.relative_to(self.root)), digest) for path, digest in self._with_hashes()]
        return hashlib.sha1(json.dumps(content).encode(), usedforsecurity=False).hexdigest()

    def knows(self, revision: str) -> bool:
        return revision in (BRANCH, TAG) or revision == self.commit()

    def listing(self, below: str) -> list[dict]:
        """The entries of `repo/files`, folders included, at any depth below a folder."""
        commit = self.commit()
        folders = {
            folder for path in self.files() for folder in path.relative_to(self.root).parents if folder.name
        }
        entries = [
            {
                "Name": folder.name,
                "Path": str(folder),
                "Type": "tree",
                "Size": 0,
                "Sha256": "",
                "Revision": commit,
            }
            for folder in sorted(folders)
        ]
        for path, digest in self._with_hashes():
            status, relative = path.stat(), path.relative_to(self.root)
            entries.append(
                {
                    "Name": path.name,
                    "Path": str(relative),
                    "Type": "blob",
                    "Size": status.st_size,
                    "Sha256": digest,
                    "IsLFS": is_large(path),
                    "Revision": last_change(relative, digest),
                    "CommittedDate": int(status.st_mtime),
                }
            )
        return [entry for entry in entries if not below or entry["Path"].startswith(below + "/")]

    def path(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if path not in self.files():
            raise Refused(HTTPStatus.OK, NO_SUCH_FILE)
        return path

    def _with_hashes(self) -> Iterator[tuple[Path, str]]:
        with ThreadPoolExecutor() as pool:
            yield from zip(files := self.files(), pool.map(self._sha256, files), strict=True)

    def _sha256(self, path: Path) -> str:
        status = path.stat()
        key = path, status.st_size, status.st_mtime_ns
        if key not in self._hashes:
            with path.open("rb") as file:
                self._hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[key]


class Tokens:
    """The access tokens of the repository's owner, and the session that a login with one gives.

    *read_only* is a token of the lowest tier: it reads repositories but cannot log in.
    """

    def __init__(self, token: str, read_only: str = "") -> None:
        self._token, self._read_only = token, read_only
        # Derived, so that a restarted hub still knows the sessions it gave.
        self.session = hashlib.sha256(b"session of " + token.encode()).hexdigest()

    def may_log_in(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def may_read(self, given: str) -> bool:
        accepted = [self._token, self.session, *([self._read_only] if self._read_only else [])]
        return any(hmac.compare_digest(given.encode(), one.encode()) for one in accepted)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def handle(self) -> None:
        """Answer the requests of a connection. A client that does not trust the certificate ends it."""
        with suppress(ssl.SSLError, ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, handle) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            handle(unquote(url.path), dict(parse_qsl(url.query)), body)
        except Refused as refused:
            code, message = refused.reason
            self._json({"Code": code, "Message": message, "Success": False}, refused.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _post(self, path: str, _query: dict[str, str], body: bytes) -> None:
        if path != "/api/v1/login":
            raise Refused(HTTPStatus.NOT_FOUND, (HTTPStatus.NOT_FOUND, "not found"))
        try:
            given = json.loads(body)["AccessToken"]
        except (ValueError, KeyError, TypeError):
            given = ""
        if not self.server.tokens.may_log_in(str(given)):
            raise Refused(HTTPStatus.BAD_REQUEST, TOKEN_REFUSED)
        session = f"{SESSION_COOKIE}={self.server.tokens.session}; Path=/; Max-Age=2592000; HttpOnly"
        self._success(
            {"AccessToken": "git-" + uuid.uuid4().hex, "Username": "lab", "Email": "lab@example.com"},
            {"Set-Cookie": session},
        )

    def _get(self, path: str, query: dict[str, str], _body: bytes) -> None:
        repository = self.server.repository
        base = f"/api/v1/models/{repository.name}"
        if self.server.is_cdn(self.connection.getsockname()):
            self._object(path, query)
        elif path == "/api/v1/repos/internalAccelerationInfo":
            self._success({"InternalRegionQueryAddress": ""})
        elif path == "/openapi/v1/users/me":
            self._who_am_i()
        elif path != base and not path.startswith(base + "/"):
            raise Refused(HTTPStatus.NOT_FOUND, NO_SUCH_REPOSITORY)
        elif not self._let_in():
            raise Refused(HTTPStatus.FORBIDDEN, NO_ACCESS)
        elif path == base:
            self._success(
                {
                    "Name": repository.name.partition("/")[2],
                    "Path": repository.name.partition("/")[0],
                    "Id": 1,
                    "Visibility": 1,
                }
            )
        elif path == base + "/revisions":
            created = int(repository.root.stat().st_mtime)
            branches, tags = ([{"Revision": name, "CreatedAt": created}] for name in (BRANCH, TAG))
            self._success({"RevisionMap": {"Branches": branches, "Tags": tags}})
        elif path == base + "/repo/files":
            self._list(query)
        elif path == base + "/repo" and repository.knows(query.get("Revision", BRANCH)):
            self._file(repository.path(query.get("FilePath", "")))
        else:
            raise Refused(HTTPStatus.NOT_FOUND, NO_SUCH_FILE)

    def _list(self, query: dict[str, str]) -> None:
        repository, below = self.server.repository, query.get("Root", "").strip("/")
        if not repository.knows(query.get("Revision", BRANCH)):
            self._success({"Files": None, "IsVisual": 0, "LatestCommitter": None})
            return
        entries = repository.listing(below)
        if query.get("Recursive") != "True":
            depth = below.count("/") + 1 if below else 0
            entries = [entry for entry in entries if entry["Path"].count("/") == depth]
        self._success(
            {
                "Files": entries,
                "IsVisual": 0,
                "LatestCommitter": {"Id": "", "ShortId": repository.commit()[:8]},
            }
        )

    def _file(self, path: Path) -> None:
        if is_large(path):
            self._head(HTTPStatus.FOUND, 0, {"Location": self.server.object_url(path)})
            return
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._head(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD" and size:
                self._send(file, 0, size)

    def _object(self, path: str, query: dict[str, str]) -> None:
        """Answer for the CDN: the signature of the URL is all that it asks for."""
        if not self.server.is_signed(path, query.get("auth_key", "")):
            raise Refused(HTTPStatus.FORBIDDEN, (HTTPStatus.FORBIDDEN, "auth_key is not valid"))
        with self.server.repository.path(path.removeprefix(OBJECTS)).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(asked[1]) if asked else 0
            last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
            if asked and (first >= size or last < first):
                self._head(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, {"Content-Range": f"bytes */{size}"}
                )
                return
            headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
            if asked:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK, last - first + 1, headers)
            if self.command != "HEAD" and last >= first:
                self._send(file, first, last - first + 1)

    def _send(self, file: BinaryIO, first: int, count: int) -> None:
        self.connection.sendfile(file, first, count)

    def _who_am_i(self) -> None:
        if self._let_in():
            self._json(
                {"success": True, "data": {"username": "lab", "nickname": "lab", "email": "lab@example.com"}},
                HTTPStatus.OK,
            )
        else:
            self._json(
                {"success": False, "code": "InvalidAuthentication", "message": "user not authenticated"},
                HTTPStatus.UNAUTHORIZED,
            )

    def _let_in(self) -> bool:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(SESSION_COOKIE)
        given = [cookie.value] if cookie else []
        given.append(self.headers.get("Authorization", "").removeprefix("Bearer "))
        return any(self.server.tokens.may_read(token) for token in given)

    def _success(self, data: dict, headers: dict[str, str] | None = None) -> None:
        self._json({"Code": 200, "Data": data, "Message": "success", "Success": True}, HTTPStatus.OK, headers)

    def _json(self, answer: dict, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(dict(answer, RequestId=str(uuid.uuid4()))).encode()
        self._head(status, len(body), {"Content-Type": "application/json", **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        print(
            self.client_address[0],
            self.command,
            self.path,
            self.headers.get("Range", "-"),
            int(status),
            length,
            flush=True,
        )

    def log_request(self, code="-", size="-") -> None:
        """Nothing: `_head` writes the line, with what this one does not know."""


class Hub(ThreadingHTTPServer):
    """The repository, its tokens, and the two sockets that serve it: the hub's own, and that of its CDN.

    *cdn* is the address of the second one. Without it, it is a free port of the hub's own host. With *tls*, both
    speak HTTPS.
    """

    daemon_threads = True
    request_queue_size = 64
    url_seconds = 3600  # for which a URL of the CDN is valid

    def __init__(
        self,
        address: tuple[str, int],
        repository: Repository,
        tokens: Tokens,
        handler: type[Handler] = Handler,
        cdn: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.repository, self.tokens = repository, tokens
        self._secret = os.urandom(32)
        self._scheme = "https" if tls else "http"
        super().__init__(address, handler)
        self.cdn = Cdn(self, cdn or (address[0], 0))
        if tls:
            for server in (self, self.cdn):  # each connection shakes hands in its own thread
                server.socket = tls.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )

    @property
    def url(self) -> str:
        """The endpoint."""
        host, port = self.server_address
        return f"{self._scheme}://{host}:{port}"

    def connected(self, connection: socket.socket) -> None:
        """Note a connection to either socket; the hub itself has no use for it."""

    def is_cdn(self, address: tuple[str, int]) -> bool:
        return address == self.cdn.server_address

    def object_url(self, path: Path) -> str:
        """Return the signed URL of a large file."""
        host, port = self.cdn.server_address
        target = OBJECTS + str(path.relative_to(self.repository.root))
        expires = int(time.time()) + self.url_seconds
        return f"{self._scheme}://{host}:{port}{quote(target)}?auth_key={expires}-{self._signature(target, expires)}"

    def is_signed(self, target: str, auth_key: str) -> bool:
        expires, _dash, given = auth_key.partition("-")
        valid = expires.isdecimal() and int(expires) >= time.time()
        return valid and hmac.compare_digest(given, self._signature(target, int(expires)))

    def _signature(self, target: str, expires: int) -> str:
        return hmac.new(self._secret, f"{expires} {target}".encode(), hashlib.sha256).hexdigest()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve both sockets until :meth:`shutdown`."""
        beside = threading.Thread(target=self.cdn.serve_forever, args=[poll_interval])
        beside.start()
        try:
            super().serve_forever(poll_interval)
        finally:
            self.cdn.shutdown()
            beside.join()

    def server_close(self) -> None:
        super().server_close()
        self.cdn.server_close()


class Cdn(ThreadingHTTPServer):
    """The host that a hub redirects to for its large files."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: Hub, address: tuple[str, int]) -> None:
        self.hub = hub
        super().__init__(address, hub.RequestHandlerClass)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.hub.connected(connection)
        return connection, address

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        """Have the hub's handler answer, for the hub: there is one repository and one way to fail."""
        self.RequestHandlerClass(request, client_address, self.hub)


def parse(address: str) -> tuple[str, int]:
    host, _colon, port = address.rpartition(":")
    return host, int(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder whose files are served")
    parser.add_argument("--repo", required=True, help="their repository, as OWNER/NAME")
    parser.add_argument("--listen", required=True, help="IP:PORT")
    parser.add_argument("--cdn", required=True, help="IP:PORT of the host that large files are redirected to")
    parser.add_argument("--token-file", type=Path, required=True, help="a file that holds the access token")
    parser.add_argument("--certificate", type=Path, required=True, help="of both, in PEM format")
    parser.add_argument("--key", type=Path, required=True, help="the key of the certificate")
    options = parser.parse_args()
    if not options.root.is_dir():
        sys.exit(f"{options.root} is no folder; expected the one with the files of {options.repo}")
    tokens = Tokens(options.token_file.read_text(encoding="ascii").strip())
    repository = Repository(options.root, options.repo)
    repository.commit()  # reads every file, so that the first listing need not
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate, options.key)
    with Hub(parse(options.listen), repository, tokens, cdn=parse(options.cdn), tls=tls) as hub:
        print(f"serving {options.root} as {options.repo} on {hub.url}", flush=True)
        hub.serve_forever()


if __name__ == "__main__":
    main()
