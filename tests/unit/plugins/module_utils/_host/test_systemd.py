# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import systemd

# What `systemctl show --property=Id,LoadState,FragmentPath,After,Before` prints on Ubuntu 22.04.
DOCKER = """\
Id=docker.service
After=containerd.service network-online.target time-set.target sysinit.target docker.socket basic.target{after}
Before=multi-user.target shutdown.target
LoadState=loaded
FragmentPath=/lib/systemd/system/docker.service
"""
DRIVER = """\
Id=host_sys_init.service
Before=multi-user.target graphical.target shutdown.target
After=remote-fs.target basic.target system.slice systemd-journald.socket sysinit.target
LoadState=loaded
FragmentPath=/run/systemd/generator.late/host_sys_init.service
"""
MOUNT = """\
Id=opt-data.mount
Before={before}umount.target
After=system.slice -.mount blockdev@dev-sdb.target
LoadState=loaded
FragmentPath={fragment}
"""
GENERATED = "/run/systemd/generator/opt-data.mount"
ABSENT = "Id=opt-data.automount\nBefore=\nAfter=\nLoadState=not-found\nFragmentPath=\n"
AUTOMOUNT = "Id=opt-data.automount\nBefore=local-fs.target\nAfter=\nLoadState=loaded\nFragmentPath=/run/x\n"
NO_DRIVER = "Id=host_sys_init.service\nBefore=\nAfter=\nLoadState=not-found\nFragmentPath=\n"


def shown(
    after: str = "",
    driver: str = NO_DRIVER,
    before: str = "",
    fragment: str = GENERATED,
    automount: str = ABSENT,
) -> str:
    mount = MOUNT.format(before=before, fragment=fragment)
    return "\n".join((DOCKER.format(after=after), driver, mount, automount))


@pytest.mark.parametrize(
    ("text", "needed", "missing"),
    [
        pytest.param(shown(before="local-fs.target "), [], [], id="a local mount of /etc/fstab"),
        pytest.param(shown(), ["opt-data.mount"], ["opt-data.mount"], id="a mount with nofail"),
        pytest.param(shown(before="remote-fs.target "), ["opt-data.mount"], ["opt-data.mount"], id="NFS"),
        pytest.param(shown(" remote-fs.target", before="remote-fs.target "), [], [], id="NFS, by its target"),
        pytest.param(shown(fragment=""), [], [], id="mounted by hand"),
        pytest.param(shown(automount=AUTOMOUNT), [], [], id="an automount"),
        pytest.param(
            shown(driver=DRIVER, before="local-fs.target "),
            ["host_sys_init.service"],
            ["host_sys_init.service"],
            id="the driver",
        ),
        pytest.param(
            shown(" host_sys_init.service", DRIVER),
            ["host_sys_init.service", "opt-data.mount"],
            ["opt-data.mount"],
            id="half of it ordered by a drop-in",
        ),
        pytest.param(
            shown(driver=DRIVER.replace("After=", "After=docker.service "), before="local-fs.target "),
            [],
            [],
            id="a unit that itself waits for Docker",
        ),
    ],
)
def test_what_docker_must_wait_for(text: str, needed: list[str], missing: list[str]):
    known = systemd.units(text)
    found = systemd.needed(known, ["/", "/opt/data", "/opt/data"])
    assert found == needed
    assert systemd.missing(known, found or []) == missing


@pytest.mark.parametrize(
    "text",
    ["", "System has not been booted with systemd as init system (PID 1). Can't operate.\n", NO_DRIVER],
)
def test_without_systemd_or_its_docker_there_is_no_order(text: str):
    assert systemd.needed(systemd.units(text), ["/opt/data"]) is None


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="no systemd here")
@pytest.mark.parametrize("path", ["/", "/opt/data", "/mnt/a-b", "/.x/.y", "/mnt/ä b", "/-"])
def test_units_of_mounts_are_named_as_systemd_does(path: str):
    argv = ["systemd-escape", "--path", "--suffix=mount", path]
    assert systemd.unit_name(path) == subprocess.check_output(argv, text=True).strip()
