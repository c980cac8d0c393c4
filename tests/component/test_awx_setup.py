# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/awx_setup.yml, run against a simulated AWX that refuses what the real one refuses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import PLAYBOOK_OPTIONS
from ansible_run import ROOT, run
from awx_stand_in import StandIn
from shipped import SETTINGS

URL = "https://git.example.com/us/ascend_ops.vllm.git"
PLAYBOOKS = [f"playbooks/{file.name}" for file in (ROOT / "playbooks").glob("*.yml")]
TOKEN = "a-token-of-the-simulated-awx"
SECRETS = {"MODELSCOPE_API_TOKEN": "the-token-of-the-hub", "VLLM_API_KEY": "the-key-of-the-endpoint"}


@pytest.fixture(name="awx")
def simulated_awx() -> Iterator[StandIn]:
    with StandIn(TOKEN, "Ascend hosts", {URL: list(PLAYBOOKS)}).serving() as awx:
        yield awx


def setup(
    awx: StandIn, secrets: dict[str, str] | None = None, check: str = "--diff", **options: object
) -> tuple[int, str]:
    """Run the playbook; return its exit code and its output."""
    given = {"awx_setup_project_url": URL, **options}
    variables = {**dict.fromkeys(SECRETS, ""), **(secrets or {})}
    variables.update(CONTROLLER_HOST=awx.url, CONTROLLER_OAUTH_TOKEN=TOKEN)
    command = ["ansible-playbook", "playbooks/awx_setup.yml", "-e", json.dumps(given), "-vvv", check]
    done = run(*command, ANSIBLE_PIPELINING="true", **variables)
    output = done.stdout + done.stderr
    private = [*SECRETS.values(), *(secrets or {}).values(), TOKEN]
    assert [secret for secret in private if secret in output] == []
    return done.returncode, output


@pytest.fixture(scope="session", name="templates")
def job_templates() -> list[dict]:
    """The job templates as vars/awx_setup.yml describes them."""
    loader = DataLoader()
    variables = loader.load_from_file(str(ROOT / "playbooks/vars/awx_setup.yml"), trusted_as_template=True)
    return Templar(loader, variables=variables).template(variables["awx_setup_job_templates"])


def test_each_playbook_for_users_has_a_job_template(templates: list[dict]):
    # render and fetch write files on the controller, which an AWX job throws away.
    without = {f"playbooks/{name}.yml" for name in ("awx_setup", "render", "fetch")}
    assert {template["playbook"] for template in templates} == {*PLAYBOOKS} - without


def test_surveys_are_as_awx_accepts_them_and_ask_for_settings(templates: list[dict]):
    questions = {question["variable"]: question for template in templates for question in template["survey"]}
    assert {"vllm_image", "vllm_model_dir", "vllm_api_port", "uninstall_confirm"} <= set(questions)
    assert {name for name in questions if name.startswith("vllm_")} <= set(SETTINGS)
    of_playbooks = {name for name in questions if name.startswith(("benchmark_", "uninstall_"))}
    assert of_playbooks <= set(PLAYBOOK_OPTIONS)
    assert "benchmark_minutes" in of_playbooks
    others = {name for name in questions if not name.startswith("vllm_")} - of_playbooks
    assert others == {"preflight_accept", "preflight_allow_newer", "serve_timeout"}
    for question in questions.values():
        assert {"question_name", "question_description", "type", "required"} <= set(question)
        assert question["type"] in ("text", "textarea", "multiplechoice")
        assert all(isinstance(choice, str) for choice in question.get("choices", []))
        # AWX sends an empty answer if that is long enough: it would override the inventory.
        assert question["required"] or question["type"] == "multiplechoice" or question["min"] == 1


def changed(output: str) -> int:
    return int(re.search(r"changed=(\d+)", output)[1])


def credentials(awx: StandIn, template: str) -> set[str]:
    return {thing["name"] for thing in awx.related[awx.named("job_templates")[template]["id"], "credentials"]}


@pytest.fixture(scope="session", name="some")
def templates_of_the_workflow(templates: list[dict]) -> list[dict]:
    names = {f"vLLM {name}" for name in ("preflight", "site", "status")}
    return [template for template in templates if template["name"] in names]


def test_a_failed_update_is_reported_with_its_cause_and_corrected_by_the_remedy(
    awx: StandIn, some: list[dict]
):
    awx.repositories.clear()
    code, output = setup(awx)
    assert code == 2
    assert f"failed / Failed to clone / fatal: repository '{URL}' does not exist" in output, output
    assert awx.things["job_templates"] == []
    awx.repositories[URL] = list(PLAYBOOKS)
    awx.reaches_galaxy = False
    code, output = setup(awx)
    assert code == 2
    assert re.search(
        r"attempting to call Galaxy.*awx_setup_galaxy_credentials set to \[\]", output, re.DOTALL
    ), output
    code, output = setup(awx, awx_setup_galaxy_credentials=[], awx_setup_job_templates=some)
    assert code == 0, output
    assert len(awx.things["job_templates"]) == 3


def test_everything_is_made_once_and_no_secret_replaces_the_inventorys(awx: StandIn, some: list[dict]):
    """With the job templates of the workflow; the campaign makes all of them."""
    code, output = setup(awx, awx_setup_job_templates=some)
    assert code == 0, output
    assert [*awx.named("job_templates")] == ["vLLM preflight", "vLLM site", "vLLM status"]
    nodes = {node["identifier"]: node for node in awx.things["workflow_job_template_nodes"]}
    assert {name: awx.related.get((node["id"], "success_nodes"), []) for name, node in nodes.items()} == {
        "preflight": [nodes["site"]],
        "site": [nodes["status"]],
        "status": [],
    }
    organization = awx.named("organizations")["Ascend"]["id"]
    assert [one["name"] for one in awx.related[organization, "galaxy_credentials"]] == ["Ansible Galaxy"]
    assert credentials(awx, "vLLM site") == {"Ascend hosts"}
    assert "vLLM API key: no secret was given" in output
    made = copy.deepcopy(({**awx.things, "project_updates": 0}, awx.related))
    code, output = setup(awx, awx_setup_job_templates=some)
    assert (code, changed(output)) == (0, 0), output
    assert ({**awx.things, "project_updates": 0, "projects": made[0]["projects"]}, awx.related) == made


@pytest.mark.campaign
def test_organizations_and_services_stand_side_by_side_and_given_secrets_stay(awx: StandIn):
    image = {"awx_setup_ee_image": "registry.example.com/ascend-ops-ee:1"}
    for organization in ("Production", "Test"):
        code, output = setup(awx, SECRETS, awx_setup_organization=organization, **image)
        assert code == 0, output
    assert len(awx.things["inventories"]) == len(awx.things["execution_environments"]) == 2
    assert len(awx.things["job_templates"]) == 26
    groups = {"vllm_head_group": "qwen_head", "vllm_worker_group": "qwen_workers"}
    qwen = {"awx_setup_service": "Qwen", "awx_setup_extra_vars": groups}
    code, output = setup(
        awx, {"VLLM_API_KEY": "the-other-key"}, awx_setup_organization="Test", **qwen, **image
    )
    assert code == 0, output
    assert json.loads(awx.named("job_templates")["Qwen site"]["extra_vars"]) == groups
    assert credentials(awx, "Qwen site") == {"Ascend hosts", "ModelScope token", "Qwen API key"}
    code, output = setup(awx, awx_setup_organization="Test", **image)
    assert (code, changed(output)) == (0, 0), output
    assert credentials(awx, "vLLM site") == {"Ascend hosts", "ModelScope token", "vLLM API key"}
    assert credentials(awx, "vLLM status") == {"Ascend hosts"}
    stored = awx.named("credentials")["vLLM API key"]["inputs"]
    assert stored == {"secret": SECRETS["VLLM_API_KEY"]}


def test_a_secret_that_awx_has_is_replaced_only_if_asked(awx: StandIn, some: list[dict]):
    other = dict.fromkeys(SECRETS, "another-secret")

    def stored() -> set[str]:
        return {
            awx.named("credentials")[name]["inputs"]["secret"]
            for name in ("ModelScope token", "vLLM API key")
        }

    code, output = setup(awx, SECRETS, awx_setup_job_templates=some)
    assert code == 0, output
    assert "AWX has a secret" not in output
    code, output = setup(awx, other, awx_setup_job_templates=some)
    assert (code, changed(output)) == (0, 0), output
    assert "AWX has a secret in ModelScope token" in output
    assert stored() == set(SECRETS.values())
    code, output = setup(awx, other, awx_setup_job_templates=some, awx_setup_update_secrets=True)
    assert (code, stored()) == (0, {"another-secret"}), output


def test_a_missing_machine_credential_ends_it_before_anything_is_made(awx: StandIn):
    code, output = setup(awx, awx_setup_machine_credential="Nobody")
    assert code == 2
    assert output.count("fatal:") == 1
    assert "0 credentials of type Machine called Nobody that this token may see" in output
    assert awx.things["organizations"] == []
    assert len(awx.things["credentials"]) == 2


def test_a_refused_notification_is_told_with_the_words_of_awx_and_no_secret(awx: StandIn, some: list[dict]):
    token, hook = "xoxb-the-token-of-the-chat", "https://chat.example.com/the-secret-hook"
    code, output = setup(
        awx,
        awx_setup_job_templates=some,
        awx_setup_notifications=[
            {"name": "Mail", "type": "slack", "configuration": {"token": token, "channels": "#ops"}},
            {"name": "Operators", "type": "webhook", "configuration": {"url": hook, "http_method": "POST"}},
        ],
    )
    assert code == 2
    assert "Mail: Unable to create notification_template Mail: Configuration field 'channels'" in output, (
        output
    )
    assert "Operators: Unable to create notification_template Operators: Missing required fields" in output
    assert [secret for secret in (token, hook) if secret in output] == []


def test_names_that_would_not_be_found_again_are_refused_before_anything_is_made(
    awx: StandIn, some: list[dict]
):
    """A number is the worst: the organization with that id would be taken, whatever its name."""
    other = awx.make("organizations", {"name": "Others"})
    names = [str(other["id"]), " Ascend", "C++ team", "x" * 513]
    unusable = [{**some[0], "name": name} for name in names[1:]]
    code, output = setup(awx, awx_setup_organization=names[0], awx_setup_job_templates=unusable)
    assert code == 2
    assert [name for name in names if f"the name {name!r}. Expected: 1 to 512 characters" not in output] == []
    assert awx.things["organizations"] == [other]
    assert awx.things["projects"] == []


def test_what_is_wrong_with_the_settings_is_told_at_once_before_anything_is_made(awx: StandIn):
    password, key = "the-password-of-git", "the-key with an \u00f6"
    code, output = setup(
        awx,
        awx_setup_aproval=True,
        awx_setup_approval="enabled",
        awx_setup_more_credentials="Vault",
        awx_setup_project_url=f"https://me:{password}@git.example.com/us.git",
        awx_setup_extra_vars={"vllm_api_key": SECRETS["VLLM_API_KEY"]},
        awx_setup_api_key=key,
        awx_setup_notifications="Operators",
    )
    assert code == 2
    told = (
        "awx_setup_aproval is not a setting. Expected: a setting of playbooks/vars/awx_setup.yml",
        "Remedy: rename it to awx_setup_approval, if that is meant",
        "awx_setup_approval is 'enabled'. Expected: true or false",
        "awx_setup_more_credentials is 'Vault'. Expected: a list of names or ids",
        "awx_setup_project_url has a password in it",
        "awx_setup_extra_vars has vllm_api_key, which AWX would show",
        "awx_setup_api_key begins or ends with white space, or has characters that are not allowed in an HTTP header",
        "awx_setup_notifications is not such a list",
    )
    assert [line for line in told if line not in output] == [], output
    assert [secret for secret in (password, key) if secret in output] == []
    assert awx.things["organizations"] == []


def test_what_awx_would_refuse_with_403_is_told_before_anything_is_made(awx: StandIn):
    """The modules keep AWX's words for 403 to themselves."""
    awx.user.update(username="operator", is_superuser=False)
    code, output = setup(awx)
    assert code == 2
    assert "operator is not a system administrator, and sees no organization called Ascend" in output, output
    awx.user.update(is_superuser=True)
    kind = {"name": "vLLM API key", "kind": "cloud", "inputs": {"fields": []}}
    used = awx.make("credential_types", kind)
    awx.make("credentials", {"name": "Another", "credential_type": used["id"]})
    code, output = setup(awx)
    assert code == 2
    assert "credentials of the type vLLM API key, which has other fields than this playbook makes" in output
    assert awx.things["organizations"] == []


def test_a_workflow_with_the_name_of_a_scheduled_job_template_is_refused(awx: StandIn, some: list[dict]):
    """Also among more than the thousand things that the lookup of awx.awx takes if it is not told otherwise."""
    organization = awx.make("organizations", {"name": "Ascend"})["id"]
    for number in range(1001):
        awx.make("workflow_job_templates", {"name": f"of mine {number}", "organization": organization})
    awx.make("workflow_job_templates", {"name": "vLLM status", "organization": organization})
    code, output = setup(awx, awx_setup_job_templates=some)
    assert code == 2
    assert "a workflow job template called vLLM status in the organization" in output, output
    assert awx.things["job_templates"] == []


@pytest.mark.campaign  # the rules for names have a test of their own
def test_odd_names_are_found_again(awx: StandIn, some: list[dict]):
    odd = "a, b/c \"d\" 'e' 昇腾 + & # % ?=1"
    named = json.loads(json.dumps(some).replace("vLLM", json.dumps(odd)[1:-1]))
    options = {"awx_setup_organization": odd, "awx_setup_service": odd, "awx_setup_job_templates": named}
    for secrets in (SECRETS, None):
        code, output = setup(awx, secrets, **options)
        assert code == 0, output
    assert changed(output) == 0
    assert credentials(awx, f"{odd} site") == {"Ascend hosts", "ModelScope token", f"{odd} API key"}


def test_a_smart_inventory_of_the_same_name_stays_as_it_is(awx: StandIn):
    organization = awx.make("organizations", {"name": "Ascend"})["id"]
    smart = {"name": "Ascend hosts", "organization": organization, "kind": "smart", "host_filter": "name=x"}
    made = awx.make("inventories", smart)
    code, output = setup(awx)
    assert code == 2
    assert "a smart inventory called Ascend hosts" in output, output
    assert {**made, **smart} == made


def test_an_update_that_awx_does_not_run_is_reported_in_time(awx: StandIn):
    awx.runs_jobs = False
    code, output = setup(awx, awx_setup_project_timeout=3)
    assert code == 2
    assert "aborted due to timeout" in output, output
    assert "The update is pending after 3 seconds" in output
    assert awx.things["job_templates"] == []


@pytest.mark.campaign
def test_what_is_set_back_is_told_before_and_what_others_added_stays(awx: StandIn, some: list[dict]):
    assert setup(awx, awx_setup_job_templates=some)[0] == 0
    site = awx.named("job_templates")["vLLM site"]
    survey = awx.related[site["id"], "survey_spec"]
    mine = {"variable": "mine", "question_name": "Mine", "type": "text", "required": False}
    survey["spec"] = [mine, *survey["spec"][1:]]
    site["description"] = "of mine"
    nodes = {node["identifier"]: node for node in awx.things["workflow_job_template_nodes"]}
    workflow = {name: nodes["site"][name] for name in ("workflow_job_template", "unified_job_template")}
    added = awx.make("workflow_job_template_nodes", {**workflow, "identifier": "of mine"})
    awx.related[nodes["preflight"]["id"], "success_nodes"] = [added]
    awx.related[added["id"], "success_nodes"] = [nodes["site"]]
    before = copy.deepcopy(awx.related)
    told = [
        'vLLM site: description: "of mine" becomes "From bare hosts to a verified endpoint.',
        "vLLM site: question mine is taken away",
        "vLLM site: question vllm_release is added",
        "vLLM from preflight to status: nodes were added in AWX (1)",
    ]
    code, output = setup(awx, awx_setup_job_templates=some, check="--check")
    assert code == 0, output
    assert [line for line in told if line not in output] == []
    assert awx.related == before
    code, output = setup(awx, awx_setup_job_templates=some, awx_setup_approval=True)
    assert code == 0, output
    assert [line for line in told if line not in output] == []
    assert awx.related[nodes["preflight"]["id"], "success_nodes"] == [added]
    assert "approval" not in {node["identifier"] for node in awx.things["workflow_job_template_nodes"]}


@pytest.mark.campaign
def test_choices_are_made_on_request_and_taken_away_without_it(awx: StandIn, some: list[dict]):
    vault = awx.make("credentials", {"name": "Vault", "credential_type": 1})
    hook = {"url": "https://chat.example.com/hook", "http_method": "POST", "headers": {}}
    choices = {
        "awx_setup_job_templates": some,
        "awx_setup_more_credentials": ["Vault"],
        "awx_setup_approval": True,
        "awx_setup_scheduled": True,
        "awx_setup_notifications": [{"name": "Operators", "type": "webhook", "configuration": hook}],
    }
    for _run in range(2):
        code, output = setup(awx, **choices)
        assert code == 0, output
    assert changed(output) == 0
    assert vault["name"] in credentials(awx, "vLLM status")
    site = awx.named("job_templates")["vLLM site"]["id"]
    assert [one["name"] for one in awx.related[site, "notification_templates_error"]] == ["Operators"]
    assert {one["name"] for one in awx.things["schedules"]} == {
        "vLLM status every hour",
        "vLLM preflight every night",
    }
    nodes = {node["identifier"]: node for node in awx.things["workflow_job_template_nodes"]}
    assert awx.related[nodes["preflight"]["id"], "success_nodes"] == [nodes["approval"]]
    assert awx.related[nodes["approval"]["id"], "success_nodes"] == [nodes["site"]]
    assert nodes["approval"]["unified_job_template"] == awx.things["workflow_approval_templates"][0]["id"]

    code, output = setup(awx, awx_setup_job_templates=some)
    assert code == 0, output
    assert awx.things["schedules"] == []
    assert {node["identifier"] for node in awx.things["workflow_job_template_nodes"]} == {
        "preflight",
        "site",
        "status",
    }
    assert awx.related[nodes["preflight"]["id"], "success_nodes"] == [nodes["site"]]
