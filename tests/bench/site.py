# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A converged `site.yml` on the lab, compared with a playbook of 20 `stat` tasks on the same hosts.

The lab's inventory reads from a file what its model must answer. An inventory of a user does not, so that this gives both playbooks
the answers themselves.

The lab must be up. BENCH_ROUNDS (5) is the number of runs of each, alternating.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = os.environ.get("ASCEND_LAB_STATE", "/var/lib/ascend-ops-lab")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
STAT = """    - ansible.builtin.stat:
        path: /etc/hostname
"""
PLAY = "- hosts: all\n  gather_facts: false\n  tasks:\n" + 20 * STAT


def seconds(playbook: Path) -> float:
    """Return how long a run of the playbook takes; fail if it changes something."""
    command = ["ansible-playbook", "-i", "inventories/lab", "-e", f"@{STATE}/probe.json", playbook]
    began = time.monotonic()
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    duration = time.monotonic() - began
    if "changed=0" not in run.stdout or "changed=1" in run.stdout:
        raise SystemExit(f"{playbook} changed something:\n{run.stdout}")
    return duration


def main() -> None:
    site = ROOT / "site.yml"
    subprocess.run(
        ["ansible-playbook", "-i", "inventories/lab", site], cwd=ROOT, check=True, capture_output=True
    )
    with tempfile.TemporaryDirectory(prefix="bench-site-") as folder:
        stats = Path(folder, "stats.yml")
        stats.write_text(PLAY, encoding="ascii")
        times: dict[Path, list[float]] = {site: [], stats: []}
        for _round in range(ROUNDS):
            for playbook, durations in times.items():
                durations.append(seconds(playbook))
    medians = {playbook: statistics.median(durations) for playbook, durations in times.items()}
    print(
        f"{os.cpu_count()} processors, median of {ROUNDS}\n\n| playbook | s | from | to |\n|---|---|---|---|"
    )
    for name, playbook in (("site.yml, converged", site), ("20 stat tasks", stats)):
        print(
            f"| {name} | {medians[playbook]:.1f} | {min(times[playbook]):.1f} | {max(times[playbook]):.1f} |"
        )
    print(f"\nratio {medians[site] / medians[stats]:.2f}")


if __name__ == "__main__":
    main()
