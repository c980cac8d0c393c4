# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/render.yml writes for inventories/prod, against the manual procedure value by value."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_run import ROOT, run

ENVIRONMENT = {
    "HCCL_IF_IP": {"node0": "10.0.0.10", "node1": "10.0.0.11"},
    "GLOO_SOCKET_IFNAME": "enp67s0f0",
    "TP_SOCKET_IFNAME": "enp67s0f0",
    "HCCL_SOCKET_IFNAME": "enp67s0f0",
    "OMP_PROC_BIND": "false",
    "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7",
    "OMP_NUM_THREADS": "1",
    "PYTORCH_NPU_ALLOC_CONF": "expandable_segments:True",
    "VLLM_USE_V1": "1",
    "HCCL_BUFFSIZE": "1024",
    "HCCL_OP_EXPANSION_MODE": "AIV",
}
FLAGS = {
    "--host": "0.0.0.0",
    "--port": "8080",
    "--data-parallel-size": "2",
    "--data-parallel-size-local": "1",
    "--data-parallel-address": "10.0.0.10",
    "--data-parallel-rpc-port": "8082",
    "--tensor-parallel-size": "8",
    "--enable-expert-parallel": None,
    "--tool-call-parser": "glm47",
    "--reasoning-parser": "glm45",
    "--enable-auto-tool-choice": None,
    "--served-model-name": "glm47",
    "--max-model-len": "8192",
    "--max-num-batched-tokens": "8192",
    "--max-num-seqs": "8",
    "--trust-remote-code": None,
    "--gpu-memory-utilization": "0.9",
    "--additional-config": {
        "enable_multistream_moe": False,
        "chunked_prefill_for_mla": True,
        "ascend_scheduler_config": {"enabled": True},
        "enable_weight_nz_layout": True,
    },
}
WORKER_FLAGS = {"--data-parallel-start-rank": "1", "--headless": None}
DEVICES = [f"/dev/davinci{i}" for i in range(8)] + ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]
MOUNTS = {
    "/usr/local/dcmi": "/usr/local/dcmi",
    "/usr/local/Ascend/driver/tools/hccn_tool": "/usr/local/Ascend/driver/tools/hccn_tool",
    "/usr/local/bin/npu-smi": "/usr/local/bin/npu-smi",
    "/usr/local/Ascend/driver/lib64/": "/usr/local/Ascend/driver/lib64/",
    "/usr/local/Ascend/driver/version.info": "/usr/local/Ascend/driver/version.info",
    "/etc/ascend_install.info": "/etc/ascend_install.info",
    "/opt/data": "/root/.cache",
}


API_KEY = "a-key-of-the-service"


def render(
    inventory: Path, target: Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    given = ("-i", str(inventory), "-e", f"render_dir={target}")
    return run("ansible-playbook", "playbooks/render.yml", *given, *options, LC_ALL="C.UTF-8", **variables)


@pytest.fixture(scope="module", name="rendered")
def rendered_for_prod(tmp_path_factory):
    """The scripts for inventories/prod with its two placeholder addresses filled in, and a survey's empty answer."""
    inventory = tmp_path_factory.mktemp("prod") / "hosts.yml"
    text = (ROOT / "inventories/prod/hosts.yml").read_text(encoding="utf-8")
    inventory.write_text(text.replace("192.0.2.", "10.0.0."), encoding="utf-8")
    target = tmp_path_factory.mktemp("rendered")
    rendering = render(inventory, target, "-e", "vllm_service_nic=enp67s0f0", "-e", "vllm_profile=")
    assert rendering.returncode == 0, rendering.stdout
    return target


def serve_command(script: Path) -> tuple[dict[str, str], list[str]]:
    """Run the script with `source` and `exec` made harmless by bash itself; return its exports and its command line."""
    probe = (
        r"""source() { :; }; exec() { printf '%s\0' "$@" >"$OUT"; env >"$OUT.env"; }; . "$SCRIPT" || exit 1"""
    )
    out = script.with_suffix(".argv")
    subprocess.run(
        ["bash", "-c", probe],
        env={"OUT": str(out), "SCRIPT": str(script), "PATH": os.environ["PATH"]},
        check=True,
    )
    variables = dict(
        line.split("=", 1)
        for line in Path(f"{out}.env").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    return variables, out.read_text(encoding="utf-8").split("\0")[:-1]


@pytest.mark.parametrize("host", ["node0", "node1"])
def test_environment_equals_the_recipes(rendered, host):
    variables, _command = serve_command(rendered / host / "serve.sh")
    expected = {
        name: value[host] if isinstance(value, dict) else value for name, value in ENVIRONMENT.items()
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert set(variables) - set(expected) <= {"OUT", "SCRIPT", "PATH", "PWD", "SHLVL", "_"}


@pytest.mark.parametrize(("host", "expected"), [("node0", FLAGS), ("node1", {**FLAGS, **WORKER_FLAGS})])
def test_flags_equal_the_recipes(rendered, host, expected):
    _variables, command = serve_command(rendered / host / "serve.sh")
    assert command[:3] == ["vllm", "serve", "/root/.cache/verification/models/GLM-4.7"]
    flags: dict[str, object] = {}
    for word in command[3:]:
        if word.startswith("--"):
            last = word
            assert last not in flags, f"{last} twice"
            flags[last] = None
        else:
            flags[last] = json.loads(word) if word.startswith("{") else word
    assert flags == expected


@pytest.mark.parametrize("host", ["node0", "node1"])
def test_container_equals_the_recipes(rendered, host):
    text = (rendered / host / "docker_run.sh").read_text(encoding="utf-8")
    create = next(line for line in text.replace("\\\n", " ").splitlines() if line.startswith("docker create"))
    words = shlex.split(create)
    options = [(words[i], words[i + 1]) for i in range(len(words) - 1)]
    assert [value for flag, value in options if flag == "--device"] == DEVICES
    mounts = [
        dict(part.split("=") for part in value.split(",")) for flag, value in options if flag == "--mount"
    ]
    assert {mount["source"]: mount["target"] for mount in mounts} == MOUNTS
    assert [value for flag, value in options if flag == "--env"] == [
        "PYTORCH_NPU_ALLOC_CONF=max_split_size_mb:256"
    ]
    assert ("--name", "vllm-ascend-v0.13.0rc1") in options
    assert ("--network", "host") in options
    assert "quay.io/ascend/vllm-ascend:v0.13.0rc1" in words


@pytest.mark.parametrize("host", ["node0", "node1"])
@pytest.mark.parametrize("name", ["supervise.py", "drain.py"])
def test_the_supervisor_is_beside_the_scripts(rendered, host, name):
    assert (rendered / host / name).read_bytes() == (ROOT / "roles/container/files" / name).read_bytes()


@pytest.fixture(scope="module", name="ours")
def rendered_for_a_host_with_choices(tmp_path_factory):
    """The scripts for one host with sudo, of a profile of one's own, for a hardened container."""
    folder = tmp_path_factory.mktemp("ours")
    own = "extends: glm-4.7\nserved_model_name: ours\nserve_args: {max-model-len: 4096}\n"
    (folder / "ours.yml").write_text(own, encoding="utf-8")
    become = {"ansible_become": True, "ansible_become_exe": "no-such-sudo"}
    choices = {
        "ansible_host": "10.0.0.10", "vllm_service_nic": "enp67s0f0", "vllm_container_hardened": True,
        "vllm_profile": os.path.relpath(folder / "ours.yml", ROOT), "vllm_api_key": API_KEY,
    }  # fmt: skip
    inventory = {"vllm_head": {"hosts": {"node0": choices}}, "all": {"vars": become}}
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    # As if it were not root who runs this.
    rendering = render(folder / "hosts.json", folder / "out", ANSIBLE_BECOME_ALLOW_SAME_USER="1")
    assert rendering.returncode == 0, rendering.stdout
    return folder / "out"


def test_this_machine_needs_no_sudo_where_the_hosts_do(ours):
    assert (ours / "node0/serve.sh").exists()


def test_a_profile_of_ones_own_is_found_from_where_ansible_runs(ours):
    script = (ours / "node0/serve.sh").read_text(encoding="utf-8")
    assert "--served-model-name ours" in script
    assert "--max-model-len 4096" in script
    assert "--tool-call-parser glm47" in script


def test_a_hardened_container_is_created_with_less_rights(rendered, ours):
    script = (ours / "node0/docker_run.sh").read_text(encoding="utf-8")
    words = shlex.split(script.replace("\\\n", " "), comments=True)
    given = {(words[i], words[i + 1]) for i in range(len(words) - 1)}
    rights = {
        ("--security-opt", "no-new-privileges:true"),
        ("--cap-drop", "ALL"),
        ("--cap-add", "DAC_OVERRIDE"),
    }
    assert rights <= given
    weights = "/opt/data/verification/models/GLM-4.7,target=/root/.cache/verification/models/GLM-4.7"
    assert ("--mount", f"type=bind,source={weights},readonly") in given
    assert ("--mount", "type=bind,source=/usr/local/dcmi,target=/usr/local/dcmi,readonly") in given
    assert ("--mount", "type=bind,source=/opt/data,target=/root/.cache") in given
    other = (rendered / "node0/docker_run.sh").read_text(encoding="utf-8")
    assert not any(word in other for word in ("--cap", "--security-opt", "readonly"))


def test_a_service_with_a_key_does_not_start_without_it(rendered, ours):
    copy = "docker cp api.key vllm-ascend-v0.13.0rc1:/etc/ascend-ops-api.key\n"
    script = (ours / "node0/docker_run.sh").read_text(encoding="utf-8")
    assert copy in script.partition("docker start")[0]
    assert copy not in (rendered / "node0/docker_run.sh").read_text(encoding="utf-8")
    assert not any(API_KEY in file.read_text(encoding="utf-8") for file in (ours / "node0").iterdir())


def test_the_sample_inventory_is_refused_until_it_is_filled_in(tmp_path):
    rendering = render(ROOT / "inventories/prod", tmp_path)
    assert rendering.returncode != 0
    assert all(name in rendering.stdout for name in ("node0", "192.0.2.10", "node1", "192.0.2.11"))
    assert "vllm_service_ip" in rendering.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_nic_must_be_given_because_no_host_is_asked(tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("vllm_head: {hosts: {node0: {ansible_host: 10.0.0.10}}}\n", encoding="utf-8")
    rendering = render(inventory, tmp_path / "out")
    assert rendering.returncode != 0
    assert all(name in rendering.stdout for name in ("node0", "vllm_service_nic", "10.0.0.10"))


@pytest.mark.campaign
@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "profiles/models").iterdir()))
def test_every_profile_is_rendered(tmp_path, profile):
    text = (ROOT / "inventories/prod/hosts.yml").read_text(encoding="utf-8")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(text.replace("192.0.2.", "10.0.0."), encoding="utf-8")
    chosen = ("-e", f"vllm_profile={profile}", "-e", "vllm_service_nic=enp67s0f0")
    rendering = render(inventory, tmp_path / "out", *chosen)
    assert rendering.returncode == 0, rendering.stdout
    commands = [serve_command(tmp_path / "out" / host / "serve.sh")[1] for host in ("node0", "node1")]
    assert ["--headless" in words for words in commands] == [False, True]
