# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage patch on the running lab: its smoke test, and the patching of created, running and unsuitable containers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from ansible_run import ROOT, environment
from lab import INVENTORY, Run, assert_names, on, place, playbook
from polling import wait_until
from settings import IMAGE, RELEASE, Settings

NAME = "patch-test"
TEMPORARY = f"{NAME}-smoke-test"
PACKAGE = "/vllm-workspace/vllm/vllm"
PARSER = f"{PACKAGE}/tool_parsers/glm47_moe_tool_parser.py"
REGISTERED = '"glm47": ("glm47_moe_tool_parser", "Glm47MoeModelToolParser"),'
PLAYBOOK = ("tests/integration/patch.yml", *INVENTORY, "-e", f"vllm_container_name={NAME}")


def docker(*arguments: str) -> str:
    return on("node0", "docker", *arguments)


def patch(*options: str) -> Run:
    """Run role patch alone."""
    return playbook(*PLAYBOOK, "--tags", "patch", *options)


def smoke_test(*options: str) -> Run:
    """Run the smoke test alone."""
    return playbook(*PLAYBOOK, "--tags", "smoke_test", *options)


def patched(changed: int, *options: str) -> str:
    """Run the role, assert how many tasks changed something, and return its output."""
    run = patch(*options)
    run.succeeded()
    assert run.changed()["node0"] == changed, run.output
    return run.output


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
    image = f"{Settings.from_environment().registry}/{IMAGE}:v{RELEASE}"
    docker("create", "--name", NAME, "--init", image, "sleep", "600")
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


def test_a_container_that_does_not_exist_yet_is_previewed_in_check_mode_only():
    assert REGISTERED in patched(1, "--check", "--diff")
    assert_names(patch().failed()["node0"], place("node0", "patch"), NAME)


@pytest.mark.campaign
def test_fixes_go_off_and_on(container):
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
    ("spoil", "names"),
    [
        (f"echo >>{PACKAGE}/tool_parsers/__init__.py", ("tool_parsers/__init__.py", "SHA-256 37d3214")),
        pytest.param(
            f"rm {PACKAGE}/reasoning/holo2_reasoning_parser.py",
            ("reasoning/holo2_reasoning_parser.py", "SHA-256 863b86b"),
            marks=pytest.mark.campaign,
        ),
        (f"sed -i s/0.13.0/0.12.0/ {PACKAGE}/_version.py", ("0.12.0", "0.13.0", "vllm_patch_set")),
        pytest.param(f"mv {PACKAGE} {PACKAGE}.away", (PACKAGE, "vllm_patch_dir"), marks=pytest.mark.campaign),
    ],
    ids=["changed file", "missing file", "unsupported version", "no package"],
)
def test_an_unexpected_package_is_refused_and_left_alone(container, spoil, names):
    docker("start", NAME)
    docker("exec", NAME, "bash", "-c", spoil)
    before = changes()
    assert_names(patch().failed()["node0"], place("node0", "patch"), NAME, *names)
    assert changes() == before


def patch_set_with(program: str, folder: Path) -> str:
    """Return the option for a copy of the shipped patch set with another smoke test."""
    shutil.copytree(ROOT / "profiles/patches/glm47", folder / "glm47")
    (folder / "glm47/smoke_test.py").write_text(program, encoding="ascii")
    return f"vllm_patch_set={folder}/glm47/patch.yml"


def containers(name: str) -> str:
    """All containers with a name that begins so, with their id and state."""
    form = "{{.Names}} {{.ID}} {{.State}}"
    return docker("ps", "--all", "--no-trunc", "--format", form, "--filter", f"name={name}")


def smoke_test_runs() -> bool:
    return "running" in containers(TEMPORARY)


@pytest.mark.campaign  # so it is after the interrupted one
def test_patches_are_proven_without_a_change_to_the_host(container):
    before = containers("")
    run = smoke_test()
    assert "Run the smoke test in the temporary container" in run.succeeded()
    assert run.changed()["node0"] == 0
    assert containers("") == before


def test_patches_that_do_not_work_are_reported_and_nothing_is_replaced(container, tmp_path):
    before = containers("")
    program = "import vllm.tool_parsers\nraise SystemExit('a tool call: found nothing')\n"
    message = smoke_test("-e", patch_set_with(program, tmp_path)).failed()["node0"]
    assert_names(message, place("node0", "patch"), str(tmp_path), "a tool call: found nothing")
    assert containers("") == before


def test_an_image_that_the_patch_set_does_not_support_is_reported(container, tmp_path):
    option = patch_set_with("", tmp_path)
    file = tmp_path / "glm47/patch.yml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("from: 0.13.0", "from: 0.13.9"), encoding="utf-8"
    )
    assert_names(smoke_test("-e", option).failed()["node0"], "vLLM 0.13.0", "0.13.9", "0.14.0")
    assert containers(TEMPORARY) == ""


@pytest.mark.parametrize(
    "signal_number",
    [pytest.param(signal.SIGINT, marks=pytest.mark.campaign), signal.SIGKILL],
    ids=lambda number: number.name,
)
def test_an_interrupted_smoke_test_is_repeated_and_cleaned_up(container, tmp_path, signal_number):
    option = patch_set_with("import time\ntime.sleep(600)\n", tmp_path)
    command = ["ansible-playbook", *PLAYBOOK, "--tags", "smoke_test", "-e", option]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True) as run:
        wait_until(smoke_test_runs, 120, "the smoke test runs")
        run.send_signal(signal_number)
    with contextlib.suppress(ProcessLookupError):  # its forks outlive a killed controller
        os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode != 0
    assert smoke_test_runs()
    again = smoke_test()
    assert "Run the smoke test in the temporary container" in again.succeeded()
    assert again.changed()["node0"] == 1
    assert containers(TEMPORARY) == ""
