# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks while the service runs on the lab, and that it comes back by itself, with no Ansible: the real vLLM over two hosts."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from ansible_run import ROOT
from lab import CONTAINER, INVENTORY, NET, NODES, Run, count_failures, lab, on, playbook, shell
from polling import wait_until

HEAD, WORKER = NODES
ADDRESS = f"{NET}.10"
PATIENCE = 600  # seconds that a start may take on a busy machine
TAUGHT = yaml.safe_load((ROOT / "tests/lab/model/conversations.yml").read_text(encoding="utf-8"))["probe"][
    "tool_call_no_arguments"
]
QUESTION = {"model": "glm47", **TAUGHT["request"]}  # what only a patched parser reads
SERVED = [{"role": "user", "content": "How are you served?"}]
ENDLESS = {
    "model": "glm47",
    "messages": SERVED,
    "temperature": 0,
    "ignore_eos": True,
}


def post(body: dict, timeout: float) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(ADDRESS, 8080, timeout=timeout)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection.getresponse()


def answers() -> bool:
    """Whether the service gives the right answer, now."""
    try:
        call = json.loads(post(QUESTION, 5).read())["choices"][0]["message"]["tool_calls"][0]["function"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError):
        return False
    return (call["name"], json.loads(call["arguments"])) == (
        TAUGHT["expect"]["name"],
        TAUGHT["expect"]["arguments"],
    )


def wait(condition: Callable[[], object], expected: str) -> float:
    """Wait as long as a start may take; return the seconds."""
    return wait_until(condition, PATIENCE, expected, every=0.5)


def started(node: str) -> str:
    return on(node, "docker", "inspect", "--format", "{{.State.StartedAt}} {{.State.Running}}", CONTAINER)


def engine_pid(node: str) -> str:
    return on(node, "pgrep", "-f", "VLLM::EngineCore").split()[0]


def request_of(seconds: float) -> dict:
    """Return a request whose answer streams for about so many seconds, by the engine's speed now."""
    few = 50
    begin = time.monotonic()
    post({**ENDLESS, "max_tokens": few}, PATIENCE).read()
    rate = few / (time.monotonic() - begin)
    return {**ENDLESS, "max_tokens": min(int(seconds * rate), 8000), "stream": True}


class Stream:
    """A long answer that is being streamed."""

    def __init__(self, request: dict) -> None:
        self._request = request
        self.pieces = 0
        self.end = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait(lambda: self.pieces > 3 or bool(self.end), "the stream has begun or is refused")

    def _read(self) -> None:
        try:
            answer = post(self._request, PATIENCE)
            if answer.status == 503:
                self.end = "refused"
            for line in answer:
                if line.startswith(b"data: {"):
                    self.pieces += 1
                    self.end = "error" if b'"error"' in line else self.end
            self.end = self.end or "whole"
        except (OSError, http.client.HTTPException) as error:
            self.end = repr(error)

    def goes_on(self) -> None:
        """Assert that pieces still come."""
        seen = self.pieces
        wait(lambda: self.pieces > seen or bool(self.end), "the stream goes on")
        assert self.end in ("", "whole")

    def ended(self) -> str:
        """Wait for the end; return how it ended."""
        self._thread.join(PATIENCE)
        return self.end


@pytest.fixture(scope="module", autouse=True)
def service() -> None:
    playbook("site.yml", *INVENTORY).succeeded()


@pytest.fixture(autouse=True)
def running(service) -> Iterator[None]:
    wait(answers, "the service answers before the test")
    # As if the faults lay far apart; after many in a row the supervisors pause ever longer, and give up.
    count_failures(HEAD, 0)
    yield
    for node in NODES:
        lab("link", node, "up")


def comes_back(seconds_before: dict[str, str]) -> None:
    """Assert that both containers were started again, by Docker alone, and that the service answers."""
    took = wait(
        lambda: all(started(node) not in ("", seconds_before[node]) for node in NODES) and answers(),
        "both containers are started again and the service answers",
    )
    print(f"back after {took:.0f} s")


FAULTS = {
    "worker_supervisor_killed": lambda: on(WORKER, "pkill", "-9", "-f", "ascend-ops-supervise --rank=1"),
    "head_supervisor_killed": lambda: on(HEAD, "pkill", "-9", "-f", "ascend-ops-supervise --rank=0"),
    "worker_container_restarted": lambda: on(WORKER, "docker", "restart", CONTAINER),
    "docker_restarted": lambda: on(HEAD, "systemctl", "restart", "docker"),
    "worker_rebooted": lambda: lab("reboot", WORKER),
    "both_rebooted": lambda: [lab("reboot", node) for node in NODES],
}


@pytest.mark.campaign
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_it_comes_back_by_itself(fault):
    before = {node: started(node) for node in NODES}
    fault()
    comes_back(before)


@pytest.mark.parametrize("victim", [pytest.param(HEAD, marks=pytest.mark.campaign), WORKER])
def test_it_comes_back_from_a_kill_in_mid_stream(victim):
    before = {node: started(node) for node in NODES}
    stream = Stream(request_of(30))
    on(victim, "kill", "-9", engine_pid(victim))
    wait(lambda: bool(stream.end), "the stream of a dead engine ends")
    assert stream.end != "whole"
    comes_back(before)


@pytest.mark.campaign
def test_it_comes_back_from_the_kernels_oom_killer():
    before = {node: started(node) for node in NODES}
    on(WORKER, "docker", "update", "--memory", "2600m", "--memory-swap", "2600m", CONTAINER)
    try:
        # The kernel kills the largest process of the container, which is the engine.
        on(
            WORKER,
            "docker",
            "exec",
            "--detach",
            CONTAINER,
            "python3",
            "-c",
            "import time; hold = b'x' * 10**9; time.sleep(30)",
        )
        wait(lambda: started(WORKER) != before[WORKER], "the kernel kills the engine and its container ends")
    finally:
        on(WORKER, "docker", "update", "--memory", "0", "--memory-swap", "0", CONTAINER)
    comes_back(before)


def test_a_network_cut_of_20_seconds_changes_nothing():
    before = {node: started(node) for node in NODES}
    stream = Stream(request_of(30))
    lab("link", WORKER, "down")
    time.sleep(20)
    lab("link", WORKER, "up")
    stream.goes_on()
    assert {node: started(node) for node in NODES} == before


@pytest.mark.campaign
def test_a_cut_for_good_ends_both_sides_and_heals():
    before = {node: started(node) for node in NODES}
    lab("link", WORKER, "down")
    wait(
        lambda: all(started(node) != before[node] for node in NODES),
        "the containers of both hosts have ended",
    )
    lab("link", WORKER, "up")
    comes_back(before)


def docker_crashes(node: str) -> None:
    """Kill dockerd, which systemd starts again."""
    on(node, "systemctl", "kill", "--kill-who=main", "--signal=KILL", "docker")
    up = "docker version --format '{{.Server.Version}}' 2>/dev/null || true"
    wait(lambda: shell(node, up).strip(), "Docker is up again")


@pytest.fixture(name="live_restore")
def containers_outlive_docker() -> Iterator[None]:
    on(WORKER, "cp", "-p", "/etc/docker/daemon.json", "/etc/docker/daemon.json.before")
    on(WORKER, "sed", "-i", '1s/{/{"live-restore": true,/', "/etc/docker/daemon.json")
    on(WORKER, "systemctl", "reload", "docker")
    yield
    on(WORKER, "mv", "/etc/docker/daemon.json.before", "/etc/docker/daemon.json")
    on(WORKER, "systemctl", "reload", "docker")


@pytest.mark.campaign
@pytest.mark.usefixtures("live_restore")
def test_with_live_restore_a_crash_of_docker_changes_nothing():
    before = {node: started(node) for node in NODES}
    stream = Stream(request_of(30))
    docker_crashes(WORKER)
    stream.goes_on()
    assert {node: started(node) for node in NODES} == before


@pytest.mark.campaign
@pytest.mark.usefixtures("live_restore")
def test_with_live_restore_a_start_waits_for_docker():
    playbook("playbooks/stop.yml", *INVENTORY).succeeded()
    runs: list[Run] = []
    start = threading.Thread(target=lambda: runs.append(playbook("playbooks/start.yml", *INVENTORY)))
    start.start()
    wait(lambda: started(WORKER).split()[1:] == ["true"], "the worker's container runs")
    before = started(WORKER)
    on(WORKER, "systemctl", "stop", "docker.socket", "docker")
    time.sleep(20)
    on(WORKER, "systemctl", "start", "docker")
    start.join()
    assert "Docker does not answer" in runs[0].succeeded()
    assert started(WORKER) == before


@pytest.mark.campaign
def test_a_start_heals_a_crash_of_docker():
    docker_crashes(WORKER)
    wait(lambda: started(WORKER).split()[1:] == ["false"], "the worker's container has ended")
    playbook("playbooks/start.yml", *INVENTORY).succeeded()
    assert answers()


@pytest.fixture(name="hardened")
def containers_with_less_rights() -> Iterator[tuple[str, ...]]:
    options = (*INVENTORY, "-e", '{"vllm_container_hardened": true}')
    playbook("site.yml", *options).succeeded()
    yield options
    playbook("site.yml", *INVENTORY).succeeded()


@pytest.mark.campaign
def test_a_hardened_container_serves_and_heals(hardened):
    assert answers()
    second = playbook("site.yml", *hardened)
    assert (second.code, set(second.changed().values())) == (0, {0}), second.output
    before = {node: started(node) for node in NODES}
    on(WORKER, "kill", "-9", engine_pid(WORKER))
    comes_back(before)


@pytest.mark.campaign
def test_a_service_that_keeps_failing_is_started_at_once_by_site():
    count_failures(HEAD, 10)  # so that the pause is long
    on(HEAD, "kill", "-9", engine_pid(HEAD))
    log = f"docker logs --tail 5 {CONTAINER} 2>&1"
    wait(lambda: "keeps failing" in shell(HEAD, log), "the supervisors pause")
    run = playbook("site.yml", *INVENTORY)
    run.succeeded()
    assert run.changed() == {"localhost": 0, "node0": 2, "node1": 2}, run.output


@pytest.fixture(name="leave")
def another_program_has_a_port_that_vllm_needs() -> Iterator[Callable[[], str]]:
    """Stop the service, and yield what ends the program then.

    In the place of a random port, for which no race can be arranged, the program has the RPC port.
    """
    playbook("playbooks/stop.yml", *INVENTORY).succeeded()
    program = "import socket, time; s = socket.create_server(('0.0.0.0', 8082)); time.sleep(900)"
    pid = shell(HEAD, f'nohup python3 -c "{program}" > /dev/null 2>&1 & echo $!').strip()
    wait_until(lambda: ":8082 " in on(HEAD, "ss", "-ltn"), 10, "the program listens")
    yield lambda: on(HEAD, "kill", pid)
    shell(HEAD, f"kill {pid} || true")


@pytest.mark.campaign
def test_a_port_that_is_lost_to_another_program_costs_a_second_start(leave):
    runs: list[Run] = []
    start = threading.Thread(target=lambda: runs.append(playbook("playbooks/start.yml", *INVENTORY)))
    start.start()
    log = f"docker logs --tail 100 {CONTAINER} 2>&1"
    wait(lambda: "Address already in use" in shell(HEAD, log), "vLLM misses the port")
    leave()
    start.join()
    assert "Start once more" in runs[0].succeeded()
    assert answers()


def test_a_planned_stop_waits_for_the_running_answer_and_a_start_for_a_lost_ssh_connection():
    request = request_of(15)
    streams = [Stream(request)]
    runs: list[Run] = []
    stop = threading.Thread(target=lambda: runs.append(playbook("playbooks/stop.yml", *INVENTORY)))
    stop.start()

    def refused() -> bool:
        # How soon the stop begins depends on the machine, so an answer begins every few seconds.
        streams.append(Stream(request))
        return streams[-1].end == "refused"

    wait_until(refused, PATIENCE, "new requests are refused", every=3)
    stop.join()
    runs[0].succeeded()
    assert {stream.ended() for stream in streams[:-1]} == {"whole"}
    log = shell(HEAD, f"docker logs --tail 300 {CONTAINER} 2>&1")
    assert "request(s) left" in log
    assert "drained after" in log
    start_without_ssh_for_a_while()


@pytest.mark.campaign
def test_a_stop_that_is_not_to_drain_cuts_the_answer_and_is_no_failure():
    stream = Stream(request_of(60))
    playbook("playbooks/stop.yml", *INVENTORY, "-e", "vllm_drain_seconds=0").succeeded()
    assert stream.ended() != "whole"
    # Docker has killed none of them.
    codes = [on(node, "docker", "inspect", "--format", "{{.State.ExitCode}}", CONTAINER) for node in NODES]
    assert [code.strip() for code in codes] == ["0", "0"]
    playbook("playbooks/start.yml", *INVENTORY).succeeded()


def start_without_ssh_for_a_while() -> None:
    """Start the service. A connection that is lost meanwhile is waited for."""
    runs: list[Run] = []
    start = threading.Thread(target=lambda: runs.append(playbook("playbooks/start.yml", *INVENTORY)))
    start.start()
    wait(lambda: started(WORKER).split()[1:] == ["true"], "the worker's container runs")
    rule = ("INPUT", "--protocol", "tcp", "--dport", "22", "--jump", "REJECT", "--reject-with", "tcp-reset")
    on(WORKER, "iptables", "--insert", *rule)
    time.sleep(20)
    on(WORKER, "iptables", "--delete", *rule)
    start.join()
    assert "cannot be reached" in runs[0].succeeded()
