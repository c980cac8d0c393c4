# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible finds them. What they tell is tested with the functions behind them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT
from jinja2 import Environment
from shipped import ROLE_OPTIONS

PACKAGE = "ansible_collections.ascend_ops.vllm.plugins.filter."
FILES = sorted(file.stem for file in Path(ROOT, "plugins/filter").glob("[a-z]*.py"))


def filter_of(name: str) -> Any:
    return importlib.import_module(PACKAGE + name).FilterModule().filters()[name]


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_filter_of_its_name(name):
    assert callable(filter_of(name))


def test_changes_and_refusals_of_awx_are_told():
    assert filter_of("awx_changes")({"verbosity": 3}, {"verbosity": 0})
    assert filter_of("awx_changes")({"verbosity": 0}, {"verbosity": 0}) == []
    assert filter_of("awx_refusals")([{"failed": True, "msg": "no", "item": {"name": "x"}}])
    assert filter_of("awx_refusals")([{"changed": True}]) == []


@pytest.mark.parametrize(("given", "wrong"), [(["awx_setup_hots"], True), ([], False)])
def test_a_misspelt_variable_of_awx_setup_is_a_problem(given, wrong):
    text = filter_of("awx_setup_problems")({}, ["awx_setup_host"], given)
    assert ("awx_setup_hots" in text) is wrong


def test_a_name_that_is_created_in_awx_must_be_one():
    assert "'7'" in filter_of("awx_setup_problems")({}, [], [], ["7"]).replace('"', "'")


def test_an_option_of_the_gateway_is_a_problem():
    given = {
        name: option.get("default") for name, option in ROLE_OPTIONS.items() if name.startswith("gateway_")
    }
    service = {"upstream": "http://10.0.0.10:8080", "engine_key": "", "taken": []}
    text = filter_of("gateway_problems")({**given, **service, "gateway_port": 65536})
    assert "65536" in text


def test_a_threshold_of_the_monitoring_is_a_problem():
    options = {"monitoring_exporters": {}, "monitoring_thresholds": {"down_minutes": 0}}
    service = {"hosts": [], "api_port": 8080, "rpc_port": 8082, "supervisor_port": 8083}
    assert "down_minutes" in filter_of("monitoring_problems")(service, options, "glm47", "/etc/t.json", "")


def test_a_report_is_a_text_or_in_awx_its_lines():
    template = "{{ '\n one\ntwo ' | report }}"
    environment = Environment()
    environment.filters["report"] = filter_of("report")
    assert environment.from_string(template).render() == "one\ntwo"
    assert environment.from_string(template).render(awx_job_id=7) == "['one', 'two']"
