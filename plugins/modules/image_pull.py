#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Have an image on the host, and tell how far its pull is
description:
  - Has C(docker pull) pull the image if the host has none of that name, and tells every half minute how far it is. M(community.docker.docker_image_pull)
    does the same without a word, which for 20 GB is long.
  - The pull goes on in a process of its own on the host. When nobody asks for it any more, as Ansible was ended, it ends by itself within half a minute.
    The next run goes on with the layers that are missing.
  - Credentials are those that C(docker login) left on the host, see M(community.docker.docker_login).
options:
  name:
    description: The image, with a tag or a digest.
    type: str
    required: true
  platform:
    description:
      - The platform of the image, as C(linux/arm64), where it is not that of the host. The image that the host has under that name is only kept if it is of it.
    type: str
attributes:
  check_mode:
    description: Tells whether the image would be pulled.
    support: full
  diff_mode:
    description: Shows the name of an image to pull.
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The image is on the host
  ascend_ops.vllm.image_pull:
    name: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
bytes:
  description: How much was pulled, compressed; 0 if that is not known.
  returned: when the image was pulled
  type: int
  sample: 7516192768
"""

import contextlib
import functools
import hashlib
import json
import os
import threading
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background, commands, image_pull
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import image_platform

NOTES = "/run"  # in memory; who may not write there, but use Docker, has them at home


def is_here(docker, image, platform):
    """Whether the host has the image, of that platform; of one such as linux/arm/v7 Docker knows the first two parts."""
    found = image_platform(docker, image)
    return found.rc == 0 and (not platform or platform.split("/")[:2] == found.text.split("/"))


def ask_sizes(docker, image):
    """Return the sizes of the layers, by the registry; nothing where it does not tell."""
    known = commands.run([docker, "info", "--format", "{{json .RegistryConfig.IndexConfigs}}"])
    with contextlib.suppress(ValueError, AttributeError):
        secure = json.loads(known.text).get(image_pull.registry(image), {}).get("Secure", True)
        found = commands.run(
            [docker, "manifest", "inspect", "--verbose", *([] if secure else ["--insecure"]), image]
        )
        return image_pull.layer_sizes(found.text)
    return {}


def pull(docker, image, platform, job):
    """Pull the image, and return the result of the module."""
    sizes = {}
    asker = threading.Thread(target=lambda: sizes.update(ask_sizes(docker, image)), daemon=True)
    asker.start()
    seen = image_pull.Pull(sizes)
    job.report(seen.progress)
    rc = commands.on_terminal(
        [docker, "pull", *(["--platform", platform] if platform else []), image], seen.take
    )
    seen.end()
    if rc:
        return {"failed": True, "msg": " ".join(seen.other[-5:]) or f"docker pull ended with code {rc}"}
    return {"changed": True, "bytes": seen.progress().get("done", 0)}


def look_after(params, docker, check_mode):
    """Begin the pull, unless the image is here or this run has begun it, and return its result, or how far it is."""
    place = NOTES if os.access(NOTES, os.W_OK) else Path.home() / ".ansible"
    name = "ascend-ops-image-" + hashlib.sha256(params["name"].encode()).hexdigest()[:12]
    job = background.Job(os.path.join(place, name), params["_run"] or str(os.getpid()))
    if not job.is_begun():
        if is_here(docker, params["name"], params["platform"]):
            return {"changed": False}
        if check_mode:
            return {"changed": True}
        job.begin(functools.partial(pull, docker, params["name"], params["platform"]))
    state = job.poll(params["_wait"])
    return state.get("result") or {"changed": False, "running": True, **state}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "platform": {"type": "str"},
            "_run": {"type": "str", "default": ""},
            "_wait": {"type": "int"},
        },
        supports_check_mode=True,
    )
    params = module.params
    docker = module.get_bin_path("docker", required=True)
    try:
        result = look_after(params, docker, module.check_mode)
    except background.Busy:
        module.fail_json(
            msg=f"another run is pulling {params['name']}; wanted one at a time: wait for its end."
        )
    if result.pop("failed", False):
        module.fail_json(**result)
    if result["changed"]:
        result["diff"] = {"before": "", "after": params["name"] + "\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
