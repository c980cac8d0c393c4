# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX answers and what it has, as the modules and the lookup of awx.awx return it."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.redaction import HIDDEN, SHORTEST

OF_ALL = ("__all__", "detail", "error")  # what AWX says of a request as a whole, not of one field


def refusals(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each result that failed: the name of its item, if it has one, and AWX's own words.

    The words contain no value of the item's ``configuration``, the secret part of a notification.
    """
    return [_refusal(result) for result in results if result.get("failed")]


def _refusal(result: Mapping[str, Any]) -> str:
    item = result.get("item")
    item = item if isinstance(item, Mapping) else {}
    words = "; ".join(_words(result))
    for secret in sorted(_texts(item.get("configuration")), key=len, reverse=True):
        words = words.replace(secret, HIDDEN) if len(secret) >= SHORTEST else words
    return f"{item['name']}: {words}" if "name" in item else words


def _words(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the message of the module, and the answer that it only refers to."""
    yield from _texts(result.get("msg", ""))
    answer = result.get("response", {})
    said = answer.get("json", answer.get("text", ""))
    if not isinstance(said, Mapping):
        yield from _texts(said)
        return
    for field, texts in said.items():
        text = " ".join(_texts(texts))
        yield text if field in OF_ALL else f"{field}: {text}"


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in plain data, except empty ones and the names of fields."""
    if isinstance(value, Mapping):
        value = value.values()
    elif isinstance(value, str):
        yield from [value] if value else []
        return
    elif not isinstance(value, (list, tuple)):
        return
    for item in value:
        yield from _texts(item)


def changes(found: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference between a thing as it was *found* and as it is *made*, by the names of its fields.

    The members of lists and dictionaries are compared one by one. They are called by their key or themselves, and a question of a
    survey by its ``variable``. The values of dictionaries are not shown: they may be secret.
    """
    return [line for field, value in made.items() for line in _changes(field, found[field], value)]


def _changes(field: str, found: Any, made: Any) -> Iterator[str]:
    if not isinstance(made, (list, Mapping)):
        if found != made:
            yield f"{field}: {_json(found)} becomes {_json(made)}"
        return
    before, after = _members(found), _members(made)
    yield from (f"{field} {name} is taken away" for name in before if name not in after)
    yield from (
        f"{field} {name} is reset" for name in before if name in after and before[name] != after[name]
    )
    yield from (f"{field} {name} is added" for name in after if name not in before)


def _members(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return {item["variable"] if isinstance(item, Mapping) else item: item for item in value}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
