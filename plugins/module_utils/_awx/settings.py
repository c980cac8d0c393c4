# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of awx_setup.yml, reported before it changes anything in AWX.

Much of it would do harm without a message: a misspelt name or a word that is no boolean takes an approval away, and a name made of
digits is that of another thing for awx.awx, which looks names up as ids too.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Callable, Collection, Iterable, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options, schema
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

PREFIX = "awx_setup_"
# Which variable of a job each secret becomes.
SECRETS = {"awx_setup_weights_token": "weights_token", "awx_setup_api_key": "vllm_api_key"}
# All secrets of the collection. AWX shows the variables of a template, and of each job, to whoever may see it.
NEVER_SHOWN = (*SECRETS.values(), "gateway_api_keys", "image_registry_password", "weights_proxy")
NOTIFICATION = ("name", "type", "configuration")
LONGEST = 512
NAME = f"1 to {LONGEST} characters on one line, not only digits, without blanks at the ends and without ++"
NAME_REMEDY = (
    "change it, or the variable that it contains, such as awx_setup_organization or awx_setup_service"
)
IN_FILE = "write it in the file that -e @FILE names"

Check = Callable[[str, Any], Iterator[Problem]]


def problems(values: Mapping[str, Any], known: Collection[str], given: Iterable[str]) -> list[Problem]:
    """Return what is wrong with the *values* of the settings, and with those *given* names that are not *known*."""
    found = []
    for name, value in values.items():
        if value is None and name not in SECRETS:
            found.append(Problem(f"{name} is null", "a value", "give it one, or remove the line"))
        else:
            found += CHECKS[name](name, value)
    for name in sorted(set(given) - set(known)):
        meant = names.closest([one[len(PREFIX) :] for one in known], name[len(PREFIX) :])
        remedy = f"rename it to {PREFIX}{meant}, if that is meant" if meant else "remove it"
        found.append(Problem(f"{name} is not a setting", "a setting of playbooks/vars/awx_setup.yml", remedy))
    return found


def name_problems(created: Iterable[Any]) -> list[Problem]:
    """Return a problem for each name that AWX or awx.awx would not find again, or would find something else by."""
    texts = dict.fromkeys(map(str, created))
    return [Problem(f"the name {text!r}", NAME, NAME_REMEDY) for text in texts if not _is_found_again(text)]


def _is_found_again(name: str) -> bool:
    """AWX removes blanks at the ends. awx.awx takes ++ for an address, and what int() takes for an id."""
    return (
        0 < len(name) <= LONGEST
        and name == name.strip()
        and name.isprintable()
        and "++" not in name
        and not re.fullmatch(r"[+-]?\d+(_\d+)*", name)
    )


def _of_type(option: schema.Option) -> Check:
    def check(name: str, value: Any) -> Iterator[Problem]:
        try:
            schema.coerce(option, value)
        except schema.WrongType:
            yield Problem(f"{name} is {value!r}", schema.expected(option), f"correct {name}")

    return check


def _text(name: str, value: Any) -> Iterator[Problem]:
    yield from _of_type({"type": "str"})(name, value)
    if value == "":
        yield Problem(f"{name} is empty", "a text", f"give it a value, or remove {name}")


def _seconds(name: str, value: Any) -> Iterator[Problem]:
    try:
        right = schema.coerce({"type": "int"}, value) > 0
    except schema.WrongType:
        right = False
    if not right:
        yield Problem(f"{name} is {value!r}", "a whole number of seconds, at least 1", f"correct {name}")


def _texts(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, (list, tuple)):
        yield Problem(f"{name} is {value!r}", "a list of names or ids", f"{IN_FILE}, such as {name}: [Vault]")
        return
    if any(isinstance(item, (bool, dict, list)) or item in (None, "") for item in value):
        yield Problem(f"{name} is {value!r}", "names or ids only", f"correct {name}")


def _url(name: str, value: Any) -> Iterator[Problem]:
    if re.match(r"[^/]*://[^/@]*:[^/@]*@", str(value)):
        remedy = "put it into a credential of type Source Control and set awx_setup_project_credential"
        yield Problem(f"{name} has a password in it, which AWX would show", "a URL without it", remedy)
        return
    yield from _text(name, value)


def _path(name: str, value: Any) -> Iterator[Problem]:
    wrong_types = [*_text(name, value)]
    if wrong_types or str(value).startswith(("/", "~")) or ".." in str(value).split("/"):
        expected = "the path of the inventory in the repository, such as inventories/prod/hosts.yml"
        yield Problem(f"{name} is {value!r}", expected, f"correct {name}")


def _secret(name: str, value: Any) -> Iterator[Problem]:
    for problem in role_options.secret_problems(SECRETS[name], {}, value):
        named = problem.found.replace(SECRETS[name], name, 1)
        yield Problem(named, problem.expected, problem.remedy)


def _variables(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        remedy = f"{IN_FILE}, such as {name}: {{vllm_head_group: qwen_head}}"
        yield Problem(f"{name} is not a mapping", "NAME: VALUE for each variable", remedy)
        return
    for secret in (secret for secret in NEVER_SHOWN if secret in value):
        setting = {of_job: setting for setting, of_job in SECRETS.items()}.get(secret)
        other = (
            "put it into a vaulted file of the inventory, or into a credential of awx_setup_more_credentials"
        )
        remedy = f"set {setting}, which becomes a credential" if setting else other
        yield Problem(f"{name} has {secret}, which AWX would show", "variables that are not secret", remedy)


def _notifications(name: str, value: Any) -> Iterator[Problem]:
    expected = f"a list of mappings with {', '.join(NOTIFICATION)}"
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, Mapping) for item in value):
        yield Problem(
            f"{name} is not such a list", expected, f"{IN_FILE}, as playbooks/vars/awx_setup.yml shows"
        )
        return
    for number, item in enumerate(value, 1):
        if set(item) != set(NOTIFICATION) or not isinstance(item["configuration"], Mapping):
            found = f"number {number} of {name} has {', '.join(map(str, item)) or 'nothing'}"
            yield Problem(found, expected, "correct it; a configuration is a mapping")
    counts = Counter(str(item.get("name")) for item in value)
    for double in (text for text, count in counts.items() if count > 1):
        yield Problem(f"{name} has {double!r} more than once", "names that differ", "rename all but one")


CHECKS: Mapping[str, Check] = {
    "awx_setup_organization": _text,
    "awx_setup_service": _text,
    "awx_setup_extra_vars": _variables,
    "awx_setup_project_url": _url,
    "awx_setup_project_branch": _of_type({"type": "str"}),
    "awx_setup_project_credential": _of_type({"type": "str"}),
    "awx_setup_project_timeout": _seconds,
    "awx_setup_inventory_path": _path,
    "awx_setup_machine_credential": _text,
    "awx_setup_more_credentials": _texts,
    "awx_setup_galaxy_credentials": _texts,
    "awx_setup_ee_image": _of_type({"type": "str"}),
    **dict.fromkeys(SECRETS, _secret),
    "awx_setup_update_secrets": _of_type({"type": "bool"}),
    "awx_setup_approval": _of_type({"type": "bool"}),
    "awx_setup_scheduled": _of_type({"type": "bool"}),
    "awx_setup_notifications": _notifications,
}
