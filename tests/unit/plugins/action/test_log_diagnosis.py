# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict over the records of all hosts, and the bundle."""

from __future__ import annotations

import json
import stat
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from actions import Site
from ansible_collections.ascend_ops.vllm.plugins.action import log_diagnosis

FULL = "2026-11-25T04:00:01.0Z RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB, key a-secret-of-the-inventory"
SECRET = {"vllm_api_key": "a-secret-of-the-inventory", "my_token": "{{ nowhere }}", "own_password": "short"}


@pytest.fixture(name="site")
def site_with_records(tmp_path):
    inventory = {
        "vllm_head": {"hosts": {"node0": {}}},
        "vllm_workers": {"hosts": {"node1": {}}},
        "others": {"hosts": {"jump": {}}},
        "all": {"vars": SECRET},
    }
    site = Site(tmp_path, inventory)
    for host, log in (("node0", ""), ("node1", FULL)):
        records = {"container": None, "log": log, "npu_log": "", "kernel": "", "errors": ["no container"]}
        site.tell(host, vllm_plan=None, vllm_records=records, other_fact="x")
    return site


def members(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as archive:
        files = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file}


def test_the_verdict_names_the_host_with_the_cause(site):
    result = site.action("log_diagnosis", "node0").result()
    assert result["changed"] is False
    assert result["bundle"] is None
    assert result["findings"][0]["host"] == "node1"
    assert "node1" in result["verdict"]
    assert "jump" not in result["verdict"]
    assert SECRET["vllm_api_key"] not in str(result)


def test_the_bundle_is_complete_private_and_without_secrets(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HUB_TOKEN", "a-secret-of-the-environment")
    site.tell("node0", vllm_host_facts={"note": "a-secret-of-the-environment"})
    bundle = tmp_path / "a/b/report.tar.gz"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("old", encoding="utf-8")
    bundle.chmod(0o644)
    result: dict[str, Any] = site.action("log_diagnosis", "node0", bundle=str(bundle)).result()
    assert (result["changed"], result["bundle"]) == (True, str(bundle))
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    found = members(bundle)
    assert all(name.startswith("report/") for name in found)
    assert result["verdict"] in found["report/verdict.txt"]
    assert "NPU out of memory" in found["report/node1/container.log"]
    assert '"ansible-core"' in found["report/versions.json"]
    assert '"ascend_ops.vllm"' in found["report/versions.json"]
    assert not [name for name in found if "jump" in name]
    assert not [text for text in found.values() if "a-secret-of" in text]
    with tarfile.open(bundle) as archive:
        assert all(one.mode == 0o600 and abs(one.mtime - time.time()) < 600 for one in archive.getmembers())


@pytest.mark.parametrize("installed", [True, False])
def test_the_bundle_has_the_version_of_the_collection(site, tmp_path, monkeypatch, installed):
    """A checkout has galaxy.yml, and what was installed MANIFEST.json."""
    about: dict[str, Any] = {"version": "9.8.7"}
    name, content = ("MANIFEST.json", {"collection_info": about}) if installed else ("galaxy.yml", about)
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(log_diagnosis, "COLLECTION", tmp_path)
    bundle = tmp_path / "report.tar.gz"
    site.action("log_diagnosis", "node0", bundle=str(bundle)).result()
    assert json.loads(members(bundle)["report/versions.json"])["ascend_ops.vllm"] == "9.8.7"


def test_a_folder_for_the_bundle_is_made_and_private(site, tmp_path):
    bundle = tmp_path / "new/report.tar.gz"
    site.action("log_diagnosis", "node0", bundle=str(bundle)).result()
    assert stat.S_IMODE(bundle.parent.stat().st_mode) == 0o700


def test_check_mode_writes_nothing(site, tmp_path):
    bundle = tmp_path / "report.tar.gz"
    result = site.action("log_diagnosis", "node0", check=True, bundle=str(bundle)).result()
    assert (result["changed"], result["bundle"]) == (True, None)
    assert not bundle.exists()


def test_a_bundle_that_cannot_be_written_is_an_error(site, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    bundle = tmp_path / "file/report.tar.gz"
    assert str(bundle) in site.refusal("log_diagnosis", "node0", bundle=str(bundle))


@pytest.mark.parametrize("argument", ["paths", "text"])
def test_given_logs_are_for_the_module(site, argument):
    run = site.action("log_diagnosis", "node0", [{"verdict": "of the module"}], **{argument: "log"})
    assert run.result() == {"verdict": "of the module"}
    assert run.modules == [("ascend_ops.vllm.log_diagnosis", {argument: "log"})]
