# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line of a log means and what to do about it: a table. It holds no code, and any line may have its own source.

Written against the lines of vLLM 0.13.0, vLLM-Ascend 0.13.0rc1 and CANN 8.3, cleaned as vllm_log.clean() does.
"""

from __future__ import annotations

import re
from re import Pattern
from typing import NamedTuple

CAUSE = "cause"
PEER = "peer"  # the trace that a failure of another host, or of the network to it, leaves
ECHO = "echo"  # of a failure reported before it: the engine, or all of it, has ended
WARNING = "warning"  # no end, but worth a look

ISSUE = "https://github.com/vllm-project/vllm-ascend/issues/"
SUPERVISOR = "ascend_ops.vllm, roles/container/files/supervise.py"


class Signature(NamedTuple):
    """A line's meaning. {what} in cause is filled in with the first named group of the pattern that matched."""

    id: str
    kind: str
    pattern: Pattern[str]
    cause: str
    remedy: str
    source: str


def _signature(name: str, pattern: str, cause: str, remedy: str, source: str, kind: str = CAUSE) -> Signature:
    return Signature(name, kind, re.compile(pattern), cause, remedy, source)


SIGNATURES = (
    # The command line and the image.
    _signature(
        "bad_argument",
        r"^(?:usage: )?vllm(?: serve)?: error: (?P<what>.+)",
        "`vllm serve` refuses its command line: {what}",
        "Correct the serve arguments of the profile or of the inventory (vllm_serve_args).",
        "Python argparse, as vllm serve uses it",
    ),
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
        "command_missing",
        r"line \d+: (?:exec: )?(?P<what>[^:]+): (?:command not found|not found|No such file or directory)$",
        "the serve script calls or reads `{what}`, which the image does not have",
        "Use the image that the profile names, or correct the profile's serve_env_scripts.",
        "bash",
    ),
    _signature(
        "package_missing",
        r"(?P<what>(?:PackageNotFoundError: No package metadata was found for|ModuleNotFoundError: No module named) \S+)",
        "a Python package is not in the image: {what}",
        "Use the image that the profile names, or add the package to your own.",
        "Python, importlib",
    ),
    _signature(
        "library_mismatch",
        r"ImportError: (?P<what>.*undefined symbol.*)",
        "a compiled library does not fit PyTorch or CANN of the image: {what}",
        "Use the image that the profile names, unchanged; something was installed over it.",
        "vllm 0.13.0 with torch 2.13.0: vllm/_C.abi3.so: undefined symbol",
    ),
    _signature(
        "layer_broken",
        r"archive/tar: invalid tar header",
        "Docker cannot unpack a layer of the image on this host",
        "Save the image on another host (docker save) and load it here (docker load, or the image role's archive).",
        "https://vllm-ascend.readthedocs.io, FAQ 20",
    ),
    _signature(
        "no_compiler",
        r"InvalidCxxCompiler",
        "graph compilation needs a C++ compiler, which the image does not have",
        "Use an image with a compiler, or switch compilation off (TORCHDYNAMO_DISABLE=1 in vllm_serve_env).",
        "torch inductor; with vllm 0.13.0 on CPU the first completion ends the service",
    ),
    # The network between the hosts.
    _signature(
        "wrong_nic",
        r"ifa != nullptr\. Unable to find address for: (?P<what>\S+)",
        "this host has no network interface `{what}`, or no address on it",
        "Set vllm_service_nic to the NIC that carries vllm_service_ip (`ip -br addr` lists both).",
        "pytorch gloo/transport/tcp/device.cc; seen with vllm 0.13.0 on a worker, exit code 0",
    ),
    _signature(
        "address_in_use",
        r"(?P<what>.*(?:[Aa]ddress already in use|EADDRINUSE).*)",
        "a port is taken: {what}",
        "Stop the other service (`ss -ltnp` names it), or choose another vllm_api_port or vllm_rpc_port.",
        "bind(2), errno 98",
    ),
    _signature(
        "hccl_port_taken",
        r"listen on ip\[[^\]]*\] and specific port\[(?P<what>\d+)\] fail|EJ0003|EI0019|IP address and port have been bound already"
        r"|host nic listen start failed, port\[(?P<what2>\d+)\]",
        "a port of HCCL is taken {what}: a process or container that was left over, or a second service on these NPUs",
        "End it (`npu-smi info` and `ss -ltnp` name it), or set HCCL_IF_BASE_PORT in vllm_serve_env on all hosts.",
        ISSUE + "1955",
    ),
    _signature(
        "hccl_init",
        r"hcclCommInitRootInfo\w*.*error code is (?P<what>\d+)",
        "HCCL cannot start (error code {what})",
        "Check vllm_service_ip and vllm_service_nic, the address of each NPU (`hccn_tool -i N -ip -g`), and that nothing else holds the ports.",
        ISSUE + "3196",
    ),
    _signature(
        "gloo_mesh",
        r"Gloo connectFullMesh failed|remote=\[(?:::ffff:)?127\.\d+\.\d+\.\d+\]",
        "the hosts do not reach each other over the NIC that Gloo uses",
        "Check vllm_service_nic and vllm_service_ip of each host, and that the host name does not resolve to 127.0.1.1 in /etc/hosts.",
        "https://github.com/vllm-project/vllm/issues/7074",
    ),
    _signature(
        "hostname_loopback",
        r"Unable to resolve hostname to a \(local\) address\. Using the loopback",
        "the host's own name resolves to no address of it, so Gloo may take the loopback",
        "Let GLOO_SOCKET_IFNAME name the service NIC (vllm_service_nic), and let /etc/hosts give the host's name its service address.",
        "https://github.com/vllm-project/vllm/issues/7074",
        kind=WARNING,
    ),
    _signature(
        "topology_differs",
        r"(?P<what>Remote engine \d+ must use --headless.*|Message from engine with unexpected data parallel rank: \d+"
        r"|HELLO message from .*expected it to be .*"
        r"|api_server_count can't be set in headless mode.*)",
        "head and workers were started with different topologies: {what}",
        "Run site.yml over all hosts of the service, without --limit.",
        "vllm 0.13.0, v1/engine/utils.py",
    ),
    _signature(
        "engines_late",
        r"Timed out waiting for engines to send ?initial message",
        "an API server waited 10 minutes for the engines; with more than one API server that is a fixed limit",
        "Leave api-server-count at 1 in vllm_serve_args: then loading may take as long as it takes.",
        "https://github.com/vllm-project/vllm/issues/35547",
    ),
    _signature(
        "hccl_timeout",
        r"EI0006|Getting socket times out|wait socket establish timeout",
        "the NPUs of another host did not answer (HCCL connection timeout)",
        "Look at the other hosts' logs first; then run preflight.yml: it looks at links, addresses, TLS and pings of all NPUs.",
        ISSUE + "5461",
        kind=PEER,
    ),
    _signature(
        "roce_link",
        r"Execution_Error_ROCE_CQE|EI0013|HCCL watchdog thread terminated|WorkHCCL\(.*[Tt]imeout",
        "the RoCE link between NPUs of two hosts broke, or the engine on the other end ended",
        "Look at the other hosts' logs; then `hccn_tool -i N -link_stat -g` on both hosts shows whether the link went down.",
        ISSUE + "7384",
        kind=PEER,
    ),
    _signature(
        "back_to_back_cable",
        r"HcclAllocComResourceByTiling .*ret = 4",
        "the NPUs cannot use the MC2 operators between the hosts; they do not work over a cable without a switch",
        "If HCCL timed out before this line, mend that. Else use a switch, or set enable-expert-parallel to null in vllm_serve_args.",
        ISSUE + "7606",
        kind=PEER,
    ),
    _signature(
        "head_silent",
        r"Did not receive response from front-end process within (?P<what>\d+ minutes)",
        "this worker got no answer from the head for {what}",
        "Check that the head's container runs, that vllm_service_ip of the head is right, and that the firewall lets this host reach the head's rpc port.",
        "vllm 0.13.0, v1/engine/core.py, HANDSHAKE_TIMEOUT_MINS",
        kind=PEER,
    ),
    _signature(
        "peer_gone",
        r"gloo/transport/tcp/pair\.cc:\d+\] [A-Za-z ]+\[(?P<what>[^\]]+)\]",
        "the engine on {what} went away",
        "Look at the other hosts' logs: the cause is there, or in the network between them.",
        "pytorch gloo; seen with vllm 0.13.0 when a peer dies",
        kind=PEER,
    ),
    _signature(
        "worker_missing",
        r"Waiting for \d+ local, (?P<what>[1-9]\d*) remote core engine proc",
        "the head waits for {what} engine(s) of other hosts",
        "Look at the workers' containers first, then at the firewall between the hosts (all TCP ports must be open).",
        ISSUE + "2416",
        kind=WARNING,
    ),
    # The model's files.
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
        "download_broken",
        r"integrity check failed, expected sha256 signature is",
        "a file came from the hub with another checksum than the hub names",
        "Run the weights stage again: it resumes and fetches that file anew. If it stays so, a proxy changes or cuts what it passes.",
        "https://github.com/modelscope/modelscope/issues/1365",
    ),
    # Memory, streams and other resources.
    _signature(
        "oom_killed",
        r"(?:Out of memory|Memory cgroup out of memory): Killed process \d+ \((?P<what>VLLM[^)]*|vllm[^)]*|python3?[^)]*)\)",
        "the kernel killed {what} for lack of memory of the host or the container",
        "Free memory on that host, or lift the container's limit; loading weights needs host memory too.",
        "Linux, mm/oom_kill.c",
    ),
    _signature(
        "out_of_memory",
        r"(?P<what>(?:NPU|CUDA) out of memory.*|OutOfMemoryError.*|(?:not enough|can't allocate) memory: you tried to allocate.*|Cannot allocate memory.*"
        r"|Free memory on device .* is less than desired.*)|^MemoryError",
        "memory does not suffice: {what}",
        "See that nothing else uses the NPUs or the host's memory, or lower gpu-memory-utilization, max-model-len or max-num-seqs in vllm_serve_args.",
        ISSUE + "1987",
    ),
    _signature(
        "kv_cache_too_small",
        r"(?P<what>To serve at least one request with the models's max seq len.*|No available memory for the cache blocks.*)",
        "the memory left after the weights does not hold one request: {what}",
        "Lower max-model-len in vllm_serve_args (the line gives the largest that fits), or raise gpu-memory-utilization.",
        "vllm 0.13.0, v1/core/kv_cache_utils.py",
    ),
    _signature(
        "moe_dispatch_resources",
        r"EI0007.*resource\[qp\]"
        r"|aclnnMoeDistribute\w+ failed, error code is 561000",
        "the MC2 operators of expert parallelism got no queue pairs or memory on the NPUs",
        "Lower gpu-memory-utilization in vllm_serve_args, and set both HCCL_INTRA_PCIE_ENABLE=1 and HCCL_INTRA_ROCE_ENABLE=0 in vllm_serve_env.",
        ISSUE + "5947",
    ),
    _signature(
        "hccl_buffer_too_small",
        r"HCCL_BUFFSIZE is too SMALL.*NEEDED_HCCL_BUFFSIZE.*= ?(?P<what>\d+ ?MB), HCCL_BUFFSIZE"
        r"|error code is (?P<what2>561002)",
        "HCCL_BUFFSIZE is too small: {what} wanted",
        "Set HCCL_BUFFSIZE in vllm_serve_env to that many MB or more (512, 1024) on all hosts.",
        "https://github.com/vllm-project/vllm-ascend/pull/5287",
    ),
    _signature(
        "streams_exhausted",
        r"has insufficient available streams to capture|Insufficient_Stream_Resources|EL0009|error code is 20700[58]"
        r"|Alloc sq cq fail",
        "the NPU has too few streams for the graphs to capture",
        "Capture fewer graphs (compilation-config with cudagraph_mode FULL_DECODE_ONLY in vllm_serve_args), and keep HCCL_OP_EXPANSION_MODE=AIV.",
        ISSUE + "3869",
    ),
    _signature(
        "graph_capture",
        r"the current capture mode does not support this operation",
        "graph capture failed; seen on two A2 nodes when memory is tight",
        "Lower gpu-memory-utilization in vllm_serve_args, or set enforce-eager there.",
        ISSUE + "6002",
    ),
    _signature(
        "shm_refused",
        r"(?:shm|/dev/shm)\b.*[Oo]peration not permitted|[Oo]peration not permitted.*\bshm",
        "Docker may not give the container its shared memory on this host",
        "Set vllm_container_shm_size to what the host allows, or allow it: privileged containers may, at a risk.",
        "https://vllm-ascend.readthedocs.io, FAQ 21",
    ),
    # Driver, CANN and devices.
    _signature(
        "library_missing",
        r"(?P<what>lib(?:ascend|hccl|atb|ge_|runtime)\w*\.so[\w.]*): cannot open shared object file",
        "the library {what} is not in the container",
        "Check that the driver is mounted into the container and that the profile's serve_env_scripts are those of the image.",
        ISSUE + "1440",
    ),
    _signature(
        "no_device",
        r"Failed to infer device type",
        "vLLM found no NPU in the container",
        "Check the container's devices and driver mounts, and `npu-smi info` inside it.",
        ISSUE + "540",
    ),
    _signature(
        "device_unavailable",
        r"dcmi (?:module|model) initiali\w+ failed.*ret is (?P<what>-\d+)|Set visible device failed, (?P<what2>invalid device=\d+)"
        r"|rtSetDevice.*(?:device id error|107001)",
        "an NPU cannot be used {what}: it is not in the container, another container holds it, or there is none of that number",
        "Check vllm_npu_ids against `npu-smi info -m`, end other containers that have the devices, and reboot if the driver was just upgraded.",
        ISSUE + "2698",
    ),
    _signature(
        "driver_mismatch",
        r"AclSetCompileopt.*ACL_PRECISION_MODE.*500001|EL0003",
        "the CANN of the image does not fit driver, firmware or chip of this host",
        "Run the driver stage (site.yml --tags preflight): it holds driver and firmware against the profile. Use the image for this generation of NPUs.",
        ISSUE + "2244",
    ),
    # While it serves.
    _signature(
        "worker_hangs",
        r"No available shared memory broadcast block found",
        "a worker process lets the others wait; normal while weights load and graphs compile, a hang if it goes on for many minutes",
        "If it goes on: look at the other hosts' logs, the RoCE links, and the container's shared memory (vllm_container_shm_size).",
        ISSUE + "3717",
        kind=WARNING,
    ),
    _signature(
        "tool_call_lost",
        r"Failed to extract tool call spec|TypeError: expected string or buffer",
        "a tool call of the model could not be read, and reached the client as plain text",
        "Run the patch stage (site.yml --tags patch) with vllm_patch_repairs true, and see that tool-call-parser is glm47.",
        "https://github.com/vllm-project/vllm/issues/32436",
        kind=WARNING,
    ),
    _signature(
        "thinking_field",
        r"(?:KeyError:|has no attribute|no field) .reasoning(?:_content)?\b",
        "a client looks for the thinking in a field that this vLLM does not have",
        "Read the field `reasoning`, and `reasoning_content` of older versions if it is not there.",
        "https://github.com/vllm-project/vllm/issues/27755",
        kind=WARNING,
    ),
    # Supervisors and ends.
    _signature(
        "supervisor_key",
        r"^\[supervisor\] .*(?P<what>wrong signature)",
        "the supervisors of the hosts do not have the same key",
        "Stop the containers of all hosts and run site.yml: it gives them a new one.",
        SUPERVISOR,
    ),
    _signature(
        "supervisor_failed",
        r"^\[supervisor\] (?:ending: the supervisor failed|cannot start): (?P<what>.+)",
        "the supervisor of this host cannot work: {what}",
        "Check that vllm_service_ip is an address of this host and vllm_supervisor_port is free; then run site.yml.",
        SUPERVISOR,
    ),
    _signature(
        "engine_killed",
        r"^\[supervisor\] ending: the engine of host \d+ ended with exit code (?P<what>-9|137)",
        "the engine of this host was killed (exit code {what})",
        "Look for the killer: `dmesg` names the kernel when memory ran out, otherwise somebody or something sent the signal.",
        SUPERVISOR,
    ),
    _signature(
        "other_host_failed",
        r"^\[supervisor\] ending: (?P<what>(?:the head|host \d+) (?!was not heard of)(?!.*the container was stopped).*)",
        "it ended with the other hosts: {what}",
        "Look at the log of that host.",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "host_silent",
        r"^\[supervisor\] ending: (?:.* said: )?(?P<what>(?:the head|host \d+) was not heard of for \d+ s)",
        "the hosts lost sight of each other: {what}",
        "See whether that host runs and whether the network between the hosts stands; a longer vllm_supervisor_grace bears longer cuts.",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "no_link_to_head",
        r"^\[supervisor\] no link to the head at (?P<what>.+); trying on",
        "the supervisor of this host has no link to the head: {what}",
        "Check that the head's container runs, and that the firewall lets this host reach vllm_supervisor_port of the head.",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "stopped",
        r"^\[supervisor\] ending: (?:.* said: )?the container was stopped",
        "the service was stopped on purpose (`docker stop`, stop.yml, or a shutdown of the host)",
        "Run start.yml to have it run again.",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "gave_up",
        r"^\[supervisor\] gave up: (?P<what>\d+ rounds in a row) failed",
        "the supervisors gave up after {what}",
        "Mend what the earlier log names (`docker logs`), then run site.yml or start.yml.",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "ended",
        r"^\[supervisor\] ending: the engine of host (?P<what>\d+ ended with exit code -?\d+)",
        "the engine of host {what}",
        "Look at the lines before this one. If there is no error, the engine was killed: `dmesg` tells whether the kernel did it for lack of memory.",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "engine_failed",
        r"EngineCore failed to start|EngineCore encountered a fatal error|Engine core initialization failed|EngineDeadError|WorkerProc failed to start"
        r"|Engine core proc \S+ died unexpectedly",
        "the engine ended",
        "Look at the lines before this one.",
        "vllm 0.13.0, v1/engine/core.py",
        kind=ECHO,
    ),
)
