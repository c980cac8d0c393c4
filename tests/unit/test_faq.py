# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the FAQ are settings and options that exist, with values that are accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency, groups, network
from shipped import PROFILES, ROLE_OPTIONS, ROOT, SETTINGS, merged

CONNECTION = {"ansible_user", "ansible_become"}  # Ansible's own
PAGES = (ROOT / "docs/faq.md", ROOT / "docs/faq.zh-CN.md")


def examples(page: Path) -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [yaml.safe_load(block) for block in blocks]


@pytest.mark.parametrize("example", examples(PAGES[0]), ids=lambda example: next(iter(example)))
def test_an_example_is_accepted(example: dict[str, Any]):
    if "vllm_head" in example:
        hosts = {name: list(group["hosts"]) for name, group in example.items()}
        addresses = {
            host: given["ansible_host"]
            for group in example.values()
            for host, given in group["hosts"].items()
        }
        assert groups.problems(hosts, groups.HEAD_GROUP, groups.WORKER_GROUP) == []
        assert network.address_problems(addresses) == []
        return
    example = {name: value for name, value in example.items() if name not in CONNECTION}
    assert set(example) <= set(SETTINGS) | set(ROLE_OPTIONS)
    assert role_options.problems(ROLE_OPTIONS, example) == []
    profile = example.pop("vllm_profile", "glm-4.7")
    if profile == "./my-model.yml":  # the page points to a shipped one for its content
        profile = "qwen3-235b-a22b"
    values, problems = merged(profile, **example)
    assert problems == []
    assert consistency.problems(values, PROFILES.serve_flags(values["image_versions"]["vllm"])) == []


def test_both_languages_have_the_same_examples():
    assert examples(PAGES[0]) == examples(PAGES[1])
    headings = [re.findall(r"^## ", page.read_text(encoding="utf-8"), re.M) for page in PAGES]
    assert len(headings[0]) == len(headings[1])
