# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import installation


@pytest.fixture(name="noted")
def noted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the driver's installer has noted."""
    info = tmp_path / "ascend_install.info"
    info.write_text(f"Driver_Install_Path_Param={tmp_path}/own\nOther=1\n", encoding="utf-8")
    monkeypatch.setattr(installation, "INSTALL_INFO", str(info))
    return tmp_path / "own"


def test_the_driver_is_where_it_is_given_noted_or_usually(noted: Path, monkeypatch: pytest.MonkeyPatch):
    assert installation.driver_folder("/given") == "/given"
    assert installation.driver_folder() == str(noted)
    monkeypatch.setattr(installation, "INSTALL_INFO", str(noted / "none"))
    assert installation.driver_folder() == installation.DEFAULT_ROOT
    assert installation.tool_folders("/given") == ["/given/driver/tools"]
    assert installation.tool_folders() == [f"{installation.DEFAULT_ROOT}/driver/tools"]


def test_the_version_of_the_package_is_read_from_its_file(noted: Path):
    assert installation.driver_package() is None
    (noted / "driver").mkdir(parents=True)
    (noted / "driver/version.info").write_text("Version=25.2.1\n", encoding="utf-8")
    assert installation.driver_package() == "25.2.1"


def test_a_tool_is_looked_for_before_in_and_after_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = {name: tmp_path / name for name in ("before", "path", "after")}
    for folder in paths.values():
        folder.mkdir()
        (folder / "npu-smi").write_text("", encoding="utf-8")
        (folder / "npu-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(paths["path"]))
    before, after = ([str(paths[name])] for name in ("before", "after"))
    for found in paths:
        assert installation.find_tool("npu-smi", before, after) == str(paths[found] / "npu-smi")
        (paths[found] / "npu-smi").unlink()
    assert installation.find_tool("npu-smi", before, after) is None
    monkeypatch.delenv("PATH")
    assert installation.find_tool("npu-smi") is None
