# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms of values: what Docker, the hub or vLLM would refuse is refused before anything is done."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import values
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import versions

# Docker separates by colon and comma. A path with .. is not where it seems to be.
PATH = r"(?![^:]*/\.\.(?:[/:]|$))/[^:,\n]*"


class Pattern(NamedTuple):
    """What a value, or each element of a list, or each key of a mapping, must look like."""

    regex: str
    expected: str


ABSOLUTE_PATH = Pattern(PATH, "an absolute path, without colon, comma or `..`")
MOUNT = Pattern(f"{PATH}(:{PATH}(:(ro|rw))?)?", "SOURCE[:TARGET[:ro]] of absolute paths")
VERSION = Pattern(r"\d+(\.\w+)+", "a version such as 25.2.1")
GLOB = Pattern(r".+", "a shell pattern")
VARIABLE = Pattern(r"[A-Za-z_]\w*", "names of environment variables")
FLAG = Pattern(
    r"[a-zA-Z][a-zA-Z0-9-]*(\.[^.]+)*", "flags of vllm serve without the leading --, and with - for _"
)
NOT_NEGATIVE = Pattern(r"\d+", "0 or more")
POSITIVE = Pattern(r"[1-9]\d*", "1 or more")
SIZE = Pattern(r"\d{1,9}", "0 to 999999999")
# A stop may take that long, and so may the task of a playbook that waits for it.
LONG = r"[1-7]\d{4}|8[0-5]\d{3}|86[0-3]\d\d|86400"
WITHIN_A_DAY = Pattern(rf"\d{{1,4}}|{LONG}", "0 to 86400 seconds, a day")

# YAML makes true of on, and 2.1 of 2.10, and no variable means that.
QUOTED = "a string in quotes, such as '1', 'true' or '0.5', or a whole number"
# Variables with secrets, and the setting that keeps each out of scripts and of what Docker shows.
SECRETS = {
    "VLLM_API_KEY": "vllm_api_key",
    **dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN"), "weights_token"),
}
# What the plan sets itself, and what has a setting of another name.
CONTAINER_OPTIONS = Pattern(
    "(?!(image|state|command|entrypoint|labels|devices|network_mode|cpuset_cpus|stop_timeout|healthcheck|recreate"
    "|comparisons)$)[a-z_]+",
    "options of community.docker.docker_container for which there is no setting",
)

PATTERNS = {
    "model_repo": Pattern(r"([\w.-]+/)?[\w.-]+", "OWNER/NAME, as on the hub, or a name"),
    "model_hub": Pattern("modelscope|huggingface|http", "modelscope, huggingface or http"),
    "model_revision": Pattern(r"\S+", "a branch, a tag or a commit of the repository"),
    "model_endpoint": Pattern(r"https?://[^\s/]+(/\S*)?", "a URL such as https://www.modelscope.cn"),
    "model_include": GLOB,
    "model_exclude": GLOB,
    "model_dir": ABSOLUTE_PATH,
    "model_cache_dir": ABSOLUTE_PATH,
    "model_size_gb": SIZE,
    "image": Pattern(
        r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w.-]{1,128})?(@sha256:[0-9a-f]{64})?",
        "an image as `docker pull` takes it",
    ),
    "image_versions": Pattern(r"[a-z_]+", "names such as torch_npu"),
    "image_size_gb": SIZE,
    "airgap_dir": ABSOLUTE_PATH,
    "supervisor_metrics_dir": ABSOLUTE_PATH,
    "host_memory_gb": SIZE,
    "npu_ids": NOT_NEGATIVE,
    "npu_hbm_mb": Pattern(r"[1-9]\d{0,8}", "1 to 999999999"),
    "npu_driver_version": VERSION,
    "npu_firmware_version": VERSION,
    "npu_control_devices": ABSOLUTE_PATH,
    "npu_driver_mounts": MOUNT,
    "container_name": Pattern(r"[a-zA-Z0-9][\w.-]+", "letters, digits and _ . - as in a name for Docker"),
    "container_env": VARIABLE,
    "container_mounts": MOUNT,
    "container_extra_mounts": MOUNT,
    "container_options": CONTAINER_OPTIONS,
    "container_shm_size": Pattern(r"\d+(\.\d+)?\s*[kKmMgGtT]?[bB]?", "a size such as 1g"),
    "container_ulimits": Pattern(r"[a-z]+(:-?\d+){1,2}", "NAME:SOFT[:HARD], such as memlock:-1:-1"),
    "served_model_name": Pattern(r"\S+", "a name without blanks"),
    "supervisor_grace": Pattern(rf"[1-9]\d{{1,3}}|{LONG}", "10 to 86400 seconds, a day"),
    "supervisor_probe_seconds": WITHIN_A_DAY,
    "supervisor_max_failures": Pattern(r"[1-9]\d{0,8}", "1 to 999999999"),
    "drain_seconds": WITHIN_A_DAY,
    "serve_env_scripts": ABSOLUTE_PATH,
    "serve_env": VARIABLE,
    "serve_args": FLAG,
    "serve_worker_args": FLAG,
    "patch_dir": ABSOLUTE_PATH,
}


def problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each value among the merged *settings* that has not the form it must have."""
    return [
        *_pattern_problems(settings),
        *_option_problems(settings),
        *_environment_problems(settings),
        *_condition_problems(settings["image_versions"]),
        *_prompt_problems(settings["probe"]),
    ]


def _pattern_problems(settings: Mapping[str, Any]) -> list[Problem]:
    found = []
    for key, pattern in PATTERNS.items():
        value = settings[key]
        many = isinstance(value, (list, dict))
        parts = [] if value is None else list(value) if many else [value]
        found += [
            wrong(f"vllm_{key}", f"{'has' if many else 'is'} {part!r}", pattern.expected)
            for part in parts
            if not re.fullmatch(pattern.regex, str(part))
        ]
    if not _ascending(settings["npu_ids"]):
        found.append(wrong("vllm_npu_ids", f"is {settings['npu_ids']}", "ascending numbers, each once"))
    return found


def _option_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Most settings of the container have the name of the option, so that a new one is refused here by itself."""
    return [
        Problem(
            f"vllm_container_options has {option!r}, which has a setting",
            CONTAINER_OPTIONS.expected,
            f"remove it there, and set vllm_container_{option}",
        )
        for option in settings["container_options"]
        if f"container_{option}" in settings
    ]


def _ascending(ids: list[int]) -> bool:
    return sorted(set(ids)) == ids


def are_npu_ids(ids: list[int]) -> bool:
    """Return whether *ids* have the form of vllm_npu_ids."""
    return _ascending(ids) and all(re.fullmatch(PATTERNS["npu_ids"].regex, str(number)) for number in ids)


def _environment_problems(settings: Mapping[str, Any]) -> list[Problem]:
    found = [
        wrong(f"vllm_{key}", f"has {name}: {value!r}", QUOTED)
        for key in ("container_env", "serve_env")
        for name, value in settings[key].items()
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int)))
    ]
    found += [
        Problem(
            f"vllm_container_env has {name}: {value}, and Docker does not replace {match[0]}",
            "a plain value",
            "set it in vllm_serve_env, where bash does",
        )
        for name, value in settings["container_env"].items()
        for match in values.VARIABLE.finditer(str(value))
    ]
    found += [
        Problem(
            f"vllm_{key} has {name}, a secret, which the container's script or `docker inspect` would show",
            "no secret",
            f"remove it there, and set {SECRETS[name]}",
        )
        for key in ("container_env", "serve_env")
        for name in sorted(set(SECRETS) & set(settings[key]))
    ]
    path = settings["serve_env"].get("PYTHONPATH")
    if settings["drain_seconds"] and path is not None and "PYTHONPATH" not in variables(path):
        found.append(
            Problem(
                f"vllm_serve_env has PYTHONPATH: {path!r}, which hides the middleware that drains the service",
                "the previous value in it",
                f"write {path}:$PYTHONPATH, or set vllm_drain_seconds to 0",
            )
        )
    return found


def _condition_problems(conditions: Mapping[str, Any]) -> list[Problem]:
    expected = "a version, or conditions, in quotes, such as >=3.10,<3.12"
    return [
        wrong("vllm_image_versions", f"has {name}: {condition!r}", expected)
        for name, condition in conditions.items()
        if isinstance(condition, float) or not versions.is_condition(str(condition))
    ]


def _prompt_problems(prompts: Any) -> list[Problem]:
    expected = "requests and answers by the names of the built-in conversations"
    return [wrong("vllm_probe", f"is wrong: {text}", expected) for text in checks.prompt_errors(prompts)]


def variables(value: Any) -> set[str]:
    """Return the names of the variables that bash replaces in *value*."""
    return {name for names in values.VARIABLE.findall(str(value)) for name in names}


def wrong(variable: str, state: str, expected: str) -> Problem:
    """Return the problem of a variable with another value than it must have."""
    return Problem(f"{variable} {state}", expected, f"correct {variable} in the inventory or the profile")
