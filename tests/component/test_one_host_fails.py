# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage that fails on one of two hosts: with any_errors_fatal, Ansible takes the other one to the rescue, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from ansible_run import ROOT
from one_without_docker import failed_run


def test_only_the_host_that_failed_is_named(tmp_path):
    said = failed_run(tmp_path, {"name": "ascend_ops.vllm.patch"}, {}, "--check", plan_offline=True)
    assert "Host node0, stage patch: container" in said
    assert "Host node1, stage patch: container" not in said


def rescues(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the tasks of all rescues, at any depth."""
    for task in tasks:
        yield from task.get("rescue", [])
        for part in ("block", "rescue", "always"):
            yield from rescues(task.get(part, []))


def test_each_rescue_of_a_role_is_for_the_host_that_failed():
    files = sorted(ROOT.glob("roles/*/tasks/*.yml"))
    found = [task for file in files for task in rescues(yaml.safe_load(file.read_text(encoding="utf-8")))]
    assert len(found) >= 5
    assert [task["name"] for task in found if task.get("when") != "ansible_failed_result is defined"] == []
