# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the real Prometheus and Alertmanager see of the lab: the dashboard has data, and each fault raises its alerts, which end with it.

They read the targets that role monitoring has written, and its rules with all times divided by FASTER. Settings are the defaults, but
the supervisor asks an idle engine sooner.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import requests
import yaml
from ansible_run import ROOT
from lab import CONTAINER, INVENTORY, NET, NODES, STATE, count_failures, lab, on, playbook, shell
from monitoring import ALERTMANAGER, PROGRAMS, Watched, answers, prometheus, running
from picture import dashboard
from polling import wait_until
from ports import free_port

pytestmark = pytest.mark.campaign

HEAD, WORKER = NODES
URL = f"http://{NET}.10:8080"
TEXTFILES = "/var/lib/prometheus/node-exporter"
GATEWAY = {"gateway_api_keys": {"team": "a-key-of-the-watched-lab"}, "gateway_metrics_dir": TEXTFILES}
SETTINGS = {"vllm_supervisor_metrics_dir": TEXTFILES, "vllm_supervisor_probe_seconds": 20}
FASTER = 10  # a minute of the rules takes six seconds
INTERVAL = "5s"  # of scrapes and evaluations. On a busy machine, an answer takes seconds
LATE = 30  # seconds for what is not faster: supervisors and node_exporter write and read every ten, and the machine is busy
PATIENCE = 600  # seconds that a start may take on a busy machine
DURATION = re.compile(r"(?<=[\[:])\d+[smhd](?=[\]:])|(?<=offset )\d+[smhd]\b")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Panels of which the lab has no data.
MISSING = {
    "Faulty RoCE packets a second A": "the simulated NPUs count no packets",
    "RoCE packets sent again, a second A": "the simulated NPUs count no packets",
}
REMEMBER = ("SupervisorCountsFailures", "VllmRestarts")  # fire for a while after the service is back
LATER = ("Alerts A", "Alerts", "Starts of vLLM")  # have data after the first fault
LONG = {
    "model": "glm47", "messages": [{"role": "user", "content": "How are you served?"}],
    "temperature": 0, "ignore_eos": True, "max_tokens": 400, "stream": True,
}  # fmt: skip
Alert = tuple[str, str]  # name, and host if it has one


def shorter(duration: str) -> str:
    return f"{int(duration[:-1]) * SECONDS[duration[-1]] * 1000 // FASTER}ms"


def faster(rules: str) -> str:
    """Return rules with all their times divided by FASTER."""
    content = yaml.safe_load(rules)
    for group in content["groups"]:
        for rule in group["rules"]:
            rule["expr"] = DURATION.sub(lambda found: shorter(found[0]), rule["expr"])
            if "for" in rule:
                rule["for"] = shorter(rule["for"])
    return yaml.safe_dump(content)


class Operator:
    """Who gets what Alertmanager sends."""

    def __init__(self) -> None:
        self._firing: dict[str, Alert] = {}
        self.seen: set[Alert] = set()

    @property
    def firing(self) -> set[Alert]:
        return set(self._firing.values())

    def told(self, message: bytes) -> None:
        for alert in json.loads(message)["alerts"]:
            name = alert["labels"]["alertname"], alert["labels"].get("host", "")
            self._firing.pop(alert["fingerprint"], None)
            if alert["status"] == "firing":
                self._firing[alert["fingerprint"]] = name
                self.seen.add(name)

    def wait(self, alerts: Collection[Alert], minutes: float) -> None:
        """Wait until these alerts have fired, for as long as the rules may take."""
        took = wait_until(
            lambda: set(alerts) <= self.seen,
            minutes * 60 / FASTER + LATE,
            lambda: f"{alerts} fire; there were {self.seen}",
        )
        print(f"{alerts} after {took:.0f} s")

    def wait_for_silence(self, seconds: float, but: Collection[str] = ()) -> None:
        """Wait until all is resolved, but for alerts of these names."""
        took = wait_until(
            lambda: not {alert for alert in self.firing if alert[0] not in but},
            seconds,
            lambda: f"all alerts end; still firing: {self.firing}",
        )
        print(f"silence after {took:.0f} s")

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        """Yield a URL for Alertmanager."""
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    """Run Alertmanager; yield HOST:PORT."""
    configuration = {
        "route": {"receiver": "operator", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "operator", "webhook_configs": [{"url": receiver}]}],
    }
    (folder / "alertmanager.yml").write_text(json.dumps(configuration), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    options = (
        f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts", f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )  # fmt: skip
    log = folder / "alertmanager.log"
    with running(ALERTMANAGER, *options, log=log):
        wait_until(lambda: answers(f"http://{address}/-/ready"), 60, lambda: log.read_text(encoding="utf-8"))
        yield address


@contextlib.contextmanager
def exporters() -> Iterator[None]:
    """Run node_exporter on the hosts, and what answers in the place of npu-exporter."""
    shutil.copy(PROGRAMS / "prometheus-node-exporter", STATE / "nodes/shared")
    units = {
        "node-exporter": ("/opt/shared/prometheus-node-exporter", f"--collector.textfile.directory={TEXTFILES}"),
        "npu-exporter": ("python3", "-m", "http.server", "8090", "--directory", "/usr/local/lib/ascend-sim/exporter"),
    }  # fmt: skip
    for node in NODES:
        on(node, "mkdir", "-p", TEXTFILES)
        for unit, command in units.items():
            on(node, "systemd-run", "--quiet", "--collect", f"--unit={unit}", *command)
    yield
    for node in NODES:
        on(node, "systemctl", "stop", *units)


@contextlib.contextmanager
def users(count: int) -> Iterator[None]:
    """Ask for one long answer after the other, so many at a time, whatever becomes of them."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with (
                contextlib.suppress(requests.RequestException),
                requests.post(f"{URL}/v1/chat/completions", json=LONG, stream=True, timeout=PATIENCE) as answer,
            ):  # fmt: skip
                for _line in answer.iter_lines():
                    if over.is_set():
                        return
            over.wait(0.5)

    threads = [threading.Thread(target=ask, daemon=True) for _number in range(count)]
    for thread in threads:
        thread.start()
    yield
    over.set()


def ready() -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{URL}/health", timeout=5).status_code == 200
    return False


@pytest.fixture(scope="module", name="operator")
def someone_on_duty() -> Operator:
    return Operator()


@pytest.fixture(scope="module", name="site")
def watched_lab(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    subprocess.run(
        [ROOT / "tests/unpack.sh", ".cache/prometheus", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter"],
        check=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("watched")
    written, rules = folder / "written", folder / "rules.yml"
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    own = {"monitoring_dir": str(written), "monitoring_exporters": {"node": 9100, "npu": 8090}}
    inventory = {"vllm_monitoring": {"hosts": {"watch": {**here, **own}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        stack.enter_context(exporters())
        playbook("site.yml", *INVENTORY, "-e", json.dumps(SETTINGS)).succeeded()
        playbook("playbooks/monitoring.yml", *INVENTORY, "-i", str(folder / "hosts.json")).succeeded()
        rules.write_text(faster((written / "rules-glm47.yml").read_text(encoding="utf-8")), encoding="utf-8")
        pager = stack.enter_context(operator.listening())
        address = stack.enter_context(alertmanager(folder, pager))
        stack.enter_context(users(4))
        yield stack.enter_context(prometheus(folder, written, INTERVAL, str(rules), address))


@pytest.fixture(autouse=True)
def healthy(site: Watched, operator: Operator) -> Iterator[None]:
    """The service is ready and no alert fires, before and after a fault."""
    wait_until(ready, PATIENCE, "the service is ready before the test")
    operator.wait_for_silence(PATIENCE, but=REMEMBER)
    operator.seen.clear()
    operator.seen |= operator.firing
    yield
    for node in NODES:
        lab("link", node, "up")
        lab("heal", node)


def test_a_healthy_service_raises_no_alert_and_each_query_returns_data(site: Watched, operator: Operator):
    known = site.queries()
    assert {*MISSING, *LATER} <= set(known)
    site.wait_for_data({name: known[name] for name in set(known) - {*MISSING, *LATER}}, 120)
    assert {one["metric"]["job"] for one in site.ask("up == 1")} == {"vllm", "node", "npu"}
    time.sleep(60)
    assert operator.seen == set()


@contextlib.contextmanager
def filling_disk(node: str) -> Iterator[None]:
    """Let a disk of 200 MB fill by 2 MB a second, until a twentieth is left."""
    devices = "mknod /dev/loop-control c 10 237; for number in 0 1 2 3 4 5 6 7; do mknod /dev/loop$number b 7 $number; done"
    disk = "truncate -s 200M /root/disk.img && mkfs.ext4 -q -m 0 /root/disk.img && mkdir -p /srv/disk && mount -o loop /root/disk.img /srv/disk"
    shell(node, f"[ -e /dev/loop-control ] || {{ {devices}; }}; {disk}")
    fill = "for part in $(seq 45); do dd if=/dev/zero of=/srv/disk/$part bs=4M count=1 status=none; sync; sleep 1; done"
    on(node, "systemd-run", "--quiet", "--collect", "--unit=fill", "sh", "-c", fill)
    yield
    shell(node, "systemctl stop fill; umount /srv/disk && rm -rf /root/disk.img /srv/disk")


def test_hardware_that_fails_is_named(site: Watched, operator: Operator):
    """A sick chip, a pulled link, an exporter that ends and a disk that fills, all of which leave the service alone."""
    with filling_disk(HEAD):
        lab("sick", WORKER, 'health={"3":"Critical"}', "link_down=[5]")
        on(HEAD, "systemctl", "kill", "--signal=STOP", "npu-exporter")
        operator.wait([("NpuUnhealthy", WORKER), ("NpuLinkDown", WORKER)], 1)
        assert {one["metric"]["id"] for one in site.ask('ALERTS{alertname="NpuUnhealthy"}')} == {"3"}
        assert {one["metric"]["id"] for one in site.ask('ALERTS{alertname="NpuLinkDown"}')} == {"5"}
        operator.wait([("NpuExporterSilent", HEAD)], 5)
        operator.wait([("NpuErrorCode", WORKER)], 10)
        operator.wait([("HostDiskFull", HEAD)], 15 + 5)  # it is filled within 50 s
        site.wait_for_data({name: site.queries()[name] for name in ("Alerts A", "Alerts")}, 10)
        assert len(operator.seen) == 5
        lab("heal", WORKER)
        on(HEAD, "systemctl", "kill", "--signal=CONT", "npu-exporter")
    operator.wait_for_silence(60)


def test_a_certificate_that_ends_soon_is_named(operator: Operator, tmp_path: Path):
    subprocess.run([ROOT / "tests/lab/packages.sh", "nginx"], check=True)
    try:
        for days, check in ((5, lambda: operator.wait([("GatewayCertificateEnds", HEAD)], 1)), (300, None)):
            certificate, key = tmp_path / f"{days}.crt", tmp_path / f"{days}.key"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=gateway",
                 "-days", str(days), "-out", certificate, "-keyout", key],
                check=True,
            )  # fmt: skip
            given = {**GATEWAY, "gateway_certificate": str(certificate), "gateway_certificate_key": str(key)}
            playbook("playbooks/gateway.yml", *INVENTORY, "-e", json.dumps(given)).succeeded()
            if check:
                check()
        operator.wait_for_silence(60)
        assert operator.seen == {("GatewayCertificateEnds", HEAD)}
    finally:
        gone = {**GATEWAY, "gateway_state": "absent"}
        playbook("playbooks/gateway.yml", *INVENTORY, "-e", json.dumps(gone)).succeeded()
    assert on(HEAD, "ls", TEXTFILES).split() == ["ascend-ops-8080.prom"]


def test_a_host_that_is_gone_is_named(site: Watched, operator: Operator):
    """Its cable is pulled for longer than the grace period, so that the service starts again."""
    lab("link", WORKER, "down")
    operator.wait([("HostSilent", WORKER)], 2)
    operator.wait([("NpuExporterSilent", WORKER)], 5)
    operator.wait([("SupervisorCountsFailures", HEAD), ("VllmDown", HEAD)], 2 + 45 * FASTER / 60)
    operator.wait([("SupervisorMissesHost", HEAD)], 3)
    lab("link", WORKER, "up")
    wait_until(ready, PATIENCE, "the service is back")
    site.wait_for_data({"Starts of vLLM": site.queries()["Starts of vLLM"]}, 30)
    operator.wait_for_silence(60, but=REMEMBER)


def test_an_engine_that_hangs_is_named_and_the_supervisor_ends_it(operator: Operator):
    on(WORKER, "pkill", "-STOP", "-f", "VLLM::EngineCore")
    operator.wait([("VllmHangs", HEAD)], 6)
    operator.wait([("SupervisorAsksInVain", HEAD)], 0.5 + (20 + 30) * FASTER / 60)
    operator.wait([("SupervisorCountsFailures", HEAD), ("VllmDown", HEAD)], 2 + 120 * FASTER / 60)
    wait_until(ready, PATIENCE, "the service is back")
    operator.wait_for_silence(60, but=REMEMBER)


def test_a_worker_that_is_killed_and_a_service_that_has_given_up_are_named(operator: Operator):
    """After four failures in a row, the container of the worker is killed for good."""
    count_failures(HEAD, 4)
    on(WORKER, "docker", "kill", CONTAINER)
    operator.wait([("VllmDown", HEAD), ("SupervisorKeepsFailing", HEAD)], 2)
    operator.wait([("SupervisorSilent", WORKER)], 1 + 120 * FASTER / 60)
    playbook("playbooks/stop.yml", *INVENTORY, "-e", json.dumps(SETTINGS)).succeeded()
    playbook("playbooks/start.yml", *INVENTORY, "-e", json.dumps(SETTINGS)).succeeded()
    operator.wait_for_silence(60, but=["VllmRestarts"])


def test_the_dashboard_can_be_drawn(site: Watched):
    """From what Prometheus has of all of the above; docs/monitoring.md has such a picture."""
    output = ROOT / "tests/output/dashboard.svg"
    output.parent.mkdir(exist_ok=True)
    output.write_text(dashboard(site, 900), encoding="utf-8")
