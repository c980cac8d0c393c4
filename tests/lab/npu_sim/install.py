"""Puts the simulated NPUs into the root of a lab node: the tools, what they print, and the files of driver and firmware."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from npu_sim import outputs

SOURCES = Path(__file__).resolve().parent
STATE = "etc/ascend-sim.json"
ANSWERS = "usr/local/lib/ascend-sim"  # where the tools find what to print
NPU_SMI = "usr/local/bin/npu-smi"
HCCN_TOOL = "usr/local/Ascend/driver/tools/hccn_tool"
DRIVER = (NPU_SMI, HCCN_TOOL, "usr/local/Ascend/driver/version.info", "usr/local/Ascend/firmware/version.info", "etc/ascend_install.info")
FOLDERS = ("usr/local/dcmi", "usr/local/Ascend/driver/lib64")


def install(rootfs: Path, node_index: int, node_name: str) -> None:
    """Give a node healthy NPUs."""
    apply(rootfs, {}, node_index, node_name)


def apply(root: Path, sickness: dict[str, Any], node_index: int, node_name: str) -> None:
    """Make the NPUs of a node sick as *sickness* says (README.md), and healthy in all it does not name. The node may be running."""
    try:
        npus = outputs.Npus(sickness, node_index)
    except ValueError as error:
        raise ValueError(f"{node_name}: {error}") from None
    files = npus.files()
    files[STATE] = json.dumps(sickness, indent=2) + "\n"
    for tool, answers in (("npu-smi", npus.npu_smi()), ("hccn_tool", npus.hccn_tool())):
        shutil.rmtree(root / ANSWERS / tool, ignore_errors=True)
        files.update({f"{ANSWERS}/{tool}/{arguments}": text for arguments, text in answers.items()})
        files[f"{ANSWERS}/{tool}/delay"] = "infinity" if npus.state["hang"] else str(npus.state["delay"])
    error = npus.error()
    if error:
        files[f"{ANSWERS}/npu-smi/error"] = error

    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    for path in (NPU_SMI, HCCN_TOOL):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / Path(path).name, root / path)
    if npus.state["driver_missing"]:
        for path in DRIVER:
            (root / path).unlink()
