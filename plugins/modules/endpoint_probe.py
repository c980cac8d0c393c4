#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_probe
short_description: Prove that an OpenAI-compatible endpoint of vLLM works
description:
  - Makes the requests that users make and checks the answers. C(/health) alone proves nothing, because vLLM
    keeps answering with status 200 there when an engine is gone.
  - Some of what an answer shows is decided by the model, such as whether it calls a tool. Such a check is made
    up to three times. If the model never does it, the task warns, unless O(strict).
  - If the service refuses a request with status 503 because it is overloaded, the request is repeated for up to a minute.
  - Reports all failed checks in one message.
  - To wait for a service that starts, see M(ascend_ops.vllm.service_ready).
version_added: 0.1.0
options:
  url:
    description: Base URL of the endpoint, without C(/v1). Proxies of the environment are not used.
    type: str
    required: true
  model:
    description: Name under which the model is served.
    type: str
    required: true
  api_key:
    description: API key of the endpoint, if it requires one.
    type: str
  checks:
    description:
      - The checks to make; all if not given.
      - "V(health): C(/health) answers with status 200. All other checks need this, so it is always made
        first."
      - "V(models): the model is listed under its name."
      - "V(completion): each of O(engines) engines answers, by its counter in C(/metrics)."
      - "V(knows): each of O(engines) engines gives the right answer to an easy question. One that computes
        wrongly still answers, but with something else."
      - "V(chat): an answer has content, no markup and no loop. If the model is still thinking at the end of its
        tokens, the check passes and says so."
      - "V(reasoning): the thinking of the same answer is in its own field, C(reasoning) or
        C(reasoning_content)."
      - "V(streaming): an answer arrives as events. It is measured."
      - "V(thinking_off): an answer has content and no thinking, if the request turns thinking off."
      - "V(tool_call), V(tool_call_no_arguments): a call is parsed, and its arguments match the tool's
        schema."
      - "V(tool_call_streamed), V(tool_call_no_arguments_streamed): the same as a stream, which vLLM parses in
        another way."
      - "V(wrong_model): a request for a model that is not served gets status 404."
      - "V(key_refused): a request without the API key gets status 401. Only made with O(api_key)."
    type: list
    elements: str
    choices:
      - health
      - models
      - completion
      - knows
      - chat
      - streaming
      - reasoning
      - thinking_off
      - tool_call
      - tool_call_no_arguments
      - tool_call_streamed
      - tool_call_no_arguments_streamed
      - wrong_model
      - key_refused
  engines:
    description: Number of data parallel engines that must each answer.
    type: int
    default: 1
  requests:
    description:
      - What the checks V(completion), V(knows), V(chat), V(streaming), V(thinking_off), V(tool_call) and
        V(tool_call_no_arguments) send and expect, by the name of the check. V(reasoning) uses that of
        V(chat). The defaults suit any chat model.
      - "C(request): keys of the body of C(/v1/chat/completions) that replace the default ones, such as
        C(messages), C(max_tokens), C(tools) or C(chat_template_kwargs). C(max_tokens) is lowered to what
        the served length leaves."
      - "C(expect): exact C(content) and C(reasoning) of an answer, C(contains), a part of its text in upper or
        lower case, or C(name) and C(arguments) of a call. Without them, only the form is checked."
    type: dict
    default: {}
  timeout:
    description:
      - Seconds without a token after which an answer counts as failed. An answer that is not streamed gets one
        second more for each of its C(max_tokens).
      - A stream that is longer than ten minutes is closed, and what has arrived is checked.
    type: int
    default: 120
  first_timeout:
    description:
      - The same as O(timeout), as long as an engine has not answered anyone since it was started. It may compile its
        kernels then, which takes minutes.
    type: int
    default: 600
  strict:
    description: Whether to fail where the task otherwise warns of what the model decided.
    type: bool
    default: false
  record:
    description:
      - Absolute path in O(container) of a file that records that all checks have passed since the container
        was started. If it does, only V(health), V(models), V(knows), V(wrong_model) and V(key_refused) are
        made. If not, all checks are made and, once they have passed, the file is written.
      - A container that starts again, other O(checks) or other O(requests) make the record invalid.
    type: path
  container:
    description:
      - Name of the service's Docker container on this host. It must run.
      - If a check fails, the first finding in its log is reported too.
    type: str
requirements:
  - requests (Python library) on the host that runs the module
  - Docker there, if O(container) is given
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.service_ready
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.docker
attributes:
  check_mode:
    details:
      - Makes the same checks. Where the task would fail it is skipped, with the message, because a real run
        may start or change the service before.
"""

EXAMPLES = r"""
- name: Assert that the service works on both engines
  ascend_ops.vllm.endpoint_probe:
    url: http://192.0.2.10:8080
    model: glm47
    engines: 2

- name: Assert from the controller that the model answers, and only with the API key
  delegate_to: localhost
  ascend_ops.vllm.endpoint_probe:
    url: https://llm.example.com
    model: glm47
    api_key: "{{ vault_llm_api_key }}"
    checks: [chat, key_refused]
    requests:
      chat:
        request:
          messages:
            - role: user
              content: Who are you? Answer with your name only.
"""

RETURN = r"""
checks:
  description: The result of each check.
  returned: when the endpoint was asked
  type: dict
  sample:
    health: {ok: true, detail: HTTP status 200, seconds: 0.004}
    tool_call: {ok: true, detail: 'get_weather({"city": "Oslo"})', seconds: 1.9}
light:
  description: Whether only the light checks were made, because all had passed before. See O(record).
  returned: when the endpoint was asked
  type: bool
warned:
  description: Problems of which the task only warns, because the model decided them.
  returned: when the endpoint was asked
  type: list
  elements: dict
engines:
  description: How many requests each engine has answered meanwhile, by its data parallel rank.
  returned: with the check V(completion)
  type: dict
  sample: {"0": 3, "1": 4}
ttft:
  description: Seconds from the request to the first token, while this module makes no other request.
  returned: with the check V(streaming)
  type: float
tokens_per_second:
  description: Tokens per second of one stream after its first token.
  returned: with the check V(streaming)
  type: float
gap_p50:
  description: Median of the seconds between two chunks of the stream.
  returned: with the check V(streaming)
  type: float
gap_p99:
  description: 99th percentile of the seconds between two chunks of the stream.
  returned: with the check V(streaming)
  type: float
answer:
  description: The answer to the request of the check V(chat).
  returned: with the checks V(chat) or V(reasoning)
  type: dict
  contains:
    reasoning:
      description: The thinking.
      type: str
    content:
      description: The answer itself.
      type: str
problem:
  description: What was found, what was expected, the remedy, and where.
  returned: on failure
  type: dict
problems:
  description: The same for each failed check. Checks that found the same share one.
  returned: when a check failed
  type: list
  elements: dict
findings:
  description: The findings in the container's log, as M(ascend_ops.vllm.service_ready) returns them.
  returned: on failure, with O(container)
  type: list
  elements: dict
"""

import hashlib
import json
import posixpath
import tarfile
from typing import Any, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker, DockerError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure, listed
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, endpoint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import Request
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.checks import Outcome
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.container_watch import (
    ContainerDied,
    ContainerWatch,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.probe import probe


def problem_of_container(watch: ContainerWatch) -> Problem | None:
    """Return the problem of a container that does not run. Raises DockerError."""
    try:
        watch.check_running()
    except ContainerDied as reason:
        remedy = f"Start the service, or look at the log (`docker logs {watch.name}`)"
        return Problem(str(reason), "it runs and serves", remedy, f"container {watch.name}")
    return None


class Record:
    """The file in the container which says that all checks have passed since the container was started.

    It holds a digest of the container's start, and of what was checked. Without *path* there is none.
    """

    def __init__(self, watch: ContainerWatch | None, path: str | None, params: dict[str, Any]) -> None:
        self._name, self._path = watch.name if watch else "", path if watch else None
        checked = [
            watch.started if watch else "",
            *(params[key] for key in ("checks", "requests", "engines")),
        ]
        self._digest = hashlib.sha256(json.dumps(checked, sort_keys=True).encode()).hexdigest().encode()

    def is_valid(self) -> bool:
        """Return whether the file has the digest. Raises DockerError."""
        found = Docker().read_file(self._name, self._path) if self._path else None
        return found is not None and found[1] == self._digest

    def write(self) -> None:
        """Write the file. Raises DockerError."""
        if self._path:
            folder, name = posixpath.split(self._path)
            Docker().write_files(self._name, folder, [(tarfile.TarInfo(name), self._digest)])


def chosen(params: dict[str, Any], light: bool) -> list[str]:
    """Return the names of the checks to make."""
    names = [name for name in checks.CHECKS if name in (params["checks"] or checks.CHECKS)]
    if not params["api_key"]:
        names = [name for name in names if name != "key_refused"]
    return [name for name in names if name in checks.LIGHT] if light else names


def make_checks(
    client: endpoint.Client, params: dict[str, Any], names: Sequence[str]
) -> tuple[dict[str, Outcome], dict[str, Any]]:
    """Return the outcome of each check, and facts from the answers. All others need that of `health`."""
    model = params["model"]
    health = checks.outcome("health", client.health(), checks.case("health", model, {}))
    if health.problem:
        return {"health": health}, {}
    room = checks.room(client.ask(Request("/v1/models")), model)
    prompts = checks.prompts(params["requests"])
    cases = {name: checks.case(name, model, prompts, room) for name in names}
    return probe(client, cases, params["engines"])


def examine(
    record: Record, params: dict[str, Any], check_mode: bool
) -> tuple[list[Problem], list[Problem], dict[str, Any]]:
    """Make the checks. Return problems, those that only warn, and facts. Raises DockerError.

    If all checks have passed before, only the light ones are made. If all pass now, the record says so.
    """
    client = endpoint.Client(
        params["url"], params["api_key"], params["timeout"], first=params["first_timeout"]
    )
    light = record.is_valid()
    outcomes, facts = make_checks(client, params, chosen(params, light))
    problems, warned = checks.problems(outcomes), checks.problems(outcomes, warning=True)
    if not (light or problems or warned or check_mode):
        record.write()
    facts["checks"] = {
        name: {"ok": not result.problem, "detail": result.detail, "seconds": round(result.seconds, 3)}
        for name, result in outcomes.items()
    }
    facts.update(light=light, warned=[problem.data() for problem in warned])
    return problems, warned, facts


def require_valid(module: AnsibleModule) -> None:
    """Fail if options have values that their types do not exclude."""
    errors = checks.prompt_errors(module.params["requests"])
    if module.params["engines"] < 1:
        errors.append(f"engines is {module.params['engines']}, expected at least 1")
    if errors:
        module.fail_json(msg="; ".join(errors))


def fail(module: AnsibleModule, watch: ContainerWatch | None, problems: list[Problem], **facts: Any) -> None:
    """Fail with the problems and the first finding in the container's log."""
    lines = [f"{module.params['url']} does not work as expected:", listed(problems)]
    if watch:
        findings = watch.findings()
        facts["findings"] = [finding.data() for finding in findings]
        lines += [f"In the container's log: {finding}" for finding in findings[:1]]
    endpoint.fail(module, "\n".join(lines), problems=[problem.data() for problem in problems], **facts)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "model": {"type": "str", "required": True},
            "api_key": {"type": "str", "no_log": True},
            "checks": {"type": "list", "elements": "str", "choices": list(checks.CHECKS)},
            "engines": {"type": "int", "default": 1},
            "requests": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 120},
            "first_timeout": {"type": "int", "default": 600},
            "strict": {"type": "bool", "default": False},
            "record": {"type": "path"},
            "container": {"type": "str"},
        },
        required_by={"record": ["container"]},
        supports_check_mode=True,
    )
    endpoint.require_requests(module)
    require_valid(module)
    params = module.params
    watch = ContainerWatch(params["container"]) if params["container"] else None
    try:
        dead = problem_of_container(watch) if watch else None
        if dead:
            fail(module, watch, [dead])
        problems, warned, facts = examine(Record(watch, params["record"], params), params, module.check_mode)
    except DockerError as error:
        module.fail_json(**failure(error.problem))
    if params["strict"]:
        problems += warned
    if problems:
        fail(module, watch, problems, **facts)
    for problem in warned:
        module.warn(problem.line())
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
