# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage patch on the running lab: a created container, a running one, one with the repairs switched off, and some that must not be touched."""

from __future__ import annotations

import shutil

import pytest
from lab import ROOT, lab, playbook
from settings import IMAGE, IMAGE_TAG, Settings

NAME = "patch-test"
PACKAGE = "/vllm-workspace/vllm/vllm"
PARSER = f"{PACKAGE}/tool_parsers/glm47_moe_tool_parser.py"
REGISTERED = '"glm47": ("glm47_moe_tool_parser", "Glm47MoeModelToolParser"),'


def docker(*arguments: str) -> str:
    return lab("exec", "node0", "docker", *arguments)


def patch(*options: str) -> tuple[int, str]:
    return playbook(
        "tests/integration/patch.yml", "-i", "inventories/lab", "-e", f"vllm_container_name={NAME}", *options
    )


def patched(changed: int, *options: str) -> str:
    """Run the stage, assert how many tasks changed something, and return what it said."""
    code, said = patch(*options)
    assert code == 0, said
    assert f"changed={changed} " in said, said
    return said


def changes() -> list[str]:
    """The files of the package that differ from the image's."""
    return sorted(
        line for line in docker("diff", NAME).splitlines() if PACKAGE in line and "__pycache__" not in line
    )


def parser() -> str:
    """The parser's tar entry: its text, owner and time."""
    return docker("cp", f"{NAME}:{PARSER}", "-")


@pytest.fixture(name="container")
def a_container_of_the_image():
    docker(
        "create",
        "--name",
        NAME,
        "--init",
        f"{Settings.from_environment().registry}/{IMAGE}:{IMAGE_TAG}",
        "sleep",
        "600",
    )
    yield
    docker("rm", "--force", NAME)


def test_a_created_container_is_patched_once(container):
    assert REGISTERED in patched(1, "--check", "--diff")
    assert changes() == []
    assert REGISTERED in patched(1, "--diff")
    before = changes(), parser()
    patched(0)
    assert (changes(), parser()) == before
    assert docker("inspect", "--format", "{{.State.Status}}", NAME).strip() == "created"


def test_a_container_that_does_not_exist_yet_is_foreseen_in_check_mode_only():
    assert REGISTERED in patched(1, "--check", "--diff")
    code, said = patch()
    assert code != 0
    assert f"Host node0, stage patch: container {NAME}: there is no such container" in said


def test_repairs_go_off_and_on(container):
    patched(1)
    assert "any number of arguments" in parser()
    patched(1, "-e", "vllm_patch_repairs=false")
    assert "any number of arguments" not in parser()
    patched(1)
    assert "any number of arguments" in parser()


def test_a_running_container_is_patched_and_stopped(container):
    docker("start", NAME)
    patched(2)
    assert docker("inspect", "--format", "{{.State.Status}}", NAME).strip() == "exited"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            f"echo >>{PACKAGE}/tool_parsers/__init__.py",
            ("tool_parsers/__init__.py: SHA-256 ", ", wanted SHA-256 37d3214", "(untouched) or SHA-256 "),
        ),
        (
            f"rm {PACKAGE}/reasoning/holo2_reasoning_parser.py",
            ("reasoning/holo2_reasoning_parser.py: no such file, wanted SHA-256 863b86b",),
        ),
        (
            f"sed -i s/0.13.0/0.12.0/ {PACKAGE}/_version.py",
            ("holds vLLM 0.12.0, wanted one that the patch set knows (0.13.0 to", "vllm_patch_set"),
        ),
        (f"mv {PACKAGE} {PACKAGE}.away", (f"no vLLM at {PACKAGE}", "wanted the package", "vllm_patch_dir")),
    ],
    ids=["changed file", "missing file", "unknown version", "no package"],
)
def test_what_is_not_as_known_is_refused_and_left_alone(container, spoil, says):
    docker("start", NAME)
    docker("exec", NAME, "bash", "-c", spoil)
    before = changes()
    code, said = patch()
    assert code != 0
    assert [
        words for words in (f"Host node0, stage patch: container {NAME}", *says) if words not in said
    ] == [], said
    assert changes() == before


def test_patches_that_do_not_work_are_never_started(container, tmp_path):
    patch_set = tmp_path / "broken"
    shutil.copytree(ROOT / "profiles/patches/glm47", patch_set)
    (patch_set / "exercise.py").write_text(
        "import vllm.tool_parsers\nraise SystemExit('a tool call: found nothing')\n", encoding="ascii"
    )
    code, said = patch("-e", f"vllm_patch_set={patch_set}/patch.yml")
    assert code != 0
    assert "Host node0, stage patch: the patch set" in said, said
    assert "a tool call: found nothing. Wanted: its program (exercise.py) to end with 0" in said, said
    assert docker("ps", "--all", "--quiet", "--filter", f"name={NAME}") == ""
