# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run in check mode says of a service that it would restart. A stand-in has the present container."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from ansible_run import ROOT, run
from docker_daemon import Answers, docker_daemon

NAME = "vllm-ascend-v0.13.0rc1"
IMAGE = "quay.io/ascend/vllm-ascend:v0.13.0rc1"
ROLES = ("container", "patch", "serve", "verify")
INVENTORY = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "vllm_service_ip": "127.0.0.1",
    "vllm_service_nic": "lo",
    "vllm_api_port": 1,  # nothing answers
    "plan_offline": True,
}


def answers(image: str, *flags: str) -> Answers:
    """Return what Docker says of the service that runs from *image*, with these flags."""
    state = {
        "Running": True, "Status": "running", "Paused": False, "Restarting": False, "OOMKilled": False,
        "StartedAt": "2026-11-28T01:00:00Z", "ExitCode": 0, "Error": "",
    }  # fmt: skip
    labels = {
        "ascend_ops.vllm.service": "glm47",
        "ascend_ops.vllm.plan": json.dumps({"flags": flags}),
        "ascend_ops.vllm.model": "ZhipuAI/GLM-4.7@master",
    }
    config = {"Image": image, "Labels": labels, "Env": [], "Cmd": ["x"], "Entrypoint": ["python3"]}
    host = {
        "NetworkMode": "host",
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file"},
    }
    container = {
        "Id": "c0ffee", "Name": f"/{NAME}", "Image": "sha256:1", "State": state, "Config": config,
        "HostConfig": host, "Mounts": [], "NetworkSettings": {"Networks": {"host": {}}}, "RestartCount": 0,
    }  # fmt: skip
    return Answers({
        "/version": {"Version": "26.1.3", "ApiVersion": "1.45", "MinAPIVersion": "1.24"},
        "/containers/json": [{"Id": "c0ffee", "Names": [f"/{NAME}"]}],
        "/containers/c0ffee/json": container,
        f"/containers/{NAME}/json": container,
        f"/images/{IMAGE}/json": {"Id": "sha256:2", "Config": {}},
        "/images/json": [{"Id": "sha256:2", "RepoTags": [IMAGE]}],
    })  # fmt: skip


def check(folder: Path, present: Answers, *options: str, roles: tuple[str, ...] = ROLES) -> str:
    play = {
        "hosts": "vllm_head",
        "gather_facts": False,
        "roles": [f"ascend_ops.vllm.{role}" for role in roles],
    }
    (folder / "hosts.json").write_text(
        json.dumps({"vllm_head": {"hosts": {"node0": INVENTORY}}}), encoding="utf-8"
    )
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = ("ansible-playbook", "play.yml", "-i", "hosts.json", "--check", *options)
    with docker_daemon(folder, present) as daemon:
        environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "DOCKER_HOST": f"unix://{daemon.socket}"}
        done = run(*command, cwd=folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {method for method, _path, _body in daemon.requests} == {"GET"}
    return done.stdout


@pytest.fixture(name="said", scope="module")
def output_of_a_check(tmp_path_factory: pytest.TempPathFactory) -> str:
    present = answers("quay.io/ascend/vllm-ascend:v0.12.0", "--port 1", "--max-num-seqs 6")
    return check(tmp_path_factory.mktemp("check"), present)


def test_image_and_flags_that_change_are_named(said):
    assert f"image: quay.io/ascend/vllm-ascend:v0.12.0 -> {IMAGE}" in said
    assert "- --max-num-seqs 6" in said
    assert "+ --max-num-seqs 8" in said
    assert "+ --port 1" not in said
    assert "model: another" not in said
    assert "patches: another" in said


def test_what_answers_now_is_no_proof_and_the_restart_is_told(said):
    assert "the whole service would restart" in said
    assert "Nothing was changed. A run without --check would start glm47 on node0" in said
    assert re.search(r"Start the container\] \**\nchanged", said)
    assert re.search(r"Assert that the endpoint works, on every engine\] \**\nskipping", said)


def test_a_service_that_does_not_answer_is_reported(tmp_path):
    said = check(tmp_path, answers(IMAGE), roles=("verify",))
    assert "Nothing is proven, as a run without --check may start or change the service." in said
    assert re.search(r"Host node0, stage verify\n +http://127\.0\.0\.1:1 does not work as expected:", said)
