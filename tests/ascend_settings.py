#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a vllm-ascend reads as YAML: keys of --additional-config, and variables VLLM_*. Nothing is imported.

Give it the unpacked source of a release, and keep what it prints:

tests/ascend_settings.py SOURCE RELEASE >profiles/ascend/RELEASE.yml
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

CONFIG = "additional_config"
# Of the factory of AscendConfig: what it takes out before the class, which knows no other keys, sees the rest.
STRIPPED = "_NON_USER_INPUT_KEYS"
# What it refuses when it starts, by words of the message. The lint has a rule for each.
CHECKS = {
    "balance_role": "only supports PD-mixed mode",
    "blocking_graphs": "ACL graph is incompatible with ASCEND_LAUNCH_BLOCKING=1",
    "capture_tensor": "cudagraph_capture_sizes .* does not contain",
    "context_and_data": r"PCP \(Prefill Context Parallelism\) and DP",
    "eplb_variable": "of the [Ee]PLB must be set to true",
    "finegrained_dense": "tp sizes can be enabled only for MOE models",
    "finegrained_sizes": "tp sizes must divide (by )?data_parallel_size",
    "flashcomm": "Flash Comm v1 is only supported when tp_size > 1",
    "hierarchy_fused": "fused mc2 op cannot be used with hierarchy communication",
    "kv_nz_role": "enable_kv_nz is only supported in pd scenario",
    "kv_sizes": "config has a conflicting data parallel size",
    "layer_sharding_role": r"additional_config\.layer_sharding (is only supported|can only be enabled)",
    "oproj_role": "oproj_tensor_parallel_size .*only supported in pd scenario",
    "oproj_tensor": "oproj_tensor_parallel_size .*tensor_parallel_size == 1",
    "recompute_role": "recompute_scheduler_enable can only be enabled",
    "static_kernel": "Static kernel generation requires npugraph_ex",
    "xlite_block": "only compatible with block_size of 128",
    "xlite_pipeline": "not compatible with pipeline parallelism",
    "xlite_speculative": "not compatible with speculative decoding",
}
READERS = ("get", "setdefault", "pop")
# Kinds of values, by the type of a default and by the annotation of a field.
KINDS = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "text",
    "list": "list",
    "dict": "mapping",
}


def text(node: ast.expr | None) -> str | None:
    """Return the value of a literal string."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def is_config(node: ast.expr) -> bool:
    """Return whether an expression is the mapping: `additional_config` or `vllm_config.additional_config`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name == CONFIG


def keys(tree: ast.AST) -> Iterator[str | None]:
    """Yield the keys of the mapping that a module reads: `get`, subscripts, `in`, functions that are given both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in READERS and is_config(function.value):
                yield text(node.args[0])
            elif is_config(node.args[0]) and len(node.args) > 1:
                yield text(node.args[1])
        elif isinstance(node, ast.Subscript) and is_config(node.value):
            yield text(node.slice)
        elif isinstance(node, ast.Compare) and is_config(node.comparators[0]):
            yield text(node.left)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == STRIPPED:
            yield from (text(part) for part in getattr(node.value, "elts", []))


def fields(tree: ast.AST) -> tuple[list[str], bool]:
    """Return the fields of AscendConfig where it is a dataclass of pydantic, and whether others are refused."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "AscendConfig":
            names = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
            return names, 'extra="forbid"' in ast.unparse(node).replace("'", '"')
    return [], False


def sections(tree: ast.AST) -> Iterator[tuple[str, ast.ClassDef, set[str], bool]]:
    """Yield the mappings of all levels: path, class, the keys that it reads, and whether others are refused."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    pending = [("", classes["AscendConfig"])]
    while pending:
        prefix, made = pending.pop()
        for name, inner, found, refused in inside(made, classes):
            yield f"{prefix}{name}", inner, found, refused
            pending.append((f"{prefix}{name}.", inner))


def inside(
    owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef]
) -> Iterator[tuple[str, ast.ClassDef, set[str], bool]]:
    """Yield the mappings that are fields of a class, as `sections` does, by their names."""
    for node in ast.walk(owner):
        if isinstance(node, ast.AnnAssign) and getattr(node.annotation, "id", "") in classes:
            made = classes[node.annotation.id]
            yield getattr(node.target, "id", ""), made, declared(made), True
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name, made = getattr(node.targets[0], "attr", ""), getattr(node.value.func, "id", "")
            given = [*node.value.args, *(one.value for one in node.value.keywords if not one.arg)]
            if made in classes and given and getattr(given[0], "id", "") == name:
                yield name, classes[made], *handled(classes[made], by_name=not node.value.args)


def declared(node: ast.ClassDef) -> set[str]:
    """Return the fields of a dataclass that a user gives."""
    parts = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    given = [
        part
        for part in parts
        if "ClassVar" not in ast.unparse(part) and "init=False" not in ast.unparse(part)
    ]
    return {part.target.id for part in given}


def handled(node: ast.ClassDef, by_name: bool) -> tuple[set[str], bool]:
    """Return the keys that a plain class reads: parameters, its table of defaults, `get`; and whether others are refused."""
    start = next(part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")
    found = {part.arg for part in start.args.args[1:]} if by_name else set()
    refused = by_name and not start.args.kwarg
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and getattr(part.func, "attr", "") == "get" and part.args:
            found.add(text(part.args[0]) or "")
        elif isinstance(part, ast.Assign) and getattr(part.targets[0], "id", "") == "_defaults":
            found |= {text(key) or "" for key in part.value.keys}
            refused = True
    return found - {""}, refused


def kinds(trees: Iterable[ast.AST], config: ast.AST, nested: Mapping[str, ast.ClassDef]) -> dict[str, str]:
    """Return the kind of each key that has one: by the default of its `get`, or by the annotation of its field."""
    found: dict[str, set[str]] = {}
    for name, kind in (pair for tree in trees for pair in defaults(tree, is_config)):
        found.setdefault(name, set()).add(kind)
    for section, node in [("", of_class(config, "AscendConfig")), *nested.items()]:
        prefix = f"{section}." if section else ""
        pairs = [*annotated(node), *(defaults(node, lambda _: True) if section else ())]
        for name, kind in pairs:
            found.setdefault(prefix + name, set()).add(kind)
    return {name: min(kinds) for name, kinds in found.items() if len(kinds) == 1 and kinds != {""}}


def of_class(tree: ast.AST, name: str) -> ast.ClassDef:
    """Return a class by its name."""
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)


def defaults(tree: ast.AST, is_read: Callable[[ast.expr], bool]) -> Iterator[tuple[str, str]]:
    """Yield the keys that `get` reads with the kind of its default, and those of a table of defaults."""
    converted = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("int", "float")
        for part in node.args
    }
    for node in ast.walk(tree):
        function = getattr(node, "func", None)
        if isinstance(function, ast.Attribute) and function.attr == "get" and is_read(function.value):
            if len(node.args) == 2 and text(node.args[0]):
                yield text(node.args[0]) or "", "" if id(node) in converted else of_default(node.args[1])
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_defaults":
            yield from (
                (text(key) or "", of_default(one))
                for key, one in zip(node.value.keys, node.value.values, strict=True)
            )


def of_default(node: ast.expr) -> str:
    """Return the kind of a literal, "" for none. A number may be meant as any."""
    try:
        kind = KINDS.get(type(ast.literal_eval(node)).__name__, "")
    except ValueError:
        return ""
    return "number" if kind == "integer" else kind


def annotated(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the fields of a dataclass, and the parameters of a plain class, by the kind of their annotation."""
    for part in ast.walk(node):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id, of_annotation(ast.unparse(part.annotation))
        elif isinstance(part, ast.FunctionDef) and part.name == "__init__":
            yield from (
                (one.arg, of_annotation(ast.unparse(one.annotation)))
                for one in part.args.args
                if one.annotation
            )


def choices(node: ast.ClassDef) -> Iterator[tuple[str, list[object]]]:
    """Yield the fields that take a few values only: by a Literal, or where `self.FIELD not in VALUES` raises."""
    constants = {
        part.target.id: part.value
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    for part in ast.walk(node):
        if isinstance(part, ast.AnnAssign) and ast.unparse(part.annotation).startswith("Literal["):
            yield part.target.id, list(ast.literal_eval(ast.unparse(part.annotation.slice)))
        elif isinstance(part, ast.If) and any(isinstance(one, ast.Raise) for one in part.body):
            whole = part.test.values if isinstance(part.test, ast.BoolOp) else [part.test]
            compared = [one for one in whole if not ast.unparse(one).endswith("is not None")]
            if len(compared) == 1 and isinstance(compared[0], ast.Compare):
                yield from excluded(compared[0], constants)


def excluded(
    node: ast.Compare, constants: Mapping[str, ast.expr | None]
) -> Iterator[tuple[str, list[object]]]:
    """Yield field and values of `self.FIELD not in VALUES`, if the values are literals or a constant of the class."""
    field, values = node.left, node.comparators[0]
    if isinstance(values, ast.Attribute):
        values = constants.get(values.attr) or values
    is_field = isinstance(field, ast.Attribute) and ast.unparse(field.value) == "self"
    if is_field and isinstance(node.ops[0], ast.NotIn) and isinstance(values, (ast.List, ast.Tuple, ast.Set)):
        found = ast.literal_eval(values)
        yield field.attr, sorted(found) if isinstance(found, set) else list(found)


def checks(trees: Iterable[ast.AST]) -> set[str]:
    """Return the CHECKS that the source has."""
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, (ast.Raise, ast.Assert)))
    texts = [ast.unparse(node) for node in nodes]
    return {name for name, words in CHECKS.items() if any(re.search(words, one) for one in texts)}


def quantizations(trees: Iterable[ast.AST]) -> set[str]:
    """Return the methods of quantized weights that the platform takes. Some are constants of another module."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = {
        getattr(node.targets[0], "id", ""): text(node.value) for node in nodes if isinstance(node, ast.Assign)
    }
    listed = next(
        node.value
        for node in nodes
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "supported_quantization"
    )
    return {text(one) or constants[getattr(one, "id", "")] or "" for one in getattr(listed, "elts", [])}


def of_annotation(annotation: str) -> str:
    """Return the kind of an annotation such as ``int | None``, "" for others."""
    names = {part.partition("[")[0].strip() for part in annotation.split("|")} - {"None"}
    if len(names) != 1:
        return ""
    name = names.pop()
    return KINDS.get(name, "mapping" if name.endswith("Config") else "")


def whole(trees: Iterable[ast.AST]) -> set[str]:
    """Return the variables that are read by `int`: other texts end the program."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "int" and len(node.args) == 1:
            read = node.args[0]
            if isinstance(read, ast.Call) and ast.unparse(read.func) in ("os.getenv", "os.environ.get"):
                found.add(text(read.args[0]) or "")
    return {name for name in found if name.startswith("VLLM_")}


def variables(tree: ast.AST) -> Iterator[str]:
    """Yield the names of variables VLLM_*: all such literals are."""
    for node in ast.walk(tree):
        name = text(node) if isinstance(node, ast.Constant) else None
        if name and name.startswith("VLLM_") and name.replace("_", "").isalnum() and name.isupper():
            yield name


def show(name: str, comment: str, items: set[str], indent: str = "  ") -> None:
    """Print one list, as YAML in lines of at most 110 columns."""
    if not items:
        print(f"{name}: [] # {comment}")
        return
    filled = textwrap.fill(", ".join(sorted(items)), 108 - len(indent), break_on_hyphens=False)
    print(f"{name}:{comment and f' # {comment}'}")
    print(f"{indent}[\n{textwrap.indent(filled, indent + '  ')},\n{indent}]")


def main(source: str, release: str) -> None:
    """Print keys and variables of the package below *source*."""
    trees = {
        path: ast.parse(path.read_text("utf-8-sig")) for path in Path(source, "vllm_ascend").rglob("*.py")
    }
    config = trees[Path(source, "vllm_ascend/ascend_config.py")]
    own, refused = fields(config)
    classes = {name: made for name, made, _inner, _refuses in sections(config)}
    nested = {name: (inner, refuses) for name, _made, inner, refuses in sections(config)}
    found = {name for tree in trees.values() for name in (*keys(tree), *own) if name}
    print(f"---\n# What vllm-ascend {release} reads, by tests/ascend_settings.py. Do not edit.")
    print(f"refuses_unknown_keys: {str(refused).lower()}")
    show("additional_config", "keys", {name for name in found if not name.startswith("_")})
    show(
        "nested",
        "keys of mappings among them",
        {f"{name}.{key}" for name, (inner, _) in nested.items() for key in inner},
    )
    show(
        "refuses_nested",
        "the mappings that others must not be in",
        {name for name, (_, refuses) in nested.items() if refuses},
    )
    known = {name for name in found if not name.startswith("_")} | {
        f"{name}.{key}" for name, (inner, _) in nested.items() for key in inner
    }
    of_keys = kinds(trees.values(), config, classes)
    print("kinds: # of their values, as far as the source says")
    for kind in sorted({kind for name, kind in of_keys.items() if name in known}):
        show(f"  {kind}", "", {name for name in known if of_keys.get(name) == kind}, "    ")
    print("choices: # the only values of some")
    for prefix, made in [("", of_class(config, "AscendConfig")), *classes.items()]:
        for name, values in choices(made):
            path = f"{prefix}.{name}" if prefix else name
            if path in known:
                print(f"  {path}: {json.dumps(values)}")
    show("checks", "what it refuses when it starts", checks(trees.values()))
    show("quantizations", "methods of quantized weights that it takes", quantizations(trees.values()))
    show("environment", "variables", {name for tree in trees.values() for name in variables(tree)})
    show("whole_variables", "those that must be a whole number", whole(trees.values()))


main(*sys.argv[1:])
