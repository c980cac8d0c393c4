# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of vllm serve: what its release takes, what belongs to the plan, and how each is written."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names, validation
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

SWITCH = "switch"
# What profiles/flags/*.yml has beside the flags.
NO_FLAGS = ("choices", "environment", "tool_parsers", "reasoning_parsers")
# Kinds of flags, as profiles/flags/*.yml has them, that take a list.
LISTS = ("several", "repeated", "json")
# Numbers that the plan computes with. vLLM takes 32k or 32K as well (vllm/utils/argparse_utils.py, human_readable_int).
COUNT = r"[1-9]\d{0,11}|\d{1,12}(\.\d+)?[kKmMgGtT]"
NUMBERS = {
    "gpu-memory-utilization": (r"0?\.\d*[1-9]\d*|1(\.0+)?", "a share of the memory, such as 0.9"),
    "max-model-len": (rf"-1|auto|{COUNT}", "tokens, such as 32768 or 32k"),
    "max-num-batched-tokens": (COUNT, "tokens, such as 8192 or 8k"),
    "max-num-seqs": (COUNT, "1 or more"),
}
TEXTS = {"true": True, "false": False}  # what -e and surveys send
# Flags whose value the plan reads as well, with the setting that gives it.
OWNED = {
    "port": ("{api_port}", "set vllm_api_port"),
    "served-model-name": ("{served_model_name}", "set vllm_served_model_name; further names can follow it"),
    "tensor-parallel-size": ("{tensor_parallel_size}", "set vllm_tensor_parallel_size"),
    "data-parallel-size": ("{data_parallel_size}", "set vllm_data_parallel_size_local, or add hosts"),
    "data-parallel-size-local": ("{data_parallel_size_local}", "set vllm_data_parallel_size_local"),
    "data-parallel-address": ("{head_ip}", "set the head's vllm_service_ip"),
    "data-parallel-rpc-port": ("{rpc_port}", "set vllm_rpc_port"),
}
OWNED_OF_WORKERS = {
    "data-parallel-start-rank": ("{data_parallel_start_rank}", "change the order of the hosts"),
    "headless": (True, "make the host the head to get an API from it"),
}
ADDRESSES = ("{listen_address}", "{head_ip}", "{service_ip}", "0.0.0.0", "::")
REFUSED = {
    "api-key": ("a secret, which `ps` would show to every user of the host", "set vllm_api_key"),
    "model": ("the folder of the weights", "set vllm_model_dir"),
    "uds": ("a socket file, where the other hosts cannot ask", "set vllm_api_port"),
    "ssl-keyfile": ("TLS, which the checks do not speak", "put a reverse proxy before the endpoint"),
    "ssl-certfile": ("TLS, which the checks do not speak", "put a reverse proxy before the endpoint"),
}
RAW = "vllm_serve_extra_args takes words that are passed as they are"
WORD = re.compile(r"(?P<dashes>--?)(?P<name>[a-zA-Z][^=]*)(?P<equals>=(?P<value>.*))?", re.DOTALL)


class Flags(NamedTuple):
    """The flags of a release."""

    kinds: Mapping[str, str]
    release: str | None  # None if the kinds are another release's, and names are not checked


def of_file(content: Mapping[str, Any], release: str | None) -> Flags:
    """Return the flags that a file of profiles/flags has, by kind."""
    kinds = {kind: flags for kind, flags in content.items() if kind not in NO_FLAGS}
    return Flags({flag: kind for kind, flags in kinds.items() for flag in flags}, release)


def problems(flags: Flags, settings: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the flags among the merged *settings*."""
    found = [
        *_owned("serve_args", settings["serve_args"], OWNED, settings),
        *_owned("serve_worker_args", settings["serve_worker_args"], OWNED_OF_WORKERS, settings),
    ]
    for flag in sorted(set(settings["serve_worker_args"]) & {*OWNED, "host"}):
        text = f"vllm_serve_worker_args has {flag}, and all hosts have one value of it"
        found.append(Problem(text, "no such flag", "remove it there"))
    for flag in sorted(set(settings["serve_args"]) & set(OWNED_OF_WORKERS)):
        text = f"vllm_serve_args has {flag}, which would be the head's as well"
        found.append(Problem(text, "no such flag", "remove it: the workers have it"))
    host = settings["serve_args"].get("host")
    if host not in (*ADDRESSES, None):
        text = f"vllm_serve_args has host: {host!r}, where the checks do not ask"
        found.append(Problem(text, f"one of {', '.join(ADDRESSES)}", "choose one of them"))
    for key in ("serve_args", "serve_worker_args"):
        for flag, (what, remedy) in REFUSED.items():
            if settings[key].get(flag) not in (None, False):
                found.append(Problem(f"vllm_{key} has {flag}: {what}", "no such flag", remedy))
        for flag, value in settings[key].items():
            if flag not in REFUSED and value is not None:
                found += _flag(flags, f"vllm_{key}", flag, value)
    return [*found, *_raw(settings)]


def _raw(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each of the raw words that is refused, or by which the service is asked elsewhere."""
    words = parse(settings["serve_extra_args"])
    for flag in words:
        if flag in REFUSED:
            what, remedy = REFUSED[flag]
            yield Problem(f"vllm_serve_extra_args has --{flag}: {what}", "no such flag", remedy)
    # The raw words come last, and vLLM takes theirs.
    asked: dict[str, Any] = {flag: OWNED[flag] for flag in ("port", "served-model-name") if flag in words}
    yield from _owned("serve_extra_args", words, asked, settings)


def parse(words: Iterable[str]) -> dict[str, Any]:
    """Return the flags of a command line by their names: true for one without a value, its text, or a list.

    As for argparse, ``--NAME=VALUE`` has no further values. A flag with one dash ends the values of the one before it,
    and is left out: vLLM has those as short forms only.
    """
    flags: dict[str, list[str]] = {}
    values: list[str] = []
    for word in map(str, words):
        match = WORD.fullmatch(word)
        if not match:
            values.append(word)
            continue
        given = values = []
        if match["equals"]:
            given, values = [match["value"]], []
        if match["dashes"] == "--":
            base, dot, keys = match["name"].partition(".")
            flags[base.replace("_", "-") + dot + keys] = given
    return {name: given[0] if len(given) == 1 else given or True for name, given in flags.items()}


def effective(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of several sources, later ones over earlier ones, without those that are null.

    What vLLM reads as a mapping is one, however it is given: as a mapping, as JSON text, or key by key (NAME.KEY).
    """
    flags: dict[str, Any] = {}
    for name, value in (item for source in sources for item in source.items()):
        flag, *keys = name.split(".")
        read = _of_json(value)
        if keys:
            flags[flag] = _with(flags.get(flag), keys, read)
        else:
            flags[flag] = read if isinstance(read, Mapping) else value
    return {flag: value for flag, value in flags.items() if value is not None}


def _of_json(value: Any) -> Any:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _with(mapping: Any, keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy of a mapping with *value* below a path of keys."""
    first, *rest = keys
    own = dict(mapping) if isinstance(mapping, Mapping) else {}
    own[first] = _with(own.get(first), rest, value) if rest else value
    return own


def _owned(
    key: str, args: Mapping[str, Any], owned: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[Problem]:
    for flag, (value, remedy) in owned.items():
        given = args.get(flag)
        first = given[0] if flag == "served-model-name" and isinstance(given, list) and given else given
        same = settings.get(str(value).strip("{}"), value)
        if first != value and (isinstance(first, bool) or str(first) != str(same)):
            text = f"vllm_{key} has {flag}: {json.dumps(given)}, and the other stages go by another setting"
            yield Problem(text, f"{flag}: {json.dumps(value)}", remedy)


def _flag(flags: Flags, variable: str, flag: str, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with one flag: its name, or the type of its value."""
    base = flag.partition(".")[0]
    negated = base.startswith("no-") and flags.kinds.get(base[3:]) == SWITCH
    if base in flags.kinds or negated:
        expected = None if flag != base else _expected(flags.kinds.get(base), flag, _read(value))
        if expected:  # of dotted flags, vLLM makes one mapping
            state = f"has {flag}: {json.dumps(value, default=str)}"
            yield validation.wrong(variable, state, expected)
    elif flags.release and re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]*", base):  # validation refuses any other name
        meant = names.closest(flags.kinds, base)
        remedy = f"write {meant}, if that is meant" if meant else "remove it"
        found = f"{variable} has {flag}, which vLLM {flags.release} does not have"
        yield Problem(found, "its flags", f"{remedy}. {RAW}")


def _expected(kind: str | None, flag: str, value: Any) -> str | None:
    """Return what the value of a flag should be; None if it is that. A kind is missing for no-FLAG."""
    is_bool = isinstance(value, bool)
    if kind is None:
        return None if value is True else f"true; for the opposite, {flag[3:]}: true"
    if kind in (SWITCH, "bare"):
        return None if is_bool else "true, false, or null to leave the flag out"
    if is_bool and not (kind == "optional" and value):
        return "a value, or null to leave the flag out"
    if isinstance(value, list) and (kind not in LISTS or not value):
        return "one or more values" if kind in LISTS else "a single value"
    pattern, expected = NUMBERS.get(flag, ("", ""))
    if pattern and not re.fullmatch(pattern, str(value)):
        return expected
    number = isinstance(value, float) or (isinstance(value, int) and flag.endswith("revision"))
    return (
        "a text in quotes, as YAML makes 2.1 of 2.10 and 42798 of 0123456"
        if kind == "text" and number
        else None
    )


def arguments(flags: Flags, filled: Mapping[str, Any]) -> list[list[str]]:
    """Return the words of each flag, in the order of the profile. *filled* has no placeholders."""
    return [words for flag, value in filled.items() for words in _words(flags.kinds.get(flag), flag, value)]


def _words(kind: str | None, flag: str, value: Any) -> Iterator[list[str]]:
    value = _read(value) if kind in (SWITCH, "bare", None) else value
    if value is False and kind in (SWITCH, None) and "." not in flag:
        yield [f"--no-{flag}"]
    elif value is None or (value is False and "." not in flag):
        return
    elif value is True and "." not in flag:
        yield [f"--{flag}"]
    elif isinstance(value, list) and kind == "repeated":
        yield from ([f"--{flag}", _text(part)] for part in value)
    elif isinstance(value, list) and kind != "json" and "." not in flag:
        yield [f"--{flag}", *map(_text, value)]
    else:
        yield [f"--{flag}", _text(value)]


def _read(value: Any) -> Any:
    return TEXTS.get(value.lower(), value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (bool, dict, list)) else str(value)
