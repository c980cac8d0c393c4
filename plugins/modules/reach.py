#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: reach
short_description: Let the hosts of a vLLM service call and ping each other
description:
  - From each host, opens a TCP connection to every port where M(ascend_ops.vllm.peer_listener) listens on another host of the play.
  - Pings the RoCE ports of other hosts from its own, where both have a link and an address.
  - Only asks; M(ascend_ops.vllm.preflight_check) judges the answers.
version_added: 0.1.0
options:
  pings:
    description:
      - V(quick) pings from each chip the one in its place on the next host, the last host's next being the first.
      - V(full) pings from each chip every chip of every other host, one after the other, which takes its time.
    type: str
    choices: [quick, full]
    default: quick
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.peer_listener
  - module: ascend_ops.vllm.peer_probe
  - module: ascend_ops.vllm.preflight_check
notes:
  - Needs the facts C(vllm_plan) and C(vllm_host_facts) of M(ascend_ops.vllm.plan), C(vllm_npu) of M(ascend_ops.vllm.npu_facts) and C(vllm_listener) of
    M(ascend_ops.vllm.peer_listener) on each host of the play.
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: Has nothing to show a difference of.
    support: none
"""

EXAMPLES = r"""
- name: The hosts have called each other
  ascend_ops.vllm.reach:
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_peers:
      description: What came of it, as M(ascend_ops.vllm.peer_probe) returns it.
      type: dict
"""
