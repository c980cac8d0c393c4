"""What serves the nodes from the controller's address: a container registry and a ModelScope-compatible hub."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import cgroups
import processes
from hub.authority import Authority
from polling import wait_until
from settings import MODEL, SOURCES, Settings
from system import LabError, say, tail

_GROUP = "services"
_SECONDS_TO_START = 20

_REGISTRY_CONFIGURATION = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {storage}
  delete:
    enabled: true
http:
  addr: {address}
"""


def registry_storage(settings: Settings) -> Path:
    """In the cache, so that the image is pushed once and not at every `lab up`."""
    return settings.cache / "registry"


def start_registry(settings: Settings) -> None:
    configuration = settings.state / "registry.yml"
    configuration.write_text(
        _REGISTRY_CONFIGURATION.format(storage=registry_storage(settings), address=settings.registry),
        encoding="utf-8",
    )
    _start(
        settings,
        "registry",
        settings.registry,
        [settings.rootfs / "usr/bin/docker-registry", "serve", configuration],
    )


def start_hub(settings: Settings) -> None:
    _ensure_token(settings.hub_token)
    authority = hub_authority(settings)
    model = ["--root", settings.cache / "model", "--repo", MODEL]
    command = [
        sys.executable,
        SOURCES / "hub" / "hub.py",
        *model,
        "--listen",
        settings.hub,
        "--cdn",
        settings.cdn,
        "--token-file",
        settings.hub_token,
        "--certificate",
        authority.issued,
        "--key",
        authority.key,
    ]
    _start(settings, "hub", settings.hub, command, "https")


def hub_authority(settings: Settings) -> Authority:
    """Return the authority that hosts have to trust for the hub and its CDN; tests run hubs of their own by it."""
    authority = Authority(settings.authority)
    authority.issue([settings.controller, "127.0.0.1"])
    return authority


def stop_all(settings: Settings) -> None:
    for name in ("registry", "hub"):
        processes.end(settings.pid_file(name), processes.terminate)


def answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _start(
    settings: Settings, name: str, address: str, command: Sequence[str | Path], scheme: str = "http"
) -> None:
    record, log = settings.pid_file(name), settings.log_file(name)
    if processes.running(record) and answers(address):
        return
    processes.end(record, processes.terminate)
    if answers(address):
        raise LabError(
            f"{address} is taken by another program, and the lab's {name} needs it: see `ss -ltnp`, and end that program"
        )
    cgroups.create(_GROUP)
    processes.start(record, command, log, lambda: cgroups.join(_GROUP))

    def up() -> bool:
        if not processes.running(record):
            raise LabError(f"the {name} ended while it was starting; the end of {log}:\n{tail(log)}")
        return answers(address)

    wait_until(
        up,
        _SECONDS_TO_START,
        lambda: f"the {name} answers on {address}; the end of {log}:\n{tail(log)}",
    )
    say(f"{name}: {scheme}://{address}")


def _ensure_token(file: Path) -> None:
    """A token of random letters that only root reads."""
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as output:
            output.write(secrets.token_hex(20) + "\n")
