# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the settings: playbooks/lint.yml on the sample inventory, and in the first task of other playbooks."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT, playbook, run

PROD = ROOT / "inventories/prod"


@pytest.fixture(name="filled")
def inventory_with_addresses(tmp_path: Path) -> str:
    text = (PROD / "hosts.yml").read_text(encoding="utf-8").replace("192.0.2.", "10.0.0.")
    (tmp_path / "hosts.yml").write_text(text, encoding="utf-8")
    return str(tmp_path / "hosts.yml")


def lint(folder: Path, **variables: Any) -> tuple[int, list[dict[str, Any]], str]:
    """Return exit code, findings and output of the playbook for the sample inventory."""
    given = json.dumps({**variables, "lint_json": str(folder / "lint.json")})
    done, _failures = playbook("playbooks/lint.yml", "-i", str(PROD), "-e", given)
    findings = json.loads((folder / "lint.json").read_text(encoding="utf-8"))["findings"]
    return done.returncode, findings, " ".join(done.stdout.split())


def test_the_sample_inventory_has_only_notes_and_needs_no_addresses(tmp_path):
    code, findings, output = lint(tmp_path)
    assert code == 0, output
    assert {finding["severity"] for finding in findings} == {"info"}
    assert all(finding["source"] for finding in findings)
    assert "0 failures, 0 warnings, 6 notes" in output
    assert "node0 :" not in output  # in the recap: no host was contacted


@pytest.mark.parametrize(("accept", "expected"), [([], 2), (["config_unread"], 0)])
def test_what_the_release_refuses_fails_until_it_is_accepted(tmp_path, accept, expected):
    code, findings, output = lint(tmp_path, vllm_release="0.30.0", preflight_accept=accept)
    assert code == expected, output
    refused = [finding for finding in findings if finding["id"] == "config_unread"]
    assert [finding["accepted"] for finding in refused] == [bool(accept)] * 4


def check(inventory: str, **variables: Any) -> tuple[int, str]:
    """Return exit code and output of the first task of the other playbooks."""
    task = ("-m", "ascend_ops.vllm.plan", "-e", json.dumps(variables))
    done = run("ansible", "localhost", "-i", inventory, *task)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_other_playbooks_count_the_notes_in_one_line(filled):
    code, output = check(filled)
    assert code == 0, output
    assert output.count("6 notes on the settings. playbooks/lint.yml shows them.") == 1
    assert "config_unread" not in output


def test_other_playbooks_warn(filled):
    code, output = check(filled, vllm_serve_env={"VLLM_ASCEND_ENABLE_TOPK_OPTIMIZE": "1"})
    assert code == 0, output
    assert output.count("(variable_unread)") == 1
    assert "VLLM_ASCEND_ENABLE_TOPK_OPTIMIZE: null" in output


def test_other_playbooks_refuse_what_the_release_refuses(filled):
    code, output = check(filled, vllm_release="0.30.0")
    assert code != 0
    assert "additional-config has enable_multistream_moe" in output
    assert "add config_unread to preflight_accept" in output


@pytest.mark.parametrize(
    ("host_variables", "profile", "told"),
    [
        ({"vllm_api_port": "{{ nope + 1 }}"}, None, ["vllm_api_port of host node1", "nope"]),
        ({"vllm_serve_args": {"seed": "{{ 1 // 0 }}"}}, None, ["vllm_serve_args of host node1", "zero"]),
        ({}, "release: 0.23.0\n  model_repo: a\n", ["own.yml, line 2, cannot be read"]),
        ({}, "hardware: atlas-800t-a2\nmodel_repo: a/b\n", ["names a release", "extends: glm-4.7"]),
        ({}, "extends: glm-4.7\npatch_set: ./missing.yml\n", ["vllm_patch_set is './missing.yml'"]),
        (
            {},
            "extends: glm-4.7\nmodel_config: {text_config: []}\n",
            ["text_config is [], which is not a mapping"],
        ),
    ],
)
@pytest.mark.parametrize("book", ["lint", "plan"])
def test_what_cannot_be_used_is_named_with_its_place(tmp_path, book, host_variables, profile, told):
    (tmp_path / "own.yml").write_text(profile or "extends: glm-4.7\n", encoding="utf-8")
    hosts = {"vllm_head": {"hosts": {"node0": {}}}, "vllm_workers": {"hosts": {"node1": host_variables}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts), encoding="utf-8")
    given = ("-i", str(tmp_path / "hosts.yml"), "-e", f"vllm_profile={tmp_path / 'own.yml'}")
    done, _failures = playbook(f"playbooks/{book}.yml", *given)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, output
    assert [text in output for text in (*told, "Remedy: ")] == [True] * (len(told) + 1), output
    assert "Traceback" not in output


def processor_seconds(book: str) -> float:
    """Return the processor time of a playbook for the sample inventory, which other work on the machine hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("ansible-playbook", book, "-i", str(PROD), "-e", "ansible_ssh_executable=/bin/false")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.campaign
def test_plan_and_lint_take_little_more_than_a_playbook_without_tasks(tmp_path):
    """Seen on a machine without other work: 1.6 s for the empty one, 2.3 s for each of the others."""
    empty = tmp_path / "empty.yml"
    empty.write_text("[{hosts: localhost, gather_facts: false}]", encoding="utf-8")
    books = (str(empty), "playbooks/plan.yml", "playbooks/lint.yml")
    bare, *ours = (min(processor_seconds(book) for _run in range(2)) for book in books)
    assert max(ours) < 2 * bare
