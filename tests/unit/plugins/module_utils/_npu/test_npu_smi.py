# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import npu_smi
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[2] / "fixtures" / "npu"
TABLES = {
    name: (FIXTURES / f"{name}_info.txt").read_text(encoding="utf-8") for name in ("a2_guest", "a3", "310p")
}
LISTS = {
    name: (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")
    for name in ("a2_mapping", "a3_mapping", "old_list")
}


def text(name: str) -> str:
    return (FIXTURES / name).read_text(encoding="utf-8")


def ids(chips: list[npu_smi.Chip]) -> list[tuple[int, int]]:
    return [(chip["npu_id"], chip["chip_id"]) for chip in chips]


# The table


def test_a_guest_with_other_ids_shifted_cells_and_masked_values():
    first, second = npu_smi.parse_info(TABLES["a2_guest"]).chips
    assert first == npu_smi.chip(
        4, 0, name="910B2", health="OK", bus_id="0000:81:00.0", power_w=101.6, temperature_c=41.0, aicore_percent=87.0,
        memory_used_mb=0, memory_total_mb=0, hbm_used_mb=60185, hbm_total_mb=65536,
        processes=[{"pid": 88123, "name": None, "memory_mb": 28410}, {"pid": 88124, "name": "VLLMWorker_TP", "memory_mb": 28390}],
    )  # fmt: skip
    assert second == npu_smi.chip(
        5,
        0,
        name="910B2",
        health="Warning",
        temperature_c=44.0,
        memory_used_mb=0,
        memory_total_mb=0,
        hbm_total_mb=65536,
        processes=[],
    )
    assert npu_smi.parse_info(TABLES["a2_guest"]).tool_version == "25.2.0"


def test_two_dies_a_card():
    chips = npu_smi.parse_info(TABLES["a3"]).chips
    assert ids(chips) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [chip["phy_id"] for chip in chips] == npu_smi.devices(chips, set()) == [0, 1, 2, 3]
    assert [chip["health"] for chip in chips] == ["OK", "OK", "OK", "Alarm"]
    assert [chip["power_w"] for chip in chips] == [178.8, None, 185.4, None]
    assert [chip["hbm_used_mb"] for chip in chips] == [3421, 3193, 33415, 3188]
    assert [[process["pid"] for process in chip["processes"]] for chip in chips] == [[], [], [4711], []]


def test_chips_without_hbm():
    chips = npu_smi.parse_info(TABLES["310p"]).chips
    assert ids(chips) == [(8, 0), (8, 1)]
    assert [chip["logic_id"] for chip in chips] == [0, 1]
    assert [
        (chip["memory_used_mb"], chip["memory_total_mb"], chip["hbm_used_mb"], chip["hbm_total_mb"])
        for chip in chips
    ] == [
        (1304, 43693, None, None),
        (1377, 43693, None, None),
    ]


@pytest.mark.parametrize(
    "table", ["", "npu-smi: not found", "+---+\n| NPU |\n+---+", TABLES["a2_guest"].replace("|", " ")]
)
def test_what_is_no_table_gives_no_chip(table: str):
    assert npu_smi.parse_info(table).chips == []


# Other answers


def test_the_mapping_gives_logic_ids_and_no_management_controllers():
    chips = npu_smi.parse_mapping(LISTS["a2_mapping"])
    assert [(chip["npu_id"], chip["logic_id"], chip["phy_id"], chip["name"]) for chip in chips] == [
        (4, 0, None, "910B2"),
        (5, 1, None, "910B2"),
        (6, 2, None, "910B2"),
    ]


def test_the_mapping_gives_physical_ids():
    chips = npu_smi.parse_mapping(LISTS["a3_mapping"])
    assert ids(chips) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [chip["phy_id"] for chip in chips] == [0, 1, 2, 3]
    assert {chip["name"] for chip in chips} == {"Ascend910"}


def test_the_list_of_an_old_tool():
    assert ids(npu_smi.parse_list(LISTS["old_list"])) == [(0, 0), (1, 0), (1, 1)]


def test_a_chip_that_the_table_does_not_show_is_added():
    chips = npu_smi.complete(
        npu_smi.parse_info(TABLES["a2_guest"]).chips, npu_smi.parse_mapping(LISTS["a2_mapping"])
    )
    assert ids(chips) == [(4, 0), (5, 0), (6, 0)]
    assert [chip["logic_id"] for chip in chips] == [0, 1, 2]
    assert [chip["health"] for chip in chips] == ["OK", "Warning", None]
    for nodes, numbers in (({4, 5, 6}, [4, 5, 6]), ({0, 1, 2}, [0, 1, 2]), (set(), [4, 5, 6])):
        assert npu_smi.devices(chips, nodes) == numbers


def test_board_and_health():
    assert npu_smi.parse_board(text("board.txt")) == {
        "driver_version": "25.2.1",
        "firmware_version": "7.7.0.6.236",
        "compatibility": "OK",
    }
    assert npu_smi.parse_board("") == {
        "driver_version": None,
        "firmware_version": None,
        "compatibility": None,
    }
    assert npu_smi.parse_health(text("health.txt")) == {
        "health": "Alarm",
        "error_code": "80E01801",
        "error_text": "node type=SOC, sensor type=Temperature",
    }
    assert npu_smi.parse_health(
        "        Health Status                  : OK\n        Error Code                     : NA\n"
    ) == {"health": "OK"}


@pytest.mark.parametrize(
    ("name", "version", "package"),
    [
        ("driver_version.info", "25.2.1", "25.2.1"),
        ("driver_version_24.info", "24.1.rc1", "24.1.rc1"),
        ("firmware_version.info", "7.7.0.6.236", "25.2.1"),
    ],
)
def test_version_files(name: str, version: str, package: str):
    assert npu_smi.parse_assignments(text(name))["Version"] == version
    assert npu_smi.package_version(text(name)) == package
    assert npu_smi.package_version("") is None


DRIVER_ERRORS = (
    "DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\ndcmi module initialize failed. ret is -8005",
    "dcmi model initialized failed, because the device is used. ret is -8020",
    "dcmi module initialize failed. ret is -8017",
    "dcmi module initialize failed. ret is -4",
    "npu get board type failed. ret is -9005",
    "Failed to get device type.\nFailed to query card chip total info.\nFailed to query card total info.",
    "Failed to get card number.",
    "There is no NPU card on this server.",
    "Failed to execute npu-smi info. ret is -8255.",
    "npu-smi: error while loading shared libraries: libdrvdsmi_host.so: cannot open shared object file",
    "npu-smi info: no answer within 30 s",
    "bash: npu-smi: command not found",
    "/usr/local/bin/npu-smi: Exec format error",
    "/usr/local/bin/npu-smi: No such file or directory",
)


@pytest.mark.parametrize("said", DRIVER_ERRORS)
def test_errors_of_the_driver_are_explained(said: str):
    explained = npu_smi.explain(said + "\n")
    assert explained["text"] == said
    assert explained["cause"]
    assert explained["remedy"]


def test_golden_messages(golden):
    explained = {said: npu_smi.explain(said) for said in DRIVER_ERRORS}
    golden(
        "npu_smi",
        {said: f"Found: {error['cause']}.\nRemedy: {error['remedy']}." for said, error in explained.items()},
    )


def test_a_healthy_table_has_no_error():
    assert npu_smi.explain(TABLES["a3"]) is None


# Whatever the text, no traceback and no chip that is not there


def lines_lost(lines: list[str], keep: list[bool]) -> list[str]:
    return [line for line, kept in zip(lines, keep, strict=False) if kept]


@st.composite
def damaged(draw: st.DrawFn, original: str) -> str:
    """Draw what becomes of a table: lines lost, the rest cut off, wrapped to another width, or letters and bars overwritten (no digit made)."""
    lines = original.splitlines()
    how = draw(st.sampled_from(["lines", "cut", "wrap", "letters"]))
    if how == "lines":
        return "\n".join(
            lines_lost(lines, draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines))))
        )
    if how == "cut":
        return original[: draw(st.integers(0, len(original)))]
    if how == "wrap":
        width = draw(st.integers(1, 130))
        return "\n".join(
            line[start : start + width] for line in lines for start in range(0, len(line), width)
        )
    letters = list(original)
    for place in draw(st.lists(st.integers(0, len(letters) - 1), max_size=40)):
        letters[place] = draw(
            st.sampled_from([" ", "|", "+", "/", "-", ":", "x", "\t", "\n", "\u0663", "\x00"])
        )
    return "".join(letters)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_cut_off_gives_no_other_value(name: str):
    whole = {(one["npu_id"], one["chip_id"]): one for one in npu_smi.parse_info(TABLES[name]).chips}
    for end in range(len(TABLES[name])):
        table = npu_smi.parse_info(TABLES[name][:end])
        for one in table.chips:
            its = {**whole[one["npu_id"], one["chip_id"]], "processes": one["processes"]}
            assert one == its


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_a_damaged_table_gives_no_chip_that_is_not_there(name: str, data: st.DataObject):
    chips = npu_smi.parse_info(data.draw(damaged(TABLES[name]))).chips
    assert set(ids(chips)) <= set(ids(npu_smi.parse_info(TABLES[name]).chips))
    assert len(ids(chips)) == len(set(ids(chips)))


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("a2_mapping", npu_smi.parse_mapping),
        ("a3_mapping", npu_smi.parse_mapping),
        ("old_list", npu_smi.parse_list),
    ],
)
@given(data=st.data())
def test_a_damaged_list_gives_no_chip_that_is_not_there(name: str, parse, data: st.DataObject):
    assert set(ids(parse(data.draw(damaged(LISTS[name]))))) <= set(ids(parse(LISTS[name])))


@given(st.text())
def test_any_text_is_read_without_an_error(anything: str):
    assert npu_smi.parse_info(anything).chips == []
    for parse in (npu_smi.parse_mapping, npu_smi.parse_list, npu_smi.parse_board, npu_smi.parse_health,
                  npu_smi.parse_assignments, npu_smi.package_version, npu_smi.explain):  # fmt: skip
        parse(anything)


# What changes between versions

PROCESSES = """
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 0     910B2               | OK            | 92.9        45                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3395 / 65536         |
| 1     910B2               | OK            | 92.9        45                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3395 / 65536         |
| NPU     Chip              | Process memory(MB)      | Process id    | Process name             | A new column |
| 0       0                 | 31747                   | 6513          | python                   | NA           |
"""


def test_columns_of_processes_are_found_by_their_header():
    table = npu_smi.parse_info(PROCESSES)
    assert table.chips[0]["processes"] == [{"pid": 6513, "name": "python", "memory_mb": 31747}]
    assert (table.chips[1]["processes"], table.unreadable) == ([], [])


@pytest.mark.parametrize(
    ("row", "processes"),
    [
        ("| 0       0                 | 31747 |", [None, []]),
        ("| ?  | 31747 | 6513 | python | NA |", [None, None]),
    ],
)
def test_a_process_that_cannot_be_read_is_not_left_out(row: str, processes: list[Any]):
    table = npu_smi.parse_info(PROCESSES.rsplit("\n", 2)[0] + "\n" + row)
    assert [chip["processes"] for chip in table.chips] == processes
    assert len(table.unreadable) == 1


@pytest.mark.parametrize(
    ("cell", "ids"), [("3       1", (3, 1)), ("3       0", (3, 0)), ("3", (3, 0)), ("No running", (-1, -1))]
)
def test_the_ids_of_a_process_are_those_of_its_card_and_chip(cell: str, ids: tuple[int, int]):
    assert npu_smi._ids(cell) == ids


def test_a_process_that_is_cut_off_is_not_left_out():
    for end in range(-24, 0):
        table = npu_smi.parse_info(PROCESSES[: end - 1])
        assert (table.chips[0]["processes"], len(table.unreadable)) == (None, 1)


@pytest.mark.parametrize("text", [PROCESSES * 2, PROCESSES.replace("\n", "\r\n")])
def test_a_table_that_is_doubled_or_has_other_ends_of_lines(text: str):
    assert npu_smi.parse_info(text) == npu_smi.parse_info(PROCESSES)


def test_without_the_table_of_processes_there_is_no_list():
    table = npu_smi.parse_info(PROCESSES.split("| NPU     Chip")[0])
    assert [chip["processes"] for chip in table.chips] == [None, None]
