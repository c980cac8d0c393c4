# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's token, used on the running lab, is seen nowhere but where it belongs."""

from __future__ import annotations

import json

import pytest
from lab import NODES, STATE, on, shell, site
from watch import Watch

MODEL, CONTAINER = "/opt/data/secrets", "secrets"


@pytest.fixture(scope="module", name="run")
def download_with_the_token():
    """Weights downloaded again with the token, as verbose as it gets: the output, the token and the watch over the processes."""
    token = (STATE / "hub-token").read_text(encoding="utf-8").strip()
    for node in NODES:
        on(node, "rm", "-rf", MODEL)
        on(node, "touch", "/run/before-the-token")
    with Watch(token) as watch:
        variables = {
            "vllm_model_dir": f"{MODEL}/GLM-4.7",
            "vllm_model_cache_dir": f"{MODEL}/.cache",
            "vllm_container_name": CONTAINER,
        }
        said = site(
            "-i",
            "inventories/lab",
            "--tags",
            "image,weights,container",
            "--skip-tags",
            "patch",  # which knows no secret
            "-vvvv",
            "--diff",
            "-e",
            json.dumps(variables),
        ).succeeded()
    for node in NODES:
        assert on(node, "find", f"{MODEL}/GLM-4.7", "-name", "*.safetensors")
    yield token, said, watch
    for node in NODES:
        on(node, "rm", "-rf", MODEL)
        on(node, "docker", "rm", CONTAINER)


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
    assert run[0] not in on(node, "docker", "inspect", CONTAINER)


@pytest.mark.parametrize("node", NODES)
def test_no_file_that_others_can_read_has_it(run, node):
    find = 'find / /run /tmp /dev /opt/data /var/lib/docker -xdev -newer /run/before-the-token -type f -perm /004 -exec grep -lF -- "$1" {} + || true'
    assert shell(node, find, "sh", run[0]) == ""
