#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the classes behind flags such as --compilation-config take as YAML, by trying values on the real ones.

Run it as tests/vllm_flags.py, and keep what it prints:

docker run --rm -i --entrypoint python3 IMAGE - <tests/vllm_fields.py >profiles/fields/VERSION.yml
"""

from __future__ import annotations

import contextlib
import enum
import json
import sys
import textwrap
import typing
from collections.abc import Iterator

with contextlib.redirect_stdout(sys.stderr):  # vLLM logs to stdout
    from pydantic import ValidationError

    import vllm.config
    from vllm import __version__

FLAGS = ("compilation-config", "kv-events-config", "kv-transfer-config", "speculative-config")
LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}  # of pydantic
NO_FIELD = "no such field"
# The kind of a field that takes the first of these values, and none of the second. As a boolean, pydantic takes 1.
KINDS: dict[str, tuple[list[object], list[object]]] = {
    "boolean": ([True], [2, "any text", [], {}]),
    "integer": ([2], [1.5, "any text", [], {}]),
    "number": ([2, 1.5], ["any text", [], {}]),
    "text": (["any text"], [2, [], {}]),
    "integers": ([[2]], [2, "any text", ["any text"], {}]),
    "list": ([[]], [2, "any text", {}]),
    "mapping": ([{}], [2, "any text", []]),
}


def sections() -> Iterator[tuple[str, typing.Any]]:
    """Yield each mapping and the class that it becomes, those of mappings inside as FLAG.KEY."""
    known = {name.lower(): value for name, value in vars(vllm.config).items()}
    pending = [(flag, known[flag.replace("-", "")]) for flag in reversed(FLAGS)]
    while pending:
        name, made = pending.pop()
        made.__post_init__ = lambda *_: None  # some look for a model
        yield name, made
        for key, field in made.__pydantic_fields__.items():
            inner = [part for part in parts(field.annotation) if hasattr(part, "__pydantic_fields__")]
            if kind(made, key) == "mapping":
                pending += [(f"{name}.{key}", part) for part in inner[:1]]


def parts(hint: typing.Any) -> list[typing.Any]:
    """Return the types of a union, and the values of a literal."""
    if typing.get_origin(hint) in (list, dict, set, tuple) or not typing.get_args(hint):
        return [hint]
    return [part for one in typing.get_args(hint) for part in parts(one)]


def refusals(made: typing.Any, key: str, value: object) -> list[str]:
    """Return why a class does not take a value for a key, whatever it says of the whole."""
    try:
        made(**{key: value, NO_FIELD: None})
    except ValidationError as error:
        return [one["type"] for one in error.errors() if one["loc"][:1] == (key,)]
    except KeyError as error:  # of an enumeration
        return [str(error)]
    except Exception:  # of the whole
        return []
    return []


def takes(made: typing.Any, key: str, value: object) -> bool:
    """Return whether a class takes a value for a key."""
    return not refusals(made, key, value)


def kind(made: typing.Any, key: str) -> str:
    """Return which of KINDS a field is, "any" for others."""
    for name, (good, bad) in KINDS.items():
        if all(takes(made, key, one) for one in good) and not any(takes(made, key, one) for one in bad):
            return name
    return "any"


def choices(made: typing.Any, key: str, hint: typing.Any) -> list[str]:
    """Return the texts that a field takes, if it does not take others."""
    words = {part.name if isinstance(part, enum.Enum) else part for part in values(hint)}
    taken = {word for word in words if isinstance(word, str) and takes(made, key, word)}
    return sorted(taken) if not takes(made, key, "any text") else []


def values(hint: typing.Any) -> list[typing.Any]:
    """Return the members of enumerations, and the values of literals."""
    found: list[typing.Any] = []
    for part in parts(hint):
        found += part if isinstance(part, enum.EnumMeta) else [part]
    return found


def limits(field: typing.Any) -> str:
    """Return the range of a number, such as ``>0,<=1``."""
    found = [(sign, getattr(part, key, None)) for part in field.metadata for key, sign in LIMITS.items()]
    return ",".join(f"{sign}{limit:g}" for sign, limit in found if limit is not None)


def show(name: str, made: typing.Any) -> None:
    """Print the fields of a class by kind."""
    fields = {
        key: field
        for key, field in made.__pydantic_fields__.items()
        if "unexpected_keyword_argument" not in refusals(made, key, None)
    }
    print(f"{name}:\n  refuses_others: {str(not takes(made, NO_FIELD, None)).lower()}")
    kinds: dict[str, list[str]] = {}
    for key in fields:
        kinds.setdefault(kind(made, key), []).append(key)
    for one in (*KINDS, "any"):
        if one in kinds:
            show_list(f"  {one}", kinds[one])
    print("  choices:")
    for key, field in sorted(fields.items()):
        if choices(made, key, field.annotation):
            show_list(f"    {key}", choices(made, key, field.annotation))
    print("  ranges:")
    for key, field in sorted(fields.items()):
        if limits(field):
            print(f'    {key}: "{limits(field)}"')


def show_list(name: str, items: list[str]) -> None:
    """Print a list, as YAML in lines of at most 110 columns. What YAML reads as no text is in quotes."""
    texts = (
        json.dumps(item) if item.lower() in ("null", "true", "false", "none") else item for item in items
    )
    indent = " " * (len(name) - len(name.lstrip()) + 2)
    text = textwrap.fill(", ".join(sorted(texts)), 106 - len(indent), break_on_hyphens=False)
    print(f"{name}:\n{indent}[\n{textwrap.indent(text, indent + '  ')},\n{indent}]")


def main() -> None:
    """Print all of them."""
    print(f"---\n# What vLLM {__version__} takes in mappings, by tests/vllm_fields.py. Do not edit.")
    for name, made in sections():
        show(name, made)


main()
