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
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.docker
"""

EXAMPLES = r"""
- name: Gather the records of the container
  ascend_ops.vllm.service_records:
    container: vllm-ascend-v0.13.0rc1
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
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

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker, DockerError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

KERNEL = re.compile(r"davinci|devdrv|devmm|hisi|ascend|\bnpu\b|out of memory|oom", re.IGNORECASE)
KERNEL_LINES = 500
DMESG = ("dmesg", "--time-format", "iso")


def container_records(docker_socket: str | None, name: str, lines: int) -> tuple[dict[str, Any], list[str]]:
    """Return details and log of the container, and errors."""
    found: dict[str, Any] = {"container": None, "log": ""}
    try:
        docker = Docker(docker_socket)
        found["container"] = redaction.data(docker.container(name))
        found["log"] = redaction.text(docker.log(name, lines) or "")
    except DockerError as error:
        return found, [redaction.text(error.problem.found)]
    return found, []


def kernel_records() -> tuple[str, list[str]]:
    """Return the kernel's messages of interest, and errors."""
    done = commands.run(DMESG)
    if done.rc != 0:
        return "", [f"{' '.join(DMESG)}: {redaction.text(done.text).strip()}"]
    messages = [line for line in done.text.splitlines() if KERNEL.search(line)]
    return redaction.text("\n".join(messages[-KERNEL_LINES:])), []


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "lines": {"type": "int", "default": 5000},
            "docker_socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    records, docker_errors = container_records(params["docker_socket"], params["container"], params["lines"])
    kernel, kernel_errors = kernel_records()
    records.update(kernel=kernel, errors=docker_errors + kernel_errors)
    module.exit_json(changed=False, ansible_facts={"vllm_records": records})


if __name__ == "__main__":
    main()
