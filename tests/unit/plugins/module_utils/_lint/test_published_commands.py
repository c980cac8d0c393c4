# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that upstream publishes, against the release that they are published for: nothing dead stays unseen."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import settings as layers
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from shipped import PROFILES, SETTINGS, read

COMMANDS = read(Path(__file__).parents[2] / "fixtures/published_commands.yml")
HOSTS = ("node0", "node1")
# Rules of what else a deployment has: hosts and sizes, image, driver, weights.
ELSEWHERE = {
    "api_server_count",
    "moe_dispatch",
    "expert_shares",
    "hosts_differ",
    "load_balancer",
    "parallel_sizes",
    "release_versions",
    "release_image",
    "driver_release",
}


@cache
def of_release(name: str) -> tuple[dict[str, Any], Release, Flags]:
    """Return settings for a release, the release, and the flags of its vLLM."""
    files = layers.read(SETTINGS, PROFILES.layers("glm-4.7", {"release": name}))
    merged, problems = layers.settings(SETTINGS, files, layers.of_inventory(SETTINGS, {}))
    assert problems == []
    release = PROFILES.release(name)
    assert release
    return merged, release, PROFILES.serve_flags(release.row["vllm"])


def found(command: dict[str, Any]) -> dict[str, str]:
    """Return what is found in a command: {text: severity}."""
    merged, release, known = of_release(command["release"])
    args = {**command.get("args", {}), "additional-config": command.get("config")}
    environment = command.get("environment", {})
    own = {**merged, "patch_set": None, "serve_args": args, "container_env": {}, "serve_env": environment}
    own["model_config"] = {}  # the command is for another model
    host = HOSTS[bool(command.get("worker"))]
    case = Case(host, HOSTS, {**own, "serve_worker_args": {}}, own, {}, release)
    findings = [one for one in lint.findings([case], {}) if one.id not in ELSEWHERE]
    # What the plan sets itself is left out of the commands, or is another rule's.
    whole = {name: value for name, (value, _remedy) in flags.OWNED.items()}
    whole.update({name: value for name, value in args.items() if name not in flags.OWNED_OF_WORKERS})
    refused = flags.problems(known, {**merged, "serve_args": whole})
    return {
        **{one.problem.found: one.severity for one in findings},
        **{one.found: "fail" for one in refused},
    }


@pytest.mark.parametrize(
    "command", COMMANDS, ids=[one["source"].replace("docs/source/", "") for one in COMMANDS]
)
def test_what_is_dead_or_refused_in_a_published_command_is_found_and_nothing_else(command):
    texts = found(command)
    for severity, names in (("warn", command.get("dead", [])), ("fail", command.get("refused", []))):
        for name in names:
            told = [text for text in texts if f" {name}" in text.replace(",", "") + " "]
            assert [texts.pop(text) for text in told[:1]] == [severity], name
    assert texts == {}


def test_the_commands_are_of_all_releases():
    assert {one["release"] for one in COMMANDS} == set(PROFILES.table()["releases"])
    assert sum("dead" in one or "refused" in one for one in COMMANDS) >= 40
