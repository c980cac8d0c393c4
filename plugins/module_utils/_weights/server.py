# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a server over HTTP: with a token, through the proxies of the environment, again if it is busy."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from typing import Any, Callable, Mapping, NamedTuple, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Snapshot,
    require_consistent,
)

try:
    import requests
except ImportError:
    REQUESTS_ERROR: str | None = traceback.format_exc()
else:
    REQUESTS_ERROR = None

SECONDS = 30
# For a whole answer, also one of which a byte comes now and then. The largest is a small file of 32 MiB.
WHOLE_SECONDS = 600
MOST_BYTES = 256 << 20  # of an answer, unpacked
PIECE = 1 << 16
SUCCESS, NOT_FOUND = 200, 404
NOT_SHOWN = (401, 403, NOT_FOUND)  # how a hub answers for a repository that the reader may not see
TOO_MANY = 429
# Answers of a server that is busy, or of what lies before it.
BUSY = (429, 500, 502, 503, 504)
PAUSES = (1, 2, 4, 8)  # seconds, before a question is asked again
RECONNECT_PAUSES = (1, 2)  # for a server that cannot be reached: mostly that does not end by itself
LONGEST_PAUSE = 300  # that a server may ask for
REFUSED = (401, 403, 407)
FIRST_BYTE = {"Range": "bytes=0-0"}


class RefusedError(ProblemError):
    """The server does not let this token read: to ask again does not help."""


class UnreachableError(ProblemError):
    """The server does not answer this host."""


Result = TypeVar("Result")


class Reply(NamedTuple):
    """An answer that was read as a whole, or of which only the headers were asked for."""

    status_code: int
    headers: Mapping[str, str]
    links: Mapping[str, Any]
    content: bytes

    def json(self) -> Any:
        """Return the data in it. Raises ValueError if it is no JSON."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("JSON that is nested too deeply") from None


class Server:
    """A server and the token to read it with; without a token, anonymously."""

    def __init__(self, endpoint: str, token: str, ca_bundle: str = "") -> None:
        """*ca_bundle* is a file with the authorities to trust, by default those of requests."""
        self.endpoint, self._token = endpoint.rstrip("/"), token
        self._trust: str | bool = ca_bundle or True

    def url(self, repo: str) -> str:
        """Return the URL of a file, with placeholders for its ``revision`` and its ``path``."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Return the headers that have the token."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def log_in(self) -> None:
        """Validate the token, where a listing does not do that. Raises ProblemError for one that is refused."""

    def snapshot(self, repo: str, revision: str) -> Snapshot:
        """Return the files of a revision.

        Raises ProblemError if repository or revision do not exist, or for a listing that cannot be used.
        """
        try:
            found = self._snapshot(repo, revision)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProblemError(
                f"the listing of {repo} by {self.endpoint} has another form than that of such a server "
                f"({type(error).__name__}: {error})",
                "the answer of its kind of server",
                f"Check O(endpoint) and O(hub), and the connection to it ({proxies()})",
            ) from None
        require_consistent(f"the listing of {repo} by {self.endpoint}", found)
        return found

    def _snapshot(self, repo: str, revision: str) -> Snapshot:
        """Do the same, without a look at what the files are called."""
        raise NotImplementedError

    def document(self, repo: str, revision: str, path: str) -> dict[str, Any]:
        """Return the content of a JSON file of a revision. Raises ProblemError if there is none."""
        answer = self.ask("GET", self._path(repo, revision, path), allow_redirects=True)
        try:
            content = answer.json() if answer.status_code == SUCCESS else None
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
        raise ProblemError(
            f"the hub {self.endpoint} answers HTTP {answer.status_code}, asked for {path} of {repo}",
            "the JSON file that a model has",
            "Check O(repo) and O(revision)",
        )

    def _not_shown(self, repo: str, status: int, answer: str) -> RefusedError:
        """Return the problem of a repository that does not exist, or that the reader may not see."""
        reader = "with this token" if self._token else "without a token"
        if self._token:
            remedy = "Check the name in O(repo), and that the account of O(token) may read it"
        elif status == NOT_FOUND:
            remedy = "Check the name in O(repo), and that it is public, or set O(token)"
        else:
            remedy = "Set O(token), which is empty, or check the name in O(repo)"
        return RefusedError(
            f"the hub {self.endpoint} does not show {repo} {reader} ({answer})",
            "a repository that exists and may be read",
            remedy,
        )

    def ask(self, method: str, path: str, read: bool = True, **options: Any) -> Reply:
        """Send a request, again if the server is busy. *options* are those of ``requests``.

        By default it follows no redirect: the token is for the endpoint alone. Unless *read*, the reply has no
        content.
        """
        for pause in PAUSES:
            answer = self._ask_once(method, path, read, options)
            if answer.status_code not in BUSY:
                return answer
            time.sleep(max(pause, pause_asked_for(answer.headers)))
        answer = self._ask_once(method, path, read, options)
        if answer.status_code == TOO_MANY:
            raise ProblemError(
                f"the server {self.endpoint} limits the requests from this address: HTTP {TOO_MANY}",
                "an answer to each request",
                "Set O(token), with which most servers allow more, or run again later",
            )
        return answer

    def try_out(self, repo: str, revision: str, path: str) -> None:
        """Ask for the first byte of a file, as far as the host that has it.

        A large file is a redirect to a CDN, which is another host. Raises ProblemError, with its name, if it
        cannot be reached or refuses.
        """
        answer = self._ask_once("GET", self._path(repo, revision, path), False, {"headers": FIRST_BYTE})
        place = urljoin(self.endpoint, answer.headers.get("Location", ""))
        host = urlsplit(place).netloc
        if host == urlsplit(self.endpoint).netloc:
            return  # the hub's own answer: it has been reached
        options = {"headers": FIRST_BYTE, "timeout": SECONDS, "verify": self._trust}
        status = _persistently(
            f"the CDN {host}, which has the files of the hub,",
            lambda: _send("GET", place, False, auth=_anonymous, **options),
        ).status_code
        if status in REFUSED:
            raise ProblemError(
                f"the CDN {host} answers HTTP {status} to an address that the hub has just signed",
                "the first byte of a file",
                f"Compare the host's clock with the hub's, and check the connection to it ({proxies()})",
            )

    def _path(self, repo: str, revision: str, path: str) -> str:
        """Return the URL of a file, without the endpoint."""
        url = self.url(repo).format(revision=quote(revision, safe=""), path=quote(path))
        return url[len(self.endpoint) :]

    def _ask_once(self, method: str, path: str, read: bool, options: dict[str, Any]) -> Reply:
        given = {
            "headers": {"Accept": "application/json"},
            "timeout": SECONDS,
            "allow_redirects": False,
            "verify": self._trust,
            **options,
        }
        return _persistently(
            f"the hub {self.endpoint}",
            lambda: _send(method, self.endpoint + path, read, auth=self._authorize, **given),
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token. Also without one, this keeps requests from sending the credentials of a .netrc."""
        request.headers.update({"User-Agent": "ascend_ops.vllm", **self.headers()})
        return request


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing, and keep requests from adding the credentials of a .netrc."""
    return request


def pause_asked_for(headers: Mapping[str, str]) -> int:
    """Return the seconds after which a busy server wants to be asked again, 0 if it does not say."""
    asked = headers.get("Retry-After", "")
    return min(int(asked), LONGEST_PAUSE) if asked.isdecimal() else 0


def _send(method: str, url: str, read: bool, **options: Any) -> Reply:
    """Send a request, and return the answer, with its content if it is to be *read*."""
    with requests.request(method, url, stream=True, **options) as answer:
        content = _content(url, answer) if read else b""
        return Reply(answer.status_code, answer.headers, answer.links, content)


def _content(url: str, answer: requests.Response) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_content(PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise ProblemError(
                f"the answer to {urlsplit(url)._replace(query='').geturl()} has more than {MOST_BYTES >> 20} MiB",
                "a listing, or a small file",
                f"Check O(endpoint) and O(hub), and the connection to it ({proxies()})",
            )
    return b"".join(pieces)


def _within(seconds: float, what: str, work: Callable[[], Result]) -> Result:
    """Return the result of *work*. Raises UnreachableError if it takes longer.

    The time-out of requests is for each byte. The thread ends with this process.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def carry_out() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    thread.join(seconds)
    for error in errors:
        raise error
    for result in results:
        return result
    raise UnreachableError(
        f"{what} has not ended its answer after {seconds:g} s",
        "a listing within seconds",
        f"Check the connection to it ({proxies()}), or run again later",
    )


def _persistently(what: str, send: Callable[[], Reply]) -> Reply:
    """Return the answer of *what*, to which *send* sends a request, again if there is no connection."""
    pauses = iter(RECONNECT_PAUSES)
    while True:
        try:
            return _within(WHOLE_SECONDS, what, send)
        except requests.RequestException as error:
            pause = next(pauses, None)
            if pause is None or not _may_end(error):
                raise _unreachable(what, error) from None
        time.sleep(pause)


def _may_end(error: requests.RequestException) -> bool:
    """Whether a failure to connect may end by itself within seconds."""
    lasting = (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.exceptions.Timeout)
    broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, broken) and not isinstance(error, lasting)


def _unreachable(what: str, error: requests.RequestException) -> UnreachableError:
    if isinstance(error, requests.exceptions.SSLError):
        return UnreachableError(
            f"{what} shows a certificate that is not trusted: {_root_cause(error)}",
            "one of an authority that this host trusts",
            "If it is a company's own, or that of a proxy that inspects TLS: set O(ca_bundle) to a file with it",
        )
    return UnreachableError(
        f"{what} cannot be reached: {_root_cause(error)}",
        f"an answer within {SECONDS} s ({proxies()})",
        "Check this host's name resolution, routes, firewall and proxy variables, O(endpoint) and O(proxy). Or "
        "bring the weights: O(source), or O(fetch)",
    )


def _root_cause(error: BaseException) -> BaseException:
    """Return the system's own error below those of requests and urllib3, whose texts show objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def proxies() -> str:
    shown = procfs.proxies(os.environ)
    return ", ".join(f"{key}={value}" for key, value in sorted(shown.items())) or "no proxy"
