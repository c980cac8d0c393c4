# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One listing for all hosts of a service, whatever the hub shows on the day that a host is added."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import shortened
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import manifest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Request,
    Snapshot,
    is_served,
)


class Check(NamedTuple):
    """What the check of a host's weights has found."""

    host: str
    snapshot: Snapshot  # without files if the host could not find out
    is_known: bool  # an earlier run verified these files, and wrote a manifest
    to_do: int  # files to fetch or to read
    unreached: Problem | None  # why the host does not reach the hub

    @classmethod
    def of(cls, host: str, result: Mapping[str, Any]) -> Check:
        """Return the check from the result of ``weights_download`` in check mode."""
        return cls(
            host,
            Snapshot.of(result["listing"]),
            result["from_manifest"],
            result["fetched_files"] + result["verified_files"],
            Problem.of(result["unreached"]) if "unreached" in result else None,
        )

    @classmethod
    def outside(cls, host: str, text: str, request: Request) -> Check | None:
        """Return the check of a host that is not in this run, from its manifest; None if that does not help."""
        found = manifest.parse(text)
        if found is None or not found.covers(request):
            return None
        return cls(host, found.snapshot, is_known=True, to_do=0, unreached=None)


class Order(NamedTuple):
    """What a host has to do."""

    snapshot: Snapshot  # the files that it must have
    differs: bool  # from those that it has been checked for
    to_do: int


def order(own: Check, checks: Sequence[Check], outside: Sequence[Check], share: bool) -> Order:
    """Return what the host of *own* has to do, given *checks* of all hosts of this run, and of hosts *outside* it.

    What the first host with a manifest has counts, else what the first one was listed. Documentation may differ,
    unless the hosts *share* a download. Raises ProblemError if the host has other weights, or if nobody can bring
    what it lacks. The checks must be in the same order for all hosts.
    """
    listed = [check for check in (*outside, *checks) if check.snapshot.files]
    if not listed or (own.unreached and all(check.unreached for check in checks)):
        raise _unreached(own)
    standard = next((check for check in listed if check.is_known), listed[0])
    serves_same = own.snapshot.served_digest == standard.snapshot.served_digest
    if own.is_known and not serves_same:
        raise _different(own, standard)
    needed = own.snapshot if serves_same and not share else standard.snapshot
    differs = needed.digest != own.snapshot.digest
    return Order(needed, differs, own.to_do or int(differs))


def _unreached(own: Check) -> ProblemError:
    problem = own.unreached or Problem(
        "no host of this run has a listing", "one that reaches the hub", "See above"
    )
    return ProblemError(problem.found, problem.expected, problem.remedy)


def _different(own: Check, standard: Check) -> ProblemError:
    here, there = (
        {file.path: file.sha256 for file in check.snapshot.files if is_served(file.path)}
        for check in (own, standard)
    )
    paths = sorted(path for path in {*here, *there} if here.get(path) != there.get(path))
    return ProblemError(
        f"this host has other weights ({own.snapshot}) than {standard.host} ({standard.snapshot}): "
        f"{shortened(paths)} differ",
        "the same weights on all hosts of a service",
        f"Remove {MANIFEST} from O(dir) on the hosts that shall change, and run again: only what differs is "
        "fetched. Or set O(revision) to a commit, which all hosts then get",
    )
