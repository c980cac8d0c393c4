"""The root file system that all nodes share: Debian with systemd, sshd, Docker and what Ansible needs on a host."""

from __future__ import annotations

import shutil
from pathlib import Path

import machine
from system import LabError, remove, run, run_logged

_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"  # where this machine's own apt knows none

_PACKAGES = (
    "ca-certificates",
    "dbus",
    "docker-registry",  # not for the nodes: the lab runs it from here, so that the machine gets no such service
    "docker.io",
    "iproute2",
    "iptables",
    "iputils-ping",
    "libnuma1",  # for the serving image, which is made of files of this root
    "openssh-server",
    "procps",
    "python3",
    "python3-requests",  # community.docker's modules import it on the host
    "sudo",
    "systemd-sysv",
)

# Nothing of the sort exists in a node, or it would want the internet.
_MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "docker-registry.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
)

_SSHD_CONFIG = """\
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
"""


def build(rootfs: Path, log: Path) -> None:
    """Build the root beside its place, and put it there when it is whole."""
    partial = rootfs.with_suffix(".partial")
    remove(partial)
    _debootstrap(partial, log)
    _configure(partial)
    remove(rootfs)
    partial.rename(rootfs)


def _debootstrap(target: Path, log: Path) -> None:
    # In a mount namespace of its own, so that even a killed debootstrap leaves no mounts behind.
    command = [
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        f"--keyring={machine.DEBIAN_KEYRING}",
        f"--include={','.join(_PACKAGES)}",
    ]
    mirror = _mirror()
    try:
        run_logged([*command, _SUITE, target, mirror], log)
    except LabError as error:
        raise LabError(
            f"the nodes' root could not be built from {mirror}; is that server reachable from here?\n{error}"
        ) from None


def _mirror() -> str:
    """The mirror from which this machine's own apt has the suite, if it is such a Debian; that one is reachable."""
    if not shutil.which("apt-get"):
        return _MIRROR
    of_suite = ["Origin: Debian", f"Codename: {_SUITE}", "Component: main", "Identifier: Packages"]
    known = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *of_suite]).splitlines()
    return next((uri for uri in known if uri.startswith(("http://", "https://"))), _MIRROR)


def _configure(root: Path) -> None:
    for unit in _MASKED_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text(_SSHD_CONFIG, encoding="ascii")
    (root / "etc/fstab").write_text("", encoding="ascii")
    (root / "etc/apt/sources.list").write_text("", encoding="ascii")  # neither the machine's mirror
    (root / "etc/resolv.conf").write_text("", encoding="ascii")  # nor its name servers: a node reaches none
    (root / "etc/machine-id").write_text("", encoding="ascii")  # each node makes its own at its first boot
