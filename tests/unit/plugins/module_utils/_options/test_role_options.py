# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from shipped import PLAYBOOK_OPTIONS, ROLE_OPTIONS, ROOT, SETTINGS, options

MONITORING = set(options("monitoring"))


def test_the_defaults_of_all_roles_are_right():
    defaults = {name: option["default"] for name, option in ROLE_OPTIONS.items() if "default" in option}
    assert role_options.problems(ROLE_OPTIONS, defaults) == []


def test_the_checks_are_those_of_the_probe():
    assert ROLE_OPTIONS["verify_checks"]["choices"] == list(checks.CHECKS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("serve_timeout", "3600"),  # as a survey sends it
        ("preflight_allow_newer", "yes"),
        ("verify_checks", "chat,health"),
        ("weights_checksums", None),
        ("container_render_dir", "rendered"),
        ("weights_token", ""),
        ("weights_token", None),
        ("weights_token", "a-token-that-is-plainly-made-up"),
        ("weights_proxy", "http://user:password@proxy.example.com:3128"),
        ("benchmark_minutes", "0.5"),  # as -e sends it
        ("status_strict", "yes"),
    ],
)
def test_what_is_right_is_taken(name: str, value: Any):
    assert role_options.problems({**ROLE_OPTIONS, **PLAYBOOK_OPTIONS}, {name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "found", "expected"),
    [
        ("serve_timeout", "long", "serve_timeout is 'long'", "a whole number of at least 1"),
        ("serve_timeout", -1, "serve_timeout is -1", "a whole number of at least 1"),
        ("serve_timeout", None, "serve_timeout is null", "a whole number of at least 1"),
        ("weights_port", 65536, "weights_port is 65536", "a port from 1 to 65535"),
        ("weights_distribution", "fan-out", "is 'fan-out'", "one of each, fanout, shared, present"),
        ("weights_distribution", None, "is null", "one of each, fanout, shared, present"),
        ("container_render_dir", ["rendered"], "is ['rendered']", "a path"),
        ("verify_checks", ["chatt"], "verify_checks is ['chatt']", "some of health, models,"),
        ("preflight_allow_newer", "perhaps", "is 'perhaps'", "true or false"),
        ("weights_proxy", "proxy.example.com:3128", "weights_proxy is not a URL", "http://"),
        ("benchmark_minutes", "0", "benchmark_minutes is '0'", "a number above 0"),
        ("benchmark_minutes", "nan", "benchmark_minutes is 'nan'", "a number above 0"),
        ("benchmark_minutes", "inf", "benchmark_minutes is 'inf'", "a number above 0"),
        ("benchmark_minutes", True, "benchmark_minutes is True", "a number above 0"),
        ("status_strict", "perhaps", "status_strict is 'perhaps'", "true or false"),
        ("image_registry_username", "robot", "image_registry_password is not", "both or none"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any, found: str, expected: str):
    (problem,) = role_options.problems({**ROLE_OPTIONS, **PLAYBOOK_OPTIONS}, {name: value})
    assert found in problem.found
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("weights_token", "s€cret-of-some-length", "begins or ends with white space, or has characters"),
        ("weights_token", "secret", "has 6 characters"),
        ("weights_proxy", "secret@proxy", "is not a URL"),
    ],
)
def test_a_secret_that_is_wrong_is_not_shown(name: str, value: Any, found: str):
    (problem,) = role_options.problems(ROLE_OPTIONS, {name: value})
    assert found in problem.found
    assert "cret" not in str(problem)


@pytest.mark.parametrize("variables", [{}, {"vllm_api_key": "1234567890"}, {"vllm_api_key": "two words"}])
def test_no_api_key_or_a_right_one_is_accepted(variables: dict[str, Any]):
    assert role_options.api_key_problems(variables) == []


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (None, "is set, but empty"),
        ("", "is set, but empty"),
        (" \n", "is set, but empty"),
        (["secret"], "is not a string"),
        (True, "is not a string"),
        (1234567890, "is not a string"),
        ("secret\n", "begins or ends with white space"),
    ],
)
def test_an_api_key_that_is_wrong_is_refused_and_not_shown(key: Any, found: str):
    (problem,) = role_options.api_key_problems({"vllm_api_key": key})
    assert found in problem.found
    assert "cret" not in str(problem)


PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
OPTION = re.compile(r"(?:-e|and) ([a-z]+_[a-z_]+)=")


def test_the_heads_of_the_playbooks_have_all_options_and_no_others():
    heads = [path.read_text(encoding="utf-8").partition("\n- name")[0] for path in PLAYBOOKS]
    named = {name for head in heads for name in OPTION.findall(head) if name.partition("_")[0] != "awx"}
    assert named - set(ROLE_OPTIONS) - MONITORING == set(PLAYBOOK_OPTIONS)


def test_no_variable_of_a_playbook_looks_like_a_misspelt_option():
    known = {**SETTINGS, **ROLE_OPTIONS, **PLAYBOOK_OPTIONS}
    own = {
        name
        for path in PLAYBOOKS
        for name in re.findall(r"\b[a-z]+_[a-z_]+\b", path.read_text(encoding="utf-8"))
    }
    assert names.wrong(known, own) == []
