# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of the service's hosts, without secrets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import groups
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import records
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction


def redacted_facts(task_vars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts of each host of the service, without the secrets of inventory and environment."""
    hostvars = task_vars["hostvars"]
    names = [name for group in groups.of_service(task_vars) for name in task_vars["groups"].get(group, [])]
    secrets = set(redaction.secrets(os.environ)).union(*(secrets_of(hostvars[name]) for name in names))
    return {name: redaction.data(records.select(hostvars[name]["ansible_facts"]), secrets) for name in names}


def secrets_of(variables: Mapping[str, Any]) -> set[str]:
    """Return the values of a host's secrets, except those whose template fails."""
    values = {}
    for name in filter(redaction.NAME.search, variables):
        with contextlib.suppress(AnsibleError):
            values[name] = variables[name]
    return redaction.secrets(values)
