#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: preflight_check
short_description: Judge whether the hosts are fit for a vLLM service
description:
  - Holds what was found on all hosts of the play against what their plans want, and tells all that is wrong with any of them at once.
  - Runs once for all hosts, on the controller.
  - "Judges, of each host: the driver and whether it works; the versions of driver and firmware, whether they fit each other, and whether
    they wait for a reboot; number, name, health and HBM of the chips, and whether something else uses them; device nodes and sources of
    mounts; the NIC of the service address; free ports; the Docker daemon; memory, and free disk for image and weights."
  - "Of hosts that serve together also: links, health, addresses, netmasks and TLS of the RoCE ports, and the switch behind them; clocks, kernels,
    proxies, and what the host's own name resolves to."
  - What came of M(ascend_ops.vllm.reach) and M(ascend_ops.vllm.image_versions), where they ran before.
  - What the service itself holds, its ports and chips while its container runs, is in order.
version_added: 0.1.0
options:
  allow_newer:
    description: Only warn about a driver or firmware package that is newer than the plan's. Any other difference is an error always.
    type: bool
    default: false
  on_failure:
    description: What to do about hosts that are not fit. With V(report) the task succeeds, prints nothing, and returns what was found.
    type: str
    choices: [fail, report]
    default: fail
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.plan
  - module: ascend_ops.vllm.npu_facts
notes:
  - Needs the facts C(vllm_plan) and C(vllm_host_facts) of M(ascend_ops.vllm.plan) and C(vllm_npu) of M(ascend_ops.vllm.npu_facts) on each host of the play.
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: Has nothing to show a difference of.
    support: none
"""

EXAMPLES = r"""
- name: The hosts can serve
  hosts: vllm_head:vllm_workers
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: The plan of each host is made
      ascend_ops.vllm.plan:
    - name: The NPUs are known
      ascend_ops.vllm.npu_facts:
        on_error: report
    - name: Every host is fit for the service
      ascend_ops.vllm.preflight_check:
"""

RETURN = r"""
findings:
  description: All that is wrong, in the order of the hosts, also when the task fails.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: What was judged.
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
    found:
      description: What was found.
      type: str
      sample: net health Init (port 1)
    wanted:
      description: What was wanted.
      type: str
      sample: Success
    remedy:
      description: What to do about it.
      type: str
      sample: See why the port does not reach the address it watches.
checks:
  description: All that is judged, each with V(ok), V(warn) or V(fail) for each host, and null for what could not be judged or need not be.
  returned: on success, and with O(on_failure=report)
  type: dict
  sample: {roce_net_health: {node0: ok, node1: warn}}
msg:
  description: What the hosts have, if they are fit; otherwise all that is wrong, in paragraphs.
  returned: always
  type: str
  sample: "node0, node1: fit, each with 8 x 910B2, driver 25.2.1, firmware 25.2.1, all RoCE links up"
"""
