"""Control groups of the lab, on version 1, version 2 and machines with both.

A node must be in a group of its own before it gets its cgroup namespace: that group becomes the root its systemd and Docker see.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from polling import wait_until
from system import LabError

_LAB = "ascend-ops-lab"
_MOUNT_POINT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")  # what systemd and Docker in a node control by
# Of processor time, beside one share of what else runs here: a node stands for a machine of its own.
_SHARES = 8
_SHARE = {"cpu.shares": 1024, "cpu.weight": 100}  # by the file of version 1 and of version 2


def create(name: str) -> None:
    """Make the group of that name in every hierarchy."""
    for hierarchy, version in _hierarchies():
        for parent, group in ((hierarchy, hierarchy / _LAB), (hierarchy / _LAB, hierarchy / _LAB / name)):
            if version == 2:
                _delegate_controllers(parent)
            group.mkdir(exist_ok=True)
            if (parent / "cpuset.cpus").exists() and version == 1:
                _inherit_cpuset(parent, group)
        for file, share in _SHARE.items():
            if (hierarchy / _LAB / file).exists():
                (hierarchy / _LAB / file).write_text(str(_SHARES * share), encoding="ascii")


def join(name: str) -> None:
    """Move the calling process into the group."""
    for hierarchy, _version in _hierarchies():
        (hierarchy / _LAB / name / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


def remove(name: str = "") -> None:
    """Remove a group with all below it; without a name, all of the lab's."""
    for hierarchy, _version in _hierarchies():
        group = hierarchy / _LAB / name
        wait_until(
            lambda group=group: _removed(group),
            5,
            f"{group} holds no processes; see its cgroup.procs",
        )


def memory_mib(name: str) -> int:
    """Memory that the group's processes hold, page cache left out."""
    for hierarchy, version in _hierarchies():
        with contextlib.suppress(FileNotFoundError):
            stat = dict(
                line.split()
                for line in (hierarchy / _LAB / name / "memory.stat").read_text(encoding="ascii").splitlines()
            )
            return int(stat["anon" if version == 2 else "total_rss"]) >> 20
    raise LabError(
        f"no memory controller knows the group {_LAB}/{name}; is the memory cgroup enabled in this kernel?"
    )


def _hierarchies() -> Iterator[tuple[Path, int]]:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _device, folder, kind, *_options = line.split()
        if kind in ("cgroup", "cgroup2") and Path(folder).is_relative_to(_MOUNT_POINT):
            yield Path(folder), 2 if kind == "cgroup2" else 1


def _delegate_controllers(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text(encoding="ascii").split()
    delegated = [f"+{controller}" for controller in _CONTROLLERS if controller in available]
    (group / "cgroup.subtree_control").write_text(" ".join(delegated), encoding="ascii")


def _inherit_cpuset(parent: Path, group: Path) -> None:
    """A version 1 cpuset starts empty, and an empty one takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        (group / name).write_text((parent / name).read_text(encoding="ascii"), encoding="ascii")


def _removed(group: Path) -> bool:
    """Whether the group is gone after trying; right after its last process it may still be busy."""
    for folder, _folders, _files in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not group.exists()
