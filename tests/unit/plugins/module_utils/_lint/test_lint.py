# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of releases, and settings against it: both sides of each rule, and the shipped profiles."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, INFO, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency, releases
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import settings as layers
from shipped import MODELS, PROFILES, ROOT, SETTINGS

TABLE = PROFILES.table()
HOSTS = ("node0", "node1")
RECIPE = Counter({("config_unread", "info"): 4, ("variable_unread", "info"): 1, ("moe_dispatch", "info"): 1})
PLAIN = "glm-4.7-v0.23.0"  # nothing is found in it


def settings(profile: str, variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings, and those of the files alone."""
    files = layers.read(SETTINGS, PROFILES.layers(profile, {"release": variables.get("vllm_release", "")}))
    merged, problems = layers.settings(SETTINGS, files, layers.of_inventory(SETTINGS, variables))
    assert problems == []
    return merged, {name[len("vllm_") :]: value for name, value in files.values.items()}


def found(
    profile: str, variables: dict[str, Any], worker: dict[str, Any] | None = None, **more: Any
) -> list[Finding]:
    """Return the findings for a service of two hosts; the second one may have variables of its own."""
    head, shipped = settings(profile, variables)
    cases = []
    for host in more.get("hosts", HOSTS):
        own = settings(profile, {**variables, **(worker or {})})[0] if host != HOSTS[0] else head
        release = PROFILES.release(str(own["image_versions"]["vllm_ascend"]))
        assert release
        cases.append(Case(host, more.get("hosts", HOSTS), own, head, shipped, release))
    return lint.findings(cases, more.get("accept", {}))


def counted(findings: list[Finding]) -> Counter[tuple[str, str]]:
    return Counter((finding.id, finding.severity) for finding in findings)


# The table


@pytest.mark.parametrize("name", TABLE["releases"])
def test_each_cell_of_a_release_has_a_source(name):
    row = {cell for cell in TABLE["releases"][name] if cell != "sources"}
    assert row | {"images", "variables"} == set(releases.sources(TABLE, name))


@pytest.mark.parametrize("name", TABLE["releases"])
def test_what_a_release_reads_is_known(name):
    release = PROFILES.release(name)
    assert release
    assert PROFILES.serve_flags(release.row["vllm"]).release == release.row["vllm"]
    assert {"enable_cpu_binding", "xlite_graph_config"} <= release.keys
    assert {"VLLM_LOGGING_LEVEL", "VLLM_VERSION"} <= release.variables
    assert {"hermes"} <= release.parsers["tool-call-parser"]
    for patches in release.row["patch_sets"]:
        assert (ROOT / f"profiles/patches/{patches}/patch.yml").is_file()


@pytest.mark.parametrize(
    ("release", "variant", "image"),
    [
        ("0.13.0rc1", "a2", "quay.io/ascend/vllm-ascend:v0.13.0rc1"),
        ("0.23.0", "a3-openeuler", "quay.io/ascend/vllm-ascend:v0.23.0-a3-openeuler"),
    ],
)
def test_a_release_gives_image_and_versions(release, variant, image):
    files = layers.read(SETTINGS, PROFILES.layers("glm-4.7", {"release": release, "image_variant": variant}))
    assert files.values["vllm_image"] == image
    assert files.values["vllm_image_versions"]["vllm_ascend"] == release


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"release": "v0.13.0"}, "write 0.13.0, if that is meant"),
        ({"release": "0.18"}, "write 0.18.0, if that is meant"),
        ({"release": "latest"}, "choose one"),
        ({"image_variant": "a3-openeular"}, "write a3-openeuler, if that is meant"),
    ],
)
def test_what_the_table_does_not_have_is_refused(given, remedy):
    with pytest.raises(releases.ProblemError, match=r"vllm_\w+ is") as error:
        PROFILES.layers("glm-4.7", given)
    assert error.value.problem.remedy.startswith(remedy)


# Shipped profiles


@pytest.mark.parametrize("model", [path.stem for path in MODELS])
def test_a_shipped_profile_has_no_warning(model):
    for hosts in (HOSTS, HOSTS[:1]):
        assert {finding.severity for finding in found(model, {}, hosts=hosts)} <= {"info"}


def test_the_manual_procedure_has_only_notes():
    assert counted(found("glm-4.7", {})) == RECIPE


def test_the_next_releases_need_none():
    assert found("glm-4.7-v0.18.0", {}) == found(PLAIN, {}) == []


# Rules: what is found, and what is not


@pytest.mark.parametrize(
    ("profile", "variables", "expected"),
    [
        # Keys: a note as shipped, a warning as a user's own, refused from 0.30 on.
        (PLAIN, {"vllm_serve_args": {"additional-config": {"fuse_muls_add": True}}}, "config_unread warn"),
        (PLAIN, {"vllm_serve_args": {"additional-config": '{"fuse_muls_add": true}'}}, "config_unread warn"),
        (PLAIN, {"vllm_serve_extra_args": ["--additional-config.fuse_muls_add=true"]}, "config_unread warn"),
        (PLAIN, {"vllm_serve_args": {"additional-config": {"enable_mlapo": True}}}, ""),
        ("glm-5.3-flash-w8a8", {"vllm_serve_args": {"additional-config": {"x": 1}}}, "config_unread fail"),
        ("glm-5.3-flash-w8a8", {"vllm_serve_args": {"additional-config": {"mc2_comm_alg": "hierarchy"}}}, ""),
        # Keys of mappings among them: read or not, refused by some before 0.30
        (
            PLAIN,
            {"vllm_serve_args": {"additional-config": {"xlite_graph_config": {"full": 1}}}},
            "config_unread warn",
        ),
        (PLAIN, {"vllm_serve_args": {"additional-config": {"xlite_graph_config": {"full_mode": True}}}}, ""),
        (
            PLAIN,
            {"vllm_serve_args": {"additional-config": {"eplb_config": {"gate_eplb": 1}}}},
            "config_unread fail",
        ),
        (
            PLAIN,
            {"vllm_serve_extra_args": ["--additional-config.eplb_config.gate_eplb=1"]},
            "config_unread fail",
        ),
        (PLAIN, {"vllm_serve_args": {"additional-config": {"dump_config": {"anything": 1}}}}, ""),
        (
            "glm-5.3-flash-w8a8",
            {
                "vllm_serve_args": {
                    "additional-config": {"scheduler_config": {"profiling_chunk_config": {"enable": True}}}
                }
            },
            "config_unread fail",
        ),
        (
            "glm-5.3-flash-w8a8",
            {
                "vllm_serve_args": {
                    "additional-config": {"eplb_config": {"stair_config": {"load_window_bins": 8}}}
                }
            },
            "",
        ),
        # Variables
        (PLAIN, {"vllm_serve_env": {"VLLM_RPC_TIMEOUT": "1"}}, "variable_unread warn"),
        (PLAIN, {"vllm_container_env": {"VLLM_ASCEND_ENABLE_TOPK_OPTIMIZE": "1"}}, "variable_unread warn"),
        (PLAIN, {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_MLAPO": "1", "HCCL_NEW": "1"}}, ""),
        ("glm-5.3-flash-w8a8", {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_MLAPO": "1"}}, "variable_unread warn"),
        (PLAIN, {"vllm_serve_env": {"ASCEND_RT_VISIBLE_DEVICE": "0"}}, "variable_misspelt warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_BUFFERSIZE": "200"}}, "variable_misspelt warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_RDMA_PRIORITY": "1", "ASCEND_SLOG_PRINT_TO_STDOUT": "1"}}, ""),
        # Parsers and patches
        (PLAIN, {"vllm_serve_args": {"tool-call-parser": "glm48"}}, "parser_missing fail"),
        (PLAIN, {"vllm_serve_args": {"tool-call-parser": "own", "tool-parser-plugin": "/own.py"}}, ""),
        ("glm-4.7", {"vllm_patch_set": None}, "parser_missing fail"),
        ("glm-4.7", {}, ""),
        ("glm-4.7", {"vllm_serve_args": {"tool-call-parser": "glm48"}}, "parser_missing fail"),
        ("glm-5.3-flash-w8a8", {"vllm_patch_set": "glm47"}, "patch_set warn"),
        (PLAIN, {"vllm_patch_set": "/our/patch.yml"}, ""),
        # Values
        (PLAIN, {"vllm_serve_args": {"kv-cache-dtype": "nonsense"}}, "flag_value warn"),
        (PLAIN, {"vllm_serve_extra_args": ["--dtype=bf16"]}, "flag_value warn"),
        (PLAIN, {"vllm_serve_args": {"api-server-count": -1}}, "api_server_count fail"),
        (
            PLAIN,
            {"vllm_serve_args": {"additional-config": {1: 2, "weight_nz_mode": 1}}},
            "config_unread warn",
        ),
        (PLAIN, {"vllm_serve_args": {"additional-config": {None: 2}}}, "config_unread warn"),
        (PLAIN, {"vllm_serve_args": {"additional-config": {"eplb_config": {1: 2}}}}, "config_unread fail"),
        (PLAIN, {"vllm_serve_env": {"HCCL_BUFFSIZE": "\uff12\uff10\uff10"}}, "variable_value warn"),
        # https://github.com/vllm-project/vllm-ascend/issues/761
        (PLAIN, {"vllm_tensor_parallel_size": 5}, "attention_heads fail"),
        (PLAIN, {"vllm_tensor_parallel_size": 5, "vllm_model_repo": "me/other"}, ""),
        (PLAIN, {"vllm_tensor_parallel_size": 6}, ""),  # 96 heads
        # https://github.com/verl-project/verl/pull/7626
        (
            PLAIN,
            {"vllm_serve_args": {"enable-chunked-prefill": False, "max-model-len": 16384}},
            "batch_size fail",
        ),
        (
            PLAIN,
            {"vllm_serve_args": {"no-enable-chunked-prefill": True, "max-model-len": "16k"}},
            "batch_size fail",
        ),
        (PLAIN, {"vllm_serve_args": {"enable-chunked-prefill": False, "max-model-len": 8192}}, ""),
        (PLAIN, {"vllm_serve_args": {"max-model-len": 16384}}, ""),
        (PLAIN, {"vllm_serve_args": {"max-num-batched-tokens": 32, "max-num-seqs": 64}}, "batch_size fail"),
        (PLAIN, {"vllm_serve_args": {"max-model-len": 262144}}, "context_length warn"),
        (PLAIN, {"vllm_serve_args": {"max-model-len": 202752}}, ""),
        (PLAIN, {"vllm_serve_args": {"max-model-len": 262144, "hf-overrides": {"rope_scaling": {}}}}, ""),
        (
            PLAIN,
            {
                "vllm_serve_args": {"max-model-len": 262144},
                "vllm_serve_env": {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"},
            },
            "",
        ),
        ("glm-5.3-flash-w8a8", {"vllm_npu_driver_version": "25.3.0"}, ""),
        ("glm-5.3-flash-w8a8", {"vllm_npu_driver_version": "25.3.rc1.1"}, ""),
        (PLAIN, {"vllm_serve_args": {"api-server-count": 0}}, "api_server_count fail"),
        (PLAIN, {"vllm_serve_args": {"api-server-count": 4}}, ""),
        (PLAIN, {"vllm_serve_env": {"VLLM_USE_RUST_FRONTEND": 1}}, "rust_frontend warn"),
        (PLAIN, {"vllm_container_env": {"VLLM_USE_RUST_FRONTEND": "1"}}, "rust_frontend warn"),
        (PLAIN, {"vllm_serve_env": {"VLLM_USE_RUST_FRONTEND": "0"}}, ""),
        (PLAIN, {"vllm_serve_env": {"VLLM_USE_RUST_FRONTEND": 1}, "vllm_drain_seconds": 0}, ""),
        ("glm-4.7", {"vllm_serve_env": {"VLLM_USE_RUST_FRONTEND": 1}}, "variable_unread warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_BUFFSIZE": "-5"}}, "variable_value warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_BUFFSIZE": "1g"}}, "variable_value warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_BUFFSIZE": "$SIZE"}}, ""),
        (PLAIN, {"vllm_serve_env": {"HCCL_CONNECT_TIMEOUT": 60}}, "variable_value warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_CONNECT_TIMEOUT": 120, "HCCL_EXEC_TIMEOUT": 0}}, ""),
        (PLAIN, {"vllm_container_env": {"VLLM_ENGINE_READY_TIMEOUT_S": "1h"}}, "variable_value warn"),
        (PLAIN, {"vllm_serve_env": {"VLLM_USE_V2_MODEL_RUNNER": "true"}}, "variable_value warn"),
        (PLAIN, {"vllm_serve_env": {"VLLM_ENGINE_READY_TIMEOUT_S": 3600}}, ""),
        # https://github.com/vllm-project/vllm/issues/46325: one dash for two
        (PLAIN, {"vllm_serve_extra_args": ["-language-model-only"]}, "flag_unknown warn"),
        # https://github.com/vllm-project/vllm/issues/18538
        (PLAIN, {"vllm_serve_extra_args": ["--enable-reasoning"]}, "flag_unknown warn"),
        (PLAIN, {"vllm_serve_extra_args": ["-O3", "-q", "ascend", "--no-enable-lora", "--seed", "-1"]}, ""),
        (PLAIN, {"vllm_serve_args": {"kv-cache-dtype": "int8", "dtype": "bfloat16", "block-size": 128}}, ""),
        # The common start
        (PLAIN, {"vllm_serve_args": {"api-server-count": None}}, "api_server_count warn"),
        (PLAIN, {"vllm_serve_extra_args": ["--api_server_count=1"]}, "api_server_count fail"),
        (PLAIN, {"vllm_serve_extra_args": ["--tool-call-parser=glm48", "hermes"]}, "parser_missing fail"),
        (
            "glm-5.3-flash-w8a8",
            {"vllm_serve_extra_args": ["--data-parallel-start-rank", "0"]},
            "head_start_rank fail",
        ),
        (PLAIN, {"vllm_serve_extra_args": ["--data-parallel-start-rank", "0"]}, ""),
        (PLAIN, {"vllm_serve_env": {"HCCL_INTRA_PCIE_ENABLE": None}}, "moe_dispatch warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_INTRA_ROCE_ENABLE": "1"}}, "moe_dispatch warn"),
        (PLAIN, {"vllm_serve_env": {"HCCL_INTRA_ROCE_ENABLE": None}, "vllm_tensor_parallel_size": 4}, ""),
        (
            PLAIN,
            {
                "vllm_serve_env": {"HCCL_INTRA_ROCE_ENABLE": None},
                "vllm_serve_args": {"additional-config": {"enable_mc2_hierarchy_comm": True}},
            },
            "",
        ),
        # Versions, image, driver
        (PLAIN, {"vllm_image_versions": {"vllm": "0.18.0"}}, "release_versions warn"),
        (PLAIN, {"vllm_image_versions": {"cann": "9.0.1"}}, ""),
        (PLAIN, {"vllm_image": "registry.example.com/va:v0.18.0"}, "release_image warn"),
        (PLAIN, {"vllm_image": "registry.example.com/va:v0.23.0-a3"}, "release_image warn"),
        (PLAIN, {"vllm_image": "registry.example.com/va:v0.23.0-openeuler"}, ""),
        (PLAIN, {"vllm_image": "registry.example.com/va:nightly-a3"}, ""),
        (PLAIN, {"vllm_image": "registry.example.com:5000/va"}, "release_image warn"),
        (PLAIN, {"vllm_image": "va:latest"}, "release_image warn"),
        (PLAIN, {"vllm_image": "registry.example.com:5000/va@sha256:" + "0" * 64}, ""),
        (PLAIN, {"vllm_npu_driver_version": "25.0.rc1.1"}, "driver_release warn"),
        (PLAIN, {"vllm_npu_driver_version": "25.2.0"}, ""),
        ("glm-5.3-flash-w8a8", {"vllm_npu_driver_version": "25.2.1"}, "driver_release warn"),
        ("glm-5.3-flash-w8a8", {"vllm_npu_driver_version": "25.3.rc1"}, ""),
        # Weights and graphs: from 0.18 on found and handled by the release itself
        ("glm-4.7", {"vllm_model_repo": "Eco-Tech/GLM-4.7-W8A8-floatmtp"}, "quantization warn"),
        (
            "glm-4.7",
            {"vllm_model_repo": "a/GLM-4.7-W8A8", "vllm_serve_args": {"quantization": "ascend"}},
            "",
        ),
        (PLAIN, {"vllm_model_repo": "Eco-Tech/GLM-4.7-W8A8-floatmtp"}, ""),
        *(
            (
                profile,
                {
                    "vllm_serve_args": {
                        "speculative-config": {"num_speculative_tokens": 3},
                        "compilation-config": {
                            "cudagraph_mode": mode,
                            "cudagraph_capture_sizes": sizes,
                        },
                    }
                },
                expected,
            )
            for profile, mode, sizes, expected in (
                ("glm-4.7", "FULL_DECODE_ONLY", [1, 2, 8], "graph_mtp warn"),
                ("glm-4.7", "FULL_DECODE_ONLY", [4, 8], ""),
                ("glm-4.7", "PIECEWISE", [1, 2, 8], ""),
                (PLAIN, "FULL_DECODE_ONLY", [1, 2, 8], ""),
            )
        ),
    ],
)
def test_a_rule(profile, variables, expected):
    before = counted(found(profile, {}))
    new = counted(found(profile, variables)) - before
    assert sorted(" ".join(one) for one in new.elements()) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("profile", "variables", "rule", "expected", "remedy"),
    [
        # 96 heads, 8 chips
        (PLAIN, {"vllm_tensor_parallel_size": 5}, "attention_heads", "1, 2, 3, 4, 6, 8", "size: 8"),
        ("glm-5.3-flash-w8a8", {"vllm_patch_set": "glm47"}, "patch_set", "none", "null"),
        ("glm-4.7", {"vllm_patch_set": "own", "vllm_serve_args": {"tool-call-parser": "hermes", "reasoning-parser": None}},
         "patch_set", "glm47", "null"),
        (PLAIN, {"vllm_npu_name": "910_9362"}, "npu_image", "A3", "vllm_image_variant: a3"),
        (PLAIN, {"vllm_npu_name": "310P3"}, "npu_image", "310P", "leave out vllm_image_variant"),
        (PLAIN, {"vllm_image": "va:v0.23.0-a3-openeuler"}, "release_image", "A2", "vllm_hardware"),
    ],
)  # fmt: skip
def test_a_finding_tells_what_is_right(profile, variables, rule, expected, remedy):
    (finding,) = [one for one in found(profile, variables) if one.id == rule]
    assert expected in finding.problem.expected
    assert remedy in finding.problem.remedy


@pytest.mark.parametrize(
    ("variant", "npu", "told"),
    [
        ("a3", "910_9362", False),
        ("a3-openeuler", "Ascend910_9382", False),
        ("a3", "910B3", True),
        ("openeuler", "910B3", False),
        ("a2", "910B3", False),
        ("openeuler", "910_9362", True),
    ],
)
def test_an_image_is_of_the_machine_that_its_variant_names(variant, npu, told):
    variables = {"vllm_npu_name": npu}
    head, shipped = settings(PLAIN, variables)
    head["image_variant"] = variant
    case = Case("node0", HOSTS, head, head, shipped, PROFILES.release("0.23.0"))
    assert ("npu_image" in {one.id for one in lint.findings([case], {})}) is told


def test_only_a_warning_becomes_a_note_where_it_is_known(monkeypatch):
    def rule(_case: Case) -> Any:
        for severity in (FAIL, WARN, INFO):
            for known in (False, True):
                yield Found(severity, f"{severity} {known}", "x", "y", "z", known=known)

    monkeypatch.setattr(lint, "RULES", {"rule": rule})
    told = {one.problem.found: one.severity for one in found(PLAIN, {}, hosts=HOSTS[:1])}
    assert told == {
        "fail False": FAIL,
        "fail True": FAIL,
        "warn False": WARN,
        "warn True": INFO,
        "info False": INFO,
        "info True": INFO,
    }
    assert Found(WARN, "", "", "", "").known is False


def test_a_value_that_vllm_does_not_take_is_told_with_the_nearest():
    variables = {"vllm_serve_args": {"kv-cache-dtype": "fp8_e4m"}}
    (finding,) = found(PLAIN, variables)
    assert finding.problem.remedy == "write fp8_e4m3, if that is meant"
    unlisted = replace(PROFILES.release("0.23.0"), choices={})
    head, shipped = settings(PLAIN, variables)
    assert lint.findings([Case("node0", HOSTS, head, head, shipped, unlisted)], {}) == []


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ({"vllm_serve_env": {"HCCL_BUFFSIZE": "512"}}, ["hosts_differ warn"]),
        ({"vllm_serve_env": {"HCCL_SOCKET_IFNAME": "eth1"}}, []),
        ({"vllm_npu_name": "910B3"}, ["hosts_differ warn"]),
        ({"vllm_npu_driver_version": "25.0.2"}, ["driver_release warn"]),
    ],
)
def test_a_worker_of_its_own(worker, expected):
    findings = found(PLAIN, {}, worker)
    assert [f"{finding.id} {finding.severity}" for finding in findings] == expected
    assert {finding.host for finding in findings} <= {"node1"}


def test_a_newer_release_refuses_the_keys_of_the_manual_procedure():
    findings = counted(found("glm-4.7", {"vllm_release": "0.30.0"}))
    assert findings["config_unread", "fail"] == 4
    assert findings["patch_set", "warn"] == 1


@pytest.mark.parametrize(
    ("profile", "variables", "name", "severities"),
    [
        ("glm-4.7", {"vllm_release": "0.30.0"}, "config_unread", {"warn"}),
        (PLAIN, {"vllm_serve_env": {"VLLM_RPC_TIMEOUT": "1"}}, "variable_unread", {"info"}),
    ],
)
def test_an_accepted_finding_is_less_severe(profile, variables, name, severities):
    findings = found(profile, variables, accept={"node0": [name], "node1": [name]})
    accepted = [finding for finding in findings if finding.id == name]
    assert {finding.severity for finding in accepted} == severities
    assert all(finding.accepted for finding in accepted)


def test_every_finding_has_a_source_and_a_remedy():
    for finding in found("glm-4.7", {"vllm_release": "0.30.0"}):
        assert finding.source
        assert finding.problem.remedy


@pytest.mark.parametrize("model", [path.stem for path in MODELS])
def test_the_release_of_a_shipped_profile_has_its_flags(model):
    own, _files = settings(model, {})
    flags = PROFILES.serve_flags(own["image_versions"]["vllm"])
    assert flags.release
    assert consistency.problems(own, flags) == []


# Values inside of mappings


@pytest.mark.parametrize(
    ("release", "args", "expected"),
    [
        # vllm-ascend 0.18 to 0.23 have plain classes, which take the text for true; from 0.30 on, pydantic reads it
        ("0.23.0", {"additional-config": {"enable_cpu_binding": "false"}}, {("config_value", "warn")}),
        ("0.23.0", {"additional-config": {"enable_cpu_binding": False, "enable_kv_nz": "True"}}, set()),
        ("0.30.0", {"additional-config": {"enable_cpu_binding": "false"}}, set()),
        ("0.30.0", {"additional-config": {"enable_cpu_binding": "none"}}, {("config_value", "fail")}),
        (
            "0.30.0",
            {"additional-config": {"weight_nz_mode": True, "enable_fused_mc2": True}},
            set(),
        ),  # va#11299
        ("0.30.0", {"additional-config": {"weight_nz_mode": 1.5}}, {("config_value", "fail")}),
        ("0.23.0", {"additional-config": {"eplb_config": True}}, {("config_value", "warn")}),
        (
            "0.23.0",
            {"additional-config": {"eplb_config": {"num_redundant_experts": "16"}}},
            {("config_value", "warn")},
        ),
        ("0.23.0", {"additional-config": {"eplb_config": {"num_redundant_experts": 16}}}, set()),
        # Values of which the release takes a few only: by a Literal, or by its own check
        ("0.30.0", {"additional-config": {"mc2_comm_alg": "ring"}}, {("config_value", "fail")}),
        ("0.30.0", {"additional-config": {"mc2_comm_alg": "", "combine_quant_mode": 2}}, set()),
        ("0.30.0", {"additional-config": {"combine_quant_mode": 1}}, {("config_value", "fail")}),
        ("0.30.0", {"additional-config": {"weight_nz_mode": 3}}, {("config_value", "fail")}),
        ("0.30.0", {"additional-config": {"weight_nz_mode": "2", "enable_fused_mc2": 2}}, set()),
        (
            "0.30.0",
            {"additional-config": {"dynamic_spec_config": {"method": "mtp"}}},
            {("config_value", "fail")},
        ),
        (
            "0.23.0",
            {"additional-config": {"eplb_config": {"eplb_heat_collection_stage": "both"}}},
            {("config_value", "fail")},
        ),
        (
            "0.18.0",
            {"additional-config": {"eplb_config": {"eplb_policy_type": 4}}},
            {("config_value", "fail")},
        ),
        ("0.18.0", {"additional-config": {"eplb_config": {"eplb_policy_type": 3}}}, set()),
        # Mappings inside of mappings
        (
            "0.30.0",
            {"additional-config": {"scheduler_config": {"dyntra_lb_config": {"mode": "auto"}}}},
            {("config_value", "fail")},
        ),
        (
            "0.30.0",
            {"additional-config": {"scheduler_config": {"profiling_chunk_config": {"min_chunk": "x"}}}},
            {("config_value", "fail")},
        ),
        ("0.30.0", {"speculative-config": {"num_speculative_tokens": "{tensor_parallel_size}"}}, set()),
        ("0.30.0", {"speculative-config": {"num_speculative_tokens": "3", "method": "mtp"}}, set()),
        ("0.30.0", {"speculative-config": {"num_speculative_tokens": "three"}}, {("mapping_value", "fail")}),
        ("0.13.0", {"speculative-config": {"num_speculative_tokens": 0}}, {("mapping_value", "fail")}),
        ("0.23.0", {"speculative-config": {"method": "mtp3"}}, {("mapping_value", "warn")}),
        ("0.23.0", {"speculative-config": {"num_spec_tokens": 3}}, {("mapping_key", "fail")}),
        ("0.13.0", {"speculative-config": {"num_spec_tokens": 3}}, {("mapping_key", "warn")}),
        ("0.23.0", {"compilation-config": {"cudagraph_mode": "full_decode_only"}}, set()),
        ("0.23.0", {"compilation-config": {"cudagraph_mode": "FULL_DECODE"}}, {("mapping_value", "warn")}),
        (
            "0.23.0",
            {"compilation-config": '{"cudagraph_capture_sizes": "1,2,4"}'},
            {("mapping_value", "fail")},
        ),
        ("0.23.0", {"compilation-config.cudagraph_capture_sizes": [1, 2, 4]}, set()),
        ("0.23.0", {"compilation-config": {"cudagraph_capture_sizes": ["{tensor_parallel_size}"]}}, set()),
        ("0.23.0", {"compilation-config": {"full_cuda_graph": True}}, {("mapping_key", "fail")}),
        (
            "0.23.0",
            {"compilation-config": {"pass_config": {"enable_sp": "maybe"}}},
            {("mapping_value", "fail")},
        ),
        ("0.23.0", {"compilation-config": {"pass_config": {"enable_sp": True}}}, set()),
        ("0.23.0", {"kv-transfer-config": {"kv_role": "prefill"}}, {("mapping_value", "warn")}),
        ("0.23.0", {"kv-transfer-config": {"kv_port": [30000]}}, {("mapping_value", "fail")}),
        ("0.23.0", {"kv-transfer-config": {"kv_port": "30000", "kv_role": "kv_both"}}, set()),
    ],
)
def test_a_value_inside_of_a_mapping_is_one_that_the_release_takes(release, args, expected):
    findings = found("glm-4.7-v0.23.0", {"vllm_release": release, "vllm_serve_args": args})
    rules = ("config_value", "mapping_key", "mapping_value")
    assert {(one.id, one.severity) for one in findings if one.id in rules} == expected


# As upstream's scripts write them: a shell replaces $KV_PORT there.
@pytest.mark.parametrize(
    ("release", "variables", "expected"),
    [
        (
            "0.23.0",
            {"vllm_serve_args": {"kv-transfer-config": {"kv_port": "$KV_PORT"}}},
            {("fail", "kv-transfer-config.kv_port")},
        ),
        (
            "0.23.0",
            {"vllm_serve_args": {"kv-transfer-config": '{"kv_port": "${KV_PORT}", "engine_id": "$ENGINE"}'}},
            {("fail", "kv-transfer-config.kv_port"), ("warn", "kv-transfer-config.engine_id")},
        ),
        (
            "0.23.0",
            {
                "vllm_serve_args": {
                    "kv-transfer-config": {"kv_connector_extra_config": {"prefill": {"tp_size": "$P"}}}
                }
            },
            {("warn", "kv-transfer-config.kv_connector_extra_config.prefill.tp_size")},
        ),
        ("0.23.0", {"vllm_serve_extra_args": ["--seed-oss=$X"]}, {("warn", "seed-oss")}),
        (
            "0.23.0",
            {"vllm_serve_args": {"additional-config": {"enable_mlapo": "$ON"}}},
            {("warn", "additional-config.enable_mlapo")},
        ),
        (
            "0.30.0",
            {"vllm_serve_args": {"additional-config": {"enable_mlapo": "$ON"}}},
            {("fail", "additional-config.enable_mlapo")},
        ),
        ("0.23.0", {"vllm_serve_env": {"HCCL_IF_IP": "$MY_IP"}}, set()),
        (
            "0.23.0",
            {"vllm_serve_args": {"kv-transfer-config": {"kv_port": "30000", "kv_ip": "US$ 5"}}},
            set(),
        ),
    ],
)
def test_a_variable_of_a_shell_in_a_flag_is_told_as_one(release, variables, expected):
    findings = found(PLAIN, {"vllm_release": release, **variables})
    told = [one for one in findings if one.id in ("flag_variable", "mapping_value", "config_value")]
    assert {one.id for one in told} <= {"flag_variable"}
    assert {(one.severity, one.problem.found.partition(" is ")[0]) for one in told} == expected


@pytest.mark.parametrize(("value", "told"), [("true", True), ("1", False)])
def test_a_variable_of_vllm_ascend_that_is_read_as_a_number_is_one(value, told):
    findings = found(PLAIN, {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_FLASHCOMM1": value}})
    assert [one.id for one in findings] == ["variable_value"] * told


@pytest.mark.parametrize(
    ("release", "variables", "told"),
    [
        # vllm-ascend#9357: a key of ascend_compilation_config outside of it
        (
            "0.30.0",
            {"vllm_serve_args": {"additional-config": {"fuse_muls_add": True}}},
            ("config_unread", "write ascend_compilation_config.fuse_muls_add"),
        ),
        # vllm-ascend#6524: a variable of an older release, and sizes without that of the draft
        (
            "0.13.0",
            {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_DENSE_OPTIMIZE": "1"}},
            ("variable_unread", "VLLM_ASCEND_ENABLE_DENSE_OPTIMIZE: null"),
        ),
        # vllm-ascend#5581
        (
            "0.13.0",
            {"vllm_serve_env": {"ASCEBD_RT_VISIBLE_DEVICES": "0,1"}},
            ("variable_misspelt", "ASCEND_RT_VISIBLE_DEVICES"),
        ),
        # vllm-ascend#16983: the method of a newer release
        (
            "0.23.0",
            {"vllm_serve_args": {"speculative-config": {"method": "dspark", "num_speculative_tokens": 5}}},
            ("mapping_value", "speculative-config: {method: null}"),
        ),
        # vllm-ascend#5295: a key of an older release; a schedule that is built in
        (
            "0.13.0",
            {"vllm_serve_args": {"additional-config": {"enable_weight_nz_layout": True}}},
            ("config_unread", "enable_weight_nz_layout: null"),
        ),
        # vllm-ascend#7744
        (
            "0.18.0",
            {"vllm_serve_args": {"additional-config": {"ascend_scheduler_config": {"enabled": False}}}},
            ("config_unread", "ascend_scheduler_config: null"),
        ),
        # vllm-ascend#17405: a switch that became a key, and a variable that is gone
        (
            "0.30.0",
            {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_FUSED_MC2": "1"}},
            ("variable_unread", "enable_fused_mc2"),
        ),
        (
            "0.30.0",
            {"vllm_serve_env": {"VLLM_RPC_TIMEOUT": "3600000"}},
            ("variable_unread", "VLLM_RPC_TIMEOUT"),
        ),
        # vllm#46325: one dash
        (
            "0.23.0",
            {"vllm_serve_extra_args": ["-language-model-only"]},
            ("flag_unknown", "write --language-model"),
        ),
        # vllm-ascend#3357, #669: flags of older releases
        (
            "0.23.0",
            {"vllm_serve_extra_args": ["--disable-log-requests"]},
            ("flag_unknown", "remove it: requests"),
        ),
        ("0.23.0", {"vllm_serve_extra_args": ["--swap-space=16"]}, ("flag_unknown", "remove it")),
        # vllm-ascend#4281: taken for the address of the API
        ("0.13.0", {"vllm_serve_args": {"master-addr": "10.0.0.10"}}, ("flag_idle", "master-addr: null")),
        # vllm-ascend#1223: keys of releases before 0.11
        (
            "0.13.0",
            {"vllm_serve_args": {"additional-config": {"torchair_graph_config": {"enabled": True}}}},
            ("config_unread", "torchair_graph_config: null"),
        ),
    ],
)
def test_what_users_report_is_told_with_a_remedy(release, variables, told):
    findings = found(PLAIN, {"vllm_release": release, **variables})
    rule, remedy = told
    assert [remedy in one.problem.remedy for one in findings if one.id == rule] == [True]


def test_flags_of_several_nodes_are_read_with_nnodes():
    args = {"master-addr": "10.0.0.10", "nnodes": 2, "node-rank": 0}
    assert "flag_idle" not in {one.id for one in found(PLAIN, {"vllm_serve_args": args})}


def config(**keys: Any) -> dict[str, Any]:
    return {"vllm_serve_args": {"additional-config": keys}}


def transfer(role: str, **extra: Any) -> dict[str, Any]:
    return {"kv-transfer-config": {"kv_role": role, "kv_connector_extra_config": extra}}


# Qwen3-32B, without experts, with 8 KV heads
DENSE: dict[str, Any] = {
    "vllm_model_repo": "Qwen/Qwen3-32B",
    "vllm_model_config": {
        **dict.fromkeys(("n_routed_experts", "num_experts_per_tok", "n_shared_experts")),
        "repo": "Qwen/Qwen3-32B", "num_attention_heads": 64, "num_key_value_heads": 8,
    },
}  # fmt: skip
FOUR_HEADS = {**DENSE, "vllm_model_config": {**DENSE["vllm_model_config"], "num_key_value_heads": 4}}
FLASHCOMM = {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_FLASHCOMM1": "1"}}
FINE = {"finegrained_tp_config": {"lmhead_tensor_parallel_size": 2}}


def hosts(number: int) -> tuple[str, ...]:
    return tuple(f"node{one}" for one in range(number))


EXPERTS_512 = {
    "vllm_model_repo": "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "vllm_model_config": {
        **dict.fromkeys(("n_routed_experts", "n_shared_experts", "first_k_dense_replace")),
        "repo": "Qwen/Qwen3-Next-80B-A3B-Instruct", "num_experts": 512, "num_experts_per_tok": 10,
    },
    "vllm_serve_env": {"HCCL_INTRA_PCIE_ENABLE": None},
}  # fmt: skip


# The operator of MC2 takes as many experts on each rank (CANN's document on aclnnMoeDistributeDispatchV2), and from
# 0.18 on, vLLM-Ascend does without it on A2 where these are more than 24 (ascend_forward_context.py).
@pytest.mark.parametrize(
    ("release", "number", "variables", "expected"),
    [
        ("0.23.0", 2, {}, []),
        ("0.23.0", 3, {}, ["expert_shares"]),  # 160 experts, 24 ranks
        ("0.13.0", 3, {}, ["expert_shares"]),
        ("0.23.0", 4, {}, []),
        ("0.23.0", 3, {"vllm_serve_args": {"enable-expert-parallel": False}}, []),
        ("0.23.0", 3, {"vllm_model_repo": "me/other"}, []),
        ("0.23.0", 3, config(eplb_config={"num_redundant_experts": 8}), []),
        ("0.23.0", 3, {"vllm_npu_name": "Ascend910"}, ["expert_shares"]),
        ("0.13.0", 2, EXPERTS_512, ["moe_dispatch"]),
        ("0.18.0", 2, EXPERTS_512, []),
        ("0.18.0", 4, EXPERTS_512, ["moe_dispatch"]),
    ],
)
def test_ranks_that_mc2_does_not_take_are_told(release, number, variables, expected):
    findings = found(PLAIN, {"vllm_release": release, **variables}, hosts=hosts(number))
    assert [one.id for one in findings if one.id in ("expert_shares", "moe_dispatch")] == expected


# What vLLM-Ascend compares when it starts, as users report it, and the same settings where they work.
@pytest.mark.parametrize(
    ("release", "variables", "expected"),
    [
        # vllm-ascend#11265, #11667: wrong answers, and from 0.18 on no start
        ("0.23.0", config(recompute_scheduler_enable=True), "kv_role"),
        ("0.13.0", config(recompute_scheduler_enable=True), ""),
        ("0.30.0", config(scheduler_config={"recompute_scheduler_enable": True}), "kv_role"),
        (
            "0.23.0",
            {
                "vllm_serve_args": {
                    **config(recompute_scheduler_enable=True)["vllm_serve_args"],
                    **transfer("kv_consumer"),
                }
            },
            "",
        ),
        ("0.18.0", config(layer_sharding=["o_proj"]), "kv_role"),  # vllm-ascend#8558
        ("0.18.0", {"vllm_serve_env": {"VLLM_ASCEND_BALANCE_SCHEDULING": "1"}}, ""),
        # vllm-ascend#8975: a deadlock of two schedulers
        (
            "0.18.0",
            {
                "vllm_serve_env": {"VLLM_ASCEND_BALANCE_SCHEDULING": "1"},
                "vllm_serve_args": {
                    "additional-config": {"recompute_scheduler_enable": True},
                    **transfer("kv_consumer"),
                },
            },
            "kv_role",
        ),
        # vllm-ascend#3574
        ("0.13.0", {"vllm_serve_env": {"ASCEND_LAUNCH_BLOCKING": "1"}}, "settings_conflict"),
        (
            "0.13.0",
            {"vllm_serve_env": {"ASCEND_LAUNCH_BLOCKING": "1"}, "vllm_serve_args": {"enforce-eager": True}},
            "",
        ),
        ("0.30.0", {"vllm_serve_env": {"ASCEND_LAUNCH_BLOCKING": "1"}}, ""),
        # vllm-ascend#4014
        ("0.18.0", {**FLASHCOMM, "vllm_serve_args": {"enable-expert-parallel": False}}, "parallel_sizes"),
        ("0.18.0", {**FLASHCOMM, **DENSE, "vllm_serve_args": {"enable-expert-parallel": False}}, ""),
        ("0.18.0", {**FLASHCOMM, "vllm_tensor_parallel_size": 1}, "parallel_sizes"),
        ("0.13.0", {**FLASHCOMM, "vllm_serve_args": {"enable-expert-parallel": False}}, ""),
        # vllm-ascend#12700
        (
            "0.23.0",
            {"vllm_tensor_parallel_size": 4, "vllm_serve_args": {"prefill-context-parallel-size": 2}},
            "parallel_sizes",
        ),
        # vllm-ascend#11121, #13488
        ("0.23.0", {**DENSE, **config(**FINE)}, "parallel_sizes"),
        ("0.23.0", config(**FINE), ""),
        ("0.13.0", config(finegrained_tp_config={"lmhead_tensor_parallel_size": 4}), "parallel_sizes"),
        (
            "0.23.0",
            {
                "vllm_serve_args": {
                    "additional-config": {"finegrained_tp_config": {"oproj_tensor_parallel_size": 2}},
                    **transfer("kv_consumer"),
                }
            },
            "parallel_sizes",
        ),
        *(
            (
                release,
                {
                    "vllm_tensor_parallel_size": tensor,
                    "vllm_serve_args": {
                        "additional-config": {"finegrained_tp_config": {"oproj_tensor_parallel_size": size}},
                        **transfer("kv_consumer"),
                    },
                },
                expected,
            )
            for release, tensor, size, expected in (
                ("0.23.0", 8, 2, "parallel_sizes"),
                ("0.23.0", 8, 1, ""),
                ("0.23.0", 1, 2, ""),
            )
        ),
        # vllm-ascend#8344
        ("0.18.0", {"vllm_serve_args": transfer("kv_producer", prefill={"dp_size": 1})}, "parallel_sizes"),
        ("0.18.0", {"vllm_serve_args": transfer("kv_producer", prefill={"dp_size": 2, "tp_size": 8})}, ""),
        ("0.18.0", {"vllm_serve_args": transfer("kv_producer", decode={"dp_size": 1})}, ""),
        # vllm-ascend#15202
        ("0.30.0", config(enable_fused_mc2=1, mc2_comm_alg="hierarchy"), "settings_conflict"),
        ("0.30.0", config(enable_fused_mc2=0, mc2_comm_alg="hierarchy"), ""),
        # vllm#51429
        ("0.23.0", {**DENSE, "vllm_serve_args": {"decode-context-parallel-size": 2}}, "context_parallel"),
        ("0.23.0", {**DENSE, "vllm_serve_args": {"decode-context-parallel-size": 1}}, ""),
        ("0.23.0", {**FOUR_HEADS, "vllm_serve_args": {"decode-context-parallel-size": 2}}, ""),
        (
            "0.23.0",
            {**FOUR_HEADS, "vllm_serve_args": {"decode-context-parallel-size": 4}},
            "context_parallel",
        ),
        ("0.18.0", config(eplb_config={"dynamic_eplb": True}), "settings_conflict"),
        (
            "0.18.0",
            {**config(eplb_config={"dynamic_eplb": True}), "vllm_serve_env": {"DYNAMIC_EPLB": "true"}},
            "",
        ),
        (
            "0.18.0",
            config(ascend_compilation_config={"enable_npugraph_ex": False, "enable_static_kernel": True}),
            "settings_conflict",
        ),
        (
            "0.18.0",
            {
                "vllm_serve_args": {
                    "additional-config": {"xlite_graph_config": {"enabled": True}},
                    "speculative-config": {"method": "mtp", "num_speculative_tokens": 1},
                }
            },
            "settings_conflict",
        ),
    ],
)
def test_what_a_release_refuses_together_is_told(release, variables, expected):
    rules = ("kv_role", "parallel_sizes", "settings_conflict", "context_parallel")
    findings = found(PLAIN, {"vllm_release": release, **variables})
    told = [(one.id, one.severity) for one in findings if one.id in rules]
    assert told == ([(expected, "fail")] if expected else [])


def serve(**flags: Any) -> dict[str, Any]:
    return {"vllm_serve_args": {name.replace("_", "-"): value for name, value in flags.items()}}


def speculation(**keys: Any) -> dict[str, Any]:
    return serve(speculative_config={"num_speculative_tokens": 2, **keys})


SIZES = {"cudagraph_capture_sizes": [1, 2, 4]}
GRAPHS = {"compilation_config": SIZES, "max_num_batched_tokens": 8192}


# What vLLM compares when it starts, by the checks in its source, as users report it, and the same where it works.
@pytest.mark.parametrize(
    ("release", "variables", "expected"),
    [
        ("0.23.0", serve(tool_call_parser=None), "flags_together"),
        ("0.23.0", serve(tool_call_parser=None, enable_auto_tool_choice=None), ""),
        ("0.23.0", serve(enable_log_outputs=True), "flags_together"),
        ("0.23.0", serve(enable_log_outputs=True, enable_log_requests=True), ""),
        # vllm#10483
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=4), "flags_together"),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=1), ""),
        ("0.23.0", speculation(method="mtp", draft_tensor_parallel_size=8), ""),
        ("0.23.0", speculation(method="eagle3"), "flags_together"),
        ("0.23.0", speculation(method="eagle3", model="/opt/data/draft"), ""),
        ("0.23.0", speculation(method="ngram"), ""),
        # vllm#24799
        (
            "0.13.0",
            {**serve(async_scheduling=True, speculative_config={"method": "ngram"})},
            "flags_together",
        ),
        ("0.13.0", {**serve(async_scheduling=True, speculative_config={"method": "mtp"})}, ""),
        ("0.13.0", serve(async_scheduling=True, pipeline_parallel_size=2), "flags_together"),
        ("0.18.0", serve(async_scheduling=True, pipeline_parallel_size=2), ""),
        ("0.23.0", serve(**{**GRAPHS, "compilation_config": {**SIZES, "max_cudagraph_capture_size": 8}}), "flags_together"),
        ("0.23.0", serve(**{**GRAPHS, "compilation_config": {**SIZES, "max_cudagraph_capture_size": 4}}), ""),
        ("0.23.0", serve(**{**GRAPHS, "compilation_config": {"max_cudagraph_capture_size": 8}}), ""),
        ("0.23.0", serve(decode_context_parallel_size=3), "flags_together"),
        ("0.23.0", serve(kv_transfer_config={"kv_connector": "MooncakeConnectorV1"}), "flags_together"),
        ("0.23.0", serve(enable_lora=True, max_loras=4, max_cpu_loras=2), "flags_together"),
        ("0.23.0", serve(enable_lora=True, max_loras=4, max_cpu_loras=4), ""),
        ("0.23.0", serve(max_loras=4, max_cpu_loras=2), ""),
        ("0.23.0", serve(mamba_block_size=256, no_enable_prefix_caching=True), "flags_together"),
        ("0.23.0", serve(mamba_block_size=256), ""),
        # vllm-ascend#5798
        ("0.23.0", serve(enable_eplb=True), "flags_together"),
        ("0.30.0", serve(enable_eplb=True), ""),
        ("0.23.0", serve(eplb_config={"num_redundant_experts": 16}), "flags_together"),
        # vllm-ascend#7937, gpustack#6221
        ("0.18.0", serve(data_parallel_hybrid_lb=True), "load_balancer"),
        ("0.18.0", serve(data_parallel_hybrid_lb=False), ""),
        ("0.23.0", {"vllm_serve_extra_args": ["--data-parallel-rank", "0"]}, "load_balancer"),
        # vllm-ascend#1526, #195: methods that the platform does not take
        ("0.13.0", serve(quantization="fp8"), "quantization_method"),
        ("0.23.0", serve(quantization="fp8"), ""),
        ("0.23.0", serve(quantization="awq"), "quantization_method"),
        ("0.23.0", serve(quantization="gptq"), "quantization_method"),
        ("0.18.0", serve(quantization="compressed-tensors"), ""),
        ("0.18.0", {"vllm_model_config": {"quantization_config": {"quant_method": "awq"}}}, "quantization_method"),
        ("0.18.0", {"vllm_model_config": {"quantization_config": {"quant_method": "compressed-tensors"}}}, ""),
        (
            "0.18.0",
            {"vllm_model_config": {"model_type": "minimax_m2", "quantization_config": {"quant_method": "fp8"}}},
            "",
        ),
        # vllm-ascend#5599, #6676: an image for other NPUs
        ("0.23.0", {"vllm_npu_name": "310P3"}, "npu_image"),
        ("0.23.0", {"vllm_npu_name": "Ascend910_9392"}, "npu_image"),
        ("0.23.0", {"vllm_npu_name": "910B4-1"}, ""),
        ("0.23.0", {"vllm_npu_name": "910B2C"}, ""),
        ("0.23.0", {"vllm_npu_name": "910A"}, ""),
        # sizes of graphs with FlashComm, and blocks with xlite
        (
            "0.18.0",
            {**FLASHCOMM, **serve(compilation_config={**SIZES, "cudagraph_mode": "FULL_DECODE_ONLY"})},
            "parallel_sizes",
        ),
        (
            "0.18.0",
            {**FLASHCOMM, **serve(compilation_config={"cudagraph_capture_sizes": [1, 8]})},
            "",
        ),
        (
            "0.18.0",
            serve(additional_config={"xlite_graph_config": {"enabled": True}}, block_size=64),
            "settings_conflict",
        ),
        (
            "0.23.0",
            serve(additional_config={"xlite_graph_config": {"enabled": True}}, block_size=64),
            "",  # from 0.23 on it only warns
        ),
        (
            "0.18.0",
            serve(additional_config={"xlite_graph_config": {"enabled": True}}, block_size=128),
            "",
        ),
    ],
)  # fmt: skip
def test_what_vllm_refuses_together_is_told(release, variables, expected):
    rules = (
        "flags_together", "load_balancer", "npu_image", "parallel_sizes", "quantization_method",
        "settings_conflict",
    )  # fmt: skip
    findings = found(PLAIN, {"vllm_release": release, **variables})
    assert [one.id for one in findings if one.id in rules] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("release", "variables"),
    [
        ("0.18.0", {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_FLASHCOMM1": "1"}}),  # vllm-ascend#9986
        ("0.23.0", {"vllm_serve_env": {"VLLM_ASCEND_ENABLE_NZ": "1"}}),  # vllm-ascend#11624
        ("0.13.0", {"vllm_serve_env": {"VLLM_USE_MODELSCOPE": "True"}}),  # vllm-ascend#5559
        ("0.13.0", {"vllm_serve_args": {"compilation-config": {"cudagraph_mode": 1}}}),  # vllm#20059
        # vllm-ascend#8623
        (
            "0.18.0",
            {"vllm_serve_args": {"speculative-config": {"method": "qwen3_5_mtp", "enforce_eager": True}}},
        ),
        # vllm-ascend#11299
        (
            "0.23.0",
            {"vllm_serve_args": {"additional-config": {"enable_fused_mc2": True, "weight_nz_mode": True}}},
        ),
    ],
)
def test_what_serves_elsewhere_is_not_refused_and_not_doubted(release, variables):
    patches = {"vllm_patch_set": "glm47" if release == "0.13.0" else None}
    findings = found(PLAIN, {"vllm_release": release, **patches, **variables})
    assert [one.id for one in findings if one.severity != "info"] == []
