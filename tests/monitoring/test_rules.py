# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert fires when it should and is silent when not, as Prometheus itself evaluates the rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_run import run
from monitoring import PROGRAMS, promtool
from shipped import ROOT

HEAD = {"service": "glm47", "host": "node0", "rank": "0"}
Series = dict[str, str]


def series(job: str, metric: str, values: str, **labels: str) -> Series:
    """Return a series in the notation of promtool, one value a minute."""
    shown = ",".join(f'{name}="{value}"' for name, value in {"job": job, **HEAD, **labels}.items())
    return {"series": f"{metric}{{{shown}}}", "values": values}


def vllm(metric: str, values: str, **labels: str) -> Series:
    return series("vllm", f"vllm:{metric}", values, **labels)


def engine(running: str, written: str, read: str = "0x60") -> list[Series]:
    return [
        vllm("num_requests_running", running, engine="1"),
        vllm("generation_tokens_total", written, engine="1"),
        vllm("prompt_tokens_total", read, engine="1"),
    ]


def requests(failed: str, good: str) -> list[Series]:
    return [
        series("vllm", "http_requests_total", failed, status="5xx", handler="/v1/chat/completions"),
        series("vllm", "http_requests_total", good, status="2xx", handler="/v1/chat/completions"),
    ]


def finished(answered: str, good: str, handler: str = "/v1/chat/completions") -> list[Series]:
    """What the API answered, and what engines finished. vLLM itself counts no request as aborted by its client."""
    return [
        series("vllm", "http_requests_total", answered, status="2xx", handler=handler),
        vllm("request_success_total", "0x60", engine="0", finished_reason="abort"),
        vllm("request_success_total", good, engine="0", finished_reason="stop"),
    ]


def stalled(waiting: str, written: str) -> list[Series]:
    return [*engine("0x60", written), vllm("num_requests_waiting", waiting, engine="1")]


def latency(metric: str, edge: str, quick: str, all_of_them: str) -> list[Series]:
    return [
        vllm(f"{metric}_bucket", quick, engine="0", le=edge),
        vllm(f"{metric}_bucket", all_of_them, engine="0", le="640.0"),
        vllm(f"{metric}_bucket", all_of_them, engine="0", le="+Inf"),
    ]


def load(waiting: tuple[str, str], running: tuple[str, str]) -> list[Series]:
    return [
        *(vllm("num_requests_waiting", value, engine=str(rank)) for rank, value in enumerate(waiting)),
        *(vllm("num_requests_running", value, engine=str(rank)) for rank, value in enumerate(running)),
    ]


def disk(left: str, kind: str = "xfs") -> list[Series]:
    mount = {"mountpoint": "/var/lib/docker", "fstype": kind, "device": "/dev/sda1"}
    return [
        series("node", "node_filesystem_avail_bytes", left, **mount),
        series("node", "node_filesystem_size_bytes", "1000x600", **mount),
    ]


def memory(left: str) -> list[Series]:
    return [
        series("node", "node_memory_MemAvailable_bytes", left),
        series("node", "node_memory_MemTotal_bytes", "100000x600"),
    ]


def certificate(days: float) -> list[Series]:
    return [series("node", "ascend_ops_gateway_certificate_end_time_seconds", f"{days * 86400:.0f}x60")]


def npu(metric: str, values: str, **labels: str) -> Series:
    return series("npu", f"npu_chip_{metric}", values, id="3", model_name="910B3", **labels)


def roce(received: str, sent: str) -> list[Series]:
    return [npu("roce_rx_err_pkt_num", received), npu("roce_tx_err_pkt_num", sent)]


def hbm(used: str) -> list[Series]:
    return [npu("info_hbm_used_memory", used), npu("info_hbm_total_memory", "65536x600")]


def supervisor(metric: str, values: str, **labels: str) -> Series:
    return series("node", f"ascend_ops_{metric}", values, port="8080", **labels)


def state(values: str, name: str, **labels: str) -> Series:
    return supervisor("supervisor_state", values, state=name, **labels)


def failures(values: str) -> list[Series]:
    limit = supervisor("supervisor_failed_generations_limit", "5x600")
    return [supervisor("supervisor_failed_generations", values), limit]


def missing(joined: str, waiting: str = "1x60") -> list[Series]:
    hosts = supervisor("supervisor_hosts", "2x60"), supervisor("supervisor_hosts_joined", joined)
    return [*hosts, state(waiting, "waiting")]


def unanswered(values: str, answered: str = "1x60") -> list[Series]:
    """Engine 0 owes a token, and has answered before. Engine 1 may not have."""
    return [
        supervisor("engine_unanswered_seconds", values, engine="0"),
        supervisor("engine_answered", "1x60", engine="0"),
        supervisor("engine_answered", answered, engine="1"),
    ]


def probes(refused: str, answered: str) -> list[Series]:
    counts = {"refused": refused, "answered": answered}
    return [
        supervisor("engine_probes_total", value, engine="0", result=result)
        for result, value in counts.items()
    ]


def loads(failures: str, written: str = "0+60x60") -> list[Series]:
    """A service that does not answer, as it loads its weights."""
    return [
        series("vllm", "up", "0x60"),
        state("1x60", "loading"),
        supervisor("supervisor_failed_generations", failures),
        supervisor("supervisor_updated_time_seconds", written),
    ]


def updated(values: str, stopped: str = "0x60") -> list[Series]:
    return [supervisor("supervisor_updated_time_seconds", values), state(stopped, "stopped")]


@dataclass(frozen=True)
class Case:
    """An alert, what makes it fire after a time, and what looks like that and must not."""

    alert: str
    at: str
    fires: list[Series]
    silent: tuple[list[Series], ...]


CASES = [
    Case("VllmDown", "4m", [series("vllm", "up", "1 0x60")], (
        [series("vllm", "up", "1x60")],
        loads("0x60"),  # after start.yml
        [series("vllm", "up", "1 1 0 1 1 0")],  # two scrapes that were lost
        [series("vllm", "up", "0x60", service="other")],
        [series("vllm", "up", "0x60"), state("1x60", "stopped")],  # as planned
    )),
    Case("VllmDown", "10m", loads("1x60"), ()),  # after a failure
    Case("VllmDown", "10m", loads("0x60", written="0x60"), ()),  # the container is gone
    Case("VllmNotScraped", "15m", [series("vllm", "up", "1x60", service="other")], ([series("vllm", "up", "0x60")],)),
    Case("VllmRestarts", "50m", [series("vllm", "process_start_time_seconds", "1x10 2x10 3x10 4x30")], (
        [series("vllm", "process_start_time_seconds", "1x10 2x10 3x60")],
        [supervisor("supervisor_generation_start_time_seconds", "1x10 _ 2x10 _ 3x60")],
    )),
    Case("VllmHangs", "15m", engine("1x60", "7x60"), (
        engine("0x60", "7x60"),  # nothing to do
        engine("1x60", "0+1x60"),
        engine("1x60", "7x60", read="0+5000x60"),  # long prompts
        [*engine("1x60", "7x60"), vllm("kv_cache_usage_perc", "0.1+0.01x60", engine="1")],  # one prompt that takes long
        engine("1x9 0 1x60", "0x60"),  # one request has ended in the meantime
    )),
    Case("VllmHangs", "15m", [*engine("1x60", "7x60"), vllm("kv_cache_usage_perc", "0.4x60", engine="1")], ()),
    Case("VllmHangs", "15m", stalled("3x60", "7x60"), (
        stalled("3x60", "0+1x60"),
        stalled("0 1 0 0 1 0x60", "7x60"),
    )),
    Case("VllmErrors", "15m", requests("0+2x60", "0+100x60"), (
        requests("0x60", "0+100x60"),
        requests("0+2x60", "0+1000x60"),
        requests("0x10 1x60", "0+1x60"),  # a single one of few
    )),
    Case("VllmQueueLong", "10m", load(("60x60", "60x60"), ("8x60", "8x60")), (
        load(("20x60", "20x60"), ("8x60", "8x60")),
        load(("0x7 200 0x60", "0x60"), ("8x60", "8x60")),
    )),
    Case("VllmQueueSlow", "25m", latency("request_queue_time_seconds", "60.0", "0+8x60", "0+10x60"), (
        latency("request_queue_time_seconds", "60.0", "0+99x60", "0+100x60"),
        latency("request_queue_time_seconds", "60.0", "9x60", "9x60"),  # no requests at all
    )),
    Case("VllmFirstTokenSlow", "25m", latency("time_to_first_token_seconds", "10.0", "0+8x60", "0+10x60"), (
        latency("time_to_first_token_seconds", "10.0", "0+99x60", "0+100x60"),
    )),
    Case("VllmTokensSlow", "25m", latency("inter_token_latency_seconds", "1.0", "0+8x60", "0+10x60"), (
        latency("inter_token_latency_seconds", "1.0", "0+99x60", "0+100x60"),
    )),
    Case("VllmClientsGiveUp", "30m", finished("0+8x60", "0+4x60"), (
        finished("0+10x60", "0+9x60"),
        finished("0x20 3x60", "0x60"),  # three in a quiet hour
        finished("0+8x60", "0x60", "/v1/models"),  # which no engine answers
        finished("0+1x60", "0+8x60"),  # of several prompts each
        finished("_x20 0+8x60", "0x20 0+8x60"),  # the first since the start
        finished("0+8x20 0+8x60", "0+8x20 0+8x60"),  # vLLM was started again
    )),
    Case("VllmKvCacheFull", "20m", [vllm("kv_cache_usage_perc", "0.99x60", engine="0")], (
        [vllm("kv_cache_usage_perc", "0.8x60", engine="0")],
        [vllm("kv_cache_usage_perc", "0.99x8 0.5x5 0.99x60", engine="0")],
    )),
    Case("VllmPreempts", "25m", [vllm("num_preemptions_total", "0+5x60", engine="0")], (
        [vllm("num_preemptions_total", "0x5 4x60", engine="0")],
    )),
    Case("VllmRanksUneven", "25m", load(("0x60", "20x60"), ("1x60", "8x60")), (
        load(("20x60", "20x60"), ("8x60", "8x60")),
        load(("0x60", "0x60"), ("0x60", "2x60")),  # little to do is never even
    )),
    Case("SupervisorCountsFailures", "5m", failures("1x60"), (failures("0x60"), failures("5x60"))),
    Case("SupervisorKeepsFailing", "5m", failures("5x60"), (failures("4x60"),)),
    Case("SupervisorMissesHost", "10m", missing("1x60"), (
        missing("2x60"),
        missing("1x60", waiting="0x60"),  # its file is from before the end
        missing("1 1 2x60"),
    )),
    Case("SupervisorLoadsLong", "70m", [state("1x120", "loading")], (
        [state("1x30 0x90", "loading")],
        [state("1x120", "loading", host="node1", rank="1")],  # a worker does not know when the service is ready
    )),
    Case("SupervisorAsksInVain", "10m", unanswered("0x4 60+60x60"), (
        unanswered("0 5 0 5 0 5 0 5 0 5 0 5"),
        unanswered("0x4 60+60x60", "0x60"),  # it compiles
    )),
    Case("SupervisorIsRefused", "30m", probes("0+1x60", "0x60"), (probes("0x60", "0+1x60"), probes("0+1x60", "0+1x60"))),
    Case("SupervisorSilent", "10m", updated("0 60 120x60"), (
        updated("0+60x60"),
        updated("0 60 120x60", stopped="1x60"),
    )),
    Case("HostSilent", "10m", [series("node", "up", "1x4 0x60")], (
        [series("node", "up", "1x60")],
        [series("node", "up", "0x60")],  # there is no exporter
    )),
    Case("HostDiskFull", "8h", disk("560-1x600"), (
        disk("600+0x600"),
        disk("20+0x600"),  # full of weights for good
        disk("560x240 560-8x60 80x600"),  # three hours ago, a download has filled it
        disk("560-1x600", "tmpfs"),
    )),
    Case("HostMemoryLow", "10m", memory("2000x60"), (memory("20000x60"), memory("50000x7 2000 50000x60"))),
    Case("HostMemoryShrinks", "9h", memory("60000-60x600"), (
        memory("60000x600"),
        memory("90000x450 20000x200"),  # the weights were loaded
        memory("90000x300 20000x400"),  # the same, hours ago
        memory("90000x60 90000-700x100 20000x600"),  # slowly
        memory("90000-1x600"),
    )),
    Case("GatewayCertificateEnds", "5m", certificate(10), (certificate(20),)),
    Case("NpuExporterSilent", "15m", [series("npu", "up", "1x4 0x60")], (
        [series("npu", "up", "1x60")],
        [series("npu", "up", "0x60")],
    )),
    Case("NpuUnhealthy", "5m", [npu("info_health_status", "1 0x60")], ([npu("info_health_status", "1x60")],)),
    Case("NpuErrorCode", "15m", [npu("info_error_code", "2147588883x60")], (
        [npu("info_health_status", "1x60")],
        [npu("info_error_code", "0x60")],
    )),
    Case("NpuHot", "10m", [npu("info_temperature", "95x60")], ([npu("info_temperature", "70x60")],)),
    Case("NpuLinkDown", "5m", [npu("info_link_status", "1 0x60")], (
        [npu("info_link_status", "1x60")],
        [npu("info_link_status", "0x60")],  # HCCS joins the hosts
        [npu("info_link_status", "1 -1x60")],  # it could not be read
    )),
    Case("NpuLinkFlaps", "50m", [npu("link_up_num", "1x9 2x9 3x9 4x60")], (
        [npu("link_up_num", "1x60")],
        [npu("link_up_num", "1x9 2x60")],
        [npu("link_up_num", "4x9 -1x9 4x60")],  # it could not be read in between
    )),
    Case("NpuRoceErrors", "25m", roce("0+100x60", "0x60"), (
        roce("7x60", "0x60"),
        roce("0+1x60", "0+1x60"),
        roce("9000x4 -1 " * 8, "0x60"),  # now and then it could not be read
    )),
    Case("NpuMemoryErrors", "100m", [npu("info_hbm_ecc_double_bit_error_cnt", "0x80 2x60")], (
        [npu("info_hbm_ecc_double_bit_error_cnt", "2x180")],
        [npu("info_hbm_ecc_double_bit_error_cnt", "-1x80 2x60")],  # it could not be read before
    )),
    Case("NpuMemoryGrows", "9h", hbm("59500+5x600"), (
        hbm("59700x600"),
        hbm("3000x30 59700x600"),  # vLLM has started
        hbm("3000x360 59700x600"),  # three hours ago, on a host that has run for long
        hbm("3000x60 59000x60 59700x60 60000x600"),  # its memory grows with its first requests
    )),
]  # fmt: skip


def test_of(case: Case, given: list[Series], firing: bool) -> dict[str, Any]:
    """Return a test as promtool reads it."""
    expression = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
    expected = {
        "expr": expression,
        "eval_time": case.at,
        "exp_samples": [{"labels": "{}", "value": int(firing)}],
    }
    return {"interval": "1m", "input_series": given, "promql_expr_test": [expected]}


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module", name="rules")
def alert_rules(written: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((written / "rules-glm47.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert} {case.at}")
def test_an_alert_fires_when_it_should_and_is_silent_otherwise(case, rules, tmp_path):
    only = [rule for rule in rules if rule["alert"] == case.alert]  # all of them take a second each time
    tests = [test_of(case, case.fires, True), *(test_of(case, given, False) for given in case.silent)]
    files = {
        "rules.yml": {"groups": [{"name": "one", "rules": only}]},
        "test.yml": {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    promtool("test", "rules", tmp_path / "test.yml")


READY, GAP, AGAIN, END = range(400, 700), range(640, 644), range(740, 900), 900  # minutes
LOADS = (*range(360, 400), *range(705, 740))


def minutes(value: Callable[[int], float | str]) -> str:
    """Return a value for each minute; nothing could be scraped in the gap."""
    return " ".join("_" if minute in GAP else str(value(minute)) for minute in range(END))


def while_it_serves(value: Callable[[int], float]) -> str:
    """Return values since a start; vLLM answers nothing between its starts."""
    starts = READY[0], AGAIN[0]
    return minutes(
        lambda minute: (
            value(minute - max(start for start in starts if start <= minute)) if minute in (*READY, *AGAIN) else "_"
        )
    )  # fmt: skip


def a_healthy_day() -> list[Series]:
    """Weights are downloaded, the service starts, has some requests, is restarted as planned, and has none."""
    some, per_engine = "0", ("0", "1")
    counted = while_it_serves(lambda age: 40 * min(age, 200))
    asked = while_it_serves(lambda age: 3 * int(age < 200))
    edges = {"0.5": 0.99, "640.0": 1, "+Inf": 1}
    quick = [
        vllm(f"{name}_bucket", while_it_serves(lambda age, part=part: 40 * part * min(age, 200)), engine=some, le=le)
        for name in ("request_queue_time_seconds", "time_to_first_token_seconds", "inter_token_latency_seconds")
        for le, part in edges.items()
    ]  # fmt: skip
    served = [
        series("vllm", "up", minutes(lambda minute: int(minute in READY or minute in AGAIN))),
        series("vllm", "process_start_time_seconds", minutes(lambda minute: "_" if minute < 400 or 700 <= minute < 740 else 1 + (minute >= 740))),
        series("vllm", "http_requests_total", counted, status="2xx", handler="/v1/chat/completions"),
        vllm("request_success_total", counted, engine=some, finished_reason="stop"),
        *(vllm(f"num_requests_{name}", asked, engine=rank) for name in ("running", "waiting") for rank in per_engine),
        *(vllm(f"{name}_tokens_total", counted, engine=rank) for name in ("generation", "prompt") for rank in per_engine),
        *(vllm("kv_cache_usage_perc", while_it_serves(lambda age: 0.5), engine=rank) for rank in per_engine),
        *(vllm("num_preemptions_total", while_it_serves(lambda age: 0), engine=rank) for rank in per_engine),
    ]  # fmt: skip
    states = {
        "stopped": lambda minute: int(minute < 360 or 700 <= minute < 705),
        "loading": lambda minute: int(minute in LOADS),
        "ready": lambda minute: int(minute in READY or minute in AGAIN),
        "waiting": lambda minute: 0,
    }
    supervised = [
        *(state(minutes(value), name) for name, value in states.items()),
        *failures("0x900"),
        supervisor("supervisor_hosts", "2x900"),
        supervisor("supervisor_hosts_joined", minutes(lambda minute: 2)),
        supervisor("supervisor_updated_time_seconds", minutes(lambda minute: 60 * (702 if 700 <= minute < 705 else minute if minute >= 360 else 0))),
        supervisor("supervisor_generation_start_time_seconds", minutes(lambda minute: 360 if minute < 705 else 705)),
        supervisor("engine_unanswered_seconds", while_it_serves(lambda age: 0), engine=some),
        supervisor("engine_answered", while_it_serves(lambda age: 1), engine=some),
        *probes("0x900", counted),
    ]  # fmt: skip
    in_use = lambda minute: minute >= 360 and not 700 <= minute < 705  # noqa: E731
    hosts = [
        *(series(job, "up", minutes(lambda minute: 1)) for job in ("node", "npu")),
        *disk(minutes(lambda minute: 560 - 8 * min(max(minute - 300, 0), 50))),
        *memory(minutes(lambda minute: 20000 if in_use(minute) else 90000)),
        *certificate(200),
        *hbm(minutes(lambda minute: 59700 if in_use(minute) else 3000)),
        *roce("7x900", "7x900"),
        *(npu(f"info_{name}", "1x900") for name in ("health_status", "link_status")),
        npu("info_temperature", "60x900"),
        npu("info_error_code", "0x900"),
        npu("link_up_num", "1x900"),
        npu("info_hbm_ecc_double_bit_error_cnt", "0x900"),
    ]
    return [*quick, *served, *supervised, *hosts]


def test_a_healthy_day_raises_no_alert(written, tmp_path):
    """Downloads, planned starts and stops, counters that begin again, a gap, and latencies of no requests."""
    firing = 'count(ALERTS{alertstate="firing"}) or vector(0)'
    times = [
        {"eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 0}]}
        for minute in range(20, END, 20)
    ]
    tests = [{
        "interval": "1m",
        "input_series": a_healthy_day(),
        "promql_expr_test": [{"expr": firing, **at} for at in times],
    }]  # fmt: skip
    file = {"rule_files": [str(written / "rules-glm47.yml")], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(file), encoding="utf-8")
    promtool("test", "rules", tmp_path / "test.yml")


def test_every_alert_has_a_case(rules):
    assert list(dict.fromkeys(case.alert for case in CASES)) == [rule["alert"] for rule in rules]


def test_every_alert_leads_to_what_to_do(rules, written):
    promtool("check", "rules", written / "rules-glm47.yml")
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    for rule in rules:
        section = rule["annotations"]["runbook_url"].partition("#")[2]
        heading = re.search(rf"^### {section.replace('-', '.')}$(.*?)(?=^#|\Z)", page, re.M | re.S | re.I)
        assert heading, section
        assert f"`{rule['alert']}`" in heading[1]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert len(rule["annotations"]["description"]) > 60


def test_a_prometheus_of_its_own_reads_what_is_written(written, tmp_path):
    source, target = ROOT / "roles/monitoring/templates/prometheus.yml.j2", tmp_path / "prometheus.yml"
    variables = {"monitoring_dir": str(written), "ansible_python_interpreter": sys.executable}
    task = ("-m", "ansible.builtin.template", "-a", f"src={source} dest={target}")
    done = run("ansible", "localhost", "-c", "local", *task, "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout
    assert f"{written}/rules-glm47.yml" in promtool("check", "config", target)


@pytest.mark.parametrize("page", ["monitoring.md", "monitoring.zh-CN.md"])
def test_the_example_of_the_guide_is_a_configuration_of_alertmanager(page, tmp_path):
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S
    )
    (example,) = (block for block in map(yaml.safe_load, blocks) if "monitoring_alertmanager_config" in block)
    content = json.dumps(example["monitoring_alertmanager_config"])
    (tmp_path / "alertmanager.yml").write_text(content, encoding="utf-8")
    subprocess.run([PROGRAMS / "amtool", "check-config", tmp_path / "alertmanager.yml"], check=True)
