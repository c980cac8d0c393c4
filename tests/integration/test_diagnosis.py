# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong while the service starts on the lab: site.yml ends within seconds of the first fatal sign, and names cause and host on all hosts.

The service is left as the last fault left it; site.yml repairs that.
"""

from __future__ import annotations

import json
import re
import tarfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ansible_run
import pytest
import yaml
from ansible_run import ROOT
from lab import CONTAINER, INVENTORY, NODES, assert_names, guard_and_campaign, lab, on, place, playbook, shell

SECONDS = 10  # from the first fatal sign until site.yml has ended, on a machine with nothing else to do
PINGS = 5  # the same, in runs of Ansible that only ping the hosts: what a busy machine may take
VARIABLES = yaml.safe_load((ROOT / "inventories/lab/group_vars/all.yml").read_text(encoding="utf-8"))
MODELS = "/opt/data/verification/models"


def arguments(**more: Any) -> dict[str, Any]:
    return {
        "vllm_serve_args": {
            **VARIABLES["vllm_serve_args"],
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
    }


def environment(name: str, value: str, node: str) -> dict[str, Any]:
    """Another value of an environment variable on one of the hosts."""
    usual = VARIABLES["vllm_serve_env"].get(name, "eth0")
    return {
        "vllm_serve_env": {
            **VARIABLES["vllm_serve_env"],
            name: f"{{{{ '{value}' if inventory_hostname == '{node}' else '{usual}' }}}}",
        }
    }


def break_weights() -> None:
    """A copy of the weights on both hosts, whose first file is cut on one of them."""
    for node in NODES:
        on(node, "cp", "-r", f"{MODELS}/GLM-4.7", f"{MODELS}/broken")
    on("node1", "truncate", "--size", "4000", f"{MODELS}/broken/model-00001-of-00004.safetensors")


def seconds_of_a_ping() -> float:
    began = time.monotonic()
    assert ansible_run.run("ansible", "all", *INVENTORY, "-m", "ansible.builtin.ping").returncode == 0
    return time.monotonic() - began


@dataclass(frozen=True)
class Case:
    """A fault, the line of the log that is its first sign, and the cause that every host names."""

    host: str
    sign: str
    cause: str
    variables: dict[str, Any]
    options: tuple[str, ...] = ()
    make: Callable[[], object] = lambda: None
    undo: tuple[tuple[str, ...], ...] = ()
    everywhere: bool = False  # it is the same on each host, and each may name its own


CASES = {
    "unknown parser": Case(
        "node0",
        "KeyError: 'invalid tool call parser",
        "invalid_tool_call_parser",
        arguments(tool_call_parser="nosuch"),
    ),
    "bad flag": Case(
        "node0",
        "error: unrecognized arguments",
        "bad_argument",
        {"vllm_serve_extra_args": ["--no-such-flag"]},
        everywhere=True,
    ),
    "wrong NIC on the worker": Case(
        "node1",
        "Unable to find address for",
        "wrong_nic",
        environment("GLOO_SOCKET_IFNAME", "ens99", "node1"),
    ),
    "out of memory on the worker": Case(
        "node1",
        "you tried to allocate",
        "out_of_memory",
        environment("VLLM_CPU_KVCACHE_SPACE", "4000", "node1"),
    ),
    "weights broken on the worker": Case(
        "node1",
        "SafetensorError",
        "weights_broken",
        {"vllm_model_dir": f"{MODELS}/broken"},
        options=("--skip-tags", "weights"),
        make=break_weights,
        undo=tuple(("exec", node, "rm", "-rf", f"{MODELS}/broken") for node in NODES),
    ),
}


def seconds_of(node: str, sign: str) -> float:
    """When a line first appeared in the log of the container."""
    stamps = [
        line.split(" ", 1)[0]
        for line in shell(node, f"docker logs --timestamps {CONTAINER} 2>&1").splitlines()
        if sign in line
    ]
    assert stamps, f"{sign} is not in the log of {node}"
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", min(stamps))).timestamp()


GUARD = ("wrong NIC on the worker", "worker without Docker")  # while the service starts, and before


@pytest.mark.parametrize("case", guard_and_campaign(CASES, GUARD))
def test_site_ends_at_once_and_names_the_cause(case):
    with ExitStack() as stack:
        for undo in case.undo:
            stack.callback(lab, *undo)
        case.make()
        run = playbook("site.yml", *INVENTORY, "-e", json.dumps(case.variables), *case.options)
        ended = time.time()
        messages = run.failed()
        late = ended - seconds_of(case.host, case.sign)
        print(f"ended {late:.1f} s after the first fatal sign")
        assert late < SECONDS or late < PINGS * seconds_of_a_ping(), run.output
        causes = {failure.host: failure.result["cause"] for failure in run.failures}
        assert {node: cause["id"] for node, cause in causes.items()} == dict.fromkeys(NODES, case.cause)
        for node, cause in causes.items():
            assert_names(messages[node], cause["line"])
            if not case.everywhere:
                assert cause["host"] == case.host
                assert_names(messages[node], *([case.host] if node != case.host else []))


EARLY = {
    "worker without Docker": (
        ("node1", "docker", "fail"),
        ("exec", "node1", "systemctl", "stop", "docker.socket", "docker.service"),
        ("exec", "node1", "systemctl", "start", "docker.service"),
    ),
    "rendezvous port closed": (
        ("node0", "tcp", "fail"),
        ("exec", "node0", "iptables", "-I", "INPUT", "-p", "tcp", "--dport", "8082", "-j", "DROP"),
        ("exec", "node0", "iptables", "-D", "INPUT", "-p", "tcp", "--dport", "8082", "-j", "DROP"),
    ),
}


@pytest.mark.parametrize("case", guard_and_campaign(EARLY, GUARD))
def test_what_would_keep_a_worker_away_is_named_before_the_start(case):
    finding, make, undo = case
    with ExitStack() as stack:
        stack.callback(lab, *undo)
        # Ports are called only where no service has them, so the service stops first.
        playbook("playbooks/stop.yml", *INVENTORY).succeeded()
        lab(*make)
        run = playbook("site.yml", *INVENTORY)
    assert_names(run.failed()["node0"], place(finding[0], "preflight"))
    assert finding in run.findings()


def test_the_verdict_and_the_bundle_after_a_failure_hold_the_cause_and_no_secret(tmp_path):
    """The containers that the cases before have left may run or not; this one has failed, and secrets are planted in log, environment and label."""
    name, secrets = "diagnosis-planted", ("planted-1-token", "planted-2-key", "planted-3-proxy")
    script = f"echo serve --api-key {secrets[1]}; echo 'RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB'; echo '{secrets[0]} unnamed'; exit 1"
    image = on("node1", "docker", "inspect", "--format", "{{.Config.Image}}", CONTAINER).strip()
    with ExitStack() as stack:
        stack.callback(lab, "exec", "node1", "docker", "rm", name)
        planted = (
            "--env",
            f"A_TOKEN={secrets[0]}",
            "--env",
            f"HTTPS_PROXY=http://me:{secrets[2]}@proxy:3128",
            "--label",
            f"my.secret={secrets[1]}",
        )
        shell(
            "node1",
            'docker run --name "$@" || true',
            "sh",
            name,
            *planted,
            "--entrypoint",
            "sh",
            image,
            "-c",
            script,
        )
        variables = {"vllm_container_name": name, "weights_token": secrets[0], "diagnose_dir": str(tmp_path)}
        options = (*INVENTORY, "-vvv", "-e", json.dumps(variables))
        run = playbook("playbooks/diagnose.yml", *options)
    said = run.succeeded()
    assert "node0 head absent" in said
    assert [run.changed()[node] for node in NODES] == [0, 0]
    bundle = tmp_path / "support-bundle.tar.gz"
    assert bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(bundle) as archive:
        texts = {member.name: archive.extractfile(member).read().decode() for member in archive}
    first = json.loads(texts["support-bundle/findings.json"])[0]
    assert (first["host"], first["id"]) == ("node1", "out_of_memory")
    assert_names(said, first["cause"], "3.47 GiB")
    everything = "\n".join(texts.values())
    assert [secret for secret in secrets if secret in everything] == []
    assert [secret for secret in secrets if secret in said] == []
