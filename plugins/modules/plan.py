#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: plan
short_description: Turn inventory and model profile into the plan of a vLLM service
description:
  - Reads the groups C(vllm_head) (exactly one host) and C(vllm_workers) (none or more), the profile that the variable
    C(vllm_profile) names (default C(glm-4.7)) and every C(vllm_KEY) variable that overrides its top-level key C(KEY).
  - On a host of these groups it sets the facts C(vllm_plan), the only thing the roles read, and C(vllm_host_facts), what was found on the host.
  - On any other host, C(localhost) say, it only judges the inventory.
  - All that is wrong with the inventory is reported in one message, before anything is changed.
version_added: 0.1.0
options:
  offline:
    description: Contact no host. Then C(vllm_service_nic) must be set for each host, and C(vllm_host_facts) is not.
    type: bool
    default: false
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - "Variables of a host: C(vllm_service_ip), its address in the service network (default C(ansible_host)), and
    C(vllm_service_nic), the NIC that carries it (default: found on the host)."
  - Variables from a survey arrive as strings; numbers, and lists and mappings written as JSON, are accepted so.
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: Has nothing to show a difference of.
    support: none
"""

EXAMPLES = r"""
- name: The inventory makes sense
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Exactly one head, real addresses, values that fit together
      ascend_ops.vllm.plan:

- name: The plan of each host
  hosts: vllm_head:vllm_workers
  gather_facts: false
  tasks:
    - name: The plan is made
      ascend_ops.vllm.plan:
    - name: It can be looked at
      ansible.builtin.debug:
        var: ansible_facts.vllm_plan
"""

RETURN = r"""
hosts:
  description: The hosts of the service, head first; on a host outside of it.
  returned: on a host outside the service
  type: list
  elements: str
  sample: [node0, node1]
ansible_facts:
  description: The facts of a host of the service.
  returned: on a host of the service
  type: dict
  contains:
    vllm_plan:
      description:
        - The host's part of the service.
        - C(role) is C(head) or C(worker); C(hosts) are all inventory names, head first; C(url) is the endpoint; C(serve) holds the environment and the flags
          of C(vllm serve); C(container), C(model), C(npu) and C(data_parallel) what their names say.
      type: dict
    vllm_host_facts:
      description: What M(ascend_ops.vllm.host_facts) found.
      type: dict
"""
