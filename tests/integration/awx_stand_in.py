# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated AWX: as much of the REST API of AWX 24.6.1 as the awx.awx modules use, in memory.

It refuses what the real one refused when awx_setup.yml was run against it: a survey without questions, a playbook that the
synchronized project does not have, another set of inputs for a credential type in use, another organization for an execution
environment. A number finds what has it as its id, or else as its name. A project is updated when its source changes and when
asked to; an update fails for a repository that is not there, and for an organization with Galaxy credentials if Galaxy cannot
be reached. Names are unique within an organization only, so a search by name alone may find several. Secrets are shown as
$encrypted$. Without a word, an inventory of another kind becomes an ordinary one. A field that AWX does not have is refused,
although the real one ignores it.
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
TEMPLATES = (
    "job_templates",
    "workflow_job_templates",
    "workflow_approval_templates",
    "projects",
    "inventory_sources",
)
ASKS = {f"ask_{what}_on_launch" for what in ("job_type", "diff_mode", "tags")}
SOURCE = {"scm_url", "scm_branch", "credential"}
NOTIFICATIONS = ("notification_templates_error", "notification_templates_approvals")
# Which kind of thing a list of related ones holds, where its name is another.
RELATED = {
    "galaxy_credentials": "credentials",
    **dict.fromkeys(NOTIFICATIONS, "notification_templates"),
    "success_nodes": "workflow_job_template_nodes",
}
# Of each kind of notification, the fields that its configuration must have.
REQUIRED = {
    "webhook": {"url": str, "headers": dict},
    "slack": {"token": str, "channels": list},
}
TYPES = {str: "string", dict: "object", list: "list"}
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
        "timeout",
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
        "extra_vars",
        "survey_enabled",
        *ASKS,
    },
    "workflow_job_templates": {"name", "description", "organization", "survey_enabled"},
    "workflow_job_template_nodes": {"identifier", "workflow_job_template", "unified_job_template"},
    "workflow_approval_templates": {"name", "description", "timeout", "identifier", "workflow_job_template"},
    "notification_templates": {"name", "organization", "notification_type", "notification_configuration"},
    "schedules": {"name", "rrule", "unified_job_template"},
    "project_updates": {
        "project",
        "status",
        "failed",
        "finished",
        "scm_revision",
        "job_explanation",
        "result_traceback",
    },
}


class Refused(Exception):
    """A request that AWX answers with an error."""

    def __init__(self, body: dict[str, Any], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(str(body))
        self.body, self.status = body, status


class StandIn(ThreadingHTTPServer):
    """The things that were made, by their kind, and what belongs to each."""

    daemon_threads = True

    def __init__(self, token: str, machine_credential: str, repositories: dict[str, list[str]]) -> None:
        """*repositories* are the playbooks that each Git repository has, by its URL; no other one can be reached."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.token, self.url = token, f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories = repositories
        self.runs_jobs = True  # False: an update stays pending, as with AWX's dispatcher down
        self.reaches_galaxy = True
        self.user = {"id": 1, "type": "user", "username": "admin", "is_superuser": True}
        self.things: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FIELDS}
        self.related: dict[tuple[int, str], Any] = {}
        self._last = 0
        for name, kind, namespace in (
            (machine_credential, "ssh", "ssh"),
            ("Ansible Galaxy", "galaxy", "galaxy_api_token"),
        ):
            made = self.make("credential_types", {"name": f"Type of {name}", "kind": kind})
            made["namespace"] = namespace
            self.make("credentials", {"name": name, "credential_type": made["id"]})

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {thing["name"]: thing for thing in self.things[kind]}

    def make(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        url = f"{ROOT}{kind}/{self._last}/"
        thing = {
            "id": self._last,
            "url": url,
            "type": kind[:-1],
            "scm_revision": "",
            "execution_environment": None,
            "organization": None,
            "related": {name: f"{url}{name}/" for name in ("survey_spec", "update", *NOTIFICATIONS)},
        }
        self.write(kind, thing, fields)
        self.things[kind].append(thing)
        return thing

    def write(self, kind: str, thing: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(fields) - FIELDS[kind]):
            raise Refused({"__all__": [f"{kind} have no {', '.join(unknown)}"]})
        fields = {name: value.strip() if isinstance(value, str) else value for name, value in fields.items()}
        if len(fields.get("name", "")) > 512:
            raise Refused({"name": ["Ensure this field has no more than 512 characters."]})
        changed = {name for name, value in fields.items() if thing.get(name) != value}
        self._refuse(kind, thing, {**thing, **fields}, changed)
        thing.update(fields)
        if kind == "projects" and changed & SOURCE:
            self.update(thing)
        return thing

    def _refuse(self, kind: str, old: dict[str, Any], new: dict[str, Any], changed: set[str]) -> None:
        if (
            kind == "job_templates"
            and new["playbook"] not in self.one("projects", new["project"])["playbooks"]
        ):
            raise Refused({"playbook": ["Playbook not found for project."]})
        exists = any(old is thing for thing in self.things[kind])
        if kind == "notification_templates":
            _refuse_notification(new["notification_type"], new["notification_configuration"])
        in_use = any(one["credential_type"] == old["id"] for one in self.things["credentials"])
        if kind == "credential_types" and in_use and "inputs" in changed:
            text = "Modifications to inputs are not allowed for credential types that are in use"
            raise Refused({"detail": text}, HTTPStatus.FORBIDDEN)
        if kind == "execution_environments" and exists and "organization" in changed:
            text = "Cannot change the organization of an execution environment"
            raise Refused({"organization": [text]})

    def update(self, project: dict[str, Any]) -> dict[str, Any]:
        """Synchronize a project with its repository; the update is over at once, unless AWX runs no jobs."""
        playbooks = self.repositories.get(project["scm_url"])
        if self.related.get((project["organization"], "galaxy_credentials")) and not self.reaches_galaxy:
            playbooks = None
        status = "pending" if not self.runs_jobs else "failed" if playbooks is None else "successful"
        revision = (
            f"revision of {sorted(playbooks or [])}" if status == "successful" else project["scm_revision"]
        )
        update = self.make(
            "project_updates",
            {
                "project": project["id"],
                "status": status,
                "failed": status == "failed",
                "finished": None if status == "pending" else "2026-01-01T00:00:00Z",
                "scm_revision": revision,
                "job_explanation": "",
                "result_traceback": "",
            },
        )
        if self.runs_jobs:
            project["scm_revision"], project["playbooks"] = revision, playbooks or []
        return update

    def find(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        kinds = TEMPLATES if kind == "unified_job_templates" else (kind,)
        return [
            thing
            for one in kinds
            for thing in self.things[one]
            if _matches({**thing, **self._fields_of_related(thing, query)}, query)
        ]

    def _fields_of_related(self, thing: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        """Return the fields of other things that a query names, such as credential_type__kind."""
        every = {one["id"]: one for things in self.things.values() for one in things}
        names = [name for name in query if "__" in name and not name.startswith("or__")]
        return {
            name: every.get(thing.get(name.split("__")[0]), {}).get(name.split("__")[1]) for name in names
        }

    def shown(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Return a thing as AWX shows it: with the names of what it is related to, its secrets hidden."""
        every = {one["id"]: one for things in self.things.values() for one in things}
        names = ("project", "inventory", "credential_type", "unified_job_template")
        summary = {name: {"name": every[thing[name]]["name"]} for name in names if thing.get(name) in every}
        attached = self.related.get((thing["id"], "credentials"), [])
        summary["credentials"] = [{"id": one["id"], "name": one["name"]} for one in attached]
        links = [one["id"] for one in self.related.get((thing["id"], "success_nodes"), [])]
        for approval in self.things["workflow_approval_templates"]:
            if approval["id"] == thing.get("unified_job_template"):
                summary["unified_job_template"].update(
                    {name: approval[name] for name in ("description", "timeout")}
                )
        shown = {**thing, "summary_fields": summary, "success_nodes": links}
        if thing["type"] == "workflow_approval_template":
            del shown["identifier"], shown["workflow_job_template"]  # accepted, but not kept
        if thing["type"] == "credential":
            inputs = thing.get("inputs", {})
            shown["inputs"] = {name: ENCRYPTED if value else value for name, value in inputs.items()}
        return shown

    def one(self, kind: str, number: int) -> dict[str, Any]:
        return next(thing for thing in self.things[kind] if thing["id"] == number)

    def delete(self, kind: str, number: int) -> None:
        """Remove a thing, the approval that is its own, and it from what it is related to."""
        gone = self.one(kind, number)
        self.things[kind].remove(gone)
        approvals = self.things["workflow_approval_templates"]
        approvals[:] = [one for one in approvals if one["id"] != gone.get("unified_job_template")]
        for name, known in [*self.related.items()]:
            if name[0] == number:
                del self.related[name]
            elif isinstance(known, list) and gone in known:
                known.remove(gone)

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
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, carry_out) -> None:
        url = urlsplit(self.path)
        parts = url.path.removeprefix(ROOT).strip("/").split("/")
        kind, number, related = (parts + ["", "0", ""][len(parts) :])[:3]
        try:
            if self.headers["Authorization"] != f"Bearer {self.server.token}":
                text = "Authentication credentials were not provided."
                raise Refused({"detail": text}, HTTPStatus.UNAUTHORIZED)
            status, body = carry_out(kind, int(number), related, dict(parse_qsl(url.query)))
        except Refused as refused:
            status, body = refused.status, refused.body
        text = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(0 if status == HTTPStatus.NO_CONTENT else len(text)))
        self.end_headers()
        if status != HTTPStatus.NO_CONTENT:
            self.wfile.write(text)

    def _get(self, kind: str, number: int, related: str, query: dict[str, str]) -> tuple[HTTPStatus, Any]:
        if kind == "me":
            return HTTPStatus.OK, {"count": 1, "next": None, "previous": None, "results": [self.server.user]}
        if related == "survey_spec":
            return HTTPStatus.OK, self.server.related.get((number, related), {})
        if number and not related:
            return HTTPStatus.OK, self.server.shown(self.server.one(kind, number))
        if (kind, related) == ("project_updates", "events"):
            shown = self._events(self.server.one(kind, number), query)
        else:
            related_ones = self.server.related.get((number, related), [])
            shown = [
                self.server.shown(thing)
                for thing in (related_ones if related else self.server.find(kind, query))
            ]
        return HTTPStatus.OK, {"count": len(shown), "next": None, "previous": None, "results": shown}

    def _patch(self, kind: str, number: int, _related: str, _query: dict[str, str]) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, self.server.shown(
            self.server.write(kind, self.server.one(kind, number), self._body())
        )

    def _events(self, update: dict[str, Any], query: dict[str, str]) -> list[dict[str, Any]]:
        """Return what AWX recorded of an update: its output has colours and is cut, the results are whole."""
        if update["status"] != "failed":
            return []
        url = self.server.one("projects", update["project"])["scm_url"]
        said = f"fatal: repository '{url}' does not exist\n"
        if url in self.server.repositories:
            said = (
                "ERROR! Unknown error when attempting to call Galaxy at 'https://galaxy.ansible.com/api/'\n"
            )
        recap = {
            "event": "playbook_on_stats",
            "stdout": "\r\nPLAY RECAP \x1b[0;31mfailed=1\x1b[0m",
            "event_data": {},
        }
        failed = {
            "event": "runner_on_failed",
            "stdout": '\x1b[0;31mfatal: [localhost]: FAILED! => {"changed": false, "cmd": "/usr/bin/git clo…\x1b[0m',
            "event_data": {"res": {"msg": "Failed to clone", "stderr": said, "rc": 128}},
        }
        return [
            {"type": "project_update_event", **event} for event in (recap, failed) if _matches(event, query)
        ]

    def _delete(
        self, kind: str, number: int, _related: str, _query: dict[str, str]
    ) -> tuple[HTTPStatus, Any]:
        self.server.delete(kind, number)
        return HTTPStatus.NO_CONTENT, {}

    def _post(self, kind: str, number: int, related: str, _query: dict[str, str]) -> tuple[HTTPStatus, Any]:
        if not number:
            return HTTPStatus.CREATED, self.server.shown(self.server.make(kind, self._body()))
        if related == "update":
            update = self.server.update(self.server.one(kind, number))
            return HTTPStatus.ACCEPTED, update
        if related == "survey_spec":
            return self._post_survey(number)
        if related == "create_approval_template":
            made = self.server.make("workflow_approval_templates", self._body())
            node = self.server.one(kind, number)
            node["unified_job_template"] = made["id"]
            node["related"]["unified_job_template"] = made["url"]
            return HTTPStatus.CREATED, self.server.shown(made)
        change = self._body()
        known = self.server.related.setdefault((number, related), [])
        known[:] = [thing for thing in known if thing["id"] != change["id"]]
        if not change.get("disassociate"):
            source = RELATED.get(related, related if related in FIELDS else kind)
            known.append(self.server.one(source, change["id"]))
        return HTTPStatus.NO_CONTENT, {}

    def _post_survey(self, number: int) -> tuple[HTTPStatus, Any]:
        survey = self._body()
        if not survey["spec"]:
            raise Refused({"error": "'spec' doesn't contain any items."})
        self.server.related[number, "survey_spec"] = survey
        return HTTPStatus.OK, {}

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _matches(thing: dict[str, Any], query: dict[str, str]) -> bool:
    """Return whether a thing is among those that the query of a list asks for."""
    either = {name.removeprefix("or__"): value for name, value in query.items() if name.startswith("or__")}
    every = {name: value for name, value in query.items() if not name.startswith("or__")}
    return all(str(thing.get(name)) == value for name, value in every.items()) and (
        not either or any(str(thing.get(name)) == value for name, value in either.items())
    )


def _refuse_notification(kind: str, configuration: dict[str, Any]) -> None:
    """Refuse a notification as NotificationTemplateSerializer.validate of AWX does."""
    missing = [name for name in REQUIRED[kind] if name not in configuration]
    wrong = [name for name, of in REQUIRED[kind].items() if not isinstance(configuration.get(name, of()), of)]
    errors = [f"Missing required fields for Notification Configuration: {missing}."] if missing else []
    for name in wrong:
        expected = TYPES[REQUIRED[kind][name]]
        errors.append(f"Configuration field '{name}' incorrect type, expected {expected}.")
    if errors:
        raise Refused({"__all__": errors})
