# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of the module image_pull, run by Ansible with a stand-in for the Docker command. The lab has the real one."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_run import ROOT, Call, environment, module, modules
from polling import wait_until

# Pulls of one image are one job on a machine: a worker of pytest must not meet another's.
IMAGE = f"registry.example.com/ascend/vllm-ascend:{os.environ.get('PYTEST_XDIST_WORKER', 'v1')}"
USER, PASSWORD = "robot", "a-password-that-must-not-be-shown"
DOCKER = """\
#!/bin/sh
options=
[ "$1" = --config ] && { options="$1 $2"; config=$2; shift 2; }
[ -e "$FOLDER/down" ] && { cat "$FOLDER/down" >&2; exit 1; }
[ "$1" = image ] && { echo "Error: No such image: $4"; exit 1; }
[ "$1" = pull ] || exit 1
echo "$options" >"$FOLDER/options"
echo pull >>"$FOLDER/pulls"
[ "$config" ] && cp "$config/config.json" "$FOLDER" && stat --format=%a "$config" >"$FOLDER/mode"
while [ -e "$FOLDER/hold" ]; do sleep 0.2; done
if [ -s "$FOLDER/failures" ]; then
  head -n 1 "$FOLDER/failures"
  sed -i 1d "$FOLDER/failures"
  exit 1
fi
echo "Status: Downloaded newer image for $2"
"""
DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
)
BROKEN, UNKNOWN = "unexpected EOF", "Error response from daemon: manifest unknown"


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


def test_without_credentials_docker_uses_its_own(folder: Path):
    assert pull()["changed"]
    assert (folder / "options").read_text(encoding="ascii") == "\n"


def test_a_user_needs_a_password():
    assert "password" in pull(username=USER)["msg"]


def test_a_pull_whose_connection_broke_is_repeated(folder: Path):
    (folder / "failures").write_text(f"{BROKEN}\n" * 2, encoding="ascii")
    assert pull()["changed"]
    assert lines(folder / "pulls") == 3


@pytest.mark.parametrize(("failure", "pulls"), [(UNKNOWN, 1), (BROKEN, 3)], ids=["lasting", "passing"])
def test_a_pull_that_cannot_succeed_is_explained(folder: Path, failure: str, pulls: int):
    """One whose cause may pass is given up soon while the registry has not shown the image: its name may be wrong."""
    (folder / "failures").write_text(f"{failure}\n" * 9, encoding="ascii")
    problem = pull(_variables={"name": "vllm_image"})["problem"]
    assert failure in problem["found"]
    assert "vllm_image" in problem["remedy"]
    assert lines(folder / "pulls") == pulls


def in_check_mode() -> dict[str, Any]:
    call = Call("image_pull", {"name": IMAGE}, check=True, environment=dict(os.environ))
    return modules({"pull": call})["pull"]


def test_check_mode_only_asks_the_host(folder: Path):
    result = in_check_mode()
    assert result["changed"], result
    assert lines(folder / "pulls") == 0


@pytest.mark.parametrize("message", [DOWN, DENIED], ids=["down", "denied"])
def test_check_mode_fails_where_docker_cannot_be_used_as_a_pull_does(folder: Path, message: str):
    (folder / "down").write_text(message, encoding="ascii")
    result = in_check_mode()
    assert not result["changed"]
    assert result["problem"] == pull()["problem"]


# A remote host, by SSH to this machine: what would reach it is a command, and can be refused.
SSH = """\
#!/bin/sh
[ -e "$FOLDER/cut" ] && { touch "$FOLDER/refused"; echo "ssh: connect to host node0 port 22: No route to host" >&2; exit 255; }
for command; do :; done
[ "$command" = node0 ] && exit 255  # asks for a shared connection
echo call >>"$FOLDER/calls"
exec sh -c "$command"
"""


class Pull(threading.Thread):
    """A pull by such a host, which lasts until the test releases it."""

    def __init__(self, folder: Path, **arguments: str) -> None:
        super().__init__()
        self.folder = folder
        (folder / "hold").touch()
        (folder / "calls").unlink(missing_ok=True)
        (folder / "ssh").write_text(SSH, encoding="ascii")
        (folder / "ssh").chmod(0o755)
        words = " ".join(f"{name}={value}" for name, value in {"name": IMAGE, **arguments}.items())
        command = [
            "ansible",
            "node0",
            "-i",
            "node0,",
            "-m",
            "ascend_ops.vllm.image_pull",
            "-a",
            words,
            "-vvv",
        ]
        command += ["-e", f"ansible_ssh_executable={folder}/ssh", "-e", "ansible_ssh_transfer_method=piped"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(ANSIBLE_CALLBACK_RESULT_FORMAT="json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.start()

    def run(self) -> None:
        self.shown = self.process.communicate()[0]

    def ended(self) -> str:
        """Release the pull, and return what Ansible shows in the end."""
        (self.folder / "hold").unlink()
        self.join()
        assert "node0 | CHANGED" in self.shown, self.shown
        return self.shown

    def is_polled(self) -> bool:
        """Whether the first call of the module has returned, so that it is known that the pull has begun."""
        return lines(self.folder / "calls") > 1

    def kill(self) -> None:
        """Kill Ansible once the pull has begun. The pull goes on."""
        wait(lambda: lines(self.folder / "pulls"), "the pull begins")
        os.killpg(self.process.pid, signal.SIGKILL)
        self.join()


def lines(file: Path) -> int:
    return len(file.read_text(encoding="ascii").split()) if file.exists() else 0


def wait(condition: Callable[[], object], expected: str) -> None:
    """Wait for as long as a busy machine may take."""
    wait_until(condition, 120, expected)


def test_credentials_are_passed_to_the_host_once(folder: Path):
    pull = Pull(folder, username=USER, password=PASSWORD)
    wait(pull.is_polled, "the pull is polled")
    last = json.loads(re.search(r"^node0 \| CHANGED => (\{.*^\})", pull.ended(), re.M | re.S)[1])
    arguments = last["invocation"]["module_args"]
    assert (arguments["username"], arguments["password"]) == (None, None)
    assert arguments["_run"]


def test_a_lost_connection_is_waited_for(folder: Path):
    pull = Pull(folder)
    wait(pull.is_polled, "the pull is polled")
    (folder / "cut").touch()
    wait((folder / "refused").exists, "the next poll finds no connection")
    (folder / "cut").unlink()
    assert "cannot be reached" in pull.ended()
    assert lines(folder / "pulls") == 1


def test_a_run_goes_on_polling_what_a_killed_one_left(folder: Path):
    Pull(folder).kill()
    second = Pull(folder)
    wait(second.is_polled, "the pull is polled again")
    second.ended()
    assert lines(folder / "pulls") == 1


def test_a_pull_in_the_background_is_stopped(folder: Path):
    Pull(folder).kill()
    assert pull(state="stopped")["changed"]
    assert not pull(state="stopped")["changed"]
