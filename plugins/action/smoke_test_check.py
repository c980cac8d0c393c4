# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks, smoke_test
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._accepted import accepted
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._findings import warn_and_fail
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._redacted import redacted_facts

display = Display()


class ActionModule(ActionBase):
    """Judges the smoke test of all hosts of the play at once: one of them has the first cause."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {"accept": {"type": "list", "elements": "str", "default": []}}
        given = self.validate_argument_spec(spec)[1]["accept"]
        names = task_vars["ansible_play_hosts"]
        accept = {name: accepted(name, given, task_vars) for name in names}
        try:
            checks.require_ids(accept)
        except ProblemError as error:
            raise AnsibleActionFail(str(error)) from None
        known = redacted_facts(task_vars)
        hosts = {name: known[name] for name in names}
        found = [one.accept() if one.id in accept[one.host] else one for one in smoke_test.findings(hosts)]
        data = [one.data() for one in found]
        message = warn_and_fail(self._task, found, "The NPUs cannot run the service:")
        if message:
            return {"failed": True, "findings": data, "msg": message}
        if not found:
            display.display(smoke_test.summary(hosts))
        return {"changed": False, "findings": data}
