# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the options of the role monitoring."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options.role_options import LAST_PORT
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

OWN_PORTS = ("api_port", "rpc_port", "supervisor_port")
PORT = re.compile(r":[0-9]+$")


def problems(
    service: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
    name: str,
    file: str,
    former: str,
) -> list[Problem]:
    """Return what is wrong.

    *service* is the plan's, and *name* is the label ``service``. *options* are ``monitoring_exporters`` and
    ``monitoring_thresholds``. *file* is where the targets go, and *former* its present content, an empty text if there is none.
    """
    return [
        *_of_ports(service, options["monitoring_exporters"]),
        *_of_thresholds(options["monitoring_thresholds"]),
        *_of_file(service, name, file, former),
    ]


def _of_thresholds(thresholds: Mapping[str, Any]) -> Iterator[Problem]:
    """With some, Prometheus would refuse all rules, and with others, an alert would always or never fire."""
    for name, value in thresholds.items():
        ratio = name.endswith("_ratio")
        number = float(value) if value is not None else math.nan
        if math.isfinite(number) and number > 0 and (number < 1 or not ratio):
            continue
        expected = "a part between 0 and 1, such as 0.9 for 90 %" if ratio else "a number above 0"
        yield Problem(f"monitoring_thresholds has {value} for {name}", expected, "correct or remove it")


def _of_ports(service: Mapping[str, Any], exporters: Mapping[str, Any]) -> Iterator[Problem]:
    for exporter in (exporter for exporter, port in exporters.items() if port is None):
        found = f"monitoring_exporters has no port for {exporter}"
        yield Problem(found, f"a port from 1 to {LAST_PORT}", "add it, or remove the entry")
    ports = {exporter: int(port) for exporter, port in exporters.items() if port is not None}
    taken = [service[name] for name in OWN_PORTS]
    for exporter, port in ports.items():
        if not 1 <= port <= LAST_PORT:
            found = f"monitoring_exporters has port {port} for {exporter}"
            yield Problem(found, f"a port from 1 to {LAST_PORT}", "correct it")
        if port in taken:
            found = f"port {port} in monitoring_exporters, a port of the service itself"
            expected = (
                "the ports of the exporters. Prometheus must not send requests to vLLM's own connections"
            )
            remedy = "let the exporter listen on another port, or set vllm_rpc_port or vllm_supervisor_port"
            yield Problem(found, expected, remedy)
    for port, count in Counter(ports.values()).items():
        if count > 1:
            found = f"port {port} in monitoring_exporters for {' and '.join(ports)}"
            yield Problem(found, "a port for each exporter", "correct one of them")


def _of_file(service: Mapping[str, Any], name: str, file: str, former: str) -> Iterator[Problem]:
    """Another service with the same name, or one whose file has the same, would no longer be watched."""
    targets = _targets(former)
    names = {str(target["labels"]["service"]) for target in targets}
    addresses = {PORT.sub("", address).strip("[]") for target in targets for address in target["targets"]}
    here = {host["address"] for host in service["hosts"]}
    if targets and (names != {name} or not addresses & here):
        found = f"{file} has the targets of {', '.join(sorted(names))} on {', '.join(sorted(addresses))}"
        expected = f"those of {name} on {', '.join(sorted(here))}"
        remedy = (
            "if that is another service, set monitoring_service, so that both have names of their own; "
            "if this service has moved, remove the file"
        )
        yield Problem(found, expected, remedy)


def _targets(text: str) -> list[dict[str, Any]]:
    """Return the targets of a file that the role has written; none if it is damaged, since then it is written again."""
    try:
        targets: list[dict[str, Any]] = json.loads(text)
        return [
            target
            for target in targets
            if target["labels"]["service"] and target["targets"] and "".join(target["targets"])
        ]
    except (ValueError, TypeError, KeyError):
        return []
