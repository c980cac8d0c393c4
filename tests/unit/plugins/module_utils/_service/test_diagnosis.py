# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first cause told from its echoes. The logs in fixtures/vllm_log are excerpts of real ones; single lines are written in the real format."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.signatures import SIGNATURES
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.vllm_log import Line
from vendor_codes import LISTS, RULES, CodeList

LOGS = Path(__file__).parents[2] / "fixtures" / "vllm_log"
OOM = "ERROR 11-24 12:00:05 [core.py:866] RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total capacity)"
PEER = "ERROR 11-24 12:00:06 [core.py:868] RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.11]:44773"
WRONG_NIC = "RuntimeError: [enforce fail at /pytorch/third_party/gloo/gloo/transport/tcp/device.cc:84] ifa != nullptr. Unable to find address for: ens99"
PARSER = "KeyError: 'invalid tool call parser: glm47 (chose from { deepseek_v3,glm45 })'"
STARTED = "INFO:     Application startup complete."
TRACEBACK = ("Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: nobody knows this")
# Each signature with a line of its own, and what of the line the cause must name.
LINES = [
    ("invalid_tool_call_parser", PARSER, "glm47"),
    (
        "invalid_reasoning_parser",
        "KeyError: 'invalid reasoning parser: glm46 (chose from { deepseek_r1,glm45 })'",
        "glm46",
    ),
    ("bad_argument", "vllm serve: error: unrecognized arguments: --no-such-flag", "--no-such-flag"),
    ("command_missing", "/usr/local/bin/ascend-ops-serve: line 7: vllm: command not found", "vllm"),
    (
        "command_missing",
        "/serve.sh: line 3: /usr/local/Ascend/nnal/atb/set_env.sh: No such file or directory",
        "nnal/atb/set_env.sh",
    ),
    (
        "package_missing",
        "importlib.metadata.PackageNotFoundError: No package metadata was found for vllm",
        "found for vllm",
    ),
    (
        "library_mismatch",
        "ImportError: /vllm/_C.abi3.so: undefined symbol: _ZNR5torch7LibraryE",
        "_C.abi3.so",
    ),
    ("library_mismatch", "RuntimeError: operator torchvision::nms does not exist", "torchvision::nms"),
    (
        "layer_broken",
        "failed to register layer: ApplyLayer exit status 1 stdout: stderr: archive/tar: invalid tar header",
        "",
    ),
    (
        "no_compiler",
        "torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found",
        "",
    ),
    ("wrong_nic", WRONG_NIC, "ens99"),
    ("address_in_use", "OSError: [Errno 98] Address already in use", "Address already in use"),
    # vllm#14416, vllm-ascend#10271, vllm#27389, vllm-ascend#2900, #10532, vllm#26218, gpustack#2021
    ("threads_refused", "  what():  Operation not permitted", "Operation not permitted"),
    (
        "operator_failed",
        "RuntimeError: The Inner error is reported as above. The process exits, and the current copy params are srclen=56, dstlen=56, kind=2.",
        "srclen=56",
    ),
    (
        "bad_argument",
        "api_server.py: error: unrecognized arguments: /root/models/Qwen3-8B",
        "/root/models/Qwen3-8B",
    ),
    (
        "kv_transfer",
        "KV transfer task failed: [link] failed, error code is LLMStatusCode.LLM_LINK_FAILED, {4: 0, 20: 1}.",
        "LLM_LINK_FAILED",
    ),
    (
        "kv_transfer",
        "E0611 12:35:44.114250 369 ascend_direct_transport.cpp:859] Transfer timeout to: 10.0.0.2:20091, you can increase",
        "10.0.0.2:20091",
    ),
    # vllm#43095 and 13909, gpustack#5056, LMCache-Ascend#91 and 184, Mooncake#260, vllm#35616, ray#53845
    (
        "ray_cluster",
        "RuntimeError: Every node should have a unique IP address. Got 2 nodes with node ids ['3f', '9d'] and 3 unique IP addresses",
        "3 unique IP addresses",
    ),
    (
        "ray_cluster",
        "ValueError: Cannot provide a placement group of placement_group_specs=[{'NPU': 1.0}] within 1800 seconds.",
        "1800 seconds",
    ),
    (
        "ray_waits",
        "(EngineCore_DP0 pid=34) INFO 03-30 14:14:15 [ray_utils.py:230] Waiting for creating a placement group of specs for 150 seconds.",
        "150 seconds",
    ),
    ("host_memory_unregistered", "Unable to halHostRegister: 65534", "65534"),
    (
        "host_memory_unregistered",
        "RuntimeError: Failed to register memory | HCCL Error Code: 19",
        "HCCL Error Code: 19",
    ),
    (
        "kv_connector_failed",
        "ValueError: Unsupported connector type: MooncakeConnectorX",
        "MooncakeConnectorX",
    ),
    (
        "kv_transfer",
        "E20251110 20:25:57 1 transfer_metadata_plugin.cpp:969] SocketHandShakePlugin: failed to get IP address of peer server 2605:340::1:16051, check DNS",
        "2605:340::1:16051",
    ),
    # gpustack/runtime#28, GLM-V#208 without another line
    ("npu_address", "RuntimeError: Failed to get device ip from hccn.conf and hccn_tool", "hccn.conf"),
    (
        "worker_died",
        "ERROR 10-14 13:42:23 [core_client.py:564] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
        "EngineCore_DP0",
    ),
    # vllm-ascend#9071 with other exit codes, and Ray's own words
    (
        "vllm_killed",
        "RuntimeError: Process ApiServer_0 (PID: 359) died with exit code -9",
        "exit code -9",
    ),
    (
        "crashed",
        "RuntimeError: Process EngineCore_DP0 (PID: 9) died with exit code -11",
        "EngineCore_DP0 (PID: 9)",
    ),
    ("engine_failed", "RuntimeError: Process ApiServer_0 (PID: 359) died with exit code 1", ""),
    (
        "worker_died",
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
        "actor",
    ),
    ("eplb_failed", "NotImplementedError: EPLB not supported for `AWQMoEMethod` yet.", "AWQMoEMethod"),
    (
        "engines_late",
        "TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight loading",
        "",
    ),
    (
        "worker_silent",
        "ray.exceptions.RayChannelTimeoutError: System error: Timed out waiting for object available to read.",
        "RayChannelTimeoutError",
    ),
    (
        "topology_differs",
        "RuntimeError: Data Parallel configuration mismatch detected! All DP ranks must have identical settings.",
        "mismatch detected",
    ),
    ("hccl_init", "AllGatherHcclRunner:0 HcclCommInitRootInfo fail, error:2, rank:1, rankSize:4", "error:2"),
    (
        "crashed",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': -11}",
        "EngineCore_DP0': -11",
    ),
    ("address_in_use", "zmq.error.ZMQError: Address already in use (addr='tcp://10.0.0.1:8082')", "8082"),
    (
        "hccl_port_taken",
        "[ERROR] HCCL(2,python3): [hccl_socket.cc:100] [Listen] listen on ip[10.0.0.10] and specific port[16666] fail.",
        "16666",
    ),
    ("hccl_port_taken", "EJ0003: [PID: 9] 2026-03-26-17:01:02.816.428 Failed to bind the IP port.", ""),
    (
        "hccl_port_taken",
        "        host nic listen start failed, port[60000], return[11][FUNC:StartListenSocket]",
        "60000",
    ),
    (
        "compiler_failed",
        "Command '['/usr/bin/clang++', '-x', 'c++-header']' returned non-zero exit status 1.",
        "clang++",
    ),
    (
        "operator_crashed",  # vllm-ascend#9233, from CANN's own log
        "[stream.cc:1335]486885 GetError:[DFX_INFO] Aicore kernel execute failed, device id=9, stream_id=155, fault kernel_name=SwiGlu_3,",
        "device id=9 (fault kernel_name=SwiGlu_3)",
    ),
    (
        "out_of_memory",  # vllm-ascend#16649
        "torch.OutOfMemoryError: map:NPUCachingAllocator.cpp:457 NPU function error: aclrtMallocPhysical, error code is 507899",
        "aclrtMallocPhysical",
    ),
    (
        "model_unsupported",  # vllm-ascend#8722
        "Value error, The checkpoint you are trying to load has model type `deepseek_v4` but Transformers does not recognize this architecture.",
        "deepseek_v4",
    ),
    ("hccl_port_taken", "Communication_Error_Bind_IP_Port(EI0019)", ""),
    (
        "hccl_init",
        "RuntimeError: createHCCLComm:ProcessGroupHCCL.cpp:2011 HCCL function error: hcclCommInitRootInfoConfig, error code is 6",
        "",
    ),
    (
        "gloo_mesh",
        "RuntimeError: Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error",
        "",
    ),
    ("gloo_mesh", "Connect timeout [local=[127.0.0.1]:4211, remote=[127.0.0.1]:29050]", ""),
    (
        "hostname_loopback",
        "[W ProcessGroupGloo.cpp:721] Warning: Unable to resolve hostname to a (local) address. Using the loopback address as fallback.",
        "",
    ),
    (
        "topology_differs",
        "RuntimeError: Message from engine with unexpected data parallel rank: 1",
        "rank: 1",
    ),
    (
        "topology_differs",
        "RuntimeError: Remote engine 1 must use --headless unless in external or hybrid dp lb mode",
        "Remote engine 1",
    ),
    (
        "engines_late",
        "TimeoutError: Timed out waiting for engines to sendinitial message on input socket.",
        "",
    ),
    (
        "hccl_timeout",
        "[PID: 7] 2026-12-29-03:16:15.787.356 Get_Socket_Timeout(EI0006): Getting socket times out. Reason: 1. The remote",
        "",
    ),
    (
        "hccl_timeout",
        "[ERROR] HCCL(2,python3): [hccl_socket_manager.cc:778] [Wait][LinkEstablish]wait socket establish timeout, role[1] rank[12]",
        "",
    ),
    (
        "roce_link",
        "[Rank 1] HCCL watchdog thread terminated with exception: [PID: 3] Execution_Error_ROCE_CQE(EI0013): An error CQE occurred",
        "",
    ),
    (
        "back_to_back_cable",
        "        Nnopbase fails to invoke the HcclAllocComResourceByTiling function of the hccl module. ret = 4, comm = 0xfff0.",
        "",
    ),
    (
        "head_silent",
        "RuntimeError: Did not receive response from front-end process within 5 minutes",
        "5 minutes",
    ),
    ("peer_gone", PEER, "10.0.0.11"),
    (
        "worker_missing",
        "DEBUG 12-16 08:25:51 [utils.py:950] Waiting for 0 local, 1 remote core engine proc(s) to connect.",
        "",
    ),
    (
        "model_missing",
        "  Value error, Invalid repository ID or local directory specified: '/models/GLM-4.7'.",
        "/models/GLM-4.7",
    ),
    (
        "model_missing",
        "OSError: /models/GLM-4.7 does not appear to have a file named config.json.",
        "/models/GLM-4.7",
    ),
    (
        "model_missing",
        "RuntimeError: Cannot find any model weights with `/models/GLM-4.7`",
        "/models/GLM-4.7",
    ),
    (
        "weights_broken",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
        "MetadataIncompleteBuffer",
    ),
    (
        "download_broken",
        "modelscope - ERROR - File /m/x.safetensors integrity check failed, expected sha256 signature is eab4, actual is e7b0",
        "",
    ),
    (
        "oom_killed",
        "Memory cgroup out of memory: Killed process 4711 (VLLM::EngineCor) total-vm:9120kB, anon-rss:2560kB",
        "VLLM::EngineCor",
    ),
    ("out_of_memory", OOM, "3.47 GiB"),
    (
        "out_of_memory",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes",
        "64 bytes",
    ),
    (
        "out_of_memory",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes. Error code 12",
        "64 bytes",
    ),
    ("kv_cache_too_small", "ValueError: No available memory for the cache blocks.", "No available memory"),
    (
        "kv_cache_too_small",
        "ValueError: To serve at least one request with the models's max seq len (202752), (8.90 GiB KV cache is needed",
        "202752",
    ),
    (
        "moe_dispatch_resources",
        "[PID: 5] Allocation_Failure(EI0007): Failed to allocate resource[qp] with info [aicpu rank:7]",
        "",
    ),
    (
        "hccl_buffer_too_small",
        "EZ9999[PID: 1] (EZ9999):  HCCL_BUFFSIZE is too SMALL, maxBs = 512, NEEDED_HCCL_BUFFSIZE(((maxBs * 8)) * 2) = 609MB, HCCL_BUFFSIZE=200MB.",
        "609MB",
    ),
    (
        "streams_exhausted",
        "ACLgraph has insufficient available streams to capture the configured number of sizes.",
        "",
    ),
    (
        "streams_exhausted",
        "[PID: 6] 2026-06-04-10:17:18.891.861 Insufficient_Stream_Resources(EL0009): The stream resources are insufficient.",
        "",
    ),
    (
        "graph_capture",
        "NPU function error: 107030, the current capture mode does not support this operation",
        "",
    ),
    (
        "shm_refused",
        "OCI runtime create failed: mounting shm to rootfs at /dev/shm caused: operation not permitted",
        "",
    ),
    (
        "library_missing",
        "ImportError: libhccl.so: cannot open shared object file: No such file or directory",
        "libhccl.so",
    ),
    ("platform_missing", "RuntimeError: Failed to infer device type", ""),
    (
        "no_device",
        "ValueError: Current node has no NPU available. current_node_resource={'CPU': 192.0}",
        "",
    ),
    ("plugin_failed", "ERROR 10-13 03:39:35 [__init__.py:46] Failed to load plugin ascend", "ascend"),
    (
        "device_unavailable",
        "dcmi model initialized failed, because the device is used. ret is -8020",
        "-8020",
    ),
    (
        "device_unavailable",
        "EE1001: [PID: 4] The argument is invalid.Reason: Set visible device failed, invalid device=6, input visible devices:6",
        "device=6",
    ),
    (
        "crashed",
        "Fatal Python error: none_dealloc: deallocating None: bug likely caused by a refcount",
        "none_dealloc",
    ),
    (
        "npu_memory_refused",
        "halMemCreate failed drvRetCode=6, kernel_name=DispatchFFNCombine, errorStr: timeout or trap error",
        "halMemCreate failed",
    ),
    (
        "model_config_unfit",
        "AttributeError: 'InternVLChatConfig' object has no attribute 'num_hidden_layers'",
        "InternVLChatConfig",
    ),
    ("index_out_of_range", "Index 1048576 out of range[0 1048576)!", "1048576"),
    (
        "layer_elsewhere",
        "KeyError: 'model.layers.0.self_attn.attn'",
        "model.layers.0.self_attn.attn",
    ),
    (
        "package_mismatch",
        "ImportError: tokenizers>=0.21,<0.22 is required for a normal functioning of this module, but found tokenizers==0.20.1.",
        "tokenizers>=0.21",
    ),
    (
        "driver_mismatch",
        "EE1015: [PID: 4] The driver does not support this operation",
        "EE1015",
    ),
    (
        "compiler_not_started",
        "RuntimeError: SetPrecisionMode: NPU function error: AclSetCompileopt(aclCompileOpt::ACL_PRECISION_MODE, precision_mode), error code is 500001",
        "",
    ),
    (
        "worker_hangs",
        "INFO 12-16 08:25:51 [shm_broadcast.py:466] No available shared memory broadcast block found in 60 seconds.",
        "",
    ),
    (
        "tool_call_lost",
        "ERROR 12-24 17:16:37 [glm4_moe_tool_parser.py:123] Failed to extract tool call spec",
        "",
    ),
    (
        "thinking_field",
        "AttributeError: 'ChatCompletionMessage' object has no attribute 'reasoning_content'",
        "",
    ),
    (
        "supervisor_key",
        "[supervisor] connection from 10.0.0.11: wrong signature: the two hosts have different keys",
        "",
    ),
    (
        "supervisor_failed",
        "[supervisor] cannot start: [Errno 99] Cannot assign requested address",
        "Errno 99",
    ),
    (
        "vllm_not_started",
        "[supervisor] stopping: cannot start vLLM: [Errno 11] Resource temporarily unavailable",
        "Errno 11",
    ),
    ("vllm_killed", "[supervisor] stopping: vLLM on host 1 exited with code -9", "-9"),
    (
        "other_host_failed",
        "[supervisor] stopping: host 1 reported: vLLM on host 1 exited with code 0",
        "host 1",
    ),
    ("host_silent", "[supervisor] stopping: host 1 sent no heartbeat for 47 s", "47 s"),
    (
        "no_link_to_head",
        "[supervisor] cannot connect to the head at 10.0.0.10:8083: TimeoutError; retrying",
        "10.0.0.10:8083: TimeoutError",
    ),
    ("stopped", "[supervisor] stopping: the head reported: the container was stopped", ""),
    (
        "keeps_failing",
        "[supervisor] keeps failing: 5 generations in a row failed; the next starts in 600 s or later.",
        "5 generations",
    ),
    (
        "engine_hangs",
        "[supervisor] stopping: engines 0, 1 hang: no token for 181 s, and none when asked for one",
        "engines 0, 1 hang",
    ),
    ("vllm_exited", "[supervisor] stopping: vLLM on host 0 exited with code 0", "host 0 exited"),
    ("engine_failed", "ERROR 11-24 12:00:19 [core.py:866] EngineCore failed to start.", ""),
    (
        "moe_dispatch_resources",
        "Resource_Error_Insufficient_Device_Memory(EI0011): Failed to allocate 4096 bytes of NPU memory.",
        "",
    ),
    (
        "operator_failed",
        "NPU function error: call aclnnMoeDistributeDispatchV3 failed, error code is 561000",
        "aclnnMoeDistributeDispatchV3",
    ),
    ("quantization_config_missing", "ModelSlim Quantization Config Not Found", ""),
    (
        "library_too_old",
        "ImportError: /usr/lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by libtriton.so)",
        "GLIBCXX_3.4.30",
    ),
    (
        "library_unusable",
        "Failed to import vllm_ascend_C:libvllm_ascend_kernels.so: cannot open shared object file: No such file or directory",
        "libvllm_ascend_kernels.so",
    ),
    (
        "library_tls",
        "ImportError: /lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block",
        "libgomp.so.1",
    ),
    (
        "no_compiler",
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable.",
        "",
    ),
    ("no_triton_driver", "RuntimeError: 0 active drivers ([]). There should only be one.", ""),
    (
        "forked",
        "RuntimeError: Cannot re-initialize NPU in forked subprocess. To use NPU with multiprocessing",
        "",
    ),
    (
        "address_not_local",
        "zmq.error.ZMQError: Cannot assign requested address (addr='tcp://10.0.0.2:13345')",
        "tcp://10.0.0.2:13345",
    ),
    (
        "hccp_left",
        "EJ0001: 2024-05-21-11:57:54.167.645 Failed to initialize the HCCP process. Reason: Maybe the last training process is running.",
        "",
    ),
    (
        "npu_port_down",
        "[PID: 7] Environment_Error(EJ0002): The network port is down.Suggest: check the cable",
        "EJ0002",
    ),
    ("npu_address", "[PID: 7] Invalid_Argument_IP_Address(EJ0004): Check ip fail. Reason: 0.0.0.0", "EJ0004"),
    (
        "hccl_variable",
        "(EI0001): Value [abc] for environment variable [HCCL_CONNECT_TIMEOUT] is invalid. Expected value: [120, 7200].",
        "HCCL_CONNECT_TIMEOUT",
    ),
    ("hccl_ranktable", "Ranktable_Check_Failed(EI0014): Rank table information check failed", "EI0014"),
    (
        "hccl_differs",
        "(EI0005): The parameters of operator AllReduce are inconsistent between ranks",
        "EI0005",
    ),
    (
        "hccl_versions_differ",
        "EI0008: The CANN versions are inconsistent: tag [AllGather_0], local_version [1.83], remote_version [1.84]",
        "remote_version [1.84]",
    ),
    ("hccl_p2p", "Communication_Error_P2P(EI0010): P2P communication failed. Reason: no path", "EI0010"),
    (
        "hccl_transport",
        "EI0009: [PID: 1] Transport init error. Reason: createLink para:rank[1]-localIpAddr[10.0.0.1], dst_rank[0]-remote_ip_addr[10.0.0.2]",
        "remote_ip_addr[10.0.0.2]",
    ),
    (
        "ranks_missing",
        '(EI0015): Failed to collect cluster information of the communicator based on rootInfo detection. List of unconnected ranks: "[1,7,]".',
        "[1,7,]",
    ),
    (
        "rank_silent",
        "EI0002: [PID: 1] Reason: The Notify register has not received the Notify record from remote rank [6].",
        "remote rank [6]",
    ),
    ("remote_npu", "RuntimeError: Worker failed with error 'SUSPECT REMOTE ERROR, error code is 507057'", ""),
    (
        "sdma_error",
        "Execution_Error_SDMA(EI0012): An SDMA task exception occurred during operator execution. Local information: server 10.0.0.10, device ID 0.",
        "device ID 0",
    ),
    (
        "hccl_watchdog",
        "[rank5]:[E1212 12:10:10.1 compiler_depend.ts:1675] [Rank 5] HCCL watchdog thread terminated with exception:",
        "",
    ),
    (
        "store_timeout",
        "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 clients joined.",
        "1/2 clients",
    ),
    (
        "store_timeout",
        "torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (10.0.0.9, 46229).",
        "10.0.0.9, 46229",
    ),
    (
        "store_timeout",
        (
            "[rank6]:[W806 22:23:09.971726955 socket.cpp:487] [c10d] waitForInput: socket SocketImpl(fd=109, "
            "addr=[::ffff:7.150.11.200]:38930, remote=[::ffff:7.150.11.200]:47904) timed out after 1800000ms"
        ),
        "1800000ms",
    ),
    (
        "store_gone",
        "RuntimeError: [1] is retrieving hcclUniqueId from [0] via c10d key-value store by key '0', but store->get('0') got error: failed to recv, got 0 bytes",
        "",
    ),
    (
        "gloo_timeout",
        "RuntimeError: [/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1800000ms for recv operation to complete",
        "",
    ),
    ("worker_silent", "TimeoutError: RPC call to execute_model timed out.", "execute_model"),
    (
        "tokenizer_unreadable",
        "ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported.",
        "TokenizersBackend",
    ),
    (
        "model_unsupported",
        "ValueError: The checkpoint you are trying to load has model type `glm9` but Transformers does not recognize this architecture.",
        "glm9",
    ),
    (
        "weights_broken",
        'FileNotFoundError: No such file or directory: "/models/GLM-4.7/model-00012-of-00093.safetensors"',
        "model-00012",
    ),
    (
        "weights_broken",
        "ValueError: Following weights were not initialized from checkpoint: {'model.layers.3.mlp.gate.weight'}",
        "layers.3",
    ),
    ("shm_too_small", "Fatal Python error: Bus error", ""),
    ("shm_too_small", "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1'", ""),
    ("no_space", "OSError: [Errno 28] No space left on device", "Errno 28"),
    ("page_size", "<jemalloc>: Unsupported system page size", ""),
    ("threads_refused", "RuntimeError: can't start new thread", ""),
    (
        "threads_refused",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 64: Operation not permitted",
        "Operation not permitted",
    ),
    ("npu_memory_fault", "NPU function error: aclrtSynchronizeStream, error code is 507054", "507054"),
    ("operator_timeout", "[Error]: The aicore execution times out.", ""),
    (
        "operator_crashed",
        "The error from device(chipId:6, dieId:0), serial number is 8, there is an exception of aivec error, core id is 40",
        "chipId:6",
    ),
    (
        "hccl_resources",
        "[PID: 5] Resource_Error(EI0007): Failed to allocate resource [Notify] with info [x].",
        "resource [Notify]",
    ),
    ("npu_lost", "RuntimeError: ACL stream synchronize failed, error code:507010", "507010"),
    (
        "wrong_chip",
        "[ERROR] the socversion Ascend910B1 of bin package does not match the current device socverison Ascend310P3.",
        "Ascend310P3",
    ),
    ("wrong_chip", "ValueError: Can not support soc_version: 910_9391", "910_9391"),
    ("kernels_missing", "NPU function error: call aclnnInplaceZero failed, error code is 561103", "561103"),
    (
        "device_unavailable",
        "        open device 0 failed, runtime result = 507033.[FUNC:ReportCallError]",
        "",
    ),
    ("device_unavailable", "set ASCEND_RT_VISIBLE_DEVICES:[8,9] error, input data rang[0-8)", "[8,9]"),
    ("operator_timeout", "[Call][Rts]call rts api [rtMemcpyAsync] failed, retCode is 507014", "507014"),
    (
        "graph_capture",
        "EE9999: [PID: 36105] 2025-08-21-08:26:21.384.027 Not allow to synchronize captured-stream, stream_id=37.",
        "synchronize captured-stream",
    ),
    (
        "operator_failed",
        "E89999[PID: 9] 2025-11-06-11:21:05.612.749 (E89999):  When layout is TND",
        "layout is TND",
    ),
    (
        "bad_config",
        "ValidationError: 1 validation error for ModelConfig Value error, max_model_len (300000) is too large [type=value_error, input_value=x]",
        "max_model_len (300000)",
    ),
    (
        "cann_error",
        "EL0003: [PID: 704] 2026-05-08-03:20:31.862.990 The argument is invalid.",
        "EL0003",
    ),
    ("cann_error", "EX1234: [PID: 704] What no table has.", "What no table has"),
    # Lines of reports: vllm-ascend#12907, #2925, #1736, #2260, #5629, #6242, vllm#25797, vllm-ascend#11368, #12487, #1815
    (
        "scale_dtype",
        "[PID: 465] 2026-02-09-17:11:34.368.749 AclNN_Parameter_Error(EZ1001): Tensor scale not implemented for DT_FLOAT16",
        "DT_FLOAT16",
    ),
    (
        "operator_failed",
        "call aclnnQuantMatmulWeightNz failed, detail:EZ1001: [PID: 2] When scale dtype is bfloat16, out dtype should also be bfloat16",
        "out dtype should also be bfloat16",
    ),
    (
        "operator_failed",
        "call aclnnQuantMatmulWeightNz failed, detail: op[QuantBatchMatmulV3], this platform only support output transpose_x1 false [FUNC:A]",
        "this platform only support output transpose_x1 false",
    ),
    (
        "operator_failed",
        "RuntimeError: The process exits for this inner error, and the current working operator name is RopeOperation.",
        "RopeOperation",
    ),
    (
        "operator_failed",
        "[rank7]:E0106 03:23:01.677000 37645 fake_tensor.py:2721] [0/0] failed while attempting to run meta for npu.npu_quant_matmul.default",
        "npu.npu_quant_matmul",
    ),
    (
        "weights_do_not_fit",
        "KeyError: 'layers.45.mlp.shared_expert.down_proj.weight'",
        "layers.45.mlp.shared_expert.down_proj.weight",
    ),
    (
        "weights_do_not_fit",
        "KeyError: 'layers.0.mlp.gate_gate_up_proj.deq_scale'",
        "layers.0.mlp.gate_gate_up_proj.deq_scale",
    ),
    (
        "hccl_port_taken",
        "Communication_Error_Bind_IP_Port(EI0019): port 65536 have already been bound",
        "EI0019",
    ),
    (
        "npu_port_down",
        "RuntimeError: EJ0002: [PID: 38079] 2025-07-15-12:45:31.202.787 The network port is down.",
        "EJ0002",
    ),
    ("crashed", "!!!!!!! Segfault encountered !!!!!!!", "Segfault"),
    (
        "crashed",
        "/usr/local/bin/ascend-ops-serve: line 12:     9 Aborted                 (core dumped) vllm serve /models/GLM-4.7",
        "Aborted",
    ),
    (
        "worker_died",
        "ERROR 07-09 06:28:17 [multiproc_executor.py:140] Worker proc VllmWorker-2 died unexpectedly, shutting down executor.",
        "VllmWorker-2",
    ),
    # Lines of reports: Ascend/pytorch#99, vllm-ascend#1261, vllm#8054, vllm-ascend#7421, #672, #486, #9872, #1193
    (
        "library_mismatch",
        "OSError: /usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_1/lib/libtbe_adapter.so: undefined symbol: _ZN3Mki2DlC1ERKNSt7",
        "libtbe_adapter.so",
    ),
    (
        "library_mismatch",
        "RuntimeError: Failed to find function aclmdlRICaptureBegin",
        "aclmdlRICaptureBegin",
    ),
    (
        "library_mismatch",
        "RuntimeError: aclnnPromptFlashAttentionV3 or aclnnPromptFlashAttentionV3GetWorkspaceSize not in libopapi.so, or libopapi.sonot found.",
        "aclnnPromptFlashAttentionV3",
    ),
    (
        "compiler_failed",
        "bishengir-compile: for the --target option: Cannot find option named 'Ascend310P1'!",
        "Ascend310P1",
    ),
    (
        "compiler_failed",
        "triton.compiler.errors.MLIRCompilationError:",
        "",
    ),
    (
        "device_unavailable",
        "       rtGetDeviceIndexByPhyId execute failed, reason=[device id error][FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:53]",
        "",
    ),
    (
        "hccl_timeout",
        "[ERROR] HCCL(55694,):2026-06-03-06:04:59.040.458 [60446][Create][Sockets]Wait links establish completed failed, local role is client. ret[9]",
        "",
    ),
    (
        "hccl_init",
        "[ERROR] HCCL(36035,mindie):2025-05-13-02:25:58.068.817 [Init][CommRootInfoConfig]errNo[0x0000000005000002]HcclCommInitRootInfo failed.",
        "",
    ),
    (
        "rank_silent",
        "      Cluster Exception Location[IP/ID]:[10.0.1.3/0], Arrival Time:[Thu Jun 12 09:37:34 2025], ExceptionType:[Stuck Occurred], Possible",
        "[10.0.1.3/0]",
    ),
    # LlamaFactory#3779, gpustack#6019
    (
        "kernels_missing",
        "EZ9999: 2024-05-17-01:30:26.960.959  Op Cast does not has any binary.",
        "Op Cast does not has any binary",
    ),
    (
        "store_gone",
        "[rank3]:[W810 23:02:45.473132713 TCPStore.cpp:106] [c10d] sendBytes failed on SocketImpl(fd=101, addr=[node01]:50390, remote=[node01]:40027)",
        "",
    ),
    # vllm-ascend#8186
    (
        "device_abnormal",
        "[PID: 389] 2026-05-01-10:59:14.702.326 Device_Absent/Abnormal(EL0001): Device not found or invalid.",
        "EL0001",
    ),
    (
        "npu_lost",
        "        Device[1] lost heartbeat.[FUNC:SyncTask][FILE:direct_hwts_engine.cc][LINE:407]",
        "Device[1] lost heartbeat",
    ),
    # vllm-ascend#13936
    ("crashed", "Illegal instruction (core dumped)", "Illegal instruction"),
    ("crashed", "[supervisor] stopping: vLLM on host 0 exited with code -4", "code -4"),
    # vllm-ascend#4866, #14631, vllm-omni#5003, RLinf#1577; vllm-ascend, device/device_config.py; gpustack#3379; moby, daemon
    (
        "npu_address",
        "[topoinfo_ranktableConcise.cc:446] [162256][Get][SingleDeviceIp]'device_ip' is not set correctly,must be set when multi Server",
        "device_ip",
    ),
    (
        "device_unavailable",
        "AssertionError: local_world_size (8) must be less than or equal to the number of visible devices (0).",
        "visible devices (0)",
    ),
    (
        "device_unavailable",
        "AssertionError: DP adjusted local rank 1 is out of bounds for 1 devices.",
        "for 1 devices",
    ),
    (
        "device_unavailable",
        'docker: Error response from daemon: error gathering device information while adding custom device "/dev/davinci8": no such file or directory.',
        "/dev/davinci8",
    ),
    ("wrong_chip", "RuntimeError: Unsupported soc version: Ascend950PR 9579", "Ascend950PR 9579"),
    (
        "wrong_chip",
        "RuntimeError: Current device type: AscendDeviceType.A3 does not match the installed version's device type: AscendDeviceType.A2, please check",
        "AscendDeviceType.A3",
    ),
    # kaito#2132, vllm#2418, #27138, bitsandbytes#1695, llama.cpp#10108, vllm#5645, LlamaFactory#5155, alphafold#1073
    (
        "kv_cache_too_small",
        "ValueError: To serve at least one request with the model's max seq len (1048576), 22.5 GiB KV cache is needed, which is larger",
        "1048576",
    ),
    (
        "kv_cache_too_small",
        "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that can be stored in KV cache (3664).",
        "3664",
    ),
    ("weights_do_not_fit", "KeyError: 'blocks.0.attn.qkv.weight'", "blocks.0.attn.qkv.weight"),
    ("weights_do_not_fit", "KeyError: 'model.embed_tokens.weight'", "model.embed_tokens.weight"),
    (
        "operator_crashed",
        "       The error from device(chipId:6, dieId:0), serial number is 232, there is an aivec error exception, core id is 15, error code = 0x800000",
        "chipId:6",
    ),
    (
        "operator_crashed",
        "EZ9999: 2024-10-31-12:08:42.276.420  The error from device(0), serial number is 3, there is an aivec error, core id is 0, error code = 0x10",
        "device(0)",
    ),
    (
        "threads_refused",
        "OpenBLAS blas_thread_init: pthread_create: Resource temporarily unavailable",
        "Resource temporarily unavailable",
    ),
    ("threads_refused", "  what():  Resource temporarily unavailable", "Resource temporarily unavailable"),
    (
        "no_space",
        'safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        "No space left on device",
    ),
    (
        "runtime_hook",
        "failed to mount src: /usr/local/bin/npu-smi.failed to mount dev.failed to do file mounting for.failed to mount files.",
        "mount /usr/local/bin/npu-smi into",
    ),
    (
        "chat_template_missing",
        "ValueError: As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template",
        "",
    ),
    # Each a cause only as the exception that vLLM fails with: Qwen3-VL#2058, vllm-omni#5350, vllm#9033, modelscope#1396,
    # llm-d#1430, llamafarm#268
    (
        "package_mismatch",
        "AttributeError: Qwen2Tokenizer has no attribute all_special_tokens_extended. Did you mean: 'num_special_tokens_to_add'?",
        "all_special_tokens_extended",
    ),
    (
        "package_mismatch",
        "ImportError: cannot import name 'AscendFusedMoE' from 'vllm_ascend.ops.fused_moe.fused_moe' (/vllm_ascend/ops/fused_moe.py)",
        "AscendFusedMoE",
    ),
    (
        "hub_unreachable",
        "requests.exceptions.ConnectTimeout: (MaxRetryError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /x\"",
        "huggingface.co",
    ),
    (
        "hub_unreachable",
        "requests.exceptions.RetryError: HTTPSConnectionPool(host='www.modelscope.cn', port=443): Max retries exceeded with url: /api/v1/models/Qwen",
        "www.modelscope.cn",
    ),
    (
        "hub_unreachable",
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
        "https://huggingface.co",
    ),
    ("permission_denied", "PermissionError: [Errno 13] Permission denied: '//kernel_meta'", "//kernel_meta"),
    (
        "permission_denied",
        "error: failed to create directory `/.cache/uv`: Permission denied (os error 13)",
        "/.cache/uv",
    ),
    ("json_broken", "json.decoder.JSONDecodeError: Extra data: line 731 column 1 (char 60338)", "line 731"),
    ("too_many_files", "OSError: [Errno 24] Too many open files: '/dev/shm/psm_1'", "Errno 24"),
    # vllm-ascend#1962, vllm-ascend-910a#4, vllm-ascend#302, vllm#5244, #29036, vllm-ascend#7401, Mooncake#260,
    # stable-virtual-camera#23, vllm-ascend#1993, gpustack#1101, CogVideo#455, vllm-ascend#394, #166, #11999
    (
        "graph_compilation",
        "torch._dynamo.exc.Unsupported: unsupported operator: _C.rotary_embedding.default",
        "_C.rotary_embedding.default",
    ),
    (
        "operator_not_compiled",
        "E90003: [PID: 1] 2025-09-28-03:43:47.761.546 Compile operator failed, cause: Template constraint, bfloat16 is not supported.",
        "bfloat16 is not supported",
    ),
    (
        "operator_not_compiled",
        "E40021: [PID: 1] Failed to compile Op [trans_TransData_8].",
        "Op [trans_TransData_8",
    ),
    (
        "operator_not_compiled",
        "GEInitialize failed.[FUNC:GEInitialize][FILE:ge_api.cc]",
        "GEInitialize failed",
    ),
    (
        "remote_code",
        "ValueError: Loading /models/phi requires you to execute the configuration file in that repo on your local machine.",
        "/models/phi",
    ),
    (
        "speculation_failed",
        "RuntimeError: Worker failed with error 'Can't determine cudagraph shapes that are both a multiple of 3'",
        "a multiple of 3",
    ),
    (
        "kv_transfer",
        "E20260608 14:45:44.404089 342420 ascend_direct_transport.cpp:1107] Connect timeout to: 10.0.0.2:20033, you can increase",
        "10.0.0.2:20033",
    ),
    (
        "kv_transfer",
        "E0416 18:16:50.678381 2182383 transfer_metadata_plugin.cpp:735] SocketHandShakePlugin: connect()10.0.0.3:16967: Connection refused",
        "10.0.0.3:16967",
    ),
    (
        "hub_certificate",
        "SSLError: HTTPSConnectionPool(host='huggingface.co', port=443): (Caused by SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] x'))",
        "huggingface.co",
    ),
    (
        "npu_task_failed",
        "The error from device(0), serial number is 1. there is a sdma error: The SMMU returns a Terminate error during page",
        "a fault (device(0))",
    ),
    (
        "library_absent",
        "llama-box: error while loading shared libraries: libnuma.so.1: cannot open shared object file: No such file",
        "libnuma.so.1",
    ),
    ("weights_unreadable", "OSError: No such device (os error 19)", "os error 19"),
    # vllm-ascend#5148, #16835, #4051, #14166
    ("structured_output", "ValueError: No valid structured output parameter found", ""),
    (
        "hccl_buffer_too_small",
        "        HCCL_BUFFSIZE_EP is too SMALL, h = 6144,NEEDED_HCCL_BUFFSIZE_HIERARCHY((maxBs * (h + 64) + 404)) = 600MB, HCCL_BUFFSIZE=256MB.",
        "600MB",
    ),
    (
        "operator_failed",
        "       MoeDistributeDispatchV2 do tiling failed, ret is -1.",
        "MoeDistributeDispatchV2",
    ),
    (
        "operator_failed",
        "ERROR 08-13 11:28:36 (multiproc_executor.py:1004) [PID: 1] Execution_Error(EZ1009): Failed to execute operator aclnnMoeInitRoutingV3.",
        "aclnnMoeInitRoutingV3",
    ),
    (
        "package_mismatch",
        "TypeError: Qwen2ForCausalLM.forward() got an unexpected keyword argument 'kv_caches'",
        "kv_caches",
    ),
    ("package_mismatch", "AttributeError: module 'torch_npu' has no attribute 'npu_rope'", "npu_rope"),
    (
        "library_unusable",
        "AttributeError: '_OpNamespace' '_C_ascend' object has no attribute 'npu_apply_top_k_top_p'",
        "npu_apply_top_k_top_p",
    ),
]


def log(*lines: str, begin: float | None = None) -> list[Line]:
    """A log of these lines, one a second from the beginning, if there is one."""
    return [
        Line(vllm_log.clean(text), None if begin is None else begin + second)
        for second, text in enumerate(lines)
    ]


def real(name: str) -> list[Line]:
    return log(*(LOGS / name).read_bytes().decode().split("\n"))


def told(logs: dict[str, list[Line]]) -> list[tuple[str, str]]:
    return [(finding.host, finding.id) for finding in diagnosis.diagnose(logs)]


def ids(lines: list[Line]) -> list[str]:
    return [finding.id for finding in diagnosis.diagnose({"node0": lines})]


@pytest.mark.parametrize(
    ("known", "line", "what"),
    LINES,
    ids=[f"{known}_{number}" for number, (known, _line, _what) in enumerate(LINES)],
)
def test_a_line_is_known(known: str, line: str, what: str):
    finding = diagnosis.diagnose({"node0": log(line)})[0]
    assert finding.id == known
    assert what in finding.cause
    assert "{what}" not in finding.cause
    assert set(finding.data()) == {"id", "severity", "cause", "remedy", "line", "source"}
    assert all(finding.data().values())


def test_every_signature_has_a_line_and_its_own_name():
    known = {known for known, _line, _what in LINES} | {known for _name, known, _line in RULES}
    assert {signature.id for signature in SIGNATURES} == known
    assert len({signature.id for signature in SIGNATURES}) == len(SIGNATURES)


@pytest.mark.parametrize(("name", "known", "text"), RULES, ids=[name for name, _known, _text in RULES])
def test_the_rules_of_ascend_fd_for_vllm(name: str, known: str, text: str):
    failed = [] if known == "triton_unused" else ["EngineCore failed to start."]
    finding = diagnosis.diagnose({"node0": log(*text.split("\n"), *failed)})[0]
    assert (finding.id, finding.severity) == (known, "fatal" if failed else "warning")


CODES = [(code, signature.id) for signature in SIGNATURES for code in signature.codes]


def test_what_is_known_by_its_codes_alone_matches_no_other_line():
    by_codes = [one for one in SIGNATURES if not one.parts]
    assert by_codes
    assert [one.id for one in by_codes if not one.codes or one.match("any line") is not None] == []


def test_each_code_is_in_one_signature():
    assert len({code for code, _known in CODES}) == len(CODES)


@pytest.mark.parametrize(("code", "known"), CODES, ids=[code for code, _known in CODES])
def test_a_code_is_known_in_the_forms_of_the_vendor(code: str, known: str):
    forms = (
        ["{}: [PID: 1] x", "{}[PID: 1] 2026-05-08 x", "[PID: 1] A_Name({}): x"]
        if code.startswith("E")
        else [
            "RuntimeError: f, error code is {}",
            "ACL stream synchronize failed, error code:{}",
            "runtime result = {}[FUNC:x]",
        ]
    )
    for form in forms:
        assert ids(log(form.format(code)))[:1] == [known], form


@pytest.mark.parametrize("one", [one for one in LISTS if not one.rest], ids=lambda one: one.name)
def test_all_codes_of_a_list_of_the_vendor_are_known(one: CodeList):
    assert set(one.codes) - {code for code, _known in CODES} == set()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("head_start.log", []),
        ("worker_start.log", []),
        ("head_waits.log", []),
        ("head_unpatched.log", ["invalid_tool_call_parser"]),
        ("worker_without_head.log", ["head_silent", "engine_failed"]),
        ("head_peer_gone.log", ["peer_gone", "engine_failed"]),
        ("engine_fails_in_warm_up.log", ["unknown_exception", "engine_failed"]),
        ("worker_ended_by_head.log", ["other_host_failed", "no_link_to_head"]),
    ],
)
def test_real_logs(name: str, found: list[str]):
    assert ids(real(name)) == found


def test_an_exception_without_text_is_told_with_its_source():
    """As vllm-ascend#3865 has it."""
    prefix = "(Worker_TP0 pid=137462) ERROR 10-29 08:32:26 [multiproc_executor.py:671] "
    lines = [
        "Traceback (most recent call last):",
        '  File "qwen3_next.py", line 197, in _forward',
        "    assert isinstance(attn_metadata, dict)",
        "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "AssertionError",
    ]
    finding = diagnosis.diagnose(
        {"node0": log(*(prefix + line for line in lines), "EngineCore failed to start.")}
    )[0]
    assert finding.line == "AssertionError (assert isinstance(attn_metadata, dict))"


def test_a_compiler_that_fails_is_the_cause_only_if_vllm_fails():
    """Triton may do without a kernel. The line is that of vllm-ascend#6242."""
    failed = "Command '['/usr/bin/clang++', '-x', 'c++-header', '/root/.triton/cache/Jd/precompiled.h']' returned non-zero exit status 1."
    lines = ["Traceback (most recent call last):", f"RuntimeError: Worker failed with error '{failed}'"]
    assert [one.severity for one in diagnosis.diagnose({"node0": log(failed)})] == ["warning"]
    assert ids(log(*lines, "EngineCore failed to start."))[0] == "compiler_failed"


HUB = "HTTPSConnectionPool(host='www.modelscope.cn', port=443): Max retries exceeded with url: /x (Caused by 'Network is unreachable')"
RETRY = f"ERROR 12-24 08:00:00 [repo_utils.py:47] Error retrieving file list: {HUB}, retrying 1 of 2"


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ([RETRY], ("hub_unreachable", "warning")),
        ([RETRY, *TRACEBACK], ("unknown_exception", "fatal")),
        (["Traceback (most recent call last):", f"ConnectionError: {HUB}"], ("hub_unreachable", "fatal")),
        (
            [
                RETRY,
                "Traceback (most recent call last):",
                "socket.gaierror: [Errno -2] Name or service not known",
                "",
                "During handling of the above exception, another exception occurred:",
                "",
                "Traceback (most recent call last):",
                f"requests.exceptions.ConnectionError: {HUB}",
            ],
            ("hub_unreachable", "fatal"),
        ),
        (
            [*TRACEBACK, "", "Traceback (most recent call last):", f"ConnectionError: {HUB}"],
            ("unknown_exception", "fatal"),
        ),
    ],
    ids=["vLLM goes on", "another failure", "the failure", "at the end of a chain", "a later failure"],
)
def test_a_hub_that_does_not_answer_is_the_cause_of_its_own_exception_only(
    lines: list[str], first: tuple[str, str]
):
    found = diagnosis.diagnose({"node0": log(*lines)})
    assert (found[0].id, found[0].severity) == first


@pytest.mark.parametrize(
    ("caller", "path", "known"),
    [
        (
            "v1/worker/worker_base.py",
            "/vllm-workspace/vllm-ascend/vllm_ascend/ascend_config.py",
            "bad_config",
        ),
        ("v1/worker/worker_base.py", "/vllm-workspace/vllm/vllm/config/parallel.py", "bad_config"),
        ("v1/worker/worker_base.py", "/vllm-workspace/vllm/vllm/v1/engine/core.py", "unknown_exception"),
        ("engine/arg_utils.py", "/vllm-workspace/vllm-ascend/vllm_ascend/utils.py", "bad_config"),
    ],
)
def test_what_vllm_raises_where_it_checks_settings_is_about_them(caller: str, path: str, known: str):
    lines = [
        "Traceback (most recent call last):",
        f'  File "/vllm-workspace/vllm/vllm/{caller}", line 1500, in create_engine_config',
        f'  File "{path}", line 96, in __init__',
        "ValueError: additional_config.dump_config must be a dict, got str.",
    ]
    first = diagnosis.diagnose({"node0": log(*lines)})[0]
    assert (first.id, first.line) == (known, lines[-1])
    assert "additional_config.dump_config must be a dict, got str" in first.cause


@pytest.mark.parametrize(
    "announcement",
    [
        "Exception in thread Thread-1 (_report_usage_worker):",
        "Exception ignored in: <function x>",
        "Error in atexit._run_exitfuncs:",
        "future: <Task finished name='Task-1' exception=ValueError()>",
    ],
)
def test_an_exception_that_ends_no_process_is_no_failure(announcement: str):
    """As vLLM's report of its usage where it may not write (llm-d#1430)."""
    lines = [announcement, *TRACEBACK[:2], "PermissionError: [Errno 13] Permission denied: '/.config'"]
    found = diagnosis.diagnose({"node0": log(*lines)})
    assert [(one.id, one.severity) for one in found] == [("permission_denied", "warning")]
    assert ids(log(announcement, *TRACEBACK)) == []
    ended = [announcement, *TRACEBACK, "EngineCore failed to start."]
    assert ids(log(*ended))[0] == "unknown_exception"
    told = [*TRACEBACK[:2], "ValueError: the reason", "EngineCore failed to start.", announcement, *TRACEBACK]
    assert diagnosis.diagnose({"node0": log(*told)})[0].line == "ValueError: the reason"


FRAMES = (
    '  File "/vllm-workspace/vllm-ascend/vllm_ascend/worker/worker.py", line 7, in load_model',
    "    self.model_runner.load_model()",
    '  File "/usr/local/lib/python3.11/site-packages/torch/_ops.py", line 8, in __call__',
)
NOBODY = "RuntimeError: what nobody knew"


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([*FRAMES, NOBODY], f"{NOBODY} (raised in vllm_ascend/worker/worker.py in load_model)"),
        (
            [line.strip() for line in (*FRAMES, NOBODY)],
            f"{NOBODY} (raised in vllm_ascend/worker/worker.py in load_model)",
        ),
        (["  Traceback (most recent call last):", '    File "x.py", line 1, in f', f"  {NOBODY}"], NOBODY),
        (["Scheduler hit an exception: Traceback (most recent call last):", FRAMES[0], "Odd: x"], "Odd: x"),
        ([NOBODY], NOBODY),
        ([f"(Worker_TP0 pid=1) ERROR 11-24 12:00:06 [a.py:1]  {NOBODY}"], NOBODY),
        ([f" [multiproc_executor.py:822] {NOBODY}"], NOBODY),
        ([f"{NOBODY} [repeated 14x across cluster]"], NOBODY),
        ([NOBODY, *TRACEBACK], TRACEBACK[-1]),
        ([*FRAMES, "RuntimeError: NPUModelRunner init failed, error is", *TRACEBACK], TRACEBACK[-1]),
        (["Note: x", "Warning: y"], ""),
        ([f"WARNING 11-24 12:00:06 [a.py:1] {NOBODY}"], ""),
        (['  File "x.py", line 1 in f', "Message: 'x'", "Arguments: (1,)"], ""),
        (
            ["Traceback (most recent call last):", *FRAMES[:2]],
            "it ends at self.model_runner.load_model() (raised in vllm_ascend/worker/worker.py in load_model)",
        ),
        (["Traceback (most recent call last):", *FRAMES[:2], NOBODY, *TRACEBACK[:2]], NOBODY),
        ([*FRAMES[:2]], ""),
        (['(Worker_TP0 pid=1) ERROR 11-24 12:00:06 [a.py:1]   File "x.py", line 1 in f'], ""),
        (["Exception in thread Thread-1:", "Traceback (most recent call last):", *FRAMES[:2]], ""),
    ],
    ids=[
        "without the head",
        "without indentation",
        "indented",
        "after another text",
        "nothing else",
        "in a line of vLLM",
        "with half of a prefix",
        "repeated by Ray",
        "beside a whole one",
        "after one without a reason",
        "no exception",
        "a warning",
        "a call stack",
        "without its end",
        "a later one without its end",
        "a stack that is shown",
        "a stack at the level of an error",
        "one that is survived, without its end",
    ],
)
def test_an_exception_of_a_log_that_is_not_whole_is_told(lines: list[str], cause: str):
    found = diagnosis.diagnose({"node0": vllm_log.lines_of("\n".join(lines))})
    assert [one.id for one in found] == (["unknown_exception"] if cause else [])
    assert not cause or found[0].cause.split(": ", 1)[1].startswith(cause)


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [
        (
            [],
            ["(APIServer pid=1) INFO 11-24 12:00:07 [core.py:93] Initializing a V1 LLM engine (v0.13.0)"],
            [],
        ),
        (["Initializing a V1 LLM engine (v0.13.0)"], [], ["unknown_exception"]),
        (["Avg prompt throughput: 1.0 tokens/s"], [], []),
        ([], ['INFO:     127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK'], []),
        ([STARTED, "WorkerProc hit an exception."], [], ["unknown_exception"]),
        (
            [],
            ["[supervisor] stopping: vLLM on host 0 exited with code 1"],
            ["unknown_exception", "vllm_exited"],
        ),
    ],
    ids=["a later stage", "in its last stage", "it computes", "it answers", "while it computes", "its end"],
)
def test_vllm_survives_an_exception_if_it_goes_on(before: list[str], after: list[str], known: list[str]):
    assert ids(log(*before, *TRACEBACK, *after)) == known


@pytest.mark.parametrize(
    ("process", "goes_on"),
    [
        ("(Worker_TP1 pid=11) ", False),
        ("(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=11, ip=10.0.0.8) ", False),
        ("(Worker_TP0 pid=10) ", True),
        ("(EngineCore_DP0 pid=9) ", True),
        ("", True),
    ],
)
def test_another_worker_that_gets_further_does_not_tell_that_one_survives(process: str, goes_on: bool):
    lines = [
        *(f"(Worker_TP0 pid=10) {line}" for line in TRACEBACK),
        f"{process}Loading weights took 9.93 seconds",
    ]
    found = diagnosis.diagnose({"node0": vllm_log.lines_of("\n".join(lines))})
    assert [one.id for one in found] == ([] if goes_on else ["unknown_exception"])


def test_what_an_engine_was_waiting_for_when_it_ended_is_no_failure():
    """vllm#50557: another process has failed before."""
    waiting = ("Traceback (most recent call last):", '  File "x.py", line 1', "RuntimeError: cancelled")
    assert ids(log("EngineCore encountered a fatal error.", *waiting)) == ["engine_failed"]


def test_an_engine_that_died_after_vllm_told_of_a_failure_was_not_killed():
    died = "Engine core proc EngineCore_DP0 died unexpectedly, shutting down client."
    assert ids(log("EngineCore encountered a fatal error.", died)) == ["engine_failed", "worker_died"]
    assert ids(log("!!!!!!! Segfault encountered !!!!!!!", died)) == ["crashed", "worker_died"]


def test_a_worker_that_died_in_the_second_of_its_exception_was_not_killed():
    assert ids(log("Worker proc VllmWorker-3 died unexpectedly", *TRACEBACK))[:2] == [
        "unknown_exception",
        "worker_died",
    ]


def test_a_traceback_that_the_log_has_whole_comes_before_a_later_one_that_it_has_not():
    lines = [*TRACEBACK, "EngineCore failed to start.", "Traceback (most recent call last):", *FRAMES[:2]]
    assert diagnosis.diagnose({"node0": log(*lines)})[0].line == TRACEBACK[-1]


@pytest.mark.parametrize("worker", [TRACEBACK, []])
def test_an_engine_that_repeats_the_exception_of_a_worker_is_not_its_place(worker: list[str]):
    reason = TRACEBACK[-1].partition(": ")[2]
    engine = [
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        '  File "/vllm-workspace/vllm/vllm/v1/executor/multiproc_executor.py", line 224, in get_response',
        f"RuntimeError: Worker failed with error '{reason}', please check the stack trace above for the root cause",
    ]
    lines = [f"(Worker_TP0 pid=1) {line}" for line in worker] + [
        f"(EngineCore_DP0 pid=2) {line}" for line in engine
    ]
    found = diagnosis.diagnose({"node0": vllm_log.lines_of("\n".join(lines))})
    assert found[0].id == "unknown_exception"
    assert found[0].line == (TRACEBACK[-1] if worker else engine[-1])


@pytest.mark.parametrize(
    ("place", "error", "known"),
    [
        (
            'linear.py", line 738, in weight_loader',
            "RuntimeError: start (0) + length (6144) exceeds dimension size (3072).",  # vllm-ascend#3109
            "weights_do_not_fit",
        ),
        (
            'fused_moe/layer.py", line 900, in _load_w13',
            "RuntimeError: The expanded size of the tensor (1) must match the existing size (16)",  # vllm-ascend#7224
            "weights_do_not_fit",
        ),
        (
            'models/qwen3.py", line 341, in forward',
            "RuntimeError: The expanded size of the tensor (1) must match the existing size (16)",
            "unknown_exception",
        ),
        (
            'vllm_ascend/platform.py", line 80, in pre_register_and_update',
            "TypeError: argument of type 'NoneType' is not iterable",  # vllm-ascend#1042
            "package_mismatch",
        ),
        (
            'vllm_ascend/quantization/quant_config.py", line 89, in get_quant_method',
            "AttributeError: 'AscendQuantConfig' object has no attribute 'packed_modules_mapping'",  # vllm-ascend#348
            "quantization_unsupported",
        ),
        (
            'vllm_ascend/spec_decode/mtp_proposer.py", line 80, in load_model',
            "AssertionError: no layers",
            "speculation_failed",
        ),
        (
            'vllm/entrypoints/chat_utils.py", line 1010, in validate_chat_template',
            "ValueError: The supplied chat template string (x.jinja) appears path-like, but doesn't exist!",
            "bad_config",
        ),
        (
            'vllm/compilation/backends.py", line 80, in __call__',
            "RuntimeError: no graph",
            "graph_compilation",
        ),
    ],
)
def test_what_vllm_raises_is_about_what_its_place_does(place: str, error: str, known: str):
    lines = [
        "WorkerProc failed to start.",
        "Traceback (most recent call last):",
        f'  File "/vllm/{place}',
        error,
        "EngineCore failed to start.",
    ]
    assert diagnosis.diagnose({"node0": log(*lines)})[0].id == known


def test_an_unknown_error_is_quoted():
    finding = diagnosis.diagnose({"node0": real("engine_fails_in_warm_up.log")})[0]
    assert finding.line == "IndexError: list index out of range"
    assert "IndexError: list index out of range" in finding.cause


def test_an_error_that_a_running_service_outlives_is_none():
    handled = [
        STARTED,
        "Traceback (most recent call last):",
        "ValueError: a request that nobody could answer",
    ]
    assert ids(log(*handled)) == []
    ended = [
        *handled,
        "EngineCore encountered a fatal error.",
        "Traceback (most recent call last):",
        "IndexError: list index out of range",
    ]
    assert diagnosis.diagnose({"node0": log(*ended)})[0].line == "IndexError: list index out of range"


def test_a_host_that_has_left_the_service_and_keeps_trying_is_no_cause():
    """Its container has another key, since it does not start with the others."""
    stranger = "[supervisor] connection from 10.0.0.12: wrong signature: the two hosts have different keys"
    lines = [
        stranger,
        "[supervisor] generation 1a2b3c4d: starting /bin/bash /usr/local/bin/ascend-ops-serve",
        "[supervisor] stopping: engine 0 hangs: no token for 181 s, and none when asked for one",
    ]
    first, *others = diagnosis.diagnose({"node0": log(*lines)})
    assert (first.id, first.severity) == ("engine_hangs", diagnosis.FATAL)
    assert [one.severity for one in others if one.id == "supervisor_key"] == [diagnosis.WARNING]


def test_an_error_before_the_supervisor_says_that_the_engine_ended():
    lines = [
        "Traceback (most recent call last):",
        "ValueError: what nobody knew",
        "[supervisor] stopping: vLLM on host 0 exited with code 1",
    ]
    assert ids(log(*lines)) == ["unknown_exception", "vllm_exited"]


def test_the_first_cause_comes_before_later_causes_and_echoes():
    lines = log(
        "EngineCore failed to start.",
        PEER,
        OOM,
        "OSError: [Errno 98] Address already in use",
        OOM.replace("3.47", "9.99"),
    )
    assert ids(lines) == ["out_of_memory", "address_in_use", "peer_gone", "engine_failed"]


def test_a_wait_at_the_store_that_is_repeated_is_no_finding():
    waited = "[rank6]:[W806 22:23:09.97 socket.cpp:487] [c10d] waitForInput: socket SocketImpl(fd=9) timed out after 10000ms"
    assert ids(vllm_log.lines_of(waited)) == []


def test_a_harmless_mention_of_memory_is_no_finding():
    assert (
        ids(
            log(
                "If out of memory error occurs during cudagraph capture, consider decreasing `gpu_memory_utilization`"
            )
        )
        == []
    )


def test_a_harmless_mention_of_open_files_is_no_finding():
    assert (
        ids(
            log(
                "Found ulimit of 20000 and failed to automatically increase with error current limit exceeds maximum limit. "
                "This can cause fd limit errors like `OSError: [Errno 24] Too many open files`. Consider increasing with "
                "ulimit -n"
            )
        )
        == []
    )
    assert ids(log("[Errno 24] Too many open files: 'shm'")) == ["too_many_files"]


def test_what_came_before_the_service_was_ready_again_is_past():
    found = diagnosis.diagnose({"node0": log(OOM, "EngineCore failed to start.", STARTED)})
    assert [(finding.id, finding.severity) for finding in found] == [
        ("out_of_memory", "past"),
        ("engine_failed", "past"),
    ]
    again = diagnosis.diagnose({"node0": log(OOM, STARTED, PEER)})
    assert [(finding.id, finding.severity) for finding in again] == [
        ("peer_gone", "fatal"),
        ("out_of_memory", "past"),
    ]


ENDED_BY_HEAD = "[supervisor] stopping: the head reported: vLLM on host 0 exited with code 1"
ENDED_BY_WORKER = "[supervisor] stopping: host 1 reported: vLLM on host 1 exited with code 0"
ENDED_HERE = "[supervisor] stopping: vLLM on host {} exited with code 0"
CASES = {
    "worker out of memory, head loses its peer": (
        {
            "node0": (PEER, "EngineCore encountered a fatal error."),
            "node1": (OOM, "EngineCore encountered a fatal error.", ENDED_HERE.format(1)),
        },
        [("node1", "out_of_memory"), ("node0", "peer_gone")],
    ),
    "wrong NIC on the worker, head waits in silence": (
        {
            "node0": ("Started DP Coordinator process (PID: 1)",),
            "node1": (WRONG_NIC, "EngineCore failed to start."),
        },
        [("node1", "wrong_nic"), ("node1", "engine_failed")],
    ),
    "wrong NIC on the worker, head ended by its supervisor": (
        {
            "node0": (ENDED_BY_WORKER,),
            "node1": (WRONG_NIC, "EngineCore failed to start.", ENDED_HERE.format(1)),
        },
        [("node1", "wrong_nic"), ("node0", "other_host_failed")],
    ),
    "head unpatched, worker ended by head": (
        {
            "node0": (PARSER, ENDED_HERE.format(0)),
            "node1": ("Launching 1 data parallel engine(s)", ENDED_BY_HEAD),
        },
        [("node0", "invalid_tool_call_parser"), ("node1", "other_host_failed")],
    ),
    "head out of memory, worker gives up minutes later": (
        {
            "node0": (OOM, "EngineCore failed to start."),
            "node1": ("RuntimeError: Did not receive response from front-end process within 5 minutes",),
        },
        [("node0", "out_of_memory"), ("node1", "head_silent")],
    ),
    "worker's engine killed by the kernel": (
        {
            "node0": (PEER, ENDED_BY_WORKER),
            "node1": ("Out of memory: Killed process 9 (VLLM::EngineCor) total-vm:1kB", ENDED_HERE.format(1)),
        },
        [("node1", "oom_killed"), ("node0", "peer_gone")],
    ),
    "NPUs of a dead worker do not answer": (
        {
            "node0": ("Get_Socket_Timeout(EI0006): Getting socket times out.",),
            "node1": ("ImportError: libhccl.so: cannot open shared object file",),
        },
        [("node1", "library_missing"), ("node0", "hccl_timeout")],
    ),
}


@pytest.mark.parametrize("times", [True, False], ids=["with_times", "without_times"])
@pytest.mark.parametrize("case", CASES.values(), ids=[name.replace(" ", "_") for name in CASES])
def test_the_first_cause_over_all_hosts(case, times):
    logs, first = case
    # The head's clock is ahead by a moment: its traces seem to come first.
    found = told(
        {
            host: log(*lines, begin=(100.0 if host == "node1" else 99.5) if times else None)
            for host, lines in logs.items()
        }
    )
    assert found[: len(first)] == first


def test_of_two_causes_the_earlier_is_the_first():
    later, earlier = log(OOM, begin=200.0), log(WRONG_NIC, begin=100.0)
    assert told({"node0": later, "node1": earlier}) == [("node1", "wrong_nic"), ("node0", "out_of_memory")]
    assert told({"node1": earlier, "node0": later}) == [("node1", "wrong_nic"), ("node0", "out_of_memory")]


@pytest.mark.parametrize(
    "name", ["worker_without_head.log", "head_peer_gone.log", "engine_fails_in_warm_up.log"]
)
def test_vllm_says_that_it_ended(name: str):
    assert any(diagnosis.is_end(line) for line in real(name))


@pytest.mark.parametrize("name", ["head_start.log", "worker_start.log", "head_waits.log"])
def test_vllm_goes_on(name: str):
    assert not any(diagnosis.is_end(line) for line in real(name))


TRIES = "[supervisor] cannot connect to the head at 10.0.0.10:8083: TimeoutError; retrying"
ALONE = "[supervisor] no connection to the head at 10.0.0.10:8083 for 45 s"
JOINED = "[supervisor] connected to the head at 10.0.0.10:8083"


@pytest.mark.parametrize(
    ("texts", "alone"),
    [
        ([], None),
        ([TRIES], None),
        (["[supervisor] generation 5c0ffee1: starting vllm"], None),
        ([TRIES, ALONE], True),
        ([TRIES, ALONE, "[supervisor] SIGHUP is ignored", "the log of vLLM"], True),
        ([TRIES, ALONE, TRIES.replace("TimeoutError", "ConnectionRefusedError")], True),
        ([TRIES, ALONE, JOINED], False),
        ([TRIES, JOINED, TRIES], False),
        (["no connection to the head at 10.0.0.10:8083 for 45 s"], None),
    ],
)
def test_a_supervisor_says_itself_that_it_is_without_a_head(texts: list[str], alone: bool | None):
    """Times do not count: the clock of a host may have been set meanwhile."""
    assert diagnosis.is_without_head([Line(text, 100.0) for text in texts]) is alone


def hosts(*logs: list[Line] | None) -> list[diagnosis.Host]:
    return [
        diagnosis.Host(
            f"node{number}", "worker" if number else "head", "up" if lines else "unreachable", lines
        )
        for number, lines in enumerate(logs)
    ]


def test_the_verdict_names_cause_host_and_remedy():
    logs = {"node0": log(PEER), "node1": log(OOM)}
    first, second = diagnosis.diagnose(logs)
    said = diagnosis.verdict(hosts(*logs.values()), [first, second])
    assert all(part in said for part in ("host node1", first.cause, first.remedy, first.line))
    assert said.index(first.cause) < said.index(second.cause)


def test_an_exception_without_a_signature_is_no_cause_beside_a_trace_of_another_host():
    assert "unknown_exception" in ids(log(*TRACEBACK))
    assert ids(log(PEER, *TRACEBACK)) == ids(log(PEER))


def test_a_warning_is_not_a_failure():
    line = next(line for known, line, _what in LINES if known == "worker_hangs")
    (finding,) = diagnosis.diagnose({"node0": log(line)})
    assert (finding.severity, finding.is_cause) == (diagnosis.WARNING, False)
    assert "No signature of a failure" in diagnosis.verdict(hosts(log(line)), [finding])


def test_of_two_causes_the_one_with_a_time_is_the_first():
    logs = {"node0": log(OOM), "node1": log(OOM, begin=STOPPED)}
    assert [finding.host for finding in diagnosis.diagnose(logs)] == ["node1", "node0"]


SAID = "[supervisor] stopping: "
WAITS = "[supervisor] cannot connect to the head at 10.0.0.10:8083: x; retrying"
ON_PURPOSE = f"{SAID}the container was stopped"
STOPPED = 1764043200.0


def stopped_service() -> tuple[dict[str, list[Line]], list[diagnosis.Host]]:
    """Return the logs and hosts of a service that stop.yml has stopped."""
    logs = {
        "node0": log("[supervisor] generation 5c0ffee1: starting vllm", ON_PURPOSE, begin=STOPPED),
        "node1": log(
            f"{SAID}the head reported: the container was stopped",
            "[supervisor] cannot connect to the head at 10.0.0.10:8083: x; retrying",
            ON_PURPOSE,
            begin=STOPPED,
        ),
    }
    state = "exited with 0 at 2026-11-25T04:01:00Z"
    found = [
        diagnosis.Host(name, "head", state, None, diagnosis.planned_stop(lines))
        for name, lines in logs.items()
    ]
    return logs, found


def test_of_a_service_that_was_stopped_on_purpose_only_that_is_told():
    logs, stopped = stopped_service()
    said = diagnosis.verdict(stopped, diagnosis.diagnose(logs))
    assert "on purpose" in said
    assert "Remedy" not in said
    running = [stopped[0], diagnosis.Host("node1", "worker", "up", logs["node1"])]
    assert "Remedy" in diagnosis.verdict(running, diagnosis.diagnose(logs))
    logs["node0"] = log(OOM, ON_PURPOSE)
    assert "First cause, on host node0" in diagnosis.verdict(stopped, diagnosis.diagnose(logs))


@pytest.mark.parametrize(
    ("lines", "planned"),
    [
        ([ON_PURPOSE], True),
        ([f"{SAID}the head reported: the container was stopped"], True),
        ([ON_PURPOSE, "[supervisor] generation 5c0ffee2: starting vllm"], False),
        ([ON_PURPOSE, f"{SAID}vLLM on host 0 exited with code 1"], False),
        ([f"{SAID}host 1 sent no heartbeat for 45 s"], False),
        (["INFO something"], False),
        ([], False),
    ],
)
def test_the_last_end_of_vllm_counts(lines: list[str], planned: bool):
    assert (diagnosis.planned_stop(log(*lines, begin=STOPPED)) is not None) == planned


def test_golden_messages(golden):
    found = [(line, diagnosis.diagnose({"node0": log(line)})[0]) for _known, line, _what in LINES]
    texts = {f"{one.id}: {line[:60]}": f"{one.cause}. Remedy: {one.remedy}." for line, one in found}
    assert len(texts) == len(LINES)
    golden("signatures", texts)
    failed = {
        "node0": log(PEER),
        "node1": log(OOM, "[supervisor] cannot connect to the head at 10.0.0.10:8083: x; retrying"),
    }
    traced = {"node0": log(PEER), "node1": None}
    past = log(OOM, STARTED)
    planned, stopped = stopped_service()
    verdicts = {
        "a cause": diagnosis.verdict(hosts(*failed.values()), diagnosis.diagnose(failed)),
        "a trace": diagnosis.verdict(hosts(*traced.values()), diagnosis.diagnose({"node0": log(PEER)})),
        "a head that waits, and a host out of reach": diagnosis.verdict(
            hosts(real("head_waits.log"), None), []
        ),
        "a service that serves": diagnosis.verdict(
            hosts(real("head_start.log"), real("worker_start.log")), []
        ),
        "a service that was stopped on purpose": diagnosis.verdict(stopped, diagnosis.diagnose(planned)),
        "a failure that is past": diagnosis.verdict(hosts(past), diagnosis.diagnose({"node0": past})),
    }
    golden("verdict", verdicts)


@pytest.mark.parametrize(
    ("after", "known"),
    [
        ([], ["no_link_to_head"]),
        (["[supervisor] connected to the head at 10.0.0.10:8083"], []),
        (["[supervisor] connected to the head at 10.0.0.10:8083", WAITS], ["no_link_to_head"]),
    ],
    ids=["it waits", "it came", "it is lost again"],
)
def test_a_head_that_came_is_not_missed(after: list[str], known: list[str]):
    assert ids(log(WAITS, *after)) == known


KV_TRANSFER = "Failed to transfer KV cache for request cmpl-1: Mooncake transfer failed, ret: -1"


@pytest.mark.parametrize(
    ("after", "first"),
    [
        ([], ("kv_transfer", "warning")),
        (["EngineCore encountered a fatal error."], ("kv_transfer", "fatal")),
        ([*TRACEBACK, "EngineCore encountered a fatal error."], ("unknown_exception", "fatal")),
    ],
    ids=["vLLM goes on", "nothing else", "another failure"],
)
def test_a_transfer_of_the_kv_cache_is_the_cause_only_if_vllm_ends_without_another(
    after: list[str], first: tuple[str, str]
):
    """A request alone fails with it; vLLM answers the others (vllm-ascend#8427)."""
    found = diagnosis.diagnose({"node0": log(KV_TRANSFER, *after)})
    assert (found[0].id, found[0].severity) == first


NPU_ERROR = (
    "[ERROR] HCCL(893240,):2026-08-11-07:03:46.026.970 [exception_handler.cc:23] [904211]AICPU launch failed"
)


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ([NPU_ERROR], ["cann_error"]),
        ([f"plog-161138_20251210.log:1:{NPU_ERROR}"], ["cann_error"]),
        ([NPU_ERROR, "(EI0006): Getting socket times out."], ["hccl_timeout"]),
        ([NPU_ERROR, "EngineCore failed to start."], ["cann_error", "engine_failed"]),
        ([*TRACEBACK, NPU_ERROR, "EngineCore failed to start."], ["unknown_exception", "engine_failed"]),
        (["INFO 11-24 12:00:06 [a.py:1] Starting to load model", NPU_ERROR], []),
        ([NPU_ERROR, "(Worker_TP0 pid=1) Loading"], []),
        (["[supervisor] generation 5c0ffee1: starting vllm", NPU_ERROR], []),
        ([STARTED, NPU_ERROR], []),
        ([NPU_ERROR.replace("ERROR", "WARNING")], []),
    ],
    ids=[
        "alone",
        "as grep prints it",
        "beside a code",
        "before an end",
        "beside an exception",
        "in a start",
        "beside a worker",
        "beside a supervisor",
        "in a service",
        "no error",
    ],
)
def test_an_error_of_cann_without_a_code_is_told_of_a_failure_that_nothing_explains(
    lines: list[str], known: list[str]
):
    assert ids(vllm_log.lines_of("\n".join(lines))) == known


def test_what_the_supervisor_said_before_a_start_is_over():
    failing = Line(
        "[supervisor] keeps failing: 5 generations in a row failed; the next starts in 600 s or later"
    )
    start = Line("[supervisor] generation 5c0ffee1: starting /bin/bash")
    assert diagnosis.since_start([failing]) == [failing]
    assert diagnosis.since_start([failing, start]) == [start]
    assert diagnosis.is_end(failing)
    assert not diagnosis.is_end(start)


def _at(kind: str, seconds: float, severity: str = diagnosis.FATAL) -> diagnosis.Finding:
    return diagnosis.Finding("node0", f"{kind} {seconds}", kind, severity, "", "", "", "", seconds)


def test_a_trace_of_another_host_counts_ten_seconds_later_as_clocks_differ():
    trace = _at(diagnosis.PEER, 0)
    for seconds, first in ((9.9, diagnosis.UNCLEAR), (10.0, diagnosis.UNCLEAR), (10.1, diagnosis.PEER)):
        found = diagnosis.sort_findings([trace, _at(diagnosis.UNCLEAR, seconds)])
        assert found[0].kind == first, seconds


def test_what_the_service_has_recovered_from_is_no_cause():
    assert _at(diagnosis.CAUSE, 0).is_cause
    assert not _at(diagnosis.CAUSE, 0, diagnosis.PAST).is_cause
