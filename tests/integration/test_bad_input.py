# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input on the running lab: each is named with its host, what was found, what was expected, and a remedy, and nothing is changed."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from lab import ROOT, lab, playbook, state

HEAD = 'vllm_head: {hosts: {node0: {ansible_host: "{{ lab_net }}.10"}}}\n'
WORKER = 'vllm_workers: {hosts: {node1: {ansible_host: "{{ lab_net }}.11"%s}}}\n'
NEW_MODEL = (
    "-e",
    "vllm_model_dir=/opt/data/bad-input/GLM-4.7",
    "-e",
    "vllm_model_cache_dir=/opt/data/bad-input/.cache",
)


@dataclass(frozen=True)
class Case:
    """A bad input, and what the message must say: host, found, expected, remedy."""

    says: tuple[str, ...]
    hosts: str = HEAD + WORKER % ""
    options: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


INVENTORY_CASES = {
    "no head": Case(
        hosts=WORKER % "",
        says=(
            "group vllm_head: it is empty or missing",
            "Expected: exactly one host",
            "put the data-parallel head (node0) into it",
        ),
    ),
    "two heads": Case(
        hosts='vllm_head: {hosts: {node0: {ansible_host: "{{ lab_net }}.10"}, node1: {ansible_host: "{{ lab_net }}.11"}}}\n',
        says=(
            "group vllm_head: it has 2 hosts (node0, node1)",
            "Expected: exactly one",
            "move the others to vllm_workers",
        ),
    ),
    "two hosts with one address": Case(
        hosts=HEAD + WORKER % ', vllm_service_ip: "{{ lab_net }}.10"',
        says=(
            "host node1: vllm_service_ip",
            ".10', the same as host node0's",
            "Expected: one address a host",
            "correct one of them",
        ),
    ),
    "values that Docker or vLLM would refuse hours later": Case(
        options=("-e", '{"vllm_container_shm_size": "lots", "vllm_serve_args": {"max_model_len": 1}}'),
        says=(
            "host node0: vllm_container_shm_size is 'lots'. Expected: a size",
            "vllm_serve_args has 'max_model_len'. Expected: flags of vllm serve",
            "correct it",
        ),
    ),
    "an option of the last stage": Case(
        options=("-e", '{"verify_timeout": "long", "verify_checks": ["chatt"]}'),
        says=(
            "host node0: verify_timeout is 'long'",
            "Expected: a whole number",
            "verify_checks is ['chatt']",
            "Expected: some of health",
            "correct it",
        ),
    ),
    "an address that no NIC has": Case(
        hosts=HEAD + WORKER % ', vllm_service_ip: "{{ lab_net }}.99"',
        says=("host node1, stage preflight", ".99", "expected: ", "remedy: ", "vllm_service_ip"),
    ),
}
HOST_CASES = {
    "a limit that leaves a host out": Case(
        options=("--limit", "node0", "-e", '{"vllm_serve_args": {"max-model-len": 4096}}'),
        says=(
            "Host node0",
            "node1 not in this run",
            "Expected: all hosts of the service",
            "Run without --limit",
        ),
    ),
    "driver of another version": Case(
        make=("sick", "node1", "driver_version=24.1.0"),
        undo=("heal", "node1"),
        says=(
            "Host node1, stage preflight",
            "found: driver 24.1.0",
            "expected: driver 25.2.1",
            "remedy: Install driver and firmware of Ascend HDK 25.2.1",
        ),
    ),
    "seven chips": Case(
        make=("sick", "node1", "chips=7"),
        undo=("heal", "node1"),
        says=(
            "Host node1, stage preflight",
            "found: 7 of 8 chips",
            "expected: 8 chips",
            "remedy: Look for the card on the PCI bus",
        ),
    ),
    "missing device node": Case(
        make=("exec", "node1", "mv", "/dev/davinci3", "/dev/davinci3.away"),
        undo=("exec", "node1", "mv", "/dev/davinci3.away", "/dev/davinci3"),
        says=("Host node1, stage preflight", "/dev/davinci3", "expected: ", "remedy: "),
    ),
}
SUPPLY_CASES = {
    "wrong ModelScope token": Case(
        options=(*NEW_MODEL, "-e", "weights_token=somebody-elses"),
        says=(
            "Host node0, stage weights",
            "refuses the token",
            "Expected: a token that it issued",
            "Remedy: Create one",
            "weights_token",
        ),
    ),
    "weights before the image": Case(
        options=(
            *NEW_MODEL,
            "--tags",
            "weights",
            "-e",
            '{"vllm_image": "{{ lab_net }}.1:5000/ascend/vllm-ascend:no-such-tag"}',
        ),
        says=(
            "Host node0, stage weights",
            "No such image",
            "Expected: an image that is on the host",
            "Pull the image first",
        ),
    ),
    "choice of files without a shard": Case(
        options=(*NEW_MODEL, "-e", '{"vllm_model_exclude": ["*-00002-of-*"]}'),
        says=(
            "Host node0, stage weights",
            "model-00002-of-00004.safetensors not among the files",
            "Expected: every shard",
            "Remedy: ",
            "vllm_model_exclude",
        ),
    ),
    "image tag that the registry does not have": Case(
        options=(*NEW_MODEL, "-e", '{"vllm_image": "{{ lab_net }}.1:5000/ascend/vllm-ascend:no-such-tag"}'),
        says=(
            "node0",
            "stage image",
            "vllm-ascend:no-such-tag could not be pulled",
            "Expected: an image that the registry has",
            "vllm_image",
        ),
    ),
}
CASES = INVENTORY_CASES | HOST_CASES | SUPPLY_CASES


def refused(says: tuple[str, ...], *options: str, by: str = "site.yml") -> None:
    """Run a playbook, and assert that it refuses with the words it should say, and has changed nothing."""
    before = state()
    code, said = playbook(by, *options)
    assert code != 0
    assert [words for words in says if words.lower() not in said.lower()] == [], said
    assert "Traceback" not in said
    assert set(re.findall(r"changed=(\d+)", said)) <= {"0"}, said
    assert state() == before


@pytest.mark.parametrize("case", CASES.values(), ids=[name.replace(" ", "_") for name in CASES])
def test_it_is_refused(case, tmp_path):
    (tmp_path / "hosts.yml").write_text(case.hosts, encoding="utf-8")
    (tmp_path / "group_vars").symlink_to(ROOT / "inventories/lab/group_vars")
    with ExitStack() as stack:
        if case.make:
            stack.callback(lab, *case.undo)
            lab(*case.make)
        refused(case.says, "-i", str(tmp_path), *case.options)


def test_the_sample_inventory_is_refused_until_it_is_filled_in():
    says = tuple(
        f"host {node}: vllm_service_ip (default: ansible_host) is '192.0.2.1{i}', a placeholder"
        for i, node in enumerate(("node0", "node1"))
    )
    refused((*says, "Expected: the host's own address", "fill it in"), "-i", "inventories/prod")


@pytest.mark.parametrize("name", ["preflight", "status", "diagnose"])
def test_a_limit_that_leaves_out_who_tells_the_result_is_refused(name):
    says = ("Found: --limit node1.", "Run with --limit 'node1,localhost'")
    refused(says, "-i", "inventories/lab", "--limit", "node1", by=f"playbooks/{name}.yml")


def test_a_limit_does_not_answer_for_who_uninstalls():
    says = ("uninstall_confirm is not set. Expected: yes. Nothing was removed", "from node1, run with")
    refused(says, "-i", "inventories/lab", "--limit", "node1", by="playbooks/uninstall.yml")
