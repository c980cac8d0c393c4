#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: weights_agreement
short_description: Determine the weights that all hosts of a service get
version_added: 0.1.0
description:
  - Compares the results of M(ascend_ops.vllm.weights_download) in check mode on all hosts, and returns the
    listing that this host must have.
  - The manifest of a host that already has weights is decisive, so that a host that is added later gets the same
    commit. If no host has weights, all get what the hub lists for the first one.
  - Fails if this host has other weights than the first host that has any. Files that no server reads, such as
    README.md, may differ.
  - Runs on the controller and contacts no host.
options:
  repo:
    description: As for M(ascend_ops.vllm.weights_download).
    type: str
    required: true
  revision:
    description: As for M(ascend_ops.vllm.weights_download).
    type: str
    default: master
  include:
    description: As for M(ascend_ops.vllm.weights_download).
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: As for M(ascend_ops.vllm.weights_download).
    type: list
    elements: str
    default: []
  checks:
    description: For each host of the play, in the same order for all, the result of the check.
    type: dict
    required: true
  outside:
    description: For hosts of the service that are not in the play, the text of their manifests, if they
      could be read.
    type: dict
    default: {}
  unread:
    description:
      - Hosts of the service that are not in the play and could not be reached. If no other host has a manifest, a
        warning says that the weights may not be theirs.
    type: list
    elements: str
    default: []
  share:
    description: Whether the hosts share a download. Then all need exactly the same files, and not all of them have
      to reach the hub.
    type: bool
    default: false
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.internal
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.weights_download
"""

EXAMPLES = r"""
- name: Check the weights
  ascend_ops.vllm.weights_download:
    repo: ZhipuAI/GLM-4.7
    dir: /opt/data/verification/models/GLM-4.7
    cache_dir: /opt/data/verification/models/.cache
  check_mode: true
  register: weights_check

- name: Determine the weights that all hosts get
  ascend_ops.vllm.weights_agreement:
    repo: ZhipuAI/GLM-4.7
    checks: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'weights_check'))) }}"
  register: weights_agreement

- name: Ensure the weights are present and verified
  ascend_ops.vllm.weights_download:
    repo: ZhipuAI/GLM-4.7
    dir: /opt/data/verification/models/GLM-4.7
    cache_dir: /opt/data/verification/models/.cache
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
    listing: "{{ weights_agreement.listing }}"
"""

RETURN = r"""
listing:
  description: The files that the host must have, for the option O(ascend_ops.vllm.weights_download#module:listing).
  returned: success
  type: str
commit:
  description: Their commit on the hub. Empty if it is unknown.
  returned: success
  type: str
  sample: 83ee97c66e841048bedc5c02c15ce2f3ed259feb
digest:
  description: SHA-256 over the paths and hashes of all files.
  returned: success
  type: str
differs:
  description: Whether the host was checked for other files, and has to be checked again.
  returned: success
  type: bool
to_do:
  description: Number of files that the host has to fetch or to verify; at least 1 if they differ.
  returned: success
  type: int
problem:
  description: What is wrong, with the keys C(found), C(expected), C(remedy) and C(where).
  returned: failure
  type: dict
"""
