# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs in fixtures/vllm_log are excerpts of real ones of vLLM 0.13.0, as `docker logs` gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils import vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils.vllm_log import Line

LOGS = Path(__file__).parent / "fixtures" / "vllm_log"


def read(name: str) -> list[Line]:
    return [Line(vllm_log.clean(raw)) for raw in (LOGS / name).read_bytes().decode().split("\n")]


def ids(lines: list[Line]) -> list[str]:
    return [finding["id"] for finding in vllm_log.findings(lines)]


def test_a_line_loses_colours_process_and_level():
    raw = "\x1b[0;36m(EngineCore_DP0 pid=8619)\x1b[0;0m ERROR 11-24 12:00:19 [core.py:866] EngineCore failed to start.\r"
    assert vllm_log.clean(raw) == "EngineCore failed to start."


def test_a_line_of_a_worker_inside_an_engine_loses_both_prefixes():
    assert vllm_log.clean("(EngineCore_DP0 pid=3) (Worker_TP0 pid=41) INFO 11-24 12:00:19 [x.py:1] Loading weights took 9.93 seconds").startswith("Loading")


@pytest.mark.parametrize("raw", ["non-default args: {'api_key': ['s3cret'], 'port': 8080}", "--api-key s3cret", "VLLM_API_KEY=s3cret", "token: s3cret"])
def test_a_line_loses_secrets(raw: str):
    assert "s3cret" not in vllm_log.clean(raw)


@pytest.mark.parametrize(
    ("log", "stages"),
    [
        ("head_start.log", ["starting", "configuring", "connecting", "connected", "weights", "memory", "kv_cache", "graphs", "engine_ready", "serving"]),
        ("worker_start.log", ["starting", "configuring", "connecting", "connected", "weights", "memory", "kv_cache", "graphs", "engine_ready"]),
        ("head_waits.log", ["starting", "configuring", "connecting"]),
        ("engine_fails_in_warm_up.log", ["starting", "configuring", "weights", "graphs"]),
        ("worker_ended_by_head.log", ["starting", "gathering", "connecting"]),
    ],
)
def test_stages_of_a_start(log: str, stages: list[str]):
    assert [entry["stage"] for entry in vllm_log.timeline(read(log))] == stages


def test_a_stage_is_never_left_backwards():
    lines = [Line("GPU KV cache size: 1,398,016 tokens"), Line("Starting to load model x"), Line("vLLM API server version 0.13.0")]
    assert vllm_log.timeline(lines)[-1]["stage"] == "kv_cache"


def test_weights_have_a_percentage_and_stages_have_times():
    lines = [
        Line("Starting to load model /model", 102.0),
        Line("Loading safetensors checkpoint shards:  12% Completed | 11/92 [00:30<03:41,  2.73s/it]", 132.0),
        Line("Loading safetensors checkpoint shards:  37% Completed | 34/92 [01:30<02:41,  2.73s/it]", 192.0),
    ]
    assert vllm_log.timeline(lines, started=90.5)[-1] == {
        "stage": "weights",
        "title": "loading weights",
        "progress": "37% (34 of 92 files)",
        "seconds": 11.5,
    }


@pytest.mark.parametrize("stage", [stage.id for stage in vllm_log.STAGES])
def test_every_stage_says_where_to_look(stage: str):
    assert vllm_log.hint(stage)


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("head_start.log", []),
        ("worker_start.log", []),
        ("head_waits.log", []),
        ("head_unpatched.log", ["invalid_tool_call_parser"]),
        ("worker_without_head.log", ["head_silent", "engine_failed"]),
        ("head_peer_gone.log", ["peer_gone", "engine_failed"]),
        ("engine_fails_in_warm_up.log", ["unknown_exception", "engine_failed"]),
        ("worker_ended_by_head.log", ["other_host_failed"]),
    ],
)
def test_findings_in_real_logs(log: str, found: list[str]):
    assert ids(read(log)) == found


def test_an_unknown_error_is_quoted():
    finding = vllm_log.findings(read("engine_fails_in_warm_up.log"))[0]
    assert finding["line"] == "IndexError: list index out of range"
    assert "IndexError: list index out of range" in finding["cause"]


@pytest.mark.parametrize(
    ("line", "found", "what"),
    [
        ("KeyError: 'invalid tool call parser: glm47 (chose from { deepseek_v3,glm45 })'", "invalid_tool_call_parser", "glm47"),
        ("vllm serve: error: unrecognized arguments: --no-such-flag", "bad_argument", "--no-such-flag"),
        ("/usr/local/bin/ascend-ops-serve: line 7: vllm: command not found", "command_missing", "vllm"),
        ("/serve.sh: line 3: /usr/local/Ascend/nnal/atb/set_env.sh: No such file or directory", "command_missing", "nnal/atb/set_env.sh"),
        (
            "RuntimeError: [enforce fail at /pytorch/third_party/gloo/gloo/transport/tcp/device.cc:84] ifa != nullptr. Unable to find address for: ens99",
            "wrong_nic",
            "ens99",
        ),
        ("RuntimeError: Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error", "gloo_mesh", "Gloo"),
        ("OSError: [Errno 98] Address already in use", "address_in_use", "Address already in use"),
        ("zmq.error.ZMQError: Address already in use (addr='tcp://10.0.0.1:8082')", "address_in_use", "8082"),
        ("  Value error, Invalid repository ID or local directory specified: '/models/GLM-4.7'.", "model_missing", "/models/GLM-4.7"),
        ("OSError: /models/GLM-4.7 does not appear to have a file named config.json.", "model_missing", "/models/GLM-4.7"),
        ("RuntimeError: Cannot find any model weights with `/models/GLM-4.7`", "model_missing", "/models/GLM-4.7"),
        ("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", "weights_broken", "MetadataIncompleteBuffer"),
        ("RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total capacity)", "out_of_memory", "3.47 GiB"),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes",
            "out_of_memory",
            "64 bytes",
        ),
        ("ValueError: No available memory for the cache blocks.", "kv_cache_too_small", "No available memory"),
        ("ImportError: libhccl.so: cannot open shared object file: No such file or directory", "library_missing", "libhccl.so"),
        ("RuntimeError: Failed to infer device type", "no_device", "NPU"),
        ("RuntimeError: Message from engine with unexpected data parallel rank: 1", "topology_differs", "rank: 1"),
        ("[supervisor] link from 10.0.0.11: wrong signature: is the key of this host the other's?", "supervisor_key", "same key"),
        ("[supervisor] ending: the engine of host 0 ended with exit code 0", "ended", "ended"),
        ("[supervisor] gave up: 5 rounds in a row failed, wanted fewer than 5.", "gave_up", "5 rounds"),
        ("torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found", "no_compiler", "compiler"),
    ],
)
def test_signatures(line: str, found: str, what: str):
    finding = vllm_log.findings([Line(line)])[0]
    assert finding["id"] == found
    assert what in finding["cause"]
    assert set(finding) == {"id", "severity", "cause", "remedy", "line", "source"}
    assert all(finding.values())


def test_the_first_cause_comes_before_later_causes_and_echoes():
    lines = [
        Line("EngineCore failed to start."),
        Line("RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [192.0.2.11]:44773"),
        Line("RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB"),
        Line("OSError: [Errno 98] Address already in use"),
        Line("RuntimeError: NPU out of memory. Tried to allocate 9.99 GiB"),
    ]
    assert ids(lines) == ["out_of_memory", "address_in_use", "peer_gone", "engine_failed"]


def test_a_harmless_mention_of_memory_is_no_finding():
    assert ids([Line("If out of memory error occurs during cudagraph capture, consider decreasing `gpu_memory_utilization`")]) == []


@pytest.mark.parametrize("log", ["worker_without_head.log", "head_peer_gone.log", "engine_fails_in_warm_up.log"])
def test_vllm_says_that_it_ended(log: str):
    assert any(vllm_log.is_end(line) for line in read(log))


@pytest.mark.parametrize("log", ["head_start.log", "worker_start.log", "head_waits.log"])
def test_vllm_goes_on(log: str):
    assert not any(vllm_log.is_end(line) for line in read(log))


def test_docker_lines_are_in_order_and_not_taken_twice():
    first = "2026-11-24T12:06:26.100000000Z stdout one\n2026-11-24T12:06:28.000000000Z stdout three\n"
    second = "2026-11-24T12:06:27.000000000Z stderr two\nError response from daemon: gone\n"
    lines, seen = vllm_log.docker_lines(first + second, "")
    assert [line.text for line in lines] == ["stdout one", "stderr two", "stdout three"]
    assert lines[1].at - lines[0].at == pytest.approx(0.9)
    again, later = vllm_log.docker_lines("2026-11-24T12:06:28.000000000Z stdout three\n2026-11-24T12:06:28.000000001Z four\n", seen)
    assert [line.text for line in again] == ["four"]
    assert vllm_log.docker_lines("", later) == ([], later)


def test_epoch():
    assert vllm_log.epoch("1970-01-01T00:01:00.25Z") == 60.25
    assert vllm_log.epoch("never") is None
