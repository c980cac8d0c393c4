# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the host the container sees, and where."""

from __future__ import annotations

import posixpath
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

METRICS = "/var/lib/ascend-ops-metrics"  # the folder vllm_supervisor_metrics_dir of the host


def bind_mounts(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the bind mounts as {type, source, target, read_only}, each once."""
    result: list[dict[str, Any]] = []
    for key in ("npu_driver_mounts", "container_mounts", "container_extra_mounts"):
        for text in settings[key]:
            source, target, mode = [*text.split(":"), "", ""][:3]
            target = target or source
            read_only = mode == "ro" or (settings["container_hardened"] and key == "npu_driver_mounts")
            mount = {"type": "bind", "source": source, "target": target, "read_only": read_only}
            if mount not in result:
                result.append(mount)
    metrics = settings["supervisor_metrics_dir"]
    if metrics:
        result.append({"type": "bind", "source": metrics, "target": METRICS, "read_only": False})
    return result


def with_fixed_weights(
    mounts: Sequence[Mapping[str, Any]], source: str, target: str | None
) -> list[dict[str, Any]]:
    """Return the mounts with the weights read-only. The folders around them stay as they are, for the caches."""
    others = [dict(mount) for mount in mounts if posixpath.normpath(mount["target"]) != target]
    return [*others, {"type": "bind", "source": source, "target": target, "read_only": True}]


def container_path(path: str, mounts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return where the host's *path* is in the container, by the innermost mount; None if under none."""
    mount = innermost(path, mounts)
    return mount["target"].rstrip("/") + path[len(mount["source"].rstrip("/")) :] if mount else None


def innermost(path: str, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the innermost mount that the host's *path* is under; None if under none."""
    above = [mount for mount in mounts if (path + "/").startswith(mount["source"].rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount["source"].rstrip("/")), default=None)


def real_container_path(settings: Mapping[str, Any], real: Mapping[str, str]) -> str | None:
    """Return where the container has the weights, links of the host followed; None if nowhere."""
    folder = settings["model_dir"]
    mounts = [
        {**mount, "source": real.get(mount["source"], mount["source"])} for mount in bind_mounts(settings)
    ]
    return container_path(real.get(folder, folder), mounts)


def problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each two mounts with one target, which Docker refuses."""
    result = []
    sources: dict[str, str] = {}
    for mount in bind_mounts(settings):
        target, source = posixpath.normpath(mount["target"]), mount["source"]
        if target in sources:
            found = f"{sources[target]} and {source} are both mounted on {target}"
            remedy = "remove one of them from vllm_npu_driver_mounts, vllm_container_mounts or "
            remedy += "vllm_container_extra_mounts"
            result.append(Problem(found, "one mount on a target", remedy))
        sources[target] = source
    return result


def link_problem(settings: Mapping[str, Any], real: Mapping[str, str]) -> Problem | None:
    """Return the problem of weights that a link of the host hides from the container, if there is one.

    *real* has the host's paths without links. A link inside a mount leads nowhere in the container if its
    end is outside of all mounts.
    """
    if real_container_path(settings, real) is not None:
        return None
    folder = settings["model_dir"]
    found = f"vllm_model_dir is {folder}, which leads by a link to {real[folder]}, not below a mount"
    remedy = f"set vllm_model_dir to {real[folder]}, and add a mount of it to vllm_container_extra_mounts"
    return Problem(found, "a folder below a mount", remedy)
