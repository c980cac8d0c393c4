# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import report
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._accepted import accepted
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._findings import warn_and_fail
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import Inventory

ARGUMENTS = {
    "accept": {"type": "list", "elements": "str", "default": []},
    "allow_newer": {"type": "bool", "default": False},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    "weights": {"type": "dict", "default": {}},
}

display = Display()


class ActionModule(ActionBase):
    """Checks the facts of all hosts of the play at once, so that one result has all findings."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        self._inventory = Inventory(self, task_vars)
        hosts = [self._host(name, arguments, task_vars) for name in task_vars["ansible_play_hosts"]]
        try:
            findings = checks.check(hosts)
        except ProblemError as exc:
            raise AnsibleActionFail(str(exc)) from None
        data = [finding.data() for finding in findings]
        states = checks.states(hosts, findings)
        if arguments["on_failure"] == "report":
            message = report(findings) or checks.summary(hosts)
            return {"changed": False, "findings": data, "checks": states, "msg": message}
        message = warn_and_fail(self._task, findings, "The hosts cannot run the service:")
        if message:
            # Without the states: Ansible prints all that a failed task returns.
            return {"failed": True, "findings": data, "msg": message}
        summary = checks.summary(hosts)
        display.display(summary)
        return {"changed": False, "findings": data, "checks": states, "msg": summary}

    def _host(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> Host:
        facts = task_vars["hostvars"][name]["ansible_facts"]
        weights = arguments["weights"].get(name)
        accept = accepted(name, arguments["accept"], task_vars)
        more = {"allow_newer": arguments["allow_newer"], "variants": self._inventory.variants}
        try:
            return Host.of(name, facts, weights=weights, accept=accept, **more)
        except ValueError as exc:
            raise AnsibleActionFail(str(exc)) from exc
