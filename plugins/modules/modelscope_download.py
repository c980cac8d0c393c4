#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: modelscope_download
short_description: Have a verified ModelScope repository in a folder of the host
version_added: 0.1.0
description:
  - Downloads with the C(modelscope) client inside the serving image, in a container that is thrown away. The host needs Docker and nothing else.
    With O(python), runs the client there instead.
  - Compares the SHA-256 of every file with the hub's listing and writes a manifest beside the files. Once that is there, a further run
    compares sizes and modification times only, and does not contact the hub.
  - A file that differs is removed and fetched again, alone. A run that was interrupted is continued by the next one.
  - The work goes on in a process of its own on the host, and how far it is is told every half minute. When nobody asks for it any more, as Ansible
    was ended, it ends by itself within half a minute, and a new run takes over at once.
  - A branch is resolved to a commit when files are fetched, and not again while they stay as they are. Files that the repository does not have are left alone.
options:
  repo:
    description: The repository, as OWNER/NAME.
    type: str
    required: true
  revision:
    description: A branch or tag. A commit works if the client takes one.
    type: str
    default: master
  include:
    description: Shell patterns of the files to have, over the whole path. C(*) matches C(/) too.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Shell patterns of the files to leave out of these.
    type: list
    elements: str
    default: []
  dir:
    description: The folder to have the files in. It is made if it is missing.
    type: path
    required: true
  cache_dir:
    description: The folder for the client's own locks and notes. It is made if it is missing.
    type: path
    required: true
  endpoint:
    description: URL of the hub or of a mirror.
    type: str
    default: https://www.modelscope.cn
  proxy:
    description:
      - URL of the proxy to the hub. Without it, those in the environment of the host, or of the task, are used. C(no_proxy) there has its say in either case.
      - With credentials in it, it is kept from all output.
    type: str
    default: ""
  token:
    description:
      - Access token. Without it only public repositories can be had.
      - It reaches the client by its standard input, and is neither in an argument, nor in an environment that Docker shows, nor in a file that stays.
    type: str
    default: ""
  image:
    description: The image to run the client in. It must be on the host already. Not needed if nothing is to be fetched, or with O(python).
    type: str
  python:
    description: Path of a Python on the host that has the package C(modelscope), to run the client with in the place of a container.
    type: path
  workers:
    description: How many files are fetched at a time; the hosts of a fan-out share them.
    type: int
    default: 8
  verify:
    description: Read all files and compare their SHA-256, whatever the manifest says. Those that differ are named, and fetched again alone.
    type: bool
    default: false
  fetch:
    description: Whether files may be fetched. If not, files that are missing or differ are an error, and stay as they are.
    type: bool
    default: true
  checksums:
    description:
      - A file on the host as C(sha256sum) writes it, with paths relative to O(dir), to verify by in the place of the hub's listing. The hub is not contacted.
      - Only with O(fetch=false).
    type: path
  source:
    description:
      - A folder on the host with the files and the manifest, as this module makes it on a machine that has a way to the hub. Files are copied from there,
        and compared with the manifest on the way. The hub is not contacted.
    type: path
  peers:
    description:
      - Addresses in the service network of all hosts that this task runs on, in the same order on each. Then all of them share the work, each byte
        is fetched from the hub by one of them, and files are passed on as soon as they are verified. Set by the action plugin for O(fanout=true).
    type: list
    elements: str
    default: []
  fanout:
    description:
      - Fetch from the hub once for all hosts of the play, and pass on between them.
      - Needs the fact C(vllm_plan) of M(ascend_ops.vllm.plan) on each host, and as many forks as hosts.
    type: bool
    default: false
  address:
    description: Which of O(peers) this host is. Set by the action plugin.
    type: str
  key:
    description: With what the hosts know each other. Set by the action plugin, anew for each run.
    type: str
  port:
    description: TCP port on which the hosts give files to each other, while the task runs and only to each other.
    type: int
    default: 8084
  _run:
    description: Internal. The action plugin sets it to the run that the work belongs to.
    type: str
    default: ""
  _wait:
    description: Internal. The action plugin sets it to the seconds after which the module reports the progress.
    type: int
extends_documentation_fragment:
  - ascend_ops.vllm.attributes
attributes:
  check_mode:
    support: full
    details:
      - Logs in to the hub, lists the revision, judges disk space and rights to write, and tells what would be fetched. Needs no O(image).
      - Reads no weights. Files of the right size that no manifest vouches for are counted as still to be verified.
  diff_mode:
    support: full
    details: Shows the files to fetch, at most ten by name.
  idempotent:
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
digest:
  description: SHA-256 over the paths and hashes of all files. It is the same as long as their content is.
  returned: success
  type: str
ansible_facts:
  description: C(vllm_weights), the digest, for the container stage; other weights are served by another container.
  returned: success
  type: dict
differing:
  description: Paths of files that were there and had to be fetched again, as their size or hash was not the wanted one; at most 100.
  returned: success
  type: list
  elements: str
  sample: [model-00007-of-00093.safetensors]
manifest:
  description: Path of the manifest.
  returned: success
  type: str
  sample: /opt/data/verification/models/GLM-4.7/.ascend_ops_manifest.json
"""

import functools
import json
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background, commands, procfs
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import NO_IMAGE, image_platform
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import (
    model_folder,
    modelscope_client,
    weights,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import Hub
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.model_folder import Folder

WORKERS = 8  # whole files side by side: the client's fastest way
SMALL = 64 << 20  # bytes that cost nothing to read again
HOME = "/run/ascend-ops-weights"  # in the container, in memory: there the client leaves its credentials
PROXIED = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
MEMORY = "/run"  # on the host: where notes can be made even on a full disk
# For Docker to come back, or for the container of a run that was ended to go, without one more byte.
ENDED_SECONDS = 30
DAMAGES = 3  # files that arrive damaged before the download fails


class Fetcher:
    """The client in its container, or with its Python, ready for orders."""

    def __init__(self, docker, program, params, job):
        self.params = params
        self.place = f"Python {params['python']}" if params["python"] else f"image {params['image']}"
        self.judge_image(docker)
        for path in (params["dir"], params["cache_dir"]):
            os.makedirs(path, exist_ok=True)
        orders = {key: params[key] for key in ("repo", "revision", "endpoint", "dir", "cache_dir", "token")}
        # The hosts of a fan-out share the way to the hub: with fewer files at a time each is ready to be passed on sooner.
        orders.update(workers=max(1, params["workers"] // max(1, len(params["peers"]))), share=None)
        if params["python"]:
            orders["home"] = job.private_dir("home")
            self.argv = [params["python"], "-c", program]
        else:
            orders["home"] = HOME
            self.argv = [*container(docker, params), "-c", program]
        orders["proxies"] = {
            key: value for key, value in os.environ.items() if key.lower() in procfs.PROXY_VARIABLES
        }
        if params["peers"]:
            index = params["peers"].index(params["address"])
            orders["share"] = {
                "addresses": params["peers"],
                "index": index,
                "port": params["port"],
                "key": params["key"],
            }
        self.orders = json.dumps(orders)
        self.client = self.begun()

    def judge_image(self, docker):
        """Refuse an image that the host has not, which Docker would pull."""
        known = None if self.params["python"] else image_platform(docker, self.params["image"])
        if known and NO_IMAGE in known.text:
            raise weights.not_run(self.place, known.text.rstrip("."))

    def begun(self):
        client = commands.LineProcess(self.argv)
        client.send(self.orders)
        return client

    def fetch(self, folder, files, missing):
        """Have *missing* fetched into *folder*, of *files*.

        A client that is ended from outside is started again, as long as it makes progress. So is one that received a
        damaged file, some times.
        """
        deadline, here = time.monotonic() + ENDED_SECONDS, folder.here(missing)
        damages = 0
        while True:
            done = self.follow(files, missing)
            if folder.here(missing) > here:
                deadline, here = time.monotonic() + ENDED_SECONDS, folder.here(missing)
            damages += weights.is_damaged(done.out)
            cut_off = weights.is_cut_off(done.rc, done.out, done.err) and time.monotonic() <= deadline
            if not cut_off and not (weights.is_damaged(done.out) and damages < DAMAGES):
                break
            time.sleep(1)
            self.client = self.begun()
            # Only verified files get their own name.
            missing = [
                file
                for file in missing
                if model_folder.size(os.path.join(folder.path, file.path)) != file.size
            ]
        weights.judge_client(self.params["dir"], self.place, done.rc, done.out, done.err)

    def follow(self, files, missing):
        """Return what the client says in the end."""
        patterns = dict(zip([file.path for file in missing], weights.patterns(missing)))
        self.client.send(json.dumps({"files": [file._asdict() for file in files], "missing": patterns}))
        done = self.client.wait()
        self.client.end()
        return done


def container(docker, params):
    """Return the command that runs Python in a container that is thrown away."""
    command = [
        docker,
        "run",
        "--rm",
        "--interactive",
        "--network=host",
        "--entrypoint=python3",
        f"--tmpfs={HOME}:mode=0700",
    ]
    command.append("--name=" + weights.container_name(params["dir"]))
    command += [f"--volume={path}:{path}" for path in (params["dir"], params["cache_dir"])]
    return [*command, params["image"] or ""]


def judge_files(folder, snapshot, job):
    """Refuse files that are not what the hub lists, and a listing that lacks shards."""
    wrong = folder.survey(snapshot.files, job).wrong
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
    return hub.snapshot(params["repo"], params["revision"]).chosen(choice(params))


def choice(params):
    return weights.Choice(params["include"], params["exclude"])


def wanted(params, folder):
    """Return the files that there must be, by the checksum file or else the hub."""
    if params["source"]:
        brought = Folder(params["source"]).manifest
        if brought and brought.answers(params["repo"], params["revision"], choice(params)):
            return brought.snapshot
        raise weights.WeightsError(
            f"the manifest {os.path.join(params['source'], weights.MANIFEST)} is {f'of {brought}' if brought else 'none'}",
            f"one of {params['repo']} {params['revision']}, {choice(params)}",
            "Fill the folder with playbooks/fetch.yml, and bring all of it to the host: vllm_airgap_dir",
        )
    if not params["checksums"]:
        return ask_hub(params)
    try:
        with open(params["checksums"], encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise weights.WeightsError(
            f"the checksum file {params['checksums']} cannot be read: {error.strerror}",
            "lines as sha256sum writes them",
            "Bring it to the host, or correct weights_checksums",
        ) from None
    sums = weights.checksums(
        text,
        lambda path: (
            os.stat(os.path.join(folder.path, path)).st_size
            if os.path.isfile(os.path.join(folder.path, path))
            else None
        ),
    )
    return sums.chosen(choice(params))


def ensure(params, docker=None, program=None, job=None):
    """Return the result of the module. Without a *job* nothing is changed and nothing is read."""
    fetcher = (
        Fetcher(docker, program, params, job) if job and params["peers"] else None
    )  # others may need what is here
    folder = Folder(params["dir"])
    snapshot, found, known = None, None, False
    if folder.manifest and folder.manifest.answers(params["repo"], params["revision"], choice(params)):
        snapshot = folder.manifest.snapshot
        known = not folder.survey(snapshot.files).unread
        if params["verify"] and job:
            folder.hashed = {}
        found = folder.survey(snapshot.files, job)
    done = known and not found.wrong
    if snapshot is None or found.wrong:
        snapshot = wanted(params, folder)
        found = folder.survey(snapshot.files, job)
        if params["fetch"]:
            model_folder.judge_place(params["dir"], weights.total(found.wrong) - folder.here(found.wrong))
            model_folder.judge_place(params["cache_dir"])
    differing = [file.path for file in found.wrong if os.path.lexists(os.path.join(folder.path, file.path))]
    if found.wrong and not params["fetch"]:
        missing = [file.path for file in found.wrong if file.path not in differing]
        raise weights.WeightsError(
            "; ".join(
                f"{said} in {folder.path}: {weights.listed(paths)}"
                for said, paths in (("wrong size or SHA-256", differing), ("missing", missing))
                if paths
            ),
            f"all {len(snapshot.files)} files as {params['checksums'] or params['endpoint']} lists them",
            "Bring these files again, or let them be fetched: weights_distribution",
        )

    result = {
        "changed": not done,
        "files": len(snapshot.files),
        "bytes": weights.total(snapshot.files),
        "fetched_files": len(found.wrong),
        "fetched_bytes": weights.total(found.wrong),
        "verified_files": folder.verified + len(found.unread),
        "commit": snapshot.commit,
        "digest": snapshot.digest,
        "ansible_facts": {"vllm_weights": snapshot.digest},
        "differing": differing[:100],
        "manifest": os.path.join(params["dir"], weights.MANIFEST),
        "diff": {
            "before": "",
            "after": weights.changes(found),
            "before_header": params["dir"],
            "after_header": params["dir"],
        },
    }
    if job and (found.wrong or fetcher):
        get(
            params,
            folder,
            snapshot,
            found.wrong,
            job,
            fetcher or (None if params["source"] else Fetcher(docker, program, params, job)),
        )
    if job and not done:
        judge_files(folder, snapshot, job)
        folder.write_manifest(
            {key: params[key] for key in ("endpoint", "repo", "revision", "include", "exclude")}, snapshot
        )
    return result


def get(params, folder, snapshot, missing, job, fetcher):
    """Have the *missing* files of the snapshot brought into the folder, from the source, or by the fetcher."""
    os.makedirs(params["dir"], exist_ok=True)
    folder.remove(missing)
    report_fetching(job, folder, missing)
    if params["source"]:
        model_folder.copy(params["source"], folder, missing)
        folder.believe(missing)
        return
    fetcher.fetch(folder, snapshot.files, missing)
    if missing and ask_hub(params).files == snapshot.files:
        # The same before and after: it is what the client compared with.
        folder.believe([file for file in missing if file.size > SMALL])


def report_fetching(job, folder, files):
    all_bytes = weights.total(files)

    def progress():
        done = folder.here(files)
        return {
            "stage": "fetched" if done < all_bytes else "here, others get theirs:",
            "done": done,
            "all": all_bytes,
        }

    job.report(progress)


def explained(work, folder):
    """Return the result of *work*, or its failure for a person."""
    try:
        return work()
    except weights.WeightsError as error:
        return failure(error.problem, failed=True)
    except OSError as error:
        return failure(weights.trouble(error, folder).problem, failed=True)


def look_after(params, docker):
    """Begin the work, unless this run has, and return its result, or how far it is."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else params["cache_dir"]
    job = background.Job(
        os.path.join(place, weights.container_name(params["dir"])), params["_run"] or str(os.getpid())
    )
    if not job.is_begun():
        program = modelscope_client.__loader__.get_source(modelscope_client.__name__)
        try:
            job.begin(
                lambda job: explained(functools.partial(ensure, params, docker, program, job), params["dir"])
            )
        except background.Busy:
            raise weights.taken(params["dir"]) from None
    state = job.poll(params["_wait"])
    return state.get("result") or {"changed": False, "running": True, **state}


def main():
    module = AnsibleModule(
        argument_spec={
            "repo": {"type": "str", "required": True},
            "revision": {"type": "str", "default": "master"},
            "include": {"type": "list", "elements": "str", "default": ["*"]},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "dir": {"type": "path", "required": True},
            "cache_dir": {"type": "path", "required": True},
            "endpoint": {"type": "str", "default": "https://www.modelscope.cn"},
            "token": {"type": "str", "default": "", "no_log": True},
            "proxy": {"type": "str", "default": "", "no_log": True},
            "image": {"type": "str"},
            "python": {"type": "path"},
            "workers": {"type": "int", "default": WORKERS},
            "verify": {"type": "bool", "default": False},
            "fetch": {"type": "bool", "default": True},
            "checksums": {"type": "path"},
            "source": {"type": "path"},
            "fanout": {"type": "bool", "default": False},
            "peers": {"type": "list", "elements": "str", "default": []},
            "address": {"type": "str"},
            "key": {"type": "str", "no_log": True},
            "port": {"type": "int", "default": 8084},
            "_run": {"type": "str", "default": ""},
            "_wait": {"type": "int"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["checksums"] and params["fetch"]:
        module.fail_json(
            msg="checksums is given and fetch is true, wanted fetch=false: what is fetched is verified by the hub's listing."
        )
    if params["workers"] < 1:
        module.fail_json(msg=f"workers is {params['workers']}, wanted 1 or more.")
    if params["proxy"]:
        os.environ.update(dict.fromkeys(PROXIED, params["proxy"]))
    if "@" not in params["proxy"]:
        module.no_log_values.discard(params["proxy"])  # no secret, and messages name it
    fetches = params["fetch"] and not params["source"]
    if fetches and params["python"] and not os.access(params["python"], os.X_OK):
        module.fail_json(
            msg=f"python is {params['python']}, no program on this host, wanted a Python that has the package modelscope: correct weights_python."
        )
    docker = (
        module.get_bin_path("docker", required=True)
        if fetches and not params["python"] and not module.check_mode
        else None
    )
    work = (
        functools.partial(ensure, params)
        if module.check_mode
        else functools.partial(look_after, params, docker)
    )
    result = explained(work, params["dir"])
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
