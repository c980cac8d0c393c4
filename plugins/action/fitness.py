# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils import fitness

FACTS = {"npu": "ascend_ops.vllm.npu_facts", "vllm_host": "ascend_ops.vllm.plan", "vllm_plan": "ascend_ops.vllm.plan"}

display = Display()


class ActionModule(ActionBase):
    """Judges the facts of all hosts of the play at once, so that all that is wrong is told together."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec({"allow_newer": {"type": "bool", "default": False}})[1]
        hosts = [self._host(name, task_vars["hostvars"][name]["ansible_facts"]) for name in task_vars["ansible_play_hosts"]]
        findings = fitness.judge(hosts, arguments["allow_newer"])
        for finding in findings:
            if finding.severity == fitness.WARN:
                display.warning(fitness.describe(finding), formatted=True)
        failures = [fitness.describe(finding) for finding in findings if finding.severity == fitness.FAIL]
        if failures:
            raise AnsibleActionFail("The hosts are not fit for the service:\n\n" + "\n\n".join(failures))
        summary = fitness.summary(hosts)
        display.display(summary)
        return {"changed": False, "msg": summary, "findings": [finding._asdict() for finding in findings]}

    @staticmethod
    def _host(name: str, facts: dict[str, Any]) -> fitness.Host:
        for fact, module in FACTS.items():
            if fact not in facts:
                raise AnsibleActionFail(f"Host {name} has no fact {fact}, wanted one of this run: let a task of {module} run on it before.")
        return fitness.Host(name, facts["npu"], facts["vllm_host"], facts["vllm_plan"])
