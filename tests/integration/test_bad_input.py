# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input on the running lab: the failure names its host, stage, variables and values, and nothing is changed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from ansible_run import ROOT
from lab import INVENTORY, Run, assert_names, guard_and_campaign, lab, place, playbook, state

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
    """A bad input; which host fails, and what its message names: hosts, stage, variables, and values."""

    names: tuple[str, ...]
    failing: str = "localhost"
    findings: tuple[tuple[str, str], ...] = ()  # of preflight: host and id
    hosts: str = HEAD + WORKER % ""
    options: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


INVENTORY_CASES = {
    "no head": Case(hosts=WORKER % "", names=("vllm_head", "node0")),
    "two heads": Case(
        hosts='vllm_head: {hosts: {node0: {ansible_host: "{{ lab_net }}.10"}, node1: {ansible_host: "{{ lab_net }}.11"}}}\n',
        names=("vllm_head", "node0, node1", "vllm_workers"),
    ),
    "two hosts with one address": Case(
        hosts=HEAD + WORKER % ', vllm_service_ip: "{{ lab_net }}.10"',
        names=("host node1", "vllm_service_ip", ".10'", "host node0"),
    ),
    "values that Docker or vLLM would refuse hours later": Case(
        options=("-e", '{"vllm_container_shm_size": "lots", "vllm_serve_args": {"max_model_len": 1}}'),
        names=(
            "hosts node0, node1",
            "vllm_container_shm_size",
            "'lots'",
            "vllm_serve_args",
            "'max_model_len'",
        ),
    ),
    "an option of the last stage": Case(
        options=("-e", '{"verify_timeout": "long", "verify_checks": ["chatt"]}'),
        names=("hosts node0, node1", "verify_timeout", "'long'", "verify_checks", "'chatt'", "health"),
    ),
    "an address that no NIC has": Case(
        hosts=HEAD + WORKER % ', vllm_service_ip: "{{ lab_net }}.99"',
        failing="node0",
        findings=(("node1", "service_ip"),),
        names=(place("node1", "preflight"), ".99", "vllm_service_ip"),
    ),
}
HOST_CASES = {
    "a limit that leaves a host out": Case(
        options=("--limit", "node0", "-e", '{"vllm_serve_args": {"max-model-len": 4096}}'),
        failing="node0",
        names=("host node0", "node1", "--limit"),
    ),
    "driver of another version": Case(
        make=("sick", "node1", "driver_version=24.1.0"),
        undo=("heal", "node1"),
        failing="node0",
        findings=(("node1", "driver_version"),),
        names=(place("node1", "preflight"), "24.1.0", "25.2.1"),
    ),
    "seven chips": Case(
        make=("sick", "node1", "chips=7"),
        undo=("heal", "node1"),
        failing="node0",
        findings=(("node1", "chip_count"),),
        names=(place("node1", "preflight"), "7 of 8"),
    ),
    "missing device node": Case(
        make=("exec", "node1", "mv", "/dev/davinci3", "/dev/davinci3.away"),
        undo=("exec", "node1", "mv", "/dev/davinci3.away", "/dev/davinci3"),
        failing="node0",
        findings=(("node1", "devices"),),
        names=(place("node1", "preflight"), "/dev/davinci3"),
    ),
}
NO_SUCH_IMAGE = ("-e", '{"vllm_image": "{{ lab_net }}.1:5000/ascend/vllm-ascend:no-such-tag"}')
SUPPLY_CASES = {
    "wrong ModelScope token": Case(
        options=(*NEW_MODEL, "-e", "weights_token=somebody-elses"),
        failing="node0",
        names=(place("node0", "weights"), "10010103009", "weights_token"),
    ),
    "weights before the image": Case(
        options=(*NEW_MODEL, "--tags", "weights", *NO_SUCH_IMAGE),
        failing="node0",
        names=(place("node0", "weights"), "No such image", "no-such-tag"),
    ),
    "choice of files without a shard": Case(
        options=(*NEW_MODEL, "-e", '{"vllm_model_exclude": ["*-00002-of-*"]}'),
        failing="node0",
        names=(place("node0", "weights"), "model-00002-of-00004.safetensors", "vllm_model_exclude"),
    ),
    "image tag that the registry does not have": Case(
        options=(*NEW_MODEL, *NO_SUCH_IMAGE),
        failing="node0",
        names=(place("node0", "image"), "vllm-ascend:no-such-tag", "vllm_image"),
    ),
}
CASES = INVENTORY_CASES | HOST_CASES | SUPPLY_CASES
GUARD = (
    "no head",
    "values that Docker or vLLM would refuse hours later",
    "an address that no NIC has",
    "a limit that leaves a host out",
    "driver of another version",
    "wrong ModelScope token",
    "image tag that the registry does not have",
)  # at least one for each stage that refuses


def refused(*options: str, by: str = "site.yml") -> Run:
    """Run a playbook, and assert that it fails and has changed nothing."""
    before = state()
    run = playbook(by, *options)
    run.failed()
    assert set(run.changed().values()) <= {0}, run.output
    assert state() == before
    return run


@pytest.mark.parametrize("case", guard_and_campaign(CASES, GUARD))
def test_it_is_refused(case, tmp_path):
    (tmp_path / "hosts.yml").write_text(case.hosts, encoding="utf-8")
    (tmp_path / "group_vars").symlink_to(ROOT / "inventories/lab/group_vars")
    with ExitStack() as stack:
        if case.make:
            stack.callback(lab, *case.undo)
            lab(*case.make)
        run = refused("-i", str(tmp_path), *case.options)
    assert_names(run.failed()[case.failing], *case.names)
    if case.findings:
        assert [(host, finding) for host, finding, severity in run.findings() if severity == "fail"] == [
            *case.findings
        ]


def test_the_sample_inventory_is_refused_until_it_is_filled_in():
    message = refused("-i", "inventories/prod").failed()["localhost"]
    assert_names(message, "vllm_service_ip", "host node0", "192.0.2.10", "host node1", "192.0.2.11")


@pytest.mark.parametrize("name", ["preflight", "status", "diagnose"])
def test_a_limit_that_leaves_out_who_tells_the_result_is_refused(name):
    run = refused(*INVENTORY, "--limit", "node1", by=f"playbooks/{name}.yml")
    assert_names(run.failed()["node1"], "--limit 'node1,localhost'")


def test_a_limit_does_not_answer_for_who_uninstalls():
    run = refused(*INVENTORY, "--limit", "node1", by="playbooks/uninstall.yml")
    assert_names(run.failed()["node1"], "node1", "uninstall_confirm=yes")
    assert "node0" not in run.failed()["node1"]
