# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Which Docker daemon all modules mean."""

    DOCUMENTATION = r"""
options: {}
notes:
  - The Docker daemon is the one that the C(docker) command uses on the host. It is in the environment variable E(DOCKER_HOST), and
    must be a Unix socket there, such as C(unix:///run/user/0/docker.sock). Without it, C(/var/run/docker.sock). The modules of
    community.docker have the same default.
"""
