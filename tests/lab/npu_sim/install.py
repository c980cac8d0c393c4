"""Puts the simulated NPUs into the root of a lab node: the tools, what they print, and the files of driver and firmware."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from npu_sim import outputs

SOURCES = Path(__file__).resolve().parent
STATE = "etc/ascend-sim.json"
ANSWERS = "usr/local/lib/ascend-sim"  # where the tools find what to print
METRICS = f"{ANSWERS}/exporter/metrics"  # any web server over the folder is an npu-exporter
NPU_SMI = "usr/local/bin/npu-smi"
HCCN_TOOL = "usr/local/Ascend/driver/tools/hccn_tool"
DRIVER = (
    NPU_SMI,
    HCCN_TOOL,
    "usr/local/Ascend/driver/version.info",
    "usr/local/Ascend/firmware/version.info",
    "etc/ascend_install.info",
)
FOLDERS = ("usr/local/dcmi", "usr/local/Ascend/driver/lib64")
DEVICES = {
    **{f"davinci{chip}": chip for chip in range(outputs.CHIPS)},
    "davinci_manager": 64,
    "devmm_svm": 65,
    "hisi_hdc": 66,
}
MAJOR = 240  # a local one that no driver answers, so to open a device gives ENXIO, or EPERM where a device cgroup forbids it
DEVICES_MISSING = "devices_missing"


def apply(root: Path, sickness: dict[str, Any], node_index: int, node_name: str) -> None:
    """Make the NPUs of a node sick as *sickness* says (README.md), and healthy in all it does not name. The node may be running."""
    try:
        _missing_devices(sickness)
        npus = outputs.Npus(
            {key: value for key, value in sickness.items() if key != DEVICES_MISSING}, node_index
        )
    except ValueError as error:
        raise ValueError(f"{node_name}: {error}") from None
    files = npus.files()
    files[STATE] = json.dumps(sickness, indent=2) + "\n"
    for tool, answers in (("npu-smi", npus.npu_smi()), ("hccn_tool", npus.hccn_tool())):
        shutil.rmtree(root / ANSWERS / tool, ignore_errors=True)
        files.update({f"{ANSWERS}/{tool}/{arguments}": text for arguments, text in answers.items()})
        files[f"{ANSWERS}/{tool}/delay"] = "infinity" if npus.state["hang"] else str(npus.state["delay"])
    files[METRICS] = "".join(f"{line}\n" for line in npus.metrics())
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


def place_devices(dev: Path, sickness: dict[str, Any]) -> None:
    """Make the nodes of the NPUs' devices in the folder *dev*, but for those the sickness lacks. Needs root."""
    dev.mkdir(exist_ok=True)
    missing = _missing_devices(sickness)
    for name, minor in DEVICES.items():
        device = dev / name
        if name in missing:
            device.unlink(missing_ok=True)
        elif not device.exists():
            os.mknod(device, stat.S_IFCHR, os.makedev(MAJOR, minor))
            device.chmod(0o666)


def _missing_devices(sickness: dict[str, Any]) -> list[str]:
    missing = sickness.get(DEVICES_MISSING, [])
    if not isinstance(missing, list) or set(missing) - set(DEVICES):
        raise ValueError(f"{DEVICES_MISSING} is {missing!r}, expected a list of some of {', '.join(DEVICES)}")
    return missing
