#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_patch
short_description: Patch vLLM inside a container
version_added: 0.1.0
description:
  - Changes files of the vLLM package in a container, running or only created, through the archive API of the Docker daemon.
  - A file is changed only if its SHA-256 is the one that it has in the vLLM release that the patch is for. A file that is
    neither that nor patched already is refused, and then nothing is changed. All files are written by one request.
  - In check mode, a container that does not exist yet is assumed to have an unpatched vLLM.
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
      - What to change in which releases of vLLM. The first entry that matches the version in the container is used.
      - M(ascend_ops.vllm.plan) reads it from a patch set of C(profiles/patches), as C(vllm_plan.patch.releases).
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
        description: The files to change. An empty list means that the release needs no change.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Path below O(package_dir).
            type: str
            required: true
          sha256_before:
            description: SHA-256 of the file as released, or V(absent).
            type: str
            required: true
          sha256_after:
            description: SHA-256 of the patched file.
            type: str
            required: true
          also_accept:
            description: Other SHA-256 that a file to be replaced by O(releases[].files[].content) may have.
            type: list
            elements: str
            default: []
          content:
            description: The whole new file.
            type: str
          edits:
            description: Edits of the file. The text C(old) must occur exactly once, and is replaced by C(new).
            type: list
            elements: dict
            suboptions:
              old:
                description: The text to replace.
                type: str
                required: true
              new:
                description: The text to put in its place.
                type: str
                required: true
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
  - ascend_ops.vllm.docker
attributes:
  check_mode:
    support: full
    details:
      - A container whose label names another patch set is treated like one that does not exist yet, because role container replaces it.
  diff_mode:
    support: full
    details: Shows each file that changes.
  idempotent:
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Ensure vLLM in the container is patched
  ascend_ops.vllm.vllm_patch:
    container: "{{ ansible_facts.vllm_plan.container.name }}"
    package_dir: "{{ ansible_facts.vllm_plan.patch.dir }}"
    releases: "{{ ansible_facts.vllm_plan.patch.releases }}"
"""

RETURN = r"""
version:
  description: Version of vLLM in the container; null if the container does not exist yet.
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
  description: Whether the container was running when its files changed, so that it still runs the old ones.
  returned: success
  type: bool
problem:
  description: What was C(found), what was C(expected), and the C(remedy).
  returned: failure
  type: dict
"""

import posixpath
import tarfile
import time
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

REMEDY_PACKAGE = (
    "Set package_dir to the folder of the package in the image, which "
    "`python3 -c 'import vllm; print(vllm.__path__)'` prints there"
)


class Container:
    """The files of a container, as text."""

    def __init__(self, docker: Docker, name: str) -> None:
        self._docker, self._name = docker, name

    def inspect(self) -> dict[str, Any] | None:
        """Return the daemon's description of the container, or None if there is none."""
        return self._docker.container(self._name)

    def read(self, path: str) -> tuple[tarfile.TarInfo | None, str | None]:
        """Return a file's tar entry and content, both None if there is no such file."""
        found = self._docker.read_file(self._name, path)
        if found is None:
            return None, None
        entry, content = found
        if content is None:
            raise ProblemError(f"{path} is not a regular file", "a regular file", REMEDY_PACKAGE)
        return entry, content.decode("utf-8", "replace")

    def write(self, folder: str, files: Sequence[tuple[tarfile.TarInfo, str]]) -> None:
        """Write all *files*, each a tar entry and a content, below an existing folder."""
        self._docker.write_files(self._name, folder, [(entry, text.encode("utf-8")) for entry, text in files])


def tar_entry(path: str, template: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the tar entry of a file to write, with owner and mode of another one."""
    entry = tarfile.TarInfo(path)
    entry.mode, entry.uid, entry.gid = template.mode, template.uid, template.gid
    entry.mtime = int(time.time())  # tells Python that its cached bytecode is outdated
    return entry


def predicted(releases: Sequence[Mapping[str, Any]], package_dir: str) -> dict[str, Any]:
    """Return the result for a container that is still to be created: the first release is the patch set's own."""
    files = releases[0]["files"] if releases else []
    previews = {file["path"]: patch_set.preview(file) for file in files}
    return result_of(None, previews, package_dir, restart=False)


def result_of(
    version: str | None, contents: Mapping[str, tuple[str | None, str]], package_dir: str, restart: bool
) -> dict[str, Any]:
    """Return the result of the module; *contents* are before and after of each changed file."""
    paths = {path: posixpath.join(package_dir, path) for path in contents}
    diff = [
        {"before_header": paths[path], "after_header": paths[path], "before": before or "", "after": after}
        for path, (before, after) in contents.items()
    ]
    return {
        "changed": bool(contents),
        "version": version,
        "files": list(paths.values()),
        "restart": restart,
        "diff": diff,
    }


def is_to_be_created(state: Mapping[str, Any] | None, releases: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the container does not exist, or is about to be replaced for another patch set."""
    return state is None or (state["Config"]["Labels"] or {}).get(patch_set.LABEL) != patch_set.digest(
        releases
    )


def package_version(container: Container, package_dir: str) -> tuple[tarfile.TarInfo, str]:
    """Return the tar entry of the file that contains the version, and the version."""
    entry, content = container.read(posixpath.join(package_dir, patch_set.VERSION_FILE))
    if entry is None or content is None:
        found = f"no vLLM at {package_dir} (there is no {patch_set.VERSION_FILE})"
        raise ProblemError(found, "the package", REMEDY_PACKAGE)
    return entry, patch_set.version_of(content)


def all_of(problems: Sequence[Problem]) -> ProblemError:
    """Return one error for several problems."""
    found = "; ".join(problem.found for problem in problems)
    expected = "; ".join(problem.expected for problem in problems)
    return ProblemError(found, expected, ". ".join(dict.fromkeys(problem.remedy for problem in problems)))


def patch(container: Container, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Patch the container and return the result of the module."""
    releases, package_dir = params["releases"], params["package_dir"]
    state = container.inspect()
    if check_mode and is_to_be_created(state, releases):
        return predicted(releases, package_dir)
    if state is None:
        raise ProblemError(f"there is no container {params['container']}", "one to patch", "Create it first")
    version_entry, version = package_version(container, package_dir)
    files = patch_set.files_for(version, releases)

    present = {file["path"]: container.read(posixpath.join(package_dir, file["path"])) for file in files}
    before = {path: content for path, (_entry, content) in present.items()}
    new, problems = patch_set.changes(files, before)
    if problems:
        raise all_of(problems)
    if new and not check_mode:
        entries = [(tar_entry(path, present[path][0] or version_entry), text) for path, text in new.items()]
        container.write(package_dir, entries)
    contents = {path: (before[path], text) for path, text in new.items()}
    return result_of(version, contents, package_dir, restart=bool(new) and state["State"]["Running"])


def main() -> None:
    edit = {"old": {"type": "str", "required": True}, "new": {"type": "str", "required": True}}
    file = {
        "path": {"type": "str", "required": True},
        "sha256_before": {"type": "str", "required": True},
        "sha256_after": {"type": "str", "required": True},
        "also_accept": {"type": "list", "elements": "str", "default": []},
        "content": {"type": "str"},
        "edits": {"type": "list", "elements": "dict", "options": edit},
    }
    release = {
        "from": {"type": "str", "required": True},
        "below": {"type": "str"},
        "files": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": file,
            "required_one_of": [("content", "edits")],
            "mutually_exclusive": [("content", "edits")],
        },
    }
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "package_dir": {"type": "path", "required": True},
            "releases": {"type": "list", "elements": "dict", "required": True, "options": release},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        container = Container(Docker(), params["container"])
        result = patch(container, params, module.check_mode)
    except ProblemError as error:
        module.fail_json(**failure(error.problem))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
