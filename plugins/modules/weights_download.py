#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: weights_download
short_description: Fetch the weights of a model from a hub or another server, and verify them
version_added: 0.1.0
description:
  - Downloads with the C(modelscope) client inside the serving image, in a temporary container, so that
    nothing is installed on the host. With O(python), a Python of the host runs the client instead.
  - Compares the SHA-256 of every file with the hub's listing and writes a manifest next to the files. A
    further run compares sizes and modification times with the manifest, and contacts the hub only if they
    differ.
  - Removes a file that differs and fetches it again. Continues an interrupted download.
  - Works in the background on the host and reports its progress every 30 seconds. If the controller stops
    polling, for example because Ansible was interrupted, the work continues for O(lease). A run with the
    same options resumes polling it. A run with other options ends it.
  - Resolves a branch to a commit when it fetches the files for the first time. From then on the manifest says
    what they must be, until it is removed. Leaves files alone that the repository does not have.
  - From a Hugging Face hub or a plain HTTP server, see O(hub), the host's own Python downloads. Neither image nor
    client is needed then.
requirements:
  - requests on the host, unless O(source) or O(checksums) is set
options:
  repo:
    description: The repository, as OWNER/NAME.
    type: str
    required: true
  hub:
    description:
      - What answers at O(endpoint). V(modelscope) is a ModelScope hub.
      - V(huggingface) is the Hugging Face Hub or a mirror of it. Its main branch is C(main).
      - V(http) is a folder on any HTTP server, of which O(endpoint) is the URL. It must have a file C(SHA256SUMS), as
        C(sha256sum) writes it. O(repo) and O(revision) are no more than names then.
    type: str
    choices: [modelscope, huggingface, http]
    default: modelscope
  revision:
    description: A branch, a tag or a commit.
    type: str
    default: master
  include:
    description: Shell patterns that select files by their whole path. C(*) matches C(/) too.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Shell patterns of the files to leave out of these.
    type: list
    elements: str
    default: []
  dir:
    description: The folder for the files. It is created if it does not exist.
    type: path
    required: true
  cache_dir:
    description: The folder for locks and notes of the client. It is created if it does not exist.
    type: path
    required: true
  endpoint:
    description: URL of the hub, of a mirror, or of the folder.
    type: str
    default: https://www.modelscope.cn
  proxy:
    description:
      - URL of the proxy to the hub. The default is the proxy in the environment of the host or of the task.
        C(no_proxy) in the environment is honoured in either case.
      - If it has credentials, it is hidden in all output.
    type: str
    default: ""
  ca_bundle:
    description:
      - A file on the host, in PEM format, with the authorities to trust for the hub and its CDN. The client gets
        it read-only. Without it, this host trusts those of its package requests, and the client those of its image.
      - It replaces the public authorities. Use the bundle of the host, such as C(/etc/pki/tls/certs/ca-bundle.crt)
        with the company's authority added, if both are needed.
    type: path
  token:
    description:
      - Access token. Without it, only public repositories can be downloaded.
      - The client gets it by its standard input. It is in no argument, in no environment that Docker shows,
        and in no file that stays.
      - For a folder on an HTTP server that is signed as a whole, such as a SAS of Azure or a signed URL of a CDN, the
        query of the signed URL with its question mark. Each file is asked for with it.
    type: str
    default: ""
  image:
    description: The image that has the client. It must be on the host. Needed for downloads from a ModelScope hub,
      unless O(python) is set.
    type: str
  python:
    description: Path of a Python on the host that has the package C(modelscope). It replaces the container.
    type: path
  workers:
    description: Number of files to fetch at a time. The hosts of a fan-out share them.
    type: int
    default: 8
  verify:
    description: Read all files and compare their SHA-256, instead of trusting the manifest. Files that differ
      are fetched again.
    type: bool
    default: false
  fetch:
    description:
      - Whether files may be fetched. If not, files that are missing or differ are an error and stay as they are,
        except for documentation, which no server reads.
      - A read-only O(dir) will do then. The manifest is in O(cache_dir).
    type: bool
    default: true
  keep:
    description:
      - Shell patterns of small files that may have been edited, such as C(config.json). They are fetched if they
        are missing, and else stay as they are. RV(digest) covers them as they are.
    type: list
    elements: str
    default: []
  links:
    description:
      - A folder that the container has as a whole. With O(fetch=false), files in O(dir) may be relative links to
        files below it, as in the cache of Hugging Face.
    type: path
  checksums:
    description:
      - A file on the host as C(sha256sum) writes it, with paths relative to O(dir). It replaces the hub's
        listing, and the hub is not contacted.
      - Requires O(fetch=false).
    type: path
  source:
    description:
      - A folder on the host that this module filled on a connected machine. Files are copied from there and
        compared with the manifest in it. The hub is not contacted.
      - If it is on the file system of O(dir), files get a second name there, which takes no space.
      - If it is O(dir) itself, the files are only verified, and none is removed.
    type: path
  listing:
    description:
      - The files that there must be, as RV(listing) of another host's result has them, so that all hosts of a
        service get the same. It replaces the hub's listing. Files are fetched from O(revision) or, if that has
        moved, from the commit of the listing.
    type: json
  fanout:
    description:
      - Fetches each file from the hub once for several hosts, which pass it on to each other.
      - The task must run on all these hosts at the same time, with at least as many forks as hosts.
      - With O(listing), a host need not reach the hub, as long as another one does or has what it lacks.
    type: dict
    suboptions:
      peers:
        description: Addresses of all hosts, in the same order on each. With a single one there is no fan-out.
        type: list
        elements: str
        required: true
      address:
        description: The address of this host, as it is in O(fanout.peers). The host listens on it while the
          task runs.
        type: str
        required: true
      port:
        description: TCP port to listen on.
        type: int
        default: 8084
      key:
        description: A secret that signs the requests between the hosts. Use a new one for each run.
        type: str
        required: true
  lease:
    description:
      - Seconds for which the work continues when it is not polled, at least 60. With 43200 a download can be started
        in the evening and looked at in the morning, while the controller is off.
    type: int
    default: 600
  state:
    description:
      - V(present) fetches and verifies the files.
      - V(stopped) ends a download into O(dir) that still runs in the background. It removes no weights.
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
    details:
      - Logs in to the hub, lists the revision, checks disk space and write access, and reports what would be
        fetched. Does not need O(image).
      - Reads no weights. Files of the right size that are in no manifest count as still to be verified.
  diff_mode:
    support: full
    details: Shows the files to fetch, at most ten by name.
  idempotent:
    support: full
author:
  - ascend_ops.vllm contributors (@ascend-ops)
"""

EXAMPLES = r"""
- name: Ensure the weights are present and verified
  ascend_ops.vllm.weights_download:
    repo: ZhipuAI/GLM-4.7
    dir: /opt/data/verification/models/GLM-4.7
    cache_dir: /opt/data/verification/models/.cache
    token: "{{ weights_token }}"
    image: quay.io/ascend/vllm-ascend:v0.13.0rc1
"""

RETURN = r"""
files:
  description: Number of files in the revision.
  returned: success
  type: int
  sample: 101
bytes:
  description: Their size.
  returned: success
  type: int
  sample: 717000000000
fetched_files:
  description: Number of files that were fetched, or would be in check mode.
  returned: success
  type: int
  sample: 1
fetched_bytes:
  description: Their size.
  returned: success
  type: int
  sample: 7700000000
verified_files:
  description: Number of files that were present and had to be read, or would have to be in check mode.
  returned: success
  type: int
  sample: 0
commit:
  description: The commit of the revision. Empty if the hub does not report it.
  returned: success
  type: str
  sample: 83ee97c66e841048bedc5c02c15ce2f3ed259feb
digest:
  description: SHA-256 over the paths and hashes of all files. It depends on nothing but their content.
  returned: success
  type: str
listing:
  description: Commit and files, with path, size and SHA-256, as JSON, for O(listing) on other hosts.
  returned: in check mode
  type: str
from_manifest:
  description: Whether the listing is that of the manifest, so that an earlier run verified all files.
  returned: in check mode
  type: bool
unreached:
  description: Why the hub cannot be reached, as in RV(problem). In a fan-out other hosts may reach it.
  returned: in check mode, with O(fanout), if the hub does not answer
  type: dict
ansible_facts:
  description: C(vllm_weights), the same over the files that a server reads, which are all but documentation. The
    container stage replaces a container that serves other weights.
  returned: success
  type: dict
differing:
  description: Files that were present with a wrong size or hash and were fetched again, at most 100.
  returned: success
  type: list
  elements: str
  sample: [model-00007-of-00093.safetensors]
manifest:
  description: Path of the manifest.
  returned: success
  type: str
  sample: /opt/data/verification/models/GLM-4.7/.ascend_ops_manifest.json
problem:
  description: What is wrong, with the keys C(found), C(expected), C(remedy) and C(where). RV(ignore:msg) has
    the same as text.
  returned: failure
  type: dict
"""

import functools
import os
import ssl
import sys
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import background, commands
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import sources
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import (
    Client,
    Container,
    Fanout,
    HostPython,
    container_name,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.download import Download
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder, os_problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hubs import HUBS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    Request,
    Snapshot,
    total,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.server import (
    REQUESTS_ERROR,
    Server,
    UnreachableError,
)

NOTES = "/run"  # for the state of the job: in memory, so it can be written even if the disk is full
PROXIED = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
SHOWN_DIFFERING = 100

FANOUT = {
    "peers": {"type": "list", "elements": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 8084},
    "key": {"type": "str", "required": True, "no_log": True},
}
ARGUMENTS = {
    "repo": {"type": "str", "required": True},
    "hub": {"type": "str", "choices": list(HUBS), "default": "modelscope"},
    "revision": {"type": "str", "default": "master"},
    "include": {"type": "list", "elements": "str", "default": ["*"]},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "dir": {"type": "path", "required": True},
    "cache_dir": {"type": "path", "required": True},
    "endpoint": {"type": "str", "default": "https://www.modelscope.cn"},
    "proxy": {"type": "str", "default": "", "no_log": True},
    "ca_bundle": {"type": "path"},
    "token": {"type": "str", "default": "", "no_log": True},
    "image": {"type": "str"},
    "python": {"type": "path"},
    "workers": {"type": "int", "default": 8},
    "verify": {"type": "bool", "default": False},
    "fetch": {"type": "bool", "default": True},
    "keep": {"type": "list", "elements": "str", "default": []},
    "links": {"type": "path"},
    "checksums": {"type": "path"},
    "source": {"type": "path"},
    "listing": {"type": "json"},
    "fanout": {"type": "dict", "options": FANOUT},
    "lease": {"type": "int", "default": background.LEASE_SECONDS},
    "state": {"type": "str", "choices": ["present", "stopped"], "default": "present"},
    "_variables": {"type": "dict", "default": {}},
    "_run": {"type": "str", "default": ""},
    "_wait": {"type": "int"},
}


def require_usable(params: dict[str, Any]) -> None:
    """Raise ProblemError for options that contradict each other or the host."""
    if params["checksums"] and params["fetch"]:
        raise ProblemError(
            "O(checksums) is set and O(fetch) is true",
            "O(fetch) false with it: what is fetched is verified by the hub's listing",
            "Set O(fetch) to false, or remove O(checksums)",
        )
    if params["workers"] < 1:
        raise ProblemError(f"O(workers) is {params['workers']}", "1 or more", "Correct O(workers)")
    if params["lease"] < background.LEAST_LEASE:
        raise ProblemError(
            f"O(lease) is {params['lease']}", f"{background.LEAST_LEASE} seconds or more", "Correct O(lease)"
        )
    if needs_client(params) and params["python"] and not os.access(params["python"], os.X_OK):
        raise ProblemError(
            f"O(python) is {params['python']}, which is not a program on this host",
            "a Python that has the package modelscope",
            "Correct O(python)",
        )


def require_authorities(path: str) -> None:
    """Raise ProblemError for a file that has no certificates."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # of which ssl.SSLError is one
        raise ProblemError(
            f"O(ca_bundle) is {path}, which cannot be used: {error.strerror or error}",
            "a file on the host with certificates in PEM format",
            "Copy it to the host, or correct O(ca_bundle)",
        ) from None


def asks_hub(params: dict[str, Any]) -> bool:
    return not params["source"] and not params["checksums"]


def needs_client(params: dict[str, Any]) -> bool:
    return params["fetch"] and not params["source"] and params["hub"] == "modelscope"


def is_in_place(params: dict[str, Any]) -> bool:
    """Whether the weights are served from the folder that was brought: nothing in it is removed or replaced."""
    return bool(params["source"]) and os.path.realpath(params["source"]) == os.path.realpath(params["dir"])


def listing(
    params: dict[str, Any], request: Request, folder: Folder, hub: sources.HubListing
) -> sources.Listing:
    """Return what says which files there must be."""
    if params["listing"]:
        return sources.GivenListing(Snapshot.of(params["listing"]))
    if params["source"]:
        return sources.ManifestListing(params["source"], request)
    if params["checksums"]:
        return sources.ChecksumListing(params["checksums"], folder, request.choice)
    return hub


def runtime(params: dict[str, Any], docker: str, private_dir: Callable[[str], str]) -> Container | HostPython:
    """Return what runs the client."""
    ca_bundle = params["ca_bundle"] or ""
    if params["hub"] != "modelscope":
        return HostPython(sys.executable, private_dir, ca_bundle)
    if params["python"]:
        return HostPython(params["python"], private_dir, ca_bundle)
    return Container(docker, params["image"] or "", [params["dir"], params["cache_dir"]], ca_bundle)


def client(
    params: dict[str, Any],
    request: Request,
    folder: Folder,
    server: Server,
    runs_in: Container | HostPython,
) -> Client:
    """Return the client, not started yet."""
    fanout = Fanout(**params["fanout"]) if params["fanout"] and len(params["fanout"]["peers"]) > 1 else None
    settings = {
        **{key: params[key] for key in ("endpoint", "token", "cache_dir", "workers")},
        "with_client": params["hub"] == "modelscope",
        "url": server.url(request.repo),
        "headers": server.headers(),
    }
    return Client(runs_in, request, folder, settings, fanout)


def download(params: dict[str, Any], docker: str, job: background.Job) -> Download:
    """Return the download that the options describe."""
    request = Request(params["repo"], params["revision"], Choice(params["include"], params["exclude"]))
    in_place = not params["fetch"] or is_in_place(params)
    folder = Folder(params["dir"], *((params["links"] or "", params["cache_dir"]) if in_place else ()))
    server = HUBS[params["hub"]](params["endpoint"], params["token"], params["ca_bundle"] or "")
    hub = sources.HubListing(server, request)
    expected = listing(params, request, folder, hub)
    source: sources.Source
    if in_place:
        source = sources.NoSource(expected)
    elif params["source"]:
        source = sources.FolderSource(expected, params["source"])
    else:
        source = sources.HubSource(
            expected,
            hub,
            client(params, request, folder, server, runtime(params, docker, job.private_dir)),
            params["cache_dir"],
        )
    return Download(params["endpoint"], request, folder, source, params["keep"])


def outcome(done: Download) -> dict[str, Any]:
    """Return the result of the module for a download that was compared, or completed."""
    folder = done.folder.path
    return {
        "changed": not done.recorded,
        "files": len(done.snapshot.files),
        "bytes": total(done.snapshot.files),
        "fetched_files": len(done.found.wrong),
        "fetched_bytes": total(done.found.wrong),
        "verified_files": done.verified_files,
        "commit": done.snapshot.commit,
        "digest": done.snapshot.digest,
        "ansible_facts": {"vllm_weights": done.snapshot.served_digest},
        "differing": done.differing[:SHOWN_DIFFERING],
        "manifest": done.folder.manifest_path,
        "diff": {
            "before": "",
            "after": done.found.changes(),
            "before_header": folder,
            "after_header": folder,
        },
    }


def check(params: dict[str, Any], job: background.Job) -> dict[str, Any]:
    """Return what would be done. This needs no Docker."""
    planned = download(params, "", job)
    try:
        planned.compare()
        unreached = planned.source.unreached
    except UnreachableError as error:
        if not planned.source.shares:
            raise
        unreached = error
    result = {
        **outcome(planned),
        "listing": planned.listed.text(),
        "from_manifest": planned.is_known,
    }
    if unreached:
        result["unreached"] = unreached.problem.naming(params["_variables"]).data()
    return result


def complete(planned: Download, reread: bool, job: background.Job) -> dict[str, Any]:
    """Do the work, in the background."""
    planned.run(job.report, reread)
    return outcome(planned)


def poll(params: dict[str, Any], docker: str, job: background.Job) -> dict[str, Any]:
    """Begin the work, unless this run has, and return its result or its progress."""
    if not job.is_begun():
        work = functools.partial(complete, download(params, docker, job), params["verify"], job)
        try:
            job.begin(lambda _job: attempt(work, params["dir"]))
        except background.Busy:
            raise ProblemError(
                f"another run of Ansible is downloading into {params['dir']}",
                "one run at a time",
                "Wait until it ends, or interrupt it. The next run then resumes the same download, or ends another",
            ) from None
    state = job.poll(params["_wait"])
    return state.get("result") or {"changed": False, "running": True, **state}


def attempt(work: Callable[[], dict[str, Any]], folder: str) -> dict[str, Any]:
    """Return the result of *work*, or its problem as a failure."""
    try:
        return work()
    except ProblemError as error:
        return {"failed": True, **failure(error.problem)}
    except OSError as error:
        return {"failed": True, **failure(os_problem(error, folder))}


def job_of(params: dict[str, Any]) -> background.Job:
    """Return the background job of the folder: there is one at a time."""
    notes = NOTES if os.access(NOTES, os.W_OK) else params["cache_dir"]
    # The hosts of a fan-out have a new key in each run. Those that are at work have the one of their run.
    fanout = dict(params["fanout"] or {}, key="")
    task = background.task_of(dict(params, fanout=fanout), ["_variables"])
    run = params["_run"] or str(os.getpid())
    return background.Job(os.path.join(notes, container_name(params["dir"])), run, task, params["lease"])


def stop(params: dict[str, Any], docker: str | None, job: background.Job, check_mode: bool) -> dict[str, Any]:
    """End a download in the background, with its container."""
    if check_mode:
        return {"changed": job.is_running()}
    stopped = job.stop()
    if docker and stopped:
        commands.run([docker, "rm", "--force", container_name(params["dir"])])
    return {"changed": stopped}


def run(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if params["state"] == "stopped":
        return stop(params, module.get_bin_path("docker"), job_of(params), module.check_mode)
    require_usable(params)
    if params["ca_bundle"] and asks_hub(params):
        require_authorities(params["ca_bundle"])
    if REQUESTS_ERROR and asks_hub(params):
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)
    if params["proxy"]:
        os.environ.update(dict.fromkeys(PROXIED, params["proxy"]))
    if "@" not in params["proxy"]:
        module.no_log_values.discard(params["proxy"])  # not a secret, and messages name it
    if module.check_mode:
        return check(params, job_of(params))
    needs_docker = needs_client(params) and not params["python"]
    docker = module.get_bin_path("docker", required=True) if needs_docker else ""
    return poll(params, docker, job_of(params))


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = attempt(functools.partial(run, module), module.params["dir"])
    if "problem" in result:
        problem = Problem.of(result["problem"]).naming(module.params["_variables"])
        module.fail_json(**failure(problem))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
