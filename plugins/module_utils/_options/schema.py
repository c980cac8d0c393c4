# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as an argument_specs.yml describes them, with the strings that surveys and ``-e key=value`` send."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import Any, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

Option = Mapping[str, Any]  # what argument_specs.yml has for one variable

EXPECTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "a string",
}
ELEMENTS = {"int": "a list of whole numbers", "str": "a list of strings"}


class WrongType(ValueError):
    """A value that is not of its option's type."""


def coerce(option: Option, value: Any) -> Any:
    """Return *value* as the type of the *option*. Lists and mappings may be JSON text. Raises WrongType."""
    if isinstance(value, str) and option["type"] in ("dict", "list"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    # Ansible would take true for 1 or "True", and any mapping for a string.
    if option["type"] in ("float", "int", "path", "str") and isinstance(value, (bool, dict, list)):
        raise WrongType
    validator = _validator(option["type"], option.get("elements"), tuple(option.get("choices", ())))
    try:
        result = validator.validate({"value": value})
    except OverflowError:  # .inf of YAML for a whole number
        raise WrongType from None
    if value is None or result.error_messages:
        raise WrongType
    return result.validated_parameters["value"]


@functools.lru_cache(maxsize=None)
def _validator(kind: str, elements: str | None, choices: tuple[Any, ...]) -> Any:
    spec = {"type": kind, "elements": elements, "choices": list(choices) or None}
    return ArgumentSpecValidator({"value": {key: value for key, value in spec.items() if value is not None}})


def expected(option: Option) -> str:
    """Return what a value of the *option* should be."""
    if "choices" in option:
        several = option["type"] == "list"
        return ("some of " if several else "one of ") + ", ".join(map(str, option["choices"]))
    return ELEMENTS.get(option.get("elements", ""), EXPECTED[option["type"]])
