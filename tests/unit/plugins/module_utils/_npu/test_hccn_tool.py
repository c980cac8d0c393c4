# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from actions import Clock
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool
from hypothesis import given
from hypothesis import strategies as st

PORT = (Path(__file__).parents[2] / "fixtures" / "npu" / "hccn_port.txt").read_text(encoding="utf-8")
NOTHING = dict.fromkeys([key for key in hccn_tool.ANSWERS if key != "ipv6"] + ["message"])


def port(text: str) -> dict[str, str | bool | None]:
    return hccn_tool.parse_port(dict.fromkeys(hccn_tool.CALLS, text))


def test_every_answer_is_read():
    assert port(PORT) == {
        "link": "UP",
        "net_health": "Socket failed",
        "ip": "10.20.11.24",
        "netmask": "255.255.0.0",
        "gateway": "10.20.0.1",
        "netdetect": "10.20.0.1",
        "tls": True,
        "lldp_port": "400GE1/1/5:1",
        "vnic": None,
        "vnic_ip": None,
        "message": None,
    }


def test_tls_that_is_off_is_false():
    assert hccn_tool.parse_port(
        {"tls": "dev_id:0, tls switch[0](0:disable, 1:enable), tls preconfigured[1](0:non-preset, 1:preset)"}
    ) == {
        **NOTHING,
        "tls": False,
    }


def test_what_is_not_said_is_none():
    assert port("") == hccn_tool.parse_port({}) == NOTHING
    assert port("Command execute failed!\n") == {**NOTHING, "message": "Command execute failed!"}


def test_what_stands_for_a_missing_value():
    answers = {
        "ip -inet6": "ipv6_address:fd00::1\nprefix_length:64\n",
        "tls": "No certificate found, please set certs firstly!",
    }
    assert hccn_tool.parse_port(answers) == {**NOTHING, "ip": "fd00::1", "tls": False}
    assert hccn_tool.ping("fd00::1") == "-ping -inet6 -g ipv6_address fd00::1"


BUSY = "hccn_tool is busy, please try again later"
LATER = "Get device health status failed!"


class Tool:
    """A tool that prints these texts one after the other, and then the last one again and again."""

    def __init__(self, folder: Path, *texts: str) -> None:
        self._calls = folder / "calls"
        for number, text in enumerate(texts, 1):
            (folder / f"says{number}").write_text(text, encoding="utf-8")
        self.path = folder / "hccn_tool"
        script = """#!/bin/sh
echo "$@" >>{folder}/calls
number=$(wc -l <{folder}/calls)
[ $number -le {last} ] || number={last}
cat {folder}/says$number
"""
        self.path.write_text(script.format(folder=folder, last=len(texts)), encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("texts", "said", "calls", "seconds"),
    [
        (["link status: UP"], "link status: UP", 1, 0),
        ([BUSY, BUSY, "link status: UP"], "link status: UP", 3, 2 * hccn_tool.BUSY_SECONDS),
        ([LATER, "link status: UP"], "link status: UP", 2, hccn_tool.TRY_SECONDS),
        ([LATER], LATER, hccn_tool.TRIES, (hccn_tool.TRIES - 1) * hccn_tool.TRY_SECONDS),
        ([*[BUSY] * 9, LATER, "UP"], "UP", 11, 9 * hccn_tool.BUSY_SECONDS + hccn_tool.TRY_SECONDS),
    ],
)
def test_a_tool_that_is_busy_or_fails_for_a_moment_is_asked_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    said: str,
    calls: int,
    seconds: float,
):
    clock, tool = Clock(), Tool(tmp_path, *texts)
    monkeypatch.setattr(hccn_tool, "time", clock)
    answer = hccn_tool.ask(str(tool.path), 3, "-link -g")
    assert said in answer.text
    assert tool.calls == ["-i 3 -link -g"] * calls
    assert clock.now - Clock().now == pytest.approx(seconds)


def test_a_tool_that_stays_busy_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tool = Tool(tmp_path, BUSY)
    monkeypatch.setattr(hccn_tool, "time", Clock())
    monkeypatch.setattr(
        hccn_tool, "BUSY_SECONDS", 10
    )  # of that clock; a slow machine takes longer to run the tool
    assert BUSY in hccn_tool.ask(str(tool.path), 0, "-link -g", 10 * hccn_tool.BUSY_SECONDS).text
    assert len(tool.calls) in (11, 12)


IP, UP, DOWN = "ipaddr:10.20.11.24\nnetmask:255.255.0.0", "link status: UP", "link status: DOWN"


@pytest.mark.parametrize(
    ("call", "texts", "needed"),
    [
        ("link", {}, True),
        ("tls", {"ip": IP, "link": UP}, True),
        ("ip -inet6", {"ip": IP}, False),
        ("ip -inet6", {"ip": "no address"}, True),
        ("ip -inet6", {}, True),
        ("vnic", {"ip": IP, "link": UP}, False),
        ("vnic", {"ip": IP, "link": DOWN}, True),
        ("vnic", {"ip": IP}, False),
        ("vnic", {"link": UP}, True),
    ],
)
def test_some_calls_are_for_ports_that_roce_may_not_use(call: str, texts: dict[str, str], needed: bool):
    assert hccn_tool.is_needed(call, texts) is needed


@pytest.mark.parametrize(
    ("text", "packets"),
    [
        ("3 packets transmitted, 2 received, 33% packet loss", (3, 2)),
        ("PING\n3 packets transmitted, 0 received", (3, 0)),
        ("Command execute failed!", None),
        ("", None),
    ],
)
def test_the_packets_of_a_ping(text: str, packets: tuple[int, int] | None):
    assert hccn_tool.parse_ping(text) == packets


@pytest.mark.parametrize(
    ("neighbour", "expected"),
    [
        ("Port ID TLV\n\tIfname: 400GE1/1/20:2\nSystem Description TLV\n\tVRP", "400GE1/1/20:2"),
        (
            "Chassis ID TLV\n\tMAC: 00:00:5e:00:53:02\nPort ID TLV\n\tLocal: 510\nTime to Live TLV\n\t120",
            "510",
        ),
        ("Port ID TLV\n\tMAC: 00:00:5e:00:53:02\n", "00:00:5e:00:53:02"),
        ("Port ID TLV\n\tIfname: eth0\nSystem Description TLV\n\tAscendNPU Linux", None),
        ("Chassis ID TLV\n\tMAC: 00:00:5e:00:53:02\n", None),
    ],
)
def test_the_port_of_a_switch(neighbour: str, expected: str | None):
    assert hccn_tool.parse_port({"lldp": neighbour}) == {**NOTHING, "lldp_port": expected}


@given(st.lists(st.sampled_from(PORT.splitlines())), st.integers(1, 60))
def test_broken_lines_give_parts_of_what_was_there_at_most(lines: list[str], width: int):
    broken = "\n".join(line[start : start + width] for line in lines for start in range(0, len(line), width))
    parsed = port(broken)
    del parsed["message"]
    for key, value in parsed.items():
        assert value is None or str(value) in str(port(PORT)[key])


@given(st.text())
def test_any_text_is_read_without_an_error(anything: str):
    port(anything)
