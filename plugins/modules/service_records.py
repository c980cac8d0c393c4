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
  - If the log shows that the service failed but not why, or that CANN has logged more, reads CANN's own log in the container
    as well.
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
  npu_log:
    description:
      - Folder in the container with the logs of CANN (C(plog)). It is where C(ASCEND_PROCESS_LOG_PATH) of the container's
        environment points, if that is set.
      - Of the newest 32 files, the errors in the last 256 kB of each are read, and at most 1000 lines.
    type: path
    default: /root/ascend/log
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
        npu_log:
          description: Errors that CANN has logged, as it writes them; empty if the log is sufficient.
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
from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker, DockerError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import records
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

KERNEL = re.compile(r"davinci|devdrv|devmm|hisi|ascend|\bnpu\b|out of memory|oom", re.IGNORECASE)
KERNEL_LINES = 500
NPU_FILES = 32  # a process of each of 16 chips, of two starts
NPU_TAIL = 256 << 10  # bytes of each file
NPU_WHOLE = 512 << 20  # bytes of the folder, a few seconds
NPU_LINES = 1000
DMESG = ("dmesg", "--time-format", "iso")


def container_records(name: str, lines: int) -> tuple[dict[str, Any], list[str]]:
    """Return details and log of the container, and errors."""
    found: dict[str, Any] = {"container": None, "log": ""}
    try:
        docker = Docker()
        found["container"] = redaction.data(docker.container(name))
        found["log"] = redaction.text(docker.log(name, lines) or "")
    except DockerError as error:
        return found, [redaction.text(error.problem.found)]
    return found, []


def npu_records(params: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the errors of CANN's own log if the container's does not tell enough, and errors."""
    container = found["container"]
    if not container or not records.needs_npu_log(found["log"], container["State"]):
        return "", []
    folder = records.npu_log_folder(container, params["npu_log"])
    try:
        files, whole = Docker().newest_files(params["container"], folder, NPU_FILES, NPU_TAIL, NPU_WHOLE)
    except DockerError as error:
        return "", [redaction.text(error.problem.found)]
    lines = records.npu_errors(files)[-NPU_LINES:]
    incomplete = [] if whole else [f"{folder}: only its first {NPU_WHOLE >> 20} MB were read"]
    return redaction.text("\n".join(lines)), incomplete


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
            "npu_log": {"type": "path", "default": "/root/ascend/log"},
        },
        supports_check_mode=True,
    )
    params = module.params
    found, docker_errors = container_records(params["container"], params["lines"])
    npu_log, npu_errors = npu_records(params, found)
    kernel, kernel_errors = kernel_records()
    found.update(npu_log=npu_log, kernel=kernel, errors=docker_errors + npu_errors + kernel_errors)
    module.exit_json(changed=False, ansible_facts={"vllm_records": found})


if __name__ == "__main__":
    main()
