# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs in fixtures/vllm_log are excerpts of real ones of vLLM 0.13.0, as `docker logs` gives them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line

LOGS = Path(__file__).parents[2] / "fixtures" / "vllm_log"


def read(name: str) -> list[Line]:
    return [Line(vllm_log.clean(raw)) for raw in (LOGS / name).read_bytes().decode().split("\n")]


def test_a_line_loses_colours_process_and_level():
    raw = "\x1b[0;36m(EngineCore_DP0 pid=8619)\x1b[0;0m ERROR 11-24 12:00:19 [core.py:866] EngineCore failed to start.\r"
    assert vllm_log.clean(raw) == "EngineCore failed to start."


@pytest.mark.parametrize(
    "prefix",
    [
        "(VllmWorker rank=1 pid=7226) ERROR 09-03 03:02:37 [multiproc_executor.py:522] ",  # vllm-ascend#2712
        "(NPURayWorkerWrapper pid=45198) ERROR 06-09 06:57:48 worker_base.py:581] ",  # vllm-ascend#1127
        "(RayWorkerWrapper pid=12580, ip=10.108.8.139) ERROR 05-28 03:54:00 [worker_base.py:620] ",  # vllm-ascend#986
        "[0;36m(APIServer pid=81)[0;0m ERROR 03-03 10:59:11 [serving_chat.py:1343] ",  # vllm-ascend#7015
        "(Worker_TP5 pid=7129) ERROR 2025-11-25 15:18:55.343 [multiproc_executor.py:671] ",  # a format that users set
        "(EngineCore_DP0) ERROR [core.py:866] ",
        # vllm-ascend#13175
        "(EngineCore pid=268) ERROR 07-30 14:48:07 [mooncake_connector.py:781] [vllm-ascend] [distributed] - ",
        "2026-07-20 15:56:14,692 - vllm.v1.executor.multiproc_executor - ERROR - ",  # vllm-ascend#12411
    ],
)
def test_the_prefixes_of_other_releases_and_ways_of_copying(prefix: str):
    assert vllm_log.read(f"{prefix}TimeoutError")[::2] == ("TimeoutError", "ERROR")


def test_a_line_of_a_worker_inside_an_engine_loses_both_prefixes():
    assert vllm_log.clean(
        "(EngineCore_DP0 pid=3) (Worker_TP0 pid=41) INFO 11-24 12:00:19 [x.py:1] Loading weights took 9.93 seconds"
    ).startswith("Loading")


@pytest.mark.parametrize(
    "raw",
    [
        "non-default args: {'api_key': ['s3cret'], 'port': 8080}",
        "--api-key s3cret",
        "VLLM_API_KEY=s3cret",
        "token: s3cret",
    ],
)
def test_a_line_loses_secrets(raw: str):
    assert "s3cret" not in vllm_log.clean(raw)


@pytest.mark.parametrize(
    ("log", "stages"),
    [
        (
            "head_start.log",
            [
                "starting",
                "configuring",
                "connecting",
                "connected",
                "weights",
                "memory",
                "kv_cache",
                "graphs",
                "engine_ready",
                "serving",
            ],
        ),
        (
            "worker_start.log",
            [
                "starting",
                "configuring",
                "connecting",
                "connected",
                "weights",
                "memory",
                "kv_cache",
                "graphs",
                "engine_ready",
            ],
        ),
        ("head_waits.log", ["starting", "configuring", "connecting"]),
        ("engine_fails_in_warm_up.log", ["starting", "configuring", "weights", "graphs"]),
        ("worker_ended_by_head.log", ["starting", "gathering", "connecting"]),
    ],
)
def test_stages_of_a_start(log: str, stages: list[str]):
    assert [entry["stage"] for entry in vllm_log.timeline(read(log))] == stages


def test_a_stage_is_never_left_backwards():
    lines = [
        Line("GPU KV cache size: 1,398,016 tokens"),
        Line("Starting to load model x"),
        Line("vLLM API server version 0.13.0"),
    ]
    assert vllm_log.timeline(lines)[-1]["stage"] == "kv_cache"


def test_weights_have_a_percentage_and_stages_have_times():
    lines = [
        Line("Starting to load model /model", 102.0),
        Line("Loading safetensors checkpoint shards:  12% Completed | 11/92 [00:30<03:41,  2.73s/it]", 132.0),
        Line("Loading safetensors checkpoint shards:  37% Completed | 34/92 [01:30<02:41,  2.73s/it]", 192.0),
    ]
    last = vllm_log.timeline(lines, started=90.5)[-1]
    assert (last["stage"], last["seconds"]) == ("weights", 11.5)
    assert all(part in last["progress"] for part in ("37%", "34", "92"))


@pytest.mark.parametrize("stage", [stage.id for stage in vllm_log.STAGES])
def test_every_stage_says_where_to_look(stage: str):
    assert vllm_log.remedy(stage)


def test_docker_lines_are_in_order_and_not_taken_twice():
    first = "2026-11-24T12:06:26.100000000Z stdout one\n2026-11-24T12:06:28.000000000Z stdout three\n"
    second = "2026-11-24T12:06:27.000000000Z stderr two\nError response from daemon: gone\n"
    lines, seen = vllm_log.docker_lines(first + second, "")
    assert [line.text for line in lines] == ["stdout one", "stderr two", "stdout three"]
    assert lines[1].at - lines[0].at == pytest.approx(0.9)
    again, later = vllm_log.docker_lines(
        "2026-11-24T12:06:28.000000000Z stdout three\n2026-11-24T12:06:28.000000001Z four\n", seen
    )
    assert [line.text for line in again] == ["four"]
    assert vllm_log.docker_lines("", later) == ([], later)


def test_epoch():
    assert vllm_log.epoch("1970-01-01T00:01:00.25Z") == 60.25
    assert vllm_log.epoch("never") is None


def test_lines_of_a_kept_log_have_their_times_if_it_has_them():
    stamped = vllm_log.lines_of(
        "2026-11-24T12:06:28.0Z INFO 11-24 12:06:28 [x.py:1] two\n2026-11-24T12:06:26.5Z one\n"
    )
    assert [line.text for line in stamped] == ["one", "two"]
    assert [line.at for line in vllm_log.lines_of("one\ntwo")] == [None, None]


def test_lines_of_the_kernel():
    text = "2026-11-25T03:44:26,500000+00:00 one\n2026-11-25T05:44:27,000000+02:00 two\nnoise\n"
    lines = vllm_log.kernel_lines(text)
    assert [line.text for line in lines] == ["one", "two"]
    assert lines[0].at == vllm_log.epoch("2026-11-25T03:44:26.5Z")
    assert lines[1].at == lines[0].at + 0.5


NOON = vllm_log.epoch("2026-01-08T12:00:00Z")


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2026-01-08T12:00:00Z", 0),
        ("2026-01-08T12:00:00,25Z", 0.25),
        ("2026-01-08 12:00:00.5Z", 0.5),
        ("2026-01-08T20:00:00+08:00", 0),
        ("2026-01-08T17:30:00+0530", 0),
        ("2026-01-08T08:30:00-03:30", 0),
        ("2026-01-08T12:00:00Z stderr F", 0),
        ("2026-01-08T12:00:00Z vllm | 2026-01-08T12:00:09Z", 0),  # the writer next to vLLM comes last
    ],
)
def test_a_time_before_a_line_counts_with_its_zone(stamp: str, seconds: float):
    (line,) = vllm_log.lines_of(f"{stamp} text")
    assert (line.text, line.at) == ("text", NOON + seconds)


def test_times_count_if_half_of_the_lines_have_them():
    stamped, plain = "2026-01-08T12:00:00Z one", "two"
    later = "2026-01-08T11:00:00Z three"
    lines = vllm_log.lines_of(f"{stamped}\n{plain}\n{later}\n{plain}\n\n")
    assert [(line.text, line.at) for line in lines] == [
        ("three", NOON - 3600),
        ("two", NOON - 3600),
        ("one", NOON),
        ("two", NOON),
    ]
    lines = vllm_log.lines_of(f"{stamped}\n{plain}\n{plain}")
    assert [(line.text, line.at) for line in lines] == [("one", None), ("two", None), ("two", None)]


def test_numbers_of_all_lines_are_left_out_and_of_some_they_are_text():
    assert [line.text for line in vllm_log.lines_of(" 8\tone\n\n 9\ttwo")] == ["one", "", "two"]
    assert [line.text for line in vllm_log.lines_of("8\tone\ntwo")] == ["8\tone", "two"]


def test_json_of_docker_has_a_time_unless_it_is_cut_off():
    row = '{"log":"one\\n","stream":"stderr","time":"2026-01-08T12:00:00.5Z"}'
    (line,) = vllm_log.lines_of(row)
    assert (line.text, line.at) == ("one", NOON + 0.5)
    for broken in (row[:-5], '{"log":7,"time":"2026-01-08T12:00:00Z"}', '{"log":"one"}'):
        (line,) = vllm_log.lines_of(broken)
        assert (line.text, line.at) == (broken, None)


@pytest.mark.parametrize(
    "raw",
    [
        "Zeile \u4e00\n".encode(),
        "Zeile \u4e00\n".encode("utf-8-sig"),
        "Zeile \u4e00\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "Zeile \u4e00\n".encode("utf-16-be"),
        "Zeile \u4e00\n".encode("utf-16-le"),
    ],
)
def test_a_stored_log_is_decoded(raw: bytes):
    assert vllm_log.decode(raw) == "Zeile \u4e00\n"


def test_bytes_of_no_encoding_are_read():
    assert vllm_log.decode(b"") == ""
    assert vllm_log.decode(b"a\xffb") == "a\ufffdb"


def test_a_line_of_the_last_days_of_a_year_is_of_that_year(monkeypatch: pytest.MonkeyPatch):
    now = vllm_log.epoch("2026-01-02T00:00:00Z")
    monkeypatch.setattr(vllm_log.time, "time", lambda: now)
    assert vllm_log.own_time("12-31 23:00:01") == vllm_log.epoch("2025-12-31T23:00:01Z")
    assert vllm_log.own_time("01-01 01:02:03") == vllm_log.epoch("2026-01-01T01:02:03Z")
    assert vllm_log.own_time("01-02 20:00:00") == vllm_log.epoch("2026-01-02T20:00:00Z")  # a zone ahead
    assert vllm_log.own_time("01-03 02:00:00") == vllm_log.epoch("2025-01-03T02:00:00Z")


def test_errors_of_the_npus_have_times_to_the_microsecond():
    error = "[ERROR] HCCL(1,):2026-01-08-12:00:00.123.456 [a.cc:1] it failed"
    (line,) = vllm_log.npu_lines(f"{error}\n{error.replace('ERROR', 'EVENT')}\nplain")
    assert line.level == "ERROR"
    assert line.at == pytest.approx(NOON + 0.123456)
    assert vllm_log.npu_time(error.replace("ERROR", "INFO")) is None
    assert vllm_log.read(error.replace("ERROR", "INFO")).at == pytest.approx(NOON + 0.123456)


@pytest.mark.parametrize(
    ("process", "reached", "index"),
    [
        ("(EngineCore pid=1)", [], 0),
        ("(EngineCore pid=1)", [(3, "(EngineCore pid=1)"), (5, "(APIServer pid=2)")], 5),
        ("(EngineCore pid=1)", [(5, "(Worker_TP0 pid=3)")], 5),
        ("(Worker_TP0 pid=3)", [(5, "(Worker_TP1 pid=4)")], 0),
        ("(Worker_TP0 pid=3)", [(5, "(Worker_TP0 pid=3)")], 5),
        ("(Worker_TP0 pid=3)", [(5, "(EngineCore pid=1)")], 5),
    ],
)
def test_that_a_process_goes_on_is_not_shown_by_another_worker(process, reached, index):
    assert vllm_log.goes_on(process, reached) == index


def test_the_later_stages_of_a_start_are_where_their_lines_are():
    lines = [Line("text"), Line("Starting to load model x", None, "", "W"), Line("init engine (took 3 s)")]
    assert vllm_log.later_stages(lines) == [(1, "W"), (2, "")]
