# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils import weights

MODULE = "ascend_ops.vllm.modelscope_download"
FIRST_SECONDS = 2  # of looking after the work on a host before the first line about it
SLICE_SECONDS = 5  # how much longer than its lease the work goes on after Ansible was ended; below detached.ORPHAN_SECONDS
SHOW_SECONDS = 30  # between two lines about a host

display = Display()


class ActionModule(ActionBase):
    """Looks after the work on the host in slices, so that a person sees how far it is, and lets the hosts of a fan-out know each other."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host = task_vars["inventory_hostname"]
        self._shown = self._since = (time.monotonic(), 0)
        self._stage = ""
        arguments = dict(self._task.args, run=secrets.token_hex(8))
        if boolean(arguments.get("fanout", False)) and not self._task.check_mode:
            arguments.update(self._fanout(task_vars))
        arguments["wait"] = FIRST_SECONDS
        ansible = os.getppid()
        while os.getppid() == ansible:
            result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            if not result.get("running"):
                return self._warned(result)
            arguments["wait"] = SLICE_SECONDS
            if "stage" in result:
                self._show(result["stage"], result["done"], result["all"])
        raise AnsibleActionFail("Ansible was ended; so is the work on the host, before long.")

    def _warned(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result, with the files named that had gone wrong on the disk."""
        if result.get("differing") and not self._task.check_mode:
            result.setdefault("warnings", []).append(f"{self._host}: not as they should be, and fetched again: {weights.listed(result['differing'])}")
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
            peers = [task_vars["hostvars"][host]["ansible_facts"]["vllm_plan"]["service_ip"] for host in hosts]
        except KeyError:
            raise AnsibleActionFail("a host of the play has no fact vllm_plan, wanted it on each: run ascend_ops.vllm.plan before.") from None
        if len(peers) < 2:
            return {}
        return {"peers": peers, "address": peers[hosts.index(self._host)], "key": _key(self._task._uuid)}

    def _show(self, stage: str, done: int, all_bytes: int) -> None:
        """Print how far the host is, from time to time."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._since, rate = stage, (now, done), 0.0
        elif now - self._shown[0] < SHOW_SECONDS:
            return
        else:
            rate = (done - self._shown[1]) / (now - self._shown[0])
        self._shown = (now, done)
        display.display(f"{self._host}: {weights.progress(stage, done, all_bytes, rate)}")


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
