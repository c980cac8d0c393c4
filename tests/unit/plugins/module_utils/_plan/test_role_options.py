# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks

ROLES = Path(__file__).resolve().parents[5] / "roles"
OPTIONS: dict[str, Any] = {"vllm_api_key": {"type": "str", "no_log": True}}
for specs in ROLES.glob("*/meta/argument_specs.yml"):
    OPTIONS.update(yaml.safe_load(specs.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"])


def test_the_defaults_of_all_roles_are_right():
    assert (
        role_options.errors(
            OPTIONS, {name: option["default"] for name, option in OPTIONS.items() if "default" in option}
        )
        == []
    )


def test_the_checks_are_those_of_the_probe():
    assert OPTIONS["verify_checks"]["choices"] == list(checks.CHECKS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("serve_timeout", "3600"),  # as a survey sends it
        ("preflight_allow_newer", "yes"),
        ("verify_checks", "chat,health"),
        ("weights_checksums", None),
        ("weights_token", ""),
        ("weights_token", None),
        ("weights_token", "a-token-that-is-plainly-made-up"),
        ("vllm_api_key", 1234567890),
        ("vllm_api_key", "two words"),
        ("weights_proxy", "http://user:password@proxy.example.com:3128"),
        ("weights_of_ours", 1),
        ("image_builder", "somebody else's"),
    ],
)
def test_what_is_right_is_taken(name: str, value: Any):
    assert role_options.errors(OPTIONS, {name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("serve_timeout", "long", "serve_timeout is 'long', wanted a whole number from 1 up"),
        ("serve_timeout", -1, "serve_timeout is -1, wanted a whole number from 1 up"),
        (
            "serve_timeout",
            None,
            "serve_timeout is null, wanted a whole number from 1 up: give it a value or remove the line",
        ),
        ("weights_port", 65536, "weights_port is 65536, wanted a port from 1 to 65535"),
        (
            "weights_distribution",
            "fan-out",
            "weights_distribution is 'fan-out', wanted one of each, fanout, shared, present",
        ),
        ("verify_checks", ["chatt"], "verify_checks is ['chatt'], wanted some of health, models,"),
        ("preflight_allow_newer", "perhaps", "preflight_allow_newer is 'perhaps', wanted true or false"),
        (
            "weights_distrbution",
            "fanout",
            "variable weights_distrbution is not an option of a role: did you mean weights_distribution?",
        ),
        ("weights_proxy", "proxy.example.com:3128", "weights_proxy is no URL, wanted one such as http://"),
        (
            "image_registry_username",
            "robot",
            "image_registry_username is set and image_registry_password is not, wanted both or none",
        ),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any, said: str):
    (error,) = role_options.errors(OPTIONS, {name: value})
    assert error.startswith(said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("vllm_api_key", ["secret"], "vllm_api_key is neither a string nor a number"),
        ("vllm_api_key", "secret\n", "vllm_api_key begins or ends with white space"),
        (
            "weights_token",
            "s€cret-of-some-length",
            "weights_token begins or ends with white space, or has characters",
        ),
        ("weights_token", "secret", "weights_token has 6 characters, wanted a whole access token"),
        ("weights_proxy", "secret@proxy", "weights_proxy is no URL"),
    ],
)
def test_a_secret_that_is_wrong_is_not_shown(name: str, value: Any, said: str):
    (error,) = role_options.errors(OPTIONS, {name: value})
    assert error.startswith(said)
    assert "cret" not in error
