# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks/monitoring.yml on this machine, and the programs of Prometheus that `make monitoring` unpacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_run import ROOT, Failure, playbook

PROGRAMS = ROOT / ".cache/prometheus/usr/bin"


def watch(
    folder: Path, *options: str, hosts: dict[str, Any] | None = None, **variables: Any
) -> tuple[subprocess.CompletedProcess[str], list[Failure]]:
    """Run the playbook with *folder*/written for what the role writes. *hosts* are variables of head and worker."""
    hosts = hosts or {"node0": {"vllm_service_ip": "10.0.0.10"}, "node1": {"vllm_service_ip": "10.0.0.11"}}
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "monitoring_dir": str(folder / "written"),
    }
    head, *workers = hosts
    inventory = {
        "vllm_head": {"hosts": {head: hosts[head]}},
        "vllm_workers": {"hosts": {worker: hosts[worker] for worker in workers}},
        "vllm_monitoring": {"hosts": {"watch": {**here, **variables}}},
    }
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    return playbook("playbooks/monitoring.yml", "-i", str(folder / "hosts.json"), *options)


def promtool(*arguments: str | Path) -> str:
    """Return what promtool prints; it must succeed."""
    command = [str(PROGRAMS / "promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
