# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told to do with its weights, and whose problem a probe of the endpoint is."""

from __future__ import annotations

from typing import Any

import pytest
from actions import Site
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, failure
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Request,
    Snapshot,
)

OLD = Snapshot("0" * 40, [File("config.json", 2, "a" * 64)])
NEW = Snapshot("1" * 40, [File("config.json", 2, "b" * 64)])
NO_WAY_OUT = Problem("the hub cannot be reached", "an answer", "Set O(proxy)")


def checked(snapshot: Snapshot, known: bool = False, files: int = 1, **more: Any) -> dict[str, Any]:
    """Return what the module weights_download tells in check mode."""
    return {
        "listing": snapshot.text(),
        "from_manifest": known,
        "fetched_files": files,
        "verified_files": 0,
        **more,
    }


@pytest.fixture(name="agree")
def agree_on_weights(tmp_path):
    def agree(checks: dict[str, Any], host: str = "node0", **arguments: Any) -> dict[str, Any]:
        site = Site(tmp_path, {"all": {"hosts": {"node0": {}, "node1": {}}}})
        run = site.action(
            "weights_agreement", host, checks=checks, repo="a/b", role="ascend_ops.vllm.weights", **arguments
        )
        return run.result()

    return agree


def test_a_host_gets_what_the_first_one_has(agree):
    checks = {"node0": checked(OLD, known=True, files=0), "node1": checked(NEW)}
    first, second = agree(checks), agree(checks, "node1")
    assert (first["commit"], first["differs"], first["to_do"]) == (OLD.commit, False, 0)
    assert (second["commit"], second["differs"], second["to_do"]) == (OLD.commit, True, 1)
    assert second["listing"] == OLD.text()
    assert second["digest"] == OLD.digest
    assert not second["changed"]


@pytest.mark.parametrize(("given", "differs"), [({}, False), ({"share": True}, True)])
def test_other_documentation_matters_only_where_hosts_share_a_download(agree, given, differs):
    texts = [File("README.md", 5, digest * 64) for digest in "cd"]
    first, second = (OLD._replace(files=[*OLD.files, text]) for text in texts)
    checks = {"node0": checked(first, known=True), "node1": checked(second)}
    assert agree(checks, "node1", **given)["differs"] is differs


def test_other_weights_are_refused_with_the_variables_of_the_user(agree):
    checks = {"node0": checked(OLD, known=True), "node1": checked(NEW, known=True)}
    names = {"dir": "vllm_model_dir", "revision": "vllm_model_revision"}
    result = agree(checks, "node1", _variables=names)
    assert result["failed"]
    assert result["problem"]["where"] == "host node1, stage weights"
    assert "vllm_model_dir" in result["msg"]
    assert result["msg"].startswith("Host node1, stage weights\n")


def test_a_host_that_is_not_in_the_run_counts(agree):
    request = Request("a/b", "v1", Choice(["*.json"], ["x"]))
    stats = {file.path: Stat(0, 0) for file in OLD.files}
    text = manifest.render(manifest.Manifest("", request, OLD, {}), stats, "")
    given = {"revision": "v1", "include": ["*.json"], "exclude": ["x"]}
    assert agree({"node0": checked(NEW)}, outside={"node1": text}, **given)["commit"] == OLD.commit
    assert agree({"node0": checked(NEW)}, outside={"node1": text})["commit"] == NEW.commit


@pytest.mark.parametrize(
    ("known", "unread", "warned"),
    [(False, ["node1"], True), (True, ["node1"], False), (False, [], False)],
)
def test_a_host_that_could_not_be_asked_is_a_warning_unless_another_one_knows(agree, known, unread, warned):
    result = agree({"node0": checked(OLD, known=known)}, unread=unread)
    assert ("warnings" in result) is warned
    assert "node1" in str(result.get("warnings", "node1"))


def test_nobody_who_reaches_the_hub(agree):
    result = agree(
        {"node0": checked(Snapshot("", []), unreached=NO_WAY_OUT.data())}, _variables={"proxy": "my_proxy"}
    )
    assert "Set my_proxy" in result["msg"]


def test_a_probe_that_found_several_problems_names_the_host_once(tmp_path):
    problem = Problem("HTTP status 500", "200", "Look").data()
    answer = {"failed": True, "msg": "Both are wrong.", "problems": [problem, problem]}
    site = Site(tmp_path, {"all": {"hosts": {"node0": {}}}})
    result = site.action("endpoint_probe", "node0", [answer]).result()
    assert result["msg"] == "Host node0\nBoth are wrong."
    healthy = site.action("endpoint_probe", "node0", [{"changed": False, "msg": "All is well."}]).result()
    assert healthy["msg"] == "All is well."


@pytest.mark.parametrize("delegated", ["", "node1"])
def test_a_probe_names_the_host_that_asked(tmp_path, delegated):
    site = Site(tmp_path, {"all": {"hosts": {"node0": {}, "node1": {}}}})
    answer = failure(Problem("HTTP status 500", "200", "Look"), failed=True)
    run = site.action("endpoint_probe", "node0", [answer], role="ascend_ops.vllm.verify", url="http://a")
    run.action._task.delegate_to = delegated or None
    result = run.result()
    assert result["problem"]["where"] == f"host {delegated or 'node0'}, stage verify"
    assert run.modules == [("ascend_ops.vllm.endpoint_probe", {"url": "http://a"})]
