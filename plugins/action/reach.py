# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks, connectivity


class ActionModule(ActionBase):
    """Lets the host call and ping the other hosts of the play, as far as that falls to it."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        choices = [connectivity.QUICK, connectivity.FULL]
        arguments = self.validate_argument_spec(
            {"pings": {"type": "str", "choices": choices, "default": connectivity.QUICK}}
        )[1]
        try:
            hosts = [
                checks.Host.of(name, task_vars["hostvars"][name]["ansible_facts"])
                for name in task_vars["ansible_play_hosts"]
            ]
        except ValueError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        orders = connectivity.orders(task_vars["inventory_hostname"], hosts, arguments["pings"])
        return self._execute_module(
            module_name="ascend_ops.vllm.peer_probe", module_args=orders, task_vars=task_vars
        )
