# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flags of each profile, head and worker, in the real parser of its release.

What else that vLLM imports is of vLLM 0.13.0, which is always built. 0.30.0 does not load with that, and gets its own, 5 GB: `make campaign`
builds and tries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan
from image import engine
from settings import Settings
from shipped import MODELS, PROFILES, settings

if TYPE_CHECKING:
    from conftest import Image

RELEASES = ["0.13.0", "0.18.0", "0.23.0"]
APART = ["0.30.0"]
ADDRESSES = {"node0": "10.0.0.10", "node1": "10.0.0.11"}


def commands(vllm: str) -> dict[str, list[str]]:
    """Return the words of head and worker for each profile of a release, as serve.sh has them."""
    found = {}
    for path in MODELS:
        own = settings(path.stem)
        if own["image_versions"]["vllm"] == vllm:
            for host in ADDRESSES:
                member = plan.Member(host, ADDRESSES, "enp1s0")
                made = plan.build(member, own, PROFILES.serve_flags(vllm))
                found[f"{path.stem} {host}"] = [word for part in made["serve"]["args"] for word in part]
    return found


def test_each_profile_is_of_a_release_that_is_tried():
    assert {settings(path.stem)["image_versions"]["vllm"] for path in MODELS} <= {*RELEASES, *APART}


@pytest.mark.parametrize(("version", "wheel"), [(one, one) for one in RELEASES], indirect=["wheel"])
def test_the_real_parser_takes_the_flags_of_each_profile(image, version, wheel):
    takes(image, version, image.add(version, wheel))


@pytest.mark.campaign
@pytest.mark.parametrize(("version", "wheel"), [(one, one) for one in APART], indirect=["wheel"])
def test_the_real_parser_takes_them_among_the_packages_of_its_release(image, version, wheel):
    packages = Settings.from_environment().engines / version
    assert packages.is_dir(), f"there is no {packages}: run `tests/lab/lab build {version}`"
    takes(image, version, f"{image.add(version, wheel)}:{engine.place(version)}")


def takes(image: Image, version: str, modules: str) -> None:
    """Assert that the parser takes the flags of each profile, and no others."""
    of_profiles = commands(version)
    assert of_profiles
    asked = [*of_profiles.values(), ["--no-such-flag"], ["--max-model-len", "many"]]
    told = image.run("parse_flags.py", asked, modules)
    assert told["version"].startswith(version)
    assert dict(zip(of_profiles, told["answers"], strict=False)) == dict.fromkeys(of_profiles)
    assert None not in told["answers"][-2:]
