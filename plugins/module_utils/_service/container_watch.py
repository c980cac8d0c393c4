# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch the service's container on this host: its state, and its log since it was started."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker, DockerError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

if TYPE_CHECKING:
    from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.diagnosis import Finding

SETTLE_SECONDS = 2  # from the first fatal line until the whole traceback is in the log
LOG_LINES = 20000
TAIL_LINES = 12


class ContainerDied(Exception):
    """The container does not run, or vLLM in it has exited or cannot start."""


class ContainerWatch:
    """Watches the container *name*, as it was started at *since*, or as it runs at the first call.

    *since* is a time as Docker writes it. All that reads raises DockerError if the daemon does not answer, which says
    nothing about the container.
    """

    def __init__(self, name: str, since: str | None = None) -> None:
        self.name = name
        self.lines: list[Line] = []
        self._first: dict[str, Any] = {"StartedAt": since} if since else {}
        self._seen = ""
        self._alone = False  # the supervisor of a worker has no head

    def check_running(self) -> None:
        """Raise ContainerDied if the container does not run, or has restarted since the first call."""
        state = self._inspect()
        self._first = self._first or state
        if state["Status"] != "running":
            raise ContainerDied(describe(state))
        if state["StartedAt"] != self._first["StartedAt"]:
            raise ContainerDied(f"running, but has restarted meanwhile ({state['RestartCount']} restarts)")

    @property
    def started(self) -> str:
        """When the container was started, as Docker writes it; empty before the first call of check_running."""
        return str(self._first.get("StartedAt", ""))

    def check_log(self) -> None:
        """Read the new lines of the log. Raise ContainerDied if they show that vLLM exits or has no head."""
        # The table of signatures takes longer to import than all else here, and a service that works needs none.
        from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis

        new = self._read()
        if any(diagnosis.is_end(line) for line in diagnosis.since_start(new)):
            time.sleep(SETTLE_SECONDS)
            self._read()
            raise ContainerDied("running, but vLLM in it has exited")
        without_head = diagnosis.is_without_head(new)
        self._alone = self._alone if without_head is None else without_head
        if self._alone:
            raise ContainerDied("running, but without a connection to the head")

    def timeline(self) -> list[dict[str, Any]]:
        """Return the stages of the start so far."""
        if not self._first:
            return []
        return vllm_log.timeline(self.lines, vllm_log.epoch(self._first["StartedAt"]))

    def findings(self) -> list[Finding]:
        """Return the findings in the log, the first cause first. Their host is empty."""
        from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis

        with contextlib.suppress(DockerError):  # what was read before still counts
            self._read()
        return diagnosis.sort_findings(diagnosis.findings("", self.lines))

    def tail(self) -> str:
        """Return the last lines of the log, indented."""
        return "\n".join(f"  {line.text}" for line in self.lines[-TAIL_LINES:])

    def _inspect(self) -> dict[str, Any]:
        container = Docker().container(self.name)
        if container is None:
            raise ContainerDied("not known to Docker: no such container")
        return {**container["State"], "RestartCount": container["RestartCount"]}

    def _read(self) -> list[Line]:
        if not self._first:
            return []
        since = self._seen or self._first["StartedAt"]
        log = Docker().log(self.name, LOG_LINES, since) or ""
        new, self._seen = vllm_log.docker_lines(log, self._seen)
        self.lines.extend(new)
        return new


def describe(state: dict[str, Any]) -> str:
    """Return the state of a container that does not run, in words."""
    killed = ", killed for lack of memory" if state["OOMKilled"] else ""
    error = f" ({state['Error']})" if state["Error"] else ""
    return f"{state['Status']}, exit code {state['ExitCode']}{killed}{error}"
