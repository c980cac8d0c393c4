# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that contradict each other, or those of another host."""

from __future__ import annotations

import math
import re
from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    flags,
    mounts,
    names,
    validation,
    values,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import NotCounted, of_config
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

# What must be the same on all hosts, or vLLM refuses the peer, or worse, does not.
COMMON_KEYS = (
    "model_repo",
    "model_revision",
    "model_include",
    "model_exclude",
    "image",
    "patch_set",
    "patch_repairs",
    "served_model_name",
    "api_port",
    "rpc_port",
    "supervisor_port",
    "drain_seconds",
    "tensor_parallel_size",
    "data_parallel_size_local",
    "serve_args",
    "serve_extra_args",
)
# Settings in whose values a {name} is filled in.
TEMPLATES = ("container_env", "serve_env", "serve_args", "serve_worker_args")
# Flags that multiply the chips of one engine, as tensor-parallel-size does.
ENGINE_SIZES = ("pipeline-parallel-size", "prefill-context-parallel-size")


def problems(settings: Mapping[str, Any], known: Flags) -> list[Problem]:
    """Return what is wrong with the merged settings of one host beyond their types."""
    result = [
        *validation.problems(settings),
        *_port_problems(settings),
        *_placeholder_problems(settings),
        *_chip_problems(settings, known),
        *mounts.problems(settings),
        *_model_problems(settings),
        *flags.problems(known, settings),
    ]
    if settings["model_hub"] == "http" and not settings["model_endpoint"]:
        found = "vllm_model_hub is http and vllm_model_endpoint is not set"
        expected = "the URL of the folder with the weights and SHA256SUMS"
        result.append(Problem(found, expected, "set vllm_model_endpoint"))
    if settings["airgap_dir"] is not None and "@" in settings["image"]:
        found = f"vllm_image is {settings['image']!r} and vllm_airgap_dir is set"
        expected = "an image with a tag alone, because an archive keeps no digest"
        result.append(Problem(found, expected, "remove the digest, or vllm_airgap_dir"))
    if settings["container_hardened"] and settings["container_options"].get("privileged"):
        found = "vllm_container_hardened is true and vllm_container_options has privileged: true"
        result.append(Problem(found, "one of them", "remove the other"))
    return result + _model_dir_problems(settings)


def _model_dir_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return a problem if the container would not see the folder of the weights."""
    folder = str(settings["model_dir"])
    inside = mounts.container_path(folder, mounts.bind_mounts(settings))
    if inside or not folder.startswith("/"):  # then its form has been named
        return []
    own = [*settings["container_mounts"], *settings["container_extra_mounts"]]
    expected = " or ".join(dict.fromkeys(text.partition(":")[0] for text in own)) or "a mount"
    remedy = f"move it there, or add the mount: vllm_container_extra_mounts: [{folder}]"
    found = f"vllm_model_dir is {folder}, not below a mount of the container"
    return [Problem(found, f"a folder below {expected}", remedy)]


def _port_problems(settings: Mapping[str, Any]) -> list[Problem]:
    problems = []
    used: dict[int, str] = {}
    for key in PORTS:
        port = settings[key]
        if not 0 < port < 65536:
            problems.append(validation.wrong(f"vllm_{key}", f"is {port}", "a port from 1 to 65535"))
        if port in used:
            found = f"vllm_{used[port]} and vllm_{key} are both {port}"
            problems.append(Problem(found, "different ports", "change one of them"))
        used[port] = key
    return problems


def _placeholder_problems(settings: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            f"vllm_{key} has {{{name}}} in {entry}",
            f"one of {', '.join(values.NAMES)}",
            names.remedy(values.NAMES, name),
        )
        for key in TEMPLATES
        for entry, value in settings[key].items()
        for name in values.unknown(value)
    ]


def _chip_problems(settings: Mapping[str, Any], known: Flags) -> list[Problem]:
    """Return a problem if the engines of the host need other than some of its chips."""
    chips = len(settings["npu_ids"])
    if not chips:
        return [
            validation.wrong("vllm_npu_ids", "is empty", "the NPUs that the service uses, such as [0, 1]")
        ]
    if not validation.are_npu_ids(settings["npu_ids"]):
        return []  # their form has been named, and how many are meant is not known
    sizes = {key: settings[key] for key in ("tensor_parallel_size", "data_parallel_size_local")}
    sizes = {f"vllm_{key}": size for key, size in sizes.items()}
    raw = flags.parse(flags.spelled(known, settings["serve_extra_args"]))
    for flag in ENGINE_SIZES:
        value = raw.get(flag, settings["serve_args"].get(flag))
        size = "1" if value is None else str(value)
        if not re.fullmatch(validation.POSITIVE.regex, size):
            return []  # the flags' own check names it
        if size != "1":
            sizes[flag] = int(size)
    needed = math.prod(sizes.values())
    if 0 < needed <= chips:
        return []
    found = f"{' x '.join(sizes)} is {' x '.join(map(str, sizes.values()))} = {needed}"
    remedy = f"lower one of them, such as vllm_tensor_parallel_size to {chips}, or give more NPUs"
    expected = f"from 1 to the {chips} NPUs of vllm_npu_ids"
    return [Problem(found, expected, remedy if needed > chips else "set each of them to 1 or more")]


def _model_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the values of the model's description. One of another architecture is not."""
    try:
        if settings["model_config"]:
            of_config(settings["model_config"], settings["model_repo"])
    except NotCounted:
        return []
    except ValueError as error:
        remedy = "correct them, or empty vllm_model_config: the estimate is then skipped"
        return [Problem(f"vllm_model_config: {error}", "keys of the model's config.json", remedy)]
    return []


def disagreements(
    host: str, settings: Mapping[str, Any], head: str, head_settings: Mapping[str, Any]
) -> list[Problem]:
    """Return a problem for each setting that must be the same on *host* as on the *head* and is not."""
    return [
        Problem(
            f"vllm_{key} is {settings[key]!r}",
            f"the head's ({head}): {head_settings[key]!r}",
            "set it once for all hosts, as in group_vars/all.yml",
        ).on(host)
        for key in COMMON_KEYS
        if settings[key] != head_settings[key]
    ]
