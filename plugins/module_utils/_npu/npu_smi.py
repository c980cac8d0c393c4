# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the output of npu-smi and the driver's version files.

A value that the text does not contain is None, never 0. Text of an unknown layout gives no chip, not a guess.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

Chip = Dict[str, Any]  # see chip()

NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
IDS = re.compile(r"\d{1,9}(?:\s+\d{1,9})?", re.ASCII)
USAGE = re.compile(r"([^\s/]+)\s*/\s*([^\s/]+)")  # `0    / 0`, `35738/ 65536`
VERSION = re.compile(r"npu-smi\s+\S+\s+Version:\s*(\S+)")
FIELD = re.compile(r"^\s*(\S.*?)\s*:(?:\s+(.*?))?\s*$")
MAP_COLUMNS = re.compile(r"NPU ID|Slot ID|Device ID|Chip ID|Chip Logic ID|Chip Phy-ID|Chip Name")
SECOND_IDS = {"Phy-ID": "phy_id", "Device": "logic_id"}
NOTHING = ("", "-", "NA", "N/A")
READINGS = (
    "phy_id", "logic_id", "name", "health", "bus_id", "power_w", "temperature_c", "aicore_percent",
    "memory_used_mb", "memory_total_mb", "hbm_used_mb", "hbm_total_mb", "error_code", "error_text",
    "processes",
)  # fmt: skip

EXPECTED = "npu-smi info shows the chips"
NO_DRIVER = "the NPU driver is not installed, or npu-smi is in an unusual place"
INSTALL = (
    "Install the Ascend HDK driver and firmware and reboot. "
    "If npu-smi is elsewhere, link it to /usr/local/bin"
)
REINSTALL = "Read dmesg, reboot the host, reinstall the driver for the running kernel (uname -r)"


class DriverError(NamedTuple):
    """What the output of a tool means if it matches a pattern."""

    pattern: str
    cause: str
    remedy: str


ERRORS = (  # the first match counts
    DriverError(
        r"-8020\b|device is used",
        "the NPUs are in use by another container or virtual machine (dcmi -8020)",
        "Find and stop it (docker ps; on the virtualization host if this is a guest), then run again",
    ),
    DriverError(
        r"-8005\b",
        "the driver is installed but does not work (dcmi -8005): no reboot after an upgrade, a driver that "
        "was not built for the running kernel, or a user other than root",
        "Run as root (become) and reboot the host. If it stays, reinstall the driver for the running kernel "
        "(uname -r) and read dmesg",
    ),
    DriverError(
        r"-8002\b|[Pp]ermission denied",
        "the user is not allowed to use the NPU driver",
        "Run as root (become)",
    ),
    DriverError(
        r"-8006\b|no answer within",
        "the driver does not answer: a chip or the driver hangs",
        "Read dmesg. Reset the chip (npu-smi set -t reset), or power-cycle the host",
    ),
    DriverError(
        r"-800[78]\b",
        "the driver does not find the device (dcmi -8007 or -8008)",
        "Look for the card on the PCI bus (lspci -d 19e5:), reboot the host, reseat or replace the card",
    ),
    DriverError(r"-8009\b", "the call into the driver's kernel module failed (dcmi -8009)", REINSTALL),
    DriverError(
        r"-8012\b",
        "the device is not ready yet (dcmi -8012)",
        "Wait until the chips have started, about a minute after boot, then run again",
    ),
    DriverError(
        r"-8013\b",
        "the call is not possible in a container (dcmi -8013)",
        "Use the host itself in the inventory, not a container on it",
    ),
    DriverError(
        r"-8017\b",
        "a firmware upgrade is in progress (dcmi -8017)",
        "Wait until the upgrade has ended, reboot the host, then run again",
    ),
    DriverError(
        r"-99998\b",
        "the driver is too old for this npu-smi: a function is missing (dcmi -99998)",
        "Upgrade the driver. npu-smi and driver must be of the same package",
    ),
    DriverError(
        r"-99999\b|error while loading shared libraries",
        "the driver's libraries cannot be loaded",
        "Reinstall the driver. Make sure that its lib64 folder is in /etc/ld.so.conf.d, and run ldconfig",
    ),
    DriverError(
        r"dcmi (module|model) initiali|DrvMng\w+ failed",
        "the driver is installed but does not work",
        REINSTALL,
    ),
    DriverError(r"[Cc]ommand not found|No such file or directory", NO_DRIVER, INSTALL),
)


def explain(text: str) -> dict[str, str] | None:
    """Return cause and remedy of the driver error in *text*; None for any other text."""
    for error in ERRORS:
        if re.search(error.pattern, text):
            return {"cause": error.cause, "text": text.strip(), "remedy": error.remedy}
    return None


def problem(error: Mapping[str, str]) -> Problem:
    """Return the problem of a driver error with cause, text and remedy."""
    lines = [line.strip() for line in error["text"].splitlines() if line.strip()]
    found = f"{error['cause']}. The tool printed: {' / '.join(lines) or 'nothing'}"
    return Problem(found.rstrip("."), EXPECTED, error["remedy"])


def chip(npu_id: int, chip_id: int, **readings: Any) -> Chip:
    """Return a chip with these readings; all others are None."""
    return {"npu_id": npu_id, "chip_id": chip_id, **dict.fromkeys(READINGS), **readings}


def device(one: Chip) -> int:
    """Return the N of the chip's /dev/davinciN. hccn_tool takes it as well."""
    second = "npu_id" if one["chip_id"] == 0 else "logic_id"
    for key in ("phy_id", second):
        if one[key] is not None:
            return int(one[key])
    return int(one["npu_id"])


def parse_info(text: str) -> list[Chip]:
    """Return the chips in the table of ``npu-smi info``, each with its processes.

    A chip has two rows of three cells (the card's, then the chip's own), a process has one row of four. Cells
    are split at their bars: widths differ between versions, and cells shift when a value is long or masked.
    """
    chips: dict[tuple[int, ...], Chip] = {}
    card: dict[str, Any] | None = None
    columns: list[str] = []
    for cells in _rows(text):
        if len(cells) == 3 and "Chip" in cells[0]:
            columns = cells[0].split()
        if len(cells) == 3 and card and _is_chip(cells, columns):
            one = _chip(card, cells, columns)
            chips.setdefault((one["npu_id"], one["chip_id"]), one)
            card = None
        elif len(cells) == 3:
            card = _card(cells)
        else:
            card = None
            _add_process(chips, cells)
    return list(chips.values())


def _is_chip(cells: list[str], columns: list[str]) -> bool:
    ids = cells[0].split()
    return bool(columns) and IDS.fullmatch(cells[0]) is not None and len(ids) == len(columns)


def _add_process(chips: dict[tuple[int, ...], Chip], cells: list[str]) -> None:
    """Add the process of a row to its chip, if it is the row of a process."""
    if len(cells) != 4 or not IDS.fullmatch(cells[0]):
        return
    ids = tuple(int(number) for number in cells[0].split())
    if len(ids) == 2 and ids in chips:
        process = {"pid": _integer(cells[1]), "name": _text(cells[2]), "memory_mb": _integer(cells[3])}
        chips[ids]["processes"].append(process)


def parse_version(text: str) -> str | None:
    """Return the version in the header of ``npu-smi info``."""
    match = VERSION.search(text)
    return match.group(1) if match else None


def parse_mapping(text: str) -> list[Chip]:
    """Return the chips that ``npu-smi info -m`` lists. Rows without ids are management controllers (Mcu).

    One row that does not fit the columns makes the whole list worthless: values may have shifted in all rows.
    """
    chips: list[Chip] = []
    columns: list[str] = []
    for line in filter(str.strip, text.splitlines()):
        header = MAP_COLUMNS.findall(line)
        if "NPU ID" in header and "Chip ID" in header:
            columns = header
        elif columns:
            values = line.split(None, len(columns) - 1)
            one = _mapped_chip(dict(zip(columns, values))) if len(values) == len(columns) else None
            if one is None:
                return []
            if (one["logic_id"], one["phy_id"]) != (None, None):
                chips.append(one)
    return chips


def _mapped_chip(row: Mapping[str, str]) -> Chip | None:
    """Return the chip of a row; None if it does not fit the columns."""
    npu_id, chip_id = _integer(row.get("NPU ID")), _integer(row.get("Chip ID"))
    name = row.get("Chip Name", "")
    if npu_id is None or chip_id is None or not name[:1].isalpha():
        return None
    logic_id, phy_id = _integer(row.get("Chip Logic ID")), _integer(row.get("Chip Phy-ID"))
    return chip(npu_id, chip_id, logic_id=logic_id, phy_id=phy_id, name=_model(name))


def parse_list(text: str) -> list[Chip]:
    """Return the chips that ``npu-smi info -l`` lists; none if the list is incomplete."""
    cards: dict[int, int | None] = {}
    total: int | None = None
    npu_id: int | None = None
    for key, value in _fields(text):
        if key in ("Total Count", "Card Count"):
            total = _integer(value)
        elif key == "NPU ID":
            npu_id = _integer(value)
        elif key == "Chip Count" and npu_id is not None:
            cards[npu_id] = _integer(value)
            npu_id = None
    if len(cards) != total:
        return []
    return [chip(card, chip_id) for card, count in cards.items() for chip_id in range(count or 0)]


def complete(chips: list[Chip], listed: list[Chip]) -> list[Chip]:
    """Return *chips* with the ids of the *listed* ones, and those that have no readable row in the table."""
    by_ids = {(one["npu_id"], one["chip_id"]): one for one in chips}
    for other in listed:
        one = by_ids.setdefault((other["npu_id"], other["chip_id"]), other)
        one.update({key: other[key] for key in ("logic_id", "phy_id", "name") if one[key] is None})
    return [by_ids[ids] for ids in sorted(by_ids)]


def parse_board(text: str) -> dict[str, str | None]:
    """Return the running versions in the output of ``npu-smi info -t board``."""
    fields = dict(_fields(text))
    return {
        "driver_version": fields.get("Software Version"),
        "firmware_version": fields.get("Firmware Version"),
        "compatibility": fields.get("Compatibility"),
    }


def parse_health(text: str) -> dict[str, str]:
    """Return the values that ``npu-smi info -t health`` has for a chip."""
    fields = dict(_fields(text))
    values = {
        "health": fields.get("Health Status"),
        "error_code": fields.get("Error Code"),
        "error_text": fields.get("Error Information"),
    }
    return {key: value for key, value in values.items() if value is not None}


def parse_assignments(text: str) -> dict[str, str]:
    """Return the KEY=VALUE lines of a version.info, /etc/ascend_install.info or /etc/hccn.conf."""
    lines = [line.partition("=") for line in text.splitlines()]
    return {key.strip(): value.strip() for key, sign, value in lines if sign}


def package_version(version_info: str) -> str | None:
    """Return the version of the HDK package that a version.info belongs to.

    Packages before 25.x have no package_version; the driver's Version is the same there. The firmware's
    Version is a different number (7.x), and its file always has both.
    """
    values = parse_assignments(version_info)
    return values.get("package_version") or values.get("Version") or None


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table; separators are rows without cells."""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("+"):
            yield []
        elif len(line) > 1 and line.startswith("|") and line.endswith("|"):
            yield [cell.strip() for cell in line[1:-1].split("|")]


def _card(cells: list[str]) -> dict[str, Any] | None:
    """Return the values in the first row of a chip.

    The row is such as `0     910B2 | OK | 88.8        34                0    / 0`.
    """
    npu_id, _blank, name = cells[0].partition(" ")
    if _integer(npu_id) is None or not re.search("[A-Za-z]", name):
        return None
    readings = USAGE.sub("", cells[2]).split()
    power, temperature = readings if len(readings) == 2 else ("", "")
    return {
        "npu_id": int(npu_id),
        "name": _model(name),
        "health": _text(cells[1]),
        "power_w": _number(power),
        "temperature_c": _number(temperature),
    }


def _chip(card: dict[str, Any], cells: list[str], columns: list[str]) -> Chip:
    """Return the chip with the card's values and its own row.

    The row is such as `0 | 0000:C1:00.0 | 0           0    / 0          3403 / 65536`.
    """
    ids = [int(number) for number in cells[0].split()]
    usages = [(_integer(used), _integer(total)) for used, total in USAGE.findall(cells[2])]
    memory, hbm = [*usages, (None, None), (None, None)][:2]
    readings = USAGE.sub("", cells[2]).split()
    one = chip(
        chip_id=ids[0],
        bus_id=_text(cells[1]),
        aicore_percent=_number(readings[0]) if len(readings) == 1 else None,
        processes=[],
        **card,
    )
    one.update(memory_used_mb=memory[0], memory_total_mb=memory[1], hbm_used_mb=hbm[0], hbm_total_mb=hbm[1])
    second_id = SECOND_IDS.get(columns[-1])
    if second_id:
        one[second_id] = ids[1]
    return one


def _fields(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield key and value of `Key : value` lines."""
    for line in text.splitlines():
        match = FIELD.match(line)
        if match:
            yield match.group(1), _text(match.group(2))


def _text(value: str | None) -> str | None:
    return None if value is None or value in NOTHING else value


def _model(name: str) -> str | None:
    """Return the name as in the table of ``npu-smi info``; ``-m`` has `Ascend 910B2` for `910B2`."""
    return _text(re.sub(r"^Ascend\s+", "", name.strip()))


def _integer(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,9}", value, re.ASCII) else None


def _number(value: str) -> float | None:
    return float(value) if NUMBER.fullmatch(value) else None
