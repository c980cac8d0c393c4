# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a host: its options, what is in it, and the main process."""

from __future__ import annotations

import posixpath
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import mounts, values

PORTS = ("api_port", "rpc_port", "supervisor_port")  # of the head
# In the container, in folders that every image has.
SERVE_SCRIPT = "/usr/local/bin/ascend-ops-serve"
SUPERVISOR = "/usr/local/bin/ascend-ops-supervise"
SUPERVISOR_KEY = "/etc/ascend-ops-supervise.key"
API_KEY = "/etc/ascend-ops-api.key"
SUPERVISOR_STATE = "/var/lib/ascend-ops-supervise.json"
SUPERVISOR_GOOD = "/var/lib/ascend-ops-supervise.good"  # exists once the service has worked
VERIFIED = "/etc/ascend-ops-verified"  # exists once role verify has passed all checks
SUPERVISOR_STATUS = "/var/lib/ascend-ops-supervise.status"
MIDDLEWARE = "/usr/local/lib/ascend_ops_drain.py"
DRAINING = "/var/lib/ascend-ops-draining"  # exists while the API refuses requests
STOP_SECONDS = 20  # for a stop after the drain
VLLM_STOP_SECONDS = 8  # of that, for vLLM: --stop-seconds of the supervisor
# What root in a hardened container still needs: to use files and devices of other owners, as those of the driver.
CAPABILITIES = ("DAC_OVERRIDE",)
FIRST_FREE_PORT = 1024  # below it, a port takes a capability
# How long an engine may compile before its first answer. vLLM itself allows as much as the variable says, by default
# 300 s, before it takes a step of the engine for failed.
FIRST_SECONDS = 600
STEP_SECONDS = "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS"


def of(settings: Mapping[str, Any], names: Mapping[str, Any], weights: str | None) -> dict[str, Any]:
    """Return the settings container_KEY as KEY, what is computed of them, and paths in the container.

    *names* are those of placeholders. *weights* is where the container has the weights; a plan without it is refused.
    """
    prefix = "container_"
    given = {key[len(prefix) :]: value for key, value in settings.items() if key.startswith(prefix)}
    del given["extra_mounts"]
    folder = settings["supervisor_metrics_dir"]
    return {
        **given,
        "devices": [f"/dev/davinci{i}" for i in settings["npu_ids"]] + settings["npu_control_devices"],
        "mounts": mounts.bind_mounts(settings),
        "env": values.environment(given["env"], names),
        "log_options": {name: str(value) for name, value in given["log_options"].items()},
        "serve_script": SERVE_SCRIPT,
        "supervisor": SUPERVISOR,
        "supervisor_key": SUPERVISOR_KEY,
        "supervisor_status": SUPERVISOR_STATUS,
        "supervisor_good": SUPERVISOR_GOOD,
        "verified": VERIFIED,
        "metrics": posixpath.join(folder, _metrics_file(settings)) if folder else None,
        "middleware": MIDDLEWARE,
        "drain_seconds": settings["drain_seconds"],
        "stop_timeout": settings["drain_seconds"] + STOP_SECONDS,
        "api_key": API_KEY,
        "first_seconds": _first_seconds(settings),
        "security": _security(settings, weights),
    }


def _security(settings: Mapping[str, Any], weights: str | None) -> dict[str, Any]:
    """Return the options of community.docker.docker_container that harden the container; none if it is not to be."""
    if not settings["container_hardened"]:
        return {}
    low_ports = any(settings[key] < FIRST_FREE_PORT for key in PORTS)
    return {
        "security_opts": ["no-new-privileges:true"],
        "cap_drop": ["ALL"],
        "capabilities": [*CAPABILITIES, *(["NET_BIND_SERVICE"] if low_ports else [])],
        "mounts": mounts.with_fixed_weights(mounts.bind_mounts(settings), settings["model_dir"], weights),
    }


def command(rank: int, hosts: int, names: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Return the container's main process: the supervisor of host number *rank*, over the serve script."""
    options = {
        "rank": rank,
        "hosts": hosts,
        "address": names["service_ip"],
        "head": names["head_ip"],
        "port": settings["supervisor_port"],
        "key": SUPERVISOR_KEY,
        "state": SUPERVISOR_STATE,
        "grace": settings["supervisor_grace"],
        "max-failures": settings["supervisor_max_failures"],
        "status": SUPERVISOR_STATUS,
        "api-port": settings["api_port"],
        "api-key-file": API_KEY,
        "engines": hosts * settings["data_parallel_size_local"],
        "probe-seconds": settings["supervisor_probe_seconds"],
        "first-seconds": _first_seconds(settings),
        "drain-seconds": settings["drain_seconds"],
        "draining": DRAINING,
    }
    if rank == 0 and settings["drain_seconds"]:
        options["middleware"] = MIDDLEWARE
    if settings["supervisor_metrics_dir"]:
        options["metrics"] = posixpath.join(mounts.METRICS, _metrics_file(settings))
    return [
        "python3",
        SUPERVISOR,
        *(f"--{name}={value}" for name, value in options.items()),
        "--",
        "/bin/bash",
        SERVE_SCRIPT,
    ]


def _first_seconds(settings: Mapping[str, Any]) -> int:
    """Return for how many seconds an engine may owe its first token."""
    given = str({**settings["container_env"], **settings["serve_env"]}.get(STEP_SECONDS))
    return max(FIRST_SECONDS, int(given)) if given.isdecimal() else FIRST_SECONDS


def _metrics_file(settings: Mapping[str, Any]) -> str:
    """Return the name of the file with the supervisor's metrics. Services on one host have different ports."""
    return f"ascend-ops-{settings['api_port']}.prom"
