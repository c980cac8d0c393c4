# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why `docker pull` failed, by its message, and what to do about it.

The texts are those of Docker 20.10, and of Docker 28 and 29 where containerd keeps the images.
"""

from __future__ import annotations

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.commands import SILENT
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import WAIT
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.causes import Cause, cause_in

AGAIN = "Layers that are complete are kept"
ARCHIVE = "bring the image from a machine that can pull it (playbooks/fetch.yml, and vllm_airgap_dir)"
# The first one that matches counts.
CAUSES = (
    Cause(
        rf"{SILENT} for \d+ seconds",
        "docker pull shows no progress",
        "bytes that arrive, or layers that are unpacked",
        "Check the connection to the registry. If another pull on the host waits for the same layers, end it, or restart "
        f"Docker when nothing else runs in it. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"Cannot connect to the Docker daemon|Is the docker daemon running|error during connect",
        "Docker does not run on this host",
        "a running Docker daemon",
        "Start it (systemctl start docker), or find out why it ended (journalctl -u docker)",
        passes=True,
    ),
    Cause(
        r"docker image inspect .*no answer within \d+ s",
        "Docker does not answer",
        "an answer of the Docker daemon",
        WAIT,
    ),
    Cause(
        r"permission denied while trying to connect",
        "the user may not use Docker",
        "root, or a user of the group docker",
        "Set become, or add the user to that group",
    ),
    Cause(
        r"no space left on device|disk quota exceeded",
        "the disk of Docker's images is full",
        "space for the compressed layers and for the unpacked image",
        f"Free some (docker system df), or move Docker's data-root to another disk, and run again. {AGAIN}",
    ),
    Cause(
        r"read-only file system|input/output error|structure needs cleaning",
        "the disk of Docker's images cannot be written",
        "a healthy file system",
        f"Check that disk (dmesg), and run again. {AGAIN}",
    ),
    Cause(
        r"invalid reference format|repository name .* must be lowercase",
        "Docker does not accept the name",
        "REGISTRY/PATH:TAG in lower case, the tag alone may have capitals",
        "Correct O(name)",
    ),
    Cause(
        r"no matching manifest for|no match for platform in manifest",
        "the registry has the image, but not for the processor of this host",
        "an image of this host's platform",
        "Choose a tag of that platform: O(name). A mirror may hold one platform only",
    ),
    Cause(
        r"toomanyrequests|429 Too Many Requests|HTTP 429|pull rate limit",
        "the registry limits the pulls from this address",
        "an answer to each request",
        f"Log in to it (O(username)), use a mirror or your own registry in O(name), or run again later. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"proxyconnect tcp|Proxy Authentication Required",
        "Docker's own proxy does not let it through",
        "a proxy that reaches the registry: Docker takes none from the environment of Ansible",
        "Correct the proxy of the service docker (systemctl show --property Environment docker) or in "
        "/etc/docker/daemon.json, and restart Docker",
        passes=True,
    ),
    Cause(
        r"x509:|certificate signed by unknown authority|certificate (?:is valid for|has expired)",
        "Docker does not trust the certificate of the registry",
        "a certificate of an authority that this host trusts, for the name in the image, and a right clock",
        "Put the authority into /etc/docker/certs.d/REGISTRY/ca.crt (no restart needed). For one that a proxy shows "
        "for all names, add it to the host's own authorities and restart Docker",
    ),
    Cause(
        r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        "the registry speaks HTTP, Docker expects HTTPS",
        "HTTPS, or a registry that is configured as insecure in Docker",
        "Add it to insecure-registries in /etc/docker/daemon.json on each host, and restart Docker",
    ),
    Cause(
        r"no basic auth credentials|unauthorized|authentication required|incorrect username or password"
        r"|401 Unauthorized",
        "the registry does not let this host in",
        "credentials that it accepts",
        "Set O(username) and O(password) of an account that may pull the image, or run docker login on the host",
    ),
    Cause(
        r"pull access denied|insufficient_scope|requested access to the resource is denied|\bdenied\b|403 Forbidden",
        "the registry does not show this repository",
        "a repository that exists and may be read",
        "Check the path in O(name), and that it is public or that the account of O(username) may pull it",
    ),
    Cause(
        r"manifest unknown|manifest for .* not found|name unknown|repository name not known|\d: not found$"
        r"|failed to resolve reference .*not found",
        "the registry has no image of that name",
        "a repository and a tag that exist",
        "Correct O(name). A mirror may lack a tag that the original has",
    ),
    Cause(
        r"unknown blob|BLOB_UNKNOWN|content digest \S+ not found",
        "the registry lists a layer that it does not have",
        "all layers of the image",
        f"If it is a mirror, have it fetch the image again, or name the original in O(name). Else {ARCHIVE}",
    ),
    Cause(
        r"invalid tar header|no processor for media-type|mismatched image rootfs and manifest layers",
        "Docker cannot unpack a layer",
        "a Docker that knows its compression: zstd needs 23.0 or later",
        # https://vllm-ascend.readthedocs.io, FAQ 20: on Kylin it may be no compression, and a loaded archive works
        f"Update Docker, or {ARCHIVE}",
    ),
    Cause(
        r"unsupported media type|mediaType in manifest should be",
        "this Docker does not know the format of the image",
        "an image, and a Docker of 20.10 or later",
        "Check that O(name) names an image and not another artifact. If it does, update Docker",
    ),
    Cause(
        r"layers from manifest don't match image configuration|unexpected end of JSON input",
        "the image in the registry is damaged",
        "a configuration that fits the layers",
        f"Push it again, or name another registry in O(name). Or {ARCHIVE}",
    ),
    Cause(
        r"verification failed for digest|unexpected commit digest|failed to verify|digest mismatch",
        "what arrives has another content than the registry lists",
        "the content of each digest",
        f"If there is a proxy or mirror in between, empty its cache, and run again. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"invalid character '<' looking for beginning of value",
        "a web page answers instead of a registry",
        "the interface of a registry",
        "Check the host and port in O(name), and whether there is something in between, such as a login portal",
        passes=True,
    ),
    Cause(
        r"no such host|server misbehaving|Temporary failure in name resolution|i/o timeout.*lookup|lookup .*i/o timeout",
        "the name of the registry, or of where it has its layers, cannot be resolved",
        "a name server that resolves it",
        f"Check the registry in O(name), and the name servers of the host, and run again. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"connection refused|connection reset|unexpected EOF|\bEOF$|i/o timeout|TLS handshake timeout|broken pipe"
        r"|request canceled|Client\.Timeout|context deadline exceeded|no route to host|network is unreachable"
        r"|unexpected HTTP status|5\d\d (?:Internal|Bad Gateway|Service Unavailable|Gateway)|HTTP/2 .*GOAWAY"
        r"|stream error|use of closed network connection",
        "the connection to the registry, or to where it has its layers, fails",
        "a connection that lasts for the largest layer, which may be several GB",
        f"Check route, firewall and proxy, or name a nearer mirror in O(name), and run again. {AGAIN}",
        passes=True,
    ),
)


def problem(image: str, message: str, username: str | None = None) -> Problem:
    """Return why the pull of *image* failed, as *username* or with the host's own credentials.

    Docker explained it by *message*.
    """
    cause = cause_in(CAUSES, message)
    user = f" by the user {username}" if username else ""
    found = f"{image} could not be pulled{user}"
    if cause:
        return Problem(f"{found}, {cause.found}: {message.rstrip('.')}", cause.expected, cause.remedy)
    return Problem(
        f"{found}: {message.rstrip('.')}",
        "an image that the registry has, and a registry that this host can reach",
        f"Check O(name), and on the host `docker pull {image}`",
    )


def passes(message: str) -> bool:
    """Whether the failure may end by itself."""
    cause = cause_in(CAUSES, message)
    return cause is not None and cause.passes
