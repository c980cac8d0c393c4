# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of the module image_pull, run by Ansible with a stand-in for the Docker command. The lab has the real one."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT, environment, module
from polling import wait_until

# Pulls of one image are one job on a machine: a worker of pytest must not meet another's.
IMAGE = f"registry.example.com/ascend/vllm-ascend:{os.environ.get('PYTEST_XDIST_WORKER', 'v1')}"
USER, PASSWORD = "robot", "a-password-that-must-not-be-shown"
DOCKER = """\
#!/bin/sh
options=
[ "$1" = --config ] && { options="$1 $2"; config=$2; shift 2; }
[ "$1" = image ] && { echo "Error: No such image: $4"; exit 1; }
[ "$1" = pull ] || exit 1
echo "$options" >"$FOLDER/options"
echo pull >>"$FOLDER/pulls"
[ "$config" ] && cp "$config/config.json" "$FOLDER" && stat --format=%a "$config" >"$FOLDER/mode"
sleep "${PULL_SECONDS:-3}"
while [ -e "$FOLDER/hold" ]; do sleep 0.2; done
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


# A remote host, by SSH to this machine: what would reach it is a command, and can be refused.
SSH = """\
#!/bin/sh
[ -e "$FOLDER/cut" ] && { touch "$FOLDER/refused"; echo "ssh: connect to host node0 port 22: No route to host" >&2; exit 255; }
for command; do :; done
[ "$command" = node0 ] && exit 255  # asks for a shared connection
exec sh -c "$command"
"""


class Pull(threading.Thread):
    """A pull from such a host, while the test does something to the connection or to Ansible."""

    def __init__(self, folder: Path, **variables: str) -> None:
        super().__init__()
        (folder / "ssh").write_text(SSH, encoding="ascii")
        (folder / "ssh").chmod(0o755)
        command = [
            "ansible",
            "node0",
            "-i",
            "node0,",
            "-m",
            "ascend_ops.vllm.image_pull",
            "-a",
            f"name={IMAGE}",
        ]
        command += ["-e", f"ansible_ssh_executable={folder}/ssh", "-e", "ansible_ssh_transfer_method=piped"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.start()

    def run(self) -> None:
        self.shown = self.process.communicate()[0]

    def ended(self) -> str:
        self.join()
        return self.shown


def pulls(folder: Path) -> int:
    """Return how often the image was pulled."""
    started = folder / "pulls"
    return len(started.read_text(encoding="ascii").split()) if started.exists() else 0


def test_a_lost_connection_is_waited_for(folder: Path):
    (folder / "hold").touch()
    pull = Pull(folder)
    wait_until(lambda: pulls(folder), 30, "the pull begins")
    time.sleep(5)  # the first poll, without which nobody knows that it has begun
    (folder / "cut").touch()
    wait_until((folder / "refused").exists, 30, "the next poll finds no connection")
    (folder / "cut").unlink()
    (folder / "hold").unlink()
    shown = pull.ended()
    assert "CHANGED" in shown, shown
    assert "cannot be reached" in shown
    assert pulls(folder) == 1


def test_a_run_goes_on_polling_what_a_killed_one_left(folder: Path):
    first = Pull(folder, PULL_SECONDS="15")
    wait_until(lambda: pulls(folder), 30, "the pull begins")
    os.killpg(first.process.pid, signal.SIGKILL)
    second = Pull(folder, PULL_SECONDS="15").ended()
    assert "CHANGED" in second, second
    assert pulls(folder) == 1


def test_a_pull_in_the_background_is_stopped(folder: Path):
    first = Pull(folder, PULL_SECONDS="60")
    wait_until(lambda: pulls(folder), 30, "the pull begins")
    os.killpg(first.process.pid, signal.SIGKILL)
    assert pull(state="stopped")["changed"]
    assert not pull(state="stopped")["changed"]
