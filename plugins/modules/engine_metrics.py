#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_metrics
short_description: Gather the load of the engines of a vLLM service
description:
  - Reads C(/metrics) of the endpoint twice, and returns queue, cache and throughput of each data parallel engine.
  - Does not fail if the endpoint does not answer.
version_added: 0.1.0
options:
  url:
    description: Base URL of the endpoint, without C(/v1). Proxies of the environment are not used.
    type: str
    required: true
  seconds:
    description: Seconds between the two readings, over which the throughput is measured.
    type: float
    default: 2.0
requirements:
  - requests (Python library) on the host that runs the module
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Gather the engines' load
  ascend_ops.vllm.engine_metrics:
    url: http://192.0.2.10:8080
"""

RETURN = r"""
answers:
  description: Whether the endpoint answered.
  returned: always
  type: bool
error:
  description: Why it did not answer.
  returned: when it did not answer
  type: str
engines:
  description: The engines, by rank. A value that the endpoint does not report is null.
  returned: always
  type: list
  elements: dict
  sample:
    - engine: 0
      running: 3.0
      waiting: 0.0
      kv_cache_used: 0.12
      prompt_tokens_per_second: 812.0
      generated_tokens_per_second: 96.5
      requests: 1024.0
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, endpoint, metrics


def read(client: endpoint.Client) -> str:
    """Return the text of /metrics, or raise ProblemError."""
    answer = client.metrics()
    checks.require_success(answer, "status 200 of /metrics")
    return answer.text


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "seconds": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    endpoint.require_requests(module)
    seconds = module.params["seconds"]
    if seconds <= 0:
        module.fail_json(msg=f"seconds is {seconds}, expected more than 0.")
    client = endpoint.Client(module.params["url"])
    try:
        before, began = read(client), time.monotonic()
        time.sleep(seconds)
        engines = metrics.engines(before, read(client), time.monotonic() - began)
    except ProblemError as error:
        module.exit_json(changed=False, answers=False, error=error.problem.found, engines=[])
    module.exit_json(changed=False, answers=True, engines=engines)


if __name__ == "__main__":
    main()
