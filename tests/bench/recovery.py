# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon the service on the lab is seen to fail, names the cause and answers again, for each fault, with default settings.

The lab must be up. BENCH_ROUNDS (5) is how often each fault is made, and BENCH_FAULTS names those to make. Prints a table in Markdown.
"""

from __future__ import annotations

import http.client
import os
import re
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lab import CONTAINER, INVENTORY, NODES, count_failures, lab, on, playbook, shell
from polling import wait_until
from test_recovery import PATIENCE, QUESTION, answers, docker_crashes, engine_pid, post, started

HEAD, WORKER = NODES
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CLIENT_PATIENCE = 10  # seconds after which a client calls a request failed
PAUSE = 0.25  # between two requests
STEADY_SECONDS = 10  # the service is back once no request has failed for so long
REASON = re.compile(r"^(\S+) \[supervisor\] stopping: (.*)$", re.MULTILINE)


class Client:
    """Asks for a short answer, again and again, and remembers when which requests failed."""

    def __init__(self) -> None:
        self.failed: list[float] = []
        self.answered: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(PAUSE):
            try:
                answer = post({**QUESTION, "max_tokens": 1}, CLIENT_PATIENCE)
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                good = False
            (self.answered if good else self.failed).append(time.time())

    def is_back(self) -> bool:
        """Tell whether requests have failed, and none has for a while."""
        failed, answered = self.failed[-1:], self.answered[-1:]
        return bool(failed and answered) and answered[0] - failed[0] > STEADY_SECONDS


def reasons(node: str, begin: float) -> list[tuple[float, str]]:
    """Return when the supervisor of this host gave a reason to stop since *begin*, and which."""
    since = datetime.fromtimestamp(begin, UTC).isoformat()
    log = shell(node, f'docker logs --timestamps --since "$0" {CONTAINER} 2>&1', since)
    return [
        (datetime.fromisoformat(f"{stamp[:26]}+00:00").timestamp(), reason)
        for stamp, reason in REASON.findall(log)
    ]


def power_cut(*nodes: str) -> None:
    for node in nodes:
        lab("reboot", node)


def cable_pulled() -> None:
    """Pull the worker's cable for longer than the grace period."""
    before = started(HEAD)
    lab("link", WORKER, "down")
    wait_until(lambda: started(HEAD) != before, PATIENCE, "the head ends the generation")
    lab("link", WORKER, "up")


def docker_crash() -> None:
    """Docker crashes on the worker, and the operator runs start.yml as soon as the container has ended."""
    docker_crashes(WORKER)
    wait_until(lambda: started(WORKER).split()[1:] == ["false"], PATIENCE, "the container has ended")
    playbook("playbooks/start.yml", *INVENTORY).succeeded()


FAULTS: dict[str, Callable[[], object]] = {
    "an engine is killed": lambda: on(WORKER, "kill", "-9", engine_pid(WORKER)),
    "an engine hangs": lambda: on(WORKER, "kill", "-STOP", engine_pid(WORKER)),
    "a worker's container is killed": lambda: on(WORKER, "pkill", "-9", "-f", "ascend-ops-supervise --rank=1"),
    "the head's container is killed": lambda: on(HEAD, "pkill", "-9", "-f", "ascend-ops-supervise --rank=0"),
    "a worker loses power": lambda: power_cut(WORKER),
    "both hosts lose power": lambda: power_cut(*NODES),
    "a worker's cable is pulled until the service stops": cable_pulled,
    "Docker is restarted on the head": lambda: on(HEAD, "systemctl", "restart", "docker"),
    "Docker crashes on a worker, then start.yml": docker_crash,
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Seconds from the fault to the first failed request, to the line that names the cause, and to the first answer after it."""

    error: float
    named: float | None
    answer: float
    reason: str


def measure(fault: Callable[[], object]) -> Outcome:
    """Make a fault in a service that is asked all the time."""
    wait_until(answers, PATIENCE, "the service answers")
    count_failures(HEAD, 0)
    with Client() as client:
        time.sleep(2)
        if client.failed:
            raise SystemExit("requests fail before the fault")
        begin = time.time()
        fault()
        wait_until(client.is_back, PATIENCE, "the service is back")
    named = min((one for node in NODES for one in reasons(node, begin)), default=(None, ""))
    return Outcome(
        error=client.failed[0] - begin,
        named=named[0] and named[0] - begin,
        answer=next(moment for moment in client.answered if moment > client.failed[-1]) - begin,
        reason=named[1],
    )


def show(seconds: list[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{statistics.median(known):.1f}" if len(known) == len(seconds) else "-"


def main() -> None:
    playbook("site.yml", *INVENTORY).succeeded()
    chosen = os.environ.get("BENCH_FAULTS")
    print(f"{os.cpu_count()} processors, median of {ROUNDS}, in seconds\n")
    print(
        "| fault | first error | named | answers again | reason in the log |\n|---|---|---|---|---|",
        flush=True,
    )
    for name, fault in FAULTS.items():
        if chosen and name not in chosen.split(","):
            continue
        outcomes = [measure(fault) for _round in range(ROUNDS)]
        columns = (
            show([getattr(one, column) for one in outcomes]) for column in ("error", "named", "answer")
        )
        said = " / ".join(sorted({one.reason for one in outcomes if one.reason}))
        print(f"| {name} | {' | '.join(columns)} | {said} |", flush=True)


if __name__ == "__main__":
    main()
