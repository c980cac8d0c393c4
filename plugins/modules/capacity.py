#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: capacity
short_description: Estimate whether a model fits on the NPUs of the service
version_added: 0.1.0
description:
  - Computes what each NPU has to hold (weights, KV cache and buffers), which context fits, and how many requests
    at once. It takes the inventory's settings and the model's own description.
  - Runs once, on the controller, and contacts no host.
  - The sizes of weights and KV cache follow from the model. Those of communication and computation are
    estimates. So a service is V(too large) only if it is too large even without them, and V(tight) if that is
    uncertain.
options:
  source:
    description:
      - Where the model is described. V(settings) are C(vllm_model_config) and C(vllm_model_size_gb).
      - V(folder) has C(config.json), and the weights or at least their index. With the weights, only the
        headers of all shards are read.
      - V(hub) asks C(vllm_model_endpoint) for C(config.json) and for the sizes of the files.
    type: str
    choices: [settings, folder, hub]
    default: settings
  model_dir:
    description: The folder on the controller. Required if O(source=folder).
    type: path
  token:
    description: Access token of the hub. Empty for a public repository.
    type: str
    default: ""
  download_mb:
    description: MB a second that a host downloads, for the time that it takes.
    type: int
    default: 100
  load_mb:
    description: MB a second that a host reads from its disk.
    type: int
    default: 1000
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.plan
  - module: ascend_ops.vllm.preflight_check
"""

EXAMPLES = r"""
- name: Estimate whether the model fits
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Compute what each NPU has to hold
      ascend_ops.vllm.capacity:
      register: planned

    - name: Assert that the model fits
      ansible.builtin.assert:
        that: planned.verdict != 'too large'
        fail_msg: "{{ planned.msg }}"
"""

RETURN = r"""
verdict:
  description: V(fits), V(tight), V(too large), or V(unknown) for a model of an architecture that is not known here.
  returned: always
  type: str
  sample: fits
msg:
  description: The verdict as a sentence, with what to change.
  returned: always
  type: str
  sample: "Fits: 4.2 GiB of each NPU are left after one request of the whole context"
report:
  description: The estimate as text.
  returned: always
  type: str
problem:
  description: What was C(found), what was C(expected), and the C(remedy); empty if the model fits.
  returned: always
  type: dict
capacity:
  description: The estimate, empty for V(unknown). Sizes are bytes of one NPU, unless stated otherwise.
  returned: always
  type: dict
  contains:
    layout:
      description: Number of C(hosts), of C(chips) on each, and sizes of C(tensor), C(data), C(pipeline) and
        C(expert) parallelism.
      type: dict
    weights:
      description: All weights, the sum of C(experts) and C(rest).
      type: int
    communication:
      description: Buffers of HCCL, an estimate.
      type: int
    computation:
      description: What a step takes at its peak, an estimate.
      type: int
    budget:
      description: What C(gpu-memory-utilization) leaves to vLLM.
      type: int
    cache:
      description: What is left for the KV cache.
      type: int
    kv_token:
      description: KV cache of one token.
      type: int
    needed:
      description: KV cache of one request of C(max-model-len) tokens.
      type: int
    tokens:
      description: Tokens in the KV cache of an engine.
      type: int
    largest_context:
      description: The largest C(max-model-len).
      type: int
    host_disk:
      description: Bytes of disk of each host, for weights and image.
      type: int
    download_seconds:
      description: Seconds for the download on each host.
      type: int
    load_seconds:
      description: Seconds to read the weights from the disk.
      type: int
    doubts:
      description: Why the estimate may be wrong. With doubts, the verdict is at worst V(tight).
      type: list
      elements: str
"""
