#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: diagnosis
short_description: Tell what went wrong first in a vLLM service, and pack what others need to help
description:
  - Holds the records of all hosts of the service against the table of known signs of failure, together, so that the first cause is
    told from its traces on the other hosts.
  - Packs logs, settings and facts of all hosts into one archive, without secrets, that only its owner can read.
  - Runs on the controller, once for all hosts of the inventory's groups C(vllm_head) and C(vllm_workers).
version_added: 0.1.0
options:
  bundle:
    description: Path of the archive to write (C(.tar.gz), on the controller). Its folder is made if it is not there.
    type: path
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.service_records
  - module: ascend_ops.vllm.log_diagnosis
notes:
  - Takes of each host what is known of it, the facts C(vllm_plan) and C(vllm_host_facts) of M(ascend_ops.vllm.plan), C(vllm_npu) of
    M(ascend_ops.vllm.npu_facts), C(vllm_image_content) of M(ascend_ops.vllm.image_versions) and C(vllm_records) of
    M(ascend_ops.vllm.service_records). A host without the last one counts as unreachable.
  - Secrets are known by their names, their usual forms, and the values of variables with such names, in inventory and environment.
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
attributes:
  check_mode:
    details: Writes no archive.
"""

EXAMPLES = r"""
- name: The verdict is reached
  ascend_ops.vllm.diagnosis:
    bundle: ./diagnose/support-bundle.tar.gz
  register: diagnosed

- name: The verdict
  ansible.builtin.debug:
    msg: "{{ diagnosed.verdict }}"
"""

RETURN = r"""
verdict:
  description: Where each host stands, the first cause with its host and remedy, what followed, and warnings, for a person to read.
  returned: success
  type: str
findings:
  description: As M(ascend_ops.vllm.log_diagnosis) returns them, each with its C(host).
  returned: success
  type: list
  elements: dict
bundle:
  description: Path of the archive that was written, null if none was.
  returned: success
  type: str
"""
