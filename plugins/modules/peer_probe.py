#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_probe
short_description: Test the network between the hosts of a vLLM service
version_added: 0.1.0
description:
  - Opens a TCP connection from this host to every port on which M(ascend_ops.vllm.peer_listener) listens on
    the other hosts of the play, all at the same time.
  - Pings RoCE ports of the other hosts from the own ones with C(hccn_tool), where both have a link and an
    address. All chips ping at the same time, the pings of one chip follow each other.
  - Only returns the results. M(ascend_ops.vllm.preflight_check) checks them.
options:
  pings:
    description:
      - V(quick) pings from each chip its counterpart on the next host; the first host comes after the last
        one.
      - V(full) pings from each chip every chip of every other host, which takes much longer.
    type: str
    choices: [quick, full]
    default: quick
  _address:
    description: Internal. The action plugin sets it to the address of this host to call from.
    type: str
  _calls:
    description: Internal. The action plugin sets it to the connections to open.
    type: list
    elements: dict
  _pings:
    description: Internal. The action plugin sets it to the pings to send.
    type: list
    elements: dict
  _seconds:
    description: Internal. The action plugin sets it to the time for all pings.
    type: float
  _tool:
    description: Internal. The action plugin sets it to the path of C(hccn_tool).
    type: path
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - Needs the facts C(vllm_plan) and C(vllm_host_facts) of M(ascend_ops.vllm.plan), C(vllm_npu) of
    M(ascend_ops.vllm.npu_facts) and C(vllm_listener) of M(ascend_ops.vllm.peer_listener) on each host of
    the play.
  - The action plugin of this module computes the calls and pings of each host from these facts. It sets the
    options that begin with an underscore.
seealso:
  - module: ascend_ops.vllm.peer_listener
  - module: ascend_ops.vllm.preflight_check
"""

EXAMPLES = r"""
- name: Gather NPU facts
  ascend_ops.vllm.npu_facts:

- name: Listen for the other hosts
  ascend_ops.vllm.peer_listener:
    address: "{{ ansible_facts.vllm_plan.service_ip }}"
    callers: "{{ ansible_play_hosts | length - 1 }}"

- name: Test the network between the hosts
  ascend_ops.vllm.peer_probe:
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
  returned: success
  type: dict
  contains:
    vllm_peers:
      description: The results.
      type: dict
      contains:
        calls:
          description:
            - Each connection with C(host), C(address) and C(port) of the other host, and C(error), null if
              it succeeded.
          type: list
          elements: dict
          sample: [{host: node0, address: 10.0.0.10, port: 8082, error: no answer within 3 s}]
        pings:
          description:
            - Each ping with C(device), the chip on this host, C(host), C(peer) and C(address) of the other
              one, and C(sent) and C(received), the numbers of packets.
            - C(crosses) is true for a ping that only looks for a switch, from a port without LLDP to one that is
              not its counterpart. It need not be answered.
            - C(by_hccs) is true for a ping over HCCS, which is sent if that joins the hosts, and not RoCE.
            - If C(hccn_tool) printed no numbers, or no time was left, both are null, and C(text) has its
              output.
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
from typing import Any, Callable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu import hccn_tool
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.connectivity import GREETING

CALL_SECONDS = 3.0


def connect(own: str, address: str, port: int) -> tuple[socket.socket, str | None]:
    """Return a socket that is connecting from the address *own*, and an error or None."""
    call = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    call.setblocking(False)
    try:
        call.bind((own, 0))
        code = call.connect_ex((address, port))
    except OSError as error:
        code = error.errno or errno.EIO
    return call, None if code in (0, errno.EINPROGRESS) else os.strerror(code)


def greet(call: socket.socket) -> str | None:
    """Send the greeting on a socket that has connected, or failed to; return an error or None."""
    code = call.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return os.strerror(code)
    try:
        call.sendall(GREETING)
    except OSError as error:
        return error.strerror
    return None


def call_all(own: str, calls: Sequence[Mapping[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Return *calls* with the error of each."""
    deadline = time.monotonic() + seconds
    results = [{**call, "error": f"no answer within {seconds:g} s"} for call in calls]
    with selectors.DefaultSelector() as selector:
        for result in results:
            call, error = connect(own, result["address"], result["port"])
            if error:
                result["error"] = error
                call.close()
            else:
                selector.register(call, selectors.EVENT_WRITE, (call, result))
        while selector.get_map() and time.monotonic() < deadline:
            for key, _events in selector.select(deadline - time.monotonic()):
                call, result = key.data
                result["error"] = greet(call)
                selector.unregister(call)
                call.close()
        for key in list(selector.get_map().values()):
            key.data[0].close()
    return results


def ping_all(tool: str, pings: Sequence[Mapping[str, Any]], deadline: float) -> list[dict[str, Any]]:
    """Return the *pings* of one chip, with the answer to each."""
    results = []
    for ping in pings:
        left = deadline - time.monotonic()
        text = "no time was left for it"
        if left > 0:
            text = hccn_tool.ask(
                tool, ping["device"], hccn_tool.ping(ping["address"], ping.get("by_hccs", False)), left
            ).text
        sent, received = hccn_tool.parse_ping(text) or (None, None)
        output = text.strip() if sent is None else None
        results.append({**ping, "sent": sent, "received": received, "text": output})
    return results


def probe(
    address: str, calls: list[dict[str, Any]], pings: list[dict[str, Any]], seconds: float, tool: str
) -> dict[str, Any]:
    """Return the results of all calls and pings; the pings end within *seconds*."""
    deadline = time.monotonic() + seconds
    by_chip: dict[int, list[dict[str, Any]]] = {}
    for ping in pings:
        by_chip.setdefault(ping["device"], []).append(ping)
    jobs: list[Callable[[], list[dict[str, Any]]]] = [
        functools.partial(call_all, address, calls, CALL_SECONDS)
    ]
    jobs += [functools.partial(ping_all, tool, chip, deadline) for chip in by_chip.values()]
    called, *pinged = commands.side_by_side(jobs)
    return {"calls": called, "pings": [result for chip in pinged for result in chip]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pings": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
            "_address": {"type": "str"},
            "_calls": {"type": "list", "elements": "dict"},
            "_pings": {"type": "list", "elements": "dict"},
            "_seconds": {"type": "float"},
            "_tool": {"type": "path"},
        },
        supports_check_mode=True,
    )
    own = {name: module.params[f"_{name}"] for name in ("address", "calls", "pings", "seconds", "tool")}
    found = probe(**own)
    module.exit_json(changed=False, ansible_facts={"vllm_peers": found})


if __name__ == "__main__":
    main()
