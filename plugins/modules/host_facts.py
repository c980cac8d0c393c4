#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Read what a vLLM service needs to know about a host
description:
  - Reads addresses, devices, disks, ports and containers of a host from the kernel and the Docker daemon, in one quick run.
options:
  service_ip:
    description: Address of the host in the service network. Its NIC is looked for.
    type: str
  paths:
    description: Paths to look at, such as device nodes and sources of mounts.
    type: list
    elements: path
    default: []
  ports:
    description: TCP ports to look at.
    type: list
    elements: int
    default: []
  disks:
    description: Folders, there already or not, whose file systems are to be measured.
    type: list
    elements: path
    default: []
  image:
    description: Image to look for in Docker's store.
    type: str
  docker_socket:
    description: Socket of the Docker daemon that is asked.
    type: path
    default: /var/run/docker.sock
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The NIC of the service network and the state of the service's port are known
  ascend_ops.vllm.host_facts:
    service_ip: 10.0.0.10
    paths: [/dev/davinci0, /usr/local/dcmi]
    ports: [8080]
    disks: [/opt/data/models]
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: always
  type: dict
  contains:
    vllm_host_facts:
      description: What was found. A value that cannot be known is null.
      type: dict
      contains:
        hostname:
          description: Name of the host.
          type: str
        hostname_addresses:
          description: What that name resolves to on the host itself; null if no answer came within a second.
          type: list
          elements: str
        interfaces:
          description: All NICs, each with C(name) and C(addresses) (IPv4 and IPv6).
          type: list
          elements: dict
          sample: [{name: eth0, addresses: [10.0.0.10]}]
        service_nic:
          description: The NIC that carries O(service_ip).
          type: str
        paths:
          description: Each of O(paths) with what is there, C(char), C(block), C(dir), C(file) or C(other), or null.
          type: dict
        disks:
          description:
            - Each of O(disks) with C(mount), C(total_bytes) and C(free_bytes) of the file system that holds it or will hold it,
              and C(used_bytes), the size of what is in the folder already.
          type: dict
        ports:
          description:
            - Each of O(ports) with C(listening), and of the process that listens C(pid), C(process) (its name) and C(container) (the
              id of its container).
          type: dict
        containers:
          description: Names of the running containers by id; null if there is no Docker daemon to ask.
          type: dict
        docker:
          description:
            - What the Docker daemon says of itself. C(version); C(disk), the file system of its images, with C(mount), C(total_bytes) and C(free_bytes);
              C(container_names), of all containers, running or not; C(served), by the names of running containers their C(image_id)
              and those C(labels) that are ours; C(image_id), the id of O(image), null if it is not there. Null as a whole if there
              is no daemon.
          type: dict
        memory_total_mb:
          description: Memory of the host.
          type: int
        epoch:
          description: Time on the host, in seconds since 1970.
          type: float
        python_version:
          description: Version of the Python that ran this.
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
import http.client
import json
import os
import platform
import socket
import stat
import threading
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker, procfs

RESOLVER_SECONDS = 1.0
DOCKER_SECONDS = 2.0


class Sockaddr(ctypes.Structure):
    _fields_ = [("family", ctypes.c_ushort), ("data", ctypes.c_ubyte * 26)]


class Ifaddrs(ctypes.Structure):
    _fields_ = [
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("address", ctypes.POINTER(Sockaddr)),
    ]


def read(path):
    """Return the text of a file; empty if it is not there, or its process has just ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def interfaces():
    """Ask the C library: unlike /proc it gives every address with its NIC, and unlike `ip` it is always there."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = ctypes.POINTER(Ifaddrs)()
    if libc.getifaddrs(ctypes.byref(head)):
        raise OSError(ctypes.get_errno(), "getifaddrs")
    found = {}
    item = head
    while item:
        entry = item.contents
        addresses = found.setdefault(entry.name.decode(), [])
        if entry.address:
            family, data = entry.address.contents.family, bytes(entry.address.contents.data)
            if family == socket.AF_INET:
                addresses.append(socket.inet_ntop(family, data[2:6]))
            elif family == socket.AF_INET6:
                addresses.append(socket.inet_ntop(family, data[6:22]))
        item = ctypes.cast(entry.next, ctypes.POINTER(Ifaddrs))
    libc.freeifaddrs(head)
    return [{"name": name, "addresses": found[name]} for name in sorted(found)]


def kind(path):
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    for name, test in (
        ("char", stat.S_ISCHR),
        ("block", stat.S_ISBLK),
        ("dir", stat.S_ISDIR),
        ("file", stat.S_ISREG),
    ):
        if test(mode):
            return name
    return "other"


def space(path):
    """Return the file system that *path* lies on, or will."""
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


def used_bytes(folder):
    total = 0
    for where, _folders, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:  # gone in the meantime
                continue
    return total


def owners(inodes):
    """Return {inode: pid} for those of the socket *inodes* that a process holds open."""
    found = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for file in glob.iglob("/proc/[0-9]*/fd/*") if wanted else []:
        try:
            link = os.readlink(file)
        except OSError:  # closed in the meantime
            continue
        if link in wanted:
            found[wanted[link]] = int(file.split("/")[2])
    return found


def ports(wanted):
    listening = {port: set() for port in wanted}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for port, inodes in procfs.listeners(read(table)).items():
            if port in listening:
                listening[port] |= inodes
    pids = owners(set().union(*listening.values()))
    result = {}
    for port, inodes in listening.items():
        pid = next((pids[inode] for inode in sorted(inodes) if inode in pids), None)
        result[str(port)] = {
            "listening": bool(inodes),
            "pid": pid,
            "process": read(f"/proc/{pid}/comm").strip() or None if pid else None,
            "container": procfs.container_id(read(f"/proc/{pid}/cgroup")) if pid else None,
        }
    return result


def ask_docker(docker_socket, image):
    """Return the running containers, and the daemon's own facts; None for both if it does not answer."""
    connection = docker.Connection(docker_socket, DOCKER_SECONDS)

    def get(path):
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read()
        if response.status not in (200, 404):
            raise ValueError(text)
        return json.loads(text) if response.status == 200 else {}

    try:
        containers, info = get("/containers/json?all=1"), get("/info")
        image_id = get(f"/images/{image}/json").get("Id") if image else None
    except (OSError, http.client.HTTPException, ValueError):
        return None, None
    finally:
        connection.close()
    running = procfs.running(containers)
    facts = {
        "version": info["ServerVersion"],
        "disk": space(info["DockerRootDir"]),
        "container_names": sorted(procfs.container_names(containers).values()),
        "served": procfs.served(running),
        "image_id": image_id,
    }
    return procfs.container_names(running), facts


def resolve(name):
    """Return the addresses of *name*, or None: a resolver without a network takes far longer than anyone should wait here."""
    answer = []

    def ask():
        try:
            answer.append(sorted({item[4][0] for item in socket.getaddrinfo(name, None)}))
        except OSError:
            answer.append([])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(RESOLVER_SECONDS)
    return answer[0] if answer else None


def facts(wanted):
    nics = interfaces()
    hostname = socket.gethostname()
    containers, daemon = ask_docker(wanted["docker_socket"], wanted["image"])
    return {
        "hostname": hostname,
        "hostname_addresses": resolve(hostname),
        "interfaces": nics,
        "service_nic": procfs.nic_of(wanted["service_ip"], nics),
        "paths": {path: kind(path) for path in wanted["paths"]},
        "disks": {path: dict(space(path), used_bytes=used_bytes(path)) for path in wanted["disks"]},
        "ports": ports(wanted["ports"]),
        "containers": containers,
        "docker": daemon,
        "memory_total_mb": procfs.memory_total_mb(read("/proc/meminfo")),
        "epoch": time.time(),
        "python_version": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": procfs.os_name(read("/etc/os-release")),
        "proxies": procfs.proxies(os.environ),
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "service_ip": {"type": "str"},
            "paths": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "disks": {"type": "list", "elements": "path", "default": []},
            "image": {"type": "str"},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
        },
        supports_check_mode=True,
    )
    try:
        found = facts(module.params)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"The facts of host {socket.gethostname()} could not be read: {error}.")
    module.exit_json(changed=False, ansible_facts={"vllm_host_facts": found})


if __name__ == "__main__":
    main()
