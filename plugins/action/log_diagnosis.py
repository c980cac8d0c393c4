# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import platform
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, records
from ansible_collections.ascend_ops.vllm.plugins.plugin_utils._redacted import redacted_facts

COLLECTION = Path(__file__).resolve().parents[2]
LOGS = {"paths", "text"}


class ActionModule(ActionBase):
    """Diagnoses the records of all hosts, or with the module the logs that the task gives."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        if LOGS & set(self._task.args):
            return self._execute_module(module_name="ascend_ops.vllm.log_diagnosis", task_vars=task_vars)
        bundle = self.validate_argument_spec({"bundle": {"type": "path"}})[1]["bundle"]
        facts = redacted_facts(task_vars)
        logs = {name: records.lines(selected) for name, selected in facts.items()}
        findings = diagnosis.diagnose(logs)
        hosts = [records.host(name, selected, logs[name]) for name, selected in facts.items()]
        result = {
            "changed": bool(bundle),
            "verdict": diagnosis.verdict(hosts, findings),
            "findings": [dict(finding.data(), host=finding.host) for finding in findings],
            "bundle": None,
        }
        if bundle and not self._task.check_mode:
            pack(Path(bundle), records.files(facts, result, versions()))
            result["bundle"] = bundle
        return result


def versions() -> dict[str, str]:
    """Return the versions of what runs on the controller."""
    galaxy, manifest = COLLECTION / "galaxy.yml", COLLECTION / "MANIFEST.json"
    about = yaml.safe_load((galaxy if galaxy.exists() else manifest).read_text(encoding="utf-8"))
    version = about.get("version") or about["collection_info"]["version"]
    return {"ascend_ops.vllm": version, "ansible-core": ansible_version, "python": platform.python_version()}


def pack(path: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write a new archive that only its owner can read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file, tarfile.open(
            fileobj=file, mode="w:gz"
        ) as archive:
            for name, text in files:
                raw = text.encode("utf-8", "replace")
                member = tarfile.TarInfo(f"{path.name.partition('.')[0]}/{name}")
                member.size, member.mode, member.mtime = len(raw), 0o600, int(time.time())
                archive.addfile(member, io.BytesIO(raw))
    except OSError as error:
        remedy = "Set bundle (in diagnose.yml: diagnose_dir) to a place where you can write"
        problem = Problem(f"{path} cannot be written: {error.strerror}", "a new archive", remedy)
        raise AnsibleActionFail(str(problem)) from error
