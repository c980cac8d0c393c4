# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings as the collection ships them: schema, profiles, and what they make together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import settings as layers
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.profiles import Profiles

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(ROOT.glob("profiles/models/*.yml"))


def read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def options(role: str) -> dict[str, Any]:
    """Return the options of all entry points of a role."""
    specs = read(ROOT / f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


SETTINGS = options("plan")
DEFAULTS = read(ROOT / "profiles/defaults.yml")
PROFILES = Profiles(ROOT / "profiles", read)
ROLES = ("preflight", "image", "weights", "container", "patch", "serve", "verify", "gateway")
ROLE_OPTIONS = {name: option for role in ROLES for name, option in options(role).items()}
SETTABLE = {*SETTINGS, *ROLE_OPTIONS, *options("monitoring")}
GROUPS = {"vllm_head", "vllm_workers", "vllm_gateway", "vllm_monitoring"}
PLAYBOOK_OPTIONS = read(ROOT / "playbooks/vars/options.yml")

FLAGS = PROFILES.serve_flags("0.13.0")


def merged(profile: str = "glm-4.7", **variables: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return the settings of a profile with *variables* of an inventory, and the problems."""
    files = layers.read(SETTINGS, PROFILES.layers(profile, {}))
    return layers.settings(SETTINGS, files, layers.of_inventory(SETTINGS, variables))


def settings(profile: str = "glm-4.7", **variables: Any) -> dict[str, Any]:
    """Return the settings, which have no problem."""
    values, problems = merged(profile, **variables)
    assert problems == []
    return values
