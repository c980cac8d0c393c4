# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import plan
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, vllm_log
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction

COLLECTION = Path(__file__).resolve().parents[2]
FACTS = ("vllm_plan", "vllm_host_facts", "vllm_npu", "vllm_image_content", "vllm_records")


class ActionModule(ActionBase):
    """Diagnoses the service from the records of all its hosts, and packs them."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        bundle = self.validate_argument_spec({"bundle": {"type": "path"}})[1]["bundle"]
        hostvars, groups = task_vars["hostvars"], task_vars["groups"]
        names = [name for group in plan.groups(task_vars) for name in groups.get(group, [])]
        known = set(redaction.secrets(os.environ)).union(*(secrets_of(hostvars[name]) for name in names))
        facts = {name: redaction.data(facts_of(hostvars[name]["ansible_facts"]), known) for name in names}
        logs = {name: lines_of(found["vllm_records"]) for name, found in facts.items()}
        findings = diagnosis.diagnose(logs)
        verdict = diagnosis.verdict(
            [host_of(name, found, logs[name]) for name, found in facts.items()], findings
        )
        result = {
            "verdict": verdict,
            "findings": [dict(finding.data(), host=finding.host) for finding in findings],
            "changed": bool(bundle),
            "bundle": None,
        }
        if bundle and not self._task.check_mode:
            try:
                pack(Path(bundle), files(facts, result))
            except OSError as exc:
                raise AnsibleActionFail(
                    f"{bundle} could not be written: {exc.strerror}. Wanted: a new archive. Set diagnose_dir to a folder of yours."
                ) from exc
            result["bundle"] = bundle
        return result


def secrets_of(variables: Mapping[str, Any]) -> set[str]:
    """Return the values of a host's secrets. Variables are templates, and one whose source is not there has no value."""
    found = {}
    for name in filter(redaction.NAME.search, variables):
        try:
            found[name] = variables[name]
        except AnsibleError:
            continue
    return redaction.secrets(found)


def facts_of(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a host, None for what is not, without the patches' text."""
    found = {name: known.get(name) for name in FACTS}
    if found["vllm_plan"] and found["vllm_plan"]["patch"]:
        patch = {
            key: value
            for key, value in found["vllm_plan"]["patch"].items()
            if key not in ("releases", "smoke_test")
        }
        found["vllm_plan"] = {**found["vllm_plan"], "patch": patch}
    return found


def lines_of(records: Mapping[str, Any] | None) -> list[vllm_log.Line]:
    """Return the lines of the container's log, with those that the kernel said meanwhile."""
    if not records:
        return []
    log = vllm_log.lines_of(records["log"])
    begin = next((line.at for line in log if line.at is not None), time.time())
    kernel = [line for line in vllm_log.kernel_lines(records["kernel"]) if (line.at or 0) >= begin]
    return sorted(log + kernel, key=lambda line: line.at or 0) if kernel else log


def host_of(name: str, facts: Mapping[str, Any], log: list[vllm_log.Line]) -> diagnosis.Host:
    """Return where a host stands."""
    role = facts["vllm_plan"]["role"] if facts["vllm_plan"] else "?"
    if not facts["vllm_records"]:
        return diagnosis.Host(name, role, "unreachable", None)
    container = facts["vllm_records"]["container"]
    if not container:
        return diagnosis.Host(name, role, "; ".join(facts["vllm_records"]["errors"]) or "absent", None)
    state = container["State"]
    killed = ", killed for lack of memory" if state["OOMKilled"] else ""
    if not state["Running"]:
        return diagnosis.Host(
            name,
            role,
            f"{state['Status']} with {state['ExitCode']} at {state['FinishedAt'][:19]}{killed}",
            None,
        )
    since = vllm_log.epoch(state["StartedAt"]) or 0
    said = f"up since {state['StartedAt'][:19]}, {container['RestartCount']} restarts{killed}"
    return diagnosis.Host(name, role, said, [line for line in log if (line.at or since) >= since])


def files(facts: Mapping[str, Mapping[str, Any]], result: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield name and text of each file of the archive."""
    yield "verdict.txt", result["verdict"] + "\n"
    yield "findings.json", as_json(result["findings"])
    galaxy, manifest = COLLECTION / "galaxy.yml", COLLECTION / "MANIFEST.json"
    about = yaml.safe_load((galaxy if galaxy.exists() else manifest).read_text(encoding="utf-8"))
    version = about.get("version") or about["collection_info"]["version"]
    yield (
        "versions.json",
        as_json(
            {"ascend_ops.vllm": version, "ansible-core": ansible_version, "python": platform.python_version()}
        ),
    )
    for host, found in facts.items():
        records = found["vllm_records"]
        for name in FACTS[:-1]:
            if found[name]:
                yield f"{host}/{name}.json", as_json(found[name])
        if records:
            yield f"{host}/container.json", as_json(records["container"])
            yield f"{host}/container.log", records["log"]
            yield f"{host}/kernel.log", records["kernel"]
            yield f"{host}/errors.txt", "\n".join(records["errors"])


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def pack(path: Path, contents: Iterable[tuple[str, str]]) -> None:
    """Write a new archive that only its owner can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file, tarfile.open(
        fileobj=file, mode="w:gz"
    ) as archive:
        for name, text in contents:
            raw = text.encode("utf-8", "replace")
            member = tarfile.TarInfo(f"{path.name.partition('.')[0]}/{name}")
            member.size, member.mode, member.mtime = len(raw), 0o600, int(time.time())
            archive.addfile(member, io.BytesIO(raw))
