# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan of the memory is made of: the settings, or a folder with the model's files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from actions import Site
from huggingface_standin import HuggingFaceHub

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
    "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 3072, "vocab_size": 151936, "max_position_embeddings": 40960, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture(name="site")
def site_of_two(tmp_path):
    def make(workers: int = 1, head: dict[str, Any] | None = None, **shared: Any) -> Site:
        hosts = {f"node{number}": {} for number in range(1, workers + 1)}
        data = {"vllm_head": {"hosts": {"node0": head or {}}}, "all": {"vars": shared}}
        return Site(tmp_path, {**data, "vllm_workers": {"hosts": hosts}})

    return make


def test_the_settings_describe_the_model(site):
    result = site().action("capacity", "node0").result()
    assert (result["verdict"], result["problem"], result["changed"]) == ("fits", {}, False)
    assert result["capacity"]["layout"]["hosts"] == 2
    assert "Fits" in result["msg"]
    assert result["report"]


def test_a_model_that_is_too_large_is_a_problem(site):
    result = site(workers=0).action("capacity", "node0").result()
    assert result["verdict"] == "too large"
    assert "2 hosts" in result["problem"]["remedy"]


def test_the_chips_with_the_least_memory_count(site):
    result = site(head={"vllm_npu_hbm_mb": 32768}).action("capacity", "node1").result()
    assert result["verdict"] == "too large"


def test_a_settings_model_of_another_repository_is_refused(site):
    text = site(vllm_model_repo="me/Other").refusal("capacity", "node0")
    assert "me/Other" in text
    assert "GLM-4.7" in text


def test_a_folder_with_the_files(site, tmp_path):
    folder = tmp_path / "Small-0.6B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    given = {"source": "folder", "model_dir": str(folder)}
    shared = {"vllm_model_repo": "me/Small-0.6B"}
    result = site(**shared).action("capacity", "node0", **given).result()
    assert result["verdict"] in ("fits", "tight")
    assert result["report"] != site().action("capacity", "node0").result()["report"]
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": "many"}), encoding="utf-8")
    assert "Small-0.6B: " in site(**shared).refusal("capacity", "node0", **given)
    assert "model_dir" in site(**shared).refusal("capacity", "node0", source="folder")


def test_a_folder_without_weights_has_the_size_of_the_settings(site, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    weights = []
    for size in (1, 2):
        run = site(vllm_model_repo="me/Small", vllm_model_size_gb=size)
        result = run.action("capacity", "node0", source="folder", model_dir=str(tmp_path)).result()
        weights.append(result["capacity"]["weights"])
    assert weights[0] < weights[1]


def test_the_files_of_a_hub(site):
    with HuggingFaceHub("me/Small", {"config.json": json.dumps(CONFIG).encode()}, "right").serving() as hub:
        shared = {
            "vllm_model_repo": "me/Small", "vllm_model_hub": "huggingface", "vllm_model_endpoint": hub.url,
            "vllm_model_size_gb": 1,
        }  # fmt: skip
        result = site(**shared).action("capacity", "node0", source="hub", token="right").result()
        assert result["capacity"]["weights"]
        text = site(**shared).refusal("capacity", "node0", source="hub", token="wrong")
    assert "weights_token" in text


def test_an_architecture_that_cannot_be_counted_is_told_with_what_is_known(site, tmp_path):
    folder = tmp_path / "Strange"
    folder.mkdir()
    strange = {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "state_size": 16, "ssm_cfg": {}}
    (folder / "config.json").write_text(json.dumps(strange), encoding="utf-8")
    shared = {"vllm_model_repo": "me/Strange"}
    run = site(**shared).action("capacity", "node0", source="folder", model_dir=str(folder))
    result = run.result()
    assert (result["verdict"], result["capacity"], result["changed"]) == ("unknown", {}, False)
    assert "me/Strange" in result["report"]
    assert "2 x 8 NPUs of 64.0 GiB" in result["report"]
    assert result["problem"]["remedy"]
    assert result["msg"].startswith("Not known: ")


@pytest.mark.parametrize("rate", ["download_mb", "load_mb"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_rate_below_one_is_refused(site, rate, value):
    assert f"{rate} is {value}" in site().refusal("capacity", "node0", **{rate: value})


def test_times_follow_from_the_rates(site):
    usual = site().action("capacity", "node0").result()["capacity"]
    slow = site().action("capacity", "node0", download_mb=1, load_mb=1).result()["capacity"]
    assert usual != slow
