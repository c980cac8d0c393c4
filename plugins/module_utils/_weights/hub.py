# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a ModelScope hub whether it accepts a token, and which files a revision has."""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import Any, Callable, Mapping
from urllib.parse import quote, urlsplit

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Snapshot, parse_listing

try:
    import requests
except ImportError:
    REQUESTS_ERROR: str | None = traceback.format_exc()
else:
    REQUESTS_ERROR = None

SECONDS = 30
TOKEN_PAGE = "https://modelscope.cn/my/myaccesstoken"
SUCCESS = 200
# Answers of a hub that is busy, or of what lies before it.
BUSY = (429, 500, 502, 503, 504)
PAUSES = (1, 2, 4, 8)  # seconds, before a question is asked again
RECONNECT_PAUSES = (1, 2)  # for a hub that cannot be reached: mostly that does not end by itself
REFUSED = (401, 403, 407)
FIRST_BYTE = {"Range": "bytes=0-0"}


class RefusedError(ProblemError):
    """The hub does not let this token read: to ask again does not help."""


class Answer:
    """An answer of the hub: the status of HTTP, and the hub's own envelope."""

    def __init__(self, status: int, text: bytes) -> None:
        self.status = status
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        self._body = body if isinstance(body, dict) else {}

    @property
    def ok(self) -> bool:
        """Whether the hub did what it was asked to."""
        return (
            self.status == SUCCESS
            and bool(self._body)
            and bool(self._body.get("Success", True))
            and self._body.get("Code", SUCCESS) == SUCCESS
        )

    @property
    def data(self) -> dict[str, Any]:
        """The content of the envelope."""
        data = self._body.get("Data")
        return data if isinstance(data, dict) else {}

    @property
    def document(self) -> dict[str, Any]:
        """The whole answer, which is a file of a repository if the hub was asked for one."""
        return self._body

    def __str__(self) -> str:
        code, message = self._body.get("Code"), self._body.get("Message")
        if message:
            return f"HTTP {self.status}, code {code}: {message}"
        return f"HTTP {self.status}" + ("" if self._body else ", without the hub's JSON")


class Hub:
    """A hub and the token to read it with; without a token, anonymously."""

    def __init__(self, endpoint: str, token: str, ca_bundle: str = "") -> None:
        """*ca_bundle* is a file with the authorities to trust, by default those of requests."""
        self.endpoint, self._token = endpoint.rstrip("/"), token
        self._trust: str | bool = ca_bundle or True

    def log_in(self) -> None:
        """Validate the token, if there is one.

        Only the login endpoint rejects a bad token. The listing treats it as anonymous.
        """
        if not self._token:
            return
        answer = self._ask("POST", "/api/v1/login", json={"AccessToken": self._token})
        if answer.ok:
            return
        if answer.status not in (400, 401, 403):
            raise self._unexpected("log in", answer)
        # A read-only token gets no login, but it has a profile.
        if self._ask("GET", "/openapi/v1/users/me").status != SUCCESS:
            raise RefusedError(
                f"the hub {self.endpoint} refuses the token ({answer})",
                "a token that it issued and that has not expired",
                f"Create one ({TOKEN_PAGE} for www.modelscope.cn) and set it as O(token), from a vault",
            )

    def snapshot(self, repo: str, revision: str) -> Snapshot:
        """Return the files of a revision.

        Raises ProblemError if repository or revision do not exist, or for a listing that cannot be used.
        """
        base = f"/api/v1/models/{quote(repo)}"
        answer = self._ask("GET", f"{base}/repo/files", params={"Revision": revision, "Recursive": "True"})
        if answer.status in (401, 403, 404):
            raise self._not_shown(repo, answer)
        if not answer.ok:
            raise self._unexpected(f"list {repo}", answer)
        found = parse_listing(answer.data)
        if found is None:
            revisions = self._ask("GET", f"{base}/revisions").data.get("RevisionMap") or {}
            raise self._no_revision(repo, revision, revisions)
        return found

    def document(self, repo: str, revision: str, path: str) -> dict[str, Any]:
        """Return the content of a JSON file of a revision. Raises ProblemError if there is none."""
        file = {"Revision": revision, "FilePath": path}
        answer = self._ask("GET", f"/api/v1/models/{quote(repo)}/repo", params=file)
        if answer.ok:
            return answer.document
        raise ProblemError(
            f"the hub {self.endpoint} answers {answer}, asked for {path} of {repo}",
            "the JSON file that a model has",
            "Check O(repo) and O(revision)",
        )

    def try_out(self, repo: str, revision: str, path: str) -> None:
        """Ask for the first byte of a file, as far as the host that has it.

        A large file is a redirect to the CDN, which is another host. Raises ProblemError, with its name, if it
        cannot be reached or refuses.
        """
        query = {"Revision": revision, "FilePath": path}
        file = f"/api/v1/models/{quote(repo)}/repo"
        with self._send("GET", file, params=query, headers=FIRST_BYTE, stream=True) as answer:
            place = answer.headers.get("Location", "")
        if not place:
            return  # the hub's own answer: it has been reached
        host = urlsplit(place).netloc
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
                f"Compare the host's clock with the hub's, and check what lies between ({_proxies()})",
            )

    def _not_shown(self, repo: str, answer: Answer) -> RefusedError:
        reader = "with this token" if self._token else "without a token"
        access = "the account of O(token) may read it" if self._token else "it is public, or set O(token)"
        return RefusedError(
            f"the hub {self.endpoint} does not show {repo} {reader} ({answer})",
            "a repository that exists and may be read",
            f"Check the name in O(repo), and that {access}",
        )

    def _no_revision(self, repo: str, revision: str, existing: Mapping[str, Any]) -> ProblemError:
        names = [
            str(entry.get("Revision")) for kind in ("Branches", "Tags") for entry in existing.get(kind) or []
        ]
        if revision in names:
            return ProblemError(
                f"{repo} has no files in revision {revision!r}",
                "the files of a model",
                "Check O(repo) and O(revision)",
            )
        return ProblemError(
            f"{repo} has no revision {revision!r} on {self.endpoint}",
            f"one of {shortened(names) or 'its revisions'}, or a commit",
            "Correct O(revision)",
        )

    def _unexpected(self, request: str, answer: Answer) -> ProblemError:
        return ProblemError(
            f"{self.endpoint} answers {answer}, asked to {request}",
            "the answer of a ModelScope hub",
            f"Check O(endpoint) and what lies between ({_proxies()}). If it is the hub, run again later",
        )

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        """Send a request, again if the hub is busy."""
        for pause in PAUSES:
            answer = self._ask_once(method, path, **content)
            if answer.status not in BUSY:
                return answer
            time.sleep(pause)
        return self._ask_once(method, path, **content)

    def _ask_once(self, method: str, path: str, **content: Any) -> Answer:
        response = self._send(method, path, headers={"Accept": "application/json"}, **content)
        return Answer(response.status_code, response.content)

    def _send(self, method: str, path: str, headers: dict[str, str], **content: Any) -> requests.Response:
        """Send a request. It follows no redirect: the token is for the endpoint alone."""
        return _persistently(
            f"the hub {self.endpoint}",
            lambda: requests.request(
                method,
                self.endpoint + path,
                headers={"User-Agent": "ascend_ops.vllm", **headers},
                auth=self._authorize,
                timeout=SECONDS,
                allow_redirects=False,
                verify=self._trust,
                **content,
            ),
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token. Also without one, this keeps requests from sending the credentials of a .netrc."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
            request.headers["Cookie"] = f"m_session_id={self._token}"
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


def _unreachable(what: str, error: requests.RequestException) -> ProblemError:
    if isinstance(error, requests.exceptions.SSLError):
        return ProblemError(
            f"{what} shows a certificate that is not trusted: {_root_cause(error)}",
            "one of an authority that this host trusts",
            "If it is a company's own, or that of a proxy that inspects TLS: set O(ca_bundle) to a file with it",
        )
    return ProblemError(
        f"{what} cannot be reached: {_root_cause(error)}",
        f"an answer within {SECONDS} s ({_proxies()})",
        "Check this host's name resolution, routes, firewall and proxy variables, O(endpoint) and O(proxy). Or "
        "bring the weights: O(source), or O(fetch)",
    )


def _root_cause(error: BaseException) -> BaseException:
    """Return the system's own error below those of requests and urllib3, whose texts show objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def _proxies() -> str:
    shown = procfs.proxies(os.environ)
    return ", ".join(f"{key}={value}" for key, value in sorted(shown.items())) or "no proxy"
