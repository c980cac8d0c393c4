#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: npu_facts
short_description: Gather facts about driver, chips and RoCE ports of an Ascend host
version_added: 0.1.0
description:
  - Runs C(npu-smi) and C(hccn_tool) for all chips at the same time, reads the version files of the driver,
    and returns one fact.
  - Supports the layouts of Atlas A2, A3 (two dies on a card) and 310P. A value that the tools do not print
    is null, never 0.
  - Needs root, as the tools do.
options:
  npu_smi_path:
    description: Path of C(npu-smi). Without it, C(PATH), C(/usr/local/bin) and C(/usr/local/sbin) are
      searched.
    type: path
  driver_root:
    description:
      - Folder in which the driver is installed.
      - Without it, C(Driver_Install_Path_Param) of C(/etc/ascend_install.info), or else
        C(/usr/local/Ascend).
    type: path
  gather:
    description:
      - What to gather. The table of C(npu-smi info) is always read, as all else starts with the chips in it.
      - V(chips) adds their logical ids, and chips that the table does not show; V(versions) those of driver
        and firmware, installed and running; V(processes) what runs on each chip; V(health) the error of
        each unhealthy chip; V(fabric) the RoCE ports.
    type: list
    elements: str
    choices: [chips, versions, processes, health, fabric]
    default: [chips, versions, processes, health, fabric]
  on_error:
    description:
      - What to do if the driver is missing or does not work.
      - With V(report), the module succeeds and returns the cause in C(error), to be checked together with
        the other facts.
    type: str
    choices: [fail, report]
    default: fail
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.npu
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.preflight_check
"""

EXAMPLES = r"""
- name: Gather NPU facts
  ascend_ops.vllm.npu_facts:

- name: Gather the versions of driver and firmware
  ascend_ops.vllm.npu_facts:
    gather: [versions]
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
  returned: success
  type: dict
  contains:
    vllm_npu:
      description: The facts. What was not gathered, and what the tools do not print, is null.
      type: dict
      contains:
        error:
          description: C(cause), C(text) (the output of the tool) and C(remedy), if the driver is missing or
            does not work.
          type: dict
        npu_smi_version:
          description: Version of C(npu-smi).
          type: str
          sample: 25.2.1
        driver_version:
          description: Version of the running driver; of the installed one if the running one does not
            answer.
          type: str
          sample: 25.2.1
        package_version:
          description: Version of the installed driver package. It runs after a reboot.
          type: str
          sample: 25.2.1
        firmware_version:
          description: Version of the running firmware; of the installed one if the running one does not
            answer.
          type: str
          sample: 7.7.0.6.236
        firmware_installed_version:
          description: Version of the installed firmware. It runs after a reboot.
          type: str
          sample: 7.7.0.6.236
        firmware_package_version:
          description: Version of the installed firmware package, with numbers like the driver's.
          type: str
          sample: 25.2.1
        compatibility:
          description: Whether driver and firmware are compatible, as C(npu-smi) prints it; of the first
            card where they are not.
          type: str
          sample: OK
        model:
          description: Name of the chips; null if they differ.
          type: str
          sample: 910B2
        chip_count:
          description: Number of chips.
          type: int
          sample: 8
        chips:
          description:
            - The chips, each with C(npu_id), C(chip_id), C(phy_id), C(logic_id), C(device) (the N of
              C(/dev/davinciN)), C(name), C(health), C(error_code), C(error_text), C(bus_id), C(power_w),
              C(temperature_c), C(aicore_percent), C(memory_used_mb), C(memory_total_mb), C(hbm_used_mb),
              C(hbm_total_mb) and C(processes).
            - Each process has C(pid), C(name), C(memory_mb) and C(container) (the id of its container).
          type: list
          elements: dict
        fabric:
          description:
            - The RoCE port of each chip, in the order of the chips, with C(device), C(link), C(net_health),
              C(ip), C(netmask), C(gateway), C(netdetect), C(tls) (whether it is on) and C(lldp_port) (the
              port of the switch). Null without C(hccn_tool).
          type: list
          elements: dict
        hccn_tool_path:
          description: Path of C(hccn_tool); null if there is none.
          type: str
          sample: /usr/local/Ascend/driver/tools/hccn_tool
problem:
  description: What was C(found), what was C(expected), and the C(remedy).
  returned: failure
  type: dict
"""

import functools
import os
import shutil
import time
from typing import Any, Callable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool, npu_smi
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import failure

INSTALL_INFO = "/etc/ascend_install.info"
DEFAULT_ROOT = "/usr/local/Ascend"
GATHER = ["chips", "versions", "processes", "health", "fabric"]
KEYS = (
    "error", "npu_smi_version", "driver_version", "package_version", "firmware_version",
    "firmware_installed_version", "firmware_package_version", "compatibility", "model", "chip_count", "chips",
    "fabric", "hccn_tool_path",
)  # fmt: skip
UNKNOWN_LAYOUT = (
    "Run `{0} info` as root on the host. If it shows the chips, this collection does not support its layout "
    "yet: report it with that text"
)


def find(name: str, given: str | None, folders: Sequence[str]) -> str | None:
    """Return the path of a tool, None if there is none."""
    return given or shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))


def read_port(tool: str, device: int) -> dict[str, Any]:
    """Return the values of the port of one chip."""
    texts = {}
    deadline = time.monotonic() + commands.TIMEOUT
    for call in hccn_tool.CALLS:
        answer = hccn_tool.ask(tool, device, f"-{call} -g", max(deadline - time.monotonic(), 1))
        if answer.rc is None:  # it hangs, as all further calls would
            break
        texts[call] = answer.text
    return {"device": device, **hccn_tool.parse_port(texts)}


def read_chips(smi: str, gather: Sequence[str]) -> dict[str, Any]:
    """Return version, chips and error of ``npu-smi info``."""
    calls = [[smi, "info"], [smi, "info", "-m"]] if "chips" in gather else [[smi, "info"]]
    table, *mapping = commands.side_by_side([functools.partial(commands.run, argv) for argv in calls])
    chips = npu_smi.parse_info(table.text)
    error = None
    if table.rc != 0 or not chips:
        error = npu_smi.explain(table.text) or {
            "cause": "npu-smi printed text of an unknown layout",
            "text": table.text.strip(),
            "remedy": UNKNOWN_LAYOUT.format(smi),
        }
    elif mapping:
        listed = npu_smi.parse_mapping(mapping[0].text)
        chips = npu_smi.complete(chips, listed or npu_smi.parse_list(commands.run([smi, "info", "-l"]).text))
    return {"npu_smi_version": npu_smi.parse_version(table.text), "chips": chips, "error": error}


def read_board(smi: str, card: int) -> dict[str, Any]:
    """Return the running versions of a card."""
    return dict(npu_smi.parse_board(commands.run([smi, "info", "-t", "board", "-i", str(card)]).text))


def read_health(smi: str, chip: npu_smi.Chip) -> dict[str, Any]:
    """Return health and error of a chip."""
    ids = ["-i", str(chip["npu_id"]), "-c", str(chip["chip_id"])]
    return dict(npu_smi.parse_health(commands.run([smi, "info", "-t", "health", *ids]).text))


def read_details(
    smi: str, tool: str | None, chips: Sequence[npu_smi.Chip], gather: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return boards and ports, and add the errors of unhealthy chips: all that needs many calls."""
    cards = sorted({chip["npu_id"] for chip in chips}) if "versions" in gather else []
    unhealthy = [chip for chip in chips if chip["health"] != "OK"] if "health" in gather else []
    jobs: list[Callable[[], dict[str, Any]]] = [functools.partial(read_board, smi, card) for card in cards]
    jobs += [functools.partial(read_health, smi, chip) for chip in unhealthy]
    if tool and "fabric" in gather:
        jobs += [functools.partial(read_port, tool, chip["device"]) for chip in chips]
    results = commands.side_by_side(jobs)
    others = results[len(cards) :]
    for chip, health in zip(unhealthy, others):
        chip.update(health)
    return results[: len(cards)], others[len(unhealthy) :]


def installed_versions(root: str) -> dict[str, str | None]:
    """Return the versions in the files below the driver's folder."""
    driver = read_text(os.path.join(root, "driver", "version.info"))
    firmware = read_text(os.path.join(root, "firmware", "version.info"))
    firmware_version = npu_smi.parse_assignments(firmware).get("Version")
    return {
        "driver_version": npu_smi.parse_assignments(driver).get("Version"),
        "package_version": npu_smi.package_version(driver),
        "firmware_version": firmware_version,
        "firmware_installed_version": firmware_version,
        "firmware_package_version": npu_smi.package_version(firmware),
    }


def running_versions(boards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return for all boards the first value of each key; for compatibility the first that is not OK."""
    found: dict[str, Any] = {}
    for board in sorted(boards, key=lambda board: board["compatibility"] in (None, "OK")):
        for key, value in board.items():
            if value is not None:
                found.setdefault(key, value)
    return found


def add_processes(chips: Sequence[npu_smi.Chip], gather: Sequence[str]) -> None:
    """Add the container of each process, or remove the processes if they are not to be gathered."""
    for chip in chips:
        if "processes" not in gather:
            chip["processes"] = None
        for process in chip["processes"] or []:
            process["container"] = procfs.container_id(read_text(f"/proc/{process['pid']}/cgroup"))


def driver_folder(given: str | None) -> str:
    """Return the folder in which the driver is installed."""
    noted = npu_smi.parse_assignments(read_text(INSTALL_INFO)).get("Driver_Install_Path_Param")
    return given or noted or DEFAULT_ROOT


def facts(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all facts."""
    gather = params["gather"]
    npu: dict[str, Any] = dict.fromkeys(KEYS)
    root = driver_folder(params["driver_root"])
    if "versions" in gather:
        npu.update(installed_versions(root))
    smi = find("npu-smi", params["npu_smi_path"], ["/usr/local/bin", "/usr/local/sbin"])
    if not smi:
        return {**npu, "error": npu_smi.explain("npu-smi: command not found")}
    table = read_chips(smi, gather)
    if table["error"]:
        return {**npu, **table, "chips": None}

    chips = table["chips"]
    for chip in chips:
        chip["device"] = npu_smi.device(chip)
    tool = find("hccn_tool", params["hccn_tool_path"], [os.path.join(root, "driver", "tools")])
    boards, ports = read_details(smi, tool, chips, gather)
    add_processes(chips, gather)
    names = {chip["name"] for chip in chips}
    return {
        **npu,
        **table,
        **running_versions(boards),
        "chip_count": len(chips),
        "model": names.pop() if len(names) == 1 else None,
        "fabric": ports if "fabric" in gather and tool else None,
        "hccn_tool_path": tool,
    }


def main() -> None:
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
    if npu["error"] and module.params["on_error"] == "fail":
        module.fail_json(**failure(npu_smi.problem(npu["error"]), error=npu["error"]))
    module.exit_json(changed=False, ansible_facts={"vllm_npu": npu})


if __name__ == "__main__":
    main()
