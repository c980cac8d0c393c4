#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: plan
short_description: Turn inventory and model profile into the plan of a vLLM service
description:
  - >-
    Merges the settings of the service from layers: C(profiles/defaults.yml), the release, the hardware, the
    model, and the variables C(vllm_*) of the inventory. C(ansible-doc -t role ascend_ops.vllm.plan) lists them.
  - >-
    On a host of the service it sets two facts, which the roles read. C(vllm_plan) is what should be, and
    C(vllm_host_facts) is what was found on the host.
  - On any other host, C(localhost) for example, it only checks the inventory, and the options of all roles.
  - All problems of the inventory are reported in one message, before anything is changed.
  - Variables of the play, of a role or of the task apply to all hosts of the service.
version_added: 0.1.0
options:
  lint:
    description:
      - What to do about the findings of the check against the release (C(profiles/releases.yml)), if the host is
        outside of the service, or O(reuse=false).
      - With V(warn), what the release refuses is an error, and each setting that does not do what it seems to is
        a warning. Notes are only counted.
      - With V(report), the findings of all hosts are returned, and nothing else is done. Addresses may be missing.
      - Ids in the variable C(preflight_accept) of a host make a failure a warning, and a warning a note.
    type: str
    choices: [warn, report]
    default: warn
  offline:
    description: Contact no host. C(vllm_service_nic) must be set then. C(vllm_host_facts) is not gathered.
    type: bool
    default: false
  reuse:
    description:
      - >-
        Keep the plan and the facts of the host that this run of Ansible has gathered, if the plan would come
        out the same. The task is skipped then.
      - A plan of an earlier run, from a fact cache, is never kept.
    type: bool
    default: false
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - >-
    The role P(ascend_ops.vllm.plan#role) runs it, and all roles depend on that one. Run the module to check
    an inventory, or to gather the facts again.
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
"""

EXAMPLES = r"""
- name: Check the inventory
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Assert exactly one head, real addresses, and values that fit together
      ascend_ops.vllm.plan:

- name: Show the plan of each host
  hosts: vllm_head:vllm_workers
  gather_facts: false
  tasks:
    - name: Gather host facts and compute the deployment plan
      ascend_ops.vllm.plan:
    - name: Show the plan
      ansible.builtin.debug:
        var: ansible_facts.vllm_plan
"""

RETURN = r"""
findings:
  description: What the check against the release found, the head's first.
  returned: with O(lint=report)
  type: list
  elements: dict
  contains:
    id:
      description: Id of the rule.
      type: str
      sample: variable_unread
    severity:
      description: V(fail) if the release refuses to start, V(warn), or V(info) for a note.
      type: str
      sample: info
    host:
      description: Inventory name of the host; a worker's is left out if the head has the same.
      type: str
      sample: node0
    accepted:
      description: Whether C(preflight_accept) made it less severe.
      type: bool
      sample: false
    found:
      description: What was found.
      type: str
      sample: vllm_serve_env has VLLM_USE_V1, which neither vLLM 0.13.0 nor vLLM-Ascend 0.13.0rc1 reads
    expected:
      description: What was expected.
      type: str
      sample: variables that they read
    remedy:
      description: What to do about it.
      type: str
      sample: "remove it: vllm_serve_env: {VLLM_USE_V1: null}"
    source:
      description: Where it is documented.
      type: str
      sample: "v0.13.0rc1: vllm_ascend, by tests/ascend_settings.py"
releases:
  description: The release of each host by its name; null if C(profiles/releases.yml) does not have it.
  returned: with O(lint=report)
  type: dict
  sample: {node0: 0.13.0rc1}
msg:
  description: The findings as text, empty if there are none.
  returned: with O(lint=report)
  type: str
hosts:
  description: The hosts of the service, head first.
  returned: success
  type: list
  elements: str
  sample: [node0, node1]
service:
  description: The service as those outside of it see it, such as a monitoring system.
  returned: on a host outside the service, and with O(reuse=false)
  type: dict
  contains:
    name:
      description: Name of the model in requests.
      type: str
      sample: glm47
    api_port:
      description: Port of the endpoint, on the head. C(rpc_port) and C(supervisor_port) are the other ports.
      type: int
      sample: 8080
    engines:
      description: Number of engines on all hosts.
      type: int
      sample: 2
    hosts:
      description: The hosts, head first, each with C(name), C(address) and C(rank), the rank of its first engine.
      type: list
      elements: dict
      sample: [{name: node0, address: 10.0.0.10, rank: 0}]
ansible_facts:
  description: The facts of a host of the service.
  returned: on a host of the service
  type: dict
  contains:
    vllm_plan:
      description:
        - The host's part of the service.
        - >-
          C(role) is C(head) or C(worker); C(hosts) are all inventory names, head first; C(url) is the
          endpoint; C(serve) has the environment and the flags of C(vllm serve); C(container), C(model), C(npu) and
          C(data_parallel) are what their names say; C(run) names the run of Ansible that made it; C(extra) are
          the settings that are extra variables (C(-e), or a survey of AWX).
      type: dict
    vllm_host_facts:
      description:
        - What M(ascend_ops.vllm.host_facts) found, and C(clock_ahead), the seconds that the clock of the host is ahead of
          the controller's, C(least) and C(most). They are as far apart as it took to gather the facts.
      type: dict
"""
