#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_listener
short_description: Listen for a moment, so that the other hosts can call
description:
  - Leaves a process that listens on TCP ports of one address, says nothing to who calls, and ends when all others have called or the time is up.
    A call is one by M(ascend_ops.vllm.reach); what else connects to the ports, such as a worker of the service that looks for its head, is none.
  - Listening and calling are two steps, so no host waits for another, however many of them Ansible works on at a time.
  - A port that something else holds is left to it.
options:
  address:
    description: Address to listen on, the host's own in the service network.
    type: str
    required: true
  ports:
    description: Ports to listen on.
    type: list
    elements: int
    default: []
  ephemeral:
    description: On how many ports to listen besides, spread over the range from which the kernel takes ports for whoever asks for any.
    type: int
    default: 4
  callers:
    description: How many hosts will call.
    type: int
    required: true
  seconds:
    description: After so long it ends in any case.
    type: int
    default: 30
attributes:
  check_mode:
    description: Does the same, for it changes nothing that lasts.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.reach
"""

EXAMPLES = r"""
- name: The host listens for the others
  ascend_ops.vllm.peer_listener:
    address: "{{ ansible_facts.vllm_plan.service_ip }}"
    ports: [8082]
    callers: "{{ ansible_play_hosts | length - 1 }}"
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_listener:
      description: Where it listens.
      type: dict
      contains:
        address:
          description: As given.
          type: str
          sample: 10.0.0.10
        ports:
          description: The ports that can be called.
          type: list
          elements: int
          sample: [8082, 32768, 42178, 51588, 60999]
        error:
          description: Why it does not listen; null if it does.
          type: str
"""

import errno
import os
import selectors
import signal
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import procfs

RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
RESET = struct.pack("ii", 1, 0)  # close at once, with nothing left that holds the port
LOST_SECONDS = 2  # for a caller to end its call
NEIGHBOURS = 50  # ports tried where the one wanted is taken


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def earlier():
    """Return the listeners of this host's network; one that runs in a container with a network of its own holds no port of ours."""
    pids = filter(str.isdigit, os.listdir("/proc"))
    return [
        int(pid)
        for pid in pids
        if read(f"/proc/{pid}/comm").strip() == procfs.LISTENER and network(pid) == network("self")
    ]


def network(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:  # it has ended
        return None


def end_earlier():
    """End the listener that a run left whose hosts could not all call; it would hold the ports for the rest of its time."""
    pids = earlier()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 1
    while pids and earlier() and time.monotonic() < deadline:
        time.sleep(0.01)


def listen(address, port):
    """Return a socket that listens; None where the port is taken."""
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.setsockopt(
        socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
    )  # connections that are just ending do not matter
    try:
        server.bind((address, port))
        server.listen(128)
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return server


def spread(count):
    """Yield for each of *count* ports those to try, the first of which lie evenly over the kernel's range."""
    low, high = (int(number) for number in (read(RANGE) or "32768 60999").split())
    for index in range(count):
        first = low + (high - low) * index // max(count - 1, 1)
        step = 1 if first + NEIGHBOURS < high else -1
        yield range(first, first + step * NEIGHBOURS, step)


def open_all(params):
    servers = []
    for candidates in [*([port] for port in params["ports"]), *spread(params["ephemeral"])]:
        for port in candidates:
            server = listen(params["address"], port)
            if server:
                servers.append(server)
                break
    return servers


def serve(servers, callers, seconds):
    """Accept calls until as many hosts as expected have called on each port; one that all have called is free again at once.

    The caller ends a call, so that none lingers on our ports. For an end that was lost on the way nobody waits long.
    """
    deadline = time.monotonic() + seconds
    called = {server: set() for server in servers}
    calls = {}
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server, selectors.EVENT_READ)
        while (called or calls) and time.monotonic() < deadline:
            for key, _events in selector.select(deadline - time.monotonic()):
                if key.fileobj in called:
                    call, peer = key.fileobj.accept()
                    call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    calls[call] = (key.fileobj, peer[0])
                    selector.register(call, selectors.EVENT_READ)
                    continue
                server, caller = calls[key.fileobj]
                if said(key.fileobj) != procfs.CALL:
                    selector.unregister(key.fileobj)
                    del calls[key.fileobj]
                    key.fileobj.close()
                elif server in called:
                    called[server].add(caller)
                    if len(called[server]) >= callers:
                        selector.unregister(server)
                        server.close()
                        del called[server]
            if not called:
                deadline = min(deadline, time.monotonic() + LOST_SECONDS)


def said(call):
    """Return what came next; nothing once the call has ended."""
    try:
        return call.recv(1024)
    except OSError:
        return b""


def leave_behind(servers, callers, seconds):
    """Serve in a process of its own, which holds nothing of Ansible's open."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(procfs.LISTENER)
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        serve(servers, callers, seconds)
    finally:
        os._exit(0)


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "default": []},
            "ephemeral": {"type": "int", "default": 4},
            "callers": {"type": "int", "required": True},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    end_earlier()
    servers, trouble = [], None
    try:
        servers = open_all(params)
    except OSError as error:  # the address is not this host's, as a rule
        trouble = f"cannot listen on {params['address']}: {error.strerror}"
    if servers:
        leave_behind(servers, params["callers"], params["seconds"])
    listener = {
        "address": params["address"],
        "ports": [server.getsockname()[1] for server in servers],
        "error": trouble,
    }
    module.exit_json(changed=False, ansible_facts={"vllm_listener": listener})


if __name__ == "__main__":
    main()
