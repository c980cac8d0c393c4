# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of failures that users reported. The number in a file's name is that of its report's row in CASES."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.diagnosis import Finding

LOGS = Path(__file__).parents[2] / "fixtures" / "field_logs"
HEALTHY = sorted(path.name for path in (LOGS / "healthy").iterdir())
# Each log with the id of its first finding, and what of the log the cause must name.
CASES = [
    ("01_va12461_dispatch561000_EI0006", "hccl_timeout", "10.20.0.15, device ID 10"),
    ("02_va8568_dispatch561000_ret4", "back_to_back_cable", ""),
    ("04_va8360_507011_EL0003_watchdog", "operator_crashed", "chipId:4"),
    ("05_va9725_EL0003_capture_mode", "graph_capture", ""),
    ("07_va4972_507014_aicore_timeout_watchdog", "operator_timeout", "507014"),
    ("09_va2763_507035_vector_core", "operator_crashed", "chipId:6"),
    ("10_va7676_507011", "operator_crashed", "507011"),
    ("12_lmdeploy3354_EI0002", "rank_silent", "remote rank [6]"),
    ("13_vllmomni_EI0015_unconnected", "ranks_missing", "[1,7,]"),
    ("15_va3162_EI0009_transport", "hccl_transport", "remote_ip_addr[172.16.0.114]"),
    ("16_canndoc_EI0008_versions", "hccl_versions_differ", "1.83.T10.0.B207"),
    ("17_canndoc_EI0013_misspelt_and_EI0012", "sdma_error", "EI0012"),
    ("18_va1558_507033_setdevice", "device_unavailable", "507033"),
    ("20_va2542_drvRetCode87_device_taken", "device_unavailable", "drvRetCode=87"),
    ("22_va2725_socversion", "wrong_chip", "Ascend310P3"),
    ("24_va10640_561103_kernels", "kernels_missing", "561103"),
    ("25_flagtree376_glibcxx", "library_too_old", "GLIBCXX_3.4.30"),
    ("27_va1249_glibc_driver", "library_unusable", "GLIBC_2.32"),
    ("28_va3998_1114_camem", "library_unusable", "libvllm_ascend_kernels.so"),
    ("28b_va1114_camem_one_iso_line", "library_unusable", "libvllm_ascend_kernels.so"),
    ("29_vllm19670_DistNetworkError", "store_timeout", "10.0.0.9, 46229"),
    ("31_vllm31884_zmq_cannot_assign", "address_not_local", "10.27.91.102"),
    ("32_gpustack6019_zmq_in_use", "address_in_use", "50417"),
    ("34_miaai101_gloo_application_timeout", "gloo_timeout", ""),
    ("35_va11290_sample_tokens_timeout", "worker_silent", "sample_tokens"),
    ("37_va9071_apiserver_died", "engines_late", ""),
    ("38_va5135_c10d_recv0", "store_gone", ""),
    ("40_va4206_pydantic_inspected", "bad_config", "'Qwen3NextForCausalLM'] failed to be inspected"),
    ("41_fd_modelslim_not_found", "quantization_config_missing", ""),
    ("43_fd_EPLB_requires_EP", "bad_config", "EPLB must used in expert parallelism"),
    ("45_va2290_weights_missing_shard", "weights_broken", "model-00012-of-00093.safetensors"),
    ("47_vllm1771_bus_error", "shm_too_small", ""),
    ("49_va8393_207005_text_disk", "streams_exhausted", ""),
    ("50_vllm20657_worker_died_silent", "worker_died", "VllmWorker-2"),
    ("52_triton_no_active_driver", "no_triton_driver", ""),
    ("53_va_reinit_forked", "forked", ""),
    ("54_va16983_cli_error", "bad_argument", "AttentionConfig Unexpected keyword argument"),
    ("56_llama_tokenizers_bare_Exception", "tokenizer_unreadable", "ModelWrapper"),
    ("57_kylin_jemalloc_pagesize", "page_size", ""),
    ("59_va4400_head_of_two", "gloo_timeout", ""),
    ("59_va4400_worker_of_two", "device_unavailable", "507033"),
    ("60_torchft_tcpstore_loopback", "worker_died", "VllmWorker-2"),
    ("62_va8186_EL0001_lost_heartbeat", "npu_lost", "Device[1] lost heartbeat"),
    ("63_va7421_bishengir_unknown_chip", "compiler_failed", "Cannot find option named 'Ascend310P1'"),
    ("64_va672_hccl_device_id", "device_unavailable", ""),
    ("65_va5707_no_memory_left_head_cut", "kv_cache_too_small", "No available memory"),
    ("66_va348_ray_head_cut", "quantization_unsupported", "packed_modules_mapping"),
    ("67_gpustack3315_507013_sdma", "npu_task_failed", "507013"),
    ("68_va1993_207001_smmu", "out_of_memory", "207001"),
    ("69_va5635_kv_transfer", "kv_transfer", "172.17.0.16:25482"),
    ("70_va5041_prefix_cut", "unknown_exception", "The size of tensor a (4) must match"),
    ("71_va6949_library_absent", "library_absent", "ascend_transport.so"),
    ("72_va9056_interface", "package_mismatch", "hash_block_size"),
    ("73_va16_indentation_cut", "library_mismatch", "vllm::all_reduce"),
    ("74_910a4_E90003", "operator_not_compiled", "bfloat16 of tbe.dsl.transdata is not supported"),
    ("75_pta61_kernel_json", "operator_not_compiled", ""),
    ("76_lmdeploy2585_err87", "device_unavailable", "err: 87"),
    ("77_vllm17533_executor_workers", "engine_failed", ""),
    ("78_svc23_certificate", "hub_certificate", "self-signed certificate in certificate chain"),
    ("79_va3114_no_npu_bare", "no_device", ""),
    ("80_vllm29036_speculation", "speculation_failed", "a multiple of 3 (num_speculative_tokens + 1)"),
    ("81_va1962_dynamo", "graph_compilation", "_C.rotary_embedding.default"),
    ("82_vllm5244_remote_code", "remote_code", "/models/huggingface/Phi-3-small-128k-instruct/"),
    ("83_va633_quantizer", "quantization_unsupported", "There is no available ascend quantizer"),
    (
        "84_va5399_place",
        "unknown_exception",
        "3068 (raised in vllm_ascend/attention/sfa_v1.py in _sfa_preprocess_decode)",
    ),
    ("85_va11999_operator_absent", "library_unusable", "npu_apply_top_k_top_p"),
    ("86_vllm13980_not_aligned", "bad_config", "not aligned with the quantized weight shape"),
    ("87_triton302_ub_overflow", "compiler_failed", "bishengir-compile"),
    ("88_va302_gelib", "operator_not_compiled", "GEInitialize failed"),
    ("89_vllm53157_ray_worker_died", "worker_died", "rank=[0]"),
    ("90_cogvideo455_enodev", "weights_unreadable", "No such device (os error 19)"),
    ("91_lmcache376_daemon", "unknown_exception", "daemonic processes are not allowed to have children"),
    ("92_va14166_EZ1009_parentheses", "operator_failed", "aclnnMoeInitRoutingV3"),
    ("93_va16835_buffsize_ep", "hccl_buffer_too_small", "600MB"),
    ("94_va4051_tiling_interleaved", "operator_failed", "MoeDistributeDispatchV2"),
    ("95_va5794_mtp_layer_compose", "weights_do_not_fit", "model.layers.92.head.weight"),
    ("96_mooncake260_connection_refused", "kv_transfer", "192.168.32.3:16967"),
    ("97_genai1808_chat_template", "bad_config", "examples/template_llava.jinja"),
    ("98_va5578_flashcomm2_validation", "bad_config", "flashcomm2 needs more than one"),
    ("99_va2473_workers_mixed", "graph_capture", "107027, the stream is captured already"),
    (
        "100_va1813_worker_failed_with",
        "unknown_exception",
        "size 16777216 (raised in vllm/model_executor/models/qwen3_moe.py in forward)",
    ),
    ("101_va2557_visible_devices", "device_unavailable", "ASCEND_RT_VISIBLE_DEVICES:4,7 error"),
    ("102_va881_ray_repeats", "package_mismatch", "unexpected keyword argument 'kv_cache"),
    ("103_va4020_E89999_tiling", "operator_failed", "When layout is TND, queryD(256)"),
    ("104_lightning_indexer_EZ9999", "operator_failed", "key layout do not support PA_BSND"),
    ("105_kv_cache_wrapped", "kv_cache_too_small", "available KV cache memory (4.50 GiB)"),
    ("106_gemma4_time_with_bar", "model_unsupported", "gemma4"),
    ("107_va6790_config_file_for_ascend", "quantization_config_missing", ""),
    ("108_va2984_worker_reason_cut", "engine_failed", ""),
    (
        "109_va8370_place_without_an_end",
        "graph_compilation",
        "not enough values to unpack (expected 13, got 9)",
    ),
    ("110_flagtree1220_passmanager", "compiler_failed", ""),
    ("111_va6018_plog_aivector", "operator_crashed", "chipId:5"),
    ("112_va13934_plog_without_code", "cann_error", "AICPU launch failed, code: 1"),
    ("113_va10532_transfer_then_segfault", "crashed", "Segfault"),
    ("114_va471_sentencepiece", "tokenizer_unreadable", "Converting from SentencePiece and Tiktoken failed"),
    ("115_omniserve8_reason_below", "tokenizer_unreadable", "Couldn't instantiate the backend tokenizer"),
    ("116_vllm18416_engine_killed", "vllm_killed", "-9"),
    ("117_timellm158_listen_refused", "address_in_use", "Permission denied"),
    (
        "118_va8367_traceback_cut",
        "unknown_exception",
        "it ends at quant_type = quant_description[prefix] (raised in vllm_ascend/quantization/modelslim_config.py in get_linear_quant_type)",
    ),
    (
        "119_va7088_head_and_end_cut",
        "unknown_exception",
        "it ends at return loader.load_weights(weights) (raised in vllm/model_executor/models/qwen3_moe.py in load_weights)",
    ),
    ("120_va10591_transport_plog", "hccl_transport", "remoteIpAddr[80.5.5.67/7]"),
    ("121_va3403_plugin", "plugin_failed", "module 'vllm_ascend' has no attribute 'register'"),
    ("122_gpustack5594_engine_cut", "unknown_exception", "it ends at pooler_output = self.model.pooler("),
    (
        "123_va12411_logging_format",
        "unknown_exception",
        "IndexError: list index out of range (raised in vllm_ascend/worker",
    ),
    ("124_va16237_message_queue_port", "address_in_use", "42713"),
    ("125_va6085_mtp_in_graph_capture", "graph_capture", "only support building dummy metadata"),
    ("126_va6509_eagle3_graph", "graph_compilation", "draft_attn_metadatas"),
    ("127_va5798_eplb_not_supported", "eplb_failed", "EPLB is not supported"),
    ("128_vllm27589_eplb_weights", "eplb_failed", "view size is not compatible"),
    ("129_va14000_layerwise_connector", "kv_connector_failed", "remote_cached_tokens"),
    ("130_ray53845_channel_timeout", "worker_silent", "RayChannelTimeoutError"),
    ("131_lmcacheascend91_host_register", "host_memory_unregistered", ""),
    ("132_mooncake1050_mount_segment", "kv_store_unreachable", "Initialize mooncake failed"),
    ("134_vllm35616_engine_ready_timeout", "engines_late", ""),
    ("135_vllm43095_ray_addresses", "ray_cluster", "192.168.1.7"),
    ("136_va2588_shards_of_a_fused_layer", "quantization_unsupported", "model.layers.13.self_attn.qkv_proj"),
    ("137_va6484_embedding_not_described", "weights_do_not_fit", "model.embed_tokens.weight"),
    ("138_va16111_watchdog_only", "hccl_watchdog", ""),
    ("139_va13418_pp_memcache", "kv_connector_failed", "assert res == 0"),
    ("140_va13628_kv_xfer_finished", "kv_connector_failed", "assert req_id in self.requests"),
    ("141_va3367_hccl_then_workers_die", "hccl_init", "error code is 1"),
    ("142_va6950_flashcomm_of_a_model", "bad_config", "Flash Comm V1 is not supported for VL models"),
    ("143_glmv208_engine_died_silent", "worker_died", "EngineCore_DP0"),
    ("144_va7711_plog_hccn_conf", "npu_address", "device ip"),
    ("145_va692_compileopt", "compiler_not_started", "SocVersion = Ascend910B2"),
    ("146_va8183_operator_types", "operator_not_compiled", "Inconsistent format size"),
    ("147_va9841_mooncake_client", "kv_store_unreachable", "Initialize mooncake failed"),
    ("148_va6678_pipeline_layers", "layer_elsewhere", "model.layers.0.self_attn.attn"),
    ("149_gpustack2769_numba_numpy", "package_mismatch", "Numba needs NumPy 2.2 or less"),
    ("150_va1875_numpy_float", "package_mismatch", "np.float_"),
    ("151_paddle690_plog_compile", "operator_not_compiled", "op[Slice]"),
    ("152_gpustack2146_flags_together", "bad_argument", "cannot be enabled at the same time"),
    ("153_va707_module", "package_mismatch", "vllm.benchmarks.serve"),
    ("155_va7635_worker_traceback_cut", "unknown_exception", "in worker_busy_loop"),
    ("156_sglang29838_oom_class", "out_of_memory", "72.00 MiB"),
    ("158_balance_peer_gone", "peer_gone", "10.0.0.3"),
    ("159_mc2_without_experts", "unknown_exception", "in get_dispatch_mc2_kwargs"),
    ("160_operator_of_another_build", "library_mismatch", "npu_causal_conv1d_custom"),
    ("161_aicore_timeout_watchdog_two_ranks", "operator_timeout", "chipId:1"),
    ("162_index_out_of_range", "index_out_of_range", "1048576 out of range[0 1048576)"),
    ("163_health_ok_notify_timeout", "rank_silent", ""),
    # Logs of HCCL in the documentation of MindSpore
    ("164_mindspore_EI0002_heartbeat", "rank_silent", "remote rank [0]"),
    ("165_mindspore_EI0005_arguments", "hccl_differs", "EI0005"),
    ("166_mindspore_EJ0001_plog", "hccp_left", ""),
    ("167_mindspore_EI0004_device", "hccl_ranktable", "EI0004"),
    ("168_va_torchair_models", "bad_config", "only works with following model types"),
    ("169_va_config_not_initialized", "unknown_exception", "in get_ascend_config"),
    ("170_va_internvl_layers", "model_config_unfit", "'InternVLChatConfig' object"),
    ("171_va1042_choices", "package_mismatch", "'NoneType' is not iterable"),
]


def read(folder: str, *names: str) -> dict[str, list[vllm_log.Line]]:
    return {name: vllm_log.lines_of(vllm_log.decode((LOGS / folder / name).read_bytes())) for name in names}


def fatal(found: list[Finding]) -> list[str]:
    return [finding.id for finding in found if finding.severity == "fatal"]


@pytest.mark.parametrize(("name", "known", "what"), CASES, ids=[case[0] for case in CASES])
def test_the_cause_of_a_reported_failure(name: str, known: str, what: str):
    first = diagnosis.diagnose(read("failed", f"{name}.log"))[0]
    assert first.id == known
    assert what in first.cause


def mixed(text: str) -> str:
    """Return the lines of a log as two workers mix them that both write them, the second one a line later."""
    rows = [vllm_log.PROCESS.sub("", row) for row in text.split("\n")]
    pairs = zip([*rows, ""], ["", *rows], strict=True)
    return "\n".join(
        f"(Worker_TP{rank} pid=1) {row}" for pair in pairs for rank, row in enumerate(pair) if row
    )


@pytest.mark.parametrize(
    "name", ["40_va4206_pydantic_inspected", "84_va5399_place", "87_triton302_ub_overflow"]
)
def test_the_lines_of_workers_that_mix(name: str):
    text = (LOGS / "failed" / f"{name}.log").read_text()
    alone, both = (diagnosis.diagnose({"host": vllm_log.lines_of(log)})[0] for log in (text, mixed(text)))
    assert (both.id, both.cause) == (alone.id, alone.cause)


def test_every_reported_failure_has_its_cause():
    assert {path.stem for path in (LOGS / "failed").iterdir()} == {name for name, _known, _what in CASES}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_log_has_no_fatal_finding(name: str):
    logs = read("healthy", name)
    assert fatal(diagnosis.diagnose(logs)) == []
    assert not any(diagnosis.is_end(line) for line in logs[name])


@pytest.mark.parametrize(
    "names",
    [
        ("failed/59_va4400_head_of_two.log", "failed/59_va4400_worker_of_two.log"),
        ("two/59_head_stamped.log", "two/59_work_stamped.log"),
    ],
)
def test_the_first_cause_of_two_hosts(names: tuple[str, str]):
    found = diagnosis.diagnose(read("", *names))
    assert (found[0].id, found[0].host) == ("device_unavailable", names[1])


@pytest.mark.parametrize("name", sorted(path.name for path in (LOGS / "forms").iterdir()))
def test_the_forms_of_a_kept_log(name: str):
    found = diagnosis.diagnose(read("forms", name))
    assert fatal(found)[0] == ("unknown_exception" if name.startswith("unk_") else "out_of_memory")
    assert found[0].line.startswith(("ValueError: something nobody knows", "RuntimeError: NPU out of memory"))


WRAPPED = {
    "compose with colours": "\x1b[36mvllm-node0  |\x1b[0m {}",
    "compose with times": "vllm-node0-1  | 2026-01-08T09:10:11.123456789Z {}",
    "swarm": "vllm.1.abc@node0    | {}",
    "journald": "Jan 08 09:10:11 node0 docker[123]: {}",
    "journald with ISO times": "2026-01-08T09:10:11+0800 node0 vllm[123]: {}",
    "kubectl": "[pod/vllm-0/engine] {}",
    "containerd": "2026-01-08T09:10:11.123456789Z stderr F {}",
    "a time of no zone": "2026-01-08 09:10:11.123 | {}",
    "a quotation": "> {}",
    "numbers": "  17: {}",
    "cat -n": "    17\t{}",
    "a block": "      {}",
}


@pytest.mark.parametrize("form", WRAPPED.values(), ids=[name.replace(" ", "_") for name in WRAPPED])
def test_what_others_put_before_a_line_is_not_read(form: str):
    lines = [
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        "ValueError: what nobody knew",
    ]
    prefix = "(EngineCore_DP0 pid=301) ERROR 12-24 07:59:01 [core.py:866] "
    read_back = vllm_log.lines_of("\n".join(form.format(prefix + line) for line in lines))
    assert [line.text for line in read_back] == lines
    assert all(line.at for line in read_back)
    assert {line.process for line in read_back} == {"(EngineCore_DP0 pid=301)"}


def test_times_in_other_zones_are_the_same():
    utc, east = vllm_log.lines_of("2026-01-08T09:10:11Z a"), vllm_log.lines_of("2026-01-08T17:10:11+08:00 a")
    assert utc == east


def test_text_of_a_request_never_makes_a_service_ready():
    failed = "(EngineCore_DP0 pid=3) ERROR 12-24 08:00:01 [core.py:866] RuntimeError: NPU out of memory. Tried to allocate 3 GiB"
    asked = "(APIServer pid=1) INFO 12-24 08:01:01 [logger.py:41] Received request: prompt: 'Application startup complete'"
    assert fatal(diagnosis.diagnose({"node0": vllm_log.lines_of(f"{failed}\n{asked}")})) == ["out_of_memory"]


def test_a_trace_of_a_known_kind_comes_before_a_later_error_that_is_unknown():
    head = "2026-01-08T09:10:00Z Traceback (most recent call last):\n2026-01-08T09:10:00Z ValueError: what nobody knew"
    work = "2026-01-08T09:05:00Z Execution_Error_ROCE_CQE(EI0013): An error CQE occurred during operator execution."
    found = diagnosis.diagnose({"head": vllm_log.lines_of(head), "work": vllm_log.lines_of(work)})
    assert [(one.host, one.id) for one in found] == [("work", "roce_link"), ("head", "unknown_exception")]


SUSPECT = (
    "Failed to import 'vllm_ascend.vllm_ascend_C': libvllm_ascend_kernels.so: cannot open shared object file"
)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], []),
        (["EngineCore failed to start."], ["library_unusable", "engine_failed"]),
        (["(EI0006): Getting socket times out."], ["hccl_timeout"]),
    ],
)
def test_a_suspect_is_the_cause_only_of_a_failure_that_nothing_explains(
    after: list[str], expected: list[str]
):
    assert fatal(diagnosis.diagnose({"node0": vllm_log.lines_of("\n".join([SUSPECT, *after]))})) == expected


def test_what_keeps_the_compiler_from_starting_comes_first():
    shown = "RuntimeError: NPU function error: AclSetCompileopt(aclCompileOpt::ACL_PRECISION_MODE, precision_mode), error code is 500001"
    told = "ModuleNotFoundError: No module named 'decorator'"
    found = diagnosis.diagnose({"node0": vllm_log.lines_of(f"{shown}\n{told}")})
    assert [one.id for one in found] == ["package_missing", "compiler_not_started"]


def test_the_lines_of_a_plog_have_times():
    plog = (
        "[INFO] HCCL(7,python3):2026-01-08-09:00:00.000.001 [a.cc:1]7 Init:begin\n"
        "[ERROR] RUNTIME(7,python3):2026-01-08-09:05:00.500.000 [b.cc:2]7 Report:there is an aivec error exception\n"
        "  the line below it"
    )
    lines = vllm_log.lines_of(plog)
    assert [line.at for line in lines] == [1767862800.000001, 1767863100.5, 1767863100.5]
    early, late = (plog.replace("09:05", f"09:0{minute}") for minute in (1, 3))
    found = diagnosis.diagnose({"late": vllm_log.lines_of(late), "early": vllm_log.lines_of(early)})
    assert [one.host for one in found] == ["early", "late"]


def test_without_times_a_failure_comes_before_the_trace_that_it_may_have_left():
    traced, failed = (
        "[PID: 1] (EI0006): Getting socket times out.",
        "Worker proc VllmWorker-2 died unexpectedly",
    )
    found = diagnosis.diagnose({"node0": vllm_log.lines_of(traced), "node1": vllm_log.lines_of(failed)})
    assert [one.id for one in found] == ["worker_died", "hccl_timeout"]


def test_logs_of_four_hosts_take_little_time():
    """The time grows with the size of the logs: vLLM's dump of its scheduler is one line of many kilobytes."""
    dump = (
        "Dumping scheduler output for model execution: SchedulerOutput("
        + ", ".join(map(str, range(12_000)))
        + ")"
    )
    frame = "(Worker_TP0 pid=3) ERROR 12-24 07:59:01 [a.py:1]   File 'core.py', line {}, in step of host {}"
    logs = ["\n".join([dump, *(frame.format(number, host) for number in range(5000))]) for host in range(4)]

    def seconds(some: list[str]) -> float:
        begin = time.process_time()
        assert (
            diagnosis.diagnose({str(host): vllm_log.lines_of(text) for host, text in enumerate(some)}) == []
        )
        return time.process_time() - begin

    assert seconds(logs) < 8 * seconds(logs[:1])  # four times, and what a busy machine adds
