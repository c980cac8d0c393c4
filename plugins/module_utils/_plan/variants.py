# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipped profiles that take the place of a planned one."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity, plan, settings
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import Model, name_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.profiles import Profiles

NO_ADDRESS = "192.0.2.1"  # for documentation (RFC 5737): what a model takes does not depend on addresses


def quantized(
    profiles: Profiles, options: settings.Options, planned: Mapping[str, Any], model: Model
) -> list[str]:
    """Return the shipped profiles with quantized weights of a planned *model* that fit on the same hosts.

    *options* are those of the role plan.
    """
    found = []
    for name in profiles.models():
        # Before all layers are read: most profiles are for another model.
        if _is_of(profiles.repo(name), planned["model"]["repo"]):
            read = settings.read(options, profiles.layers(name, {}))
            values, _problems = settings.settings(options, read, settings.of_inventory(options, {}))
            if values["npu_name"] == planned["npu"]["name"] and _fits(profiles, values, planned, model):
                found.append(name)
    return found


def _is_of(repo: str, whole: str) -> bool:
    """Return whether a repository has a variant of the model in *whole*, by its name."""
    return name_of(repo).lower().startswith(f"{name_of(whole).lower()}-")


def _fits(profiles: Profiles, values: Mapping[str, Any], planned: Mapping[str, Any], model: Model) -> bool:
    hosts = planned["hosts"]
    flags = profiles.serve_flags(values["image_versions"].get("vllm"))
    built = plan.build(plan.Member(hosts[0], dict.fromkeys(hosts, NO_ADDRESS)), values, flags)
    variant = capacity.of_plan(built)
    if variant is None or not variant.quantized:
        return False
    same = (variant.layers, variant.hidden, variant.experts) == (model.layers, model.hidden, model.experts)
    return same and capacity.estimate(built, variant).verdict == capacity.FITS
