# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks run by ansible-runner on the running lab, as AWX runs a job: a survey's answers, which are strings, and secrets by files."""

from __future__ import annotations

import copy
import json
import os
import sys
import tarfile
from functools import partial
from pathlib import Path

import ansible_runner
import pytest
from ansible_run import ROOT
from awx_stand_in import StandIn
from lab import NODES, STATE, assert_names, on, shell, state

SECRETS = {
    "weights_token": (STATE / "hub-token").read_text(encoding="utf-8").strip(),
    "vllm_api_key": "a-key-nobody-may-see",
}
# What the lab's inventory says already, as a survey sends it.
SAME = {
    "vllm_api_port": "8080",
    "vllm_served_model_name": "glm47",
    "vllm_tensor_parallel_size": "1",
    "vllm_patch_repairs": "true",
    "vllm_serve_args": '{"enforce-eager": true}',
    "vllm_container_extra_mounts": '["/opt/lab/engine:/opt/lab/engine:ro"]',
    "preflight_allow_newer": "false",
    "serve_timeout": "180",
}
# Another model folder, for which the hub must be asked, with the token; and flags that render shows.
OTHER = {
    **SAME,
    "vllm_model_dir": "/opt/data/runner/GLM-4.7",
    "vllm_model_cache_dir": "/opt/data/runner/.cache",
    "vllm_serve_args": '{"enforce-eager": true, "max-model-len": 4096}',
    "vllm_service_nic": "eth0",
}


class Job:
    """One job: its result, and what it left behind."""

    def __init__(
        self,
        folder: Path,
        playbook: str,
        survey: dict[str, str],
        secrets: tuple[str, ...] = (),
        arguments: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        env = folder / "env"
        env.mkdir()
        (env / "extravars").write_text(json.dumps({"awx_job_id": 1, **survey}), encoding="utf-8")
        (env / "credential").write_text(
            json.dumps({name: SECRETS[name] for name in secrets}), encoding="utf-8"
        )
        (env / "cmdline").write_text(f"-e @{env / 'credential'} {arguments}", encoding="utf-8")
        self.result = ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(ROOT),
            inventory=str(ROOT / "inventories/lab"),
            playbook=playbook,
            envvars={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                # AWX puts these around the project's own collections_path.
                "ANSIBLE_COLLECTIONS_PATH": f"{folder}/requirements_collections:collections:~/.ansible/collections:/usr/share/ansible/collections",
                **(environment or {}),
            },
            settings={"idle_timeout": 240},
            fact_cache_type="",
            suppress_env_files=True,
            quiet=True,
        )
        self.events = list(self.result.events)
        self.said = "\n".join(event["stdout"] for event in self.events)
        self.artifacts = {
            file: file.read_text(encoding="utf-8")
            for file in Path(self.result.config.artifact_dir).rglob("*")
            if file.is_file()
        }

    def names(self, kind: str, name: str) -> list[str]:
        """The plays or tasks that began, in their order."""
        return [event["event_data"][name] for event in self.events if event["event"] == kind]

    def failed(self) -> str:
        """Assert that it failed; return the message of the last failure."""
        assert self.result.status == "failed", self.said
        assert "Traceback" not in self.said, self.said
        return [
            event["event_data"]["res"]["msg"] for event in self.events if event["event"] == "runner_on_failed"
        ][-1]

    def changed(self) -> dict[str, int]:
        return self.result.stats["changed"]


@pytest.fixture(scope="module", name="job")
def a_job(tmp_path_factory):
    """A function that runs a job, after which nothing of the secrets is in what it left."""

    def run(*arguments, **options) -> Job:
        job = Job(tmp_path_factory.mktemp("job"), *arguments, **options)
        assert len(job.artifacts) > 10
        shown = [
            (name, file)
            for name, secret in SECRETS.items()
            for file, text in job.artifacts.items()
            if secret in text
        ]
        assert shown == [], "a secret is in the artifacts"
        return job

    return run


@pytest.fixture(scope="module", autouse=True, name="first")
def service_that_runs(job) -> Job:
    """The service as the inventory describes it, made by AWX's means as well."""
    done = job("playbooks/site.yml", SAME, secrets=("weights_token",))
    assert done.result.status == "successful", done.said
    return done


@pytest.fixture(name="unchanged")
def nothing_is_changed():
    before = state()
    yield
    assert state() == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("playbook", [pytest.param("upgrade", marks=pytest.mark.campaign), "start"])
def test_a_converged_service_is_left_alone(job, playbook):
    done = job(f"playbooks/{playbook}.yml", SAME, secrets=("weights_token",))
    assert done.result.status == "successful", done.said
    assert done.changed() == {}


def test_progress_is_read_from_the_events(first):
    assert first.names("playbook_on_play_start", "name")[0] == "Check the inventory"
    stages = list(
        dict.fromkeys(
            event["event_data"]["role"] for event in first.events if event["event_data"].get("role")
        )
    )
    assert [stage.rsplit(".", 1)[-1] for stage in stages] == [
        "plan",
        "serve",  # are all hosts of the service in this run?
        "preflight",
        "weights",
        "image",
        "container",
        "patch",
        "verify",
    ]
    tasks = first.names("playbook_on_task_start", "task")
    assert [name for name in tasks if not name[0].isupper()] == []
    assert "GLM-4.7" in first.said
    assert "Traceback" not in first.said


@pytest.mark.usefixtures("unchanged")
def test_preflight_asks_the_hub_with_the_token(job):
    done = job("playbooks/preflight.yml", OTHER, secrets=("weights_token", "vllm_api_key"), arguments="-vvv")
    assert done.result.status == "successful", done.said
    assert done.changed() == {}
    without = job("playbooks/preflight.yml", {**OTHER, "weights_token": "somebody-elses"})
    without.failed()
    assert_names(without.said, "10010103009", "weights_token")


@pytest.mark.campaign  # scenario default checks from a shell
@pytest.mark.usefixtures("unchanged")
def test_a_check_tells_what_site_would_change(job):
    done = job("playbooks/site.yml", OTHER, secrets=("weights_token",), arguments="--check --diff")
    assert done.result.status == "successful", done.said
    assert set(done.changed()) == set(NODES)


@pytest.mark.usefixtures("unchanged")
def test_render_shows_what_the_strings_mean(job, tmp_path):
    done = job("playbooks/render.yml", {**OTHER, "render_dir": str(tmp_path)}, secrets=tuple(SECRETS))
    assert done.result.status == "successful", done.said
    script = (tmp_path / "node0/serve.sh").read_text(encoding="utf-8")
    assert "--port 8080" in script
    assert "--max-model-len 4096" in script
    assert "--enforce-eager" in script
    assert not [
        file
        for file in tmp_path.rglob("*")
        if file.is_file() and SECRETS["vllm_api_key"] in file.read_text(encoding="utf-8")
    ]


@pytest.mark.usefixtures("unchanged")
def test_settings_are_checked_against_their_release(job):
    done = job("playbooks/lint.yml", SAME)
    assert done.result.status == "successful", done.said
    assert done.changed() == {}
    assert "vLLM-Ascend: 0.13.0rc1. 0 failures, 0 warnings" in " ".join(done.said.split())


@pytest.mark.usefixtures("unchanged")
def test_status_is_shown(job):
    done = job("playbooks/status.yml", SAME)
    assert done.result.status == "successful", done.said
    assert done.changed() == {}
    assert all(node in done.said for node in NODES)


@pytest.mark.usefixtures("unchanged")
def test_a_service_without_a_fault_is_diagnosed(job, tmp_path):
    variables = {**SAME, "diagnose_dir": str(tmp_path)}
    copied = "/var/tmp/ascend-ops-support-bundle.tar.gz"
    try:
        done = job("playbooks/diagnose.yml", variables, secrets=("weights_token",))
        assert done.result.status == "successful", done.said
        assert set(done.changed()) <= {"localhost"}
        with tarfile.open(tmp_path / "support-bundle.tar.gz") as bundle:
            findings = json.load(bundle.extractfile("support-bundle/findings.json"))
        assert {finding["severity"] for finding in findings} <= {"past"}  # what the service recovered from
        assert on("node0", "stat", "--format=%a", copied).strip() == "600"
    finally:
        on("node0", "rm", "-f", copied)


@pytest.mark.usefixtures("unchanged")
def test_a_folder_is_filled_for_hosts_without_a_way_out(job):
    folder = "/var/tmp/runner-airgap"
    # The packages come from PyPI to where Ansible runs, which tests need not reach; scenario airgap brings them.
    try:
        done = job(
            "playbooks/fetch.yml",
            {"fetch_dir": folder, "fetch_host": "node0"},
            secrets=("weights_token",),
            arguments="--skip-tags python",
        )
        assert done.result.status == "successful", done.said
        shell("node0", f"cd {folder} && sha256sum --check --quiet SHA256SUMS")
        sums = on("node0", "cat", f"{folder}/SHA256SUMS")
        assert "image.tar" in sums
        assert "model.safetensors.index.json" in sums
    finally:
        on("node0", "rm", "-rf", folder)


@pytest.mark.campaign  # make component sets up the same AWX
@pytest.mark.usefixtures("unchanged")
def test_awx_is_set_up(job):
    survey = {
        "awx_setup_project_url": "https://git.example.com/us/ascend_ops.vllm.git",
        "awx_setup_ee_image": "registry.example.com/ee:1",
        "awx_setup_weights_token": "{{ weights_token }}",
        "awx_setup_api_key": "{{ vllm_api_key }}",
    }
    url = "https://git.example.com/us/ascend_ops.vllm.git"
    playbooks = [f"playbooks/{file.name}" for file in (ROOT / "playbooks").glob("*.yml")]
    with StandIn("a-token-nobody-may-see", "Ascend hosts", {url: playbooks}).serving() as awx:
        run = partial(
            job,
            "playbooks/awx_setup.yml",
            survey,
            tuple(SECRETS),
            environment={"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": awx.token},
        )
        first = run(arguments="-vvv")
        assert first.result.status == "successful", first.said
        assert awx.named("credentials")["ModelScope token"]["inputs"] == {"secret": SECRETS["weights_token"]}
        templates = awx.named("job_templates")
        assert {
            "vLLM site",
            "vLLM preflight",
            "vLLM status",
            "vLLM upgrade",
            "vLLM diagnose",
            "vLLM uninstall",
        } <= set(templates)
        site = templates["vLLM site"]["id"]
        assert {thing["name"] for thing in awx.related[site, "credentials"]} == {
            "Ascend hosts",
            "ModelScope token",
            "vLLM API key",
        }
        assert "vllm_image" in {question["variable"] for question in awx.related[site, "survey_spec"]["spec"]}
        nodes = {thing["identifier"]: thing for thing in awx.things["workflow_job_template_nodes"]}
        assert nodes["site"]["unified_job_template"] == site
        assert awx.related[nodes["preflight"]["id"], "success_nodes"] == [nodes["site"]]
        made = copy.deepcopy(({**awx.things, "project_updates": 0}, awx.related))
        second = run()
        assert second.result.status == "successful", second.said
        things = {**awx.things, "project_updates": 0, "projects": made[0]["projects"]}
        assert (things, awx.related) == made
    assert awx.token not in first.said + second.said
    assert second.changed() == {"localhost": 0}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("playbook", "survey", "names"),
    [
        ("benchmark", {"benchmark_minutes": "long"}, ("node0", "benchmark_minutes", "long")),
        ("gateway", {}, ("node0", "gateway_api_keys")),
        ("monitoring", {}, ("vllm_monitoring",)),
    ],
)
def test_a_survey_that_lacks_something_is_refused(job, playbook, survey, names):
    assert_names(job(f"playbooks/{playbook}.yml", survey).failed(), *names)


def test_every_playbook_is_run_as_a_job():
    here = Path(__file__).read_text(encoding="utf-8")
    stems = {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
    assert [stem for stem in stems if f"playbooks/{stem}.yml" not in here and f'"{stem}"' not in here] == []


@pytest.mark.usefixtures("unchanged")
def test_stop_is_checked(job):
    done = job("playbooks/stop.yml", {}, arguments="--check")
    assert done.result.status == "successful", done.said
    assert set(done.changed()) == set(NODES)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("survey", [{"uninstall_confirm": "no", "uninstall_weights": "true"}, {}])
def test_nothing_is_uninstalled_without_a_yes(job, survey):
    message = job("playbooks/uninstall.yml", survey).failed()
    assert_names(message, *NODES, "-e uninstall_confirm=yes", survey.get("uninstall_confirm", ""))


@pytest.mark.usefixtures("unchanged")
def test_an_answer_that_cannot_be_is_refused(job):
    message = job("playbooks/site.yml", {**SAME, "vllm_api_port": "80a"}).failed()
    assert_names(message, "vllm_api_port", "'80a'")
