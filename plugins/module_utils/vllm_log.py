# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log of `vllm serve` says: how far the start has come, and what went wrong first.

Written against the lines of vLLM 0.13.0 and vLLM-Ascend 0.13.0rc1. Exit codes are no help there: a failed worker,
and every failure after the start, ends with 0.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable, Sequence
from re import Pattern
from typing import NamedTuple

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROCESS = re.compile(r"^(?:\((\w+) pid=\d+\)\s?)+")
LEVEL = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\] ?")
SECRET = re.compile(r"""((?:api[-_]key['"]?[\s:=]+|(?:token|password)['"]?\s*[:=]\s*)\[?['"]?)[^'"\s,\]}]+""", re.IGNORECASE)
TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)(?::|$)")


class Line(NamedTuple):
    """A line of a log; at: seconds since the epoch when it was written, if known."""

    text: str
    at: float | None = None


class Stage(NamedTuple):
    """A step of the start: when it is on, what to look at if it lasts too long."""

    id: str
    title: str
    begins: Pattern[str] | None
    hint: str


class Signature(NamedTuple):
    """What a line means. kind: `cause`; `peer`, the trace that another host's failure leaves; `echo`, of a failure reported before it."""

    id: str
    kind: str
    pattern: Pattern[str]
    cause: str
    remedy: str
    source: str


def _stage(name: str, title: str, begins: str, hint: str) -> Stage:
    return Stage(name, title, re.compile(begins) if begins else None, hint)


STAGES = (
    _stage("starting", "container started, Python and vLLM load", "", "look at the container's log: nothing came from vLLM yet"),
    _stage(
        "gathering",
        "waiting for the supervisors of all hosts",
        r"^\[supervisor\] (?:waiting on|no link to the head)",
        "look at the containers of the other hosts, and at the firewall between the hosts (all TCP ports must be open)",
    ),
    _stage(
        "configuring",
        "vLLM reads the model's configuration",
        r"vLLM API server version|Resolved architecture",
        "look at the disk that holds the weights",
    ),
    _stage(
        "connecting",
        "waiting until the data parallel engines of all hosts are connected",
        r"Started DP Coordinator process|Launching \d+ data parallel engine",
        "vLLM waits here in silence: look at the other hosts first, then at the firewall between the hosts (all TCP ports must be open)",
    ),
    _stage(
        "connected",
        "engines connected",
        r"Initializing a V1 LLM engine|world_size=\d+ rank=\d+ local_rank",
        "look at the network between the hosts and at the collective communication of the NPUs",
    ),
    _stage("weights", "loading weights", r"Starting to load model", "look at the read rate of the disk that holds the weights"),
    _stage(
        "memory", "measuring the memory left for the KV cache", r"Loading (?:model )?weights took|Model loading took", "look at the NPUs' memory and health"
    ),
    _stage("kv_cache", "KV cache reserved", r"GPU KV cache size", "look at the NPUs' memory and health"),
    _stage(
        "graphs",
        "warming up and capturing graphs",
        r"Warming up model|Capturing (?:\w+ )?graphs|Graph capturing",
        "graph capture takes minutes; if it lasts, look at the NPUs' streams and memory",
    ),
    _stage("engine_ready", "engine ready", r"init engine \(", "look at the other hosts: the API opens when the engines of all hosts are ready"),
    _stage("serving", "API open", r"Application startup complete", "look at the network between this host and the head's API port"),
)
SHARDS = re.compile(r"Loading \w+ checkpoint shards:\s*(\d+)% Completed \| (\d+)/(\d+)")
WEIGHTS = next(index for index, stage in enumerate(STAGES) if stage.id == "weights")


def _signature(name: str, pattern: str, cause: str, remedy: str, source: str, kind: str = "cause") -> Signature:
    return Signature(name, kind, re.compile(pattern), cause, remedy, source)


SIGNATURES = (
    _signature(
        "invalid_tool_call_parser",
        r"invalid tool call parser: (?P<what>\S+)",
        "this vLLM has no tool call parser `{what}`",
        "Run the patch stage, which adds the model's parser, or name a parser of the list in the line.",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "invalid_reasoning_parser",
        r"invalid reasoning parser: (?P<what>\S+)|[Rr]easoning parser '(?P<what2>[^']+)' not found",
        "this vLLM has no reasoning parser `{what}`",
        "Name a reasoning parser of the list in the line.",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "bad_argument",
        r"^(?:usage: )?vllm(?: serve)?: error: (?P<what>.+)",
        "`vllm serve` refuses its command line: {what}",
        "Correct the serve arguments of the profile or of the inventory (vllm_serve_args).",
        "Python argparse, as vllm serve uses it",
    ),
    _signature(
        "command_missing",
        r"line \d+: (?:exec: )?(?P<what>[^:]+): (?:command not found|not found|No such file or directory)$",
        "the serve script calls or reads `{what}`, which the image does not have",
        "Use the image that the profile names, or correct the profile's serve_env_scripts.",
        "bash",
    ),
    _signature(
        "wrong_nic",
        r"ifa != nullptr\. Unable to find address for: (?P<what>\S+)",
        "this host has no network interface `{what}`, or no address on it",
        "Set vllm_service_nic to the NIC that carries vllm_service_ip (`ip -br addr` lists both).",
        "pytorch gloo/transport/tcp/device.cc; seen with vllm 0.13.0 on a worker, exit code 0",
    ),
    _signature(
        "gloo_mesh",
        r"Gloo connectFullMesh failed",
        "the hosts do not reach each other over the NIC that Gloo uses",
        "Check vllm_service_nic and vllm_service_ip of each host, and that the host name does not resolve to 127.0.1.1 in /etc/hosts.",
        "https://github.com/vllm-project/vllm/issues/7074",
    ),
    _signature(
        "head_silent",
        r"Did not receive response from front-end process within (?P<what>\d+ minutes)",
        "this worker got no answer from the head for {what}",
        "Check that the head's container runs, that vllm_service_ip of the head is right, and that the firewall lets this host reach the head's rpc port.",
        "vllm 0.13.0, v1/engine/core.py, HANDSHAKE_TIMEOUT_MINS",
    ),
    _signature(
        "address_in_use",
        r"(?P<what>.*(?:[Aa]ddress already in use|EADDRINUSE).*)",
        "a port is taken: {what}",
        "Stop the other service (`ss -ltnp` names it), or choose another vllm_api_port or vllm_rpc_port.",
        "bind(2), errno 98",
    ),
    _signature(
        "model_missing",
        r"Invalid repository ID or local directory specified: (?P<what>\S+)|(?P<what2>\S+) does not appear to have a file named"
        r"|Cannot find any model weights with `?(?P<what3>[^`]+)|Repo id must be in the form .*: '(?P<what4>[^']+)'",
        "the model's files are not at {what} inside the container",
        "Check vllm_model_dir and the container's mounts, and run the weights stage.",
        "https://github.com/vllm-project/vllm/issues/13510",
    ),
    _signature(
        "weights_broken",
        r"(?P<what>SafetensorError: .*|Error while deserializing header.*)",
        "a weights file is broken: {what}",
        "Run the weights stage: it finds the file that differs and fetches it again.",
        "https://github.com/gpustack/gpustack/issues/815",
    ),
    _signature(
        "out_of_memory",
        r"(?P<what>(?:NPU|CUDA) out of memory.*|OutOfMemoryError.*|not enough memory: you tried to allocate.*|Cannot allocate memory.*"
        r"|Free memory on device .* is less than desired.*)|^MemoryError",
        "memory does not suffice: {what}",
        "See that nothing else uses the NPUs or the host's memory, or lower gpu-memory-utilization, max-model-len or max-num-seqs in vllm_serve_args.",
        "https://github.com/vllm-project/vllm-ascend/issues/1987",
    ),
    _signature(
        "kv_cache_too_small",
        r"(?P<what>To serve at least one request with the models's max seq len.*|No available memory for the cache blocks.*)",
        "the memory left after the weights does not hold one request: {what}",
        "Lower max-model-len in vllm_serve_args (the line gives the largest that fits), or raise gpu-memory-utilization.",
        "vllm 0.13.0, v1/core/kv_cache_utils.py",
    ),
    _signature(
        "library_missing",
        r"(?P<what>lib(?:ascend|hccl|atb|ge_|runtime)\w*\.so[\w.]*): cannot open shared object file",
        "the library {what} is not in the container",
        "Check that the driver is mounted into the container and that the profile's serve_env_scripts are those of the image.",
        "https://github.com/vllm-project/vllm-ascend/issues/1440",
    ),
    _signature(
        "no_device",
        r"Failed to infer device type",
        "vLLM found no NPU in the container",
        "Check the container's devices and driver mounts, and `npu-smi info` inside it.",
        "https://github.com/vllm-project/vllm-ascend/issues/540",
    ),
    _signature(
        "topology_differs",
        r"(?P<what>Remote engine \d+ must use --headless.*|Message from engine with unexpected data parallel rank: \d+"
        r"|HELLO message from .*expected it to be .*)",
        "head and workers were started with different topologies: {what}",
        "Run site.yml over all hosts of the service, without --limit.",
        "vllm 0.13.0, v1/engine/utils.py",
    ),
    _signature(
        "no_compiler",
        r"InvalidCxxCompiler",
        "graph compilation needs a C++ compiler, which the image does not have",
        "Use an image with a compiler, or switch compilation off (TORCHDYNAMO_DISABLE=1 in vllm_serve_env).",
        "torch inductor; with vllm 0.13.0 on CPU the first completion ends the service",
    ),
    _signature(
        "peer_gone",
        r"gloo/transport/tcp/pair\.cc:\d+\] [A-Za-z ]+\[(?P<what>[^\]]+)\]",
        "the engine on {what} went away",
        "Look at the other hosts' logs: the cause is there, or in the network between them.",
        "pytorch gloo; seen with vllm 0.13.0 when a peer dies",
        kind="peer",
    ),
    _signature(
        "other_host_failed",
        r"^\[supervisor\] ending: (?P<what>(?:the head|host \d+) .*)",
        "it ended with the other hosts: {what}",
        "Look at the log of that host.",
        "ascend_ops.vllm, roles/container/files/supervise.py",
        kind="peer",
    ),
    _signature(
        "supervisor_key",
        r"^\[supervisor\] .*(?P<what>wrong signature)",
        "the supervisors of the hosts do not have the same key",
        "Stop the containers of all hosts and run site.yml: it gives them a new one.",
        "ascend_ops.vllm, roles/container/files/supervise.py",
    ),
    _signature(
        "gave_up",
        r"^\[supervisor\] gave up: (?P<what>\d+ rounds in a row) failed",
        "the supervisors gave up after {what}",
        "Mend what the earlier log names (`docker logs`), then run stop.yml and site.yml.",
        "ascend_ops.vllm, roles/container/files/supervise.py",
        kind="echo",
    ),
    _signature(
        "ended",
        r"^\[supervisor\] (?:ending: the engine of host|ending: the supervisor failed)",
        "the engine ended",
        "Look at the lines before this one.",
        "ascend_ops.vllm, roles/container/files/supervise.py",
        kind="echo",
    ),
    _signature(
        "engine_failed",
        r"EngineCore failed to start|EngineCore encountered a fatal error|Engine core initialization failed|EngineDeadError|WorkerProc failed to start",
        "the engine ended",
        "Look at the lines before this one.",
        "vllm 0.13.0, v1/engine/core.py",
        kind="echo",
    ),
)


def clean(raw: str) -> str:
    """Return the line without colour codes, process and level prefixes, and secrets."""
    text = COLOUR.sub("", raw).replace("\r", "").rstrip()
    text = LEVEL.sub("", PROCESS.sub("", text))
    return SECRET.sub(r"\1***", text)


def timeline(lines: Iterable[Line], started: float | None = None) -> list[dict[str, object]]:
    """Return the stages that a start went through, each with its title, progress and the seconds from `started` to its beginning."""
    reached = [_entry(STAGES[0], Line("", started), started)]
    current = 0
    for line in lines:
        for index in range(len(STAGES) - 1, current, -1):
            begins = STAGES[index].begins
            if begins and begins.search(line.text):
                current = index
                reached.append(_entry(STAGES[index], line, started))
                break
        shards = SHARDS.search(line.text)
        if shards and current == WEIGHTS:
            reached[-1]["progress"] = "{}% ({} of {} files)".format(*shards.groups())
    return reached


def _entry(stage: Stage, line: Line, started: float | None) -> dict[str, object]:
    seconds = None if line.at is None or started is None else round(line.at - started, 1)
    return {"stage": stage.id, "title": stage.title, "progress": "", "seconds": seconds}


def hint(stage: str) -> str:
    """Return where to look when the start stays in a stage."""
    return next(known.hint for known in STAGES if known.id == stage)


def findings(lines: Sequence[Line]) -> list[dict[str, str]]:
    """Return what the log says went wrong: causes first, then traces of a peer's failure, then echoes; each kind in the log's order."""
    found = []  # type: list[dict[str, str]]
    kinds = []  # type: list[str]
    for line in lines:
        for signature in SIGNATURES:
            match = signature.pattern.search(line.text)
            if match and signature.id not in {known["id"] for known in found}:
                found.append(_finding(signature, match, line.text))
                kinds.append(signature.kind)
    if "cause" not in kinds and "peer" not in kinds:
        unknown = _first_exception(lines)
        if unknown and unknown not in {known["line"] for known in found}:
            found.append(_unknown(unknown))
            kinds.append("cause")
    order = ("cause", "peer", "echo")
    return [finding for _kind, finding in sorted(zip(kinds, found), key=lambda pair: order.index(pair[0]))]


def _finding(signature: Signature, match: re.Match[str], line: str) -> dict[str, str]:
    what = next((value for value in match.groupdict().values() if value), "")
    return {
        "id": signature.id,
        "severity": "fatal",
        "cause": signature.cause.format(what=what.strip(" .,'\"")),
        "remedy": signature.remedy,
        "line": line,
        "source": signature.source,
    }


def _unknown(line: str) -> dict[str, str]:
    return {
        "id": "unknown_exception",
        "severity": "fatal",
        "cause": "vLLM ended with an error that is not in the table: " + line,
        "remedy": "Look at the traceback above this line in the container's log.",
        "line": line,
        "source": "Python traceback",
    }


def _first_exception(lines: Sequence[Line]) -> str | None:
    """Return the line that ends the first traceback: Python prints the root of a chain of exceptions first."""
    inside = False
    for line in lines:
        if line.text.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and EXCEPTION.match(line.text):
            return line.text
    return None


def is_end(line: Line) -> bool:
    """Tell whether vLLM says in this line that it does not go on; its processes may linger, or end with 0."""
    return any(signature.kind == "echo" and signature.pattern.search(line.text) for signature in SIGNATURES)


def epoch(timestamp: str) -> float | None:
    """Return the seconds since the epoch of a UTC time as Docker writes it."""
    match = TIMESTAMP.match(timestamp)
    if not match:
        return None
    return calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")) + float(match.group(2) or 0)


def docker_lines(output: str, after: str) -> tuple[list[Line], str]:
    """Return the lines of `docker logs --timestamps` later than `after`, in the order of their times, and the last time.

    Docker hands out stdout and stderr one beside the other, and `--since` repeats the last line.
    """
    stamped = sorted(
        (raw.partition(" ")[::2] for raw in output.split("\n") if TIMESTAMP.match(raw) and raw.partition(" ")[0] > after),
        key=lambda pair: pair[0],
    )
    lines = [Line(clean(text), epoch(stamp)) for stamp, text in stamped]
    return lines, stamped[-1][0] if stamped else after
