# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a model profile, and how an inventory's ``vllm_KEY`` variables override them."""

from __future__ import annotations

import contextlib
import difflib
import json
from typing import Any, Mapping

PREFIX = "vllm_"

# Every key a profile has, with its type.
SCHEMA: dict[str, type] = {
    "model_repo": str,
    "model_revision": str,
    "model_endpoint": str,
    "model_include": list,
    "model_exclude": list,
    "model_dir": str,
    "model_cache_dir": str,
    "model_size_gb": int,
    "image": str,
    "image_versions": dict,
    "image_size_gb": int,
    "host_memory_gb": int,
    "npu_name": str,
    "npu_ids": list,
    "npu_hbm_mb": int,
    "npu_driver_version": str,
    "npu_firmware_version": str,
    "npu_control_devices": list,
    "container_name": str,
    "container_env": dict,
    "container_mounts": list,
    "container_extra_mounts": list,
    "container_shm_size": str,
    "container_ulimits": list,
    "container_log_driver": str,
    "container_log_options": dict,
    "container_init": bool,
    "container_restart_policy": str,
    "served_model_name": str,
    "api_port": int,
    "rpc_port": int,
    "supervisor_port": int,
    "supervisor_grace": int,
    "supervisor_max_failures": int,
    "tensor_parallel_size": int,
    "data_parallel_size_local": int,
    "serve_env_scripts": list,
    "serve_env": dict,
    "serve_args": dict,
    "serve_worker_args": dict,
    "patch_set": str,
    "patch_repairs": bool,
    "patch_dir": str,
    "probe": dict,
    "airgap_dir": str,
}
NULLABLE = frozenset(["patch_set", "airgap_dir"])
# Variables of the inventory that are not keys of a profile: choice of profile, a host's place, a secret, our own facts.
OTHER_VARIABLES = frozenset(
    [
        "profile",
        "service_ip",
        "service_nic",
        "api_key",
        "plan",
        "host_facts",
        "npu",
        "listener",
        "peers",
        "image_content",
        "weights",
        "weights_error",
    ]
)

BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
TYPE_NAMES = {
    bool: "true or false",
    str: "a string",
    int: "a whole number",
    list: "a list",
    dict: "a mapping",
}


class ProfileError(ValueError):
    """A profile or an override that cannot be used; the text says which value, what was expected, what to do."""


def coerce(name: str, value: Any, wanted: type) -> Any:
    """Return *value* as *wanted*, accepting the strings that surveys and ``-e key=value`` send.

    Lists and mappings may come as JSON text. Raises ProfileError naming *name*, the value and the wanted type.
    """
    if isinstance(value, str) and wanted in (list, dict):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    elif isinstance(value, str) and wanted is int and value.strip().isdigit():
        value = int(value)
    elif isinstance(value, str) and wanted is bool:
        value = BOOLEANS.get(value.strip().lower(), value)
    elif wanted is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool):
        return value
    raise ProfileError(
        f"{name} is {value!r}, wanted {TYPE_NAMES[wanted]}: correct it in the inventory or the profile."
    )


def merge(base: Any, override: Any) -> Any:
    """Return *override* laid over *base*: mappings are merged key by key (null removes a key), all else replaced."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    merged = dict(base, **override)
    return {key: value for key, value in merged.items() if not (key in override and value is None)}


def unknown_variables(names: list[str]) -> list[str]:
    """Return a message for each ``vllm_*`` variable in *names* that this collection does not know: a typo, as a rule."""
    known = [PREFIX + key for key in sorted(OTHER_VARIABLES | set(SCHEMA))]
    messages = []
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]}?"
                if close
                else "remove it, or rename it: names with vllm_ belong to this collection."
            )
            messages.append(f"variable {name} is not a setting: {hint}")
    return messages


def settings(
    profile_name: str, profile: Any, overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the profile with *overrides* (variables ``vllm_KEY``) applied, and a message for each bad value."""
    if not isinstance(profile, dict):
        return {}, [f"profile {profile_name} is not a mapping of settings: start from a copy of glm-4.7.yml."]
    errors = [
        f"profile {profile_name} has no {key}: add it (glm-4.7.yml shows its form)."
        for key in SCHEMA
        if key not in profile
    ]
    errors += [
        f"profile {profile_name} has a key {key} that no stage reads: remove it."
        for key in profile
        if key not in SCHEMA
    ]
    result = {}
    for key in SCHEMA:
        name, value = (key, profile.get(key))
        try:
            value = None if value is None else coerce(f"{key} of profile {profile_name}", value, SCHEMA[key])
            if PREFIX + key in overrides:
                name, override = PREFIX + key, overrides[PREFIX + key]
                value = merge(value, None if override is None else coerce(name, override, SCHEMA[key]))
            if value is None and key not in NULLABLE and key in profile:
                raise ProfileError(
                    f"{name} is null, wanted {TYPE_NAMES[SCHEMA[key]]}: give it a value or remove the line."
                )
        except ProfileError as exc:
            errors.append(str(exc))
        result[key] = value
    return result, errors
