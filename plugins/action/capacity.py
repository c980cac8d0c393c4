# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    capacity,
    capacity_report,
    plan,
    variants,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import (
    Model,
    NotCounted,
    name_of,
    of_config,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import model_files
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._inventory import Inventory

ARGUMENTS = {
    "source": {"type": "str", "choices": ["settings", "folder", "hub"], "default": "settings"},
    "model_dir": {"type": "path"},
    "token": {"type": "str", "no_log": True, "default": ""},
    "download_mb": {"type": "int", "default": capacity.RATES.download // capacity.MB},
    "load_mb": {"type": "int", "default": capacity.RATES.load // capacity.MB},
}
# What options of the hub's messages are here.
VARIABLES = {
    "repo": "vllm_model_repo",
    "revision": "vllm_model_revision",
    "endpoint": "vllm_model_endpoint",
    "token": "weights_token",
    "proxy": "https_proxy",
    "source": "plan_model_dir",
    "fetch": "vllm_model_config",
}


class ActionModule(ActionBase):
    """Computes on the controller with the settings of all hosts, and contacts none of them."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        required = [("source", "folder", ("model_dir",))]
        arguments = self.validate_argument_spec(ARGUMENTS, required_if=required)[1]
        for rate in ("download_mb", "load_mb"):
            if arguments[rate] < 1:
                remedy = f"Correct it: playbooks/plan.yml takes -e plan_{rate}=N"
                raise AnsibleActionFail(
                    str(Problem(f"{rate} is {arguments[rate]}", "1 or more MB/s", remedy))
                )
        inventory = Inventory(self, task_vars)
        try:
            planned = _smallest(inventory)
            model = _model(planned, arguments)
        except ProblemError as error:
            raise AnsibleActionFail(str(error.problem.naming(VARIABLES))) from None
        except NotCounted as error:
            return _not_counted(planned, error)
        rates = capacity.Rates(arguments["download_mb"] * capacity.MB, arguments["load_mb"] * capacity.MB)
        estimate = capacity.estimate(planned, model, rates)
        problem = capacity_report.problem(planned, model, estimate, inventory.variants)
        return {
            "changed": False,
            "capacity": estimate.data(),
            "verdict": estimate.verdict,
            "problem": problem.data() if problem else {},
            "report": capacity_report.report(estimate),
            "msg": capacity_report.verdict_line(estimate, problem),
        }


def _smallest(inventory: Inventory) -> dict[str, Any]:
    """Return the plan of the host whose chips have the least memory."""
    hosts = inventory.hosts()
    settings = inventory.merged(hosts)
    host = min(hosts, key=lambda name: settings[name]["npu_hbm_mb"])
    chosen = settings[host]
    addresses = dict.fromkeys(hosts, variants.NO_ADDRESS)
    return plan.build(plan.Member(host, addresses), chosen, inventory.flags_of(chosen))


def _model(planned: dict[str, Any], arguments: dict[str, Any]) -> Model:
    """Return the model, as its files or the settings describe it."""
    settings = planned["model"]
    name = name_of(settings["repo"])
    try:
        if arguments["source"] == "settings":
            model = capacity.of_plan(planned)
            if model is None:
                raise _unknown(settings)
            return model
        files = _files(settings, arguments)
        return of_config(files.config, name, files.size or settings["size_gb"] * capacity.GB, files.tensors)
    except NotCounted:
        raise
    except ValueError as error:
        expected = "a config.json of the families GLM-4, Qwen, DeepSeek or Llama"
        raise ProblemError(f"{name}: {error}", expected, "Correct it, or take the file again") from None


def _not_counted(planned: dict[str, Any], error: NotCounted) -> dict[str, Any]:
    """Return the result for a model of another architecture: what does not depend on it."""
    settings, npu = planned["model"], planned["npu"]
    problem = capacity_report.not_counted(error)
    chips = f"{len(planned['hosts'])} x {npu['count']} NPUs of {npu['hbm_mb'] / 1024:.1f} GiB"
    return {
        "changed": False,
        "capacity": {},
        "verdict": capacity.UNKNOWN,
        "problem": problem.data(),
        "report": f"{settings['repo']} with {settings['size_gb']} GB on {chips}",
        "msg": f"Not known: {problem.found}. {problem.remedy[0].upper()}{problem.remedy[1:]}",
    }


def _files(settings: dict[str, Any], arguments: dict[str, Any]) -> model_files.ModelFiles:
    if arguments["source"] == "folder":
        return model_files.of_folder(str(Path(arguments["model_dir"])))
    # Only a hub needs requests, which takes a while to import, and may be missing here.
    from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import hubs, server

    if server.REQUESTS_ERROR:
        remedy = "Install it on this machine (python3 -m pip install requests), or name a folder"
        raise ProblemError("Python has no package requests", "requests, to ask the hub", remedy)
    source = hubs.HUBS[settings["hub"]](settings["endpoint"], arguments["token"])
    return model_files.of_hub(source, settings["repo"], settings["revision"])


def _unknown(settings: dict[str, Any]) -> ProblemError:
    described = settings["config"].get("repo")
    return ProblemError(
        f"vllm_model_config describes {described}, and vllm_model_repo is {settings['repo']}"
        if described
        else "vllm_model_config is empty",
        f"keys of the config.json of {settings['repo']}",
        "Set vllm_model_config, or take the model's own file: -e plan_model_dir=FOLDER, or -e plan_hub=true",
    )
