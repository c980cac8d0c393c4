#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: smoke_test_check
short_description: Check what the smoke test of NPUs and network has printed
version_added: 0.1.0
description:
  - The entry point C(smoke_test) of P(ascend_ops.vllm.container#role) runs a program in a temporary container on each host of
    the service at the same time. It adds two tensors on each NPU, and then does an all-reduce and an all-to-all
    over the NPUs of all hosts.
  - This reads the results of all hosts, and finds the first cause of a failure as M(ascend_ops.vllm.log_diagnosis)
    does.
  - Runs once for all hosts, on the controller.
options:
  accept:
    description:
      - Ids of findings that only warn, V(smoke_npus) or V(smoke_collective). Those of other checks are ignored.
      - A variable C(preflight_accept) of a host counts for that host instead.
      - An id that does not exist is an error.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - Needs the fact C(vllm_plan) of M(ascend_ops.vllm.plan), and C(vllm_records) of M(ascend_ops.vllm.service_records) about
    the temporary container, on each host of the play.
seealso:
  - module: ascend_ops.vllm.preflight_check
  - module: ascend_ops.vllm.log_diagnosis
"""

EXAMPLES = r"""
- name: Gather what the smoke test has printed
  ascend_ops.vllm.service_records:
    container: vllm-ascend-v0.13.0rc1-npu-test

- name: Assert that the NPUs of all hosts compute together
  ascend_ops.vllm.smoke_test_check:
    accept: "{{ preflight_accept | default([]) }}"
"""

RETURN = r"""
findings:
  description: All findings. A part that could not run is a warning, one that failed is a failure.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: V(smoke_npus) or V(smoke_collective).
      type: str
      sample: smoke_collective
    severity:
      description: V(fail) or V(warn).
      type: str
      sample: fail
    host:
      description: Inventory name of the host, for V(smoke_collective) that of the first cause.
      type: str
      sample: node1
    accepted:
      description: Whether O(accept) made it a warning.
      type: bool
      sample: false
    found:
      description: What was found.
      type: str
      sample: "the smoke test (NPUs) failed: NPU 3: RuntimeError: SetDevice, error code is 507033"
    expected:
      description: What was expected.
      type: str
      sample: each NPU of vllm_npu_ids adds two tensors in the container
    remedy:
      description: What to do about it.
      type: str
      sample: Check which processes use the card
"""
