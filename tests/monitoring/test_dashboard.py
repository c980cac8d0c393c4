# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard is as Grafana's schema has it, and each of its queries returns data from a Prometheus that scrapes the service.

metrics/ has what the real vLLM 0.13.0 with two engines answered before and after some requests, and metrics as npu-exporter's source makes
them. node_exporter is the real one.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from monitoring import Watched, prometheus, promtool, running, watch
from polling import wait_until
from ports import free_port
from shipped import ROOT, read

METRICS = Path(__file__).parent / "metrics"
HOSTS = {"node0": "127.0.0.1", "node1": "127.0.0.2"}


@contextlib.contextmanager
def answering(address: str, port: int, texts: list[str]) -> Iterator[None]:
    """Answer each request of Prometheus with the next of the texts, and then with the last."""
    left = list(texts)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scrape = self.headers.get("User-Agent", "").startswith(
                "Prometheus"
            )  # the supervisor asks as well
            data = (left.pop(0) if scrape and len(left) > 1 else left[0]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer((address, port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture(scope="module", name="site")
def watched_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("site")
    ports = {name: free_port() for name in ("vllm", "node", "npu")}
    exporters = {"node": ports["node"], "npu": ports["npu"]}
    done, _failures = watch(folder, "-e", f"vllm_api_port={ports['vllm']}", monitoring_exporters=exporters)
    assert done.returncode == 0, done.stdout
    written = folder / "written"
    targets = written / "targets-glm47.json"
    text = targets.read_text(encoding="utf-8")
    for name, address in zip(("10.0.0.10", "10.0.0.11"), HOSTS.values(), strict=True):
        text = text.replace(name, address)  # a service of two hosts on loopback addresses would be refused
    targets.write_text(text, encoding="utf-8")
    before, after = (
        (METRICS / f"vllm-{name}.txt").read_text(encoding="utf-8") for name in ("before", "after")
    )
    started = re.sub(r"^(process_start_time_seconds) .*", r"\1 1.7e9", after, flags=re.M)
    npu = (METRICS / "npu_exporter.txt").read_text(encoding="utf-8")
    with contextlib.ExitStack() as stack:
        stack.enter_context(answering(HOSTS["node0"], ports["vllm"], [started, before, after]))
        for name, address in HOSTS.items():
            textfiles = folder / name
            textfiles.mkdir()
            stack.enter_context(answering(address, ports["npu"], [npu]))
            supervise(stack, textfiles, name, ports["vllm"])
            options = (
                f"--web.listen-address={address}:{ports['node']}",
                f"--collector.textfile.directory={textfiles}",
            )
            stack.enter_context(running("prometheus-node-exporter", *options, log=folder / f"{name}.log"))
        yield stack.enter_context(prometheus(folder, written, "1s"))


def supervise(stack: contextlib.ExitStack, folder: Path, name: str, api_port: int) -> None:
    """Let the supervisor of a host write its metrics to the folder, for an engine that only waits."""
    rank = list(HOSTS).index(name)
    (folder / "key").write_text("the key of the service\n", encoding="ascii")
    failed = {"failures": 1, "running": False, "lasted": 0}  # an alert fires
    (folder / "state.json").write_text(json.dumps(failed), encoding="ascii")
    options = {
        "rank": rank, "hosts": len(HOSTS), "address": HOSTS[name], "head": HOSTS["node0"], "port": api_port + 1,
        "key": folder / "key", "state": folder / "state.json", "grace": 30, "max-failures": 3, "status": folder / "status",
        "api-port": api_port, "engines": 2, "probe-seconds": 60, "first-seconds": 60, "drain-seconds": 0,
        "draining": folder / "draining",
        "metrics": folder / f"ascend-ops-{api_port}.prom",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "roles/container/files/supervise.py")]
    command += [*(f"--{option}={value}" for option, value in options.items()), "--", "sleep", "600"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def test_every_query_returns_data(site: Watched):
    site.wait_for_data(site.queries(), 60)


def test_targets_and_rules_are_as_prometheus_wants_them(site: Watched):
    def up() -> bool:
        return {(one["metric"]["job"], one["metric"]["host"], one["value"][1]) for one in site.ask("up")} == {
            ("vllm", "node0", "1"), *((job, host, "1") for job in ("node", "npu") for host in HOSTS)
        }  # fmt: skip

    wait_until(up, 30, lambda: str(site.ask("up")))
    groups = requests.get(f"{site.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok" and "lastError" in rule] == []


def test_grafana_knows_each_key(site: Watched):
    """What its own types do not know is lost when they read the dashboard and write it again."""
    again = json.loads(json.dumps(Dashboard.from_json(site.dashboard), cls=JSONEncoder))
    # Its data source for Prometheus has more for annotations, which the general types leave out.
    own = (".titleFormat", ".useValueForTime")
    assert [place for place in lost(site.dashboard, again) if not place.endswith(own)] == []
    ids = [panel["id"] for panel in site.dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 30


def lost(given: Any, again: Any, place: str = "") -> list[str]:
    """Return the places of what is in the one and not in the other."""
    if isinstance(given, Mapping) and isinstance(again, Mapping):
        found = [f"{place}.{key}" for key in given if key not in again and given[key] is not None]
        return found + [
            one for key in given if key in again for one in lost(given[key], again[key], f"{place}.{key}")
        ]
    if isinstance(given, list) and isinstance(again, list):
        return [
            one
            for index, pair in enumerate(zip(given, again, strict=False))
            for one in lost(*pair, f"{place}[{index}]")
        ]
    return [] if given == again else [f"{place}: {given!r} is {again!r}"]


HOST = 'service="glm47",host="node0"'
TWO_SERVICES = [  # the head of another one is the same host. This one failed once, and then loaded for half an hour
    {"series": f'process_start_time_seconds{{job="vllm",{HOST}}}', "values": "60x9 _x39 1200x20"},
    *(
        {"series": f'ascend_ops_supervisor_{name}{{job="node",{HOST},port="{port}"}}', "values": values}
        for name, port, values in (
            ("generation_start_time_seconds", "8080", "0x9 600x9 1190x60"),
            ("generation_start_time_seconds", "9090", "2000x80"),
            ("failed_generations", "8080", "1x80"),
            ("failed_generations", "9090", "4x80"),
        )
    ),
]


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("Starts of vLLM", "15m", 600_000),
        ("Starts of vLLM", "30m", 1_190_000),
        ("Starts A", "30m", 610),
        ("Failed generations in a row A", "30m", 1),
    ],
)
def test_each_start_is_marked_and_no_other_service_of_the_host(
    written: Path, tmp_path: Path, name: str, at: str, value: int
):
    site = Watched("", written)
    check = {"expr": f"sum({site.filled(site.queries()[name])})", "eval_time": at}
    case = {
        "interval": "1m",
        "input_series": TWO_SERVICES,
        "promql_expr_test": [{**check, "exp_samples": [{"labels": "{}", "value": value}]}],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [case]}), encoding="utf-8")
    promtool("test", "rules", tmp_path / "test.yml")


def test_panels_do_not_overlap(site: Watched):
    cells = [
        (x, y)
        for panel in site.dashboard["panels"]
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _y in cells) == 23


def test_every_release_has_the_metrics_of_vllm_that_are_used(site: Watched):
    rules = (site.written / "rules-glm47.yml").read_text(encoding="utf-8")
    expressions = [rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    used = set(re.findall(r"vllm:\w+", " ".join([*expressions, *site.queries().values()])))
    assert len(used) > 10
    names = read(METRICS / "names.yml")
    assert set(names) == {row["vllm"] for row in read(ROOT / "profiles/releases.yml")["releases"].values()}
    assert {version: used - set(those) for version, those in names.items()} == {
        version: set() for version in names
    }
