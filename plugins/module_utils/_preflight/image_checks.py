# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check what the hosts have of image and weights."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.registry import Checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import differences

checks = Checks()


@checks.on_all_hosts("host", "image")
def _images(hosts: Sequence[Host]) -> Iterator[Finding]:
    """A tag moves: hosts that pulled it months apart have different images of one name."""
    present = [host for host in hosts if host.facts["docker"] and host.facts["docker"]["image_layers"]]
    for host in present:
        # An image for another architecture has other layers.
        alike = [other for other in present if other.facts["machine"] == host.facts["machine"]]
        layers = [other.facts["docker"]["image_layers"] for other in alike]
        usual = max(layers, key=layers.count)
        if host.facts["docker"]["image_layers"] == usual:
            continue
        other, image = alike[layers.index(usual)], host.plan["image"]
        yield (host.warn if _serves_image(host) else host.fail)(
            "image",
            f"{image} is another image here ({host.facts['docker']['image_id']}) than on {other.name}",
            f"the same image on all hosts ({other.facts['docker']['image_id']} on {other.name})",
            f"Pull it on all hosts (docker pull {image}), or load the same archive, and run again. To pin it, set "
            "vllm_image to its digest",
        )


def _serves_image(host: Host) -> bool:
    """Whether the service runs from the image that the host has now."""
    docker = host.facts["docker"]
    served = docker["served"].get(host.plan["container"]["name"])
    return served is not None and served["image_id"] == docker["image_id"]


@checks.on_each_host("image", "image_versions")
def _image_versions(host: Host) -> Iterator[Finding]:
    if host.image_problem:
        yield Finding("image_versions", FAIL, host.name, Problem.of(host.image_problem))
    expected = host.plan["image_versions"]
    others = differences(host.image_content, expected) if host.image_content is not None else {}
    if others:
        content = ", ".join(f"{name} {version}" for name, version in others.items())
        yield host.fail(
            "image_versions",
            f"{host.plan['image']} contains {content}",
            ", ".join(f"{name} {expected[name]}" for name in others),
            "Set vllm_image to an image with these versions. To serve with the present ones, set them in "
            "vllm_image_versions",
        )


@checks.on_each_host("weights", "weights")
def _weights(host: Host) -> Iterator[Finding]:
    """The stage weights has checked them."""
    if host.weights:
        yield Finding("weights", FAIL, host.name, Problem.of(host.weights))
