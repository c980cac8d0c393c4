#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_diagnosis
short_description: Find the first cause of a failure in the logs of a vLLM service
description:
  - Compares logs of C(vllm serve) on Ascend NPUs, of its supervisor, of Docker and of the kernel with a table of
    signatures.
  - Takes the logs of all hosts of one service together, to distinguish the first cause from the traces that it leaves
    on the other hosts.
  - Without O(paths) and O(text), it diagnoses the records of all hosts of the inventory's service that
    M(ascend_ops.vllm.service_records) has gathered before. This runs on the controller, once for all hosts.
version_added: 0.1.0
options:
  paths:
    description: Files on the host that runs the module, one log for each host of the service.
    type: list
    elements: path
  text:
    description: The text of a log.
    type: str
  bundle:
    description:
      - Path of an archive to write on the controller (C(.tar.gz)), with logs, settings and facts of all hosts. It
        contains no secrets, and only its owner can read it. A missing folder is created.
      - Only without O(paths) and O(text).
    type: path
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.service_records
notes:
  - Logs of C(docker logs --timestamps) are compared by their times, others by the times that vLLM writes itself. Without
    times, a cause still differs from traces and echoes.
  - A file may be a JSON file of Docker, the output of docker compose, kubectl or journald, and in UTF-8 or UTF-16.
  - C(make docs) creates a page with all signatures.
  - The records are the facts C(vllm_records) of M(ascend_ops.vllm.service_records). A host without them counts as
    unreachable. The bundle also has the facts C(vllm_plan), C(vllm_host_facts), C(vllm_npu) and
    C(vllm_image_content), if they have been gathered.
  - Secrets are found by their names, by their usual forms, and by the values of variables with such names in
    inventory and environment.
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
attributes:
  check_mode:
    details: Writes no archive.
"""

EXAMPLES = r"""
- name: Diagnose two logs
  delegate_to: localhost
  ascend_ops.vllm.log_diagnosis:
    paths: [/tmp/node0.log, /tmp/node1.log]
  register: diagnosed

- name: Report the first cause
  ansible.builtin.debug:
    msg: "{{ diagnosed.findings | map(attribute='cause') | first | default('no signature of a failure') }}"

- name: Diagnose the service of the inventory
  ascend_ops.vllm.log_diagnosis:
    bundle: ./diagnose/support-bundle.tar.gz
  register: diagnosed

- name: Report the verdict
  ansible.builtin.debug:
    msg: "{{ diagnosed.verdict }}"
"""

RETURN = r"""
findings:
  description:
    - What went wrong, the first cause first. Then later causes, traces of another host's failure, echoes of a
      failure that an earlier line reports, warnings, and what the service has recovered from.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Name of the signature.
      type: str
      sample: out_of_memory
    severity:
      description: V(fatal), V(warning), or V(past) if the service was ready afterwards.
      type: str
    cause:
      description: What the line means.
      type: str
    remedy:
      description: What to do.
      type: str
    line:
      description: The line of the log, without secrets.
      type: str
    source:
      description: Where the meaning of the line is documented.
      type: str
    path:
      description: The file.
      returned: with O(paths)
      type: str
    host:
      description: The host.
      returned: without O(paths) and O(text)
      type: str
verdict:
  description: The diagnosis as text, with the state of each host, the first cause, its remedy, and what followed.
  returned: without O(paths) and O(text)
  type: str
bundle:
  description: Path of the archive that was written, null if none was.
  returned: without O(paths) and O(text)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log


def read(path: str) -> str:
    """Return the text of a log. Raises ProblemError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return vllm_log.decode(file.read())
    except OSError as error:
        found = f"{path} cannot be read: {error.strerror}"
        raise ProblemError(found, "a log of vLLM", "Correct paths") from None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path"},
            "text": {"type": "str"},
            "bundle": {"type": "path"},
        },
        mutually_exclusive=[("paths", "text", "bundle")],
        required_one_of=[("paths", "text")],  # without them, the action does not run the module
        supports_check_mode=True,
    )
    text = module.params["text"]
    try:
        logs = {path: read(path) for path in module.params["paths"] or []} if text is None else {"": text}
    except ProblemError as error:
        module.fail_json(**failure(error.problem))
    findings = diagnosis.diagnose({path: vllm_log.lines_of(log) for path, log in logs.items()})
    module.exit_json(
        changed=False,
        findings=[
            dict(finding.data(), **({"path": finding.host} if text is None else {})) for finding in findings
        ],
    )


if __name__ == "__main__":
    main()
