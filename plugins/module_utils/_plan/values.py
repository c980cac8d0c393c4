# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the environment and of flags: their placeholders, and what bash makes of them."""

from __future__ import annotations

import re
import shlex
from typing import Any, Iterator, Mapping

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")  # $NAME or ${NAME}, and no other expansion
SPECIAL = re.compile(r'([\\"$`])')  # within double quotes
NAMES = (
    "service_ip",
    "service_nic",
    "head_ip",
    "listen_address",
    "api_port",
    "rpc_port",
    "npu_ids",
    "npu_indices",
    "tensor_parallel_size",
    "data_parallel_size",
    "data_parallel_size_local",
    "data_parallel_start_rank",
    "served_model_name",
    "model_name",
)


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """Return *value* with each {name} replaced, at any depth of lists and mappings.

    A value that is only a name is null if that is null.
    """
    if isinstance(value, Mapping):
        return {key: fill(part, names) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(part, names) for part in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole and names[whole.group(1)] is None:
        return None
    return PLACEHOLDER.sub(lambda match: str(names[match.group(1)]), value)


def unknown(value: Any) -> Iterator[str]:
    """Yield each name that is in braces in *value*, at any depth, and is none of NAMES."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from unknown(part)
    elif isinstance(value, str):
        yield from (name for name in PLACEHOLDER.findall(value) if name not in NAMES)


def is_open(value: Any) -> bool:
    """Return whether a value has a placeholder, at any depth, and so is not known yet."""
    return bool(PLACEHOLDER.search(str(value)))


def shell_variable(value: Any) -> str | None:
    """Return the first $NAME in a value, at any depth; None if it has none. Bash replaces those of serve_env only."""
    match = VARIABLE.search(str(value))
    return match[0] if match else None


def environment(variables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the environment as strings, placeholders filled; a NIC not known yet is None."""
    filled = {key: fill(value, names) for key, value in variables.items()}
    return {key: None if value is None else str(value) for key, value in filled.items()}


def shell_environment(variables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the environment as words for bash; a NIC not known yet is None."""
    texts = environment(variables, names)
    return {name: None if text is None else shell_word(text) for name, text in texts.items()}


def shell_word(text: str) -> str:
    """Return *text* as one word for bash, which replaces $NAME and ${NAME} in it, and nothing else."""
    if not VARIABLE.search(text):
        return shlex.quote(text)
    parts, last = [], 0
    for match in VARIABLE.finditer(text):
        parts += [SPECIAL.sub(r"\\\1", text[last : match.start()]), f"${{{match[1] or match[2]}}}"]
        last = match.end()
    return '"' + "".join(parts) + SPECIAL.sub(r"\\\1", text[last:]) + '"'
