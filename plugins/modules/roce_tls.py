#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: roce_tls
short_description: Switch TLS of RoCE ports on or off
description:
  - Switches TLS of the chips' RoCE ports with C(hccn_tool). Engines on different hosts find each other only where it is the same on all of them.
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
  hccn_tool_path:
    description: Path of C(hccn_tool). Without it, it is looked for in C(PATH) and C(/usr/local/Ascend/driver/tools).
    type: path
attributes:
  check_mode:
    description: Says what would be switched.
    support: full
  diff_mode:
    description: Shows the ports that differ.
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: TLS is off on the RoCE ports
  ascend_ops.vllm.roce_tls:
    devices: [0, 1, 2, 3, 4, 5, 6, 7]
    enabled: false
"""

RETURN = r"""
switched:
  description: The chips whose port was switched; in check mode, would be.
  returned: success
  type: list
  elements: int
  sample: [0, 3]
"""

import functools
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool

FOLDERS = ["/usr/local/Ascend/driver/tools"]
WORDS = {True: "on", False: "off", None: "unknown"}


def read(tool, devices):
    """Return whether TLS is on, by chip."""
    answers = commands.side_by_side(
        [functools.partial(hccn_tool.ask, tool, device, "-tls -g") for device in devices]
    )
    return {
        device: hccn_tool.parse_port({"tls": answer.text})["tls"] for device, answer in zip(devices, answers)
    }


def switch(tool, devices, enabled):
    """Switch TLS of *devices*; return what the tool said of those that do not follow."""
    order = f"-tls -s enable {int(enabled)}"
    answers = commands.side_by_side(
        [functools.partial(hccn_tool.ask, tool, device, order) for device in devices]
    )
    state = read(tool, devices)
    return {
        device: answer.text.strip()
        for device, answer in zip(devices, answers)
        if state[device] is not enabled
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "int", "required": True},
            "enabled": {"type": "bool", "required": True},
            "hccn_tool_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    enabled = module.params["enabled"]
    tool = module.params["hccn_tool_path"] or module.get_bin_path(
        "hccn_tool", required=True, opt_dirs=FOLDERS
    )
    before = read(tool, module.params["devices"])
    wrong = [device for device, state in before.items() if state is not enabled]
    refused = switch(tool, wrong, enabled) if wrong and not module.check_mode else {}
    if refused:
        said = "; ".join(f"chip {device}: {text or 'nothing'}" for device, text in refused.items())
        module.fail_json(
            msg=f"Host {socket.gethostname()}, RoCE ports: TLS could not be switched {WORDS[enabled]}. hccn_tool said: {said}\n"
            f"Wanted: TLS {WORDS[enabled]} on each port.\nRemedy: Run `{tool} -i N -tls -s enable {int(enabled)}` as root on the host; see why it is refused."
        )
    states = {"before": before, "after": dict.fromkeys(before, enabled)}
    diff = {
        name: "".join(f"chip {device}: {WORDS[state]}\n" for device, state in chips.items())
        for name, chips in states.items()
    }
    diff.update(before_header="TLS of RoCE ports", after_header="TLS of RoCE ports")
    module.exit_json(changed=bool(wrong), switched=wrong, diff=diff)


if __name__ == "__main__":
    main()
