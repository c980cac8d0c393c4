# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import weights
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._polling import PollingAction


class ActionModule(PollingAction):
    """Looks after the download on the host, and lets the hosts of a fan-out know each other."""

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if boolean(arguments.get("fanout", False)) and not self._task.check_mode:
            arguments.update(self._fanout(task_vars))
        return self._warned(self._poll("ascend_ops.vllm.modelscope_download", arguments, task_vars))

    def _warned(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result, with the files named that had gone wrong on the disk."""
        if result.get("differing") and not self._task.check_mode:
            result.setdefault("warnings", []).append(
                f"{self._host}: not as they should be, and fetched again: {weights.listed(result['differing'])}"
            )
        return result

    def _fanout(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what this host needs to know of the others, if there are any."""
        hosts = task_vars["ansible_play_batch"]
        forks = task_vars["ansible_forks"]
        if forks < len(hosts):
            raise AnsibleActionFail(
                f"forks is {forks}, and the play has {len(hosts)} hosts, wanted one each, for in a fan-out the hosts wait for each other: "
                f"run with --forks {len(hosts)}, or choose another weights_distribution."
            )
        try:
            peers = [
                task_vars["hostvars"][host]["ansible_facts"]["vllm_plan"]["service_ip"] for host in hosts
            ]
        except KeyError:
            raise AnsibleActionFail(
                "a host of the play has no fact vllm_plan, wanted it on each: run ascend_ops.vllm.plan before."
            ) from None
        if len(peers) < 2:
            return {}
        return {
            "peers": peers,
            "address": peers[hosts.index(task_vars["inventory_hostname"])],
            "key": _key(self._task._uuid),
        }


def _key(task: str) -> str:
    """Return the key of the task for the run, the same in the processes of all hosts; it goes with the folder, which is ours alone, when Ansible ends."""
    file = Path(C.DEFAULT_LOCAL_TMP, f"modelscope_download_{task}")
    mine = file.with_suffix(f".{os.getpid()}")
    mine.touch(mode=0o600)
    mine.write_text(secrets.token_hex(32), encoding="ascii")
    with contextlib.suppress(FileExistsError):
        os.link(mine, file)
    mine.unlink()
    return file.read_text(encoding="ascii")
