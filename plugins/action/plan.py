# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import (
    FAIL,
    INFO,
    WARN,
    Finding,
    report,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint import lint
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import groups, mounts, network, plan
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import PORTS
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._accepted import ACCEPT, ids_of
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import (
    ROLE_OPTIONS,
    SETTINGS,
    Inventory,
    refuse,
)

display = Display()

ARGUMENTS = {
    "lint": {"type": "str", "choices": ["warn", "report"], "default": "warn"},
    "offline": {"type": "bool", "default": False},
    "reuse": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Turns inventory and profile into the plan of the host; elsewhere, only checks the inventory."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        self._inventory = Inventory(self, task_vars)
        self._variables = self._inventory.variables
        try:
            hosts = self._inventory.hosts()
            if arguments["lint"] == "report":
                return self._report(hosts)
            addresses = self._inventory.addresses(hosts)
            refuse(network.address_problems(addresses))
            served = self._variables.host in hosts
            result: dict[str, Any] = {"changed": False, "hosts": hosts}
            # The first task of the playbooks is for localhost, which may be a host of the service as well.
            if not (served and arguments["reuse"]):
                merged = self._check_inventory(hosts)
                self._warn(self._lint(hosts, merged))
                result["service"] = plan.service(addresses, merged)
            if served:
                result.update(self._plan(addresses, arguments["offline"], arguments["reuse"]))
        except ProblemError as exc:
            refuse([exc.problem])
        return result

    def _check_inventory(self, hosts: list[str]) -> dict[str, dict[str, Any]]:
        """Check the settings of all hosts, and the options of all stages. Return the settings."""
        extra = load_extra_vars(self._loader)
        late = [name for name in groups.GROUPS if name in self._variables.inventory and name not in extra]
        problems = [groups.late_problem(name) for name in late]
        for host in hosts:
            found = role_options.problems(ROLE_OPTIONS, self._variables.of(host))
            problems += [problem.on(host) for problem in found]
        return self._inventory.merged(hosts, problems)

    def _lint(self, hosts: list[str], merged: dict[str, dict[str, Any]]) -> list[Finding]:
        """Return what the release of the service makes of the settings; nothing if it is not a known one."""
        accept = {host: ids_of(self._variables.of(host).get(ACCEPT)) for host in hosts}
        cases = []
        for host in hosts:
            release = self._inventory.release_of(merged[host])
            if release:
                shipped = {
                    name[len("vllm_") :]: value
                    for name, value in self._inventory.shipped(host).values.items()
                }
                cases.append(Case(host, hosts, merged[host], merged[hosts[0]], shipped, release))
        return lint.findings(cases, accept)

    def _warn(self, findings: list[Finding]) -> None:
        """Refuse what fails, warn of the rest, and count the notes."""
        refuse(finding.shown().on(finding.host) for finding in findings if finding.severity == FAIL)
        for finding in findings:
            if finding.severity == WARN:
                display.warning(finding.paragraph(f"host {finding.host}"), formatted=True)
        notes = sum(finding.severity == INFO for finding in findings)
        if notes:
            display.display(f"{notes} notes on the settings. playbooks/lint.yml shows them.")

    def _report(self, hosts: list[str]) -> dict[str, Any]:
        merged = self._check_inventory(hosts)
        findings = self._lint(hosts, merged)
        names = {host: getattr(self._inventory.release_of(merged[host]), "name", None) for host in hosts}
        return {
            "changed": False,
            "hosts": hosts,
            "releases": names,
            "findings": [finding.data() for finding in findings],
            "msg": report(findings),
        }

    def _plan(self, addresses: dict[str, Any], offline: bool, reuse: bool) -> dict[str, Any]:
        host = self._variables.host
        variables = self._variables.of(host)
        given = variables.get("vllm_service_nic")
        outside: dict[str, Any] = {
            "has_api_key": "vllm_api_key" in variables,  # the key itself is no part of a plan
            "run": Path(C.DEFAULT_LOCAL_TMP).name,
            "offline": offline,
            "extra": sorted(set(SETTINGS) & set(load_extra_vars(self._loader))),
        }
        made_of = self._inventory.digest(host, addresses, addresses, given, outside)
        known = self._variables.facts(host).get("vllm_plan")
        if reuse and known and known["made_of"] == made_of:
            return {"changed": False, "skipped": True, "skip_reason": "The plan of this run still holds."}

        # The first task of the playbooks has not run if --limit leaves out localhost, or with --start-at-task. It does not
        # see the variables of the play either.
        wrong = [problem.on(host) for problem in role_options.problems(ROLE_OPTIONS, variables)]
        chosen = self._inventory.merged([next(iter(addresses)), host], wrong)[host]
        outside.update(
            manifests=self._inventory.manifests(addresses),
            patch=self._inventory.profiles.patch(chosen),
            made_of=made_of,
        )
        if offline and not given:
            refuse([network.no_nic_problem(addresses[host]).on(host)])

        flags = self._inventory.flags_of(chosen)

        def build(nic: str | None, real: Any = None) -> dict[str, Any]:
            return {**plan.build(plan.Member(host, addresses, nic), chosen, flags, real), **outside}

        facts = {} if offline else self._host_facts(build(given))
        gathered = facts.get("vllm_host_facts", {})
        link = mounts.link_problem(chosen, gathered.get("real_paths", {}))
        refuse([link.on(host)] if link else [])
        content = build(given or gathered.get("service_nic"), gathered.get("real_paths"))
        return {"changed": False, "ansible_facts": {**facts, "vllm_plan": content}}

    def _host_facts(self, draft: dict[str, Any]) -> dict[str, Any]:
        container, began = draft["container"], time.time()
        result = self._execute_module(
            module_name="ascend_ops.vllm.host_facts",
            module_args={
                "service_ip": draft["service_ip"],
                "paths": container["devices"] + [mount["source"] for mount in container["mounts"]],
                "ports": [draft[port] for port in PORTS] if draft["role"] == "head" else [],
                "disks": [
                    draft["model"]["dir"],
                    draft["model"]["cache_dir"],
                    *([draft["airgap_dir"]] if draft["airgap_dir"] else []),
                ],
                "image": draft["image"],
            },
            task_vars=self._variables.task,
        )
        if result.get("failed"):
            message = f"The facts of the host could not be read: {result.get('msg')}"
            raise AnsibleActionFail(message, result=result)
        found = result["ansible_facts"]["vllm_host_facts"]
        # Other hosts may be asked much later, so that each clock is compared with that of the controller.
        found["clock_ahead"] = {"least": found["epoch"] - time.time(), "most": found["epoch"] - began}
        return result["ansible_facts"]
