# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run by Ansible, against the lab's simulated tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.ascend_ops.vllm.plugins.modules import roce_tls
from ansible_run import module
from npu_sim import install


def run(tool: Path, *options: str, **arguments: Any) -> dict[str, Any]:
    return module("roce_tls", {"hccn_tool_path": str(tool), **arguments}, *options)


def test_tls_is_switched_where_it_differs_and_only_there(tmp_path):
    install.apply(tmp_path, {"tls": [1, 3]}, 0, "node0")
    tool = tmp_path / install.HCCN_TOOL
    expected = {"devices": [0, 1, 2, 3], "enabled": False}

    checked = run(tool, "--check", "--diff", **expected)
    assert (checked["changed"], checked["switched"]) == (True, [1, 3])
    assert roce_tls.read(str(tool), range(4)) == {0: False, 1: True, 2: False, 3: True}

    done = run(tool, **expected)
    assert (done["changed"], done["switched"]) == (True, [1, 3])
    assert roce_tls.read(str(tool), range(4)) == dict.fromkeys(range(4), False)

    again = run(tool, **expected)
    assert (again["changed"], again["switched"]) == (False, [])


def test_a_port_that_does_not_follow_is_named(tmp_path):
    install.apply(tmp_path, {"tls": 1}, 0, "node0")
    answers = tmp_path / install.ANSWERS / "hccn_tool"
    (answers / "-i 2 -tls -g").unlink()
    failed = run(tmp_path / install.HCCN_TOOL, devices=[1, 2], enabled=False)
    assert "chip 2: Usage" in failed["msg"]
    assert "chip 1" not in failed["msg"]
    assert f"{tmp_path / install.HCCN_TOOL} -i N -tls -s enable 0" in failed["msg"]
