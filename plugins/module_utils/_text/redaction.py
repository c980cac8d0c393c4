# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove secrets from text and data before they are printed or packed.

They are found by the names of their keys, by their form, and by their values.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.literals import literals

HIDDEN = "***"
SHORTEST = 6  # shorter values are also parts of ordinary words
NAME = re.compile(
    r"api[-_]?key|access[-_]?key|private[-_]?key(?!_file)|token|passw(?:or)?d|passphrase|secret|credential"
    r"|authorization",
    re.IGNORECASE,
)
PATTERNS = (
    re.compile(r"(//)[^/\s'\"]+(?=@)"),  # in a URL, such as that of a proxy
    re.compile(
        r"((?:api[-_]?key|access[-_]?key|token|passw(?:or)?d|passphrase|secret)"
        r"['\"]?\s*[:=]\s*\[?['\"]?)[^'\"\s,\]}]+",
        re.IGNORECASE,
    ),
    re.compile(r"(--[\w-]*(?:key|token|password)\s+)[^\s-]\S*", re.IGNORECASE),
    re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic)\s+)?)[^'\"\s,]+", re.IGNORECASE),
    re.compile(r"(\bbearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE),
    re.compile(
        r"()\b(?:ms-[0-9a-f]{8}-[0-9a-f-]{8,}|sk-[\w-]{16,}|hf_\w{16,})"
    ),  # of ModelScope, OpenAI and Hugging Face
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
)

PARTS = tuple(tuple(map(str.lower, literals(pattern.pattern))) for pattern in PATTERNS)


def text(value: str, known: Iterable[str] = ()) -> str:
    """Return the text without secrets. *known* are values to remove wherever they occur."""
    for secret in known:
        value = value.replace(secret, HIDDEN)
    lower = value.lower()
    for pattern, parts in zip(PATTERNS, PARTS):
        if not parts or any(part in lower for part in parts):
            value = pattern.sub(r"\1" + HIDDEN, value)
    return value


def data(value: Any, known: Iterable[str] = ()) -> Any:
    """Return a copy of plain data without secrets."""
    known = list(known)
    if isinstance(value, Mapping):
        return {str(key): _item(str(key), item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [data(item, known) for item in value]
    return text(value, known) if isinstance(value, str) else value


def _item(key: str, value: Any, known: Iterable[str]) -> Any:
    is_secret = isinstance(value, str) and value and NAME.search(key)
    return HIDDEN if is_secret else data(value, known)


def secrets(variables: Mapping[str, Any]) -> set[str]:
    """Return the values of variables with the name of a secret, to find them in texts."""
    return {
        str(value)
        for name, value in variables.items()
        if NAME.search(name) and isinstance(value, str) and len(value) >= SHORTEST
    }
