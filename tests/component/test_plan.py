# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role plan in a user's playbooks, without contact to a host: whose variables count, how long it lasts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT, run

NIC = {"vllm_service_nic": "enp1"}
INVENTORY: dict[str, Any] = {
    "vllm_head": {"hosts": {"node0": {"ansible_host": "10.0.0.10"}}},
    "vllm_workers": {"hosts": {"node1": {"ansible_host": "10.0.0.11"}}},
    "all": {"vars": {**NIC, "plan_offline": True, "ansible_ssh_executable": "/bin/false"}},
}
FACT = "ansible_facts.vllm_plan"
SHOWN = f"PLAN {{{{ inventory_hostname }}}} {{{{ {FACT}.api_port }}}} {{{{ {FACT}.served_model_name }}}}"
SHOW = {"ansible.builtin.debug": {"msg": SHOWN}}
PLAN = {"ansible.builtin.include_role": {"name": "ascend_ops.vllm.plan"}}


def play(*tasks: dict[str, Any], hosts: str = "vllm_head:vllm_workers", **more: Any) -> dict[str, Any]:
    return {"hosts": hosts, "gather_facts": False, "tasks": list(tasks), **more}


class Site:
    """An inventory and a playbook in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = json.loads(json.dumps(INVENTORY))

    def run(self, *plays: dict[str, Any], options: tuple[str, ...] = (), **environment: str) -> str:
        """Run the plays; return the output with single blanks."""
        done = self.start(*plays, options=options, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def refusal(self, *plays: dict[str, Any], options: tuple[str, ...] = ()) -> str:
        done = self.start(*plays, options=options)
        assert done.returncode != 0, done.stdout
        return " ".join(done.stdout.split())

    def start(
        self, *plays: dict[str, Any], options: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (self.folder / "hosts.yml").write_text(json.dumps(self.inventory), encoding="utf-8")
        (self.folder / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
        command = ("ansible-playbook", "play.yml", "-i", "hosts.yml", *options)
        config = str(ROOT / "ansible.cfg")
        return run(*command, cwd=self.folder, ANSIBLE_CONFIG=config, **environment)


@pytest.fixture(name="site")
def own_site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def plans(output: str) -> list[tuple[str, ...]]:
    """Return host, port and model's name of each plan that was shown, by host."""
    return sorted(re.findall(r"PLAN (\S+) (\d+) ([\w.-]+)", output))


def made(output: str) -> int:
    """Return how often the plan of a host was made, and not kept."""
    tasks = output.split("TASK [")[1:]
    return sum(task.count("ok: [") for task in tasks if "compute the deployment plan" in task)


# How long a plan lasts


def test_a_plan_is_made_once_in_a_run_and_for_other_settings_again(site):
    output = site.run(play(PLAN, PLAN), play(PLAN, SHOW), play(PLAN, SHOW, vars={"vllm_api_port": 9000}))
    assert [port for _host, port, _name in plans(output)] == ["8080", "9000"] * 2
    assert made(output) == 2 * 2  # hosts


def test_a_profile_that_the_playbook_writes_is_read_again(site, tmp_path):
    site.inventory["all"]["vars"]["vllm_profile"] = "./own.yml"

    def write(name: str) -> dict[str, Any]:
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        copy = {
            "dest": str(tmp_path / "own.yml"),
            "content": f"extends: glm-4.7\nserved_model_name: {name}\n",
        }
        return {"ansible.builtin.copy": copy, "vars": local, "run_once": True}

    output = site.run(play(write("one"), PLAN, SHOW, write("two"), PLAN, PLAN, SHOW, hosts="vllm_head"))
    assert [name for _host, _port, name in plans(output)] == ["one", "two"]
    assert made(output) == 2


def settings_of(name: str) -> dict[str, str]:
    return {"vllm_served_model_name": name}


def test_roles_of_one_play_with_settings_of_their_own_have_plans_of_their_own(site, tmp_path):
    """Also where they do not include the role plan themselves."""
    render = {"name": "ascend_ops.vllm.container", "tasks_from": "render"}
    roles = [
        {"ansible.builtin.include_role": {"name": "ascend_ops.vllm.plan"}, "vars": settings_of("one")},
        SHOW,
        {
            "ansible.builtin.include_role": render,
            "vars": {**settings_of("two"), "container_render_dir": str(tmp_path)},
        },
    ]
    assert plans(site.run(play(*roles, hosts="vllm_head"))) == [("node0", "8080", "one")]
    script = (tmp_path / "node0/serve.sh").read_text(encoding="utf-8")
    assert "--served-model-name two" in script


def test_a_plan_knows_where_each_host_has_its_manifest(site):
    """Also that of a host outside of the run, whose folder may be its own."""
    site.inventory["vllm_head"]["hosts"]["node0"]["vllm_model_dir"] = "/opt/data/own/{model_name}"
    show = {
        "ansible.builtin.debug": {"msg": f"MANIFESTS {{{{ {FACT}.manifests.values() | join(' ') }}}} END"}
    }
    output = site.run(play(PLAN, show), options=("--limit", "node1"))
    own, default = output.partition("MANIFESTS ")[2].partition(" END")[0].split()
    assert own == "/opt/data/own/GLM-4.7/.ascend_ops_manifest.json"
    assert default.endswith("/models/GLM-4.7/.ascend_ops_manifest.json")


def test_a_plan_from_a_fact_cache_is_not_used(site, tmp_path):
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "cache")}
    assert made(site.run(play(PLAN), **cache)) == 2
    assert made(site.run(play(PLAN), **cache)) == 2
    (cached,) = (tmp_path / "cache").glob("*node0")
    assert "vllm_plan" in cached.read_text(encoding="utf-8")


# Whose variables count


def test_variables_of_the_play_hold_for_all_hosts_and_may_be_templates(site):
    site.inventory["all"]["vars"].update(vllm_served_model_name="{{ name }}", name="ours")
    output = site.run(play(PLAN, SHOW, vars={"port": 9000, "vllm_api_port": "{{ port }}"}))
    assert plans(output) == [("node0", "9000", "ours"), ("node1", "9000", "ours")]


def test_a_variable_of_the_play_fills_in_those_of_the_inventory_for_all_hosts(site):
    """Also where the inventory has another value for it. A variable of one host fills in none of another."""
    site.inventory["all"]["vars"].update(vllm_served_model_name="{{ team }}-{{ kind }}", kind="lab")
    site.inventory["vllm_head"]["hosts"]["node0"]["rack"] = "r0"
    variables = {"team": "blue", "kind": "prod", "vllm_model_dir": "/opt/data/{{ inventory_hostname }}/x"}
    show = {
        "ansible.builtin.debug": {"msg": f"MANIFESTS {{{{ {FACT}.manifests.values() | join(' ') }}}} END"}
    }
    output = site.run(play(PLAN, SHOW, show, vars=variables))
    assert plans(output) == [("node0", "8080", "blue-prod"), ("node1", "8080", "blue-prod")]
    both = "/opt/data/node0/x/.ascend_ops_manifest.json /opt/data/node1/x/.ascend_ops_manifest.json"
    assert re.findall(r"MANIFESTS (.+?) END", output) == [both] * 2

    site.inventory["all"]["vars"]["vllm_model_dir"] = "/opt/data/{{ rack }}"
    assert "vllm_model_dir of host node1 cannot be computed" in site.refusal(
        play(PLAN, hosts="vllm_head", vars={"team": "a"})
    )


def test_a_setting_of_one_host_that_must_be_common_is_refused(site):
    site.inventory["vllm_workers"]["hosts"]["node1"]["vllm_api_port"] = 9000
    output = site.refusal(play(PLAN, hosts="vllm_workers"))
    assert "host node1: vllm_api_port is 9000. Expected: the head's (node0): 8080." in output


@pytest.mark.parametrize("inject", ["true", "false"])
def test_a_variable_that_is_no_setting_is_warned_about_once(site, inject):
    site.inventory["all"]["vars"].update(vllm_dashboard_url="http://10.0.0.1", weight_port=9000)
    plays = (play(PLAN, hosts="localhost"), play(PLAN), play(PLAN))
    output = site.run(*plays, ANSIBLE_INJECT_FACT_VARS=inject)
    assert output.count("The variable vllm_dashboard_url is not a setting") == 1
    assert output.count("The variable weight_port is not a setting") == 1
    assert output.count("is not a setting") == 2
    assert "Is weights_port meant?" in " ".join(output.split())


WRONG = {
    "vllm_imgae": "x",
    "driver_pings": "full",
    "serve_api_key": "secret-key",
    "vllm_api_key": "",
    "vllm_api_port": "80a",
    "preflight_accept": "chip_health, chip_helth",
}
FOUND = (
    "variable vllm_imgae is not a setting. Expected: the variable vllm_image.",
    "variable driver_pings has a new name. Expected: the variable preflight_pings.",
    "variable serve_api_key has a new name. Expected: the variable vllm_api_key.",
    "vllm_api_key is set, but empty. Expected: a key.",
    "vllm_api_port is '80a'. Expected: a whole number.",
    "preflight_accept names findings that do not exist: chip_helth. Expected: ids of findings, as roles/preflight/README.md ",
)


@pytest.mark.parametrize(
    ("hosts", "told"), [("localhost", "hosts node0, node1"), ("vllm_head", "host node0")]
)
def test_all_that_cannot_be_used_is_refused_together(site, hosts, told):
    site.inventory["all"]["vars"].update(WRONG)
    output = site.refusal(play(PLAN, hosts=hosts))
    assert [found for found in FOUND if f"- {told}: {found}" not in output] == [], output
    assert "secret-key" not in output


def test_a_first_guess_is_refused_with_the_right_place(site):
    site.inventory["all"]["vars"].update(vllm_max_model_len=131072, vllm_port=9000)
    output = site.refusal(play(PLAN, hosts="localhost"))
    assert "hosts node0, node1: variable vllm_max_model_len is not a setting." in output
    assert "write vllm_serve_args: {max-model-len: VALUE}" in output
    assert "rename it to vllm_api_port" in output


def test_a_variable_that_fills_in_the_right_place_may_have_that_name(site):
    site.inventory["all"]["vars"].update(
        vllm_max_model_len=4096, vllm_serve_args={"max-model-len": "{{ vllm_max_model_len }}"}
    )
    assert "vllm_max_model_len" not in site.run(play(PLAN, hosts="localhost"))


@pytest.mark.parametrize("options", [("--limit", "node0,node1"), ()])
def test_site_refuses_an_option_that_its_first_task_does_not_see(site, options):
    """That task is for localhost, which a limit leaves out, and which has no variables of the playbook's importer."""
    imported = {
        "ansible.builtin.import_playbook": "ascend_ops.vllm.site",
        "vars": {"weights_distribution": "fan"},
    }
    output = site.refusal(imported, options=options)
    assert "weights_distribution is 'fan'. Expected: one of each, fanout, shared, present." in output


# Groups with other names


@pytest.fixture(name="renamed")
def site_with_other_groups(site: Site) -> Site:
    site.inventory["front"] = site.inventory.pop("vllm_head")
    site.inventory["back"] = site.inventory.pop("vllm_workers")
    return site


GROUPS = {"vllm_head_group": "front", "vllm_worker_group": "back"}


def test_playbooks_take_other_groups_as_extra_variables(renamed, tmp_path):
    (tmp_path / "play.yml").write_text("[]", encoding="utf-8")
    renamed.start()
    options = [word for name, group in GROUPS.items() for word in ("-e", f"{name}={group}")]
    command = ("ansible-playbook", "playbooks/render.yml", "-i", str(tmp_path / "hosts.yml"))
    done = run(*command, *options, "-e", f"render_dir={tmp_path}", "--limit", "localhost,node1")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "node1/serve.sh").exists()


def test_playbooks_of_ones_own_may_have_them_in_the_inventory(renamed):
    renamed.inventory["all"]["vars"].update(GROUPS)
    assert len(plans(renamed.run(play(PLAN, SHOW, hosts="front:back")))) == 2


def test_in_the_inventory_alone_they_are_refused_before_a_playbook_finds_no_host(renamed):
    renamed.inventory["all"]["vars"].update(GROUPS)
    output = renamed.refusal(play(PLAN, hosts="localhost"))
    assert "vllm_head_group is set in the inventory" in output
    assert "make your group a child of vllm_workers" in output


def test_the_clock_of_a_host_is_compared_with_the_controllers(site):
    """This machine as the host, so that both have the same clock."""
    own = {
        "ansible_host": "10.0.0.10",
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    site.inventory = {"vllm_head": {"hosts": {"node0": own}}, "all": {"vars": NIC}}
    shown = {"ansible.builtin.debug": {"msg": "CLOCK {{ ansible_facts.vllm_host_facts.clock_ahead }} END"}}
    output = site.run(play({"ascend_ops.vllm.plan": {}}, shown, hosts="vllm_head"))
    least, most = (float(re.findall(rf"{name}\W+?(-?[\d.e-]+)", output)[0]) for name in ("least", "most"))
    assert -60 < least <= 0 <= most < 60
