# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the driver and its tools are on this host."""

from __future__ import annotations

import os
import shutil
from typing import Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import npu_smi

INSTALL_INFO = "/etc/ascend_install.info"
HCCN_CONF = "/etc/hccn.conf"  # what hccn_tool configures the ports with at the start of the host
DEFAULT_ROOT = "/usr/local/Ascend"


def driver_folder(given: str | None = None) -> str:
    """Return the folder in which the driver is installed."""
    noted = npu_smi.parse_assignments(read_text(INSTALL_INFO)).get("Driver_Install_Path_Param")
    return given or noted or DEFAULT_ROOT


def driver_package() -> str | None:
    """Return the version of the installed driver package; None if it cannot be read."""
    return npu_smi.package_version(read_text(os.path.join(driver_folder(), "driver", "version.info")))


def tool_folders(root: str | None = None) -> list[str]:
    """Return the folders in which the driver has its tools."""
    return [os.path.join(driver_folder(root), "driver", "tools")]


def find_tool(name: str, before: Sequence[str] = (), after: Sequence[str] = ()) -> str | None:
    """Return the path of a tool in PATH, or in folders before or after it; None if there is none."""
    return shutil.which(name, path=os.pathsep.join([*before, os.environ.get("PATH", ""), *after]))
