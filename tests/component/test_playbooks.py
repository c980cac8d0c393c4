# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks say when something was forgotten, without contact to a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_run import ROOT, playbook

HOSTS = "vllm_head: {hosts: {node0: {ansible_host: 10.0.0.10}}}\n"


@pytest.fixture(name="inventory")
def one_host(tmp_path: Path) -> str:
    (tmp_path / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    return str(tmp_path / "hosts.yml")


@pytest.mark.parametrize("given", [(), ("-e", "fetch_dir=airgap")])
def test_a_folder_to_fill_must_be_given(inventory, given):
    _done, failures = playbook("playbooks/fetch.yml", "-i", inventory, *given)
    assert "-e fetch_dir=/data/airgap" in failures[0].message
    assert not (ROOT / "playbooks/airgap").exists()
