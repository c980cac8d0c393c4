# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action makes of an inventory, and what it asks of the host."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
from actions import Site
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.ascend_ops.vllm.plugins.action import plan

INVENTORY: dict[str, Any] = {
    "vllm_head": {"hosts": {"node0": {"ansible_host": "10.0.0.10"}}},
    "vllm_workers": {"hosts": {"node1": {"ansible_host": "10.0.0.11"}}},
    "others": {"hosts": {"jump": {}}},
    "all": {"vars": {"vllm_service_nic": "enp1"}},
}
AIRGAP = {"vllm_airgap_dir": "/opt/airgap"}


def inventory(head: dict[str, Any] | None = None, worker: dict[str, Any] | None = None, **shared: Any) -> Any:
    """Return the inventory with variables of head, worker and all."""
    copied = copy.deepcopy(INVENTORY)
    copied["vllm_head"]["hosts"]["node0"].update(head or {})
    copied["vllm_workers"]["hosts"]["node1"].update(worker or {})
    copied["all"]["vars"].update(shared)
    return copied


@pytest.fixture(name="site")
def site_of_two(tmp_path):
    def make(*arguments: Any, **shared: Any) -> Site:
        return Site(tmp_path, inventory(*arguments, **shared))

    return make


def plan_of(site: Site, host: str, **more: Any) -> dict[str, Any]:
    return site.action("plan", host, offline=True, **more).result()["ansible_facts"]["vllm_plan"]


def gathered(**facts: Any) -> dict[str, Any]:
    """Return what the module host_facts answers."""
    return {"ansible_facts": {"vllm_host_facts": {"epoch": time.time(), "service_nic": "eth9", **facts}}}


def test_a_plan_without_contact_to_the_host(site):
    planned = plan_of(site(), "node1")
    assert (planned["role"], planned["head"], planned["hosts"]) == ("worker", "node0", ["node0", "node1"])
    assert (planned["service_ip"], planned["service_nic"]) == ("10.0.0.11", "enp1")
    assert planned["offline"] is True
    assert planned["has_api_key"] is False
    assert planned["manifests"].keys() == {"node0", "node1"}


def test_a_host_outside_of_the_service_learns_of_it_and_gets_no_plan(site):
    result = site(worker={"vllm_service_ip": "10.9.0.11"}).action("plan", "jump").result()
    assert result["hosts"] == ["node0", "node1"]
    assert [one["address"] for one in result["service"]["hosts"]] == ["10.0.0.10", "10.9.0.11"]
    assert "ansible_facts" not in result


def test_a_key_of_the_api_is_told_and_not_kept(site):
    planned = plan_of(site(vllm_api_key="a-key-of-32-characters-0123456789"), "node0")
    assert planned["has_api_key"] is True
    assert "0123456789" not in str(planned)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"head": {"vllm_api_port": 8001}}, ["vllm_api_port", "node0", "node1"]),
        ({"worker": {"vllm_service_ip": "10.0.0.10"}}, ["10.0.0.10"]),
        ({"worker": {"vllm_api_prot": 8000}}, ["vllm_api_prot", "node1"]),
        ({"worker": {"verify_timeout": "soon"}}, ["verify_timeout", "node1"]),
        ({"worker": {"vllm_api_port": 99999}}, ["99999", "node1"]),
        ({"worker": {"preflight_accept": "driver,fantasy"}}, ["fantasy", "node1"]),
        ({"worker": {"vllm_profile": "glm-9"}}, ["glm-9"]),
        ({"vllm_patch_set": "none-such"}, ["none-such"]),
        ({"vllm_head_group": "vllm_head"}, ["vllm_head_group", "-e"]),
        ({"vllm_image": "{{ nothing }}"}, ["vllm_image", "node0"]),
        ({"vllm_api_key": ""}, ["vllm_api_key"]),
        ({"vllm_service_nic": "no nic"}, ["vllm_service_nic"]),
    ],
)
def test_an_inventory_that_is_wrong_is_refused(site, variables, words):
    text = site(**variables).refusal("plan", "node0", offline=True)
    assert all(word in text for word in words), text


def test_options_are_checked_where_a_role_makes_the_plan(site):
    """The first task of site.yml has not run with --limit, or with --start-at-task."""
    text = site(verify_timeout="soon").refusal("plan", "node1", offline=True, reuse=True)
    assert "host node1: verify_timeout is 'soon'" in text


def test_a_group_that_is_given_on_the_command_line_is_in_time(site, monkeypatch):
    monkeypatch.setattr(plan, "load_extra_vars", lambda _loader: {"vllm_head_group": "vllm_head"})
    assert plan_of(site(vllm_head_group="vllm_head"), "node0")["role"] == "head"


def test_all_that_is_wrong_is_told_at_once(site):
    text = site({"verify_timeout": "soon"}, {"vllm_api_port": 0}).refusal("plan", "node1", offline=True)
    assert "verify_timeout" in text
    assert "vllm_api_port" in text


def test_a_problem_of_each_host_is_told_once_with_their_names(site):
    text = site(vllm_api_port=0).refusal("plan", "node0", offline=True)
    assert text.count("vllm_api_port") == 1 + text.count("correct vllm_api_port")
    assert "hosts node0, node1" in text


@pytest.mark.parametrize(("host", "asked"), [("node0", 3), ("node1", 0)])
def test_the_module_is_asked_for_what_the_host_needs(site, host, asked):
    run = site(**AIRGAP).action("plan", host, [gathered()])
    planned = run.result()["ansible_facts"]["vllm_plan"]
    ((module, arguments),) = run.modules
    assert module == "ascend_ops.vllm.host_facts"
    assert arguments["service_ip"] == planned["service_ip"]
    assert len(set(arguments["ports"])) == asked
    assert {"/opt/airgap", planned["model"]["dir"]} <= set(arguments["disks"])
    assert {"/dev/davinci0", planned["container"]["mounts"][0]["source"]} <= set(arguments["paths"])
    assert planned["offline"] is False


def test_the_network_card_is_the_given_one_or_the_found_one(tmp_path):
    data = inventory()
    for variables, nic in (({"vllm_service_nic": "enp1"}, "enp1"), ({}, "eth9")):
        data["all"]["vars"] = variables
        result = Site(tmp_path, data).action("plan", "node0", [gathered()]).result()
        assert result["ansible_facts"]["vllm_plan"]["service_nic"] == nic
    assert "vllm_service_nic" in Site(tmp_path, data).refusal("plan", "node0", offline=True)


def test_a_clock_is_bounded_by_begin_and_end_of_the_question(site):
    began = time.time()
    result = site().action("plan", "node0", [gathered(epoch=began + 100)]).result()
    ahead = result["ansible_facts"]["vllm_host_facts"]["clock_ahead"]
    assert 0 < ahead["least"] <= ahead["most"] <= 100


def test_a_host_whose_facts_cannot_be_read_is_an_error(site):
    text = site().refusal("plan", "node0", [{"failed": True, "msg": "no ip(8)"}])
    assert "no ip(8)" in text


def test_weights_behind_a_link_are_refused_where_no_mount_has_its_end(site):
    folder = plan_of(site(), "node0")["model"]["dir"]
    answers = [gathered(real_paths={folder: "/elsewhere/model"})]
    text = site().refusal("plan", "node0", answers)
    assert "/elsewhere/model" in text
    assert "node0" in text


def test_a_plan_that_holds_is_kept_and_another_one_is_made_again(site):
    first = site()
    facts = first.action("plan", "node0", [gathered()]).result()["ansible_facts"]
    for changed, skipped in (({}, True), ({"vllm_served_model_name": "other"}, False)):
        again = site(**changed)
        again.tell("node0", **facts)
        run = again.action("plan", "node0", [gathered()], reuse=True)
        result = run.result()
        assert result.get("skipped", False) is skipped
        assert result["changed"] is False
        assert bool(run.modules) is not skipped
    assert result["ansible_facts"]["vllm_plan"]["served_model_name"] == "other"
    without = site().action("plan", "node0", [gathered()], reuse=True)
    assert "skipped" not in without.result()
    outside = first.action("plan", "jump", reuse=True).result()
    assert outside["service"]["engines"] > 0


def test_a_plan_that_was_made_without_a_given_card_holds_as_well(tmp_path):
    data = inventory()
    data["all"]["vars"] = {}
    facts = Site(tmp_path, data).action("plan", "node0", [gathered()]).result()["ansible_facts"]
    again = Site(tmp_path, data)
    again.tell("node0", **facts)
    assert again.action("plan", "node0", reuse=True).result()["skipped"]


def test_the_report_has_the_notes_and_asks_no_host(site):
    result = site(vllm_serve_args={"max-num-seqs": 100000}).action("plan", "node1", lint="report").result()
    assert result["releases"].keys() == {"node0", "node1"}
    assert all(result["releases"].values())
    assert result["findings"]
    assert all(finding["id"] in result["msg"] for finding in result["findings"])
    assert "ansible_facts" not in result


def test_notes_are_counted_and_a_warning_is_shown(site, capsys):
    plan_of(site(), "node0")
    assert "notes on the settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "word"),
    [("vllm_port", ""), ("vllm_my_own", "vllm_my_own"), ("vlm_api_port", "vllm_api_port")],
)
def test_a_variable_that_no_setting_has_is_warned_of_or_refused(site, capsys, name, word):
    data = site(**{name: 1})
    if word:
        plan_of(data, "node0")
        assert word in capsys.readouterr().err.replace("\n", " ")
    else:
        assert name in data.refusal("plan", "node0", offline=True)


def test_a_profile_of_the_user_is_read_and_its_broken_line_told(site, tmp_path):
    profile = tmp_path / "own.yml"
    profile.write_text("served_model_name: mine\n", encoding="utf-8")
    data = site(vllm_profile=str(profile))
    text = data.refusal("plan", "node0", offline=True)
    assert "own.yml" in text
    profile.write_text("a: 1\nb: [\n", encoding="utf-8")
    text = site(vllm_profile=str(profile)).refusal("plan", "node0", offline=True)
    assert "own.yml, line 3," in text
    missing = Path(tmp_path, "none.yml")
    assert str(missing) in site(vllm_profile=str(missing)).refusal("plan", "node0", offline=True)


def test_a_profile_of_the_user_may_be_encrypted(site, tmp_path):
    secret = VaultSecret(b"the password")
    encrypted = VaultLib([("default", secret)]).encrypt("served_model_name: mine\n", secret)
    profile = tmp_path / "own.yml"
    profile.write_bytes(encrypted)
    data = site(vllm_profile=str(profile))
    data.loader.set_vault_secrets([("default", secret)])
    # It has been read: all that is wrong is that a profile needs more than a name.
    assert "cannot be read" not in data.refusal("plan", "node0", offline=True)
    assert "cannot be read" in site(vllm_profile=str(profile)).refusal("plan", "node0", offline=True)


def test_an_inventory_without_the_hosts_of_a_service_is_refused(tmp_path):
    data = inventory()
    data["vllm_haed"] = data.pop("vllm_head")
    assert "vllm_head" in Site(tmp_path, data).refusal("plan", "node1", offline=True)


def test_variables_of_the_play_hold_for_all_hosts(site):
    """As a role's parameters do, which only the host of the task has in its variables."""
    run = site().action("plan", "node1", offline=True)
    run.variables["vllm_served_model_name"] = "of-the-play"
    assert run.result()["ansible_facts"]["vllm_plan"]["served_model_name"] == "of-the-play"
