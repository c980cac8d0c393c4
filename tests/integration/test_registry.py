# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image behind a login: a second real registry over the lab's images, which asks for a user and a password."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import INVENTORY, NET, NODES, Run, assert_names, listens, on, place, shell, site
from polling import wait_until
from watch import Watch

CACHE = Path(os.environ.get("ASCEND_LAB_CACHE", "/var/cache/ascend-ops-lab"))
ADDRESS = (f"{NET}.1", 5001)
REGISTRY = f"{ADDRESS[0]}:{ADDRESS[1]}"
IMAGE = f"{REGISTRY}/ascend/vllm-ascend:v0.13.0rc1"
USER, PASSWORD = "robot", "a-password-nobody-may-see"
SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
HTPASSWD = "robot:$2b$04$vxkEpk0cNp.dEkc6s07UjuvYO54B1srdgsICkJpFR6cNQ/oZHhIiy\n"  # what bcrypt makes of it
CONFIGURATION = """\
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: STORAGE}}
http: {addr: "REGISTRY"}
auth: {htpasswd: {realm: lab, path: HTPASSWD}}
"""
SEARCH = "grep -rlFf /dev/stdin --devices=skip /etc /home /opt /root /run /tmp /usr/local /var/tmp || true"
LOGIN = """\
read user; read password; read registry
echo "$password" | docker login --username "$user" --password-stdin "$registry"
"""
HELPER = """\
read user; read password; read registry
cat >/usr/local/bin/docker-credential-lab <<END
#!/bin/sh
echo '{"ServerURL": "", "Username": "$user", "Secret": "$password"}'
END
chmod 700 /usr/local/bin/docker-credential-lab
mkdir /root/.docker
echo '{"credHelpers": {"'"$registry"'": "lab"}}' >/root/.docker/config.json
"""


@pytest.fixture(scope="module", autouse=True)
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(HTPASSWD, encoding="ascii")
    text = (
        CONFIGURATION.replace("STORAGE", str(CACHE / "registry"))
        .replace("REGISTRY", REGISTRY)
        .replace("HTPASSWD", str(folder / "htpasswd"))
    )
    (folder / "registry.yml").write_text(text, encoding="ascii")
    command = [CACHE / "rootfs/usr/bin/docker-registry", "serve", folder / "registry.yml"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        wait_until(
            lambda: server.poll() is not None or listens(*ADDRESS), 60, f"the registry listens on {REGISTRY}"
        )
        assert server.poll() is None, (folder / "log").read_text(encoding="utf-8")
        yield
        server.terminate()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    for node in NODES:
        shell(
            node,
            'docker image ls --quiet "$1" | grep -q . && docker rmi "$1"; rm -rf /root/.docker /usr/local/bin/docker-credential-lab',
            "sh",
            IMAGE,
        )


@pytest.fixture(name="stage")
def stage_with_variables(tmp_path: Path):
    def stage(*options: str, **variables: str) -> Run:
        file = tmp_path / "variables.json"  # and not the command line, which everybody sees
        file.write_text(json.dumps({"vllm_image": IMAGE, **variables}), encoding="utf-8")
        return site(*INVENTORY, "--tags", "image", *options, "-e", f"@{file}")

    return stage


def on_each(script: str, *arguments: str) -> list[str]:
    """Run a script on each node, with the arguments in its standard input, a line each, and return the outputs."""
    text = "\n".join((*arguments, ""))
    return [shell(node, script, text_in=text).strip() for node in NODES]


def test_the_image_is_pulled_with_user_and_password_and_the_password_is_seen_nowhere(stage):
    with Watch(PASSWORD) as watch:
        run = stage("-vvvv", "--diff", image_registry_username=USER, image_registry_password=PASSWORD)
    assert PASSWORD not in run.succeeded()
    assert watch.rounds > 10
    assert watch.seen == set()
    assert on_each(SEARCH, *SECRETS) == ["", ""]
    assert on_each("ls -d /root/.docker /run/ascend-ops-image-* 2>/dev/null || true") == ["", ""]
    again = stage(image_registry_username=USER, image_registry_password=PASSWORD)
    again.succeeded()
    assert again.changed() == dict.fromkeys(("localhost", *NODES), 0)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("login", "file"),
    [
        (LOGIN, "/root/.docker/config.json"),
        (HELPER, "/usr/local/bin/docker-credential-lab"),
    ],
    ids=["docker login", "credential helper"],
)
def test_credentials_that_the_host_has_are_used_and_kept(stage, login: str, file: str):
    on_each(login, USER, PASSWORD, REGISTRY)
    assert on_each(SEARCH, *SECRETS) == [file, file]
    before = on_each("cat /root/.docker/config.json")
    stage().succeeded()
    assert on_each("cat /root/.docker/config.json") == before


@pytest.mark.parametrize(
    ("variables", "failing", "names"),
    [
        pytest.param(
            {},
            "node0",
            (IMAGE, "no basic auth credentials", "image_registry_username"),
            marks=pytest.mark.campaign,
        ),
        (
            {"image_registry_username": USER, "image_registry_password": "of somebody else"},
            "node0",
            (place("node0", "image"), IMAGE, USER, "unauthorized"),
        ),
        pytest.param(
            {"image_registry_username": USER},
            "localhost",
            ("hosts node0, node1", "image_registry_username", "image_registry_password"),
            marks=pytest.mark.campaign,
        ),
    ],
    ids=["none", "wrong", "half"],
)
def test_who_is_not_let_in_is_told_why(
    stage, variables: dict[str, str], failing: str, names: tuple[str, ...]
):
    assert_names(stage(**variables).failed()[failing], *names)
    for node in NODES:
        assert on(node, "docker", "image", "ls", "--quiet", IMAGE) == ""
