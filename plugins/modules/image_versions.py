#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_versions
short_description: Read the versions inside a serving image
description:
  - Asks the Python of the image, in a throw-away container without network, devices and mounts, for its own version, CANN's and those of
    installed packages. Nothing of them is imported, so no NPU is needed.
options:
  image:
    description: Name or id of an image that the host has.
    type: str
    required: true
  wanted:
    description:
      - Versions by name, V(python), V(cann) and names of Python packages; each a version or conditions such as V(>=3.10,<3.12).
      - What builders add to a version, C(+cpu) of C(2.8.0+cpu) say, does not count.
    type: dict
    required: true
  on_difference:
    description:
      - What to do about other versions than the wanted ones, and about an image whose Python does not run. With V(report) they are only
        returned, for such an image null for each name.
    type: str
    choices: [fail, report]
    default: fail
attributes:
  check_mode:
    description: Only reads. An image that is not there, because a pull was only checked, is passed over.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The image holds the wanted versions
  ascend_ops.vllm.image_versions:
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
    wanted:
      python: ">=3.10,<3.12"
      cann: 8.3.rc2
      vllm: 0.13.0
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    vllm_image_content:
      description: The version of each name in O(wanted), null for what the image does not have. Null as a whole if the host has no such image.
      type: dict
      sample: {python: 3.11.13, cann: 8.3.RC2, vllm: 0.13.0+empty}
"""

import json
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import NO_IMAGE, image_platform
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import versions

SECONDS = 120  # the first container of a large image on a slow disk
MARK = "ascend_ops versions: "
SCRIPT = r"""
import glob, json, platform, re, sys
from importlib import metadata

def package(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

def cann():
    for path in sorted(glob.glob("/usr/local/Ascend/ascend-toolkit/latest/*/ascend_toolkit_install.info")):
        with open(path) as file:
            found = re.search(r"^version=(\S+)", file.read(), re.M)
        if found:
            return found.group(1)

special = {"python": platform.python_version, "cann": cann}
print(sys.argv[1] + json.dumps({name: special[name]() if name in special else package(name) for name in sys.argv[2:]}))
"""


def read(docker, image, names):
    """Return the versions and what Docker said; no versions if there is no such image, or it has no Python that answers."""
    known = image_platform(docker, image)
    if known.rc != 0:
        return None, known.text.rstrip(".")
    options = ["--rm", "--network=none", "--entrypoint=python3"]
    done = commands.run([docker, "run", *options, image, "-c", SCRIPT, MARK, *names], SECONDS)
    lines = [line[len(MARK) :] for line in done.text.splitlines() if line.startswith(MARK)]
    said = " ".join(line for line in done.text.splitlines() if line and not line.startswith("See 'docker"))
    return (json.loads(lines[-1]) if done.rc == 0 and lines else None), said.rstrip(".") or "nothing"


def refuse(module, found, wanted, remedy):
    where = f"Host {socket.gethostname()}, stage image: {module.params['image']}."
    module.fail_json(msg=f"{where}\nFound: {found}.\nWanted: {wanted}.\nRemedy: {remedy}.")


def main():
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "wanted": {"type": "dict", "required": True},
            "on_difference": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    image, wanted, strict = (
        module.params["image"],
        module.params["wanted"],
        module.params["on_difference"] == "fail",
    )
    found, said = read(module.get_bin_path("docker", required=True), image, list(wanted))
    absent = NO_IMAGE in said
    if found is None and strict and not (absent and module.check_mode):
        refuse(
            module,
            f"it gave no versions; Docker said: {said}",
            "an image whose python3 runs",
            f"Try it: docker run --rm {image} python3 -V",
        )
    if found is None and not absent:
        found = dict.fromkeys(wanted)
    other = versions.differences(found, wanted) if found is not None and strict else {}
    if other:
        refuse(
            module,
            "it holds " + ", ".join(f"{name} {version}" for name, version in other.items()),
            ", ".join(f"{name} {wanted[name]}" for name in other),
            "Give the image with these versions: vllm_image. Or, if you mean to serve with the other ones, set them in vllm_image_versions",
        )
    module.exit_json(changed=False, ansible_facts={"vllm_image_content": found})


if __name__ == "__main__":
    main()
