# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are odd and legitimate, and those that look legitimate and are not."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency, flags, plan, values
from shipped import FLAGS, PROFILES, settings
from two_hosts import ADDRESSES


def build(host: str = "node1", **variables: Any) -> dict[str, Any]:
    """Return the plan of settings without a problem."""
    chosen = settings(**variables)
    assert consistency.problems(chosen, FLAGS) == []
    return plan.build(plan.Member(host, ADDRESSES, "enp1"), chosen, FLAGS)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"served-model-name": ["{served_model_name}", "glm-4.7"]}, "--served-model-name glm47 glm-4.7"),
        ({"served-model-name": ["glm47", "glm-4.7"]}, "--served-model-name glm47 glm-4.7"),
        ({"served-model-name": "glm47"}, "--served-model-name glm47"),
        ({"lora-modules": ["a=/a", "b=/b"]}, "--lora-modules a=/a b=/b"),
        ({"lora-modules": [{"name": "a", "path": "/a"}]}, '--lora-modules {"name": "a", "path": "/a"}'),
        ({"cudagraph-capture-sizes": [1, 2, 4]}, "--cudagraph-capture-sizes 1 2 4"),
        ({"allowed-origins": ["*"]}, '--allowed-origins ["*"]'),
        ({"middleware": ["a.b"]}, "--middleware a.b"),
        ({"enable-prefix-caching": False}, "--no-enable-prefix-caching"),
        ({"enable-chunked-prefill": False}, "--no-enable-chunked-prefill"),
        ({"enable-expert-parallel": "false"}, "--no-enable-expert-parallel"),
        ({"enable-lora": "true"}, "--enable-lora"),
        ({"no-enable-prefix-caching": True}, "--no-enable-prefix-caching"),
        ({"disable-log-stats": True}, "--disable-log-stats"),
        ({"hf-token": True}, "--hf-token"),
        ({"kv-transfer-config": {"kv_ip": "{service_ip}"}}, '--kv-transfer-config {"kv_ip": "10.0.0.11"}'),
        ({"hf-overrides": {"a": {"b": ["{head_ip}"]}}}, '--hf-overrides {"a": {"b": ["10.0.0.10"]}}'),
        ({"hf-overrides": '{"a": {"b": 1}}'}, '--hf-overrides {"a": {"b": 1}}'),
        ({"compilation-config.level": 3}, "--compilation-config.level 3"),
        ({"compilation-config.a": False}, "--compilation-config.a false"),
        ({"speculative-config": {"method": "mtp"}}, '--speculative-config {"method": "mtp"}'),
        ({"optimization-level": 3}, "--optimization-level 3"),
        ({"port": 8080}, "--port 8080"),
        ({"port": "{api_port}"}, "--port 8080"),
        ({"host": "::"}, "--host ::"),
        ({"host": "{head_ip}"}, "--host 10.0.0.10"),
        ({"seed": 0}, "--seed 0"),
        ({"max-model-len": "32k"}, "--max-model-len 32k"),
        ({"max-model-len": "25.6K"}, "--max-model-len 25.6K"),
        ({"max-model-len": -1}, "--max-model-len -1"),
        ({"max-model-len": "auto"}, "--max-model-len auto"),
        ({"max-num-batched-tokens": "4k"}, "--max-num-batched-tokens 4k"),
        ({"gpu-memory-utilization": 1}, "--gpu-memory-utilization 1"),
        ({"gpu-memory-utilization": ".95"}, "--gpu-memory-utilization .95"),
        ({"chat-template": "{% raw %}"}, "--chat-template {% raw %}"),
    ],
)
def test_odd_flags_are_written_as_vllm_reads_them(args: dict[str, Any], words: str):
    assert words in [" ".join(arg) for arg in build(vllm_serve_args=args)["serve"]["args"]]


@pytest.mark.parametrize(
    "flag", ["disable-log-stats", "tool-call-parser", "trust-remote-code", "max-num-seqs"]
)
def test_null_leaves_a_flag_out(flag: str):
    written = [arg[0] for arg in build(vllm_serve_args={flag: None})["serve"]["args"]]
    assert not {f"--{flag}", f"--no-{flag}"} & set(written)


@pytest.mark.parametrize(
    ("args", "flag"),
    [
        ({"port": 9000}, "port"),
        ({"port": None}, "port"),
        ({"host": "127.0.0.1"}, "host"),
        ({"served-model-name": "foo"}, "served-model-name"),
        ({"served-model-name": ["foo", "glm47"]}, "served-model-name"),
        ({"tensor-parallel-size": 4}, "tensor-parallel-size"),
        ({"data-parallel-size": 4}, "data-parallel-size"),
        ({"data-parallel-address": "10.0.0.99"}, "data-parallel-address"),
        ({"data-parallel-start-rank": 1}, "data-parallel-start-rank"),
        ({"headless": True}, "headless"),
        ({"api-key": "x"}, "api-key"),
        ({"hf-token": "hf_x"}, "hf-token"),
        ({"uds": "/tmp/x"}, "uds"),
        ({"ssl-keyfile": "/x"}, "ssl-keyfile"),
        ({"max-model-length": 1}, "max-model-length"),
        ({"enable-expert-paralel": True}, "enable-expert-paralel"),
        ({"no-max-model-len": True}, "no-max-model-len"),
        ({"no-enable-lora": False}, "no-enable-lora"),
        ({"max-model-len": True}, "max-model-len"),
        ({"max-model-len": [1, 2]}, "max-model-len"),
        ({"max-model-len": "32x"}, "max-model-len"),
        ({"max-model-len": 0}, "max-model-len"),
        ({"max-num-seqs": -5}, "max-num-seqs"),
        ({"max-num-batched-tokens": "8,192"}, "max-num-batched-tokens"),
        ({"gpu-memory-utilization": 95}, "gpu-memory-utilization"),
        ({"gpu-memory-utilization": "0,95"}, "gpu-memory-utilization"),
        ({"gpu-memory-utilization": 0.0}, "gpu-memory-utilization"),
        ({"tool-call-parser": False}, "tool-call-parser"),
        ({"enable-lora": 1}, "enable-lora"),
        ({"cudagraph-capture-sizes": []}, "cudagraph-capture-sizes"),
        ({"tokenizer": 2.1}, "tokenizer"),
        ({"code-revision": 42798}, "code-revision"),
        ({"kv-transfer-config": {"kv_ip": "{serviceip}"}}, "kv-transfer-config"),
        ({"max-model-len": 10**20}, "max-model-len"),
        ({"pipeline-parallel-size": 2}, "pipeline-parallel-size"),
        ({"pipeline-parallel-size": 0}, "pipeline-parallel-size"),
        ({"compilation.level": 3}, "compilation.level"),
        ({"additional-config": "{not json"}, "additional-config"),
        ({"additional-config": "[]"}, "additional-config"),
        ({"additional-config": [1]}, "additional-config"),
        # An additional-config of https://github.com/vllm-project/vllm-ascend/pull/12396
        ({"additional-config": '{"enable_cpu_binding" "True"}'}, "additional-config"),
        ({"speculative-config": 5}, "speculative-config"),
        ({"speculative-config": "true"}, "speculative-config"),
        # https://github.com/VectorInstitute/vector-inference/issues/157
        ({"compilation-config": 3}, "compilation-config"),
        ({"hf-overrides": "max_position_embeddings=1"}, "hf-overrides"),
        ({"stream-interval": 0}, "stream-interval"),
        ({"seed": "one"}, "seed"),
        ({5: 1}, "vllm_serve_args has 5"),
        ({"additional-config..x": 1}, "additional-config..x"),
        ({"seed": 1.5}, "seed"),
        ({"max-num-seqs": "8k"}, "max-num-seqs"),
        ({"gpu-memory-utilization": "nan"}, "gpu-memory-utilization"),
        ({"cpu-offload-gb": -1}, "cpu-offload-gb"),
    ],
)
def test_flags_that_would_not_do_what_they_say_are_refused(args: dict[str, Any], flag: str):
    problems = consistency.problems(settings(vllm_serve_args=args), FLAGS)
    assert [flag in problem.found for problem in problems] == [True], problems


@pytest.mark.parametrize(
    "args",
    [
        {"speculative-config": '{"method": "mtp", "num_speculative_tokens": 1}'},
        {"speculative-config": "None"},
        {
            "kv-transfer-config": '{"kv_port": {rpc_port}, "extra": {"cpu_bytes_to_use": 80m}, "kv_ip": "{service_ip}"}'
        },
        {"kv-transfer-config": {"kv_ip": "{service_ip}"}},
        {"compilation-config.level": 3},
        {"master-port": "{rpc_port}"},
        {"seed": 2**63 - 1},
        {"seed": -1},
        {"gpu-memory-utilization": 1},
        {"gpu-memory-utilization": "1e-1"},
        {"max-num-batched-tokens": "8k"},
        {"max-logprobs": -1},
        {"cpu-offload-gb": 0},
    ],
)
def test_values_that_vllm_takes_are_taken(args: dict[str, Any]):
    assert consistency.problems(settings(vllm_serve_args=args), FLAGS) == []


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        ("-tp 4", "--tensor-parallel-size 4"),
        ("-tp=4 -O3 -x", "--tensor-parallel-size=4 -O3 -x"),
        ("-cc.mode 3", "--compilation-config.mode 3"),
        ("--tensor_par 4", "--tensor-parallel-size 4"),  # argparse takes the beginning of a name
        ("--no-enable-expert", "--no-enable-expert-parallel"),
        ("--max 4", "--max 4"),  # which one is not clear
        ("--new_flag a_b", "--new_flag a_b"),
    ],
)
def test_raw_flags_are_known_by_all_their_names(words: str, spelled: str):
    assert flags.spelled(FLAGS, words.split()) == spelled.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("-tp 4", 'tensor-parallel-size: "4"'),
        ("--tensor-parallel 4", 'tensor-parallel-size: "4"'),
        ("-dp=4", 'data-parallel-size: "4"'),
        ("-dpr 1", "data-parallel-start-rank, which all hosts would have"),
        ("--headless", "headless, which all hosts would have"),
        ("-pp 2", "pipeline-parallel-size is 8 x 1 x 2 = 16"),
        ("--max-num-seqs many", 'max-num-seqs: "many"'),
        ("--additional-config {", 'additional-config: "{"'),
        ("-tp 8 --no-enable-expert-parallel -O3 --new-flag", ""),
    ],
)
def test_raw_words_are_held_against_the_plan(words: str, found: str):
    problems = consistency.problems(settings(vllm_serve_extra_args=words.split()), FLAGS)
    assert [found in problem.found for problem in problems] == [True] * bool(found), problems


def test_a_remedy_names_the_flag_or_the_variable():
    chosen = settings(vllm_serve_args={"max-model-length": 1, "port": 1})
    remedies = [problem.remedy for problem in flags.problems(FLAGS, chosen)]
    assert [any(word in text for text in remedies) for word in ("max-model-len,", "vllm_api_port")] == [
        True
    ] * 2


def test_only_the_flags_of_a_known_release_are_checked():
    chosen = settings(
        vllm_serve_args={"new-flag": True, "enable-lora": False, "newer": False, "list": [1, 2]}
    )
    unknown = PROFILES.serve_flags("99.1")
    assert flags.problems(unknown, chosen) == []
    written = flags.arguments(
        unknown, {"new-flag": True, "enable-lora": False, "newer": False, "list": [1, 2]}
    )
    assert written == [["--new-flag"], ["--no-enable-lora"], ["--no-newer"], ["--list", "1", "2"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--max-model-len=8192", {"max-model-len": "8192"}),
        ("--max_model_len 8192", {"max-model-len": "8192"}),
        ("--max-model-len -1", {"max-model-len": "-1"}),
        ("--max-model-len=1 word --seed 2", {"max-model-len": "1", "seed": "2"}),
        ("--enable-lora -tp 8 --seed 1", {"enable-lora": True, "seed": "1"}),
        ("word --seed 1 --seed 2", {"seed": "2"}),
        ("--served-model-name a b", {"served-model-name": ["a", "b"]}),
        ('--speculative-config {"method":"mtp"}', {"speculative-config": {"method": "mtp"}}),
        ("--speculative_config.method mtp", {"speculative-config": {"method": "mtp"}}),
        ("--speculative-config {", {"speculative-config": "{"}),
        ("--enable-lora --no-enable-lora", {"enable-lora": False}),
        (
            '--additional-config {"a":{"b_c":1}} --additional-config.a.d true',
            {"additional-config": {"a": {"b_c": 1, "d": True}}},
        ),
    ],
)
def test_the_words_of_a_command_are_read_as_vllm_reads_them(words: str, expected: dict[str, Any]):
    assert flags.effective(flags.parse(words.split())) == expected


def test_later_flags_count_and_null_leaves_one_out():
    shared, own = {"seed": 1, "hf-overrides": {"a": {"b": 1}}, "dtype": "auto"}, {"seed": 2, "dtype": None}
    read = flags.effective(shared, own, {"hf-overrides.a.c": "2"})
    assert read == {"seed": 2, "hf-overrides": {"a": {"b": 1, "c": 2}}}
    assert shared["hf-overrides"] == {"a": {"b": 1}}


def test_raw_words_come_last_and_as_they_are():
    words = build(vllm_serve_extra_args=["-O3", "{word}"])["serve"]["args"]
    assert words[-2:] == [["-O3"], ["{word}"]]


@pytest.mark.parametrize(
    ("ids", "visible"), [([4, 5, 6, 7], "0,1,2,3"), (list(range(8)), "0,1,2,3,4,5,6,7"), ([1, 3], "0,1")]
)
def test_visible_devices_count_from_0_in_the_container(ids: list[int], visible: str):
    built = build(vllm_npu_ids=ids, vllm_tensor_parallel_size=len(ids))
    assert built["serve"]["env"]["ASCEND_RT_VISIBLE_DEVICES"] == visible
    assert built["container"]["devices"][: len(ids)] == [f"/dev/davinci{number}" for number in ids]


def test_engines_without_npus_are_refused_with_what_to_choose():
    (problem,) = consistency.problems(settings(vllm_npu_ids=[]), FLAGS)
    assert problem.found == "vllm_npu_ids is empty"
    (problem,) = consistency.problems(settings(vllm_npu_ids=[0, 1, 2, 3]), FLAGS)
    assert "vllm_tensor_parallel_size to 4" in problem.remedy


def test_an_ipv6_service_listens_on_ipv6():
    addresses = {"node0": "fd00::10"}
    built = plan.build(plan.Member("node0", addresses, "enp1"), settings(), FLAGS)
    assert ["--host", "::"] in built["serve"]["args"]


def test_environment_is_text_and_an_unknown_nic_stays_unknown():
    given = {"A": 1, "B": "true", "C": "{service_nic}"}
    assert values.environment(given, {"service_nic": None}) == {"A": "1", "B": "true", "C": None}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("/lib/libjemalloc.so.2:$OLD", "/lib/libjemalloc.so.2:a b"),
        ("/x:${OLD}", "/x:a b"),
        ("$OLD$OLD", "a ba b"),
        ('$OLD "q" \\ `id` $(id) $1', 'a b "q" \\ `id` $(id) $1'),
        ("$(id)", "$(id)"),
        ("it's 5$", "it's 5$"),
        ("{asctime}", "{asctime}"),
        ("$UNSET_", ""),
    ],
)
def test_bash_replaces_names_of_variables_and_nothing_else(text: str, seen: str):
    script = f'OLD="a b"; X={values.shell_word(text)}; printf %s "$X"'
    assert subprocess.run(["bash", "-ec", script], capture_output=True, text=True).stdout == seen


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"enable-reasoning": True}, "reasoning-parser is enough"),  # gpustack#2146
        ({"disable-log-requests": False, "swap-space": 16}, None),  # of this release
    ],
)
def test_what_became_of_a_flag_is_told(args: dict[str, Any], told: str | None):
    problems = consistency.problems(settings(vllm_serve_args=args), FLAGS)
    assert [told in problem.remedy for problem in problems if told] == [True] * (told is not None)


def test_a_variable_of_a_shell_is_no_number():
    (problem,) = consistency.problems(settings(vllm_serve_args={"max-num-seqs": "$SEQS"}), FLAGS)
    assert problem.expected.endswith("; nothing replaces $SEQS there")
