# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of variables: those that were renamed, and those that look like a misspelt setting."""

from __future__ import annotations

import difflib
from typing import Collection, Iterable

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

PREFIX = "vllm_"  # names with it are settings of this collection, unlike those with the roles' names
RENAMED = {
    "driver_allow_newer": "preflight_allow_newer",
    "driver_pings": "preflight_pings",
    "driver_roce_tls_off": "preflight_roce_tls_off",
    "serve_api_key": "vllm_api_key",
    "verify_api_key": "vllm_api_key",
}
# How similar a name must be to a setting's to be taken for a misspelt one. High, as users have their own.
SIMILAR = 0.9


def wrong(known: Collection[str], variables: Iterable[str]) -> list[Problem]:
    """Return a problem for each of the *variables* that was renamed, or is almost a *known* one."""
    problems = []
    for name in _unknown(known, variables):
        meant = RENAMED.get(name) or closest(known, name, SIMILAR)
        if name in RENAMED:
            found, remedy = f"variable {name} has a new name", f"rename it to {meant}"
        elif meant:
            found, remedy = f"variable {name} is not a setting", f"rename it to {meant}, if that is meant"
        else:
            continue
        problems.append(Problem(found, f"the variable {meant}", remedy))
    return problems


def foreign(known: Collection[str], variables: Iterable[str]) -> list[str]:
    """Return those of the *variables* that have this collection's prefix, and are like no setting."""
    return [
        name
        for name in _unknown(known, variables)
        if name.startswith(PREFIX) and not closest(known, name, SIMILAR)
    ]


def closest(known: Collection[str], name: str, cutoff: float = 0.6) -> str | None:
    """Return the *known* name that is most similar, None if there is none."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def _unknown(known: Collection[str], variables: Iterable[str]) -> list[str]:
    prefixes = tuple({name.partition("_")[0] + "_" for name in (*known, *RENAMED)})
    return sorted(name for name in variables if name.startswith(prefixes) and name not in known)
