# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The previous report, which playbooks/benchmark.yml looks for before it measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_run import ROOT, playbook
from shipped import read

TIMES = dict.fromkeys(("p50", "p90", "p99", "mean"), 100.0)
RATES = dict.fromkeys(("requests_per_second", "output_tokens_per_second", "total_tokens_per_second"), 5.0)
LEVEL = {
    "concurrency": 1, "completed": 2, "failed": 0, "seconds": 20.0, **RATES,
    **dict.fromkeys(("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"), TIMES),
}  # fmt: skip
REPORT = {"date": "2026-01-01", "load": {}, "service": {"model": "glm"}, "levels": [LEVEL], "ended": "time"}
TASKS = ("Assert that the previous report can be read", "Remember the previous report")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "found /reports/glm-20260101000000.json"),
        ({"benchmark_former": "{folder}/reports/glm-4-20270101000000.json"}, "glm-4-20270101000000.json is not a report."),
        ({"benchmark_former": "{folder}/reports/glm-4.json"}, "glm-4.json does not exist."),
        ({"benchmark_dir": "{folder}/nowhere"}, "found none"),
    ],
    ids=["of the same model", "cut off", "not there", "the first"],
)  # fmt: skip
def test_a_former_report_is_of_the_same_model_and_can_be_read(
    tmp_path: Path, given: dict[str, str], said: str
):
    """Another model's name may begin with that of this one, and the file of an interrupted run may be cut off."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/glm-20260101000000.json").write_text(json.dumps(REPORT), encoding="utf-8")
    (tmp_path / "reports/glm-4-20270101000000.json").write_text('{"date":', encoding="utf-8")
    _check, play = read(ROOT / "playbooks/benchmark.yml")[:2]
    show = {"ansible.builtin.debug": {"msg": "found {{ benchmark_found | replace(folder, '') or 'none' }}"}}
    plan = {"ansible.builtin.set_fact": {"vllm_plan": {"served_model_name": "glm"}, "cacheable": True}}
    tasks = [task for task in play["tasks"] if task["name"] in TASKS]
    assert len(tasks) == len(TASKS)
    play |= {"hosts": "localhost", "connection": "local", "tasks": [plan, *tasks, show]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    variables = {"folder": str(tmp_path), "benchmark_dir": f"{tmp_path}/reports"}
    variables |= {name: value.format(folder=tmp_path) for name, value in given.items()}
    done, _failures = playbook(str(tmp_path / "play.yml"), "-i", "localhost,", "-e", json.dumps(variables))
    assert said in done.stdout
