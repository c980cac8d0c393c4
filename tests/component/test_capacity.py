# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/plan.yml as users run it: for inventories/prod, for one host, and with the model's own files."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT, playbook

PROD = ROOT / "inventories/prod/hosts.yml"
REPO, TOKEN = "me/Small-0.6B", "the-right-token"
# config.json of Qwen/Qwen3-0.6B, one chip of which is enough
CONFIG = {
    "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 3072, "vocab_size": 151936, "max_position_embeddings": 40960, "tie_word_embeddings": True,
}  # fmt: skip


def planned(tmp_path: Path, *options: str, inventory: Path = PROD) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, the JSON and the output. No host can be reached."""
    figures = tmp_path / "plan.json"
    given = ("-i", str(inventory), "-e", f"plan_json={figures}", "-e", "ansible_ssh_executable=/bin/false")
    done, _failures = playbook("playbooks/plan.yml", *given, *options)
    found = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    return done.returncode, found, done.stdout + done.stderr


def test_the_sample_inventory_is_planned_without_a_host(tmp_path):
    code, found, output = planned(tmp_path)
    assert code == 0, output
    assert found["verdict"] == "fits"
    assert found["problem"] == {}
    assert found["capacity"]["layout"] == {
        "hosts": 2, "chips": 8, "tensor": 8, "data": 2, "pipeline": 1, "expert": 16, "idle": 0
    }  # fmt: skip
    assert "weights: experts          39.1 GiB" in output
    assert "Fits: " in output


def test_one_host_is_refused_with_what_to_change(tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("vllm_head: {hosts: {node0: }}", encoding="utf-8")
    code, found, output = planned(tmp_path, "-e", "awx_job_id=1", inventory=inventory)
    assert code == 2, output
    assert found["verdict"] == "too large"
    assert "2 hosts" in found["problem"]["remedy"]
    assert "vllm_profile: glm-4.7-w8a8, quantized weights" in found["problem"]["remedy"]
    assert "The model does not fit" in output


@pytest.fixture(name="files")
def files_of_a_model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(8))
    return folder


@pytest.fixture(name="hub")
def hub_with_the_files(files: Path) -> Iterator[str]:
    spec = importlib.util.spec_from_file_location("lab_hub", ROOT / "tests/lab/hub/hub.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.Hub(("127.0.0.1", 0), module.Repository(files, REPO), module.Tokens(TOKEN))
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_of_ones_own_is_planned_from_its_files(tmp_path, files):
    """The folder has no weights, and so vllm_model_size_gb says how large they are."""
    (files / "model.safetensors").unlink()
    own = {"vllm_model_repo": REPO, "vllm_model_size_gb": 1, "vllm_tensor_parallel_size": 1}
    code, found, output = planned(tmp_path, "-e", json.dumps(own), "-e", f"plan_model_dir={files}")
    assert code == 0, output
    assert found["capacity"]["model"] == "Small-0.6B"
    assert found["capacity"]["kv_token"] == 114688


def test_a_model_of_ones_own_is_planned_from_the_hub(tmp_path, hub):
    own = {"vllm_model_repo": REPO, "vllm_model_endpoint": hub, "plan_hub": True, "weights_token": TOKEN}
    code, found, output = planned(tmp_path, "-e", json.dumps(own))
    assert code == 0, output
    assert found["capacity"]["kv_token"] == 114688 / 8
    assert TOKEN not in output
    assert found["capacity"]["weights_size"] == 8  # what the hub lists
    assert found["capacity"]["doubts"]


def test_a_model_of_another_architecture_is_not_called_wrong(tmp_path, files):
    (files / "model.safetensors").unlink()
    (files / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "n_layer": 12, "n_head": 12}), "utf-8"
    )
    code, found, output = planned(tmp_path, "-e", f"plan_model_dir={files}")
    assert code == 0, output
    assert (found["verdict"], found["capacity"]) == ("unknown", {})
    assert "there is no num_hidden_layers" in output
    assert "Correct" not in output


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"plan_download_mb": 0}, "download_mb is 0"),
        (
            {"plan_hub": True, "vllm_model_endpoint": "http://127.0.0.1:1"},
            "bring the weights: plan_model_dir",
        ),
    ],
)
def test_what_stops_the_plan_is_told_with_its_options(tmp_path, given, told):
    code, _found, output = planned(tmp_path, "-e", json.dumps(given))
    assert code == 2
    assert told in " ".join(output.split())


def test_a_model_without_description_is_named(tmp_path):
    code, _found, output = planned(tmp_path, "-e", f"vllm_model_repo={REPO}")
    assert code == 2
    text = " ".join(output.split())
    assert f"vllm_model_config describes ZhipuAI/GLM-4.7, and vllm_model_repo is {REPO}" in text
    assert "plan_model_dir" in text
