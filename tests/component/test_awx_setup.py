# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/awx_setup.yml would send, held against the options of the awx.awx modules and AWX's rules for surveys; no AWX is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import profile
from ansible_run import ROOT, run

PLAYBOOK = ROOT / "playbooks/awx_setup.yml"
SECRETS = {"awx_setup_weights_token": "the-token", "awx_setup_api_key": "the-key"}
ROLE_OPTIONS = {"preflight_allow_newer", "serve_timeout"}


def load(path: Path) -> dict | list:
    return DataLoader().load_from_file(str(path), trusted_as_template=True)


@pytest.fixture(scope="module", name="variables")
def variables_of_the_playbook() -> dict:
    return {**load(ROOT / "playbooks/vars/awx_setup.yml"), **SECRETS}


@pytest.fixture(scope="module", name="calls")
def calls_of_modules(variables) -> list[tuple[str, dict]]:
    """Every module that a run calls, with its arguments; a loop calls it several times."""
    loader, calls = DataLoader(), []
    for task in load(PLAYBOOK)[0]["tasks"]:
        module = next(key for key in task if key.startswith("awx.awx."))
        for item in Templar(loader, variables=variables).template(task.get("loop", [None])):
            templar = Templar(loader, variables={**variables, "item": item, "omit": "omitted"})
            arguments = templar.template(task[module])
            calls.append((module, {name: value for name, value in arguments.items() if value != "omitted"}))
    return calls


@pytest.fixture(scope="module", name="templates")
def job_templates(calls) -> dict[str, dict]:
    return {arguments["name"]: arguments for module, arguments in calls if module == "awx.awx.job_template"}


def argument_spec(options: dict) -> dict:
    """The argument spec that a module's documentation describes."""
    kept = ("type", "choices", "elements", "required", "aliases")
    return {name: {key: option[key] for key in kept if option.get(key)} for name, option in options.items()}


def test_every_module_takes_its_arguments(calls):
    names = sorted({module for module, _arguments in calls})
    shown = run("ansible-doc", "--json", *names).stdout
    specs = {name: argument_spec(content["doc"]["options"]) for name, content in json.loads(shown).items()}
    assert len(calls) > len(names) == 9
    errors = {
        f"{module} {arguments['name']}": ArgumentSpecValidator(specs[module])
        .validate(arguments)
        .error_messages
        for module, arguments in calls
    }
    assert {call: error for call, error in errors.items() if error} == {}


def test_a_wrong_argument_would_be_seen():
    spec = argument_spec(
        {"kind": {"type": "str", "choices": ["cloud"]}, "name": {"type": "str", "required": True}}
    )
    assert len(ArgumentSpecValidator(spec).validate({"kind": "clouds", "nam": "x"}).error_messages) == 3


def test_each_playbook_of_a_person_has_a_job_template(templates):
    # render and fetch write files on the controller, which an AWX job throws away.
    wanted = {f"playbooks/{file.name}" for file in (ROOT / "playbooks").glob("*.yml")} - {
        f"playbooks/{name}.yml" for name in ("awx_setup", "render", "fetch")
    }
    assert {template["playbook"] for template in templates.values()} == wanted


def test_surveys_are_as_awx_wants_them_and_ask_for_known_settings(templates):
    questions = {
        question["variable"]: question
        for template in templates.values()
        for question in template["survey_spec"]["spec"]
    }
    assert {"vllm_image", "vllm_model_dir", "vllm_api_port", "uninstall_confirm"} <= set(questions)
    assert profile.unknown_variables(list(questions)) == []
    assert {name for name in questions if not name.startswith(("vllm_", "uninstall_"))} == ROLE_OPTIONS
    for question in questions.values():
        assert {"question_name", "question_description", "type", "required"} <= set(question)
        assert question["type"] in ("text", "textarea", "multiplechoice")
        assert all(isinstance(choice, str) for choice in question.get("choices", []))
        # With an empty answer, AWX sends an empty text if it is long enough: that would overrule the inventory.
        assert question["required"] or question["type"] == "multiplechoice" or question["min"] == 1


def test_the_secrets_reach_the_playbooks_by_their_variables_only(calls, templates):
    injected = {
        name: arguments["injectors"]["extra_vars"]
        for module, arguments in calls
        if module == "awx.awx.credential_type"
        for name in [arguments["name"]]
    }
    assert injected == {
        "ModelScope token": {"weights_token": "{{ secret | default('') }}"},
        "vLLM API key": {"vllm_api_key": "{{ secret | default('') }}"},
    }
    assert sum(
        secret in json.dumps(arguments) for _module, arguments in calls for secret in SECRETS.values()
    ) == len(SECRETS)
    for name in ("vLLM site", "vLLM upgrade"):
        assert {*injected} < set(templates[name]["credentials"])
    assert [
        task["no_log"]
        for task in load(PLAYBOOK)[0]["tasks"]
        if task.get("loop") == "{{ awx_setup_credentials }}"
    ] == [True, True]


def test_a_secret_that_is_not_given_is_left_alone(variables):
    task = next(task for task in load(PLAYBOOK)[0]["tasks"] if "awx.awx.credential" in task)
    item = {"name": "x", "secret": ""}
    assert (
        Templar(DataLoader(), variables={**variables, "item": item, "omit": "omitted"}).template(
            task["awx.awx.credential"]
        )["inputs"]
        == "omitted"
    )


def test_the_workflow_runs_known_jobs_in_order(calls, templates):
    nodes = {
        node["identifier"]: node
        for module, arguments in calls
        if module == "awx.awx.workflow_job_template"
        for node in arguments["workflow_nodes"]
    }
    assert {node["unified_job_template"]["name"] for node in nodes.values()} <= set(templates)
    following = {
        name: [after["identifier"] for after in node["related"]["success_nodes"]]
        for name, node in nodes.items()
    }
    assert following == {"preflight": ["site"], "site": ["status"], "status": []}
