# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change under the running service would restart on the lab, by a run in check mode, and what it would not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from lab import INVENTORY, NODES, shell, site

MODEL = "/opt/data/verification/models/GLM-4.7"
MANIFEST = f"{MODEL}/.ascend_ops_manifest.json"
SUMS = "/opt/data/brought-SHA256SUMS"
BROUGHT = (*INVENTORY, "-e", f"weights_distribution=present weights_checksums={SUMS}", "--check")
KEEP = f"cp -a {MODEL}/config.json {MANIFEST} /opt/data && rm {MANIFEST}"
BRING = f"cd {MODEL} && find . -type f ! -name '.*' | sed s:./:: | xargs sha256sum >{SUMS}"
RESTORE = (
    f"cp -a /opt/data/config.json {MODEL} && cp -a /opt/data/.ascend_ops_manifest.json {MANIFEST} && "
    f"rm /opt/data/config.json {SUMS}"
)


@pytest.fixture(scope="module", name="service")
def service_that_runs() -> None:
    site(*INVENTORY).succeeded()


@pytest.fixture(autouse=True)
def weights_without_a_manifest(service) -> Iterator[None]:
    for node in NODES:
        shell(node, KEEP)
    yield
    for node in NODES:
        shell(node, RESTORE)


def hosts_that_change(output: str, role: str) -> set[str]:
    """Return the hosts on which a task of the role would change something."""
    tasks = output.split("TASK [")[1:]
    tasks = [task for task in tasks if task.startswith(f"ascend_ops.vllm.{role} : ")]
    return {node for part in tasks for node in re.findall(r"changed: \[(node\d)\]", part)}


@pytest.mark.parametrize(
    ("edit", "hosts"),
    [
        pytest.param("true", set(), id="the same", marks=pytest.mark.campaign),
        pytest.param(f"echo >> {MODEL}/config.json", set(NODES), id="another content"),
    ],
)
def test_weights_of_the_same_revision(edit, hosts):
    for node in NODES:
        shell(node, f"{edit} && {BRING}")
    output = site(*BROUGHT).succeeded()
    assert hosts_that_change(output, "weights") == set(NODES)  # to be verified
    assert hosts_that_change(output, "container") == hosts, output
