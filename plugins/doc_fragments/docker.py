# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The option of modules that use the API of the Docker daemon."""

    DOCUMENTATION = r"""
options:
  docker_socket:
    description:
      - Socket of the Docker daemon.
      - Without it, the one in the environment variable E(DOCKER_HOST), or else C(/var/run/docker.sock).
    type: path
attributes:
  action_group:
    description: Use C(group/ascend_ops.vllm.docker) in C(module_defaults) to set O(docker_socket).
    support: full
    membership:
      - ascend_ops.vllm.docker
"""
