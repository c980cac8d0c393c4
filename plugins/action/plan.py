# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan, profile, role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

DEFAULT_PROFILE = "glm-4.7"
COLLECTION = Path(__file__).resolve().parents[2]
PROFILES = COLLECTION / "profiles"


class ActionModule(ActionBase):
    """Turns inventory and profile into the plan of the host; on a host outside the service, only judges the inventory."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec({"offline": {"type": "bool", "default": False}})[1]
        groups, self._hostvars = task_vars["groups"], task_vars["hostvars"]
        heads, workers = groups.get(plan.HEAD_GROUP, []), groups.get(plan.WORKER_GROUP, [])
        self._refuse(plan.inventory_errors(heads, workers))
        hosts = heads + workers
        addresses = {host: self._service_ip(host) for host in hosts}
        self._refuse(plan.address_errors(addresses))

        host = task_vars["inventory_hostname"]
        settings = (
            self._settings([hosts[0], host], {})
            if host in hosts
            else self._settings(hosts, self._role_options())
        )
        if host not in hosts:
            return {"changed": False, "hosts": hosts}
        return self._plan_of(host, hosts, addresses, settings[host], arguments["offline"], task_vars)

    def _plan_of(
        self,
        host: str,
        hosts: list[str],
        addresses: dict[str, str],
        settings: dict[str, Any],
        offline: bool,
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        nic = task_vars.get("vllm_service_nic")
        if offline and not nic:
            self._refuse(
                [
                    f"host {host}: vllm_service_nic is not set, wanted the NIC that carries {addresses[host]}: no host is asked here, so set it."
                ]
            )
        facts: dict[str, Any] = {}
        if not offline:
            facts = self._host_facts(plan.build(host, hosts, addresses, nic, settings), task_vars)
        nic = nic or facts.get("vllm_host_facts", {}).get("service_nic")
        facts["vllm_plan"] = plan.build(host, hosts, addresses, nic, settings)
        return {"changed": False, "ansible_facts": facts}

    def _host_facts(self, draft: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result = self._execute_module(
            module_name="ascend_ops.vllm.host_facts",
            module_args={
                "service_ip": draft["service_ip"],
                "paths": draft["container"]["devices"]
                + [mount["source"] for mount in draft["container"]["mounts"]],
                "ports": [draft[port] for port in plan.PORTS] if draft["role"] == "head" else [],
                "disks": [draft["model"]["dir"], draft["model"]["cache_dir"]],
                "image": draft["image"],
            },
            task_vars=task_vars,
        )
        if result.get("failed"):
            raise AnsibleActionFail(
                f"The facts of the host could not be read: {result.get('msg')}", result=result
            )
        return result["ansible_facts"]

    def _service_ip(self, host: str) -> Any:
        variables = self._hostvars[host]
        return variables.get("vllm_service_ip") or variables.get("ansible_host", host)

    def _role_options(self) -> dict[str, Any]:
        """Return what the argument_specs of all roles say of the options of their stages, and what else is a secret of the inventory."""
        found = {"vllm_api_key": {"type": "str", "no_log": True}}
        for path in COLLECTION.glob("roles/*/meta/argument_specs.yml"):
            found.update(self._read(path)["argument_specs"]["main"]["options"])
        return found

    def _settings(self, hosts: list[str], specs: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the merged settings of each of *hosts*, head first, or fail with every bad value of all of them."""
        merged, errors = {}, []
        for host in dict.fromkeys(hosts):
            variables = self._hostvars[host]
            name = str(variables.get("vllm_profile") or DEFAULT_PROFILE)
            overrides = {
                key: variables[key] for key in map(profile.PREFIX.__add__, profile.SCHEMA) if key in variables
            }
            merged[host], bad = profile.settings(name, self._load(name), overrides)
            bad += profile.unknown_variables(list(variables)) + role_options.errors(specs, variables)
            errors += [f"host {host}: {text}" for text in bad or plan.setting_errors(merged[host])]
            if not bad:
                merged[host].update(
                    patch=self._patch(merged[host]), has_api_key=bool(variables.get("vllm_api_key"))
                )
        self._refuse(errors)
        self._refuse(
            [
                text
                for host in merged
                for text in plan.disagreements(host, merged[host], hosts[0], merged[hosts[0]])
            ]
        )
        return merged

    def _load(self, name: str) -> Any:
        """Return the content of a profile."""
        return self._read(self._find("vllm_profile", name, PROFILES, "{}.yml"))

    def _patch(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return the patch set of the settings, and where it goes; None if they have none."""
        name = settings["patch_set"]
        if name is None:
            return None
        path = self._find("vllm_patch_set", name, PROFILES / "patches", "{}/patch.yml")
        try:
            content = patch_set.load(path, self._read(path), settings["patch_repairs"])
        except ProblemError as exc:
            raise AnsibleActionFail(f"vllm_patch_set is {name!r}\n{exc}") from exc
        return {"set": name, "dir": settings["patch_dir"], **content}

    def _read(self, path: Path) -> Any:
        """Return the content of a YAML file, the loader's own and no copy, for nobody changes it."""
        return self._loader.load_from_file(str(path), unsafe=True)

    def _find(self, variable: str, name: str, folder: Path, pattern: str) -> Path:
        """Return the file that a variable names: a shipped one by its name, or any YAML file by its path, the same for all playbooks."""
        path = (
            Path(name).expanduser().absolute()
            if name.endswith((".yml", ".yaml"))
            else folder / pattern.format(name)
        )
        if not path.is_file():
            shipped = ", ".join(
                sorted(
                    str(file.relative_to(folder)).replace(pattern[2:], "")
                    for file in folder.glob(pattern.format("*"))
                )
            )
            raise AnsibleActionFail(
                f"{variable} is {name!r}: no file {path}; wanted one of {shipped}, or the path of a YAML file."
            )
        return path

    @staticmethod
    def _refuse(errors: list[str]) -> None:
        if errors:
            raise AnsibleActionFail(
                "The inventory cannot be used:\n" + "\n".join(f"- {text}" for text in errors)
            )
