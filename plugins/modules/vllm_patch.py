#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_patch
short_description: Patch vLLM inside a container
description:
  - Changes files of the vLLM package in a container, running or only created, through the archive API of the Docker daemon.
  - A file is changed only if its SHA-256 is the one that it has in the vLLM release that the patch is for. One that is neither that nor
    patched already is refused, and then nothing is changed. All files are written by one request.
  - A container that does not exist yet is taken in check mode for one with an unpatched vLLM.
options:
  container:
    description: Name of the container.
    type: str
    required: true
  package_dir:
    description: Folder of the vLLM package in the container.
    type: path
    required: true
  releases:
    description:
      - What to change in which releases of vLLM; the first entry that fits the version in the container counts.
      - M(ascend_ops.vllm.plan) makes it from a patch set of C(profiles/patches), as C(vllm_plan.patch.releases).
    type: list
    elements: dict
    required: true
    suboptions:
      from:
        description: The first release that the entry is for.
        type: str
        required: true
      below:
        description: The first release that it is no longer for. Without it, all later ones.
        type: str
      files:
        description: The files to change; none says that the release needs no change.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Path below O(package_dir).
            type: str
            required: true
          before:
            description: SHA-256 of the untouched file, or V(absent).
            type: str
            required: true
          after:
            description: SHA-256 of the patched file.
            type: str
            required: true
          known:
            description: Further SHA-256 that a file to be replaced by O(releases[].files[].text) may have.
            type: list
            elements: str
            default: []
          text:
            description: The whole new file.
            type: str
          replace:
            description: Edits of the file. The text C(old) must be there exactly once, and becomes C(new).
            type: list
            elements: dict
            suboptions:
              old:
                description: The text to replace.
                type: str
                required: true
              new:
                description: What to put in its place.
                type: str
                required: true
  docker_socket:
    description: Socket of the Docker daemon.
    type: path
    default: /var/run/docker.sock
attributes:
  check_mode:
    description: A container whose label names another patch set is taken for one that does not exist yet, for then it is made anew.
    support: full
  diff_mode:
    description: Shows each file that changes.
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: vLLM in the container has the model's parsers
  ascend_ops.vllm.vllm_patch:
    container: "{{ ansible_facts.vllm_plan.container.name }}"
    package_dir: "{{ ansible_facts.vllm_plan.patch.dir }}"
    releases: "{{ ansible_facts.vllm_plan.patch.releases }}"
"""

RETURN = r"""
version:
  description: Version of the vLLM that was found; null if the container does not exist yet.
  returned: success
  type: str
  sample: 0.13.0
files:
  description: The files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/vllm-workspace/vllm/vllm/tool_parsers/__init__.py]
restart:
  description: Whether the container was running when its files changed, and so still runs the old ones.
  returned: success
  type: bool
"""

import http.client
import io
import json
import posixpath
import socket
import tarfile
import time
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

DOCKER_SECONDS = 30.0
REMEDY_UNREACHABLE = "See that Docker runs (systemctl status docker)."
REMEDY_ABSENT = "Run the stage container before (site.yml without --tags does)."
REMEDY_NO_PACKAGE = "Set vllm_patch_dir to the folder that holds it in the image: `python3 -c 'import vllm; print(vllm.__path__)'` prints it."
REMEDY_VERSION = "Use the image of the profile, or set vllm_patch_set to a patch set for this version, or to null for none."
REMEDY_FILES = (
    "If someone changed them in the container, remove it (docker rm -f {container}) and run site.yml again, which makes it anew. "
    "If the image has them so, use the image of the profile, or set vllm_patch_set to null."
)


class Refused(Exception):
    """What was found, what was wanted, and what to do next."""


class Container:
    """A container's state and files, asked from the Docker daemon."""

    def __init__(self, docker_socket, name):
        self._connection = docker.Connection(docker_socket, DOCKER_SECONDS)
        self._url = "/containers/" + urllib.parse.quote(name, safe="")

    def inspect(self):
        """Return what the daemon knows of the container, or None if there is none."""
        body = self._call("GET", "/json")
        return json.loads(body) if body is not None else None

    def read(self, path):
        """Return a file's tar entry and text, each None if it is not there."""
        body = self._call("GET", "/archive?" + urllib.parse.urlencode({"path": path}))
        if body is None:
            return None, None
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            entry = archive.next()
            if not entry.isfile():
                raise Refused(f"{path} is not a regular file, wanted one: {REMEDY_NO_PACKAGE}")
            return entry, archive.extractfile(entry).read().decode("utf-8", "replace")

    def write(self, folder, files):
        """Write all of *files*, each a tar entry and a text, below a folder that is there."""
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as archive:
            for entry, text in files:
                content = text.encode("utf-8")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        self._call(
            "PUT",
            "/archive?" + urllib.parse.urlencode({"path": folder, "noOverwriteDirNonDir": "true"}),
            body.getvalue(),
        )

    def _call(self, method, path, body=None):
        """Return the body of the answer; None if what was asked for is not there."""
        self._connection.request(
            method, self._url + path, body, {"Content-Type": "application/x-tar"} if body else {}
        )
        response = self._connection.getresponse()
        answer = response.read()
        if method == "GET" and response.status == 404:
            return None
        if response.status != 200:
            said = answer.decode("utf-8", "replace").strip()
            raise Refused(f"Docker answered {response.status} to {method} {path}: {said}")
        return answer


def entry_for(path, like, found):
    """Return the tar entry of a file to write: owner and mode of the one that is there, or else of another, *like*."""
    entry = tarfile.TarInfo(path)
    model = found or like
    entry.mode, entry.uid, entry.gid = model.mode, model.uid, model.gid
    entry.mtime = int(time.time())  # by which Python tells that what it compiled before is outdated
    return entry


def foreseen(releases, package_dir):
    """Return the result for a container that is yet to be made: the first release is what the patch set is for."""
    files = releases[0]["files"] if releases else []
    texts = {file["path"]: patch_set.sketch(file) for file in files}
    return result_of(None, texts, package_dir, restart=False)


def result_of(version, texts, package_dir, restart):
    """Return the result of the module; *texts* are before and after of each changed file."""
    paths = {path: posixpath.join(package_dir, path) for path in texts}
    diff = [
        {"before_header": paths[path], "after_header": paths[path], "before": before or "", "after": after}
        for path, (before, after) in texts.items()
    ]
    return {
        "changed": bool(texts),
        "version": version,
        "files": list(paths.values()),
        "restart": restart,
        "diff": diff,
    }


def patch(container, params, check_mode):
    """Patch the container and return the result of the module."""
    releases, package_dir = params["releases"], params["package_dir"]
    state = container.inspect()
    if check_mode and (
        state is None or (state["Config"]["Labels"] or {}).get(patch_set.LABEL) != patch_set.digest(releases)
    ):
        return foreseen(releases, package_dir)
    if state is None:
        raise Refused("there is no such container, wanted one to patch. " + REMEDY_ABSENT)
    like, version_text = container.read(posixpath.join(package_dir, patch_set.VERSION_FILE))
    if version_text is None:
        raise Refused(
            f"no vLLM at {package_dir} (there is no {patch_set.VERSION_FILE}), wanted the package. {REMEDY_NO_PACKAGE}"
        )
    try:
        version = patch_set.version_of(version_text)
        files = patch_set.files_for(version, releases)
    except patch_set.PatchError as error:
        raise Refused(f"{package_dir} holds {error}. {REMEDY_VERSION}") from error

    found = {file["path"]: container.read(posixpath.join(package_dir, file["path"])) for file in files}
    before = {path: text for path, (_entry, text) in found.items()}
    new, refused = patch_set.changes(files, before)
    if refused:
        listed = "\n- ".join([f"files of vLLM {version} in {package_dir} are not as known:", *refused])
        raise Refused(listed + "\n" + REMEDY_FILES.format(container=params["container"]))
    if new and not check_mode:
        container.write(
            package_dir, [(entry_for(path, like, found[path][0]), text) for path, text in new.items()]
        )
    return result_of(
        version,
        {path: (before[path], text) for path, text in new.items()},
        package_dir,
        restart=bool(new) and state["State"]["Running"],
    )


def main():
    edit = {"old": {"type": "str", "required": True}, "new": {"type": "str", "required": True}}
    file = {
        "path": {"type": "str", "required": True},
        "before": {"type": "str", "required": True},
        "after": {"type": "str", "required": True},
        "known": {"type": "list", "elements": "str", "default": []},
        "text": {"type": "str"},
        "replace": {"type": "list", "elements": "dict", "options": edit},
    }
    release = {
        "from": {"type": "str", "required": True},
        "below": {"type": "str"},
        "files": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": file,
            "required_one_of": [("text", "replace")],
            "mutually_exclusive": [("text", "replace")],
        },
    }
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "package_dir": {"type": "path", "required": True},
            "releases": {"type": "list", "elements": "dict", "required": True, "options": release},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
        },
        supports_check_mode=True,
    )
    params = module.params
    name, daemon = params["container"], params["docker_socket"]
    where = f"Host {socket.gethostname()}, stage patch: container {name}"
    try:
        result = patch(Container(daemon, name), params, module.check_mode)
    except (OSError, http.client.HTTPException) as error:
        module.fail_json(msg=f"{where}: no answer from Docker at {daemon}: {error}. {REMEDY_UNREACHABLE}")
    except Refused as error:
        module.fail_json(msg=f"{where}: {error}")
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
