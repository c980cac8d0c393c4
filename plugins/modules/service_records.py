#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_records
short_description: Gather what Docker and the kernel of a host have recorded about a serving container
description:
  - Reads the log and the settings of a container, and the kernel's messages about NPUs or a lack of memory.
  - Removes secrets before anything leaves the host.
  - Does not fail for what it cannot read, but lists it in C(errors).
version_added: 0.1.0
options:
  container:
    description: Name of the container. It need not exist.
    type: str
    required: true
  lines:
    description: Number of lines to read from the end of the log.
    type: int
    default: 5000
author:
  - ascend_ops.vllm contributors (@ascend-ops)
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Gather the records of the container
  ascend_ops.vllm.service_records:
    container: vllm-ascend-v0.13.0rc1
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_records:
      description: The records.
      type: dict
      contains:
        container:
          description: The details of the container as C(docker inspect) shows them, null if there is none.
          type: dict
        log:
          description: The log, each line with its time.
          type: str
        kernel:
          description: The kernel's messages about NPUs or a lack of memory, each with its time.
          type: str
        errors:
          description: What could not be read, and why.
          type: list
          elements: str
"""

import json
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

KERNEL = re.compile(r"davinci|devdrv|devmm|hisi|ascend|\bnpu\b|out of memory|oom", re.IGNORECASE)
KERNEL_LINES = 500
ABSENT = "No such container"


def facts(docker, container, lines):
    """Return what the host has on record."""
    errors = []

    def ask(*argv):
        done = commands.run(argv)
        if done.rc == 0:
            return done.text
        if ABSENT not in done.text:
            errors.append(f"{' '.join(argv[:2])}: {redaction.text(done.text).strip()}")
        return ""

    if not docker:
        errors.append("docker: no such command on this host")
    inspected = ask(docker, "inspect", "--type", "container", container) if docker else ""
    kernel = [line for line in ask("dmesg", "--time-format", "iso").splitlines() if KERNEL.search(line)]
    return {
        "container": redaction.data(json.loads(inspected)[0]) if inspected else None,
        "log": redaction.text(ask(docker, "logs", "--timestamps", "--tail", str(lines), container))
        if inspected
        else "",
        "kernel": redaction.text("\n".join(kernel[-KERNEL_LINES:])),
        "errors": errors,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "lines": {"type": "int", "default": 5000},
        },
        supports_check_mode=True,
    )
    found = facts(module.get_bin_path("docker"), module.params["container"], module.params["lines"])
    module.exit_json(changed=False, ansible_facts={"vllm_records": found})


if __name__ == "__main__":
    main()
