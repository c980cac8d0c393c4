# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks

display = Display()


class ActionModule(ActionBase):
    """Judges the facts of all hosts of the play at once, so that all that is wrong is told together."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {
            "allow_newer": {"type": "bool", "default": False},
            "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        }
        arguments = self.validate_argument_spec(spec)[1]
        try:
            hosts = [
                self._host(name, task_vars["hostvars"][name]) for name in task_vars["ansible_play_hosts"]
            ]
        except ValueError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        findings = checks.judge(hosts, arguments["allow_newer"])
        result = {
            "changed": False,
            "findings": [finding._asdict() for finding in findings],
            "checks": checks.states(hosts, findings),
        }
        failures = [finding for finding in findings if finding.severity == checks.FAIL]
        if arguments["on_failure"] == "report":
            return dict(result, msg=f"{len(failures)} of {len(findings)} findings are failures.")
        for finding in findings:
            if finding.severity == checks.WARN:
                display.warning(checks.describe(finding), formatted=True)
        if failures:
            del result["checks"]  # a person reads the message, and a failed task shows all that it returns
            return dict(
                result,
                failed=True,
                msg="The hosts are not fit for the service:\n\n"
                + "\n\n".join(map(checks.describe, failures)),
            )
        result["msg"] = checks.summary(hosts)
        display.display(result["msg"])
        return result

    @staticmethod
    def _host(name: str, variables: Mapping[str, Any]) -> checks.Host:
        return checks.Host.of(
            name, {**variables["ansible_facts"], "vllm_weights_error": variables.get("vllm_weights_error")}
        )
