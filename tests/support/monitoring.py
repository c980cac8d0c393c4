# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks/monitoring.yml on this machine, and the programs of Prometheus that tests/unpack.sh unpacks."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from ansible_run import ROOT, Failure, playbook
from polling import wait_until
from ports import free_port

PROGRAMS = ROOT / ".cache/prometheus/usr/bin"
ALERTMANAGER = "prometheus-alertmanager"


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


@contextlib.contextmanager
def running(program: str, *options: str, log: Path) -> Iterator[None]:
    """Run a program of Prometheus for a while."""
    # Alertmanager of Debian looks below /usr/share, which is that of the packages in a namespace of its own.
    command = f'mount --bind "{PROGRAMS.parent}/share" /usr/share && exec "$0" "$@"'
    apart = ["unshare", "--mount", "sh", "-c", command] if program == ALERTMANAGER else []
    with log.open("wb") as output:
        process = subprocess.Popen([*apart, PROGRAMS / program, *options], stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def prometheus(
    folder: Path, written: Path, interval: str, rules: str = "", alertmanager: str = ""
) -> Iterator[Watched]:
    """Run Prometheus over what the role has written, with scrapes and evaluations at an interval.

    *rules* are files in the place of those that the role has written. *alertmanager* is HOST:PORT, if there is one.
    """
    receivers = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    configuration = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "alerting": {"alertmanagers": receivers},
        "rule_files": [rules or str(written / "rules-*.yml")],
        "scrape_configs": [
            {"job_name": "vllm", "file_sd_configs": [{"files": [str(written / "targets-*.json")]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")
    address, log = f"127.0.0.1:{free_port()}", folder / "prometheus.log"
    options = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    )
    with running("prometheus", *options, log=log):
        wait_until(lambda: answers(f"http://{address}/-/ready"), 30, lambda: log.read_text(encoding="utf-8"))
        yield Watched(f"http://{address}", written)


def answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).status_code == 200
    return False


class Watched:
    """A Prometheus over a service, with what role monitoring has written."""

    def __init__(self, url: str, written: Path) -> None:
        self.url, self.written = url, written
        text = (written / "dashboards/vllm.json").read_text(encoding="utf-8")
        self.dashboard: dict[str, Any] = json.loads(text)
        targets = json.loads((written / "targets-glm47.json").read_text(encoding="utf-8"))
        (self._port,) = (
            one["targets"][0].rpartition(":")[2] for one in targets if one["labels"]["job"] == "vllm"
        )

    def filled(self, query: str, time_shown: str = "1h") -> str:
        """Return a query of the dashboard with values for its variables, as Grafana finds them."""
        values = {"$service": "glm47", "$port": self._port, "$__range": time_shown}
        for name, value in values.items():
            query = query.replace(name, value)
        return query

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series that Prometheus has for a query of the dashboard."""
        answer = requests.get(f"{self.url}/api/v1/query", {"query": self.filled(query)}, timeout=10).json()
        assert answer["status"] == "success", answer
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def queries(self) -> dict[str, str]:
        """Return the queries of all panels and annotations, by their names."""
        panels = {
            f"{panel['title']} {target['refId']}": target["expr"]
            for panel in self.dashboard["panels"]
            for target in panel.get("targets", [])
        }
        return panels | {one["name"]: one["expr"] for one in self.dashboard["annotations"]["list"]}

    def wait_for_data(self, queries: Mapping[str, str], seconds: float) -> None:
        """Wait until Prometheus has a number for each of the queries."""
        missing = dict(queries)

        def all_there() -> bool:
            for name, query in list(missing.items()):
                values = [float(one["value"][1]) for one in self.ask(query)]
                if values and values[0] == values[0]:  # not NaN, which is what latencies of no requests are
                    del missing[name]
            return not missing

        wait_until(all_there, seconds, lambda: f"no data for {', '.join(missing)}")
