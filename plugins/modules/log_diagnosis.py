#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: log_diagnosis
short_description: Tell from logs of vLLM what went wrong first, and what to do about it
description:
  - Holds logs of C(vllm serve) on Ascend NPUs, of its supervisor and of Docker against a table of known signs of failure.
  - Takes the logs of all hosts of one service together, so that the first cause is told from the traces that it leaves on the other hosts.
  - Logs with the times of C(docker logs --timestamps) are compared by them. Without times, a cause is still told from traces and echoes.
version_added: 0.1.0
options:
  paths:
    description: Files on the host that runs the module, one log of each host of the service. Give this or O(text).
    type: list
    elements: path
  text:
    description: A log itself. Give this or O(paths).
    type: str
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.diagnosis
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
"""

EXAMPLES = r"""
- name: The logs that somebody sent are looked at
  delegate_to: localhost
  ascend_ops.vllm.log_diagnosis:
    paths: [/tmp/node0.log, /tmp/node1.log]
  register: diagnosed

- name: The first cause is shown
  ansible.builtin.debug:
    msg: "{{ diagnosed.findings | map(attribute='cause') | first | default('no known sign of failure') }}"
"""

RETURN = r"""
findings:
  description:
    - What went wrong, the first cause first; then later causes, traces of another host's failure, echoes of a failure told before,
      warnings, and what the service has overcome, for it was ready again afterwards.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Name of the sign.
      type: str
      sample: out_of_memory
    severity:
      description: C(fatal), C(warning) or C(past).
      type: str
    cause:
      description: What it means.
      type: str
    remedy:
      description: What to do.
      type: str
    line:
      description: The line of the log, without secrets.
      type: str
    source:
      description: Where it is known from.
      type: str
    path:
      description: The file in which it was found.
      returned: with O(paths)
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log


def read(module, path):
    """Return the text of a log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        module.fail_json(
            msg=f"{path} could not be read: {error.strerror}. Wanted: a log of vLLM. Correct paths."
        )


def main():
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path"}, "text": {"type": "str"}},
        mutually_exclusive=[("paths", "text")],
        required_one_of=[("paths", "text")],
        supports_check_mode=True,
    )
    if module.params["text"] is not None:
        found = diagnosis.diagnose({"": vllm_log.lines_of(module.params["text"])})
        module.exit_json(changed=False, findings=[finding.data() for finding in found])
    found = diagnosis.diagnose(
        {path: vllm_log.lines_of(read(module, path)) for path in module.params["paths"]}
    )
    module.exit_json(changed=False, findings=[dict(finding.data(), path=finding.host) for finding in found])


if __name__ == "__main__":
    main()
