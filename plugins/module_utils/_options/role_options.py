# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' options, checked up front: a bad value in the last stage must not surface hours into the run."""

from __future__ import annotations

import math
import re
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import schema
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

LAST_PORT = 65535
SHORTEST_TOKEN = 8  # what Ansible hides of a shorter one in a result would damage the result
TOGETHER = ("image_registry_username", "image_registry_password")
HEADER = re.compile(r"[!-~]+( +[!-~]+)*")
SECRET_REMEDY = "check how it is read from where you keep it"


def problems(options: Mapping[str, schema.Option], variables: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with those of *variables* that are *options*. No text shows a secret."""
    found = []
    for name in sorted(set(options) & set(variables)):
        check = secret_problems if options[name].get("no_log") else _problems
        found += check(name, options[name], variables[name])
    first, second = TOGETHER
    if variables.get(first) and not variables.get(second):
        found.append(Problem(f"{first} is set and {second} is not", "both or none", "add it, from a vault"))
    return found


def _problems(name: str, option: schema.Option, value: Any) -> list[Problem]:
    if value is None and option["type"] == "str" and "choices" not in option:
        return []
    expected = _expected(name, option)
    try:
        right = _is_in_range(name, option, schema.coerce(option, value))
    except schema.WrongType:
        right = False
    if value is None:
        return [Problem(f"{name} is null", expected, "give it a value, or remove the line")]
    return [] if right else [Problem(f"{name} is {value!r}", expected, f"correct {name} in the inventory")]


def _is_in_range(name: str, option: schema.Option, value: Any) -> bool:
    if option["type"] == "float":
        return math.isfinite(value) and bool(value > 0)
    return option["type"] != "int" or value in range(1, LAST_PORT + 1 if _is_port(name) else value + 1)


def _expected(name: str, option: schema.Option) -> str:
    if option["type"] == "float":
        return "a number above 0"
    if option["type"] == "int":
        return f"a port from 1 to {LAST_PORT}" if _is_port(name) else "a whole number of at least 1"
    return schema.expected(option)


def _is_port(name: str) -> bool:
    return name.endswith("_port")


def secret_problems(name: str, option: schema.Option, value: Any) -> list[Problem]:
    """Return what is wrong with a secret, none of its text in it."""
    if value is None or value == "":
        return []
    if option.get("type") == "dict":
        try:
            schema.coerce(option, value)
        except schema.WrongType:
            return [
                Problem(f"{name} is not a mapping", "NAME: VALUE for each", f"write {name}: {{NAME: VALUE}}")
            ]
        return []
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return [Problem(f"{name} is neither a string nor a number", "one of them", f"write {name} in quotes")]
    text = str(value)
    if name.endswith("_proxy"):
        if re.match(r"https?://\S+$", text):
            return []
        expected = "a URL such as http://proxy.example.com:3128"
        return [Problem(f"{name} is not a URL", expected, f"write {name} with http:// or https://")]
    if name.endswith(("_token", "_api_key")) and not HEADER.fullmatch(text):
        found = f"{name} begins or ends with white space, or has characters that are not allowed in an HTTP header"
        return [Problem(found, "printable ASCII characters", SECRET_REMEDY)]
    if name.endswith("_token") and len(text) < SHORTEST_TOKEN:
        return [Problem(f"{name} has {len(text)} characters", "a whole access token", SECRET_REMEDY)]
    return []


def api_key_problems(variables: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with vllm_api_key, if it is set. An empty one must not start an open service."""
    if "vllm_api_key" not in variables:
        return []
    key = variables["vllm_api_key"]
    if key is None or not str(key).strip():
        remedy = "give it a value, or remove the variable for a service without a key"
        return [Problem("vllm_api_key is set, but empty", "a key", remedy)]
    if not isinstance(key, str):
        expected = "a string, because YAML reads 0123 as 83"
        return [Problem("vllm_api_key is not a string", expected, "write vllm_api_key in quotes")]
    return secret_problems("vllm_api_key", {}, key)
