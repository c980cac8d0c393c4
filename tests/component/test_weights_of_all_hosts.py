# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights on two hosts of this machine, from a hub whose branch moves: all get the same, or are told."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Choice,
    File,
    Request,
    Snapshot,
)
from ansible_run import ROOT, Failure, playbook
from huggingface_standin import HuggingFaceHub
from ports import free_port
from shards import shard

REPO = "zai-org/GLM-4.7"
FIRST = {"config.json": b'{"first": true}', "README.md": b"# First\n", "model.safetensors": shard(100_000)}
SECOND = {**FIRST, "config.json": b"{}"}
A, B = "a" * 40, "b" * 40
ROLE = [{"ansible.builtin.import_role": {"name": "ascend_ops.vllm.weights"}}]
MODULE = "ascend_ops.vllm.weights_download"
CHECKS = "ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'check'))"
PEERS = ["127.0.0.1", "127.0.0.2"]
UNREACHABLE = {"ansible_connection": "ssh", "ansible_port": 1, "ansible_ssh_common_args": "-o BatchMode=yes"}


class Site:
    """A hub, and two hosts that are this machine with a folder each."""

    def __init__(self, folder: Path, hub: HuggingFaceHub) -> None:
        self.folder, self.hub, self.nodes = (
            folder,
            hub,
            {"node0": folder / "node0", "node1": folder / "node1"},
        )
        self.variables: dict[str, Any] = {
            "vllm_model_hub": "huggingface",
            "vllm_model_endpoint": hub.url,
            "vllm_model_repo": REPO,
            "vllm_model_cache_dir": str(folder / "cache"),
            "vllm_container_extra_mounts": [str(folder)],
            "vllm_service_nic": "eth0",
            "plan_offline": True,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }

    def put(self, node: str, contents: dict[str, bytes]) -> None:
        self.nodes[node].mkdir(exist_ok=True)
        for path, content in contents.items():
            (self.nodes[node] / path).write_bytes(content)

    def verified(self, node: str, contents: dict[str, bytes], commit: str) -> None:
        """Have the weights on a host, as an earlier run left them."""
        self.put(node, contents)
        files = [File(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items()]
        stats = {
            path: Stat(len(data), (self.nodes[node] / path).stat().st_mtime_ns)
            for path, data in contents.items()
        }
        request = Request(REPO, "main", Choice(["*"], []))
        content = manifest.Manifest(self.hub.url, request, Snapshot(commit, files), {})
        text = manifest.render(content, stats, "")
        (self.nodes[node] / MANIFEST).write_text(text, encoding="utf-8")

    def has(self, node: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.nodes[node].iterdir() if path.name in FIRST}

    def commit_of(self, node: str) -> str:
        return json.loads((self.nodes[node] / MANIFEST).read_text(encoding="utf-8"))["commit"]

    def move(self, contents: dict[str, bytes]) -> None:
        """Move the branch of the hub to another commit."""
        self.hub.commits[B], self.hub.branches["main"] = contents, B

    def run(self, *options: str, tasks: list[dict[str, Any]] = ROLE, **variables: Any) -> list[Failure]:
        """Run the role, and return its failures. Variables node0 and node1 are those of one host."""
        hosts = {
            name: {
                "ansible_host": f"10.0.0.1{place}",
                "vllm_model_dir": str(self.nodes[name]),
                **variables.pop(name, {}),
            }
            for place, name in enumerate(self.nodes)
        }
        inventory = {
            "vllm_head": {"hosts": {"node0": hosts["node0"]}},
            "vllm_workers": {"hosts": {"node1": hosts["node1"]}},
            "all": {"vars": {**self.variables, **variables}},
        }
        play = {"hosts": "vllm_head:vllm_workers", "gather_facts": False, "any_errors_fatal": True}
        (self.folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        (self.folder / "play.yml").write_text(json.dumps([{**play, "tasks": tasks}]), encoding="utf-8")
        arguments = (str(self.folder / "play.yml"), "-i", str(self.folder / "hosts.json"), *options)
        done, failures = playbook(*arguments, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        assert (done.returncode == 0) == (not failures), done.stdout + done.stderr
        self.output = done.stdout + done.stderr
        return failures


@pytest.fixture(name="site")
def a_site(tmp_path: Path) -> Iterator[Site]:
    with HuggingFaceHub(REPO, FIRST).serving() as hub:
        yield Site(tmp_path, hub)


def test_a_host_that_is_replaced_gets_the_commit_that_the_other_has(site: Site):
    site.verified("node0", FIRST, A)
    site.move(SECOND)
    assert site.run() == []
    assert (site.commit_of("node1"), site.has("node1")) == (A, FIRST)
    requests = len(site.hub.requests)
    assert site.run() == []
    assert len(site.hub.requests) == requests, "a converged run asked the hub"


@pytest.mark.campaign
def test_a_run_on_one_host_looks_at_the_others(site: Site):
    site.verified("node0", FIRST, A)
    site.move(SECOND)
    assert site.run("--limit", "node1") == []
    assert site.commit_of("node1") == A


@pytest.mark.campaign
def test_a_run_on_one_host_does_without_others_that_cannot_be_reached(site: Site):
    site.verified("node0", FIRST, A)
    site.move(SECOND)
    assert site.run("--limit", "node1", node0=UNREACHABLE) == []
    assert site.commit_of("node1") == B
    said = " ".join(site.output.split())
    assert "node1: the weights of node0 could not be compared" in said
    assert f"This host gets commit {B}" in said


@pytest.mark.campaign
def test_a_commit_that_the_hub_has_no_more_is_refused(site: Site):
    site.verified("node0", FIRST, A)
    site.move(SECOND)
    del site.hub.commits[A]
    (failure,) = site.run()
    assert (failure.host, A in failure.message) == ("node1", True)
    assert not site.nodes["node1"].exists()


def test_hosts_with_other_weights_are_refused_before_anything_changes(site: Site):
    site.verified("node0", FIRST, A)
    site.verified("node1", SECOND, B)
    (failure,) = site.run()
    assert failure.result["problem"]["where"] == "host node1, stage weights"
    for part in (A, B, "config.json differ", "vllm_model_revision"):
        assert part in failure.message


PREFLIGHT = [
    {
        "ansible.builtin.import_role": {"name": "ascend_ops.vllm.weights", "tasks_from": "preflight"},
        "vars": {"weights_on_failure": "report"},
    },
    {
        "ansible.builtin.debug": {
            "msg": "{{ inventory_hostname }}: {{ weights_problem.found | default('none') }}"
        }
    },
]


def test_a_caller_that_reports_the_problem_of_a_token_shows_it_once(site: Site):
    """A failed task would print it twice, before the caller does."""
    site.hub.token = "of-the-reader"
    site.verified("node1", FIRST, A)
    assert site.run(tasks=PREFLIGHT, weights_token="of-another-user") == []
    assert site.output.count("does not show") == 1, site.output
    assert f"node0: the hub {site.hub.url} does not show {REPO} with this token" in " ".join(
        site.output.split()
    )
    assert "node1: none" in site.output


def test_a_caller_that_reports_gets_what_the_hosts_do_not_agree_about(site: Site):
    site.verified("node0", FIRST, A)
    site.verified("node1", SECOND, B)
    assert site.run(tasks=PREFLIGHT) == []
    assert site.output.count("config.json differ") == 1, site.output
    assert "node0: none" in site.output


def test_a_fan_out_needs_one_host_with_a_way_to_the_hub(site: Site):
    """By the modules: the role has no service on loopback."""
    given = {
        "repo": REPO,
        "hub": "huggingface",
        "revision": "main",
        "endpoint": "{{ vllm_model_endpoint }}",
        "dir": "{{ vllm_model_dir }}",
        "cache_dir": "{{ vllm_model_cache_dir }}",
        "fanout": {"peers": PEERS, "address": "{{ address }}", "port": free_port(), "key": "of this test"},
    }
    agreement = {"repo": REPO, "revision": "main", "checks": f"{{{{ dict({CHECKS}) }}}}", "share": True}
    tasks = [
        {MODULE: given, "check_mode": True, "register": "check"},
        {"ascend_ops.vllm.weights_agreement": agreement, "register": "agreement"},
        {MODULE: {**given, "listing": "{{ agreement.listing }}"}},
    ]
    cut_off = {"address": PEERS[0], "vllm_model_endpoint": "http://127.0.0.1:1"}
    assert site.run(tasks=tasks, node0=cut_off, node1={"address": PEERS[1]}) == []
    assert (site.has("node0"), site.has("node1")) == (FIRST, FIRST)
    assert sum(path.startswith("/cdn/") for path in site.hub.requests) == 1


@pytest.mark.campaign
def test_edited_files_must_be_the_same_on_all_hosts(site: Site):
    for node in site.nodes:
        site.verified(node, FIRST, A)
    site.put("node0", {"config.json": b"{}"})
    failure, *_others = site.run(weights_keep=["config.json"])
    assert "weights_keep" in failure.message
    site.put("node1", {"config.json": b"{}"})
    assert site.run(weights_keep=["config.json"]) == []
    assert site.has("node1")["config.json"] == b"{}"
