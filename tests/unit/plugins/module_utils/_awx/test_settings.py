# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of awx_setup.yml: the shipped ones are right, and each odd one is told with what to do."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx import settings
from ansible_collections.ascend_ops.vllm.plugins.module_utils._awx.settings import name_problems, problems
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import COLLECTION, KNOWN

HOOK = {"name": "Ops", "type": "webhook", "configuration": {"url": "https://chat.example.com/the-hook"}}
RIGHT: list[tuple[str, Any]] = [
    ("organization", "昇腾 {{ 1 }} \"a\" 'b' / % ?"),
    ("organization", 7.5),
    ("extra_vars", {}),
    ("extra_vars", {"vllm_head_group": "qwen_head"}),
    ("project_url", "git@git.example.com:us/ours.git"),
    ("project_url", "ssh://git@git.example.com:2222/us/ours.git"),
    ("project_branch", ""),
    ("project_credential", 12),
    ("project_timeout", "600"),
    ("inventory_path", "inventories/prod"),
    ("inventory_path", "a..b/hosts"),
    ("machine_credential", 3),
    ("more_credentials", ["Vault", 7]),
    ("galaxy_credentials", []),
    ("weights_token", ""),
    ("weights_token", None),
    ("api_key", 12345678),
    ("approval", "yes"),
    ("scheduled", False),
    ("notifications", [HOOK, {**HOOK, "name": "Mail"}]),
]
WRONG: list[tuple[str, Any, str]] = [
    ("organization", "", "awx_setup_organization is empty"),
    ("organization", None, "awx_setup_organization is null"),
    ("service", ["vLLM"], "awx_setup_service is ['vLLM']"),
    ("extra_vars", "vllm_head_group=x", "awx_setup_extra_vars is not a mapping"),
    ("extra_vars", {"weights_token": "the-hook"}, "Remedy: set awx_setup_weights_token"),
    ("extra_vars", {"image_registry_password": "the-hook"}, "Remedy: put it into a vaulted file"),
    ("project_url", "", "awx_setup_project_url is empty"),
    ("project_url", "https://u:the-hook@git/x.git", "set awx_setup_project_credential"),
    ("project_timeout", 0, "a whole number of seconds, at least 1"),
    ("project_timeout", "soon", "awx_setup_project_timeout is 'soon'"),
    ("project_timeout", True, "awx_setup_project_timeout is True"),
    ("inventory_path", "", "the path of the inventory in the repository"),
    ("inventory_path", "/etc/ansible/hosts", "the path of the inventory in the repository"),
    ("inventory_path", "inventories/../../x", "the path of the inventory in the repository"),
    ("more_credentials", "Vault", "such as awx_setup_more_credentials: [Vault]"),
    ("more_credentials", ["Vault", ""], "names or ids only"),
    ("galaxy_credentials", [["Ansible Galaxy"]], "names or ids only"),
    ("ee_image", False, "awx_setup_ee_image is False"),
    ("weights_token", "short", "awx_setup_weights_token has 5 characters"),
    ("api_key", "the-hook\n", "awx_setup_api_key begins or ends with white space"),
    ("api_key", ["the-hook"], "awx_setup_api_key is neither a string nor a number"),
    ("approval", "enabled", "awx_setup_approval is 'enabled'. Expected: true or false"),
    ("scheduled", 2, "awx_setup_scheduled is 2"),
    ("notifications", HOOK, "awx_setup_notifications is not such a list"),
    ("notifications", [{"name": "Ops"}], "number 1 of awx_setup_notifications has name"),
    ("notifications", [{**HOOK, "configuration": "the-hook"}], "a configuration is a mapping"),
    ("notifications", [HOOK, HOOK], "awx_setup_notifications has 'Ops' more than once"),
]


def told(name: str, value: Any) -> str:
    return "\n".join(problem.line() for problem in problems({f"awx_setup_{name}": value}, [], []))


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_usable_value_is_no_problem(name: str, value: Any):
    assert told(name, value) == ""


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_another_value_is_told_with_a_remedy_and_without_a_secret(name: str, value: Any, words: str):
    text = told(name, value)
    assert words in text
    assert "Remedy: " in text
    assert "the-hook" not in text


def test_an_unknown_name_is_told_with_the_one_that_is_meant():
    known = ["awx_setup_approval", "awx_setup_service"]
    lines = [problem.line() for problem in problems({}, known, ["awx_setup_aproval", "awx_setup_zz", *known])]
    assert "rename it to awx_setup_approval, if that is meant" in lines[0]
    assert "Remedy: remove it" in lines[1]


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a++b", "7", "-7", "1_000", "\uff17", "a\nb", "a\0", "x" * 513]
)
def test_a_name_that_would_not_be_found_again_is_a_problem(name: str):
    assert [problem.found for problem in name_problems([name, name])] == [f"the name {name!r}"]


@pytest.mark.parametrize(
    "name", ["7 site", "昇腾", "a+b", "+", "1__0", "x" * 512, "a, b/c \"d\" 'e' # % ?=1"]
)
def test_another_name_is_not(name: str):
    assert name_problems([name]) == []


def test_all_settings_have_a_check_and_no_secret_is_left_out():
    shipped = yaml.load(
        (COLLECTION / "playbooks/vars/awx_setup.yml").read_text("utf-8"), Loader=yaml.BaseLoader
    )
    assert set(shipped["awx_setup_settings"]) == set(settings.CHECKS)
    secret = {name for name, option in KNOWN.items() if option.get("no_log")}
    assert set(settings.NEVER_SHOWN) == secret
