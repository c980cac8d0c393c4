# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a server over HTTP: with a token, through the proxies of the environment, again if it is busy."""

from __future__ import annotations

import os
import time
import traceback
from typing import Any, Callable
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Snapshot

try:
    import requests
except ImportError:
    REQUESTS_ERROR: str | None = traceback.format_exc()
else:
    REQUESTS_ERROR = None

SECONDS = 30
SUCCESS = 200
# Answers of a server that is busy, or of what lies before it.
BUSY = (429, 500, 502, 503, 504)
PAUSES = (1, 2, 4, 8)  # seconds, before a question is asked again
RECONNECT_PAUSES = (1, 2)  # for a server that cannot be reached: mostly that does not end by itself
REFUSED = (401, 403, 407)
FIRST_BYTE = {"Range": "bytes=0-0"}


class RefusedError(ProblemError):
    """The server does not let this token read: to ask again does not help."""


class UnreachableError(ProblemError):
    """The server does not answer this host."""


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

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request, again if the server is busy. *options* are those of ``requests``.

        By default it follows no redirect: the token is for the endpoint alone.
        """
        for pause in PAUSES:
            answer = self._ask_once(method, path, options)
            if answer.status_code not in BUSY:
                return answer
            time.sleep(pause)
        return self._ask_once(method, path, options)

    def try_out(self, repo: str, revision: str, path: str) -> None:
        """Ask for the first byte of a file, as far as the host that has it.

        A large file is a redirect to a CDN, which is another host. Raises ProblemError, with its name, if it
        cannot be reached or refuses.
        """
        options = {"headers": FIRST_BYTE, "stream": True}
        with self._ask_once("GET", self._path(repo, revision, path), options) as answer:
            place = urljoin(self.endpoint, answer.headers.get("Location", ""))
        host = urlsplit(place).netloc
        if host == urlsplit(self.endpoint).netloc:
            return  # the hub's own answer: it has been reached
        with _persistently(
            f"the CDN {host}, which has the files of the hub,",
            lambda: requests.get(
                place, headers=FIRST_BYTE, auth=_anonymous, timeout=SECONDS, stream=True, verify=self._trust
            ),
        ) as answer:
            status = answer.status_code
        if status in REFUSED:
            raise ProblemError(
                f"the CDN {host} answers HTTP {status} to an address that the hub has just signed",
                "the first byte of a file",
                f"Compare the host's clock with the hub's, and check what lies between ({proxies()})",
            )

    def _path(self, repo: str, revision: str, path: str) -> str:
        """Return the URL of a file, without the endpoint."""
        url = self.url(repo).format(revision=quote(revision, safe=""), path=quote(path))
        return url[len(self.endpoint) :]

    def _ask_once(self, method: str, path: str, options: dict[str, Any]) -> requests.Response:
        given = {
            "headers": {"Accept": "application/json"},
            "timeout": SECONDS,
            "allow_redirects": False,
            "verify": self._trust,
            **options,
        }
        return _persistently(
            f"the hub {self.endpoint}",
            lambda: requests.request(method, self.endpoint + path, auth=self._authorize, **given),
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token. Also without one, this keeps requests from sending the credentials of a .netrc."""
        request.headers.update({"User-Agent": "ascend_ops.vllm", **self.headers()})
        return request


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing, and keep requests from adding the credentials of a .netrc."""
    return request


def _persistently(what: str, send: Callable[[], requests.Response]) -> requests.Response:
    """Return the answer of *what*, to which *send* sends a request, again if there is no connection."""
    pauses = iter(RECONNECT_PAUSES)
    while True:
        try:
            return send()
        except requests.RequestException as error:
            pause = next(pauses, None)
            if pause is None or not _may_end(error):
                raise _unreachable(what, error) from None
        time.sleep(pause)


def _may_end(error: requests.RequestException) -> bool:
    """Whether a failure to connect may end by itself within seconds."""
    lasting = (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.exceptions.Timeout)
    return isinstance(error, requests.ConnectionError) and not isinstance(error, lasting)


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
