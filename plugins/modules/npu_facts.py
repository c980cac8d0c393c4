#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: npu_facts
short_description: Read driver, chips and RoCE ports of an Ascend host
description:
  - Asks C(npu-smi), C(hccn_tool) and the version files of the driver, all chips at the same time, and returns one fact.
  - Knows the layouts of Atlas A2, A3 (two dies a card) and 310P. A value that the tools do not give is null, never 0.
  - Needs the rights of root, as the tools do.
options:
  npu_smi_path:
    description: Path of C(npu-smi). Without it, it is looked for in C(PATH), C(/usr/local/bin) and C(/usr/local/sbin).
    type: path
  hccn_tool_path:
    description: Path of C(hccn_tool). Without it, it is looked for in C(driver/tools) below O(driver_root), and in C(PATH).
    type: path
  driver_root:
    description:
      - Folder that the driver was installed to.
      - Without it, C(Driver_Install_Path_Param) of C(/etc/ascend_install.info), or else C(/usr/local/Ascend).
    type: path
  gather:
    description:
      - What to ask for. The table of C(npu-smi info) is always read, for all else starts from the chips it shows.
      - V(chips) adds their logical ids, and chips that the table does not show; V(versions) driver and firmware, as installed and as
        running; V(processes) what runs on each chip; V(health) the error of each chip that is not well; V(fabric) the RoCE ports.
    type: list
    elements: str
    choices: [chips, versions, processes, health, fabric]
    default: [chips, versions, processes, health, fabric]
  on_error:
    description:
      - What to do about a driver that is missing or does not work.
      - With V(report) the module succeeds and says so in C(error), so that it can be told together with whatever else is wrong.
    type: str
    choices: [fail, report]
    default: fail
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The NPUs of the host are known
  ascend_ops.vllm.npu_facts:

- name: Driver and firmware are known
  ascend_ops.vllm.npu_facts:
    gather: [versions]
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_npu:
      description: What was found. What was not asked for and what the tools do not give is null.
      type: dict
      contains:
        error:
          description: If the driver is missing or does not work, C(cause), C(text) (what the tool said) and C(remedy).
          type: dict
        npu_smi_version:
          description: Version of C(npu-smi).
          type: str
          sample: 25.2.1
        driver_version:
          description: Version of the driver that runs; of the one that is installed if the running one cannot be asked.
          type: str
          sample: 25.2.1
        package_version:
          description: Version of the driver package that is installed. It runs only after a reboot.
          type: str
          sample: 25.2.1
        firmware_version:
          description: Version of the firmware that runs; of the one that is installed if the running one cannot be asked.
          type: str
          sample: 7.7.0.6.236
        firmware_installed_version:
          description: Version of the firmware that is installed. It runs only after a reboot.
          type: str
          sample: 7.7.0.6.236
        firmware_package_version:
          description: Version of the firmware package that is installed, numbered like the driver's.
          type: str
          sample: 25.2.1
        compatibility:
          description: Whether driver and firmware fit, in the words of the tool; of the first card where they do not.
          type: str
          sample: OK
        model:
          description: Name that all chips have; null if they differ.
          type: str
          sample: 910B2
        chip_count:
          description: Number of chips.
          type: int
          sample: 8
        chips:
          description:
            - The chips, each with C(npu_id), C(chip_id), C(phy_id), C(logic_id), C(device) (the N of C(/dev/davinciN)), C(name), C(health),
              C(error_code), C(error_text), C(bus_id), C(power_w), C(temperature_c), C(aicore_percent), C(memory_used_mb),
              C(memory_total_mb), C(hbm_used_mb), C(hbm_total_mb) and C(processes).
            - Each process has C(pid), C(name), C(memory_mb) and C(container) (the id of the container it runs in).
          type: list
          elements: dict
        fabric:
          description:
            - The RoCE port of each chip, in the order of the chips, with C(device), C(link), C(net_health), C(ip), C(netmask), C(gateway),
              C(netdetect), C(tls) (whether it is on) and C(lldp_port) (the port of the switch). Null if there is no C(hccn_tool).
          type: list
          elements: dict
        hccn_tool_path:
          description: Path of C(hccn_tool); null if there is none.
          type: str
          sample: /usr/local/Ascend/driver/tools/hccn_tool
"""

import functools
import os
import shutil
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool, npu_smi

INSTALL_INFO = "/etc/ascend_install.info"
DEFAULT_ROOT = "/usr/local/Ascend"
GATHER = ["chips", "versions", "processes", "health", "fabric"]
RUN_BY_HAND = "Run `{0} info` as root on the host. If it shows the chips, its layout is one that this collection does not know yet: report it with that text."


def read(path):
    """Return the text of a file, empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def find(name, given, folders):
    return given or shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))


def ask_port(tool, device):
    """Return what the port of one chip says."""
    texts = {}
    deadline = time.monotonic() + commands.TIMEOUT
    for call in hccn_tool.CALLS:
        answer = hccn_tool.ask(tool, device, f"-{call} -g", max(deadline - time.monotonic(), 1))
        if answer.rc is None:  # it hangs, and so would all other calls
            break
        texts[call] = answer.text
    return dict({"device": device}, **hccn_tool.parse_port(texts))


def ask_chips(smi, gather):
    """Return version, chips and error of ``npu-smi info``."""
    jobs = [["info"]] + ([["info", "-m"]] if "chips" in gather else [])
    table, *mapping = commands.side_by_side(
        [functools.partial(commands.run, [smi, *arguments]) for arguments in jobs]
    )
    chips = npu_smi.parse_info(table.text)
    error = None
    if table.rc != 0 or not chips:
        unknown = {
            "cause": "npu-smi printed something unknown.",
            "text": table.text.strip(),
            "remedy": RUN_BY_HAND.format(smi),
        }
        error = npu_smi.explain(table.text) or unknown
    elif mapping:
        listed = npu_smi.parse_mapping(mapping[0].text) or npu_smi.parse_list(
            commands.run([smi, "info", "-l"]).text
        )
        chips = npu_smi.complete(chips, listed)
    return npu_smi.parse_version(table.text), chips, error


def ask_more(smi, hccn_tool, chips, gather):
    """Return the boards, the RoCE ports and, in *chips*, the errors of the sick ones: everything that takes a call for each of them."""
    cards = sorted({chip["npu_id"] for chip in chips}) if "versions" in gather else []
    sick = [chip for chip in chips if chip["health"] != "OK"] if "health" in gather else []
    devices = [chip["device"] for chip in chips] if "fabric" in gather and hccn_tool else []
    answers = commands.side_by_side(
        [functools.partial(commands.run, [smi, "info", "-t", "board", "-i", str(card)]) for card in cards]
        + [
            functools.partial(
                commands.run,
                [smi, "info", "-t", "health", "-i", str(chip["npu_id"]), "-c", str(chip["chip_id"])],
            )
            for chip in sick
        ]
        + [functools.partial(ask_port, hccn_tool, device) for device in devices]
    )
    for chip in sick:
        chip.update(npu_smi.parse_health(answers[len(cards) + sick.index(chip)].text))
    return [npu_smi.parse_board(answer.text) for answer in answers[: len(cards)]], answers[
        len(cards) + len(sick) :
    ]


def installed(root):
    driver, firmware = (read(os.path.join(root, part, "version.info")) for part in ("driver", "firmware"))
    return {
        "driver_version": npu_smi.parse_assignments(driver).get("Version"),
        "package_version": npu_smi.package_version(driver),
        "firmware_version": npu_smi.parse_assignments(firmware).get("Version"),
        "firmware_installed_version": npu_smi.parse_assignments(firmware).get("Version"),
        "firmware_package_version": npu_smi.package_version(firmware),
    }


def running(boards):
    """Return what the boards say of all: the first that speaks, and of compatibility the first that is not well."""
    found = {}
    for board in sorted(boards, key=lambda board: board["compatibility"] in (None, "OK")):
        for key, value in board.items():
            if value is not None:
                found.setdefault(key, value)
    return found


def facts(params):
    gather = params["gather"]
    npu = dict.fromkeys((
        "error", "npu_smi_version", "driver_version", "package_version", "firmware_version", "firmware_installed_version",
        "firmware_package_version", "compatibility", "model", "chip_count", "chips", "fabric", "hccn_tool_path",
    ))  # fmt: skip
    root = (
        params["driver_root"]
        or npu_smi.parse_assignments(read(INSTALL_INFO)).get("Driver_Install_Path_Param")
        or DEFAULT_ROOT
    )
    if "versions" in gather:
        npu.update(installed(root))

    smi = find("npu-smi", params["npu_smi_path"], ["/usr/local/bin", "/usr/local/sbin"])
    if not smi:
        return dict(
            npu,
            error={
                "cause": npu_smi.NO_DRIVER,
                "text": "npu-smi: command not found",
                "remedy": npu_smi.INSTALL,
            },
        )
    npu["npu_smi_version"], chips, npu["error"] = ask_chips(smi, gather)
    if npu["error"]:
        return npu

    for chip in chips:
        chip["device"] = npu_smi.device(chip)
    hccn_tool = find("hccn_tool", params["hccn_tool_path"], [os.path.join(root, "driver", "tools")])
    boards, ports = ask_more(smi, hccn_tool, chips, gather)
    for chip in chips:
        if "processes" not in gather:
            chip["processes"] = None
        for process in chip["processes"] or []:
            process["container"] = procfs.container_id(read(f"/proc/{process['pid']}/cgroup"))
    names = {chip["name"] for chip in chips}
    npu.update(
        running(boards), chips=chips, chip_count=len(chips), model=names.pop() if len(names) == 1 else None,
        fabric=ports if "fabric" in gather and hccn_tool else None, hccn_tool_path=hccn_tool,
    )  # fmt: skip
    return npu


def main():
    module = AnsibleModule(
        argument_spec={
            "npu_smi_path": {"type": "path"},
            "hccn_tool_path": {"type": "path"},
            "driver_root": {"type": "path"},
            "gather": {"type": "list", "elements": "str", "choices": GATHER, "default": GATHER},
            "on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    npu = facts(module.params)
    error = npu["error"]
    if error and module.params["on_error"] == "fail":
        module.fail_json(
            msg="Host {0}, NPU driver: {cause}\nFound: {text}\nWanted: npu-smi showing the chips.\nRemedy: {remedy}".format(
                socket.gethostname(), **error
            ),
            error=error,
        )
    module.exit_json(changed=False, ansible_facts={"vllm_npu": npu})


if __name__ == "__main__":
    main()
