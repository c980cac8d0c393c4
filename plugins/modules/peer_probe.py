#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_probe
short_description: Call ports of other hosts, and ping from RoCE ports
description:
  - Opens TCP connections, all at the same time, and closes them at once.
  - Pings from the RoCE ports of the chips with C(hccn_tool), all chips at the same time, the pings of a chip one after the other.
  - M(ascend_ops.vllm.reach) runs it on each host of a service, with the calls and pings that fall to that host.
options:
  address:
    description: Address of this host to call from.
    type: str
    required: true
  calls:
    description: Connections to open.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name of the other host.
        type: str
        required: true
      address:
        description: Its address.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
  call_seconds:
    description: How long to wait for the connections.
    type: float
    default: 3
  pings:
    description: Pings to send.
    type: list
    elements: dict
    default: []
    suboptions:
      device:
        description: Chip to ping from, the N of C(/dev/davinciN).
        type: int
        required: true
      host:
        description: Name of the other host.
        type: str
        required: true
      peer:
        description: Its chip.
        type: int
        required: true
      address:
        description: Address of that chip's RoCE port.
        type: str
        required: true
  ping_seconds:
    description: How long all pings together may take; those for which no time is left are not sent.
    type: float
    default: 15
  hccn_tool_path:
    description: Path of C(hccn_tool). Needed for O(pings).
    type: path
attributes:
  check_mode:
    description: Only asks.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
seealso:
  - module: ascend_ops.vllm.reach
  - module: ascend_ops.vllm.peer_listener
"""

EXAMPLES = r"""
- name: The head can be called, and chip 0 reaches its chip 0
  ascend_ops.vllm.peer_probe:
    address: 10.0.0.11
    calls: [{host: node0, address: 10.0.0.10, port: 8082}]
    pings: [{device: 0, host: node0, peer: 0, address: 10.20.11.11}]
    hccn_tool_path: /usr/local/Ascend/driver/tools/hccn_tool
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_peers:
      description: What came of it.
      type: dict
      contains:
        calls:
          description: Each of O(calls) with C(error), null if the connection came about.
          type: list
          elements: dict
          sample: [{host: node0, address: 10.0.0.10, port: 8082, error: no answer within 3 s}]
        pings:
          description:
            - Each of O(pings) with C(sent) and C(received), numbers of packets, both null if C(hccn_tool) did not say or there was no time,
              and C(text), what it said then.
          type: list
          elements: dict
          sample: [{device: 0, host: node0, peer: 0, address: 10.20.11.11, sent: 3, received: 3, text: null}]
"""

import errno
import functools
import os
import selectors
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool


def dial(own, address, port):
    """Return a socket that is connecting, and None or an error."""
    call = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    call.setblocking(False)
    try:
        call.bind((own, 0))
        code = call.connect_ex((address, port))
    except OSError as error:
        code = error.errno
    return call, None if code in (0, errno.EINPROGRESS) else os.strerror(code)


def tell(call):
    """Say who calls, and return the number of an error."""
    try:
        call.sendall(procfs.CALL)
    except OSError as error:
        return error.errno
    return 0


def call_all(own, calls, seconds):
    """Return *calls* with the error of each."""
    deadline = time.monotonic() + seconds
    results = [dict(one, error=f"no answer within {seconds:g} s") for one in calls]
    with selectors.DefaultSelector() as selector:
        for result in results:
            call, error = dial(own, result["address"], result["port"])
            if error:
                result["error"] = error
                call.close()
            else:
                selector.register(call, selectors.EVENT_WRITE, result)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _events in selector.select(deadline - time.monotonic()):
                code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or tell(key.fileobj)
                key.data["error"] = os.strerror(code) if code else None
                selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return results


def ping_chain(tool, pings, deadline):
    """Return the *pings* of one chip with the answer of each."""
    results = []
    for one in pings:
        left = deadline - time.monotonic()
        text = (
            hccn_tool.ask(tool, one["device"], f"-ping -g address {one['address']}", left).text
            if left > 0
            else "no time was left to ask"
        )
        sent, received = hccn_tool.parse_ping(text) or (None, None)
        results.append(dict(one, sent=sent, received=received, text=text.strip() if sent is None else None))
    return results


def probe(params):
    deadline = time.monotonic() + params["ping_seconds"]
    chains = {}
    for one in params["pings"]:
        chains.setdefault(one["device"], []).append(one)
    calls, *pings = commands.side_by_side(
        [functools.partial(call_all, params["address"], params["calls"], params["call_seconds"])]
        + [
            functools.partial(ping_chain, params["hccn_tool_path"], chain, deadline)
            for chain in chains.values()
        ]
    )
    return {"calls": calls, "pings": [one for chain in pings for one in chain]}


def main():
    other = {"host": {"type": "str", "required": True}, "address": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "calls": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": dict(other, port={"type": "int", "required": True}),
            },
            "call_seconds": {"type": "float", "default": 3},
            "pings": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": dict(
                    other, device={"type": "int", "required": True}, peer={"type": "int", "required": True}
                ),
            },
            "ping_seconds": {"type": "float", "default": 15},
            "hccn_tool_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.params["pings"] and not module.params["hccn_tool_path"]:
        module.fail_json(
            msg="pings are asked for without hccn_tool_path, wanted the path of the tool that sends them."
        )
    module.exit_json(changed=False, ansible_facts={"vllm_peers": probe(module.params)})


if __name__ == "__main__":
    main()
