#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Pull an image, with progress
version_added: 0.1.0
description:
  - Runs C(docker pull) unless the host has an image of that name. Unlike M(community.docker.docker_image_pull), it reports
    its progress every 30 seconds.
  - The pull runs in the background on the host. If the controller stops polling, for example because Ansible was
    interrupted, the pull continues for ten minutes. A run that needs the same image resumes polling it.
  - Without O(username), Docker uses the credentials that C(docker login) stored on the host, with its credential helpers.
  - Repeats a pull that failed for a temporary cause, such as a broken connection or a busy registry, as long as further
    layers arrive. The pauses in between grow. Docker keeps the layers that are complete.
options:
  name:
    description: The image, with a tag or a digest.
    type: str
    required: true
  platform:
    description:
      - The platform of the image, such as C(linux/arm64), if it is not that of the host. An image of another platform is
        replaced.
    type: str
  username:
    description:
      - User at the registry of the image. The credentials are used for this pull alone. They are in a private folder below
        C(/run) while it runs, or below C(~/.ansible) if the user may not write there.
    type: str
  password:
    description: Password of that user, or an access token.
    type: str
  state:
    description:
      - V(present) pulls the image unless it is present.
      - V(stopped) ends a pull of this image that still runs in the background. It removes nothing.
    type: str
    choices: [present, stopped]
    default: present
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.docker
  - ascend_ops.vllm.internal
  - ascend_ops.vllm.internal.background
attributes:
  check_mode:
    support: full
    details: Reports whether the image would be pulled. Fails if Docker cannot be used. Does not ask the registry.
  diff_mode:
    support: full
    details: Shows the name of an image to pull.
  idempotent:
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Ensure the image is present
  ascend_ops.vllm.image_pull:
    name: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
bytes:
  description: How much was pulled, compressed. 0 if the sizes of the layers are unknown.
  returned: when the image was pulled
  type: int
  sample: 7516192768
problem:
  description: What is wrong, with the keys C(found), C(expected), C(remedy) and C(where). RV(ignore:msg) has the same as text.
  returned: when Docker could not pull the image
  type: dict
"""

import contextlib
import functools
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import (
    background,
    commands,
    image_pull,
    pull_causes,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import NO_IMAGE, image_platform
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError, failure

NOTES = "/run"  # in memory; who may not write there, but use Docker, has them at home
# Seconds before a pull is repeated that failed for a cause that may end by itself. After each complete layer, the first one comes again.
PAUSES = (5, 15, 30, 60, 60)
# Seconds without any output: more than Docker takes to unpack the largest layer, which some versions do in silence.
SILENCE = 1800
FIRST_PAUSES = (2, 5)  # before the registry has shown the image: its name may be wrong


def is_here(docker: str, params: Mapping[str, Any], check_mode: bool) -> bool:
    """Return whether the host has the image, of that platform. Of linux/arm/v7, Docker stores the first two parts.

    In check mode, raises ProblemError where a pull would fail on this host itself, as without a Docker daemon.
    """
    found = image_platform(docker, params["name"])
    if check_mode and found.rc != 0 and NO_IMAGE not in found.text:
        problem = pull_causes.problem(params["name"], found.text, params["username"])
        raise ProblemError(problem.found, problem.expected, problem.remedy)
    platform = params["platform"]
    return found.rc == 0 and (not platform or platform.split("/")[:2] == found.text.split("/"))


def login_options(params: Mapping[str, Any], job: background.Job) -> list[str]:
    """Return the options that make the Docker command use the credentials that were passed, if any."""
    if not params["username"]:
        return []
    folder = job.private_dir("docker")
    Path(folder, "config.json").write_text(
        image_pull.login(params["name"], params["username"], params["password"]), encoding="utf-8"
    )
    return ["--config", folder]


def ask_sizes(command: Sequence[str], image: str) -> dict[str, int]:
    """Return {short id: bytes} of the layers, from the registry. Empty if it cannot be asked."""
    known = commands.run([*command, "info", "--format", "{{json .RegistryConfig.IndexConfigs}}"])
    with contextlib.suppress(ValueError, AttributeError):
        secure = json.loads(known.text).get(image_pull.registry(image), {}).get("Secure", True)
        found = commands.run(
            [*command, "manifest", "inspect", "--verbose", *([] if secure else ["--insecure"]), image]
        )
        return image_pull.layer_sizes(found.text)
    return {}


def pull(docker: str, params: Mapping[str, Any], job: background.Job) -> dict[str, Any]:
    """Pull the image, and return the result of the module."""
    command = [docker, *login_options(params, job)]
    platform = ["--platform", params["platform"]] if params["platform"] else []
    sizes: dict[str, int] = {}
    asker = threading.Thread(target=lambda: sizes.update(ask_sizes(command, params["name"])), daemon=True)
    asker.start()
    before, complete, pauses = 0, 0, iter(FIRST_PAUSES)
    while True:
        seen = image_pull.Pull(sizes)
        job.report(seen.progress)
        rc = commands.on_terminal([*command, "pull", *platform, params["name"]], seen.take, SILENCE)
        seen.end()
        if not rc:
            return {"changed": True, "bytes": before + seen.progress().get("done", 0)}
        before += seen.complete_bytes()
        if seen.layers and seen.complete() >= complete:
            complete, pauses = seen.complete() + 1, iter(PAUSES)
        message = " ".join(seen.other[-5:]) or f"docker pull ended with code {rc}"
        pause = next(pauses, None)
        if pause is None or not pull_causes.passes(message):
            problem = pull_causes.problem(params["name"], message, params["username"])
            return {"failed": True, **failure(problem)}
        time.sleep(pause)


def ensure(params: Mapping[str, Any], docker: str, check_mode: bool) -> dict[str, Any]:
    """Start the pull, unless the image is present or this run has started it. Return its result, or its progress."""
    place = NOTES if os.access(NOTES, os.W_OK) else str(Path.home() / ".ansible")
    name = "ascend-ops-image-" + hashlib.sha256(params["name"].encode()).hexdigest()[:12]
    job = background.Job(
        os.path.join(place, name),
        params["_run"] or str(os.getpid()),
        background.task_of(params, ["_variables"]),
    )
    if params["state"] == "stopped":
        return {"changed": job.is_running() if check_mode else job.stop()}
    if not job.is_begun():
        if is_here(docker, params, check_mode):
            return {"changed": False}
        if check_mode:
            return {"changed": True}
        job.begin(functools.partial(pull, docker, params))
    state = job.poll(params["_wait"])
    return state.get("result") or {"changed": False, "running": True, **state}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "platform": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "stopped"], "default": "present"},
            "_variables": {"type": "dict", "default": {}},
            "_run": {"type": "str", "default": ""},
            "_wait": {"type": "int"},
        },
        required_by={"username": ["password"]},
        supports_check_mode=True,
    )
    params = module.params
    docker = module.get_bin_path("docker", required=True)
    try:
        result = ensure(params, docker, module.check_mode)
    except background.Busy:
        result = failure(
            Problem(
                f"another run of Ansible is pulling {params['name']}",
                "one pull at a time",
                "Wait until it ends, or interrupt it. The next run then resumes the same pull",
            )
        )
    except ProblemError as error:
        result = failure(error.problem)
    if "problem" in result:
        module.fail_json(**failure(Problem.of(result["problem"]).naming(params["_variables"])))
    if result.pop("failed", False):
        module.fail_json(**result)
    if result["changed"] and params["state"] == "present":
        result["diff"] = {"before": "", "after": params["name"] + "\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
