# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' options as an inventory sets them, judged before the first stage: what only the last one would refuse has cost hours by then."""

from __future__ import annotations

import difflib
import re
from typing import Any, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]

JUDGED = ("type", "choices", "elements")
WANTED = {"bool": "true or false", "int": "a whole number from 1 up", "list": "a list", "str": "a string"}
LAST_PORT = 65535
SLIP = 0.9  # how like an option's name another one is that is held for a slip of the pen: these prefixes are not ours alone
SHORTEST_TOKEN = 8  # what Ansible hides of a shorter one in a result would damage the result


def errors(options: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with those of *variables* that are *options*, each as in an argument_specs.yml; no message shows a secret."""
    found = []
    for name in sorted(set(options) & set(variables)):
        found += (_secret_errors if options[name].get("no_log") else _errors)(
            name, options[name], variables[name]
        )
    if variables.get("image_registry_username") and not variables.get("image_registry_password"):
        found.append(
            "image_registry_username is set and image_registry_password is not, wanted both or none: add it, from a vault."
        )
    prefixes = tuple({name.partition("_")[0] + "_" for name in options})
    for name in sorted(set(variables) - set(options)):
        close = (
            difflib.get_close_matches(name, options, n=1, cutoff=SLIP) if name.startswith(prefixes) else []
        )
        if close:
            found.append(f"variable {name} is not an option of a role: did you mean {close[0]}?")
    return found


def _errors(name: str, option: Mapping[str, Any], value: Any) -> list[str]:
    if value is None:
        return (
            []
            if option["type"] == "str"
            else [f"{name} is null, wanted {_wanted(name, option)}: give it a value or remove the line."]
        )
    judged = ArgumentSpecValidator({name: {key: option[key] for key in JUDGED if key in option}}).validate(
        {name: value}
    )
    right = not judged.error_messages
    if right and option["type"] == "int":
        number = judged.validated_parameters[name]
        right = number >= 1 and (number <= LAST_PORT or not name.endswith("_port"))
    return [] if right else [f"{name} is {value!r}, wanted {_wanted(name, option)}: correct it."]


def _wanted(name: str, option: Mapping[str, Any]) -> str:
    if "choices" in option:
        return ("some of " if option["type"] == "list" else "one of ") + ", ".join(
            map(str, option["choices"])
        )
    return f"a port from 1 to {LAST_PORT}" if name.endswith("_port") else WANTED[option["type"]]


def _secret_errors(name: str, _option: Mapping[str, Any], value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return [f"{name} is neither a string nor a number, wanted one: correct it."]
    text = str(value)
    if name.endswith("_proxy"):
        return (
            []
            if re.match(r"https?://\S+$", text)
            else [f"{name} is no URL, wanted one such as http://proxy.example.com:3128: correct it."]
        )
    if name.endswith(("_token", "_api_key")) and not re.fullmatch(r"[!-~]+( +[!-~]+)*", text):
        return [
            f"{name} begins or ends with white space, or has characters that no HTTP header takes: see how it is read from where you keep it."
        ]
    if name.endswith("_token") and len(text) < SHORTEST_TOKEN:
        return [
            f"{name} has {len(text)} characters, wanted a whole access token: see how it is read from where you keep it."
        ]
    return []
