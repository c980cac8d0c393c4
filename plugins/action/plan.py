# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    lint,
    names,
    plan,
    role_options,
    settings,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.profiles import Profiles
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.finding import (
    FAIL,
    INFO,
    WARN,
    Finding,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import (
    Problem,
    ProblemError,
    listed,
    together,
)
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._accepted import ACCEPT, ids_of

COLLECTION = Path(__file__).resolve().parents[2]
display = Display()


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file of the collection, by the fast parser if there is one."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def options(role: str) -> dict[str, Any]:
    """Return the options of all entry points of a role."""
    specs = read_yaml(COLLECTION / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


# Read while Ansible loads the plugin, which is once in a run, and not in the process of each task.
SETTINGS = options("plan")
CHOICES = ("hardware", "release", "image_variant")  # settings that choose a file, or a row of one
STAGES = ("preflight", "image", "weights", "container", "patch", "serve", "verify")
ROLE_OPTIONS = {name: option for stage in STAGES for name, option in options(stage).items()}


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
        self._variables = Variables(task_vars, self._templar)
        self._profiles = Profiles(COLLECTION / "profiles", self._read)
        self._bases: dict[tuple[str, ...], tuple[settings.Base, settings.Base]] = {}
        self._flags: dict[str, Flags] = {}
        self._releases: dict[str, Release | None] = {}
        try:
            hosts = self._hosts()
            if arguments["lint"] == "report":
                return self._report(hosts)
            addresses = self._addresses(hosts)
            served = self._variables.host in hosts
            # The first task of the playbooks is for localhost, which may be a host of the service as well.
            if not (served and arguments["reuse"]):
                self._warn(self._lint(hosts, self._check_inventory(hosts)))
            if served:
                return self._plan(hosts, addresses, arguments["offline"], arguments["reuse"])
        except ProblemError as exc:
            refuse([exc.problem])
        return {"changed": False, "hosts": hosts}

    def _hosts(self) -> list[str]:
        """Return the hosts of the service, head first."""
        head_group, worker_group = plan.groups(self._variables.of(self._variables.host))
        groups = self._variables.task["groups"]
        refuse(plan.inventory_problems(groups, head_group, worker_group))
        return [*groups.get(head_group, []), *groups.get(worker_group, [])]

    def _addresses(self, hosts: list[str]) -> dict[str, Any]:
        """Return the address of each host in the service network."""
        addresses = {}
        for host in hosts:
            variables = self._variables.of(host)
            addresses[host] = variables.get("vllm_service_ip") or variables.get("ansible_host", host)
        refuse(plan.address_problems(addresses))
        return addresses

    def _check_inventory(self, hosts: list[str]) -> dict[str, dict[str, Any]]:
        """Check the settings of all hosts, and the options of all stages. Return the settings."""
        extra = load_extra_vars(self._loader)
        late = [name for name in plan.GROUPS if name in self._variables.inventory and name not in extra]
        problems = [plan.late_group_problem(name) for name in late]
        for host in hosts:
            found = role_options.problems(ROLE_OPTIONS, self._variables.of(host))
            problems += [problem.at(f"host {host}") for problem in found]
        return self._settings(hosts, problems)

    def _lint(self, hosts: list[str], merged: dict[str, dict[str, Any]]) -> list[Finding]:
        """Return what the release of the service makes of the settings; nothing if it is not a known one."""
        accept = {host: ids_of(self._variables.of(host).get(ACCEPT)) for host in hosts}
        cases = []
        for host in hosts:
            release = self._release_of(merged[host])
            if release:
                shipped = {name[len("vllm_") :]: value for name, value in self._base(host)[1].values.items()}
                cases.append(lint.Case(host, hosts, merged[host], merged[hosts[0]], shipped, release))
        return lint.findings(cases, accept)

    def _warn(self, findings: list[Finding]) -> None:
        """Refuse what fails, warn of the rest, and count the notes."""
        refuse(finding.shown().at(f"host {finding.host}") for finding in findings if finding.severity == FAIL)
        for finding in findings:
            if finding.severity == WARN:
                display.warning(finding.paragraph(f"host {finding.host}"), formatted=True)
        notes = sum(finding.severity == INFO for finding in findings)
        if notes:
            display.display(f"{notes} notes on the settings. playbooks/lint.yml shows them.")

    def _report(self, hosts: list[str]) -> dict[str, Any]:
        merged = self._check_inventory(hosts)
        findings = self._lint(hosts, merged)
        names = {host: getattr(self._release_of(merged[host]), "name", None) for host in hosts}
        return {
            "changed": False,
            "hosts": hosts,
            "releases": names,
            "findings": [finding.data() for finding in findings],
            "msg": "\n\n".join(finding.entry() for finding in findings),
        }

    def _plan(
        self, hosts: list[str], addresses: dict[str, Any], offline: bool, reuse: bool
    ) -> dict[str, Any]:
        host = self._variables.host
        variables = self._variables.of(host)
        chosen = self._settings([hosts[0], host])[host]
        patch = self._profiles.patch(chosen["patch_set"], chosen["patch_repairs"], chosen["patch_dir"])
        given = variables.get("vllm_service_nic")
        if offline and not given:
            refuse([plan.no_nic_problem(addresses[host]).at(f"host {host}")])

        flags = self._flags_of(chosen)

        def build(nic: str | None, real: Any = None) -> dict[str, Any]:
            has_key = "vllm_api_key" in variables
            content = plan.build(host, hosts, addresses, nic, chosen, flags, patch, has_key, real)
            extra = sorted(set(SETTINGS) & set(load_extra_vars(self._loader)))
            return {**content, "run": Path(C.DEFAULT_LOCAL_TMP).name, "offline": offline, "extra": extra}

        known = self._variables.facts(host).get("vllm_plan")
        gathered = self._variables.facts(host).get("vllm_host_facts", {})
        nic = given or (known or {}).get("service_nic")
        if reuse and known and known == build(nic, gathered.get("real_paths")):
            return {"changed": False, "skipped": True, "skip_reason": "The plan of this run still holds."}
        facts = {} if offline else self._host_facts(build(given))
        gathered = facts.get("vllm_host_facts", {})
        link = plan.link_problem(chosen, gathered.get("real_paths", {}))
        refuse([link.at(f"host {host}")] if link else [])
        content = build(given or gathered.get("service_nic"), gathered.get("real_paths"))
        return {"changed": False, "ansible_facts": {**facts, "vllm_plan": content}}

    def _host_facts(self, draft: dict[str, Any]) -> dict[str, Any]:
        container = draft["container"]
        result = self._execute_module(
            module_name="ascend_ops.vllm.host_facts",
            module_args={
                "service_ip": draft["service_ip"],
                "paths": container["devices"] + [mount["source"] for mount in container["mounts"]],
                "ports": [draft[port] for port in plan.PORTS] if draft["role"] == "head" else [],
                "disks": [draft["model"]["dir"], draft["model"]["cache_dir"]],
                "image": draft["image"],
            },
            task_vars=self._variables.task,
        )
        if result.get("failed"):
            message = f"The facts of the host could not be read: {result.get('msg')}"
            raise AnsibleActionFail(message, result=result)
        return result["ansible_facts"]

    def _settings(self, hosts: Iterable[str], problems: Iterable[Problem] = ()) -> dict[str, dict[str, Any]]:
        """Return the merged settings of each of *hosts*, head first, or refuse all that is wrong."""
        hosts = list(dict.fromkeys(hosts))
        merged: dict[str, dict[str, Any]] = {}
        found = list(problems)
        for host in hosts:
            merged[host], own = self._settings_of(host)
            found += [problem if problem.where else problem.at(f"host {host}") for problem in own]
        refuse(found)
        head = hosts[0]
        refuse(p for host in hosts for p in plan.disagreements(host, merged[host], head, merged[head]))
        return merged

    def _settings_of(self, host: str) -> tuple[dict[str, Any], list[Problem]]:
        variables = self._variables.of(host)
        files = self._base(host)[0]
        merged, problems = settings.settings(SETTINGS, files, settings.of_inventory(SETTINGS, variables))
        known, given = {**SETTINGS, **ROLE_OPTIONS}, self._variables.names(host)
        problems += names.wrong(known, given) + role_options.api_key_problems(variables)
        unknown = checks.accept_problem(ids_of(variables.get(ACCEPT)))
        problems += [unknown] if unknown else []
        if problems:
            return merged, problems
        flags = self._flags_of(merged)
        for name in names.foreign(known, given, flags.kinds):
            display.warning(f"The variable {name} is not a setting of ascend_ops.vllm, and is ignored.")
        guessed = names.guessed(known, variables, flags.kinds, merged)
        return merged, guessed + plan.setting_problems(merged, flags)

    def _base(self, host: str) -> tuple[settings.Base, settings.Base]:
        """Return what the files of a host say, and what the shipped ones among them do; hosts share the work."""
        variables = self._variables.of(host)
        profile = str(variables.get("vllm_profile") or SETTINGS["vllm_profile"]["default"])
        given = {key: str(variables.get(f"vllm_{key}") or "") for key in CHOICES}
        chosen = (profile, *given.values())
        if chosen not in self._bases:
            layers = self._profiles.layers(profile, given)
            shipped = [layer for layer in layers if layer.place.startswith("profiles/")]
            self._bases[chosen] = settings.read(SETTINGS, layers), settings.read(SETTINGS, shipped)
        return self._bases[chosen]

    def _release_of(self, chosen: Mapping[str, Any]) -> Release | None:
        """Return the release that the image must be; None if the table does not have it."""
        name = str(chosen["image_versions"].get("vllm_ascend") or chosen["release"])
        if name not in self._releases:
            self._releases[name] = self._profiles.release(name)
        return self._releases[name]

    def _flags_of(self, chosen: Mapping[str, Any]) -> Flags:
        """Return the flags of the host's vLLM; hosts with the same version share the work."""
        version = str(chosen["image_versions"].get("vllm"))
        if version not in self._flags:
            self._flags[version] = self._profiles.serve_flags(version)
        return self._flags[version]

    def _read(self, path: Path) -> Any:
        """Return the content of a YAML file. Only one of the user's may be encrypted."""
        shipped = COLLECTION in path.parents
        return read_yaml(path) if shipped else self._loader.load_from_file(str(path), unsafe=True)


class Variables:
    """The variables of all hosts. Those of the play, the role or the task hold for each of them."""

    def __init__(self, task_vars: dict[str, Any], templar: Any) -> None:
        self.task = task_vars
        self.host = task_vars["inventory_hostname"]
        self.inventory = task_vars["hostvars"].raw_get(self.host)
        self._own = Templated(task_vars, templar)
        own = [name for name in SETTINGS if name in task_vars]
        self._shared = {name: self._own[name] for name in own if not self._is_of_host(name)}

    def of(self, host: str) -> Mapping[str, Any]:
        """Return the variables of a host, as templates that are filled in when they are read."""
        return self._own if host == self.host else ChainMap(self._shared, self.task["hostvars"][host])

    def names(self, host: str) -> list[str]:
        """Return the names of the variables of a host, without its facts, which Ansible may inject."""
        facts = self.facts(host)
        return [name for name in self.of(host) if name not in facts]

    def facts(self, host: str) -> Mapping[str, Any]:
        """Return the facts of a host."""
        return self.task["hostvars"].raw_get(host).get("ansible_facts", {})

    def _is_of_host(self, name: str) -> bool:
        return name in self.inventory and self.inventory[name] == self.task[name]


class Templated(Mapping[str, Any]):
    """Variables that are filled in when they are read."""

    def __init__(self, raw: Mapping[str, Any], templar: Any) -> None:
        self._raw = raw
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._raw[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def refuse(problems: Iterable[Problem]) -> None:
    """End the task if there are problems, with all of them."""
    found = together(problems)
    if found:
        raise AnsibleActionFail("The inventory cannot be used:\n" + listed(found))
