# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on mappings among the flags: keys that nothing reads, and values that are refused."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import CONFIG, Case, mapping
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import fields, flags, names, values
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release

rules = Rules()


@rules.named("config_unread")
def _config(case: Case) -> Iterator[Found]:
    shipped = mapping(flags.effective(case.shipped.get("serve_args") or {}).get(CONFIG))
    for name, refused in _unread(case.release, case.config):
        key = name.partition(".")[0]
        yield Found(
            FAIL if refused else WARN,
            f"additional-config has {name}, which vLLM-Ascend {case.release.name} "
            + ("does not know, and so it does not start" if refused else "does not read"),
            "keys that it reads",
            _removal(f"{CONFIG}.{name}", _meant(case.release, name)),
            case.source("settings"),
            known=key in shipped and shipped[key] == case.config[key],
        )


def _meant(release: Release, name: str) -> str | None:
    """Return the key that is meant: one of another mapping by the same name, or a similar one in the same."""
    within, _dot, key = name.rpartition(".")
    moved = [one for one in (*release.keys, *release.nested) if one.rpartition(".")[2] == key]
    siblings = [one for one in release.nested if one.rpartition(".")[0] == within] if within else release.keys
    return moved[0] if len(moved) == 1 else names.closest(siblings, name, names.SIMILAR)


def _unread(release: Release, given: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, bool]]:
    """Yield the path of each key that the release does not read, and whether it is refused."""
    refuses = within in release.refuses_nested if within else release.refuses_keys
    known = release.nested if within else release.keys
    for key in sorted(map(str, given)):
        path = f"{within}.{key}" if within else key
        if path not in known:
            yield path, refuses
        elif any(one.startswith(f"{path}.") for one in release.nested):
            yield from _unread(release, mapping(given.get(key)), path)


@rules.named("config_value")
def _config_values(case: Case) -> Iterator[Found]:
    """Where AscendConfig is a class of pydantic, it refuses a wrong value. A plain one takes any text for true."""
    is_refused = case.release.refuses_keys
    effect = "refuses" if is_refused else "misreads: it takes the value as it is"
    takes = fields.fits if is_refused else fields.fits_as_it_is
    for name, kind in sorted(case.release.kinds.items()):
        value = fields.at(case.config, name)
        if value is not None and not takes(kind, value) and not _is_told_elsewhere(value):
            yield _wrong_value(case, name, value, effect, fields.words(kind), is_refused)
    for name, choices in sorted(case.release.values.items()):
        value = fields.at(case.config, name)
        fits = value in choices or str(value) in map(str, choices)
        is_told = not takes(case.release.kinds.get(name, "any"), value) or _is_told_elsewhere(value)
        if value is not None and not (fits or is_told):
            expected = f"one of {', '.join(map(json.dumps, choices))}"
            yield _wrong_value(case, name, value, "refuses", expected, True)


def _is_told_elsewhere(value: Any) -> bool:
    """Return whether a value has a placeholder, which is not known yet, or a variable of a shell."""
    return values.is_open(value) or values.shell_variable(value) is not None


def _wrong_value(case: Case, name: str, value: Any, effect: str, expected: str, is_refused: bool) -> Found:
    return Found(
        FAIL if is_refused else WARN,
        f"additional-config has {name}: {flags.shortened(value)}, "
        f"which vLLM-Ascend {case.release.name} {effect}",
        expected,
        f"correct it, or take it out: {_take_out(f'{CONFIG}.{name}')}",
        case.source("settings"),
    )


def _removal(path: str, meant: str | None) -> str:
    rename = f"write {meant}, if that is meant, or " if meant else ""
    return f"{rename}remove it: {_take_out(path)}"


def _take_out(path: str) -> str:
    """Return the setting that takes out a key of a mapping, given as FLAG.KEY, and so on."""
    entry = "null"
    for name in reversed(path.split(".")):
        entry = f"{{{name}: {entry}}}"
    return f"vllm_serve_args: {entry}"


@rules.named("mapping_key")
def _mapping_keys(case: Case) -> Iterator[Found]:
    for name, key, _value in fields.entries(case.release.fields, case.args):
        known = case.release.fields[name]
        if key not in known.kinds:
            yield Found(
                FAIL if known.refuses_others else WARN,
                f"{name} has {key}, which vLLM {case['vllm']} does not "
                + ("know, and so it does not start" if known.refuses_others else "read"),
                "keys that it reads",
                _removal(f"{name}.{key}", names.closest(known.kinds, key)),
                case.fields_source,
            )


@rules.named("mapping_value")
def _mapping_values(case: Case) -> Iterator[Found]:
    """A warning for a text that is none of the known ones: vLLM-Ascend may add some."""
    for name, key, value in fields.entries(case.release.fields, case.args):
        known = case.release.fields[name]
        expected = fields.expected(known, key, value)
        if expected and not _is_told_elsewhere(value):
            yield Found(
                WARN if key in known.choices else FAIL,
                f"{name} has {key}: {flags.shortened(value)}, which vLLM {case['vllm']} "
                + ("by itself does not take" if key in known.choices else "refuses"),
                expected,
                f"correct it, or take it out: {_take_out(f'{name}.{key}')}",
                case.fields_source,
            )


@rules.named("flag_variable")
def _shell_variables(case: Case) -> Iterator[Found]:
    """A command in a shell has its variables replaced. The flags here reach vLLM as they are written."""
    for name, value in sorted(case.args.items()):
        for path, text in _texts(str(name), value):
            variable = values.shell_variable(text)
            if variable:
                yield Found(
                    FAIL if _refuses(case, path, text) else WARN,
                    f"{path} is {flags.shortened(text)}, and nothing replaces {variable}: vLLM gets it as it is",
                    "a value; bash replaces variables in vllm_serve_env only",
                    "write the value. One that differs between hosts can be a variable of the inventory "
                    '("{{ NAME }}"), or a placeholder such as {service_ip}',
                    "roles/container/templates/serve.sh.j2",
                )


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts in a value, at any depth, each with its path of keys."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(f"{path}.{key}", part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(path, part)
    elif isinstance(value, str):
        yield path, value


def _refuses(case: Case, path: str, text: str) -> bool:
    """Return whether the release refuses a text at the path of a key: it takes a number there, or true and false."""
    within, _dot, key = path.rpartition(".")
    if within in case.release.fields:
        known = case.release.fields[within]
        return key not in known.choices and fields.expected(known, key, text) is not None
    kind = case.release.kinds.get(path.partition(".")[2], "any") if path.startswith(CONFIG) else "any"
    return case.release.refuses_keys and not fields.fits(kind, text)
