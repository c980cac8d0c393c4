"""The nodes: each a set of namespaces over the shared root, with its own systemd, sshd and Docker daemon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cgroups
import machine
import network
import processes
import system
from npu_sim import install as npu_sim
from polling import wait_until
from settings import SOURCES, Settings
from system import CLEAN_ENVIRONMENT, LabError, tail

_SECONDS_TO_BOOT = 60


@dataclass(frozen=True)
class Node:
    settings: Settings
    index: int

    @property
    def name(self) -> str:
        return f"node{self.index}"

    @property
    def hostname(self) -> str:
        """What the node calls itself: on most clusters not the name that the inventory has for it."""
        return f"atlas{10 + self.index}"

    @property
    def address(self) -> str:
        return str(self.settings.network[10 + self.index])

    @property
    def folder(self) -> Path:
        return self.settings.state / "nodes" / self.name

    @property
    def record(self) -> Path:
        return self.settings.pid_file(self.name)

    @property
    def console(self) -> Path:
        return self.settings.log_file(self.name)


def present(settings: Settings) -> list[Node]:
    """The nodes that were ever started since the last `lab down`."""
    folders = (settings.state / "nodes").glob("node*")
    return [
        Node(settings, index) for index in sorted(int(folder.name.removeprefix("node")) for folder in folders)
    ]


def find(settings: Settings, name: str) -> Node:
    """The node of that name."""
    known = {node.name: node for node in present(settings)}
    if name not in known:
        raise LabError(
            f"there is no node {name!r}; there are {', '.join(known) or 'none'}: see `lab status`, start more with `lab up N`"
        )
    return known[name]


def is_running(node: Node) -> bool:
    return processes.running(node.record) is not None


def start(node: Node) -> None:
    """Switch the node on; it has booted when `wait_until_up` returns."""
    _prepare(node)
    network.ensure_node(node.settings, node.name, node.address)
    cgroups.create(node.name)
    namespaces = [
        "nsenter",
        f"--net=/run/netns/{network.namespace(node.name)}",
        "unshare",
        "-m",
        "-u",
        "-i",
        "-p",
        "-C",
        "-f",
        "--kill-child",
    ]
    init = [
        SOURCES / "node-init",
        node.hostname,
        node.folder,
        node.settings.rootfs,
        node.settings.engines,
    ]
    processes.start(node.record, [*namespaces, *init], node.console, lambda: cgroups.join(node.name))


def wait_until_up(node: Node) -> None:
    """Wait until SSH and Docker answer."""

    for service, answers in (("SSH", _answers_ssh), ("Docker", _answers_docker)):
        expected = f"{service} of {node.name} answers; the end of {node.console}:\n"
        wait_until(
            lambda answers=answers: answers(node),
            _SECONDS_TO_BOOT,
            lambda expected=expected: expected + tail(node.console),
        )


def stop(node: Node) -> None:
    """Cut the node's power: everything in it dies at once, what it wrote stays."""
    processes.end(node.record, _kill_init)
    cgroups.remove(node.name)
    network.remove_node(node.name)


def remove(node: Node) -> None:
    stop(node)
    system.remove(node.folder)


def execute(node: Node, command: Sequence[str], **options) -> subprocess.CompletedProcess:
    """Run a command in the node as its root."""
    return subprocess.run(
        ["nsenter", f"--target={_init(node)}", "--all", "--", *command],
        env=CLEAN_ENVIRONMENT,
        check=False,
        **options,
    )


def _root(node: Node) -> Path:
    """The root of a running node, as this machine sees it."""
    return Path(f"/proc/{_init(node)}/root")


def _init(node: Node) -> int:
    """The process that is PID 1 in the node."""
    pid = processes.running(node.record)
    if pid is None:
        raise LabError(f"{node.name} is not running: start it with `lab up {node.index + 1}`")
    return processes.children(pid)[0]


def introduce(nodes: Sequence[Node], authority: str) -> None:
    """Every node knows every node by its own name, and has the certificate of the hub's authority in a file."""
    hosts = "127.0.0.1 localhost\n" + "".join(f"{node.address} {node.hostname}\n" for node in nodes)
    for node in nodes:
        (_root(node) / "etc/hosts").write_text(hosts, encoding="ascii")
        _install(_root(node) / "etc/ssl/lab-ca.pem", authority)


def sicken(node: Node, ills: dict) -> dict:
    """Add to what the NPUs of a running node play; returns all they play now."""
    playing = _playing(_root(node)) | ills
    _play(node, playing)
    return playing


def heal(node: Node) -> None:
    _play(node, {})


def _playing(root: Path) -> dict:
    try:
        return json.loads((root / npu_sim.STATE).read_text(encoding="ascii"))
    except FileNotFoundError:
        return {}


def _play(node: Node, ills: dict) -> None:
    root = _root(node)
    try:
        npu_sim.apply(root, ills, node.index, node.name)
    except ValueError as error:
        raise LabError(str(error)) from None
    npu_sim.place_devices(root / "dev", ills)


def _prepare(node: Node) -> None:
    """Put what is the node's own into its layer, which no one has mounted yet."""
    upper = node.folder / "upper"
    for name in ("upper", "work", "root", "docker", "data"):
        (node.folder / name).mkdir(parents=True, exist_ok=True)
    (node.folder.parent / "shared").mkdir(exist_ok=True)
    _install(
        upper / "root/.ssh/authorized_keys",
        node.settings.key.with_suffix(".pub").read_text(encoding="ascii"),
        folder_mode=0o700,
    )
    registries = [node.settings.registry, node.settings.guarded_registry]
    daemon = {
        "insecure-registries": registries,
        "storage-driver": "overlay2",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    }
    _install(upper / "etc/docker/daemon.json", json.dumps(daemon, indent=2) + "\n")
    if machine.lacks_sys_resource():
        (upper / "usr/local/sbin").mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "runc-without-sys-resource", upper / "usr/local/sbin/runc")
    ills = _playing(upper)  # a reboot cures nothing
    npu_sim.apply(upper, ills, node.index, node.name)
    npu_sim.place_devices(node.folder / "npu-devices", ills)


def _install(file: Path, text: str, folder_mode: int = 0o755) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(folder_mode)
    file.write_text(text, encoding="ascii")


def _answers_ssh(node: Node) -> bool:
    if not is_running(node):
        raise LabError(
            f"{node.name} ended while it was starting; the end of {node.console}:\n{tail(node.console)}"
        )
    try:
        with socket.create_connection((node.address, 22), timeout=1):
            return True
    except OSError:
        return False


def _answers_docker(node: Node) -> bool:
    return execute(node, ["docker", "version"], capture_output=True).returncode == 0


def _kill_init(pid: int) -> None:
    """Kill the node's systemd; the process that holds its namespaces ends after the last process in them."""
    for init in processes.children(pid) or [pid]:
        os.kill(init, signal.SIGKILL)
