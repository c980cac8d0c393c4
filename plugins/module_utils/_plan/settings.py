# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a host, merged from layers: defaults, release, hardware, model, inventory."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import schema
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import name_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

PREFIX = names.PREFIX
# Settings that are a variable of the inventory only, and no key of a file.
INVENTORY_ONLY = frozenset(
    PREFIX + key for key in ("profile", "service_ip", "service_nic", "api_key", "head_group", "worker_group")
)
MODEL_NAME = "{model_name}"
# What a number of YAML may have lost digits of.
QUOTED = frozenset(PREFIX + key for key in ("model_revision", "npu_driver_version", "npu_firmware_version"))
OF_RELEASE = frozenset(("vllm_image", "vllm_image_versions"))  # what a release gives
NO_RELEASE = Problem(
    "neither the profile nor the inventory names a release of vLLM-Ascend",
    "one of profiles/releases.yml, which gives the image and the versions in it",
    "add a line such as release: 0.23.0 or extends: glm-4.7 to the profile, or set vllm_release",
)

Options = Mapping[str, schema.Option]  # by the name of the variable


class Layer(NamedTuple):
    """Settings from one place, by the name of their variable."""

    place: str  # empty for the inventory
    values: Mapping[str, Any]


class Base(NamedTuple):
    """Layers laid over each other."""

    values: dict[str, Any]
    problems: tuple[Problem, ...]
    nullable: frozenset[str]
    given: frozenset[str] = frozenset()


def of_file(place: str, content: Mapping[str, Any]) -> Layer:
    """Return the layer that a file of profiles/ is."""
    return Layer(place, {f"{PREFIX}{key}": value for key, value in content.items() if key != "extends"})


def of_inventory(options: Options, variables: Mapping[str, Any]) -> Layer:
    """Return the layer that the *variables* of a host are."""
    return Layer("", {name: variables[name] for name in keys(options) if name in variables})


def keys(options: Options) -> list[str]:
    """Return the variables that are a key of a profile, too."""
    return [name for name in options if name.startswith(PREFIX) and name not in INVENTORY_ONLY]


def merge(base: Any, override: Any) -> Any:
    """Return *override* over *base*: mappings are merged and null removes an entry, all else is replaced."""
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return override
    merged = {**base, **override}
    return {key: value for key, value in merged.items() if not (key in override and value is None)}


def read(options: Options, layers: Sequence[Layer]) -> Base:
    """Return what the files below the inventory say, the defaults first.

    A setting may be null if it is null there.
    """
    nullable = frozenset(name for name, value in layers[0].values.items() if value is None)
    base = Base({}, (), nullable)
    for layer in layers:
        base = _lay(options, base, layer)
    return base


def settings(options: Options, base: Base, inventory: Layer) -> tuple[dict[str, Any], list[Problem]]:
    """Return the merged settings, by their names without the prefix, and what is wrong with the layers."""
    merged = _lay(options, base, inventory)
    given = {*base.given, *inventory.values}
    absent = [name for name in keys(options) if name not in given]
    explained = OF_RELEASE if set(absent) >= OF_RELEASE and not merged.values.get("vllm_release") else ()
    missing = [NO_RELEASE] if explained else []
    missing += [_missing(options[name], name) for name in absent if name not in explained]
    values = {name[len(PREFIX) :]: _filled(merged.values, value) for name, value in merged.values.items()}
    return values, [*merged.problems, *missing]


def _lay(options: Options, base: Base, layer: Layer) -> Base:
    """Return *base* with *layer* over it."""
    known = keys(options)
    values = dict(base.values)
    problems = list(base.problems)
    for name, value in layer.values.items():
        if name not in known:
            problems.append(_unknown(known, layer, name))
            continue
        if name in QUOTED and isinstance(value, (int, float)) and not isinstance(value, bool):
            problems.append(_number(layer, name))
            continue
        try:
            override = (
                None if value is None and name in base.nullable else schema.coerce(options[name], value)
            )
        except schema.WrongType:
            problems.append(_wrong_type(options[name], layer, name))
        else:
            values[name] = merge(values.get(name), override)
    return Base(values, tuple(problems), base.nullable, base.given | set(layer.values))


def _filled(merged: Mapping[str, Any], value: Any) -> Any:
    """Return *value* with the model's name in the place of its placeholder."""
    if not isinstance(value, str):
        return value
    return value.replace(MODEL_NAME, name_of(merged.get("vllm_model_repo", "")))


def _unknown(known: Sequence[str], layer: Layer, name: str) -> Problem:
    meant = names.closest(known, name)
    return Problem(
        f"unknown key {name[len(PREFIX) :]}",
        "keys that are settings, as ansible-doc -t role ascend_ops.vllm.plan lists them without vllm_",
        f"rename it to {meant[len(PREFIX) :]}, if that is meant, or remove it" if meant else "remove it",
        layer.place,
    )


def _number(layer: Layer, name: str) -> Problem:
    key = name[len(PREFIX) :] if layer.place else name
    return Problem(
        f"{key} is the number {layer.values[name]!r}",
        "a text in quotes, because YAML reads 25.10 as 25.1, and 0123 as 83",
        f"put the value of {key} in quotes in {layer.place or 'the inventory'}",
        layer.place,
    )


def _wrong_type(option: schema.Option, layer: Layer, name: str) -> Problem:
    value = layer.values[name]
    key = name[len(PREFIX) :] if layer.place else name
    found, remedy = f"{key} is {value!r}", f"correct {key} in {layer.place or 'the inventory'}"
    if value is None:
        several = option["type"] in ("dict", "list")
        value_of = (
            "give it a value (in YAML, indent the lines that belong to it)" if several else "give it a value"
        )
        found, remedy = f"{key} is null", f"{value_of}, or remove the line"
    elif option["type"] == "dict":
        remedy = 'write {KEY: VALUE} in YAML, and {"KEY": VALUE} in an INI inventory or with -e'
    return Problem(found, schema.expected(option), remedy, layer.place)


def _missing(option: schema.Option, name: str) -> Problem:
    return Problem(
        f"{name} has no value",
        schema.expected(option),
        f"add {name[len(PREFIX) :]} to the profile, or set {name}",
    )
