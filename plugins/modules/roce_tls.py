#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: roce_tls
short_description: Turn TLS of RoCE ports on or off
version_added: 0.1.0
description:
  - Turns TLS of the chips' RoCE ports on or off with C(hccn_tool). Engines on different hosts connect only
    if it is the same on all of them.
  - Without a TLS certificate, TLS is off.
options:
  devices:
    description: Chips, the N of C(/dev/davinciN).
    type: list
    elements: int
    required: true
  enabled:
    description: Whether TLS is to be on.
    type: bool
    required: true
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.npu
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the state of each port.
  idempotent:
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Ensure TLS is off on the RoCE ports
  ascend_ops.vllm.roce_tls:
    devices: [0, 1, 2, 3, 4, 5, 6, 7]
    enabled: false
"""

RETURN = r"""
switched:
  description: The chips whose port was changed, or in check mode would be.
  returned: success
  type: list
  elements: int
  sample: [0, 3]
problem:
  description: What was C(found), what was C(expected), and the C(remedy).
  returned: failure
  type: dict
"""

import functools
from typing import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool, installation, npu_smi
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure

NO_TOOL = Problem(
    "there is no hccn_tool",
    "the NPU driver, which contains hccn_tool (driver/tools/hccn_tool)",
    npu_smi.INSTALL,
)
WORDS = {True: "on", False: "off", None: "unknown"}
HEADER = "TLS of RoCE ports"


def ask_all(tool: str, devices: Sequence[int], arguments: str) -> list[str]:
    """Return the tool's output for each chip."""
    jobs = [functools.partial(hccn_tool.ask, tool, device, arguments) for device in devices]
    return [answer.text for answer in commands.side_by_side(jobs)]


def read(tool: str, devices: Sequence[int]) -> dict[int, str | bool | None]:
    """Return for each chip whether TLS is on; None if the tool does not print it."""
    texts = ask_all(tool, devices, "-tls -g")
    return {device: hccn_tool.parse_port({"tls": text})["tls"] for device, text in zip(devices, texts)}


def switch(tool: str, devices: Sequence[int], enabled: bool) -> dict[int, str]:
    """Turn TLS of *devices* on or off. Return the tool's output for those that did not change."""
    texts = ask_all(tool, devices, f"-tls -s enable {int(enabled)}")
    states = read(tool, devices)
    return {device: text.strip() for device, text in zip(devices, texts) if states[device] is not enabled}


def problem(tool: str, enabled: bool, outputs: dict[int, str]) -> Problem:
    """Return the problem of ports that did not change."""
    printed = "; ".join(f"chip {device}: {text or 'nothing'}" for device, text in outputs.items())
    found = f"TLS is not {WORDS[enabled]} after hccn_tool ran. It printed: {printed}"
    command = f"{tool} -i N -tls -s enable {int(enabled)}"
    remedy = f"Run `{command}` as root on the host, and find out why it is refused"
    return Problem(found.rstrip("."), f"TLS is {WORDS[enabled]} on each port", remedy)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "int", "required": True},
            "enabled": {"type": "bool", "required": True},
            "hccn_tool_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    devices, enabled, given = (module.params[key] for key in ("devices", "enabled", "hccn_tool_path"))
    tool: str = given or installation.find_tool("hccn_tool", before=installation.tool_folders()) or ""
    if not tool:
        module.fail_json(**failure(NO_TOOL))
    before = read(tool, devices)
    others = [device for device, state in before.items() if state is not enabled]
    unchanged = switch(tool, others, enabled) if others and not module.check_mode else {}
    if unchanged:
        module.fail_json(**failure(problem(tool, enabled, unchanged)))
    states = {"before": before, "after": dict.fromkeys(before, enabled)}
    diff = {
        name: "".join(f"chip {device}: {WORDS[state]}\n" for device, state in chips.items())
        for name, chips in states.items()
    }
    diff.update(before_header=HEADER, after_header=HEADER)
    module.exit_json(changed=bool(others), switched=others, diff=diff)


if __name__ == "__main__":
    main()
