# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of vllm serve: what its release takes, what belongs to the plan, and how each is written."""

from __future__ import annotations

import contextlib
import json
import operator
import re
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names, validation, values
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

SWITCH = "switch"
# What profiles/flags/*.yml has besides the flags.
NO_FLAGS = (
    "checks",
    "choices",
    "environment",
    "ranges",
    "reasoning_parsers",
    "short",
    "tool_parsers",
    "whole_variables",
)
# Kinds of flags, as profiles/flags/*.yml has them, that take a list.
LISTS = ("several", "repeated", "json")
# Numbers by the kind of flag. vLLM takes 32k or 32K for a count (vllm/utils/argparse_utils.py, human_readable_int).
COUNT = r"\d{1,12}(?:\.\d+)?[kKmMgGtT]"
NUMBERS = {
    "whole": (r"-?\d{1,19}", "a whole number"),
    "count": (rf"-?\d{{1,12}}|{COUNT}", "a whole number, such as 32768 or 32k"),
    "number": (r"-?(\d+\.?\d*|\.\d+)([eE]-?\d{1,2})?", "a number"),
}
# What vLLM reads as another value than a number (human_readable_int_or_auto).
WORDS = {"max-model-len": ("-1", "auto")}
# What the plan computes with, for releases whose parser leaves it open.
LEAST = dict.fromkeys(("max-model-len", "pipeline-parallel-size", "prefill-context-parallel-size"), ">=1")
SUFFIXES = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip
LIMITS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
NOTHING = ("", "None")  # what vLLM's parser reads as no value
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
    "hf-token": ("a secret, which `ps` would show to every user of the host", "set weights_token"),
    "model": ("the folder of the weights", "set vllm_model_dir"),
    "uds": ("a socket file, which the other hosts cannot reach", "set vllm_api_port"),
    "ssl-keyfile": ("TLS, which the checks do not speak", "put a reverse proxy before the endpoint"),
    "ssl-certfile": ("TLS, which the checks do not speak", "put a reverse proxy before the endpoint"),
}
# What became of flags that vLLM once had (its release notes, 0.9 to 0.23).
GONE = {
    "disable-log-requests": "remove it: requests are logged only with enable-log-requests",
    "enable-reasoning": "remove it: reasoning-parser is enough",
    "guided-decoding-backend": "write structured-outputs-config: {backend: NAME}",
    "num-scheduler-steps": "remove it: the engine schedules each step",
    "rope-scaling": "write hf-overrides",
    "rope-theta": "write hf-overrides",
    "speculative-model": "write speculative-config: {model: NAME}",
    "swap-space": "remove it: the engine swaps nothing",
    "task": "write runner or convert",
    "use-v2-block-manager": "remove it: it is the only block manager",
}
RAW = "vllm_serve_extra_args takes words that are passed as they are"
LONGEST = 200  # characters of a value in a message
BARE_COUNT = re.compile(rf"(?<=[:,\[\s]){COUNT}(?=\s*[,\]}}])")  # in JSON: vLLM takes 80m there
SEVERAL_WORDS = re.compile(r"(--?[a-zA-Z][\w.-]*)\s+\S")
WORD = re.compile(r"(?P<dashes>--?)(?P<name>[a-zA-Z][^=]*)(?P<equals>=(?P<value>.*))?", re.DOTALL)


class Flags(NamedTuple):
    """The flags of a release."""

    kinds: Mapping[str, str]
    release: str | None  # None if the kinds are another release's, and names are not checked
    ranges: Mapping[str, str] = {}  # such as ">0,<=1", of numbers
    short: Mapping[str, str] = {}  # the flag by its other name, which has one dash

    def has(self, name: str) -> bool:
        """Return whether the parser has a flag, or an optimization level such as -O3."""
        negated = name.startswith("no-") and self.kinds.get(name[len("no-") :]) == SWITCH
        return name in self.kinds or negated or bool(re.fullmatch("-O.*", name))


def of_file(content: Mapping[str, Any], release: str | None) -> Flags:
    """Return the flags that a file of profiles/flags has, by kind."""
    kinds = {kind: flags for kind, flags in content.items() if kind not in NO_FLAGS}
    by_flag = {flag: kind for kind, flags in kinds.items() for flag in flags}
    return Flags(by_flag, release, content["ranges"], content["short"])


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
        text = f"vllm_serve_args has host: {host!r}, where the checks cannot reach it"
        found.append(Problem(text, f"one of {', '.join(ADDRESSES)}", "choose one of them"))
    for key in ("serve_args", "serve_worker_args"):
        for flag, (what, remedy) in REFUSED.items():
            if _is_refused(flag, settings[key].get(flag, False)):
                found.append(Problem(f"vllm_{key} has {flag}: {what}", "no such flag", remedy))
        for flag, value in settings[key].items():
            if flag not in REFUSED and value is not None:
                found += _flag(flags, f"vllm_{key}", str(flag), value)
    return [*found, *_raw(flags, settings)]


def _is_refused(flag: str, value: Any) -> bool:
    """Return whether the plan refuses the flag with this value. A bare --hf-token means the token in a cache."""
    return flag in REFUSED and value is not False and not (flag == "hf-token" and value in (None, True))


def _raw(flags: Flags, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each of the raw words that is refused, or that the plan sets in another way.

    They come last, and vLLM takes theirs. What the release does not have is left to it.
    """
    for several in filter(None, map(SEVERAL_WORDS.match, map(str, settings["serve_extra_args"]))):
        found = f"vllm_serve_extra_args has {several[1]} and its value in one word"
        remedy = f"write [{several[1]}, VALUE], or vllm_serve_args: {{{several[1].lstrip('-')}: VALUE}}"
        yield Problem(found, "a list with one element for each word", remedy)
    words = parse(spelled(flags, settings["serve_extra_args"]))
    for flag, value in words.items():
        if _is_refused(flag, value):
            what, remedy = REFUSED[flag]
            yield Problem(f"vllm_serve_extra_args has --{flag}: {what}", "no such flag", remedy)
        elif flag in OWNED_OF_WORKERS:
            text = f"vllm_serve_extra_args has {flag}, which all hosts would have"
            yield Problem(text, "no such flag", "remove it: the workers have it")
        elif flag in flags.kinds:
            yield from _flag(flags, "vllm_serve_extra_args", flag, value)
    owned: dict[str, Any] = {flag: OWNED[flag] for flag in words if flag in OWNED}
    yield from _owned("serve_extra_args", words, owned, settings)


def spelled(flags: Flags, words: Iterable[str]) -> list[str]:
    """Return the words of a command line, with each flag by its full name: argparse takes short ones and beginnings."""
    return [_spelled(flags, str(word)) for word in words]


def _spelled(flags: Flags, word: str) -> str:
    match = WORD.fullmatch(word)
    if not match:
        return word
    base, dot, keys = match["name"].partition(".")
    rest = dot + keys + (match["equals"] or "")
    if match["dashes"] == "-":
        return f"--{flags.short[base]}{rest}" if base in flags.short else word
    name = base.replace("_", "-")
    full = {*flags.kinds, *(f"no-{flag}" for flag, kind in flags.kinds.items() if kind == SWITCH)}
    meant = [flag for flag in full if flag.startswith(name)]
    return f"--{meant[0]}{rest}" if name not in full and len(meant) == 1 else word


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
    A switch that is off is false, also as no-NAME.
    """
    flags: dict[str, Any] = {}
    for name, value in (item for source in sources for item in source.items()):
        if name.startswith("no-") and _read(value) is True:
            name, value = name[len("no-") :], False
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
            text = f"vllm_{key} has {flag}: {json.dumps(given)}, which the other stages read from another setting"
            yield Problem(text, f"{flag}: {json.dumps(value)}", remedy)


def _flag(flags: Flags, variable: str, flag: str, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with one flag: its name, or the type of its value."""
    base = flag.partition(".")[0]
    if flags.has(base):
        expected = None if flag != base else _expected(flags, flag, _read(value))
        if expected:  # of dotted flags, vLLM makes one mapping
            shell = values.shell_variable(value)
            expected += f"; nothing replaces {shell} there" if shell else ""
            yield validation.wrong(variable, f"has {flag}: {shortened(value)}", expected)
    elif flags.release and re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]*", base):  # validation refuses any other name
        meant = names.closest(flags.kinds, base)
        remedy = GONE.get(base) or (f"write {meant}, if that is meant" if meant else "remove it")
        found = f"{variable} has {flag}, which vLLM {flags.release} does not have"
        yield Problem(found, "its flags", f"{remedy}. {RAW}")


def shortened(value: Any) -> str:
    """Return a value as JSON for a message, at most so long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _expected(flags: Flags, flag: str, value: Any) -> str | None:
    """Return what the value of a flag should be; None if it is that. A kind is missing for no-FLAG."""
    kind = flags.kinds.get(flag)
    is_bool = isinstance(value, bool)
    if kind is None:
        return None if value is True else f"true; for the opposite, {flag[3:]}: true"
    if kind in (SWITCH, "bare"):
        return None if is_bool else "true, false, or null to leave the flag out"
    if kind == "mapping":
        return _expected_mapping(value)
    if is_bool and not (kind == "optional" and value):
        return "a value, or null to leave the flag out"
    if isinstance(value, list) and (kind not in LISTS or not value):
        return "one or more values" if kind in LISTS else "a single value"
    if kind in NUMBERS and str(value) not in (*NOTHING, *WORDS.get(flag, ())):
        return _expected_number(kind, flags.ranges.get(flag, LEAST.get(flag, "")), str(value))
    number = isinstance(value, float) or (isinstance(value, int) and flag.endswith("revision"))
    return (
        "a text in quotes, as YAML makes 2.1 of 2.10 and 42798 of 0123456"
        if kind == "text" and number
        else None
    )


def _expected_mapping(value: Any) -> str | None:
    if isinstance(value, Mapping) or value in NOTHING:
        return None
    expected = "a mapping, in YAML or as JSON text"
    if isinstance(value, str):
        try:
            value = json.loads(BARE_COUNT.sub("1", values.PLACEHOLDER.sub("1", value)))
        except ValueError as error:
            return f"{expected} (JSON: {error})"
    return None if isinstance(value, Mapping) else expected


def _expected_number(kind: str, limits: str, text: str) -> str | None:
    pattern, expected = NUMBERS[kind]
    expected += limits_text(limits)
    text = values.PLACEHOLDER.sub("1", text)
    if not re.fullmatch(pattern, text):
        return expected
    return None if is_within(number(text), limits) else expected


def number(text: str) -> float:
    """Return the number that a text is, also one such as 32k or 32K."""
    suffix = text[-1] if text[-1] in SUFFIXES else ""
    return float(text[: len(text) - len(suffix)]) * SUFFIXES[suffix]


def limits_text(limits: str) -> str:
    """Return limits such as ``>0,<=1`` as the end of a sentence, "" if there are none."""
    return f", {limits.replace(',', ' and ')}" if limits else ""


def is_within(value: float, limits: str) -> bool:
    """Return whether a number is within limits such as ``>0,<=1``."""
    parts = [re.fullmatch(r"([<>]=?)(.+)", limit) for limit in limits.split(",")]
    return all(LIMITS[part[1]](value, float(part[2])) for part in parts if part)


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
