# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub that answers as huggingface.co does, by its documentation and by recorded answers of the real one.

- The listing comes in pages, with a header Link. It has the SHA-256 of files in Git LFS, and Git's SHA-1 of all others.
- A file in Git LFS is a 302 to a CDN with a signed URL, which refuses a request that has a token as well. Others are sent
  whole, whatever the Range header says.
- A repository that may not be read is a 401 RepoNotFound, like one that does not exist.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 2  # entries of a page of the listing


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HuggingFaceHub

    def do_GET(self) -> None:
        url, hub = urlsplit(self.path), self.server
        path = unquote(url.path)
        hub.requests.append(path)
        if path.startswith("/cdn/"):
            self._send_part(path.removeprefix("/cdn/"))
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif match := re.fullmatch(rf"/api/models/{hub.repo}/(revision|tree)/([^/]+)", path):
            self._describe(match[1], match[2], int(parse_qs(url.query).get("cursor", ["0"])[0]))
        elif match := re.fullmatch(rf"/{hub.repo}/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2])
        else:
            self._refuse(401, "RepoNotFound", "Repository not found")

    def _describe(self, kind: str, revision: str, first: int) -> None:
        hub = self.server
        commit = hub.branches.get(revision, revision)
        if commit not in hub.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif kind == "revision":
            self._json({"id": hub.repo, "sha": commit})
        else:
            entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "sub"}]
            entries += [self._entry(path, content) for path, content in hub.commits[commit].items()]
            more = f"<{hub.url}/api/models/{hub.repo}/tree/{commit}?recursive=true&cursor={first + PAGE}>"
            link = {"Link": f'{more}; rel="next"'} if first + PAGE < len(entries) else {}
            self._json(entries[first : first + PAGE], link)

    def _entry(self, path: str, content: bytes) -> dict[str, object]:
        entry = {"type": "file", "oid": git_hash(content), "size": len(content), "path": path}
        if path.endswith(".safetensors"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry.update(oid="1" * 40, lfs={"oid": sha256, "size": len(content), "pointerSize": 135})
        return entry

    def _resolve(self, revision: str, path: str) -> None:
        hub = self.server
        content = hub.commits.get(hub.branches.get(revision, revision), {}).get(path)
        if content is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif path.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            hub.objects[digest] = content
            # The same socket by another name is another host to a client.
            self._send(302, b"", {"Location": f"{hub.url.replace('127.0.0.1', 'localhost')}/cdn/{digest}"})
        else:
            self._send(200, content)

    def _send_part(self, digest: str) -> None:
        hub = self.server
        if self.headers.get("Authorization") or self.headers.get("Cookie"):
            self._refuse(400, "InvalidArgument", "Only one auth mechanism allowed")
            return
        content = hub.objects[digest]
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"]).groups(default="")
        first, last = int(first), int(last or len(content) - 1)
        part = content[first : last + 1]
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        if len(part) == 1:  # a look whether it is reached
            self._send(206, part, headers)
            return
        if hub.cuts:
            hub.cuts -= 1
            self._send(206, part, headers, upto=len(part) // 2)
            self.close_connection = True
        else:
            self._send(206, part, headers)
        hub.spans.append(first)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _json(self, data: object, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, upto: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:upto])

    def log_message(self, *_arguments: object) -> None:
        pass


class HuggingFaceHub(ThreadingHTTPServer):
    """A hub with one repository. *commits* have the contents by path, *branches* the commits by name."""

    def __init__(self, repo: str, contents: dict[str, bytes], token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repo, self.token = repo, token
        self.commits, self.branches = {"a" * 40: contents}, {"main": "a" * 40}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.spans: list[int] = []  # the first bytes that the CDN was asked for
        self.cuts = 0  # connections of the CDN that will end in the middle
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[HuggingFaceHub]:
        thread = threading.Thread(target=self.serve_forever, args=[0.05])
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()
