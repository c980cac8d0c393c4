#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Gather facts about a host for a vLLM service
version_added: 0.1.0
description:
  - Reads addresses, devices, disks, ports and containers of a host from the kernel and the Docker daemon.
options:
  service_ip:
    description: Address of the host in the service network, to find the NIC that has it.
    type: str
  paths:
    description: Paths to look up, such as device nodes and sources of mounts.
    type: list
    elements: path
    default: []
  ports:
    description: TCP ports to look up.
    type: list
    elements: int
    default: []
  disks:
    description: Folders whose file systems to measure. They need not exist.
    type: list
    elements: path
    default: []
  image:
    description: Image to look up in Docker.
    type: str
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.docker
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.plan
"""

EXAMPLES = r"""
- name: Gather the NIC of the service network, the state of a port, and free disk space
  ascend_ops.vllm.host_facts:
    service_ip: 10.0.0.10
    paths: [/dev/davinci0, /usr/local/dcmi]
    ports: [8080]
    disks: [/opt/data/models]
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
  returned: success
  type: dict
  contains:
    vllm_host_facts:
      description: The facts. A value that could not be read is null.
      type: dict
      contains:
        hostname:
          description: Name of the host.
          type: str
        hostname_addresses:
          description: What that name resolves to on the host itself; null if there was no answer within a
            second.
          type: list
          elements: str
        interfaces:
          description: All NICs, each with C(name) and C(addresses) (IPv4 and IPv6).
          type: list
          elements: dict
          sample: [{name: eth0, addresses: [10.0.0.10]}]
        service_nic:
          description: The NIC with O(service_ip).
          type: str
        service_nic_state:
          description: Its C(mtu); C(bond), the bond that it is or is on, with C(slaves) and C(slaves_down).
          type: dict
        paths:
          description: The kind of each of O(paths), C(char), C(block), C(dir), C(file) or C(other); null if
            it does not exist.
          type: dict
        real_paths:
          description: Each of O(paths) and O(disks) without symbolic links.
          type: dict
        disks:
          description:
            - Each of O(disks) with C(mount), C(total_bytes) and C(free_bytes) of the file system that it is
              on or will be on, and C(used_bytes), the size of what is in the folder, also behind links.
          type: dict
        ports:
          description:
            - Each of O(ports) with C(listening), and of the process that listens C(pid), C(process) (its
              name) and C(container) (the id of its container).
          type: dict
        containers:
          description: Names of the running containers by id; null if there is no Docker daemon.
          type: dict
        docker:
          description:
            - Facts about the Docker daemon; null if there is none.
            - C(engine), V(Docker) or V(Podman), and C(version).
            - C(containerd), whether containerd keeps the images; C(seccomp), whether it restricts system
              calls; C(init), whether it has C(docker-init).
            - C(disk), the file system of its images, with C(mount), C(total_bytes) and C(free_bytes).
            - C(container_names), of all containers, running or not; C(served), by the names of running
              containers, their C(image_id) and this collection's C(labels); C(stopped), the same of the others.
            - C(image_id), the id of O(image), and C(image_layers), a SHA-256 over its layers, which does not depend
              on how Docker stores it; null if the host does not have it.
          type: dict
        docker_order:
          description:
            - The order in which systemd starts Docker; null if it does not run Docker.
            - C(needed), the units of the driver and of the mounts below O(paths) and O(disks) that systemd does
              not start before Docker by default; C(missing), those of them that it starts at any time.
          type: dict
          sample: {needed: [host_sys_init.service, opt-data.mount], missing: [opt-data.mount]}
        docker_error:
          description: Why there are no facts about the Docker daemon; null if there are.
          type: str
        docker_remedy:
          description: What to do about that.
          type: str
        driver_package:
          description: Version of the installed NPU driver package; null if it cannot be read.
          type: str
          sample: 25.2.1
        memory_total_mb:
          description: Memory of the host.
          type: int
        epoch:
          description: Time on the host, in seconds since 1970.
          type: float
        ephemeral_ports:
          description:
            - The ports that the kernel gives to outgoing connections, C(first) and C(last), and those of them that
              are C(reserved), as the kernel writes them.
          type: dict
          sample: {first: 32768, last: 60999, reserved: "60000-60015"}
        tuning:
          description:
            - C(cpu_governors), those of the processors, empty if they have none; C(numa_balancing), whether the kernel
              moves memory between NUMA nodes; C(numa_nodes), their number.
          type: dict
          sample: {cpu_governors: [performance], numa_balancing: false, numa_nodes: 4}
        python_requests:
          description: Whether this Python has the package C(requests).
          type: bool
        python_version:
          description: Version of the Python that ran the module.
          type: str
        kernel:
          description: Release of the running kernel.
          type: str
        machine:
          description: Architecture of the processor.
          type: str
          sample: aarch64
        os:
          description: Name and version of the operating system.
          type: str
        proxies:
          description: Proxy variables in the environment of a login, without credentials.
          type: dict
"""

import ctypes
import errno
import glob
import importlib.util
import os
import platform
import shutil
import socket
import stat
import threading
import time
from typing import Any, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, docker, procfs, systemd
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import installation

RESOLVER_SECONDS = 1.0
SYSTEMD_SECONDS = 10.0
DOCKER_SECONDS = docker.SECONDS  # lists of containers take seconds on busy hosts (moby#34649, #47581)
SPARSE = 2  # a file with less than a half of its size on disk is one that a download has reserved
NET = "/sys/class/net"
CPU = "/sys/devices/system/cpu"
IPV4 = "/proc/sys/net/ipv4"
INIT_FOLDERS = (
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/docker",
    "/usr/local/libexec/docker",
    "/usr/lib/docker",
)
KINDS = {"char": stat.S_ISCHR, "block": stat.S_ISBLK, "dir": stat.S_ISDIR, "file": stat.S_ISREG}


class Sockaddr(ctypes.Structure):
    _fields_ = [("family", ctypes.c_ushort), ("data", ctypes.c_ubyte * 26)]


class Ifaddrs(ctypes.Structure):
    _fields_ = [
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("address", ctypes.POINTER(Sockaddr)),
    ]


def interfaces() -> list[dict[str, Any]]:
    """Return all NICs with their addresses.

    The C library gives every address with its NIC, unlike /proc, and is always present, unlike `ip`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    head = ctypes.POINTER(Ifaddrs)()
    if libc.getifaddrs(ctypes.byref(head)):
        raise OSError(ctypes.get_errno(), "getifaddrs")
    found: dict[str, list[str]] = {}
    item = head
    while item:
        entry = item.contents
        # An address may have a label such as eth0:1. The NIC is eth0.
        addresses = found.setdefault(entry.name.decode().partition(":")[0], [])
        if entry.address:
            addresses += address_of(entry.address.contents)
        item = ctypes.cast(entry.next, ctypes.POINTER(Ifaddrs))
    libc.freeifaddrs(head)
    return [{"name": name, "addresses": found[name]} for name in sorted(found)]


def address_of(sockaddr: Sockaddr) -> list[str]:
    """Return the IP address in a structure of the C library, if it has one."""
    data = bytes(sockaddr.data)
    if sockaddr.family == socket.AF_INET:
        return [socket.inet_ntop(socket.AF_INET, data[2:6])]
    if sockaddr.family == socket.AF_INET6:
        return [socket.inet_ntop(socket.AF_INET6, data[6:22])]
    return []


def kind(path: str) -> str | None:
    """Return what a path is; None if it does not exist."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    return next((name for name, is_kind in KINDS.items() if is_kind(mode)), "other")


def space(path: str) -> dict[str, Any]:
    """Return the file system that *path* is on, or will be on."""
    parent = os.path.abspath(path)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    mount = os.path.realpath(parent)
    while not os.path.ismount(mount):
        mount = os.path.dirname(mount)
    blocks = os.statvfs(parent)
    return {
        "mount": mount,
        "total_bytes": blocks.f_blocks * blocks.f_frsize,
        "free_bytes": blocks.f_bavail * blocks.f_frsize,
    }


def used_bytes(folder: str) -> int:
    """Return the size of all files below a folder, also behind links, as in the cache of a hub.

    On a file system that compresses, a file takes less space than its size.
    """
    sizes: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        for name in files:
            try:
                status = os.stat(os.path.join(parent, name))
            except OSError:  # removed meanwhile, or a link to nothing
                continue
            on_disk = status.st_blocks * 512
            is_sparse = on_disk * SPARSE < status.st_size
            sizes[status.st_dev, status.st_ino] = on_disk if is_sparse else max(on_disk, status.st_size)
        folders[:] = [name for name in folders if _is_new(os.path.join(parent, name), seen)]
    return sum(sizes.values())


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Return whether a folder is not among the *seen* ones yet, and add it: links may form a circle."""
    try:
        status = os.stat(folder)
    except OSError:
        return False
    key = (status.st_dev, status.st_ino)
    is_new = key not in seen
    seen.add(key)
    return is_new


def socket_owners(inodes: Iterable[str]) -> dict[str, int]:
    """Return {inode: pid} for those of the socket *inodes* that a process holds open."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found = {}
    for file in glob.iglob("/proc/[0-9]*/fd/*") if links else []:
        try:
            link = os.readlink(file)
        except OSError:  # closed meanwhile
            continue
        if link in links:
            found[links[link]] = int(file.split("/")[2])
    return found


def port_states(ports: Iterable[int]) -> dict[str, dict[str, Any]]:
    """Return for each port whether something listens on it, and what."""
    listening: dict[int, set[str]] = {port: set() for port in ports}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for port, inodes in procfs.listeners(read_text(table)).items():
            if port in listening:
                listening[port] |= inodes
    pids = socket_owners(set().union(*listening.values()))
    return {str(port): port_state(inodes, pids) for port, inodes in listening.items()}


def port_state(inodes: set[str], pids: Mapping[str, int]) -> dict[str, Any]:
    """Return the state of a port with these listening sockets."""
    pid = next((pids[inode] for inode in sorted(inodes) if inode in pids), None)
    return {
        "listening": bool(inodes),
        "pid": pid,
        "process": read_text(f"/proc/{pid}/comm").strip() or None if pid else None,
        "container": procfs.container_id(read_text(f"/proc/{pid}/cgroup")) if pid else None,
    }


def docker_facts(image: str | None) -> dict[str, Any]:
    """Return the facts about the Docker daemon and its containers, or why there are none."""
    try:
        daemon = docker.Docker(seconds=DOCKER_SECONDS)
        containers, info, engine = daemon.containers(), daemon.info(), daemon.engine()
        details = daemon.image(image) if image else None
    except docker.DockerError as error:
        problem = error.problem
        return {
            "containers": None,
            "docker": None,
            "docker_error": problem.found,
            "docker_remedy": problem.remedy,
        }
    running = docker.running(containers)
    facts = {
        "engine": engine,
        "version": info["ServerVersion"],
        "disk": space(docker.image_folder(info)),
        "containerd": docker.uses_containerd(info),
        "seccomp": any("name=seccomp" in text for text in info.get("SecurityOptions") or []),
        "init": has_init(info),
        "container_names": sorted(docker.container_names(containers).values()),
        "served": docker.served(running),
        "stopped": docker.served(one for one in containers if one not in running),
        "image_id": details["Id"] if details else None,
        "image_layers": docker.image_layers(details) if details else None,
    }
    names = docker.container_names(running)
    return {"containers": names, "docker": facts, "docker_error": None, "docker_remedy": None}


def has_init(info: Mapping[str, Any]) -> bool:
    """Return whether Docker has its init process: it could run it, or it is in one of its usual folders."""
    commit = (info.get("InitCommit") or {}).get("ID")
    return commit not in ("N/A", "") or bool(
        shutil.which(info.get("InitBinary") or "docker-init", path=os.pathsep.join(INIT_FOLDERS))
    )


def docker_order(folders: Iterable[str]) -> dict[str, list[str]] | None:
    """Return which units Docker has to wait for, and for which it does not; None if systemd does not run it."""
    mount_points = sorted({space(folder)["mount"] for folder in folders})
    mounts = [systemd.unit_name(point, kind) for point in mount_points for kind in ("mount", "automount")]
    argv = [
        "systemctl",
        "show",
        f"--property={systemd.PROPERTIES}",
        "--",
        systemd.DOCKER,
        systemd.DRIVER,
        *mounts,
    ]
    known = systemd.units(commands.run(argv, SYSTEMD_SECONDS).text)
    needed = systemd.needed(known, mount_points)
    return None if needed is None else {"needed": needed, "missing": systemd.missing(known, needed)}


def nic_facts(name: str | None) -> dict[str, Any] | None:
    """Return MTU and bond of a NIC, or of the bond below a VLAN; None without a name."""
    if name is None:
        return None
    bond = next((nic for nic in (name, *lower_nics(name)) if os.path.isdir(f"{NET}/{nic}/bonding")), None)
    slaves = read_text(f"{NET}/{bond}/bonding/slaves").split() if bond else []
    down = [slave for slave in slaves if read_text(f"{NET}/{slave}/operstate").strip() != "up"]
    mtu = read_text(f"{NET}/{name}/mtu").strip()
    return {"mtu": int(mtu) if mtu else None, "bond": bond, "slaves": slaves, "slaves_down": down}


def lower_nics(name: str) -> list[str]:
    """Return the NICs that a NIC such as a VLAN is made of."""
    return [os.path.basename(path)[len("lower_") :] for path in glob.glob(f"{NET}/{name}/lower_*")]


def tuning() -> dict[str, Any]:
    """Return the settings of processors and memory that make a service slow."""
    governors = {read_text(path).strip() for path in glob.glob(f"{CPU}/cpu[0-9]*/cpufreq/scaling_governor")}
    return {
        "cpu_governors": sorted(governors - {""}),
        "numa_balancing": read_text("/proc/sys/kernel/numa_balancing").strip() not in ("", "0"),
        "numa_nodes": len(glob.glob("/sys/devices/system/node/node[0-9]*")),
    }


def resolve(name: str) -> list[str] | None:
    """Return the addresses of *name*; None without an answer in time, as without a network."""
    answers: list[list[str]] = []

    def ask() -> None:
        try:
            answers.append(sorted({str(item[4][0]) for item in socket.getaddrinfo(name, None)}))
        except OSError:
            answers.append([])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(RESOLVER_SECONDS)
    return answers[0] if answers else None


def facts(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all facts."""
    nics = interfaces()
    service_nic = procfs.nic_of(params["service_ip"], nics)
    hostname = socket.gethostname()
    paths = {path: kind(path) for path in params["paths"]}
    sources = [path for path, what in paths.items() if what not in ("char", "block")]
    return {
        "hostname": hostname,
        "hostname_addresses": resolve(hostname),
        "interfaces": nics,
        "service_nic": service_nic,
        "service_nic_state": nic_facts(service_nic),
        "paths": paths,
        "real_paths": {path: os.path.realpath(path) for path in [*params["paths"], *params["disks"]]},
        "disks": {path: dict(space(path), used_bytes=used_bytes(path)) for path in params["disks"]},
        "ports": port_states(params["ports"]),
        **docker_facts(params["image"]),
        "driver_package": installation.driver_package(),
        "docker_order": docker_order([*params["disks"], *sources]),
        "memory_total_mb": procfs.memory_total_mb(read_text("/proc/meminfo")),
        "tuning": tuning(),
        "ephemeral_ports": procfs.ephemeral_ports(
            read_text(f"{IPV4}/ip_local_port_range"), read_text(f"{IPV4}/ip_local_reserved_ports")
        ),
        "epoch": time.time(),
        "python_version": platform.python_version(),
        "python_requests": importlib.util.find_spec("requests") is not None,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": procfs.os_name(read_text("/etc/os-release")),
        "proxies": procfs.proxies(os.environ),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service_ip": {"type": "str"},
            "paths": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "disks": {"type": "list", "elements": "path", "default": []},
            "image": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        found = facts(module.params)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"The facts could not be gathered: {error}.")
    module.exit_json(changed=False, ansible_facts={"vllm_host_facts": found})


if __name__ == "__main__":
    main()
