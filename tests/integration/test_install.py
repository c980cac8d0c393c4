# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built tarball: what is in it, and that it does the same as the checkout once it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "ascend_ops.vllm"
SHIPPED = {
    "README.md",
    "README.zh-CN.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "LICENSES",
    "REUSE.toml",
    "bindep.txt",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "profiles",
    "roles",
}
STAGES = ["preflight", "image", "weights", "container", "patch", "serve", "verify"]
INVENTORY = """\
vllm_head: {hosts: {node0: {ansible_host: 10.0.0.10}}}
vllm_workers: {hosts: {node1: {ansible_host: 10.0.0.11}}}
all: {vars: {vllm_service_nic: enp67s0f0}}
"""


def ansible(folder: Path, *command: str, **variables: str) -> str:
    """Run an Ansible command in the folder with a home of its own, so that nothing of the user's plays in; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        ANSIBLE_HOME=str(folder / ".ansible"),
        **variables,
    )
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module", name="tarball")
def built_tarball(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    ansible(ROOT, "ansible-galaxy", "collection", "build", "--output-path", str(folder))
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module", name="installed")
def installed_ansible(tmp_path_factory, tarball):
    """A function that runs Ansible in a folder with nothing but an inventory, the collection being installed elsewhere."""
    collections = tmp_path_factory.mktemp("collections")
    folder = tmp_path_factory.mktemp("empty")
    (folder / "inventory").write_text(INVENTORY, encoding="utf-8")

    def run(*command: str) -> str:
        return ansible(folder, *command, ANSIBLE_COLLECTIONS_PATH=str(collections))

    run(
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--collections-path",
        str(collections),
        str(tarball),
    )
    return run


def test_the_tarball_holds_what_is_used_and_nothing_else(tarball):
    with tarfile.open(tarball) as archive:
        names = {Path(member.name) for member in archive if not member.isdir()}
    assert {name.parts[0] for name in names} == SHIPPED | {"MANIFEST.json", "FILES.json"}
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {
        Path(name)
        for name in tracked.stdout.split("\0")
        if name.split("/")[0] in SHIPPED and (ROOT / name).exists()
    }
    # The changelog is made from its fragments, and the site from docs.
    expected = {
        name for name in expected if name.parts[:2] not in (("changelogs", "fragments"), ("docs", "site"))
    }
    assert names - {Path("MANIFEST.json"), Path("FILES.json")} == expected


def test_site_is_found_by_its_name_with_all_its_stages(installed):
    assert "ascend_ops/vllm/playbooks/site.yml" in installed(
        "ansible-playbook", f"{NAME}.site", "-i", "inventory", "--syntax-check"
    )
    listed = installed("ansible-playbook", f"{NAME}.site", "-i", "inventory", "--list-tags")
    tags = {
        tag
        for line in listed.splitlines()
        if "TAGS:" in line
        for tag in line.split("TAGS:")[1].strip(" []").split(", ")
    }
    assert set(STAGES) <= tags


def test_render_writes_what_it_writes_from_the_checkout(installed, tmp_path):
    (tmp_path / "inventory").write_text(INVENTORY, encoding="utf-8")
    written = {}
    for source, run, playbook in (
        ("tarball", installed, f"{NAME}.render"),
        ("checkout", None, str(ROOT / "playbooks/render.yml")),
    ):
        target = tmp_path / source
        command = [
            "ansible-playbook",
            playbook,
            "-i",
            str(tmp_path / "inventory"),
            "-e",
            f"render_dir={target}",
        ]
        run(*command) if run else ansible(tmp_path, *command, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        written[source] = {
            str(file.relative_to(target)): file.read_text(encoding="utf-8")
            for file in target.rglob("*")
            if file.is_file()
        }
    assert {"node0/serve.sh", "node1/docker_run.sh"} < set(written["tarball"])
    assert written["tarball"] == written["checkout"]


def test_every_module_and_every_role_is_documented(installed):
    modules = [f"{NAME}.{file.stem}" for file in sorted((ROOT / "plugins/modules").glob("*.py"))]
    shown = json.loads(installed("ansible-doc", "--json", "--type", "module", *modules))
    assert {
        name for name in modules if shown[name]["doc"]["short_description"] and shown[name]["examples"]
    } == set(modules)
    roles = [f"{NAME}.{role}" for role in (*STAGES, "gateway")]
    shown = json.loads(installed("ansible-doc", "--json", "--type", "role", *roles))
    assert {name for name in roles if shown[name]["entry_points"]["main"]["short_description"]} == set(roles)


def test_galaxy_imports_it_without_a_warning(tarball, tmp_path):
    # Not with ansible-lint, which `make lint` runs: the importer gives it 180 s, too little for a busy machine.
    options = {"GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true", "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    output = ansible(tmp_path, sys.executable, "-m", "galaxy_importer.main", str(tarball), **options)
    assert "Importer processing completed successfully" in output
    assert not [line for line in output.splitlines() if line.startswith(("WARNING", "ERROR"))], output
