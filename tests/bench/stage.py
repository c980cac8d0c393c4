# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage preflight on the lab's hosts, beside a mere ping of them by Ansible.

All hosts share the processors of this machine, with Ansible and with each other. BENCH_HOSTS (2,16) are the numbers of hosts,
BENCH_ROUNDS (3) the runs of each.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
COUNTS = [int(count) for count in os.environ.get("BENCH_HOSTS", "2,16").split(",")]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ADDRESS = "{{{{ lab_net }}}}.{}"

PING = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
"""
STAGE = """
- hosts: vllm_head:vllm_workers
  gather_facts: false
  tasks:
    - ascend_ops.vllm.plan:
    - ansible.builtin.import_role:
        name: ascend_ops.vllm.preflight
"""
# What the role finds where the service runs on all hosts: its supervisors reach each other, and the network is not tried again.
RUNNING = ["-e", json.dumps({"__preflight_service_runs": True})]


def inventory(folder: Path, count: int) -> None:
    """Write an inventory of so many of the lab's hosts."""
    hosts = {f"node{number}": {"ansible_host": ADDRESS.format(10 + number)} for number in range(count)}
    groups = {"vllm_head": {"hosts": {"node0": hosts.pop("node0")}}, "vllm_workers": {"hosts": hosts}}
    (folder / "hosts.yml").write_text(json.dumps(groups), encoding="ascii")
    if not (folder / "group_vars").exists():
        (folder / "group_vars").symlink_to(ROOT / "inventories" / "lab" / "group_vars")


def median(folder: Path, count: int, play: str, *options: str) -> float:
    """Return the seconds of a playbook, once connections are open."""
    (folder / "play.yml").write_text(play, encoding="ascii")
    command = [
        "ansible-playbook",
        "--forks",
        str(count),
        "-i",
        folder / "hosts.yml",
        folder / "play.yml",
        *options,
    ]
    times = []
    for _round in range(1 + ROUNDS):
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return statistics.median(times[1:])


def main() -> None:
    print(f"{os.cpu_count()} processors, median of {ROUNDS}\n")
    print(
        "| hosts | ping s | stage, service runs | more than ping | stage, no service yet | more than ping |\n|---|---|---|---|---|---|"
    )
    for count in COUNTS:
        subprocess.run([LAB, "up", str(count)], check=True, stdout=subprocess.DEVNULL)
        try:
            with tempfile.TemporaryDirectory(prefix="bench-stage-") as work:
                folder = Path(work)
                inventory(folder, count)
                ping, running, idle = (
                    median(folder, count, PING),
                    median(folder, count, STAGE, *RUNNING),
                    median(folder, count, STAGE),
                )
            print(
                f"| {count} | {ping:.1f} | {running:.1f} | {running - ping:.1f} | {idle:.1f} | {idle - ping:.1f} |",
                flush=True,
            )
        finally:
            subprocess.run([LAB, "down"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
