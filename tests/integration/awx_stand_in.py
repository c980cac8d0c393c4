# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for AWX, which cannot be installed where these tests run: as much of its REST API as the awx.awx modules use, in memory.

What it knows of AWX 24.6.1: lists are searched by fields, POST makes, PATCH changes, secrets are shown as $encrypted$, a POST of an id to
a list of related items adds it. A field that AWX does not have is refused, as the real one would ignore it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = "/api/v2/"
ENCRYPTED = "$encrypted$"
TEMPLATES = ("job_templates", "workflow_job_templates")
ASKS = {f"ask_{what}_on_launch" for what in ("job_type", "diff_mode", "tags")}
# Of each kind of thing, the fields that can be written.
FIELDS = {
    "organizations": {"name"},
    "execution_environments": {"name", "image", "organization", "pull"},
    "credential_types": {"name", "description", "kind", "inputs", "injectors", "managed"},
    "credentials": {"name", "organization", "credential_type", "inputs"},
    "projects": {
        "name",
        "organization",
        "scm_type",
        "scm_url",
        "scm_branch",
        "scm_update_on_launch",
        "credential",
    },
    "inventories": {"name", "organization", "kind", "host_filter"},
    "inventory_sources": {
        "name",
        "inventory",
        "source",
        "source_project",
        "source_path",
        "overwrite",
        "overwrite_vars",
        "update_on_launch",
    },
    "job_templates": {
        "name",
        "description",
        "organization",
        "project",
        "inventory",
        "playbook",
        "execution_environment",
        "survey_enabled",
        *ASKS,
    },
    "workflow_job_templates": {"name", "description", "organization", "survey_enabled"},
    "workflow_job_template_nodes": {"identifier", "workflow_job_template", "unified_job_template"},
}


class Refused(Exception):
    """A request that AWX would not carry out."""


class StandIn(ThreadingHTTPServer):
    """The things that were made, by their kind, and what belongs to each."""

    daemon_threads = True

    def __init__(self, token: str, machine_credential: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token, self.url = token, f"http://127.0.0.1:{self.server_address[1]}"
        self.things: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FIELDS}
        self.related: dict[tuple[int, str], Any] = {}
        self._last = 0
        self.make("credentials", {"name": machine_credential})

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {thing["name"]: thing for thing in self.things[kind]}

    def make(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        url = f"{ROOT}{kind}/{self._last}/"
        thing = {
            "id": self._last,
            "url": url,
            "type": kind[:-1],
            "summary_fields": {},
            "scm_revision": "",
            "related": {"survey_spec": f"{url}survey_spec/"},
        }
        self.write(kind, thing, fields)
        self.things[kind].append(thing)
        return thing

    def write(self, kind: str, thing: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(fields) - FIELDS[kind]):
            raise Refused(f"{kind} have no {', '.join(unknown)}")
        thing.update(fields)
        return thing

    def find(self, kind: str, wanted: dict[str, str]) -> list[dict[str, Any]]:
        kinds = TEMPLATES if kind == "unified_job_templates" else (kind,)
        return [
            thing
            for one in kinds
            for thing in self.things[one]
            if all(str(thing.get(field)) == value for field, value in wanted.items())
        ]

    def one(self, kind: str, number: int) -> dict[str, Any]:
        return next(thing for thing in self.things[kind] if thing["id"] == number)

    @contextmanager
    def serving(self) -> Iterator[StandIn]:
        """Answer, until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, args=[0.05])
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: StandIn

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PATCH(self) -> None:
        self._answer(
            lambda kind, number, _related, _query: (
                HTTPStatus.OK,
                self.server.write(kind, self.server.one(kind, number), self._body()),
            )
        )

    def _answer(self, carry_out) -> None:
        url = urlsplit(self.path)
        kind, number, related = [*url.path.removeprefix(ROOT).strip("/").split("/"), "0", ""][:3]
        try:
            if self.headers["Authorization"] != f"Bearer {self.server.token}":
                status, body = (
                    HTTPStatus.UNAUTHORIZED,
                    {"detail": "Authentication credentials were not provided."},
                )
            else:
                status, body = carry_out(kind, int(number), related, dict(parse_qsl(url.query)))
        except Refused as refused:
            status, body = HTTPStatus.BAD_REQUEST, {"__all__": [str(refused)]}
        text = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(0 if status == HTTPStatus.NO_CONTENT else len(text)))
        self.end_headers()
        if status != HTTPStatus.NO_CONTENT:
            self.wfile.write(text)

    def _get(self, kind: str, number: int, related: str, query: dict[str, str]) -> tuple[HTTPStatus, Any]:
        if related == "survey_spec":
            return HTTPStatus.OK, self.server.related.get((number, related), {})
        if kind == "project_updates":
            return HTTPStatus.OK, {
                "id": number,
                "status": "successful",
                "finished": "now",
                "failed": False,
                "scm_revision": "one",
            }
        if not number or related:
            found = (
                self.server.related.get((number, related), []) if related else self.server.find(kind, query)
            )
            shown = [_shown(thing) for thing in found]
            return HTTPStatus.OK, {"count": len(shown), "next": None, "previous": None, "results": shown}
        return HTTPStatus.OK, _shown(self.server.one(kind, number))

    def _post(self, kind: str, number: int, related: str, _query: dict[str, str]) -> tuple[HTTPStatus, Any]:
        if not number:
            return HTTPStatus.CREATED, _shown(self.server.make(kind, self._body()))
        if related == "update":
            return HTTPStatus.ACCEPTED, {"url": f"{ROOT}project_updates/{number}/"}
        if related == "survey_spec":
            self.server.related[number, related] = self._body()
            return HTTPStatus.OK, {}
        change = self._body()
        known = self.server.related.setdefault((number, related), [])
        known[:] = [thing for thing in known if thing["id"] != change["id"]]
        if not change.get("disassociate"):
            source = related if related in FIELDS else kind
            known.append(self.server.one(source, change["id"]))
        return HTTPStatus.NO_CONTENT, {}

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _shown(thing: dict[str, Any]) -> dict[str, Any]:
    """Return a thing as AWX shows it, its secrets hidden."""
    if thing["type"] != "credential":
        return thing
    return {**thing, "inputs": dict.fromkeys(thing.get("inputs", {}), ENCRYPTED)}
