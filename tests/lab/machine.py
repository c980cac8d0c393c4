"""What the lab needs of the machine it runs on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from system import LabError, run, run_logged, timed

DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Each path or command, and the Debian package that brings it. Docker and the registry are not here: they live in the nodes' root.
_NEEDS = {
    "debootstrap": "debootstrap",  # builds the nodes' root
    str(DEBIAN_KEYRING): "debian-archive-keyring",  # proves Debian's packages where the machine is not Debian
    "curl": "curl",  # for the last line that the demo prints
    "ip": "iproute2",  # namespaces, links and addresses
    "openssl": "openssl",  # the certificate of the hub
    "ssh-keygen": "openssh-client",  # the key to the nodes
    "nsenter": "util-linux",  # entering nodes
}

_CAP_SYS_RESOURCE = 24
_GIB = 2**30

_OVERLAY_PROBE = """
set -e
folder=$(mktemp -d "$1/probe.XXXXXX")
trap 'umount "$folder/root" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/lower" "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay probe -o "lowerdir=$folder/lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
"""


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces, mounts and links, which needs root: run it with sudo")


def install_packages(log: Path) -> None:
    """The packages the lab needs are installed."""
    missing = sorted(
        {package for need, package in _NEEDS.items() if not (shutil.which(need) or Path(need).exists())}
    )
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(
            f"this machine lacks {', '.join(missing)} and has no apt-get: install them by its own means, then run this again"
        )
    with timed(f"installing the Debian packages {', '.join(missing)}"):
        run_logged(["apt-get", "update"], log)
        run_logged(["apt-get", "install", "--yes", "--no-install-recommends", *missing], log)


def require_kernel(state: Path) -> None:
    """The kernel does what nodes are made of; each thing is tried for real."""
    state.mkdir(parents=True, exist_ok=True)
    probes = {
        "namespaces (net, mount, pid, uts, ipc, cgroup)": ["unshare", "-nmpuiC", "-f", "true"],
        "bridges (module bridge)": ["unshare", "-n", "ip", "link", "add", "probe", "type", "bridge"],
        "veth links (module veth)": ["unshare", "-n", "ip", "link", "add", "probe", "type", "veth"],
        f"overlay file systems (module overlay) over {state}": [
            "unshare",
            "-m",
            "sh",
            "-c",
            _OVERLAY_PROBE,
            "sh",
            str(state),
        ],
    }
    for feature, probe in probes.items():
        try:
            run(probe)
        except LabError as error:
            raise LabError(
                f"this kernel lacks {feature}: {error}\nRun the lab on a machine or VM of its own, not in a container"
            ) from None


def require_disk(folder: Path, gib: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / _GIB
    if free < gib:
        raise LabError(
            f"{folder} has {free:.1f} GiB free, expected {gib}: free some, or point ASCEND_LAB_CACHE and ASCEND_LAB_STATE to a larger disk"
        )


def require_memory(gib: int) -> None:
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    available = int(meminfo["MemAvailable"].split()[0]) * 1024 / _GIB
    if available < gib:
        raise LabError(
            f"this machine has {available:.1f} GiB of memory available, expected {gib}: end some programs, or use a larger machine"
        )


def lacks_sys_resource() -> bool:
    """Whether even root may not have CAP_SYS_RESOURCE here, as in some virtual machines."""
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        if ":\t" in line
    )
    return not int(status["CapBnd"], 16) >> _CAP_SYS_RESOURCE & 1
