# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder makes of execution-environment.yml, and of the collection in another one; no image is built."""

from __future__ import annotations

import yaml
from ansible_run import ROOT, run


def builder(*arguments: str) -> str:
    done = run("ansible-builder", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_build_context_is_made(tmp_path):
    builder(
        "create",
        "--file",
        "execution-environment.yml",
        "--context",
        str(tmp_path),
        "--output-filename",
        "Containerfile",
    )
    for name, source in (("requirements.yml", "collections/requirements.yml"), ("bindep.txt", "bindep.txt")):
        assert (tmp_path / "_build" / name).read_text(encoding="utf-8") == (ROOT / source).read_text(
            encoding="utf-8"
        )
    containerfile = (tmp_path / "Containerfile").read_text(encoding="utf-8")
    for line in ('ARG EE_BASE_IMAGE="quay.io/centos/centos:stream9"', 'ARG PYCMD="/usr/bin/python3.12"'):
        assert line in containerfile


def test_it_holds_the_collections_that_ours_depends_on():
    expected = {
        collection["name"]: collection["version"]
        for collection in load("collections/requirements.yml")["collections"]
    }
    assert expected == load("galaxy.yml")["dependencies"]


def test_the_collection_tells_what_it_needs():
    found = yaml.safe_load(builder("introspect", "collections"))
    named = {
        line.split("#")[0].split()[0]
        for line in found["system"]
        if line.endswith("# from collection ascend_ops.vllm")
    }
    assert named == {"openssh-client", "openssh-clients", "sshpass"}
    assert not [line for line in found["python"] if "ascend_ops.vllm" in line]
