# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import consistency, mounts
from shipped import FLAGS, settings


def of(*texts: str):
    first, *others = texts
    return mounts.bind_mounts(
        {
            "npu_driver_mounts": [first],
            "container_mounts": [],
            "container_extra_mounts": others,
            "container_hardened": False,
            "supervisor_metrics_dir": None,
        }
    )


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a", {"type": "bind", "source": "/a", "target": "/a", "read_only": False}),
        ("/a:/b", {"type": "bind", "source": "/a", "target": "/b", "read_only": False}),
        ("/a:/b:ro", {"type": "bind", "source": "/a", "target": "/b", "read_only": True}),
    ],
)
def test_mounts_are_written_as_docker_users_write_them(text, mount):
    assert of(text) == [mount]


def test_in_a_hardened_container_the_driver_is_read_only_and_what_users_mount_is_not():
    hardened = settings(vllm_container_hardened=True, vllm_container_extra_mounts=["/srv:/srv", "/etc:/e:ro"])
    found = {mount["source"]: mount["read_only"] for mount in mounts.bind_mounts(hardened)}
    assert (found["/srv"], found["/etc"]) == (False, True)
    drivers = [text.partition(":")[0] for text in hardened["npu_driver_mounts"]]
    assert [found[source] for source in drivers] == [True] * len(drivers)


@pytest.mark.parametrize(
    ("extra", "count"), [("/c:/opt/data", 0), ("/c:/root/.cache/", 1), ("/opt/data:/root/.cache", 0)]
)
def test_two_mounts_on_one_target_are_refused(extra: str, count: int):
    problems = consistency.problems(settings(vllm_container_extra_mounts=[extra]), FLAGS)
    assert len([problem for problem in problems if "both mounted" in problem.found]) == count


@pytest.mark.parametrize(
    ("real", "inside"),
    [
        ({}, "/root/.cache/m/GLM"),
        ({"/opt/data": "/data1", "/opt/data/m/GLM": "/data1/m/GLM"}, "/root/.cache/m/GLM"),
        ({"/opt/data/m/GLM": "/opt/data/fast/GLM"}, "/root/.cache/fast/GLM"),
        ({"/opt/data/m/GLM": "/data1/m/GLM"}, None),
    ],
)
def test_links_of_the_host_are_followed_to_the_weights(real: dict[str, str], inside: str | None):
    chosen = settings(vllm_model_dir="/opt/data/m/GLM")
    assert mounts.real_container_path(chosen, real) == inside
    assert (mounts.link_problem(chosen, real) is None) == (inside is not None)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/opt/data/models", "/root/.cache/models"),
        ("/opt/data", "/root/.cache"),
        ("/opt/data/fast/models", "/fast/models"),
        ("/opt/database", None),
    ],
)
def test_the_innermost_mount_decides_where_a_path_appears(path, inside):
    bind_mounts = of("/opt/data:/root/.cache", "/opt/data/fast:/fast")
    assert mounts.container_path(path, bind_mounts) == inside
