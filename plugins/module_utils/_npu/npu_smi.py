# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the output of npu-smi and the driver's version files.

A value that the text does not contain is None, never 0. Text of an unknown layout gives no chip, not a guess.
The layouts and the texts of errors are those of npu-smi's source: github.com/hicann/driver,
src/custom/dev_prod/user/npucli.
"""

from __future__ import annotations

import re
from typing import AbstractSet, Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

Chip = Dict[str, Any]  # see chip()

NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
IDS = re.compile(r"\d{1,9}(?:\s+\d{1,9})?", re.ASCII)
USAGE = re.compile(r"([^\s/]+)\s*/\s*([^\s/]+)")  # `0    / 0`, `35738/ 65536`
VERSION = re.compile(r"npu-smi\s+(\S+)\s+Version:\s*([^\s|]+)")
FIELD = re.compile(r"^\s*([^\s:].*?)\s*:(?:\s+(.*?))?\s*$")
MORE = re.compile(r"^\s*:\s+(.*?)\s*$")  # a further line of the value above
UNREADABLE = "cannot read the row"  # begins a warning
INCOMPLETE = re.compile(r"may not be completely installed")
MAP_COLUMNS = re.compile(r"NPU ID|Slot ID|Device ID|Chip ID|Chip Logic ID|Chip Phy-ID|Chip Name")
SECOND_IDS = {"Phy-ID": "phy_id", "Device": "logic_id"}
SIZES = {"Memory-Usage": "memory", "HBM-Usage": "hbm"}
PROCESS_COLUMNS = {"Process id": "pid", "Process name": "name", "Process memory(MB)": "memory_mb"}
NO_PROCESS = "No running processes found"
NOTHING = ("", "-", "NA", "N/A")
READINGS = (
    "phy_id", "logic_id", "device", "name", "health", "bus_id", "power_w", "temperature_c", "aicore_percent",
    "memory_used_mb", "memory_total_mb", "hbm_used_mb", "hbm_total_mb", "error_code", "error_text",
    "processes",
)  # fmt: skip

EXPECTED = "npu-smi info shows the chips"
NO_DRIVER = "the NPU driver is not installed, or npu-smi is in an unusual place"
INSTALL = (
    "Install the Ascend HDK driver and firmware and reboot. "
    "If npu-smi is elsewhere, link it to /usr/local/bin"
)
LOOK = (
    "Look for the cards on the PCI bus (lspci -d 19e5:) and read dmesg. Reboot or power-cycle the host, reseat or "
    "replace the card"
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
        "Run as root (become) and reboot the host. If the error persists, reinstall the driver for the running kernel "
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
        LOOK,
    ),
    DriverError(r"-8009\b", "the call into the driver's kernel module failed (dcmi -8009)", REINSTALL),
    DriverError(
        r"-801[01]\b",
        "a chip does not answer the driver (dcmi -8010 or -8011)",
        "Read dmesg. Reset the chip (npu-smi set -t reset), or power-cycle the host",
    ),
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
        "Write the driver's folders lib64, lib64/common and lib64/driver to /etc/ld.so.conf.d/ascend_driver_so.conf, "
        "and run ldconfig: Ansible does not have the LD_LIBRARY_PATH of a login shell. If the library is in none of "
        "them, reinstall the driver",
    ),
    DriverError(
        r"Exec format error",
        "npu-smi was built for another architecture",
        "Install the driver package for the architecture of this host (uname -m)",
    ),
    DriverError(
        r"-9005\b|npu get board type failed",
        "no chip is ready: all are still starting, have failed to start, or are not passed to this virtual machine "
        "or container",
        "Wait a minute after boot and run again. If the error persists, read dmesg and power-cycle the host. In a virtual "
        "machine, check which chips are passed to it",
    ),
    DriverError(
        r"Failed to get device type|Failed to query card (chip )?total info|npu_get_card_device_id failed",
        "one card does not answer, and npu-smi then does not show the others either",
        "Find the card: `npu-smi info -t board -i N` fails for it alone. " + LOOK,
    ),
    DriverError(
        r"Failed to get card number|There is no NPU card",
        "the driver works and finds no card",
        LOOK,
    ),
    DriverError(
        r"-8255\b",
        "npu-smi does not support this card, or not in this environment (dcmi -8255)",
        "Install the driver package for this card, and use the host itself in the inventory",
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


def devices(chips: Sequence[Chip], nodes: AbstractSet[int]) -> list[int]:
    """Return the N of each chip's /dev/davinciN, which hccn_tool takes as well. *nodes* are the N that there are.

    The tables of A3 and 310P have a column for it. Else it is the id of the card. That is the number of its slot
    (dcmi_init_for_server.c), which in virtual machines and on hosts with PCIe cards may be that of no node. Then it is
    the logical id.
    """
    numbers = [_device(one) for one in chips]
    logical = [one["logic_id"] for one in chips]
    return logical if nodes >= set(logical) and not nodes >= set(numbers) else numbers


def _device(one: Chip) -> int:
    second = "npu_id" if one["chip_id"] == 0 else "logic_id"
    for key in ("device", "phy_id", second):
        if one[key] is not None:
            return int(one[key])
    return int(one["npu_id"])


class Table(NamedTuple):
    """What ``npu-smi info`` printed."""

    chips: list[Chip]
    unreadable: list[str]  # rows that do not fit their columns
    messages: list[str]  # lines before, between and after the tables
    tool_version: str | None
    driver_version: str | None


def parse_info(text: str) -> Table:
    """Return the chips in the table of ``npu-smi info``, each with its processes.

    A chip has two rows (the card's, then the chip's own), a process has one. Cells are split at their bars: widths
    differ between versions, and cells shift when a value is long or masked. What a cell means is taken from the
    header: 26.x has a fifth column for processes, A3 and 310P have a second id, 950 has the name in a column of its
    own. The processes of a chip are None if there is no table of them, or if one of its rows cannot be read.
    """
    reader = _Reader()
    for line in text.splitlines():
        reader.read(line.strip())
    version = VERSION.search(text)
    return Table(
        list(reader.chips.values()),
        reader.unreadable,
        reader.messages,
        *(version.groups() if version else (None, None)),
    )


class _Reader:
    """Reads ``npu-smi info`` line by line."""

    def __init__(self) -> None:
        self.chips: dict[tuple[int, ...], Chip] = {}
        self.unreadable: list[str] = []
        self.messages: list[str] = []
        self._card: dict[str, Any] | None = None
        self._columns: list[str] = []  # of ids, in the rows of chips
        self._cells = 0  # in a row of a chip
        self._sizes: list[str] = []
        self._process_columns: list[str] = []

    def read(self, line: str) -> None:
        if not line or line.startswith("+"):
            self._end_of_card()
        elif not line.startswith("|"):
            self.messages.append(line)
        elif line == "|" or not line.endswith("|"):  # cut off
            self._lose(line, self.chips if self._process_columns else [])
        else:
            cells = [cell.strip() for cell in line[1:-1].split("|")]
            if not (VERSION.search(line) or self._header(cells)):
                self._row(cells)

    def _header(self, cells: list[str]) -> bool:
        """Take the columns from a row, if it is one of a header."""
        if "Process id" in cells:
            self._process_columns = cells
            for one in self.chips.values():
                one["processes"] = []
        elif "Bus-Id" in cells:
            self._process_columns = []  # if this is the second of two tables
            self._columns = cells[0].split() or ["Chip"]
            self._cells = len(cells)
            self._sizes = [SIZES[name] for name in re.findall("|".join(SIZES), cells[-1])]
        elif "Health" not in cells:
            return False
        return True

    def _row(self, cells: list[str]) -> None:
        if cells[0].startswith(NO_PROCESS):
            return
        if self._process_columns:
            self._process(cells)
        elif self._columns:
            if len(cells) == self._cells == 4:  # 950: the name, and below it nothing, in a column of its own
                cells = [f"{cells[0] or '0'} {cells[1]}".strip(), *cells[2:]]
            self._chip_or_card(cells)

    def _chip_or_card(self, cells: list[str]) -> None:
        if len(cells) == 3 and self._card and _is_chip(cells, self._columns):
            one = _chip(self._card, cells, self._columns, self._sizes)
            self.chips.setdefault((one["npu_id"], one["chip_id"]), one)
            self._card = None
            return
        self._end_of_card()
        self._card = _card(cells) if len(cells) == 3 else None
        if self._card is None:
            self.unreadable.append(" | ".join(cells))

    def _end_of_card(self) -> None:
        """Note a card whose second row is missing."""
        if self._card is not None:
            self.unreadable.append(f"the row below that of NPU {self._card['npu_id']}")
        self._card = None

    def _process(self, cells: list[str]) -> None:
        """Add the process of a row to its chip. If the row cannot be read, the chip has no list of processes."""
        ids = _ids(cells[0])
        row = dict(zip(self._process_columns, cells))
        process: dict[str, Any] = {key: _text(row.get(name)) for name, key in PROCESS_COLUMNS.items()}
        process.update({key: _integer(process[key]) for key in ("pid", "memory_mb")})
        fits = len(cells) == len(self._process_columns) and process["pid"] is not None and ids in self.chips
        if fits:
            processes = self.chips[ids]["processes"]
            if processes is not None:
                processes.append(process)
            return
        self._lose(" | ".join(cells), [ids] if ids in self.chips else self.chips)

    def _lose(self, row: str, owners: Iterable[tuple[int, ...]]) -> None:
        """Note a row that cannot be read. The chips that it may be about have no list of processes."""
        self.unreadable.append(row)
        for ids in owners:
            self.chips[ids]["processes"] = None


def _ids(cell: str) -> tuple[int, int]:
    """Return card and chip in the first cell of a process; 950 prints the card only. (-1, -1) for other text."""
    if not IDS.fullmatch(cell):
        return -1, -1
    numbers = [int(number) for number in cell.split()]
    return numbers[0], numbers[1] if len(numbers) > 1 else 0


def _is_chip(cells: list[str], columns: list[str]) -> bool:
    ids = cells[0].split()
    return bool(columns) and IDS.fullmatch(cells[0]) is not None and len(ids) == len(columns)


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
        "health": fields.get("Health Status") or fields.get("Health"),  # the latter on 950
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


def _card(cells: list[str]) -> dict[str, Any] | None:
    """Return the values in the first row of a chip.

    The row is such as `0     910B2 | OK | 88.8        34                0    / 0`.
    """
    npu_id, _blank, name = cells[0].partition(" ")
    is_named = re.search("[A-Za-z]", name) or (name and cells[1].isalpha())  # Atlas 300I has the name 310
    if _integer(npu_id) is None or not is_named:
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


def _chip(card: dict[str, Any], cells: list[str], columns: list[str], sizes: list[str]) -> Chip:
    """Return the chip with the card's values and its own row.

    The row is such as `0 | 0000:C1:00.0 | 0           0    / 0          3403 / 65536`.
    """
    ids = [int(number) for number in cells[0].split()]
    readings = USAGE.sub("", cells[2]).split()
    one = chip(
        chip_id=ids[0],
        bus_id=_text(cells[1]),
        aicore_percent=_number(readings[0]) if len(readings) == 1 else None,
        **card,
    )
    for size, (used, total) in zip(sizes, USAGE.findall(cells[2])):
        one.update({f"{size}_used_mb": _integer(used), f"{size}_total_mb": _integer(total)})
    second_id = SECOND_IDS.get(columns[-1])
    if second_id:
        one[second_id] = one["device"] = ids[1]
    return one


def _fields(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield key and value of `Key : value` lines. A value may go on in lines without a key."""
    fields: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        match, more = FIELD.match(line), MORE.match(line)
        if match:
            fields.append((match.group(1), [match.group(2) or ""]))
        elif more and fields:
            fields[-1][1].append(more.group(1))
    for key, values in fields:
        yield key, _text("; ".join(filter(None, values)))


def _text(value: str | None) -> str | None:
    return None if value is None or value in NOTHING else value


def _model(name: str) -> str | None:
    """Return the name as in the table of ``npu-smi info``; ``-m`` has `Ascend 910B2` for `910B2`."""
    return _text(re.sub(r"^Ascend\s+", "", name.strip()))


def _integer(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,9}", value, re.ASCII) else None


def _number(value: str) -> float | None:
    return float(value) if NUMBER.fullmatch(value) else None
