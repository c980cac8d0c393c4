# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker daemon, asked with the standard library alone, or by its command."""

from __future__ import annotations

import http.client
import socket

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host import commands

NO_IMAGE = "No such image"


class Connection(http.client.HTTPConnection):
    """HTTP over the daemon's socket, each answer within *seconds*."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("docker", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def image_platform(docker: str, image: str) -> commands.Output:
    """Return the platform of *image*, such as ``linux/arm64``, or what Docker says of one that the host has not, NO_IMAGE in it.

    To be asked before ``docker run``, which pulls such an image: not to do so (``--pull=never``) it can be told from 20.10 on only.
    """
    found = commands.run([docker, "image", "inspect", "--format={{.Os}}/{{.Architecture}}", image])
    return found._replace(text=" ".join(line for line in found.text.splitlines() if line))
