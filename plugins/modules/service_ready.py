#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_ready
short_description: Wait until a vLLM service is ready
description:
  - Waits until C(/health) of the endpoint answers with status 200. Meanwhile, prints the stage of the start
    on each host.
  - Fails within seconds when the container on this host dies, or when another host of the task fails.
    The message names the first cause over all hosts.
  - A service that is ready is not proven to work. For that, see M(ascend_ops.vllm.endpoint_probe).
version_added: 0.1.0
options:
  url:
    description: Base URL of the endpoint, without C(/v1). Proxies of the environment are not used.
    type: str
    required: true
  container:
    description:
      - Name of the service's Docker container on this host. The module reads its state and its log.
      - On a host whose vLLM has no API, O(url) is that of the head, and O(container) the one on
        this host.
    type: str
  timeout:
    description:
      - Seconds until the endpoint must be ready. V(0) does not wait.
      - After that, the wait continues as long as a host of the task makes progress, for example by reading another file of
        the weights. It ends after as many seconds without progress, at most 900.
    type: int
    default: 3600
  since:
    description:
      - When O(container) was started, as RV(started) of an earlier call returned it. If it has started again
        since then, it counts as dead, and its log is read from that time on.
    type: str
requirements:
  - requests (Python library) on the host that runs the module
  - Docker there, if O(container) is given
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.endpoint_probe
  - module: ascend_ops.vllm.log_diagnosis
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.docker
attributes:
  check_mode:
    details:
      - Does not wait. Where the task would fail it is skipped, with the message, because a real run may start
        or change the service before.
"""

EXAMPLES = r"""
- name: Wait until the service is ready
  ascend_ops.vllm.service_ready:
    url: http://192.0.2.10:8080
    container: vllm-ascend-v0.13.0rc1
    timeout: 3600
"""

RETURN = r"""
ready:
  description: Whether C(/health) answered with status 200.
  returned: always
  type: bool
died:
  description: Whether the container does not run, or vLLM in it has exited.
  returned: always
  type: bool
stage:
  description: Stage of the start, V(serving) if the endpoint is ready, null if unknown.
  returned: always
  type: str
  sample: weights
progress:
  description: The stage in words.
  returned: when it is not ready
  type: str
  sample: loading weights, 37% (34 of 92 files)
started:
  description: When the container was started, as Docker writes it. Empty if it does not exist.
  returned: with O(container)
  type: str
  sample: "2026-01-01T10:00:00.123456789Z"
timeline:
  description: The stages that the start has reached, from the container's log, with the seconds from its
    start.
  returned: with O(container), unless the endpoint was ready at once
  type: list
  elements: dict
  sample:
    - {stage: starting, title: "container started, Python and vLLM load", progress: "", seconds: 0.0}
    - {stage: weights, title: loading weights, progress: 100% (92 of 92 files), seconds: 41.3}
problem:
  description: What was found, what was expected, the remedy, and where.
  returned: on failure
  type: dict
findings:
  description: The findings in the container's log, the first cause first.
  returned: when the container died
  type: list
  elements: dict
  contains:
    id:
      description: Name of the signature.
      type: str
    severity:
      description: V(fatal), V(warning), or V(past) if the service was ready afterwards.
      type: str
    kind:
      description: >-
        V(cause), V(peer) (a trace of another host's failure), V(echo) (of a failure that an earlier line
        reports) or V(warning).
      type: str
    at:
      description: When the line was written, in seconds since 1970.
      type: float
    cause:
      description: What the line means.
      type: str
    remedy:
      description: What to do.
      type: str
    line:
      description: The line of the log.
      type: str
    source:
      description: Where the meaning of the line is documented.
      type: str
cause:
  description: The first of the findings over all hosts of the task, with its C(host).
  returned: when the service failed while the task waited, and a log has a finding
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import DockerError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import (
    Problem,
    ProblemError,
    failure,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, endpoint, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Answer
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.container_watch import (
    ContainerDied,
    ContainerWatch,
)

POLL_SECONDS = 0.5
CONNECT_SECONDS = 5  # so that a host that is gone does not delay what the container's log says


def wait_until_ready(client: endpoint.Client, watch: ContainerWatch | None, seconds: float) -> Answer:
    """Return the first answer of /health that is a success, or the last one when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        if watch:
            watch.check_running()
        answer = client.health(CONNECT_SECONDS)
        # The old log of a service that is ready at once does not matter.
        if watch and (watch.lines or answer.status != 200):
            watch.check_log()
        if answer.status == 200 or time.monotonic() >= deadline:
            return answer
        time.sleep(POLL_SECONDS)


def start_facts(watch: ContainerWatch | None) -> dict[str, Any]:
    """Return how far the start has come, by the container's log."""
    started = {"started": watch.started} if watch else {}
    timeline = watch.timeline() if watch else []
    if not timeline:
        return {"stage": None, "progress": "no answer yet", "timeline": [], **started}
    last = timeline[-1]
    progress = ", ".join(part for part in (last["title"], last["progress"]) if part)
    return {"stage": last["stage"], "progress": progress, "timeline": timeline, **started}


def fail_dead(module: AnsibleModule, watch: ContainerWatch, reason: ContainerDied) -> None:
    """Fail because of a container that died."""
    findings, facts = watch.findings(), start_facts(watch)
    found = f"container {watch.name} is {reason}; stage: {facts['progress']}"
    remedy = f"Look at its log (`docker logs {watch.name}`), in which no cause was found"
    details = f"Last lines of its log:\n{watch.tail()}" if watch.lines else ""
    if findings:
        found, remedy = f"{found}. Cause: {findings[0].cause}", findings[0].remedy
        details = f"Line: {findings[0].line}\n{details}"
    problem = Problem(found, "it runs and serves", remedy)
    endpoint.fail(
        module,
        f"{problem}\n{details}".rstrip(),
        problem=problem.data(),
        ready=False,
        died=True,
        findings=[dict(finding.data(), kind=finding.kind, at=finding.at) for finding in findings],
        **facts,
    )


def fail_not_ready(module: AnsibleModule, health: Problem, facts: dict[str, Any]) -> None:
    """Fail because of an endpoint that is not ready in time."""
    found = f"{module.params['url']} is not ready: {health.found}; stage: {facts['progress']}"
    remedy = vllm_log.remedy(facts["stage"]) if facts["stage"] else health.remedy
    problem = Problem(found, health.expected, remedy)
    endpoint.fail(module, **failure(problem, ready=False, died=False, **facts))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "container": {"type": "str"},
            "timeout": {"type": "int", "default": 3600},
            "since": {"type": "str"},
        },
        required_by={"since": ["container"]},
        supports_check_mode=True,
    )
    endpoint.require_requests(module)
    params = module.params
    watch = ContainerWatch(params["container"], params["since"]) if params["container"] else None
    try:
        answer = wait_until_ready(
            endpoint.Client(params["url"]), watch, 0 if module.check_mode else params["timeout"]
        )
    except ContainerDied as reason:
        if watch is None:  # nothing else raises it
            raise
        fail_dead(module, watch, reason)
    except DockerError as error:
        # No news of the container. The action asks again for a while.
        endpoint.fail(module, **failure(error.problem, ready=False, died=False, unread=True, stage=None))
    facts = start_facts(watch)
    try:
        checks.require_success(answer, "status 200 of /health")
    except ProblemError as error:
        fail_not_ready(module, error.problem, facts)
    result = {key: facts[key] for key in ("started", "timeline") if key in facts}
    if not (watch and watch.lines):
        del result["timeline"]
    module.exit_json(changed=False, ready=True, died=False, stage="serving", **result)


if __name__ == "__main__":
    main()
