# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of `docker pull`: of Docker 20.10 against a registry that fails in these ways, and from reports of users."""

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.pull_causes import passes, problem

IMAGE = "quay.io/ascend/vllm-ascend:v0.13.0rc1"
DAEMON = "Error response from daemon: "
# By Docker's message, whether it may pass, and what the answer must name.
MESSAGES = {
    "a daemon that hangs": (
        "/usr/bin/docker image inspect --format={{.Os}}/{{.Architecture}} x:v1: no answer within 30 s",
        False,
        "time docker ps",
    ),
    "silence": ("0f1e2d3c4b5a: Waiting no output for 1800 seconds", True, "no progress"),
    "a limit": (
        DAEMON + "toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
        "authenticating",
        True,
        "O(username)",
    ),
    "a limit of a proxy": (
        DAEMON
        + "error parsing HTTP 429 response body: invalid character '<' looking for beginning of value: "
        '"<html>429 Too Many Requests</html>"',
        True,
        "limits the pulls",
    ),
    "no such tag": (DAEMON + "manifest unknown", False, "O(name)"),
    "no such tag, long": (
        DAEMON + "manifest for quay.io/ascend/vllm-ascend:v9 not found: manifest unknown: manifest unknown",
        False,
        "O(name)",
    ),
    "no such tag, containerd": (
        DAEMON + 'failed to resolve reference "quay.io/ascend/x:v9": quay.io/ascend/x:v9: not found',
        False,
        "no image of that name",
    ),
    "no such repository": (DAEMON + "name unknown", False, "O(name)"),
    "denied": (DAEMON + "denied", False, "public"),
    "denied, long": (
        DAEMON + "pull access denied for x, repository does not exist or may require 'docker login': denied: "
        "requested access to the resource is denied",
        False,
        "public",
    ),
    "no login": (DAEMON + "unauthorized", False, "O(password)"),
    "no credentials": (
        DAEMON + 'Get "https://r:5000/v2/x/manifests/v1": no basic auth credentials',
        False,
        "O(password)",
    ),
    "bad gateway": (DAEMON + "received unexpected HTTP status: 502 Bad Gateway", True, "mirror"),
    "a portal": (
        DAEMON + "error unmarshalling content: invalid character '<' looking for beginning of value",
        True,
        "web page",
    ),
    "another platform": (
        "no matching manifest for linux/arm64/v8 in the manifest list entries",
        False,
        "processor of this host",
    ),
    "another platform, containerd": (
        DAEMON
        + "no matching manifest for linux/arm64/v8 in the manifest list entries: no match for platform in "
        "manifest: not found",
        False,
        "processor of this host",
    ),
    "zstd": (
        "failed to register layer: ApplyLayer exit status 1 stdout:  stderr: archive/tar: invalid tar header",
        False,
        "23.0",
    ),
    "zstd, containerd": (
        "failed to unpack image on snapshotter overlayfs: mismatched image rootfs and manifest layers",
        False,
        "23.0",
    ),
    "another configuration": ("layers from manifest don't match image configuration", False, "damaged"),
    "half a configuration": ("unexpected end of JSON input", False, "damaged"),
    "no such layer": ("unknown blob", False, "mirror"),
    "no such layer, containerd": (
        DAEMON + "failed to get reader from content store: content digest sha256:e110: not found",
        False,
        "mirror",
    ),
    "a damaged layer": ("filesystem layer verification failed for digest sha256:8be3", True, "cache"),
    "a damaged layer, containerd": (
        "failed commit on ref layer-sha256:8be3: unexpected commit digest sha256:00, expected sha256:8be3",
        True,
        "cache",
    ),
    "no image": (
        "unsupported media type application/vnd.cncf.helm.config.v1+json",
        False,
        "another artifact",
    ),
    "cut off": ("unexpected EOF", True, "several GB"),
    "busy": ("received unexpected HTTP status: 503 Service Unavailable", True, "connection"),
    "another name in the certificate": (
        DAEMON + 'Get "https://r:5443/v2/": x509: certificate is valid for 127.0.0.2, not 192.0.2.2',
        False,
        "/etc/docker/certs.d/",
    ),
    "an own authority": (
        DAEMON
        + 'Get "https://r/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
        False,
        "/etc/docker/certs.d/",
    ),
    "no TLS": (
        DAEMON + 'Get "https://r:5080/v2/": tls: first record does not look like a TLS handshake',
        False,
        "insecure-registries",
    ),
    "no TLS, newer": (
        DAEMON + 'Get "https://r:5080/v2/": http: server gave HTTP response to HTTPS client',
        False,
        "insecure-registries",
    ),
    "a closed port": (
        DAEMON + 'Get "https://r:5999/v2/": dial tcp 192.0.2.2:5999: connect: connection refused',
        True,
        "firewall",
    ),
    "no such host": (
        DAEMON + 'Get "https://r/v2/": dial tcp: lookup r on 10.255.255.53:53: no such host',
        True,
        "name server",
    ),
    "slow": (DAEMON + 'Get "https://quay.io/v2/": net/http: TLS handshake timeout', True, "mirror"),
    "slower": (
        DAEMON
        + 'Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection '
        "(Client.Timeout exceeded while awaiting headers)",
        True,
        "mirror",
    ),
    "a proxy": (
        DAEMON
        + 'Get "https://quay.io/v2/": proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused',
        True,
        "systemctl show",
    ),
    "a full disk": (
        "write /var/lib/docker/tmp/GetImageBlob2560980563: no space left on device",
        False,
        "data-root",
    ),
    "a full disk of containerd": (
        "failed to extract layer sha256:0a: write /var/lib/containerd/x: no space left on device: unknown",
        False,
        "data-root",
    ),
    "capitals": ("invalid reference format: repository name (Ok) must be lowercase", False, "lower case"),
    "no daemon": (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        True,
        "systemctl start docker",
    ),
    "not allowed": (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
        False,
        "group docker",
    ),
    "new": ("something nobody has seen", False, "docker pull"),
}


@pytest.mark.parametrize(("message", "may_pass", "named"), MESSAGES.values(), ids=MESSAGES)
def test_a_failed_pull_is_explained(message: str, may_pass: bool, named: str):
    assert passes(message) is may_pass
    assert named in str(problem(IMAGE, message))


def test_the_user_who_pulled_is_named():
    assert "by the user robot" in problem(IMAGE, "unauthorized", "robot").found


def test_golden_messages(golden):
    golden("pull", {name: str(problem(IMAGE, message)) for name, (message, *_rest) in MESSAGES.items()})
