# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a ModelScope hub whether it knows us and what a revision holds, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Mapping
from urllib.parse import quote, urlencode

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import weights

SECONDS = 30
TOKEN_PAGE = "https://modelscope.cn/my/myaccesstoken"
SUCCESS = 200


class StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is meant for the endpoint alone."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Let the redirect become an HTTPError."""


class Answer:
    """An answer of the hub: the status of HTTP, and its own envelope."""

    def __init__(self, status: int, text: bytes) -> None:
        self.status = status
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        self.body = body if isinstance(body, dict) else {}

    @property
    def ok(self) -> bool:
        return (
            self.status == SUCCESS
            and bool(self.body)
            and self.body.get("Success", True)
            and self.body.get("Code", SUCCESS) == SUCCESS
        )

    @property
    def data(self) -> dict[str, Any]:
        data = self.body.get("Data")
        return data if isinstance(data, dict) else {}

    def __str__(self) -> str:
        code, message = self.body.get("Code"), self.body.get("Message")
        return f"HTTP {self.status}" + (
            f", code {code}: {message}" if message else "" if self.body else ", without the hub's JSON"
        )


class Hub:
    """A hub and the token that one reads it with; without a token, as anybody."""

    def __init__(self, endpoint: str, token: str, proxies: Mapping[str, str]) -> None:
        self.endpoint, self._token, self._proxies = endpoint.rstrip("/"), token, proxies
        self._opener = urllib.request.build_opener(StayHere)

    def log_in(self) -> None:
        """Have the token judged, as the hub judges it only here: to a wrong one it lists public repositories like to nobody."""
        answer = self._ask("/api/v1/login", {"AccessToken": self._token})
        if answer.ok:
            return
        if answer.status in (400, 401, 403):
            # A token that may only read gets no login, but has a profile.
            if self._ask("/openapi/v1/users/me").status == SUCCESS:
                return
            raise weights.WeightsError(
                f"the hub {self.endpoint} refuses the token ({answer})",
                "a token that it issued and that has not expired",
                f"Make one ({TOKEN_PAGE} for www.modelscope.cn) and give it as weights_token, from a vault",
            )
        raise self._unexpected("log in", answer)

    def snapshot(self, repo: str, revision: str) -> weights.Snapshot:
        """Return the files of a revision. Raises WeightsError if there is no such repository or revision, or the listing is not sound."""
        base = f"/api/v1/models/{quote(repo)}"
        answer = self._ask(f"{base}/repo/files?" + urlencode({"Revision": revision, "Recursive": "True"}))
        if answer.status in (401, 403, 404):
            raise weights.WeightsError(
                f"the hub {self.endpoint} does not show {repo} to {'the holder of this token' if self._token else 'anybody'} ({answer})",
                "a repository that exists and that we may read",
                "Check the name in vllm_model_repo, and that "
                + (
                    "the account of weights_token may read it"
                    if self._token
                    else "it is public, or give weights_token"
                ),
            )
        found = weights.snapshot(answer.data) if answer.ok else None
        if found is not None:
            return found
        if not answer.ok:
            raise self._unexpected(f"list {repo}", answer)
        raise self._no_revision(repo, revision, self._ask(f"{base}/revisions").data.get("RevisionMap") or {})

    def _no_revision(self, repo: str, revision: str, known: Mapping[str, Any]) -> weights.WeightsError:
        names = [
            str(entry.get("Revision")) for kind in ("Branches", "Tags") for entry in known.get(kind) or []
        ]
        if revision in names:
            return weights.WeightsError(
                f"{repo} has no files in revision {revision!r}",
                "the files of a model",
                "Check vllm_model_repo and vllm_model_revision",
            )
        return weights.WeightsError(
            f"{repo} has no revision {revision!r} on {self.endpoint}",
            f"one of {weights.listed(names) or 'those it has'}, or a commit",
            "Correct vllm_model_revision",
        )

    def _unexpected(self, what: str, answer: Answer) -> weights.WeightsError:
        return weights.WeightsError(
            f"{self.endpoint} answers {answer}, asked to {what}",
            "the answer of a ModelScope hub",
            f"Check vllm_model_endpoint and what stands between ({self._way()}); if the hub itself is in trouble, run again later",
        )

    def _ask(self, path: str, body: Mapping[str, str] | None = None) -> Answer:
        """GET, or with a body POST."""
        headers = {"Accept": "application/json", "User-Agent": "ascend_ops.vllm"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
            headers["Cookie"] = f"m_session_id={self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(
                urllib.request.Request(self.endpoint + path, data, headers), timeout=SECONDS
            ) as response:
                return Answer(response.status, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())
        except (OSError, http.client.HTTPException) as error:
            raise weights.WeightsError(
                f"the hub {self.endpoint} cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}",
                f"an answer within {SECONDS} s ({self._way()})",
                "Check name resolution, routes and firewall from this host, its proxy variables, and vllm_model_endpoint",
            ) from None

    def _way(self) -> str:
        shown = procfs.proxies(self._proxies)
        return ", ".join(f"{key}={value}" for key, value in sorted(shown.items())) or "no proxy"
