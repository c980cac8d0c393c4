# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.agreement import Check, order
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Choice, Request
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._place import located, place

ARGUMENTS = {
    "repo": {"type": "str", "required": True},
    "revision": {"type": "str", "default": "master"},
    "include": {"type": "list", "elements": "str", "default": ["*"]},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "checks": {"type": "dict", "required": True},
    "outside": {"type": "dict", "default": {}},
    "unread": {"type": "list", "elements": "str", "default": []},
    "share": {"type": "bool", "default": False},
    "_variables": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Decides on the controller, where the checks of all hosts are."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        host = task_vars["inventory_hostname"]
        choice = Choice(arguments["include"], arguments["exclude"])
        request = Request(arguments["repo"], arguments["revision"], choice)
        checks = {name: Check.of(name, result) for name, result in arguments["checks"].items()}
        outside = [Check.outside(name, text, request) for name, text in arguments["outside"].items()]
        try:
            own = order(
                checks[host],
                list(checks.values()),
                [check for check in outside if check],
                arguments["share"],
            )
        except ProblemError as error:
            problem = error.problem.naming(arguments["_variables"])
            return {"failed": True, **located(failure(problem), place(self._task, host))}
        unread = ", ".join(arguments["unread"])
        known = any(check.is_known for check in (*checks.values(), *filter(None, outside)))
        warning = (
            f"{host}: the weights of {unread} could not be compared, as no connection was possible. This host gets "
            f"{own.snapshot}. If {unread} has others, the next run with all hosts says so"
        )
        return {
            **({"warnings": [warning]} if unread and not known else {}),
            "changed": False,
            "listing": own.snapshot.text(),
            "commit": own.snapshot.commit,
            "digest": own.snapshot.digest,
            "differs": own.differs,
            "to_do": own.to_do,
        }
