# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of log signatures: what a line means, what to do about it, and the source of that knowledge.

It matches lines that vllm_log.clean() has cleaned: of vLLM 0.13.0, vLLM-Ascend 0.13.0rc1 and CANN 8.3.
To add a signature, add an entry here and a line that it matches to the test.
"""

from __future__ import annotations

import re
from re import Pattern
from typing import NamedTuple

CAUSE = "cause"
PEER = "peer"  # a trace of another host's failure, or of the network's
ECHO = "echo"  # vLLM or the supervisor exits, because of a failure that an earlier line reports
WARNING = "warning"  # not fatal, but worth a look

ISSUE = "https://github.com/vllm-project/vllm-ascend/issues/"
SUPERVISOR = "ascend_ops.vllm, roles/container/files/supervise.py"


class Signature(NamedTuple):
    """What a line means.

    ``{what}`` in the cause stands for the first named group of the pattern that matched. Cause and remedy have no
    final full stop.
    """

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
        "`vllm serve` rejects its command line: {what}",
        "Correct vllm_serve_args in the profile or in the inventory",
        "Python argparse, as vllm serve uses it",
    ),
    _signature(
        "invalid_tool_call_parser",
        r"invalid tool call parser: (?P<what>\S+)",
        "this vLLM has no tool call parser `{what}`",
        "Run the patch stage, which adds the model's parser, or choose one from the list in the line",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "invalid_reasoning_parser",
        r"invalid reasoning parser: (?P<what>\S+)|[Rr]easoning parser '(?P<what2>[^']+)' not found",
        "this vLLM has no reasoning parser `{what}`",
        "Choose a reasoning parser from the list in the line",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "command_missing",
        r"line \d+: (?:exec: )?(?P<what>[^:]+): (?:command not found|not found|No such file or directory)$",
        "the serve script uses `{what}`, which the image does not have",
        "Use the image that the profile names, or correct vllm_serve_env_scripts",
        "bash",
    ),
    _signature(
        "package_missing",
        r"(?P<what>(?:PackageNotFoundError: No package metadata was found for"
        r"|ModuleNotFoundError: No module named) \S+)",
        "the image lacks a Python package: {what}",
        "Use the image that the profile names, or add the package to your own image",
        "Python, importlib",
    ),
    _signature(
        "library_mismatch",
        r"ImportError: (?P<what>.*undefined symbol.*)",
        "a compiled library does not match PyTorch or CANN in the image: {what}",
        "Use the image that the profile names without changes. In this one, something was installed over it",
        "vllm 0.13.0 with torch 2.13.0: vllm/_C.abi3.so: undefined symbol",
    ),
    _signature(
        "layer_broken",
        r"archive/tar: invalid tar header",
        "Docker cannot unpack a layer of the image on this host",
        "Save the image on another host (docker save) and load it here (docker load, or image_archive of "
        "the image role)",
        "https://vllm-ascend.readthedocs.io, FAQ 20",
    ),
    _signature(
        "no_compiler",
        r"InvalidCxxCompiler",
        "graph compilation needs a C++ compiler, which the image does not have",
        "Use an image with a compiler, or disable compilation (TORCHDYNAMO_DISABLE=1 in vllm_serve_env)",
        "torch inductor; with vllm 0.13.0 on CPU the first completion ends the service",
    ),
    # The network between the hosts.
    _signature(
        "wrong_nic",
        r"ifa != nullptr\. Unable to find address for: (?P<what>\S+)",
        "this host has no network interface `{what}`, or the interface has no address",
        "Set vllm_service_nic to the interface that has vllm_service_ip (`ip -br addr` lists both)",
        "pytorch gloo/transport/tcp/device.cc; seen with vllm 0.13.0 on a worker, exit code 0",
    ),
    _signature(
        "address_in_use",
        r"(?P<what>.*(?:[Aa]ddress already in use|EADDRINUSE).*)",
        "a port is in use: {what}",
        "Stop the other service (`ss -ltnp` names it), or choose another vllm_api_port or vllm_rpc_port",
        "bind(2), errno 98",
    ),
    _signature(
        "hccl_port_taken",
        r"listen on ip\[[^\]]*\] and specific port\[(?P<what>\d+)\] fail|EJ0003|EI0019"
        r"|IP address and port have been bound already|host nic listen start failed, port\[(?P<what2>\d+)\]",
        "a port of HCCL is in use {what}: by a leftover process or container, or by a second service on "
        "these NPUs",
        "Stop it (`npu-smi info` and `ss -ltnp` name it), or set HCCL_IF_BASE_PORT in vllm_serve_env on all "
        "hosts",
        ISSUE + "1955",
    ),
    _signature(
        "hccl_init",
        r"hcclCommInitRootInfo\w*.*error code is (?P<what>\d+)",
        "HCCL cannot start (error code {what})",
        "Check vllm_service_ip and vllm_service_nic, the address of each NPU (`hccn_tool -i N -ip -g`), and "
        "that nothing else uses HCCL's ports",
        ISSUE + "3196",
    ),
    _signature(
        "gloo_mesh",
        r"Gloo connectFullMesh failed|remote=\[(?:::ffff:)?127\.\d+\.\d+\.\d+\]",
        "the hosts cannot reach each other over the interface that Gloo uses",
        "Check vllm_service_nic and vllm_service_ip of each host, and that /etc/hosts does not map the host "
        "name to 127.0.1.1",
        "https://github.com/vllm-project/vllm/issues/7074",
    ),
    _signature(
        "hostname_loopback",
        r"Unable to resolve hostname to a \(local\) address\. Using the loopback",
        "the host name does not resolve to an address of this host, so Gloo may use the loopback",
        "Set GLOO_SOCKET_IFNAME to the service interface (vllm_service_nic), and map the host name to the "
        "service address in /etc/hosts",
        "https://github.com/vllm-project/vllm/issues/7074",
        kind=WARNING,
    ),
    _signature(
        "topology_differs",
        r"(?P<what>Remote engine \d+ must use --headless.*"
        r"|Message from engine with unexpected data parallel rank: \d+"
        r"|HELLO message from .*expected it to be .*"
        r"|api_server_count can't be set in headless mode.*)",
        "head and workers were started with different topologies: {what}",
        "Run site.yml on all hosts of the service, without --limit",
        "vllm 0.13.0, v1/engine/utils.py",
    ),
    _signature(
        "engines_late",
        r"Timed out waiting for engines to send ?initial message",
        "an API server waited 10 minutes for the engines; with more than one API server this limit is fixed",
        "Leave api-server-count at 1 in vllm_serve_args. Then loading may take any time",
        "https://github.com/vllm-project/vllm/issues/35547",
    ),
    _signature(
        "hccl_timeout",
        r"EI0006|Getting socket times out|wait socket establish timeout",
        "the NPUs of another host did not answer (HCCL connection timeout)",
        "Look at the other hosts' logs first. Then run preflight.yml, which checks links, addresses, TLS "
        "and pings of all NPUs",
        ISSUE + "5461",
        kind=PEER,
    ),
    _signature(
        "roce_link",
        r"Execution_Error_ROCE_CQE|EI0013|HCCL watchdog thread terminated|WorkHCCL\(.*[Tt]imeout",
        "the RoCE link between NPUs of two hosts broke, or the engine at the other end exited",
        "Look at the other hosts' logs. Then run `hccn_tool -i N -link_stat -g` on both hosts to see "
        "whether the link went down",
        ISSUE + "7384",
        kind=PEER,
    ),
    _signature(
        "back_to_back_cable",
        r"HcclAllocComResourceByTiling .*ret = 4",
        "the NPUs cannot use the MC2 operators between the hosts; these operators need a switch, a direct "
        "cable does not work",
        "If HCCL timed out before this line, fix that first. Otherwise use a switch, or set "
        "enable-expert-parallel to null in vllm_serve_args",
        ISSUE + "7606",
        kind=PEER,
    ),
    _signature(
        "head_silent",
        r"Did not receive response from front-end process within (?P<what>\d+ minutes)",
        "this worker got no answer from the head for {what}",
        "Check that the head's container runs, that the head's vllm_service_ip is right, and that the "
        "firewall lets this host reach vllm_rpc_port of the head",
        "vllm 0.13.0, v1/engine/core.py, HANDSHAKE_TIMEOUT_MINS",
        kind=PEER,
    ),
    _signature(
        "peer_gone",
        r"gloo/transport/tcp/pair\.cc:\d+\] [A-Za-z ]+\[(?P<what>[^\]]+)\]",
        "the engine at {what} is gone",
        "Look at the other hosts' logs. The cause is there, or in the network between the hosts",
        "pytorch gloo; seen with vllm 0.13.0 when a peer dies",
        kind=PEER,
    ),
    _signature(
        "worker_missing",
        r"Waiting for \d+ local, (?P<what>[1-9]\d*) remote core engine proc",
        "the head waits for {what} engine(s) of other hosts",
        "Look at the workers' containers first, then at the firewall between the hosts (all TCP ports must "
        "be open)",
        ISSUE + "2416",
        kind=WARNING,
    ),
    # The model's files.
    _signature(
        "model_missing",
        r"Invalid repository ID or local directory specified: (?P<what>\S+)"
        r"|(?P<what2>\S+) does not appear to have a file named"
        r"|Cannot find any model weights with `?(?P<what3>[^`]+)"
        r"|Repo id must be in the form .*: '(?P<what4>[^']+)'",
        "the model's files are not at {what} inside the container",
        "Check vllm_model_dir and the container's mounts, and run the weights stage",
        "https://github.com/vllm-project/vllm/issues/13510",
    ),
    _signature(
        "weights_broken",
        r"(?P<what>SafetensorError: .*|Error while deserializing header.*)",
        "a weights file is corrupt: {what}",
        "Run the weights stage. It finds the file that differs and downloads it again",
        "https://github.com/gpustack/gpustack/issues/815",
    ),
    _signature(
        "download_broken",
        r"integrity check failed, expected sha256 signature is",
        "the checksum of a downloaded file differs from the hub's",
        "Run the weights stage again. It resumes, and downloads that file again. If the error stays, a "
        "proxy alters or truncates downloads",
        "https://github.com/modelscope/modelscope/issues/1365",
    ),
    # Memory, streams and other resources.
    _signature(
        "oom_killed",
        r"(?:Out of memory|Memory cgroup out of memory): Killed process \d+ "
        r"\((?P<what>VLLM[^)]*|vllm[^)]*|python3?[^)]*)\)",
        "the kernel killed {what} because the host or the container ran out of memory",
        "Free memory on that host, or raise the container's limit. Loading weights needs host memory too",
        "Linux, mm/oom_kill.c",
    ),
    _signature(
        "out_of_memory",
        r"(?P<what>(?:NPU|CUDA) out of memory.*|OutOfMemoryError.*"
        r"|(?:not enough|can't allocate) memory: you tried to allocate.*|Cannot allocate memory.*"
        r"|Free memory on device .* is less than desired.*)|^MemoryError",
        "not enough memory: {what}",
        "Check that nothing else uses the NPUs or the host's memory, or lower gpu-memory-utilization, "
        "max-model-len or max-num-seqs in vllm_serve_args",
        ISSUE + "1987",
    ),
    _signature(
        "kv_cache_too_small",
        r"(?P<what>To serve at least one request with the models's max seq len.*"
        r"|No available memory for the cache blocks.*)",
        "the memory left after loading the weights cannot hold one request: {what}",
        "Lower max-model-len in vllm_serve_args (the line gives the largest that fits), or raise "
        "gpu-memory-utilization",
        "vllm 0.13.0, v1/core/kv_cache_utils.py",
    ),
    _signature(
        "moe_dispatch_resources",
        r"EI0007.*resource\[qp\]"
        r"|aclnnMoeDistribute\w+ failed, error code is 561000",
        "the MC2 operators of expert parallelism got no queue pairs or memory on the NPUs",
        "Lower gpu-memory-utilization in vllm_serve_args, and set both HCCL_INTRA_PCIE_ENABLE=1 and "
        "HCCL_INTRA_ROCE_ENABLE=0 in vllm_serve_env",
        ISSUE + "5947",
    ),
    _signature(
        "hccl_buffer_too_small",
        r"HCCL_BUFFSIZE is too SMALL.*NEEDED_HCCL_BUFFSIZE.*= ?(?P<what>\d+ ?MB), HCCL_BUFFSIZE"
        r"|error code is (?P<what2>561002)",
        "HCCL_BUFFSIZE is too small, it needs {what}",
        "Set HCCL_BUFFSIZE in vllm_serve_env to at least that many MB (512, 1024) on all hosts",
        "https://github.com/vllm-project/vllm-ascend/pull/5287",
    ),
    _signature(
        "streams_exhausted",
        r"has insufficient available streams to capture|Insufficient_Stream_Resources|EL0009"
        r"|error code is 20700[58]|Alloc sq cq fail",
        "the NPU has too few streams for the graphs to capture",
        "Capture fewer graphs (compilation-config with cudagraph_mode FULL_DECODE_ONLY in vllm_serve_args), "
        "and keep HCCL_OP_EXPANSION_MODE=AIV",
        ISSUE + "3869",
    ),
    _signature(
        "graph_capture",
        r"the current capture mode does not support this operation",
        "graph capture failed; seen on two A2 nodes when memory is tight",
        "Lower gpu-memory-utilization in vllm_serve_args, or set enforce-eager there",
        ISSUE + "6002",
    ),
    _signature(
        "shm_refused",
        r"(?:shm|/dev/shm)\b.*[Oo]peration not permitted|[Oo]peration not permitted.*\bshm",
        "Docker cannot give the container its shared memory on this host",
        "Set vllm_container_shm_size to what the host allows. A privileged container avoids this limit, at "
        "a risk",
        "https://vllm-ascend.readthedocs.io, FAQ 21",
    ),
    # Driver, CANN and devices.
    _signature(
        "library_missing",
        r"(?P<what>lib(?:ascend|hccl|atb|ge_|runtime)\w*\.so[\w.]*): cannot open shared object file",
        "the container lacks the library {what}",
        "Check that the driver is mounted into the container, and that vllm_serve_env_scripts are those of "
        "the image",
        ISSUE + "1440",
    ),
    _signature(
        "no_device",
        r"Failed to infer device type",
        "vLLM found no NPU in the container",
        "Check the container's devices and driver mounts, and `npu-smi info` inside it",
        ISSUE + "540",
    ),
    _signature(
        "device_unavailable",
        r"dcmi (?:module|model) initiali\w+ failed.*ret is (?P<what>-\d+)"
        r"|Set visible device failed, (?P<what2>invalid device=\d+)"
        r"|rtSetDevice.*(?:device id error|107001)",
        "an NPU cannot be used {what}: the container does not have it, another container uses it, or it "
        "does not exist",
        "Compare vllm_npu_ids with `npu-smi info -m`, stop other containers that use the devices, and "
        "reboot if the driver was just upgraded",
        ISSUE + "2698",
    ),
    _signature(
        "driver_mismatch",
        r"AclSetCompileopt.*ACL_PRECISION_MODE.*500001|EL0003",
        "the CANN of the image does not match the driver, firmware or chip of this host",
        "Run the preflight stage (site.yml --tags preflight). It compares driver and firmware with the "
        "profile. Use the image for this NPU generation",
        ISSUE + "2244",
    ),
    # While it serves.
    _signature(
        "worker_hangs",
        r"No available shared memory broadcast block found",
        "the worker processes wait for one of them; this is normal while weights load and graphs compile, "
        "and a hang if it lasts many minutes",
        "If it lasts, look at the other hosts' logs, the RoCE links, and the container's shared memory "
        "(vllm_container_shm_size)",
        ISSUE + "3717",
        kind=WARNING,
    ),
    _signature(
        "tool_call_lost",
        r"Failed to extract tool call spec|TypeError: expected string or buffer",
        "a tool call of the model could not be parsed, and reached the client as plain text",
        "Run the patch stage (site.yml --tags patch) with vllm_patch_repairs true, and check that "
        "tool-call-parser is glm47",
        "https://github.com/vllm-project/vllm/issues/32436",
        kind=WARNING,
    ),
    _signature(
        "thinking_field",
        r"(?:KeyError:|has no attribute|no field) .reasoning(?:_content)?\b",
        "a client reads the thinking from a field that this vLLM does not have",
        "Read the field `reasoning`, or `reasoning_content` where older versions lack it",
        "https://github.com/vllm-project/vllm/issues/27755",
        kind=WARNING,
    ),
    # Supervisors and exits.
    _signature(
        "supervisor_key",
        r"^\[supervisor\] .*(?P<what>wrong signature)",
        "the supervisors of the hosts have different keys",
        "Run stop.yml, then site.yml, which gives all hosts a new key",
        SUPERVISOR,
    ),
    _signature(
        "supervisor_failed",
        r"^\[supervisor\] (?:stopping: the supervisor failed|cannot start): (?P<what>.+)",
        "the supervisor of this host cannot work: {what}",
        "Check that vllm_service_ip is an address of this host and that vllm_supervisor_port is free. Then "
        "run site.yml",
        SUPERVISOR,
    ),
    _signature(
        "vllm_killed",
        r"^\[supervisor\] stopping: vLLM on host \d+ exited with code (?P<what>-9|137)",
        "vLLM on this host was killed (exit code {what})",
        "Run `dmesg`: it shows whether the kernel killed it for lack of memory. If not, another process "
        "sent the signal",
        SUPERVISOR,
    ),
    _signature(
        "engine_hangs",
        r"^\[supervisor\] stopping: engine (?P<what>\d+ hangs)",
        "engine {what}: it lives, but computes nothing",
        "Look at the NPUs (npu-smi info) and at the fabric between the hosts. If the engine is only slow, raise "
        "vllm_supervisor_probe_seconds",
        SUPERVISOR,
    ),
    _signature(
        "other_host_failed",
        r"^\[supervisor\] stopping: "
        r"(?P<what>(?:the head|host \d+) (?!sent no heartbeat)(?!.*the container was stopped).*)",
        "this host stopped together with the others: {what}",
        "Look at the log of that host",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "host_silent",
        r"^\[supervisor\] stopping: (?:.* reported: )?"
        r"(?P<what>(?:the head|host \d+) sent no heartbeat for \d+ s)",
        "the hosts lost contact: {what}",
        "Check that this host runs, and the network between the hosts. A larger vllm_supervisor_grace "
        "tolerates longer outages",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "no_link_to_head",
        r"^\[supervisor\] cannot connect to the head at (?P<what>.+); retrying",
        "the supervisor of this host cannot connect to the head: {what}",
        "Check that the head's container runs, and that the firewall lets this host reach "
        "vllm_supervisor_port of the head",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "stopped",
        r"^\[supervisor\] stopping: (?:.* reported: )?the container was stopped",
        "the service was stopped on purpose (`docker stop`, stop.yml, or a shutdown of the host)",
        "Run start.yml to start it again",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "keeps_failing",
        r"^\[supervisor\] keeps failing: (?P<what>\d+ generations in a row) failed",
        "the service keeps failing: {what}",
        "Fix what the earlier log names (`docker logs`). To start at once, run site.yml or start.yml",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "vllm_exited",
        r"^\[supervisor\] stopping: vLLM on host (?P<what>\d+ exited with code -?\d+)",
        "vLLM on host {what}",
        "Look at the lines before this one. If they show no error, vLLM was killed: `dmesg` shows whether "
        "the kernel did it for lack of memory",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "engine_failed",
        r"EngineCore failed to start|EngineCore encountered a fatal error|Engine core initialization failed"
        r"|EngineDeadError|WorkerProc failed to start"
        r"|Engine core proc \S+ died unexpectedly",
        "an engine of vLLM failed",
        "Look at the lines before this one",
        "vllm 0.13.0, v1/engine/core.py",
        kind=ECHO,
    ),
)
