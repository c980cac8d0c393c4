# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.agreement import Check, order
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Stat
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    Choice,
    File,
    Request,
    Snapshot,
)

CONFIG, README = File("config.json", 2, "a" * 64), File("README.md", 5, "b" * 64)
OLD = Snapshot("0" * 40, [CONFIG, README])
NEW_TEXT = Snapshot("1" * 40, [CONFIG, README._replace(sha256="c" * 64)])
NEW_MODEL = Snapshot("2" * 40, [CONFIG._replace(sha256="d" * 64), README])
NO_WAY_OUT = Problem("the hub cannot be reached", "an answer", "Check the proxy")
NOTHING = Snapshot("", [])


def test_a_check_is_read_from_the_result_of_the_module():
    result = {"listing": OLD.text(), "from_manifest": True, "fetched_files": 2, "verified_files": 3}
    assert Check.of("a", result) == Check("a", OLD, True, 5, None)
    assert Check.of("a", {**result, "unreached": NO_WAY_OUT.data()}).unreached == NO_WAY_OUT


def verified(host: str, snapshot: Snapshot, to_do: int = 0) -> Check:
    return Check(host, snapshot, True, to_do, None)


def new(host: str, snapshot: Snapshot) -> Check:
    return Check(host, snapshot, False, 2, None)


def cut_off(host: str) -> Check:
    return Check(host, NOTHING, False, 0, NO_WAY_OUT)


@pytest.mark.parametrize(
    ("checks", "outside", "share", "snapshots"),
    [
        ([verified("a", OLD), verified("b", OLD)], [], False, [OLD, OLD]),
        ([new("a", OLD), new("b", NEW_MODEL)], [], False, [OLD, OLD]),
        ([verified("a", OLD), new("b", NEW_MODEL)], [], False, [OLD, OLD]),
        ([new("a", NEW_MODEL), verified("b", OLD)], [], False, [OLD, OLD]),
        ([verified("a", OLD, 1), new("b", NEW_MODEL)], [], True, [OLD, OLD]),
        ([verified("a", OLD), verified("b", NEW_TEXT)], [], False, [OLD, NEW_TEXT]),
        ([verified("a", OLD), new("b", NEW_TEXT)], [], False, [OLD, NEW_TEXT]),
        ([verified("a", OLD), verified("b", NEW_TEXT)], [], True, [OLD, OLD]),
        ([new("b", NEW_MODEL)], [verified("a", OLD)], False, [OLD]),
        ([verified("a", OLD), cut_off("b")], [], True, [OLD, OLD]),
        ([cut_off("a"), new("b", OLD)], [], True, [OLD, OLD]),
    ],
    ids=[
        "complete", "all new", "second new", "first new", "one damaged, one new", "other documentation",
        "other documentation, second new", "other documentation, shared", "a host outside has weights", "cut off, one complete",
        "cut off, one reaches the hub",
    ],
)  # fmt: skip
def test_all_hosts_get_the_same(
    checks: list[Check], outside: list[Check], share: bool, snapshots: list[Snapshot]
):
    orders = [order(own, checks, outside, share) for own in checks]
    assert [one.snapshot for one in orders] == snapshots
    for own, one in zip(checks, orders, strict=True):
        assert one.differs == (one.snapshot.digest != own.snapshot.digest)
        assert one.to_do == (own.to_do or int(one.differs))


def refusal(own: Check, checks: list[Check], outside: list[Check], share: bool = False) -> str:
    with pytest.raises(ProblemError) as caught:
        order(own, checks, outside, share)
    return str(caught.value)


def test_other_weights_are_refused_with_both_commits_and_the_files():
    checks = [verified("a", OLD), verified("b", NEW_MODEL)]
    said = refusal(checks[1], checks, [])
    for part in (OLD.commit, OLD.digest[:12], NEW_MODEL.commit, NEW_MODEL.digest[:12], "a (", "config.json"):
        assert part in said
    assert "README.md" not in said
    assert order(checks[0], checks, [], False).to_do == 0


def test_other_weights_than_outside_of_the_run_are_refused():
    own = verified("b", NEW_MODEL, 1)
    assert f"than a ({OLD})" in refusal(own, [own], [verified("a", OLD)])


def test_nobody_who_reaches_the_hub_is_refused():
    checks = [cut_off("a"), cut_off("b")]
    assert "Check the proxy" in refusal(checks[0], checks, [], share=True)
    assert "Check the proxy" in refusal(checks[0], checks, [verified("c", OLD)], share=True)


@pytest.mark.parametrize(
    ("revision", "text", "counts"), [("master", None, True), ("v2", None, False), ("master", "{}", False)]
)
def test_a_manifest_outside_counts_if_it_is_of_the_same_request(
    revision: str, text: str | None, counts: bool
):
    request = Request("owner/name", "master", Choice(["*"], []))
    stats = {file.path: Stat(0, 0) for file in OLD.files}
    written = manifest.render(manifest.Manifest("", request, OLD, {}), stats, "")
    check = Check.outside("a", written if text is None else text, request._replace(revision=revision))
    assert check == (verified("a", OLD) if counts else None)


@pytest.mark.parametrize("text", ["", "[]", '{"commit": ""}', '{"commit": "", "files": [["../x", 1, "a"]]}'])
def test_a_listing_that_is_none_is_refused(text: str):
    with pytest.raises(ProblemError):
        Snapshot.of(text)


def test_a_listing_survives_its_way():
    assert Snapshot.of(OLD.text()) == OLD
