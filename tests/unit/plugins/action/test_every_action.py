# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for each action: a task may run it in check mode, and not with async, which would lose its answers."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from actions import ACTIONS, Site
from ansible_run import ROOT

NAMES = sorted(file.stem for file in ROOT.glob("plugins/action/*.py"))


FOR_ALL_HOSTS = {"capacity", "preflight_check", "smoke_test_check"}
WITHOUT_CONTACT = {*FOR_ALL_HOSTS, "plan", "weights_agreement"}


def action_of(name: str) -> Any:
    return importlib.import_module(ACTIONS + name).ActionModule


def test_what_needs_no_host_runs_without_a_connection_and_what_judges_all_runs_once():
    assert {name for name in NAMES if not action_of(name)._requires_connection} == WITHOUT_CONTACT
    assert {name for name in NAMES if action_of(name).BYPASS_HOST_LOOP} == FOR_ALL_HOSTS


@pytest.mark.parametrize("name", NAMES)
def test_an_action_supports_check_mode_and_no_async(name, tmp_path):
    assert action_of(name)._supports_check_mode
    run = Site(tmp_path, {"vllm_head": {"hosts": {"node0": {}}}}).action(name, "node0")
    run.action._task.async_val = 60
    with pytest.raises(Exception, match="does not support async"):
        run.result()
    assert run.modules == []
