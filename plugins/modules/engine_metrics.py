#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_metrics
short_description: Read what the engines of a vLLM service are doing
description:
  - Reads C(/metrics) of the endpoint twice and returns queue, cache and throughput of each data parallel engine.
  - An endpoint that does not answer is a result, not a failure.
options:
  url:
    description: Base URL of the endpoint, without C(/v1). Proxies of the environment are not used.
    type: str
    required: true
  seconds:
    description: Time between the two readings, over which the throughput is measured.
    type: float
    default: 2.0
requirements:
  - requests (Python library) on the host that runs the module
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The engines' load is known
  ascend_ops.vllm.engine_metrics:
    url: http://192.0.2.10:8080
"""

RETURN = r"""
answers:
  description: Whether the endpoint answered.
  returned: always
  type: bool
error:
  description: Why it did not.
  returned: when it did not
  type: str
engines:
  description: The engines by rank; a value that the endpoint does not give is null.
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
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import metrics

try:
    import requests

    REQUESTS_ERROR = None
except ImportError:
    REQUESTS_ERROR = traceback.format_exc()

TIMEOUT = 5


def read(session, url):
    response = session.get(url.rstrip("/") + "/metrics", timeout=TIMEOUT)
    response.raise_for_status()
    return response.text


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "seconds": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    if REQUESTS_ERROR:
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)
    url, seconds = module.params["url"], module.params["seconds"]
    if seconds <= 0:
        module.fail_json(msg=f"seconds is {seconds}, wanted more than 0.")
    session = requests.Session()
    session.trust_env = False
    try:
        before, began = read(session, url), time.monotonic()
        time.sleep(seconds)
        engines = metrics.engines(before, read(session, url), time.monotonic() - began)
    except requests.RequestException as error:
        module.exit_json(changed=False, answers=False, error=f"{type(error).__name__}: {error}", engines=[])
    module.exit_json(changed=False, answers=True, engines=engines)


if __name__ == "__main__":
    main()
