# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a ModelScope hub whether it accepts a token, and which files a revision has."""

from __future__ import annotations

import json
from typing import Any, Mapping
from urllib.parse import quote

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Snapshot, parse_listing
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import (
    NOT_SHOWN,
    SUCCESS,
    RefusedError,
    Server,
    proxies,
)

TOKEN_PAGE = "https://modelscope.cn/my/myaccesstoken"


class Answer:
    """An answer of the hub: the status of HTTP, and the hub's own envelope."""

    def __init__(self, status: int, text: bytes) -> None:
        self.status = status
        try:
            body = json.loads(text)
        except (RecursionError, ValueError):
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


class Hub(Server):
    """A ModelScope hub."""

    def headers(self) -> dict[str, str]:
        cookie = {"Cookie": f"m_session_id={self._token}"} if self._token else {}
        return {**super().headers(), **cookie}

    def url(self, repo: str) -> str:
        return f"{self.endpoint}/api/v1/models/{quote(repo)}/repo?Revision={{revision}}&FilePath={{path}}"

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

    def _snapshot(self, repo: str, revision: str) -> Snapshot:
        base = f"/api/v1/models/{quote(repo)}"
        answer = self._ask("GET", f"{base}/repo/files", params={"Revision": revision, "Recursive": "True"})
        if answer.status in NOT_SHOWN:
            raise self._not_shown(repo, answer.status, str(answer))
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
            f"Check O(endpoint) and the connection to it ({proxies()}). If it is the hub, run again later",
        )

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        answer = self.ask(method, path, **content)
        return Answer(answer.status_code, answer.content)
