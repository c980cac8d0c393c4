# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that share a run of Ansible stay together when several workers of pytest run them."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
TOGETHER = {
    str(file.relative_to(ROOT))
    for file in Path(__file__).parent.glob("test_*.py")
    if 'scope="module"' in file.read_text(encoding="utf-8")
}


class FilesTogether(LoadScopeScheduling):
    """Gives each file whose tests share a fixture to one worker, those with most tests first; all other tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """Schedule for `--dist loadgroup`. That of xdist 3.8 finds no groups with pytest 9.2, which has no _nodeid."""
    return FilesTogether(config, log) if config.getvalue("dist") == "loadgroup" else None
