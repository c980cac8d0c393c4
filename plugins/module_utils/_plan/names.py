# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of variables: those that were renamed, and those that look like a misspelt setting."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import Any, Collection, Iterable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

PREFIX = "vllm_"  # names with it are settings of this collection, unlike those with the roles' names
RENAMED = {
    "driver_allow_newer": "preflight_allow_newer",
    "driver_pings": "preflight_pings",
    "driver_roce_tls_off": "preflight_roce_tls_off",
    "serve_api_key": "vllm_api_key",
    "verify_api_key": "vllm_api_key",
}
# What people write first, by the names that other projects and vLLM itself use.
GUESSES = {
    "vllm_airgap": "vllm_airgap_dir",
    "vllm_args": "vllm_serve_args",
    "vllm_cache_dir": "vllm_model_cache_dir",
    "vllm_devices": "vllm_npu_ids",
    "vllm_env": "vllm_serve_env",
    "vllm_extra_args": "vllm_serve_args",
    "vllm_image_tag": "vllm_image",
    "vllm_interface": "vllm_service_nic",
    "vllm_ip": "vllm_service_ip",
    "vllm_model": "vllm_model_repo",
    "vllm_model_name": "vllm_served_model_name",
    "vllm_model_path": "vllm_model_dir",
    "vllm_mounts": "vllm_container_extra_mounts",
    "vllm_nic": "vllm_service_nic",
    "vllm_patches": "vllm_patch_set",
    "vllm_port": "vllm_api_port",
    "vllm_proxy": "weights_proxy",
    "vllm_registry_password": "image_registry_password",
    "vllm_registry_username": "image_registry_username",
    "vllm_shm_size": "vllm_container_shm_size",
    "vllm_timeout": "serve_timeout",
    "vllm_token": "weights_token",
    "vllm_version": "vllm_release",
    "vllm_volumes": "vllm_container_extra_mounts",
}
# How similar a name must be to a setting's to be taken for a misspelt one. High, as users have their own.
SIMILAR = 0.9
SIMILAR_PREFIX = 0.8  # one letter more or less, or two that changed places


def wrong(known: Collection[str], variables: Iterable[str]) -> list[Problem]:
    """Return a problem for each of the *variables* that was renamed, or is almost a *known* one."""
    variables = list(variables)
    respelt = _respelt(known, variables)
    problems = [_other_characters(name, meant) for name, meant in respelt.items()]
    for name in _unknown(known, variables):
        if name in respelt:
            continue
        meant = RENAMED.get(name) or closest(known, name, SIMILAR)
        if name in RENAMED:
            found, remedy = f"variable {name} has a new name", f"rename it to {meant}"
        elif meant:
            found, remedy = f"variable {name} is not a setting", f"rename it to {meant}, if that is meant"
        else:
            continue
        problems.append(Problem(found, f"the variable {meant}", remedy))
    return problems


def foreign(
    known: Collection[str], variables: Iterable[str], flags: Collection[str]
) -> list[tuple[str, str]]:
    """Return those of the *variables* that have this collection's prefix, and are neither setting nor flag.

    Each comes with the flag that is almost the same, or with an empty text.
    """
    near = {name: closest(flags, flag_of(name), SIMILAR) for name in _unknown(known, variables)}
    return [
        (name, f"the flag {flag} in vllm_serve_args" if flag else "")
        for name, flag in near.items()
        if name.startswith(PREFIX)
        and name not in GUESSES
        and flag_of(name) not in flags
        and not closest(known, name, SIMILAR)
        and plain(name) not in known
    ]


def doubtful(known: Collection[str], variables: Iterable[str]) -> list[tuple[str, str]]:
    """Return those of the *variables* whose prefix is misspelt, each with the *known* name that is almost the same.

    Users have names of their own, such as ``server_timeout`` or ``VLLM_IMAGE``: this is worth a warning, and no refusal.
    """
    variables = list(variables)
    prefixes = {name.partition("_")[0] for name in known}
    strange = [name for name in variables if name.partition("_")[0] not in prefixes]
    near = [name for name in strange if closest(prefixes, name.partition("_")[0], SIMILAR_PREFIX)]
    pairs = [(name, closest(known, name, SIMILAR)) for name in near]
    pairs += [(name, name.lower()) for name in variables if name not in known and name.lower() in known]
    return sorted((name, meant) for name, meant in pairs if meant)


def guessed(
    known: Collection[str],
    variables: Mapping[str, Any],
    flags: Collection[str],
    settings: Mapping[str, Any],
) -> list[Problem]:
    """Return a problem for each of the *variables* that is a first guess at a setting or at a flag.

    One that has the value which counts, by the merged *settings*, is a helper of the inventory and no problem.
    """
    problems = []
    for name in _unknown(known, variables):
        meant, flag = GUESSES.get(name), flag_of(name)
        if meant:
            of_plan = settings.get(meant[len(PREFIX) :]) if meant.startswith(PREFIX) else None
            effective = variables.get(meant) if of_plan is None else of_plan
            expected, remedy = f"the variable {meant}", f"rename it to {meant}"
        elif flag in flags and not closest(known, name, SIMILAR):
            effective = settings["serve_args"].get(flag)
            expected = f"the flag {flag} of vllm serve in vllm_serve_args"
            remedy = f"write vllm_serve_args: {{{flag}: VALUE}}"
        else:
            continue
        if effective is None or str(variables[name]) != str(effective):
            problems.append(Problem(f"variable {name} is not a setting", expected, remedy))
    return problems


def flag_of(variable: str) -> str:
    """Return the flag of vllm serve that a variable with this collection's prefix would set."""
    return variable[len(PREFIX) :].replace("_", "-") if variable.startswith(PREFIX) else ""


def closest(known: Collection[str], name: str, cutoff: float = 0.6) -> str | None:
    """Return the *known* name that is most similar, None if there is none."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def similar(known: Collection[str], name: str) -> list[str]:
    """Return up to three *known* names that are like *name*, the most similar first."""
    return difflib.get_close_matches(name, known)


def remedy(known: Collection[str], name: str) -> str:
    """Return what to do about a *name* that is none of the *known* ones."""
    meant = closest(known, name)
    return f"write {meant}, if that is meant" if meant else "choose one of them"


def plain(name: str) -> str:
    """Return the first word of a *name* in the characters of a variable: _ for -, and ASCII for full-width ones."""
    word = re.search(r"[A-Za-z]\w*", unicodedata.normalize("NFKC", name).replace("-", "_"), re.ASCII)
    return word.group() if word else ""


def _respelt(known: Collection[str], variables: Iterable[str]) -> dict[str, str]:
    """Return those of the *variables* that Ansible cannot use as a name, each with the *known* one that is meant."""
    strange = sorted(name for name in variables if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII))
    return {name: plain(name) for name in strange if plain(name) in known}


def _other_characters(name: str, meant: str) -> Problem:
    remedy = f"write {meant}: VALUE, with _ for -, and with ASCII quotes, colon and blanks"
    return Problem(f"variable {name!r} is not a setting", f"the variable {meant}", remedy)


def _unknown(known: Collection[str], variables: Iterable[str]) -> list[str]:
    prefixes = tuple({name.partition("_")[0] + "_" for name in (*known, *RENAMED)})
    return sorted(name for name in variables if name.startswith(prefixes) and name not in known)
