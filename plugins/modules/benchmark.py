#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: benchmark
short_description: Measure the throughput of the endpoint at increasing concurrency
description:
  - Runs C(vllm bench serve) in the container of the head, with questions of random words, at 1, 2, 4 and more requests at
    a time, until the service generates no more tokens a second, or the time is over.
  - Nothing is downloaded. The API key is read in the container, and is in no argument.
  - The service keeps answering other clients, but more slowly.
version_added: 0.1.0
options:
  container:
    description: The container of the head.
    type: str
    required: true
  serve_script:
    description: The serve script in the container, which has the environment of the service.
    type: str
    required: true
  url:
    description: Base URL of the endpoint, without C(/v1).
    type: str
    required: true
  model:
    description: Name of the served model.
    type: str
    required: true
  tokenizer:
    description: Folder of the model in the container.
    type: str
    required: true
  minutes:
    description: Minutes after which the measurement ends.
    type: float
    default: 10.0
  input_tokens:
    description: Tokens of each question.
    type: int
    default: 1024
  output_tokens:
    description: Tokens of each answer.
    type: int
    default: 256
  max_concurrency:
    description: Maximum number of concurrent requests.
    type: int
    default: 256
  trust_remote_code:
    description: Whether code of the model's repository may run in the measuring process, as in the service.
    type: bool
    default: false
requirements:
  - The C(docker) command.
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
attributes:
  check_mode:
    details: Measures nothing.
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Measure the service
  ascend_ops.vllm.benchmark:
    container: vllm-ascend-v0.13.0rc1
    serve_script: /usr/local/bin/ascend-ops-serve
    url: http://192.0.2.10:8080
    model: glm47
    tokenizer: /opt/data/verification/models/GLM-4.7
    minutes: 5
"""

RETURN = r"""
levels:
  description: The levels, by requests at a time. Times are in milliseconds.
  returned: success, but in check mode
  type: list
  elements: dict
  sample:
    - concurrency: 4
      completed: 40
      failed: 0
      seconds: 52.1
      requests_per_second: 0.77
      output_tokens_per_second: 197.1
      total_tokens_per_second: 985.3
      ttft_ms: {p50: 310.0, p90: 401.2, p99: 455.1, mean: 322.0}
      tpot_ms: {p50: 18.9, p90: 20.1, p99: 21.0, mean: 19.0}
      itl_ms: {p50: 18.7, p90: 21.0, p99: 30.2, mean: 19.0}
      e2el_ms: {p50: 5130.0, p90: 5300.0, p99: 5400.0, mean: 5150.0}
load:
  description: What was asked of the service, the C(input tokens) and C(output tokens) of each request.
  returned: success, but in check mode
  type: dict
  sample: {input tokens: 1024, output tokens: 256}
ended:
  description: Why the measurement ended, V(no growth), V(time) or V(limit).
  returned: success, but in check mode
  type: str
problem:
  description: What was C(found), what was C(expected), and the C(remedy).
  returned: failure
  type: dict
"""

from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import benchmark


def measurement(module: AnsibleModule) -> benchmark.Measure:
    """Return a function that measures one level in the container."""
    params = module.params

    def measure(concurrency: int, requests: int, seconds: float) -> Mapping[str, Any]:
        tokens = (params["input_tokens"], params["output_tokens"])
        flags = benchmark.flags(
            params["url"], params["model"], params["tokenizer"], tokens, concurrency, requests
        )
        flags += ["--trust-remote-code"] if params["trust_remote_code"] else []
        command = ["docker", "exec", "--interactive", params["container"], "/bin/bash", "-s", "--"]
        command += [params["serve_script"], str(max(1, round(seconds))), *flags]
        code, output, errors = module.run_command(command, data=benchmark.SCRIPT)
        if code == benchmark.TIMED_OUT:
            raise benchmark.TimeOver
        if code == benchmark.IN_USE:
            raise ProblemError(
                f"another measurement runs in {params['container']}",
                "one at a time, as each would slow the other",
                "try again when it has ended: one whose Ansible run was interrupted continues until its time is over",
            )
        if code:
            raise ProblemError(
                f"`vllm bench serve` in {params['container']} ended with {code}: {_end(errors)}",
                "a measurement",
                "look whether the service runs (playbooks/status.yml)",
            )
        return benchmark.parsed(output)

    return measure


def _end(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "serve_script": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "model": {"type": "str", "required": True},
            "tokenizer": {"type": "str", "required": True, "no_log": False},
            "minutes": {"type": "float", "default": 10.0},
            "input_tokens": {"type": "int", "default": 1024, "no_log": False},
            "output_tokens": {"type": "int", "default": 256, "no_log": False},
            "max_concurrency": {"type": "int", "default": 256},
            "trust_remote_code": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    for name in ("minutes", "input_tokens", "output_tokens", "max_concurrency"):
        if module.params[name] <= 0:
            module.fail_json(msg=f"{name} is {module.params[name]}, expected more than 0.")
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        levels, ended = benchmark.sweep(
            measurement(module), 60 * module.params["minutes"], module.params["max_concurrency"]
        )
    except ProblemError as error:
        module.fail_json(**failure(error.problem))
    load = {f"{name} tokens": module.params[f"{name}_tokens"] for name in ("input", "output")}
    module.exit_json(changed=False, load=load, levels=levels, ended=ended)


if __name__ == "__main__":
    main()
