#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_versions
short_description: Gather and check the versions in a serving image
version_added: 0.1.0
description:
  - Asks the Python of the image for its own version, that of CANN, and those of installed packages. It runs
    in a temporary container without network, devices and mounts. No package is imported, so no NPU is
    needed.
options:
  image:
    description: Name or id of an image on the host.
    type: str
    required: true
  expected:
    description:
      - Versions by name, V(python), V(cann) and names of Python packages. Each is a version, or conditions
        such as V(>=3.10,<3.12).
      - Local parts of a version, such as C(+cpu) in C(2.8.0+cpu), are ignored.
    type: dict
    required: true
  on_difference:
    description:
      - What to do if a version differs, if the image has no working Python, or if the host does not have
        the image.
      - With V(report), the module succeeds and returns what it found, or why a container of the image does
        not answer.
    type: str
    choices: [fail, report]
    default: fail
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.attributes.read_only
  - ascend_ops.vllm.docker
attributes:
  check_mode:
    details:
      - Changes nothing.
      - An image that the host does not have is no error in check mode, because a pull before may have been
        skipped.
author:
  - ascend_ops.vllm contributors (@ascend-ops)
requirements:
  - The C(docker) command.
"""

EXAMPLES = r"""
- name: Assert that the image contains the expected versions
  ascend_ops.vllm.image_versions:
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
    expected:
      python: ">=3.10,<3.12"
      cann: 8.3.rc2
      vllm: 0.13.0
"""

RETURN = r"""
ansible_facts:
  description: Facts about the host.
  returned: success
  type: dict
  contains:
    vllm_image_content:
      description:
        - The version of each name in O(expected), null for what the image does not contain.
        - Null as a whole if the host does not have the image, or if a container of it does not answer.
      type: dict
      sample: {python: 3.11.13, cann: 8.3.RC2, vllm: 0.13.0+empty}
    vllm_image_problem:
      description:
        - Why a container of the image does not answer, with the keys C(found), C(expected) and C(remedy).
        - Null if it answers.
      type: dict
problem:
  description: What was C(found), what was C(expected), and the C(remedy).
  returned: failure
  type: dict
"""

import json
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError, failure
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
versions = {name: special[name]() if name in special else package(name) for name in sys.argv[2:]}
print(sys.argv[1] + json.dumps(versions))
"""
Versions = Mapping[str, Any]


class NoAnswerError(ProblemError):
    """A container of the image does not tell its versions."""


def read(command: Sequence[str], image: str, names: Sequence[str]) -> tuple[Versions | None, str]:
    """Return the versions in the image, None if it has no working Python, and the output of Docker."""
    options = ["--rm", "--network=none", "--entrypoint=python3"]
    done = commands.run([*command, "run", *options, image, "-c", SCRIPT, MARK, *names], SECONDS)
    lines = [line for line in done.text.splitlines() if line and not line.startswith("See 'docker")]
    answers = [line[len(MARK) :] for line in lines if line.startswith(MARK)]
    found = json.loads(answers[-1]) if done.rc == 0 and answers else None
    return found, " ".join(lines).rstrip(".") or "nothing"


def content(daemon: Docker, docker: str, params: Mapping[str, Any], check_mode: bool) -> Versions | None:
    """Return the versions in the image; None without an image.

    Raises NoAnswerError, and unless only to report, ProblemError if the image is missing or another than expected.

    The daemon is asked first, because ``docker run`` would pull a missing image.
    """
    image, expected, strict = params["image"], params["expected"], params["on_difference"] == "fail"
    if daemon.image(image) is None:
        if strict and not check_mode:
            raise ProblemError(f"the host has no image {image}", "an image on the host", "Pull it first")
        return None
    command = [docker, "--host", f"unix://{daemon.socket_path}"]
    found, output = read(command, image, list(expected))
    if found is None:
        remedy = (
            f"Run `docker run --rm --entrypoint=python3 {image} -V` on the host. If containers of other images run "
            "there, choose another image"
        )
        text = f"a container of {image} does not run python3. Docker printed: {output}"
        raise NoAnswerError(text, "its versions", remedy)
    others = versions.differences(found, expected)
    if strict and others:
        raise ProblemError(
            f"{image} contains " + ", ".join(f"{name} {version}" for name, version in others.items()),
            ", ".join(f"{name} {expected[name]}" for name in others),
            "Use an image with these versions. To use the present ones, change the expected versions",
        )
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "expected": {"type": "dict", "required": True},
            "on_difference": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    docker = module.get_bin_path("docker", required=True)
    found, problem = None, None
    try:
        found = content(Docker(), docker, module.params, module.check_mode)
    except ProblemError as error:
        failed = failure(error.problem)
        if module.params["on_difference"] == "fail" or not isinstance(error, NoAnswerError):
            module.fail_json(**failed)
        problem = failed["problem"]
    facts = {"vllm_image_content": found, "vllm_image_problem": problem}
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
