#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: modelscope_download
short_description: Have a verified ModelScope repository in a folder of the host
description:
  - Downloads with the C(modelscope) client inside the serving image, in a container that is thrown away. The host needs Docker and nothing else.
  - Compares the SHA-256 of every file with the hub's listing and writes a manifest beside the files. Once that is there, a further run
    compares sizes and modification times only, and does not contact the hub. To have everything read and compared again, remove the manifest.
  - A file that differs is removed and fetched again, alone. A run that was interrupted is continued by the next one.
  - A branch is resolved to a commit when files are fetched, and not again while they stay as they are. Files that the repository does not have are left alone.
options:
  repo:
    description: The repository, as OWNER/NAME.
    type: str
    required: true
  revision:
    description: A branch or tag. A commit works if the client in O(image) takes one.
    type: str
    default: master
  dir:
    description: The folder to have the files in. It is made if it is missing.
    type: path
    required: true
  cache_dir:
    description: The folder for the client's own locks and notes. It is made if it is missing.
    type: path
    required: true
  endpoint:
    description: URL of the hub or of a mirror. Proxies are taken from the environment of the host, or of the task.
    type: str
    default: https://www.modelscope.cn
  token:
    description:
      - Access token. Without it only public repositories can be had.
      - It reaches the client by its standard input, and is neither in an argument, nor in an environment that Docker shows, nor in a file that stays.
    type: str
    default: ""
  image:
    description: The image to run the client in. It must be on the host already.
    type: str
    required: true
attributes:
  check_mode:
    description:
      - Logs in to the hub, lists the revision, judges disk space and rights to write, and tells what would be fetched. Needs no O(image).
      - Reads no weights. Files of the right size that no manifest vouches for are counted as still to be verified.
    support: full
  diff_mode:
    description: Shows the files to fetch, at most ten by name.
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: The weights are on the host
  ascend_ops.vllm.modelscope_download:
    repo: ZhipuAI/GLM-4.7
    dir: /opt/data/verification/models/GLM-4.7
    cache_dir: /opt/data/verification/models/.cache
    token: "{{ weights_token }}"
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
files:
  description: Number of files of the revision.
  returned: success
  type: int
  sample: 101
bytes:
  description: Their size.
  returned: success
  type: int
  sample: 717000000000
fetched_files:
  description: How many of them were fetched; in check mode, would be.
  returned: success
  type: int
  sample: 1
fetched_bytes:
  description: The size of those.
  returned: success
  type: int
  sample: 7700000000
verified_files:
  description: How many were there and had to be read to be verified; in check mode, would have to be.
  returned: success
  type: int
  sample: 0
commit:
  description: The commit that the revision stood for. Empty if the hub does not tell it.
  returned: success
  type: str
  sample: 83ee97c66e841048bedc5c02c15ce2f3ed259feb
manifest:
  description: Path of the manifest.
  returned: success
  type: str
  sample: /opt/data/verification/models/GLM-4.7/.ascend_ops_manifest.json
"""

import functools
import hashlib
import json
import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils import commands, host, modelscope_client, weights
from ansible_collections.ascend_ops.vllm.plugins.module_utils.modelscope_hub import Hub

WORKERS = 8  # whole files side by side: the client's fastest way
BLOCK = 8 << 20
HOME = "/run/ascend-ops-weights"  # in the container, in memory: there the client leaves its credentials


class Folder:
    """A model directory, and what is known of the files in it."""

    def __init__(self, path):
        self.path = path
        self.manifest = weights.read_manifest(self.read(weights.MANIFEST))
        self.hashed = dict(self.manifest.hashed) if self.manifest else {}
        self.verified = 0  # files read so far
        self.judged = {}  # the stats that the last survey went by

    def read(self, name):
        """Return the text of a file, empty if it cannot be read."""
        try:
            with open(os.path.join(self.path, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def stats(self, files):
        """Return the stats of those of *files* that are there. Refuses one that a link leads astray."""
        found, inside = {}, os.path.realpath(self.path)
        for file in files:
            path = os.path.join(self.path, file.path)
            real = os.path.realpath(path)
            if real != os.path.join(inside, file.path):
                raise weights.WeightsError(
                    f"{path} is, or lies behind, a link to {real}",
                    f"plain files and folders below {self.path}",
                    "Put the file itself in the place of the link, or remove the link",
                )
            if os.path.isfile(path):
                status = os.stat(path)
                found[file.path] = weights.Stat(status.st_size, status.st_mtime_ns)
        return found

    def survey(self, files, read):
        """Return what is known of *files*, after reading those of which nothing is known, if *read*."""
        self.judged = stats = self.stats(files)
        found = weights.survey(files, stats, self.hashed)
        if not read or not found.unread:
            return found
        jobs = [functools.partial(sha256, os.path.join(self.path, file.path)) for file in found.unread]
        for file, digest in zip(found.unread, commands.side_by_side(jobs)):
            self.hashed[file.path] = weights.Hashed(stats[file.path], digest)
        self.verified += len(jobs)
        return weights.survey(files, stats, self.hashed)

    def remove(self, files):
        """Remove *files*, but for one that came while we judged: another run may have fetched it."""
        for path, stat in self.stats(files).items():
            if stat == self.judged.get(path):
                os.remove(os.path.join(self.path, path))

    def write_manifest(self, source, snapshot):
        """Write the manifest in one step: a run that dies leaves the old one or none."""
        verified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = weights.manifest(source, snapshot.commit, snapshot.files, self.stats(snapshot.files), verified)
        target = os.path.join(self.path, weights.MANIFEST)
        with open(target + ".new", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(target + ".new", 0o644)
        os.replace(target + ".new", target)


def sha256(path):
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return digest.hexdigest()
            digest.update(view[:count])


def size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def judge_place(folder, wrong=()):
    """Refuse a folder that cannot be written, or a disk that the files do not fit on; what is there already counts."""
    parent = os.path.abspath(folder)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise weights.WeightsError(
            f"{parent} is no folder that can be written to",
            f"one to have {folder} in",
            "Give paths on a file system that is writable: vllm_model_dir, vllm_model_cache_dir",
        )
    space = os.statvfs(parent)
    free = space.f_bavail * space.f_frsize
    needed = weights.total(wrong) - sum(size(os.path.join(folder, file.path + end)) for file in wrong for end in ("", ".incomplete"))
    if needed > free:
        raise weights.WeightsError(
            f"the disk of {folder} has {weights.readable(free)} free",
            f"{weights.readable(needed)} for the files still to fetch",
            "Make room, or choose a folder on another disk: vllm_model_dir",
        )


def docker_command(docker, params):
    options = ["--rm", "--interactive", "--network=host", "--entrypoint=python3", f"--tmpfs={HOME}:mode=0700"]
    options.append("--name=" + weights.container_name(params["dir"]))
    options += [f"--volume={path}:{path}" for path in (params["dir"], params["cache_dir"])]
    return [docker, "run", *options, params["image"], "-c", modelscope_client.__loader__.get_source(modelscope_client.__name__)]


def fetch(docker, params, files):
    """Have the client fetch *files*."""
    orders = {key: params[key] for key in ("repo", "revision", "endpoint", "dir", "cache_dir", "token")}
    orders.update(patterns=weights.patterns(files), workers=WORKERS, home=HOME)
    orders["proxies"] = {key: value for key, value in os.environ.items() if key.lower() in host.PROXY_VARIABLES}
    done = commands.run_on_orders(docker_command(docker, params), json.dumps(orders) + "\n")
    weights.judge_client(params["dir"], params["image"], done.rc, done.out, done.err)


def judge_files(folder, snapshot):
    """Refuse files that are not what the hub lists, and a listing that lacks shards."""
    wrong = folder.survey(snapshot.files, read=True).wrong
    if wrong:
        folder.remove(wrong)
        raise weights.WeightsError(
            f"downloaded, but not what the hub lists, and so removed: {weights.listed([file.path for file in wrong])}",
            ", ".join(f"{file.path} with {file.size} bytes and SHA-256 {file.sha256}" for file in wrong[:3]),
            weights.AGAIN,
        )
    if any(file.path == weights.INDEX for file in snapshot.files):
        weights.judge_index(folder.read(weights.INDEX), [file.path for file in snapshot.files])


def ask_hub(params):
    hub = Hub(params["endpoint"], params["token"], os.environ)
    if params["token"]:
        hub.log_in()
    return hub.snapshot(params["repo"], params["revision"])


def ensure(params, docker):
    """Return the result of the module. Without *docker* nothing is changed."""
    folder = Folder(params["dir"])
    snapshot, found = None, None
    if folder.manifest and folder.manifest.answers(params["repo"], params["revision"]):
        snapshot = folder.manifest.snapshot
        found = folder.survey(snapshot.files, read=bool(docker))
    done = found is not None and not (found.wrong or found.unread or folder.verified)
    if snapshot is None or found.wrong:
        snapshot = ask_hub(params)
        found = folder.survey(snapshot.files, read=bool(docker))
        judge_place(params["dir"], found.wrong)
        judge_place(params["cache_dir"])

    result = {
        "changed": not done,
        "files": len(snapshot.files),
        "bytes": weights.total(snapshot.files),
        "fetched_files": len(found.wrong),
        "fetched_bytes": weights.total(found.wrong),
        "verified_files": folder.verified + len(found.unread),
        "commit": snapshot.commit,
        "manifest": os.path.join(params["dir"], weights.MANIFEST),
        "diff": {"before": "", "after": weights.changes(found), "before_header": params["dir"], "after_header": params["dir"]},
    }
    if docker and not done:
        if found.wrong:
            os.makedirs(params["dir"], exist_ok=True)
            os.makedirs(params["cache_dir"], exist_ok=True)
            folder.remove(found.wrong)
            fetch(docker, params, found.wrong)
        judge_files(folder, snapshot)
        folder.write_manifest({key: params[key] for key in ("endpoint", "repo", "revision")}, snapshot)
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "repo": {"type": "str", "required": True},
            "revision": {"type": "str", "default": "master"},
            "dir": {"type": "path", "required": True},
            "cache_dir": {"type": "path", "required": True},
            "endpoint": {"type": "str", "default": "https://www.modelscope.cn"},
            "token": {"type": "str", "default": "", "no_log": True},
            "image": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    docker = None if module.check_mode else module.get_bin_path("docker", required=True)
    try:
        result = ensure(module.params, docker)
    except weights.WeightsError as error:
        module.fail_json(msg=f"Host {socket.gethostname()}, stage weights.\n{error}")
    except OSError as error:
        module.fail_json(msg=f"Host {socket.gethostname()}, stage weights.\n{weights.trouble(error, module.params['dir'])}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
