# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs action plugins in this process, over a real inventory of Ansible. Answers come in the place of the hosts' modules."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

ACTIONS = "ansible_collections.ascend_ops.vllm.plugins.action."
LOST = AnsibleConnectionFailure("the connection was lost")


class Clock:
    """A clock in the place of the module time, which stands still but for pauses."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Run:
    """An action, the arguments of the modules that it ran, and how often it made a new connection."""

    def __init__(self, action: Any, variables: dict[str, Any], answers: Iterable[Any]) -> None:
        self.action, self.variables = action, variables
        self.answers = iter(answers)
        self.modules: list[tuple[str, dict[str, Any]]] = []
        self.connections = 0
        action._execute_module = self._answer
        self.options: dict[str, Any] = {}  # of the connection
        action._connection = SimpleNamespace(
            reset=self._reset,
            has_option=self.options.__contains__,
            set_option=self.options.__setitem__,
            _shell=SimpleNamespace(tmpdir="/nowhere"),
        )

    def result(self) -> dict[str, Any]:
        return self.action.run(task_vars=self.variables)

    def _reset(self) -> None:
        self.connections += 1

    def _answer(self, module_name: str, module_args: Any = None, task_vars: Any = None) -> dict[str, Any]:
        assert task_vars is self.variables
        self.modules.append(
            (module_name, dict(self.action._task.args if module_args is None else module_args))
        )
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return json.loads(json.dumps(answer))


class Site:
    """An inventory in a folder, and the facts that its hosts have told."""

    def __init__(self, folder: Path, inventory: Mapping[str, Any]) -> None:
        file = folder / "hosts.json"
        file.write_text(json.dumps(inventory), encoding="utf-8")
        self.loader = DataLoader()
        self.inventory = InventoryManager(loader=self.loader, sources=[str(file)])
        self.variables = VariableManager(loader=self.loader, inventory=self.inventory)
        HostVars(self.inventory, self.variables, self.loader)
        self._play = self._loaded(Play, {"name": "play", "hosts": "all", "gather_facts": False})

    def _loaded(self, kind: Any, data: dict[str, Any]) -> Any:
        return kind.load(data, variable_manager=self.variables, loader=self.loader)

    def tell(self, host: str, **facts: Any) -> None:
        """Let a host have facts."""
        self.variables.set_host_facts(host, facts)

    def action(
        self,
        name: str,
        host: str,
        answers: Iterable[Any] = (),
        /,
        check: bool = False,
        role: str = "",
        **arguments: Any,
    ) -> Run:
        """Return an action for a host, in a task of *role* if it is one of a role."""
        task = Task()
        task.action, task.args, task.check_mode = f"ascend_ops.vllm.{name}", arguments, check
        variables = self.variables.get_vars(play=self._play, host=self.inventory.get_host(host), task=task)
        if role:
            task._role = SimpleNamespace(get_name=lambda: role)
        templar = Templar(loader=self.loader, variables=variables)
        module = importlib.import_module(ACTIONS + name)
        action = module.ActionModule(task, None, SimpleNamespace(check_mode=check), self.loader, templar)
        return Run(action, variables, answers)

    def refusal(self, *arguments: Any, **more: Any) -> str:
        """Return the message of an action that raises."""
        with pytest.raises(AnsibleError) as refused:
            self.action(*arguments, **more).result()
        return str(refused.value)
