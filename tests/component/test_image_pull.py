# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of the module image_pull, run by Ansible with a stand-in for the Docker command. The lab has the real one."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_run import module

IMAGE = "registry.example.com/ascend/vllm-ascend:v1"
USER, PASSWORD = "robot", "a-password-that-must-not-be-shown"
DOCKER = """\
#!/bin/sh
options=
[ "$1" = --config ] && { options="$1 $2"; config=$2; shift 2; }
[ "$1" = image ] && { echo "Error: No such image: $4"; exit 1; }
[ "$1" = pull ] || exit 1
echo "$options" >"$FOLDER/options"
[ "$config" ] && cp "$config/config.json" "$FOLDER" && stat --format=%a "$config" >"$FOLDER/mode"
sleep 3
echo "Status: Downloaded newer image for $2"
"""


@pytest.fixture(name="folder", autouse=True)
def docker_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docker").write_text(DOCKER, encoding="ascii")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return tmp_path


def pull(**arguments: Any) -> dict[str, Any]:
    return module("image_pull", {"name": IMAGE, **arguments}, "-vvv")


def test_credentials_are_private_to_the_pull(folder: Path):
    result = pull(username=USER, password=PASSWORD)
    assert result["changed"], result
    (entry,) = json.loads((folder / "config.json").read_text(encoding="utf-8"))["auths"].values()
    assert base64.b64decode(entry["auth"]).decode() == f"{USER}:{PASSWORD}"
    assert (folder / "mode").read_text(encoding="ascii") == "700\n"
    _option, config = (folder / "options").read_text(encoding="ascii").split()
    assert not Path(config).exists()
    assert PASSWORD not in json.dumps(result)


def test_credentials_are_passed_to_the_host_once():
    last = pull(username=USER, password=PASSWORD)["invocation"]["module_args"]
    assert (last["username"], last["password"]) == (None, None)
    assert last["_run"]


def test_without_credentials_docker_uses_its_own(folder: Path):
    assert pull()["changed"]
    assert (folder / "options").read_text(encoding="ascii") == "\n"


def test_a_user_needs_a_password():
    assert "password" in pull(username=USER)["msg"]
