# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts and settings of the service, read from the inventory and the files of profiles/."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible.utils.display import Display
from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    consistency,
    groups,
    names,
    network,
    settings,
    variants,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.flags import Flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import Model
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.profiles import Profiles
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import (
    Problem,
    ProblemError,
    listed,
    together,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import MANIFEST
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._accepted import ACCEPT, ids_of

COLLECTION = Path(__file__).resolve().parents[2]
display = Display()


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file of the collection, by the fast parser if there is one."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _line_of_error(path: Path) -> str:
    """Return the line that is no YAML, as some versions of Ansible keep it from the text of their error."""
    try:
        yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return f", line {error.problem_mark.line + 1}," if error.problem_mark else ""
    except (OSError, yaml.YAMLError):
        return ""
    return ""


def options(role: str) -> dict[str, Any]:
    """Return the options of all entry points of a role."""
    specs = read_yaml(COLLECTION / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


# Read while Ansible loads the plugin, which is once in a run, and not in the process of each task.
SETTINGS = options("plan")
FOLDER = {
    name: SETTINGS[name] for name in ("vllm_model_dir", "vllm_model_repo")
}  # the one is named after the other
OF_EACH_HOST = ("ansible_facts", "vars")  # variables that Ansible creates for each task
CHOICES = ("hardware", "release", "image_variant")  # settings that choose a file, or a row of one
# Variables of which a plan is made, and those on which the folder of a host's weights depends.
OF_PLAN = ("vllm_profile", *settings.keys(SETTINGS))
OF_FOLDER = ("vllm_profile", *FOLDER, *(f"vllm_{choice}" for choice in CHOICES))
ROLES = ("preflight", "image", "weights", "container", "patch", "serve", "verify", "gateway")
ROLE_OPTIONS = {name: option for role in ROLES for name, option in options(role).items()}
PLAYBOOK_OPTIONS = read_yaml(COLLECTION / "playbooks/vars/options.yml")
KNOWN = {**SETTINGS, **ROLE_OPTIONS, **PLAYBOOK_OPTIONS}


class Inventory:
    """The hosts of the service and their settings, as an action sees them."""

    def __init__(self, action: ActionBase, task_vars: dict[str, Any]) -> None:
        self.variables = Variables(task_vars, action._templar, action._loader)
        self.profiles = Profiles(COLLECTION / "profiles", self._read)
        self._loader = action._loader
        self._contents: dict[Path, Any] = {}
        self._layers: dict[tuple[str, ...], list[settings.Layer]] = {}
        self._bases: dict[tuple[str, ...], settings.Base] = {}
        self._flags: dict[str, Flags] = {}
        self._releases: dict[str, Release | None] = {}
        self._patches: dict[tuple[Any, ...], list[Problem]] = {}
        self._merged: dict[str, tuple[dict[str, Any], tuple[Problem, ...]]] = {}

    def hosts(self) -> list[str]:
        """Return the hosts of the service, head first."""
        head_group, worker_group = groups.of_service(self.variables.of(self.variables.host))
        members = self.variables.task["groups"]
        refuse(groups.problems(members, head_group, worker_group))
        return [*members.get(head_group, []), *members.get(worker_group, [])]

    def addresses(self, hosts: list[str]) -> dict[str, Any]:
        """Return the address of each host in the service network."""
        addresses = {}
        for host in hosts:
            variables = self.variables.of(host)
            addresses[host] = variables.get("vllm_service_ip") or variables.get("ansible_host", host)
        return addresses

    def merged(self, hosts: Iterable[str], problems: Iterable[Problem] = ()) -> dict[str, dict[str, Any]]:
        """Return the merged settings of each of *hosts*, head first, or refuse all that is wrong."""
        hosts = list(dict.fromkeys(hosts))
        merged: dict[str, dict[str, Any]] = {}
        found = list(problems)
        for host in hosts:
            merged[host], own = self._settings_of(host)
            found += [problem if problem.place else problem.on(host) for problem in own]
        refuse(found)
        head = hosts[0]
        refuse(p for host in hosts for p in consistency.disagreements(host, merged[host], head, merged[head]))
        return merged

    def manifests(self, hosts: Iterable[str]) -> dict[str, str]:
        """Return where each of *hosts* has the manifest of its weights, as far as its settings tell."""
        folders = {host: self._model_dir(host) for host in hosts}
        return {host: f"{folder}/{MANIFEST}" for host, folder in folders.items() if folder}

    def digest(self, host: str, hosts: Iterable[str], *others: Any) -> str:
        """Return a digest of what the plan of a host is made of: variables, and the *others*, which JSON can hold.

        Of the other *hosts*, the variables count that name their weights. The files of profiles/ do not change
        during a run, so that they need not be read for this. A task may write one of the user's.
        """
        hosts = list(hosts)
        values = [self._values(host, OF_PLAN), *(self._values(name, OF_FOLDER) for name in hosts)]
        read = [values, [self.base(name).values for name in hosts if self._has_own_file(name)], others]
        return hashlib.sha256(json.dumps(read, default=str).encode()).hexdigest()

    def _values(self, host: str, names: Iterable[str]) -> dict[str, Any]:
        variables = self.variables.of(host)
        return {name: variables[name] for name in names if name in variables}

    def _model_dir(self, host: str) -> str | None:
        """Return one setting of a host without the others: each host asks this for all of them."""
        if host not in self._merged:
            own = settings.of_inventory(FOLDER, self.variables.of(host))
            return settings.settings(FOLDER, self.base(host), own)[0].get("model_dir")
        return self._merged[host][0].get("model_dir")

    def _merge(self, host: str) -> tuple[dict[str, Any], list[Problem]]:
        if host not in self._merged:
            own = settings.of_inventory(SETTINGS, self.variables.of(host))
            merged, problems = settings.settings(SETTINGS, self.base(host), own)
            self._merged[host] = merged, tuple(problems)
        merged, kept = self._merged[host]
        return merged, [*kept]

    def _settings_of(self, host: str) -> tuple[dict[str, Any], list[Problem]]:
        variables = self.variables.of(host)
        merged, problems = self._merge(host)
        given = self.variables.names(host)
        problems += names.wrong(KNOWN, given) + role_options.api_key_problems(variables)
        problems += role_options.problems(PLAYBOOK_OPTIONS, variables)
        problems += network.nic_problems(variables.get("vllm_service_nic"))
        problems += _accept_problems(ids_of(variables.get(ACCEPT)))
        if problems:
            return merged, problems
        flags = self.flags_of(merged)
        strange = names.foreign(KNOWN, given, flags.kinds) + names.doubtful(KNOWN, given)
        for name, meant in strange:
            hint = f" Is {meant} meant?" if meant else ""
            display.warning(f"The variable {name} is not a setting of ascend_ops.vllm, and is ignored.{hint}")
        guessed = names.guessed(KNOWN, variables, flags.kinds, merged)
        return merged, guessed + consistency.problems(merged, flags) + self._patch_problems(merged)

    def _patch_problems(self, chosen: dict[str, Any]) -> list[Problem]:
        """Return what is wrong with the patch set; hosts with the same one share the work."""
        key = (chosen["patch_set"], chosen["patch_repairs"], str(chosen["image_versions"].get("vllm")))
        if key not in self._patches:
            try:
                self.profiles.patch(chosen)
                self._patches[key] = []
            except ProblemError as error:
                self._patches[key] = [error.problem]
        return self._patches[key]

    def base(self, host: str) -> settings.Base:
        """Return what the files of a host say; hosts with the same ones share the work."""
        files = self._files(host)
        if files not in self._bases:
            self._bases[files] = settings.read(SETTINGS, self._layers[files])
        return self._bases[files]

    def shipped(self, host: str) -> settings.Base:
        """Return what those files of a host say that are the collection's own."""
        layers = self._layers[self._files(host)]
        return settings.read(SETTINGS, [layer for layer in layers if layer.place.startswith("profiles/")])

    def _files(self, host: str) -> tuple[str, ...]:
        """Return what chooses the files of a host, once they are read."""
        profile, *given = files = self._chosen(host)
        if files not in self._layers:
            self._layers[files] = self.profiles.layers(profile, dict(zip(CHOICES, given)))
        return files

    def _chosen(self, host: str) -> tuple[str, ...]:
        variables = self.variables.of(host)
        profile = str(variables.get("vllm_profile") or SETTINGS["vllm_profile"]["default"])
        return (profile, *(str(variables.get(f"vllm_{key}") or "") for key in CHOICES))

    def _has_own_file(self, host: str) -> bool:
        """Return whether a host has settings in a file of the user's, which a path names."""
        return any(name.endswith((".yml", ".yaml")) for name in self._chosen(host))

    def release_of(self, chosen: Mapping[str, Any]) -> Release | None:
        """Return the release that the image must be; None if the table does not have it."""
        name = str(chosen["image_versions"].get("vllm_ascend") or chosen["release"])
        if name not in self._releases:
            self._releases[name] = self.profiles.release(name)
        return self._releases[name]

    def flags_of(self, chosen: Mapping[str, Any]) -> Flags:
        """Return the flags of the host's vLLM; hosts with the same version share the work."""
        version = str(chosen["image_versions"].get("vllm"))
        if version not in self._flags:
            self._flags[version] = self.profiles.serve_flags(version)
        return self._flags[version]

    def variants(self, planned: Mapping[str, Any], model: Model) -> list[str]:
        """Return the shipped profiles with quantized weights of the model that fit on the hosts of a plan."""
        return variants.quantized(self.profiles, SETTINGS, planned, model)

    def _read(self, path: Path) -> Any:
        """Return the content of a YAML file. Only one of the user's may be encrypted."""
        if path not in self._contents:
            self._contents[path] = self._load(path)
        return self._contents[path]

    def _load(self, path: Path) -> Any:
        shipped = COLLECTION in path.parents
        try:
            return read_yaml(path) if shipped else self._loader.load_from_file(str(path), unsafe=True)
        except (AnsibleError, OSError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            found = f"{path}{_line_of_error(path)} cannot be read: {reason}"
            raise ProblemError(found, "a YAML file", "correct it") from error


def _accept_problems(accept: Collection[str]) -> list[Problem]:
    """Return what is wrong with the ids of findings that a host accepts."""
    if not accept:
        return []
    # Most hosts accept none, and the checks take longer to import than all else that a lint does.
    from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import checks

    unknown = checks.accept_problem(accept)
    return [unknown] if unknown else []


class Variables:
    """The variables of all hosts. Those of the play, the role or the task hold for each of them."""

    def __init__(self, task_vars: dict[str, Any], templar: Any, loader: Any) -> None:
        self.task = task_vars
        self.host = task_vars["inventory_hostname"]
        self.inventory = task_vars["hostvars"].raw_get(self.host)
        self._loader = loader
        self._own = Templated(task_vars, templar)
        self._others: dict[str, Templated] = {}
        # What no inventory has fills in templates. It is no variable of another host, as a default of a role is among it.
        self._more = {name: value for name, value in task_vars.items() if name not in self.inventory}
        self._shared = {name: value for name, value in task_vars.items() if self._is_shared(name)}

    def of(self, host: str) -> Mapping[str, Any]:
        """Return the variables of a host, as templates that are filled in when they are read."""
        if host == self.host:
            return Named(self._own, host)
        if host not in self._others:
            variables = {**self.task["hostvars"].raw_get(host), **self._shared}
            templar = Templar(self._loader, variables={**self._more, **variables})
            self._others[host] = Templated(variables, templar)
        return Named(self._others[host], host)

    def names(self, host: str) -> list[str]:
        """Return the names of the variables of a host, without its facts, which Ansible may inject."""
        facts = self.facts(host)
        return [name for name in self.of(host) if name not in facts]

    def facts(self, host: str) -> Mapping[str, Any]:
        """Return the facts of a host."""
        return self.task["hostvars"].raw_get(host).get("ansible_facts", {})

    def _is_shared(self, name: str) -> bool:
        """Return whether a variable is from the play, the role or the task, each of which is above the inventory."""
        if name in self.inventory:
            return name not in OF_EACH_HOST and not _are_same(self.inventory[name], self.task[name])
        return name in SETTINGS


def _are_same(first: Any, second: Any) -> bool:
    """Return whether two values are the same. One that a vault encrypts is not decrypted for that, which takes time."""
    first, second = (getattr(value, "_ciphertext", value) for value in (first, second))
    try:
        return bool(first == second)
    except AnsibleError:  # a part that no password decrypts: whoever reads it is told so
        return True


class Named(Mapping[str, Any]):
    """Variables whose errors say which one cannot be read, and of which host."""

    def __init__(self, variables: Mapping[str, Any], host: str) -> None:
        self._variables = variables
        self._host = host

    def __getitem__(self, name: str) -> Any:
        try:
            return self._variables[name]
        except AnsibleError as error:
            raise _not_readable(f"{name} of host {self._host}", name, str(error)) from error

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def _not_readable(what: str, name: str, error: str) -> ProblemError:
    """Return the problem of a variable that Ansible cannot give."""
    reason = " ".join(error.split()).rstrip(".")
    if "vault secrets" in reason:  # as Ansible calls the passwords of its own vault
        remedy = "add --ask-vault-pass or --vault-password-file FILE, with the password of that vault"
        return ProblemError(f"{what} cannot be decrypted: {reason}", "the password of the vault", remedy)
    found = f"{what} cannot be computed: {reason}"
    return ProblemError(found, "an expression that Jinja can compute", f"correct {name}")


class Templated(Mapping[str, Any]):
    """Variables that are filled in when they are read."""

    def __init__(self, raw: Mapping[str, Any], templar: Any) -> None:
        self._raw = raw
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._raw[name])

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def refuse(problems: Iterable[Problem]) -> None:
    """End the task if there are problems, with all of them."""
    found = together(problems)
    if found:
        # Without what it was raised from, which Ansible would print as well, and which says the same.
        raise AnsibleActionFail("The inventory cannot be used:\n" + listed(found)) from None
