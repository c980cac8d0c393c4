# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions that judge all hosts of a play at once, and the one that says whom a host calls."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import two_hosts
from actions import Site

HOSTS = ("node0", "node1")
INVENTORY = {"vllm_head": {"hosts": {"node0": {}}}, "vllm_workers": {"hosts": {"node1": {}}}}


@pytest.fixture(name="npus", scope="module")
def npus_of_two(tmp_path_factory):
    return [two_hosts.npu(tmp_path_factory.mktemp(f"npu{index}"), index) for index in (0, 1)]


@pytest.fixture(name="make")
def site_of_healthy_hosts(tmp_path, npus):
    """Return a function that makes a site, with other facts of node1, and with variables of the hosts."""

    def make(other: dict[str, Any] | None = None, **variables: Any) -> Site:
        inventory = copy.deepcopy(INVENTORY)
        inventory["vllm_head"]["hosts"]["node0"] = variables.get("node0", {})
        inventory["vllm_workers"]["hosts"]["node1"] = variables.get("node1", {})
        site = Site(tmp_path, inventory)
        for host, npu in zip(HOSTS, npus, strict=True):
            planned = {**two_hosts.planned(host), "patch": None}
            facts = {**two_hosts.facts(planned), **((other or {}) if host == "node1" else {})}
            site.tell(host, vllm_plan=planned, vllm_host_facts=facts, vllm_npu=npu)
        return site

    return make


WRONG = {"python_requests": False}  # fails
SMALL = {"memory_total_mb": 1}  # warns


def test_healthy_hosts_are_summed_up(make, capsys):
    result = make().action("preflight_check", "node0").result()
    failures = [one for one in result["findings"] if one["severity"] == "fail"]
    assert failures == []
    assert not result.get("failed")
    assert result["changed"] is False
    assert result["checks"]
    assert result["msg"] in capsys.readouterr().out


def test_what_fails_is_told_with_host_and_stage(make):
    run = make(WRONG).action("preflight_check", "node0", role="ascend_ops.vllm.preflight")
    result = run.result()
    assert result["failed"]
    assert "Host node1, stage preflight (python_requests)" in result["msg"]
    assert "checks" not in result
    assert [one["host"] for one in result["findings"] if one["severity"] == "fail"] == ["node1"]


def test_a_report_does_not_fail(make):
    result = make(WRONG).action("preflight_check", "node0", on_failure="report").result()
    assert not result.get("failed")
    assert result["changed"] is False
    assert "FAIL node1: python_requests" in result["msg"]
    assert result["checks"]


def test_a_report_without_findings_is_the_summary(make, monkeypatch):
    ids = {one["id"] for one in make().action("preflight_check", "node0").result()["findings"]}
    result = make().action("preflight_check", "node0", on_failure="report").result()
    assert result["msg"]
    assert ids or "node0" in result["msg"]


def test_warnings_are_shown_and_do_not_fail(make, capsys):
    result = make(SMALL).action("preflight_check", "node0").result()
    assert not result.get("failed")
    warned = [one for one in result["findings"] if one["severity"] == "warn" and one["host"] == "node1"]
    assert warned
    assert warned[0]["found"] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "given", "accepted"),
    [
        ({}, ["python_requests"], True),
        ({"node1": {"preflight_accept": "python_requests, clock"}}, [], True),
        ({"node1": {"preflight_accept": []}}, ["python_requests"], False),
        # The argument is what the first host's own variable says, and not meant for the others.
        ({"node0": {"preflight_accept": ["python_requests"]}}, ["python_requests"], False),
        ({"node0": {"preflight_accept": ["python_requests"]}, "node1": {"preflight_accept": ["python_requests"]}}, [], True),
    ],
)  # fmt: skip
def test_each_host_accepts_for_itself(make, variables, given, accepted):
    result = make(WRONG, **variables).action("preflight_check", "node0", accept=given).result()
    assert result.get("failed", False) is not accepted
    (found,) = [one for one in result["findings"] if one["id"] == "python_requests"]
    assert found["accepted"] is accepted


def test_an_id_that_no_check_has_is_refused(make):
    assert "fantasy" in make().refusal("preflight_check", "node0", accept=["fantasy"])
    assert "fantasy" in make().refusal("smoke_test_check", "node0", accept=["fantasy"])


def test_weights_of_each_host_are_looked_at(make):
    weights = {"node1": {"found": "another size", "expected": "the same", "remedy": "fetch"}}
    plain = make().action("preflight_check", "node0", on_failure="report").result()["findings"]
    result = make().action("preflight_check", "node0", on_failure="report", weights=weights).result()
    found = [one for one in result["findings"] if one not in plain]
    assert [one["host"] for one in found] == ["node1"]


def test_a_newer_driver_needs_leave(make, npus):
    newer = {**npus[1], "package_version": "99.0", "driver_version": "99.0"}
    for given, severity in (
        ({"allow_newer": True}, "warn"),
        ({"allow_newer": False}, "fail"),
        ({}, "fail"),
    ):
        site = make()
        site.tell("node1", vllm_npu=newer)
        run = site.action("preflight_check", "node0", on_failure="report", **given)
        found = [one for one in run.result()["findings"] if one["id"] == "driver_version"]
        assert [(one["host"], one["severity"]) for one in found] == [("node1", severity)]


def test_a_host_without_facts_is_an_error(tmp_path):
    site = Site(tmp_path, INVENTORY)
    for action in ("preflight_check", "peer_probe"):
        assert "Host node0 has no fact" in site.refusal(action, "node0")


# Whom a host calls


def test_a_host_calls_and_pings_the_others(make):
    site = make()
    site.tell("node1", vllm_listener={"address": "10.0.0.11", "ports": [8000, 8001], "error": None})
    calls = {}
    for pings in ("quick", "full"):
        run = site.action("peer_probe", "node0", [{}], pings=pings)
        run.result()
        ((module, arguments),) = run.modules
        assert module == "ascend_ops.vllm.peer_probe"
        assert arguments["_address"] == "10.0.0.10"
        assert [call["port"] for call in arguments["_calls"]] == [8000, 8001]
        calls[pings] = len(arguments["_pings"])
    assert 0 < calls["quick"] < calls["full"]


# The smoke test


def records(npus: str = "passed", text: str = "16 NPUs") -> dict[str, Any]:
    """Return the facts after a smoke test with this state of the NPUs."""
    parts = {"npus": {"state": npus, "text": text}, "collective": {"state": "passed", "text": "all in 3 s"}}
    log = "2026-11-25T04:00:00.0Z [smoke test] result: " + json.dumps(parts)
    return {"container": None, "log": log, "npu_log": "", "kernel": "", "errors": []}


def after_smoke_test(make: Any, **other: Any) -> Site:
    site = make()
    site.tell("node0", vllm_records=records())
    site.tell("node1", vllm_records=records(**other))
    return site


def test_a_smoke_test_that_passed(make, capsys):
    result = after_smoke_test(make).action("smoke_test_check", "node0").result()
    assert result == {"changed": False, "findings": []}
    assert "node0, node1: the smoke test has passed (all in 3 s)" in capsys.readouterr().out


def test_a_smoke_test_that_failed(make):
    result = (
        after_smoke_test(make, npus="failed", text="no chip 3").action("smoke_test_check", "node0").result()
    )
    assert result["failed"]
    assert "no chip 3" in result["msg"]
    assert [(one["host"], one["id"]) for one in result["findings"]] == [("node1", "smoke_npus")]


def test_a_smoke_test_whose_failure_is_accepted(make, capsys):
    site = after_smoke_test(make, npus="failed", text="no chip 4")
    result = site.action("smoke_test_check", "node0", accept=["smoke_npus"]).result()
    assert not result.get("failed")
    assert [one["severity"] for one in result["findings"]] == ["warn"]
    shown = capsys.readouterr()
    assert "has passed" not in shown.out
    assert "no chip 4" in shown.err
