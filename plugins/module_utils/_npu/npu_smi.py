# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what npu-smi prints and what the driver's version files hold.

A value that the text does not give is None, never 0, and text of an unknown form gives no chip rather than a guessed one.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator

Chip = Dict[str, Any]  # see chip()

NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
IDS = re.compile(r"\d{1,9}(?:\s+\d{1,9})?", re.ASCII)
USAGE = re.compile(
    r"([^\s/]+)\s*/\s*([^\s/]+)"
)  # the blanks around the slash vary: `0    / 0`, `35738/ 65536`
VERSION = re.compile(r"npu-smi\s+\S+\s+Version:\s*(\S+)")
FIELD = re.compile(r"^\s*(\S.*?)\s*:(?:\s+(.*?))?\s*$")
MAP_COLUMNS = re.compile(r"NPU ID|Slot ID|Device ID|Chip ID|Chip Logic ID|Chip Phy-ID|Chip Name")
SECOND_IDS = {"Phy-ID": "phy_id", "Device": "logic_id"}
NOTHING = ("", "-", "NA", "N/A")

# What the tools say when the driver does not work: (pattern, cause, remedy). The first that fits counts.
NO_DRIVER = "The NPU driver is not installed, or not where npu-smi is looked for."
INSTALL = "Install the Ascend HDK driver and firmware and reboot; if npu-smi is elsewhere, link it into /usr/local/bin."
REINSTALL = "Read dmesg; reboot the host; reinstall the driver for the running kernel (uname -r)."
ERRORS = [
    (
        r"-8020\b|device is used",
        "The NPUs are held by another container or virtual machine (dcmi -8020).",
        "Find and stop it (docker ps, on the virtualisation host if this is a guest), then run again.",
    ),
    (
        r"-8005\b",
        "The driver is installed but does not work (dcmi -8005): no reboot after an upgrade, not built for the running kernel, or the user is not root.",
        "Run as root (become); reboot the host; if it stays, reinstall the driver for the running kernel (uname -r) and read dmesg.",
    ),
    (
        r"-8002\b|[Pp]ermission denied",
        "The user may not talk to the NPU driver.",
        "Run as root (become).",
    ),
    (
        r"-8006\b|no answer within",
        "The driver does not answer: a chip or the driver hangs.",
        "Read dmesg; reset the chip (npu-smi set -t reset) or power-cycle the host.",
    ),
    (
        r"-800[78]\b",
        "The driver does not know the device (dcmi -8007 or -8008).",
        "Look for the card on the PCI bus (lspci -d 19e5:); reboot the host; reseat or replace the card.",
    ),
    (
        r"-8009\b",
        "The call into the driver's kernel module failed (dcmi -8009).",
        REINSTALL,
    ),
    (
        r"-8012\b",
        "The device is not ready yet (dcmi -8012).",
        "Wait until the chips have started (a minute after boot), then run again.",
    ),
    (
        r"-8013\b",
        "The call is not possible in a container (dcmi -8013).",
        "Make the host itself the target of the inventory, not a container on it.",
    ),
    (
        r"-8017\b",
        "The firmware is being upgraded (dcmi -8017).",
        "Wait until the upgrade has ended, reboot the host, then run again.",
    ),
    (
        r"-99998\b",
        "The driver is too old for this npu-smi: a function is missing (dcmi -99998).",
        "Upgrade the driver; npu-smi and driver must come from the same package.",
    ),
    (
        r"-99999\b|error while loading shared libraries",
        "The driver's libraries cannot be loaded.",
        "Reinstall the driver; see that its lib64 folder is in /etc/ld.so.conf.d and run ldconfig.",
    ),
    (
        r"dcmi (module|model) initiali|DrvMng\w+ failed",
        "The driver is installed but does not work.",
        REINSTALL,
    ),
    (
        r"[Cc]ommand not found|No such file or directory",
        NO_DRIVER,
        INSTALL,
    ),
]


def explain(text: str) -> dict[str, str] | None:
    """Return cause and remedy of the driver error in *text*; None if there is none that is known."""
    for pattern, cause, remedy in ERRORS:
        if re.search(pattern, text):
            return {"cause": cause, "text": text.strip(), "remedy": remedy}
    return None


def chip(npu_id: int, chip_id: int, **known: Any) -> Chip:
    """Return a chip of which nothing is known but its ids and *known*."""
    unknown = dict.fromkeys((
        "phy_id", "logic_id", "name", "health", "bus_id", "power_w", "temperature_c", "aicore_percent", "memory_used_mb", "memory_total_mb",
        "hbm_used_mb", "hbm_total_mb", "error_code", "error_text", "processes",
    ))  # fmt: skip
    return dict({"npu_id": npu_id, "chip_id": chip_id}, **dict(unknown, **known))


def device(one: Chip) -> int:
    """Return the N of the chip's /dev/davinciN, which is also the one that hccn_tool takes."""
    for key in ("phy_id", "npu_id" if one["chip_id"] == 0 else "logic_id"):
        if one[key] is not None:
            return int(one[key])
    return int(one["npu_id"])


def parse_info(text: str) -> list[Chip]:
    """Return the chips of the table of ``npu-smi info``, each with its processes.

    A chip has two rows of three cells (the card's, then the chip's own), a process one row of four. Cells are told
    apart by their bars: widths differ between versions, and cells move when a value is long or masked.
    """
    chips = {}  # type: dict[tuple[int, int], Chip]
    card, columns = None, []  # type: dict[str, Any] | None, list[str]
    for cells in _rows(text):
        if len(cells) == 3:
            if "Chip" in cells[0]:
                columns = cells[0].split()
            elif card and columns and IDS.fullmatch(cells[0]) and len(cells[0].split()) == len(columns):
                one = _chip(card, cells, columns)
                chips.setdefault((one["npu_id"], one["chip_id"]), one)
                card = None
                continue
            card = _card(cells)
            continue
        card = None
        if len(cells) == 4 and IDS.fullmatch(cells[0]):
            ids = tuple(int(number) for number in cells[0].split())
            if len(ids) == 2 and ids in chips:
                chips[ids]["processes"].append(
                    {"pid": _integer(cells[1]), "name": _text(cells[2]), "memory_mb": _integer(cells[3])}
                )
    return list(chips.values())


def parse_version(text: str) -> str | None:
    """Return the version that the header of ``npu-smi info`` gives."""
    match = VERSION.search(text)
    return match.group(1) if match else None


def parse_mapping(text: str) -> list[Chip]:
    """Return the chips that ``npu-smi info -m`` lists: those with a logic id, which the management controllers (Mcu) have not.

    A row that does not fit the columns makes the whole list worthless: values may have moved in all of them.
    """
    chips, columns = [], []  # type: list[Chip], list[str]
    for line in filter(str.strip, text.splitlines()):
        found = MAP_COLUMNS.findall(line)
        if "NPU ID" in found and "Chip ID" in found:
            columns = found
            continue
        if not columns:
            continue
        values = line.split(None, max(len(columns) - 1, 0))
        row = dict(zip(columns, values))
        npu_id, chip_id = _integer(row.get("NPU ID")), _integer(row.get("Chip ID"))
        if (
            len(values) != len(columns)
            or npu_id is None
            or chip_id is None
            or not row.get("Chip Name", "")[:1].isalpha()
        ):
            return []
        logic_id, phy_id = _integer(row.get("Chip Logic ID")), _integer(row.get("Chip Phy-ID"))
        if (logic_id, phy_id) != (None, None):
            chips.append(
                chip(npu_id, chip_id, logic_id=logic_id, phy_id=phy_id, name=_model(row["Chip Name"]))
            )
    return chips


def parse_list(text: str) -> list[Chip]:
    """Return the chips that ``npu-smi info -l`` lists; none of a list that is not whole."""
    cards, total, npu_id = {}, None, None  # type: dict[int, int | None], int | None, int | None
    for key, value in _fields(text):
        if key in ("Total Count", "Card Count"):
            total = _integer(value)
        elif key == "NPU ID":
            npu_id = _integer(value)
        elif key == "Chip Count" and npu_id is not None:
            cards[npu_id] = _integer(value)
            npu_id = None
    return (
        [chip(card, chip_id) for card, count in cards.items() for chip_id in range(count or 0)]
        if len(cards) == total
        else []
    )


def complete(chips: list[Chip], listed: list[Chip]) -> list[Chip]:
    """Return *chips* with the ids that *listed* adds, and with the chips of which the table has no readable row."""
    known = {(one["npu_id"], one["chip_id"]): one for one in chips}
    for other in listed:
        one = known.setdefault((other["npu_id"], other["chip_id"]), other)
        one.update({key: other[key] for key in ("logic_id", "phy_id", "name") if one[key] is None})
    return [known[ids] for ids in sorted(known)]


def parse_board(text: str) -> dict[str, str | None]:
    """Return the running versions of ``npu-smi info -t board``."""
    fields = dict(_fields(text))
    return {
        "driver_version": fields.get("Software Version"),
        "firmware_version": fields.get("Firmware Version"),
        "compatibility": fields.get("Compatibility"),
    }


def parse_health(text: str) -> dict[str, str]:
    """Return what ``npu-smi info -t health`` says of a chip, without what it does not say."""
    fields = dict(_fields(text))
    answers = {
        "health": fields.get("Health Status"),
        "error_code": fields.get("Error Code"),
        "error_text": fields.get("Error Information"),
    }
    return {key: value for key, value in answers.items() if value is not None}


def parse_assignments(text: str) -> dict[str, str]:
    """Return the KEY=VALUE lines of a version.info, /etc/ascend_install.info or /etc/hccn.conf."""
    return {
        key.strip(): value.strip()
        for key, found, value in (line.partition("=") for line in text.splitlines())
        if found
    }


def package_version(version_info: str) -> str | None:
    """Return the version of the HDK package that a version.info belongs to.

    Packages older than 25.x write no package_version; the driver's Version= is the same there. The firmware's is
    another number altogether (7.x), and its file always has both.
    """
    values = parse_assignments(version_info)
    return values.get("package_version") or values.get("Version") or None


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table; separators are rows of no cell."""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("+"):
            yield []
        elif len(line) > 1 and line.startswith("|") and line.endswith("|"):
            yield [cell.strip() for cell in line[1:-1].split("|")]


def _card(cells: list[str]) -> dict[str, Any] | None:
    """Return what the first row of a chip says: `0     910B2 | OK | 88.8        34                0    / 0`."""
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
    """Return the chip of a card's row and its own row: `0 | 0000:C1:00.0 | 0           0    / 0          3403 / 65536`."""
    ids = [int(number) for number in cells[0].split()]
    usages = [(_integer(used), _integer(total)) for used, total in USAGE.findall(cells[2])]
    readings = USAGE.sub("", cells[2]).split()
    memory, hbm = (usages + [(None, None)] * 2)[:2]
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
    """Return the name as the table of ``npu-smi info`` has it; ``-m`` says `Ascend 910B2` for `910B2`."""
    return _text(re.sub(r"^Ascend\s+", "", name.strip()))


def _integer(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,9}", value, re.ASCII) else None


def _number(value: str) -> float | None:
    return float(value) if NUMBER.fullmatch(value) else None
