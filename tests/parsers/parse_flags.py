"""Runs inside the serving image: reads command lines as JSON from standard input, and writes what vLLM's own parser says of each.

An answer is null for a command line that the parser takes, and its message for another.
"""

from __future__ import annotations

import json
import sys

from vllm import __version__
from vllm.utils.argparse_utils import FlexibleArgumentParser

try:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
except ImportError:  # before 0.30
    from vllm.entrypoints.openai.cli_args import make_arg_parser


class Refused(Exception):
    """What the parser says instead of ending the program."""


class Parser(FlexibleArgumentParser):
    def error(self, message):
        raise Refused(message)


def answer(words: list[str]) -> str | None:
    try:
        make_arg_parser(Parser()).parse_args(words)
    except Refused as refusal:
        return str(refusal)
    return None


json.dump({"version": __version__, "answers": list(map(answer, json.load(sys.stdin)))}, sys.stdout)
