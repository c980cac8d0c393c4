#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_listener
short_description: Listen for a short time, so that the other hosts can test the network
version_added: 0.1.0
description:
  - Starts a process that listens on TCP ports of one address. It sends nothing, and ends when all other
    hosts have called or the time is up.
  - Only connections that send the greeting of M(ascend_ops.vllm.peer_probe) count. Other clients, such as a
    vLLM worker that looks for its head, are ignored.
  - Listening and calling are two tasks, so that no host waits for another one, whatever the number of forks.
  - A port that is in use is left out.
options:
  state:
    description:
      - V(started) starts the process in the place of an earlier one.
      - V(stopped) ends it. It reports whether the process still listened. If it did not, a call that failed proves
        nothing.
    type: str
    choices: [started, stopped]
    default: started
  address:
    description: Address to listen on, the host's own in the service network. Required to start.
    type: str
  ports:
    description: Ports to listen on.
    type: list
    elements: int
    default: []
  ephemeral:
    description: Number of further ports to listen on, spread over the kernel's range of ephemeral ports.
    type: int
    default: 4
  callers:
    description: Number of hosts that will call. Required to start.
    type: int
  seconds:
    description: Time after which the process ends in any case. All hosts must have started to call by then.
    type: int
    default: 120
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.peer_probe
"""

EXAMPLES = r"""
- name: Listen for the other hosts
  ascend_ops.vllm.peer_listener:
    address: "{{ ansible_facts.vllm_plan.service_ip }}"
    ports: [8082]
    callers: "{{ ansible_play_hosts | length - 1 }}"

- name: Stop listening
  ascend_ops.vllm.peer_listener:
    state: stopped
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
  returned: success
  type: dict
  contains:
    vllm_listener:
      description: Where the process listens.
      type: dict
      contains:
        address:
          description: The value of O(address).
          type: str
          sample: 10.0.0.10
        ports:
          description: Ports that can be called.
          type: list
          elements: int
          sample: [8082, 32768, 42178, 51588, 60999]
        error:
          description: Why the process does not listen; null if it does.
          type: str
    vllm_listener_outlasted:
      description:
        - Whether the process listened until it was stopped with O(state=stopped).
        - Null before that.
      type: bool
      sample: true
"""

import errno
import os
import selectors
import signal
import socket
import struct
import time
from typing import Any, Iterator, Mapping, Sequence, cast

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.procfs import read_text
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.connectivity import (
    GREETING,
    LISTENER,
)

RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
RESET = struct.pack("ii", 1, 0)  # close at once, with nothing left that holds the port
LOST_SECONDS = 2  # for a caller to close its connection
NEIGHBOURS = 50  # ports to try next to one that is in use


def earlier_listeners() -> list[int]:
    """Return the listeners in this network namespace; those in other ones hold no port of it."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    listeners = [pid for pid in pids if read_text(f"/proc/{pid}/comm").strip() == LISTENER]
    return [pid for pid in listeners if network(pid) == network("self")]


def network(pid: int | str) -> str | None:
    """Return the network namespace of a process; None if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def end_earlier_listeners() -> bool:
    """End the listeners that would hold the ports until their time is up; return whether there was one."""
    pids = earlier_listeners()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 1
    while pids and earlier_listeners() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(pids)


def listen(address: str, port: int) -> socket.socket | None:
    """Return a socket that listens; None if the port is in use."""
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are closing do not matter
    try:
        server.bind((address, port))
        server.listen(128)
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return server


def spread(count: int) -> Iterator[Sequence[int]]:
    """Yield for each of *count* ports the candidates; the first ones lie evenly over the kernel's range."""
    low, high = (int(number) for number in (read_text(RANGE) or "32768 60999").split())
    for index in range(count):
        first = low + (high - low) * index // max(count - 1, 1)
        step = 1 if first + NEIGHBOURS < high else -1
        yield range(first, first + step * NEIGHBOURS, step)


def open_all(address: str, ports: Sequence[int], ephemeral: int) -> list[socket.socket]:
    """Return the listening sockets, one for each free port. Raises OSError for an address of no NIC."""
    candidates: list[Sequence[int]] = [[port] for port in ports]
    candidates += spread(ephemeral)
    opened = [next(filter(None, (listen(address, port) for port in some)), None) for some in candidates]
    return [server for server in opened if server]


def serve(servers: Sequence[socket.socket], callers: int, seconds: float) -> None:
    """Accept calls until enough hosts have called on each port. A port is free again once all have called it.

    The caller closes the connection, so that none lingers on these ports. If the close gets lost on the way,
    they are not held for long either.
    """
    deadline = time.monotonic() + seconds
    called: dict[Any, set[str]] = {server: set() for server in servers}
    calls: dict[Any, tuple[Any, str]] = {}
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server, selectors.EVENT_READ)
        while (called or calls) and time.monotonic() < deadline:
            for key, _events in selector.select(deadline - time.monotonic()):
                if key.fileobj in called:
                    call, peer = key.fileobj.accept()  # type: ignore[union-attr]
                    call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    calls[call] = (key.fileobj, peer[0])
                    selector.register(call, selectors.EVENT_READ)
                    continue
                call = cast(socket.socket, key.fileobj)
                server, caller = calls[call]
                if received(call) != GREETING:
                    selector.unregister(call)
                    del calls[call]
                    call.close()
                elif server in called:
                    called[server].add(caller)
                    if len(called[server]) >= callers:
                        selector.unregister(server)
                        server.close()
                        del called[server]
            if not called:
                deadline = min(deadline, time.monotonic() + LOST_SECONDS)


def received(call: socket.socket) -> bytes:
    """Return the next bytes; none once the connection is closed."""
    try:
        return call.recv(1024)
    except OSError:
        return b""


def serve_in_background(servers: Sequence[socket.socket], callers: int, seconds: float) -> None:
    """Serve in a process of its own, which keeps none of Ansible's files open."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(LISTENER)
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


def start(params: Mapping[str, Any]) -> dict[str, Any]:
    """Start the process and return where it listens."""
    end_earlier_listeners()
    try:
        servers = open_all(params["address"], params["ports"], params["ephemeral"])
    except OSError as error:
        message = f"cannot listen on {params['address']}: {error.strerror}"
        return {"address": params["address"], "ports": [], "error": message}
    if servers:
        serve_in_background(servers, params["callers"], params["seconds"])
    ports = [server.getsockname()[1] for server in servers]
    return {"address": params["address"], "ports": ports, "error": None}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "address": {"type": "str"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "ephemeral": {"type": "int", "default": 4},
            "callers": {"type": "int"},
            "seconds": {"type": "int", "default": 120},
        },
        required_if=[("state", "started", ("address", "callers"))],
        supports_check_mode=True,
    )
    if module.params["state"] == "stopped":
        facts: dict[str, Any] = {"vllm_listener_outlasted": end_earlier_listeners()}
    else:
        facts = {"vllm_listener": start(module.params), "vllm_listener_outlasted": None}
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
