# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from monitoring import watch


@pytest.fixture(scope="session", name="written")
def folder_of_the_role(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What role monitoring writes for a service of two hosts with both exporters."""
    folder = tmp_path_factory.mktemp("monitoring")
    done, _failures = watch(folder, monitoring_exporters={"node": 9100, "npu": 8090})
    assert done.returncode == 0, done.stdout
    return folder / "written"
