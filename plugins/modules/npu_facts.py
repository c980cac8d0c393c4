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
  - Runs C(npu-smi), C(hccn_tool) for all chips at the same time, reads the version files of the driver, and
    returns one fact.
  - Supports the layouts of Atlas A2, A3 (two dies on a card), 310P and 950. A value that the tools do not print
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
        warnings:
          description:
            - What C(npu-smi info) printed besides its tables, such as that the driver is not completely
              installed; rows that could not be read; and its exit code if it was not 0.
          type: list
          elements: str
        npu_smi_version:
          description: Version of C(npu-smi).
          type: str
          sample: 25.2.1
        driver_version:
          description: Version of the running driver, of most cards if it differs; of the installed one if
            the running one does not answer.
          type: str
          sample: 25.2.1
        package_version:
          description: Version of the installed driver package. It runs after a reboot.
          type: str
          sample: 25.2.1
        firmware_version:
          description: Version of the running firmware, of most cards if it differs; of the installed one
            if the running one does not answer.
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
          description: Whether driver and firmware are compatible, as C(npu-smi) prints it, V(OK), V(NOK),
            V(UNKNOWN) or V(NOT SUPPORT); the worst state of all cards.
          type: str
          sample: OK
        cards:
          description: The cards, each with C(npu_id) and its running C(driver_version), C(firmware_version)
            and C(compatibility).
          type: list
          elements: dict
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
              C(processes) is null if a row could not be read; C(npu-smi) shows at most eight of a chip.
          type: list
          elements: dict
        fabric:
          description:
            - The RoCE port of each chip, in the order of the chips, with C(device), C(link), C(net_health),
              C(ip), C(netmask), C(gateway), C(netdetect), C(tls) (whether it is on), C(lldp_port) (the port of
              the switch), C(vnic), C(vnic_ip), C(message) and C(configured). Null without C(hccn_tool).
            - C(ip) is an IPv6 address if the port has no IPv4 address. C(vnic) is the link over HCCS, V(UP)
              or V(DOWN), asked for only if the RoCE port has no address. C(message) is what C(hccn_tool)
              printed instead of the state of the link. C(configured) has the
              C(ip), C(netmask) and C(gateway) of C(/etc/hccn.conf).
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
import re
from typing import Any, Callable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool, installation, npu_smi
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import failure

NODE = re.compile(r"davinci(\d+)")
GATHER = ["chips", "versions", "processes", "health", "fabric"]
WORST = ("NOK", "UNKNOWN", "NOT SUPPORT", "OK")  # states of compatibility; other texts rank as UNKNOWN
KEYS = (
    "error", "warnings", "npu_smi_version", "driver_version", "package_version", "firmware_version",
    "firmware_installed_version", "firmware_package_version", "compatibility", "cards", "model", "chip_count", "chips",
    "fabric", "hccn_tool_path",
)  # fmt: skip
UNKNOWN_LAYOUT = (
    "Run `{0} info` as root on the host. If it shows the chips, this collection does not support its layout "
    "yet: report it with that text"
)


def read_port(tool: str, device: int) -> dict[str, Any]:
    """Return the values of the port of one chip."""
    texts: dict[str, str] = {}
    for call in hccn_tool.CALLS:
        if not hccn_tool.is_needed(call, texts):
            continue
        answer = hccn_tool.ask(tool, device, f"-{call} -g")
        if answer.rc is None:  # it hangs, as all further calls would
            break
        texts[call] = answer.text
        if hccn_tool.OTHER_SYNTAX in answer.text:
            break
    return {"device": device, **hccn_tool.parse_port(texts), "configured": configured(device)}


def configured(device: int) -> dict[str, str | None]:
    """Return address, netmask and gateway that the port of a chip gets when the host starts."""
    values = npu_smi.parse_assignments(read_text(installation.HCCN_CONF))
    return {
        "ip": values.get(f"address_{device}") or values.get(f"IPv6address_{device}") or None,
        "netmask": values.get(f"netmask_{device}") or None,
        "gateway": values.get(f"gateway_{device}") or None,
    }


def read_chips(smi: str, gather: Sequence[str]) -> dict[str, Any]:
    """Return versions, chips, warnings and error of ``npu-smi info``."""
    output = commands.run([smi, "info"])
    table = npu_smi.parse_info(output.text)
    warnings = [*table.messages, *(f"{npu_smi.UNREADABLE}: {row}" for row in table.unreadable)]
    found: dict[str, Any] = {
        "npu_smi_version": table.tool_version,
        "driver_version": table.driver_version,
        "chips": table.chips,
        "warnings": warnings,
        "error": None,
    }
    if output.rc is None or not table.chips:
        return {**found, "error": npu_smi.explain(output.text) or unknown(smi, table, output)}
    if output.rc:
        warnings.append(f"npu-smi info ended with exit code {output.rc}")
    if "chips" in gather:
        listed = npu_smi.parse_mapping(commands.run([smi, "info", "-m"]).text)
        listed = listed or npu_smi.parse_list(commands.run([smi, "info", "-l"]).text)
        found["chips"] = npu_smi.complete(table.chips, listed)
    return found


def unknown(smi: str, table: npu_smi.Table, output: commands.Output) -> dict[str, str]:
    """Return the error of an output without chips that npu-smi does not explain."""
    text = output.text.strip()
    if not text:
        cause = f"npu-smi ended with exit code {output.rc} and printed nothing"
        return {"cause": cause, "text": "", "remedy": npu_smi.REINSTALL}
    if table.tool_version and not table.unreadable:
        return {"cause": "npu-smi shows no chip", "text": text, "remedy": npu_smi.LOOK}
    cause = "npu-smi printed text of an unknown layout"
    return {"cause": cause, "text": text, "remedy": UNKNOWN_LAYOUT.format(smi)}


def read_cards(
    smi: str, chips: Sequence[npu_smi.Chip], gather: Sequence[str]
) -> list[dict[str, str | int | None]]:
    """Return the running versions of each card, and add to *chips* the errors of the unhealthy ones.

    One call after the other: the vendor does not support concurrent calls of npu-smi.
    """
    for chip in chips if "health" in gather else []:
        if chip["health"] != "OK":
            ids = ["-i", str(chip["npu_id"]), "-c", str(chip["chip_id"])]
            chip.update(npu_smi.parse_health(commands.run([smi, "info", "-t", "health", *ids]).text))
    cards: list[dict[str, str | int | None]] = []
    for number in sorted({chip["npu_id"] for chip in chips}) if "versions" in gather else []:
        board = commands.run([smi, "info", "-t", "board", "-i", str(number)])
        cards.append({"npu_id": number, **npu_smi.parse_board(board.text)})
        if board.rc is None:  # it hangs, as all further calls would
            break
    return cards


def read_details(
    smi: str, tool: str | None, chips: Sequence[npu_smi.Chip], gather: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return cards and ports, and add the errors of unhealthy chips: all that needs many calls."""
    jobs: list[Callable[[], Any]] = [functools.partial(read_cards, smi, chips, gather)]
    if tool and "fabric" in gather:
        jobs += [functools.partial(read_port, tool, chip["device"]) for chip in chips]
    cards, *ports = commands.side_by_side(jobs)
    return cards, ports


def device_nodes() -> set[int]:
    """Return the N of each /dev/davinciN."""
    matches = map(NODE.fullmatch, os.listdir("/dev"))
    return {int(match.group(1)) for match in matches if match}


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


def running_versions(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the versions that most cards run, and the worst compatibility of all."""
    found: dict[str, Any] = {}
    for key in ("driver_version", "firmware_version"):
        values = [card[key] for card in cards if card[key] is not None]
        if values:
            found[key] = max(values, key=values.count)
    states = [card["compatibility"] for card in cards if card["compatibility"] is not None]
    if states:
        found["compatibility"] = min(states, key=lambda state: WORST.index(state) if state in WORST else 1)
    return found


def add_processes(chips: Sequence[npu_smi.Chip], gather: Sequence[str]) -> None:
    """Add the container of each process, or remove the processes if they are not to be gathered."""
    for chip in chips:
        if "processes" not in gather:
            chip["processes"] = None
        for process in chip["processes"] or []:
            process["container"] = procfs.container_id(read_text(f"/proc/{process['pid']}/cgroup"))


def facts(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all facts."""
    gather = params["gather"]
    npu: dict[str, Any] = dict.fromkeys(KEYS)
    root = installation.driver_folder(params["driver_root"])
    if "versions" in gather:
        npu.update(installed_versions(root))
    smi = params["npu_smi_path"] or installation.find_tool(
        "npu-smi", after=["/usr/local/bin", "/usr/local/sbin"]
    )
    if not smi:
        return {**npu, "error": npu_smi.explain("npu-smi: command not found")}
    table = read_chips(smi, gather)
    if "versions" not in gather or table["driver_version"] is None:
        del table["driver_version"]
    if table["error"]:
        return {**npu, **table, "chips": None}

    chips = table["chips"]
    for chip, device in zip(chips, npu_smi.devices(chips, device_nodes())):
        chip["device"] = device
    tool = params["hccn_tool_path"] or installation.find_tool(
        "hccn_tool", before=installation.tool_folders(root)
    )
    cards, ports = read_details(smi, tool, chips, gather)
    add_processes(chips, gather)
    names = {chip["name"] for chip in chips}
    return {
        **npu,
        **table,
        **running_versions(cards),
        "cards": cards if "versions" in gather else None,
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
