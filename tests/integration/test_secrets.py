# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's token, used on the running lab, is seen nowhere but where it belongs."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path

import pytest
from lab import NODES, lab, site

MODEL, CONTAINER = "/opt/data/secrets", "secrets"
STATE = Path(os.environ.get("ASCEND_LAB_STATE", "/var/lib/ascend-ops-lab"))


class Watch(threading.Thread):
    """Reads the arguments of every process and the settings of every container on the nodes, and keeps those with the secret in them."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret, self.seen, self.rounds, self.over = secret.encode(), set(), 0, threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for file in (*Path("/proc").glob("[0-9]*/cmdline"), *STATE.glob("nodes/*/docker/containers/*/config.v2.json")):
                with contextlib.suppress(OSError):  # it is gone
                    text = file.read_bytes()
                    if self.secret in text:
                        self.seen.add(text)
            self.rounds += 1
            time.sleep(0.05)


@pytest.fixture(scope="module", name="run")
def download_with_the_token():
    """Weights downloaded anew with the token, as verbose as it gets: the output, the token and the watch over the processes."""
    token = (STATE / "hub-token").read_text(encoding="utf-8").strip()
    for node in NODES:
        lab("exec", node, "rm", "-rf", MODEL)
        lab("exec", node, "touch", "/run/before-the-token")
    watch = Watch(token)
    watch.start()
    try:
        variables = {"vllm_model_dir": f"{MODEL}/GLM-4.7", "vllm_model_cache_dir": f"{MODEL}/.cache", "vllm_container_name": CONTAINER}
        code, said = site("-i", "inventories/lab", "--tags", "image,weights,container", "-vvvv", "--diff", "-e", json.dumps(variables))
    finally:
        watch.over.set()
        watch.join()
    assert code == 0, said
    for node in NODES:
        assert lab("exec", node, "find", f"{MODEL}/GLM-4.7", "-name", "*.safetensors")
    yield token, said, watch
    for node in NODES:
        lab("exec", node, "rm", "-rf", MODEL)
        lab("exec", node, "docker", "rm", CONTAINER)


def test_the_output_does_not_have_it(run):
    token, said, _watch = run
    assert len(token) > 8
    assert token not in said


def test_no_process_and_no_container_had_it_meanwhile(run):
    _token, _said, watch = run
    assert watch.rounds > 10
    assert watch.seen == set()


@pytest.mark.parametrize("node", NODES)
def test_the_container_does_not_have_it(run, node):
    assert run[0] not in lab("exec", node, "docker", "inspect", CONTAINER)


@pytest.mark.parametrize("node", NODES)
def test_no_file_that_others_can_read_has_it(run, node):
    find = 'find / /run /tmp /dev /opt/data /var/lib/docker -xdev -newer /run/before-the-token -type f -perm /004 -exec grep -lF -- "$1" {} + || true'
    assert lab("exec", node, "sh", "-c", find, "sh", run[0]) == ""
