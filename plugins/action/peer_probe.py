# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import connectivity
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host

MODULE = "ascend_ops.vllm.peer_probe"
CHOICES = [connectivity.QUICK, connectivity.FULL]


class ActionModule(ActionBase):
    """Runs the module with the calls and pings that this host contributes."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {"pings": {"type": "str", "choices": CHOICES, "default": connectivity.QUICK}}
        pings = self.validate_argument_spec(spec)[1]["pings"]
        facts = {
            name: task_vars["hostvars"][name]["ansible_facts"] for name in task_vars["ansible_play_hosts"]
        }
        try:
            hosts = [Host.of(name, facts[name]) for name in facts]
        except ValueError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        own = connectivity.assignments(task_vars["inventory_hostname"], hosts, pings)
        arguments = {f"_{name}": value for name, value in own.items()}
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
