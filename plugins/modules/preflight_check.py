#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: preflight_check
short_description: Check whether the hosts can run a vLLM service
version_added: 0.1.0
description:
  - Compares the facts of all hosts of the play with what their plans need, and returns all findings on all
    hosts at once.
  - Runs once for all hosts, on the controller.
  - "Checks on each host: whether the driver works; the versions of driver and firmware, their
    compatibility, and a pending reboot; number, name, health and HBM of the chips, whether the model fits on
    them, and other users of them;
    device nodes and sources of mounts; the NIC of the service address; free ports; the Docker daemon;
    memory, and free disk space for image and weights."
  - "Checks also, if the service has several hosts: links, health, addresses, netmasks and TLS of the RoCE
    ports, and the switch behind them; clocks, kernels and proxies; the address of the host's own name."
  - Also checks the results of M(ascend_ops.vllm.peer_probe) and M(ascend_ops.vllm.image_versions), if these
    have run.
  - Ports and chips in use by the service itself are no finding.
options:
  accept:
    description:
      - Ids of findings that only warn, and say so.
      - A variable C(preflight_accept) of a host counts for that host instead.
      - An id that does not exist is an error.
    type: list
    elements: str
    default: []
  allow_newer:
    description: Only warn if a driver or firmware package is newer than the plan's. An older one always
      fails.
    type: bool
    default: false
  on_failure:
    description: What to do about failures. With V(report), the task succeeds, prints nothing, and returns
      the findings.
    type: str
    choices: [fail, report]
    default: fail
  weights:
    description:
      - For each host whose weights were checked, the problem with C(found), C(expected) and C(remedy),
        empty if there is none.
    type: dict
    default: {}
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - Needs the facts C(vllm_plan) and C(vllm_host_facts) of M(ascend_ops.vllm.plan) and C(vllm_npu) of
    M(ascend_ops.vllm.npu_facts) on each host of the play.
seealso:
  - module: ascend_ops.vllm.plan
  - module: ascend_ops.vllm.npu_facts
"""

EXAMPLES = r"""
- name: Check the hosts of a service
  hosts: vllm_head:vllm_workers
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Gather host facts and compute the plan
      ascend_ops.vllm.plan:

    - name: Gather NPU facts
      ascend_ops.vllm.npu_facts:
        on_error: report

    - name: Assert that every host can run the service
      ascend_ops.vllm.preflight_check:
"""

RETURN = r"""
findings:
  description: All findings, in the order of the hosts.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the check.
      type: str
      sample: roce_net_health
    severity:
      description: V(fail) or V(warn).
      type: str
      sample: warn
    host:
      description: Inventory name of the host.
      type: str
      sample: node1
    accepted:
      description: Whether O(accept) made it a warning.
      type: bool
      sample: false
    found:
      description: What was found.
      type: str
      sample: net health Init (port 1)
    expected:
      description: What was expected.
      type: str
      sample: Success
    remedy:
      description: What to do about it.
      type: str
      sample: Find out why the port does not reach the address that it watches
checks:
  description: All checks by id, each with V(ok), V(warn) or V(fail) for each host; null if it does not
    apply or has no data.
  returned: on success, and with O(on_failure=report)
  type: dict
  sample: {roce_net_health: {node0: ok, node1: warn}}
msg:
  description: The findings as text, or what the hosts have if there is no failure.
  returned: always
  type: str
  sample: "node0, node1: ready, each with 8 x 910B2, driver 25.2.1, firmware 25.2.1, all RoCE links up"
"""
