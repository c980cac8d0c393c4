# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the way of the weights, on the running lab, with the real client, and that nothing is lost by it.

ASCEND_TEST_SHARD_MB sets the size of each of the four shards; with 2048, say, it is the files of a real model.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from ansible_run import ROOT, environment
from hub.authority import Authority
from hub.faulty import Fault, FaultyHub
from lab import INVENTORY, NET, NODES, STATE, Run, assert_names, listens, on, place, playbook, shell
from polling import wait_until
from shards import write_shard

SHARD = int(os.environ.get("ASCEND_TEST_SHARD_MB", "24")) << 20
SHARDS = [f"model-{number:05}-of-00004.safetensors" for number in range(1, 5)]
TOTAL_SHARDS = SHARD * len(SHARDS)
FOLDER = "/opt/data/weights-faults"
SHARED = "/opt/shared/weights-faults"  # one folder for all hosts
MODEL = f"{FOLDER}/GLM-4.7"
PORT, SHARE_PORT, PROXY_PORT = 8199, 8198, 8197
TOKEN = "token-of-the-faulty-hub"
REPO = "ZhipuAI/GLM-4.7"
SLACK = max(
    16 << 20, TOTAL_SHARDS // 50
)  # what was on its way when a connection ended, of all files side by side: the more, the faster they came


@pytest.fixture(scope="module", name="files")
def files_of_a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    for name in SHARDS:
        write_shard(folder / name, SHARD)
    (folder / "config.json").write_text("{}", encoding="ascii")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("abcd", SHARDS, strict=True))}), encoding="ascii"
    )
    return folder


@pytest.fixture(name="hub")
def a_hub(files: Path) -> Iterator[FaultyHub]:
    with new_hub(files).serving() as hub:
        yield hub


def new_hub(files: Path, address: str = f"{NET}.1") -> FaultyHub:
    """Return a hub with a certificate of the lab's authority."""
    return FaultyHub((address, PORT), files, REPO, TOKEN, Authority(STATE / "authority").context())


@pytest.fixture(scope="module", autouse=True)
def the_stage_before() -> None:
    """The client runs in the image, which this stage does not pull."""
    playbook("site.yml", *INVENTORY, "--tags", "image").succeeded()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    clear()
    yield
    clear()


def clear() -> None:
    for node in NODES:
        on(node, "rm", "-rf", FOLDER, SHARED)


def options(**variables: object) -> list[str]:
    given = {
        "vllm_model_endpoint": f"https://{NET}.1:{PORT}",
        "vllm_model_dir": MODEL,
        "vllm_model_cache_dir": f"{FOLDER}/.cache",
        "weights_token": TOKEN,
        "weights_port": SHARE_PORT,
        **variables,
    }
    return [*INVENTORY, "-e", json.dumps(given)]


def download(**variables: object) -> Run:
    """Run the stage on one host, or those in `weights_hosts`."""
    return playbook("tests/integration/weights.yml", *options(**variables))


class Background(threading.Thread):
    """The stage, running while the test does something to it."""

    def __init__(self, **variables: object) -> None:
        super().__init__()
        self.variables = variables
        self.start()

    def run(self) -> None:
        self.done = download(**self.variables)

    def ended(self) -> Run:
        self.join()
        return self.done


def assert_failed(run: Run, *names: str) -> None:
    """Assert that the stage failed on the first host with a message that has these names in it."""
    assert_names(run.failed()["node0"], place("node0", "weights"), *names)


def wait_for_bytes(hub: FaultyHub, count: int) -> None:
    wait_until(lambda: hub.sent >= count, 180, lambda: f"the hub sends {count} bytes; it sent {hub.sent}")


def slow(hub: FaultyHub, seconds: float = 8) -> None:
    """Have the whole download take so long."""
    hub.bytes_per_second = TOTAL_SHARDS / seconds


def assert_complete(node: str = "node0", files: Path | None = None, folder: str = MODEL) -> None:
    """Every shard is on the host with the bytes of the hub, by sha256sum, which knows nothing of us."""
    if files:
        expected = subprocess.run(
            ["sha256sum", *SHARDS], cwd=files, capture_output=True, text=True, check=True
        ).stdout
        assert shell(node, f"cd {folder} && sha256sum {' '.join(SHARDS)}") == expected
    assert "manifest" in on(node, "ls", "-a", folder)


# Trouble with the hub and on the way to it


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(SHARDS[1], drop_after=SHARD // 2), id="connection dropped in mid-shard"),
        pytest.param(
            Fault(SHARDS[1], status=HTTPStatus.INTERNAL_SERVER_ERROR, times=2),
            id="500",
            marks=pytest.mark.campaign,
        ),
        pytest.param(
            Fault(SHARDS[1], status=HTTPStatus.TOO_MANY_REQUESTS, times=2),
            id="429",
            marks=pytest.mark.campaign,
        ),
    ],
)
def test_it_goes_on_where_it_was(hub: FaultyHub, files: Path, fault: Fault):
    hub.faults = [fault]
    download().succeeded()
    assert fault.times == 0
    assert hub.sent <= TOTAL_SHARDS + SLACK // 8
    assert_complete(files=files)


def test_a_shard_corrupted_on_the_way_is_fetched_again_alone(hub: FaultyHub, files: Path):
    hub.faults = [Fault(SHARDS[2], corrupt=True)]
    download().succeeded()
    assert hub.faults[0].times == 0
    assert hub.sent <= TOTAL_SHARDS + SHARD + SLACK // 8
    assert_complete(files=files)


@pytest.mark.campaign
def test_a_hub_that_restarts_is_waited_for(files: Path):
    before = new_hub(files)
    slow(before)
    with before.serving():
        run = Background()
        wait_for_bytes(before, TOTAL_SHARDS // 3)
    time.sleep(3)
    after = new_hub(files)
    with after.serving():
        run.ended().succeeded()
    assert before.sent + after.sent <= TOTAL_SHARDS + SLACK
    assert_complete(files=files)


@pytest.mark.campaign
def test_a_hash_that_the_hub_lists_wrongly_is_refused(hub: FaultyHub):
    repository = hub.repository
    path = repository.root / SHARDS[3]
    status = path.stat()
    repository._hashes[path, status.st_size, status.st_mtime_ns] = "0" * 64
    assert_failed(download(), SHARDS[3])
    assert SHARDS[3] not in on("node0", "ls", MODEL).split()


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"weights_token": "of-another-user"}, ("10010103009", "weights_token")),
        ({"vllm_model_revision": "v9"}, ("'v9'", "master, v1.0", "vllm_model_revision")),
        ({"vllm_model_endpoint": f"http://{NET}.1:1"}, (f"http://{NET}.1:1", "vllm_model_endpoint")),
    ],
    ids=["wrong token", "no such revision", "no hub"],
)
def test_what_cannot_work_is_refused_before_the_first_byte(
    hub: FaultyHub, variables: dict[str, str], names: tuple[str, ...]
):
    assert_failed(download(**variables), *names)
    assert hub.sent == 0


@pytest.mark.campaign
def test_a_token_that_expires_meanwhile_is_named(hub: FaultyHub):
    hub.faults = [Fault("/repo?", times=100, status=HTTPStatus.FORBIDDEN)]
    assert_failed(download(), "403", "weights_token")
    hub.faults = []
    download().succeeded()


PASSWORD = "password-of-the-proxy"


@pytest.fixture(name="proxy")
def a_proxy() -> Iterator[str]:
    """The URL of a proxy that wants to know who asks."""
    where = [
        "--hostname",
        f"{NET}.1",
        "--port",
        str(PROXY_PORT),
        "--num-workers",
        "1",
        "--num-acceptors",
        "1",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", *where, "--basic-auth", f"me:{PASSWORD}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as proxy:
        wait_until(lambda: listens(f"{NET}.1", PROXY_PORT), 60, "the proxy listens")
        yield f"http://me:{PASSWORD}@{NET}.1:{PROXY_PORT}"
        proxy.terminate()


def test_a_hub_that_only_a_proxy_reaches(files: Path, proxy: str, tmp_path: Path):
    secret = tmp_path / "proxy.json"
    secret.write_text(json.dumps({"weights_proxy": proxy}), encoding="ascii")
    with new_hub(files, "127.0.0.1").serving() as hub:
        there = options(vllm_model_endpoint=f"https://127.0.0.1:{PORT}", vllm_model_include=["config.json"])
        run = playbook("tests/integration/weights.yml", *there, "-e", f"@{secret}", "-vvvv")
        assert PASSWORD not in run.succeeded()
        assert hub.sent == (files / "config.json").stat().st_size
    assert on("node0", "ls", MODEL) == "config.json\n"


# Trouble on the host


def kill_the_client(node: str = "node0") -> None:
    shell(
        node,
        "kill -9 $(pgrep -f 'snapshot_downloa[d]' | xargs -n1 -I{} sh -c 'grep -q python3 /proc/{}/comm && echo {}')",
    )


def restart_docker() -> None:
    on("node0", "systemctl", "restart", "docker")


def fill_the_disk() -> None:
    shell("node0", f"dd if=/dev/zero of={FOLDER}/filler bs=1M 2>/dev/null || true")


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(kill_the_client, id="client killed -9"),
        pytest.param(restart_docker, id="Docker restarted", marks=pytest.mark.campaign),
    ],
)
def test_what_ends_the_client_is_survived_by_the_run(hub: FaultyHub, files: Path, trouble):
    slow(hub)
    run = Background()
    wait_for_bytes(hub, TOTAL_SHARDS // 2)
    slow(hub, 200)  # so that it does not end by itself while Docker stops
    trouble()
    hub.bytes_per_second = None
    run.ended().succeeded()
    assert hub.sent <= TOTAL_SHARDS + SLACK
    assert_complete(files=files)


PYTHON = f"""
set -e
python3 -m venv --without-pip {FOLDER}/python
container=$(docker create {NET}.1:5000/ascend/vllm-ascend:v0.13.0rc1)
docker cp $container:/usr/local/lib/python3.11/dist-packages/. {FOLDER}/python/lib/python3.11/site-packages
docker rm $container
"""


@pytest.mark.campaign
def test_the_client_runs_with_a_python_of_the_host(hub: FaultyHub, files: Path):
    shell("node0", PYTHON)
    slow(hub)
    run = Background(
        weights_python=f"{FOLDER}/python/bin/python3",
        vllm_image="no-such/image:it-is-not-asked",
        vllm_model_exclude=["conf*"],
    )
    wait_for_bytes(hub, TOTAL_SHARDS // 2)
    kill_the_client()
    run.ended().succeeded()
    assert hub.sent <= TOTAL_SHARDS + SLACK
    assert_complete(files=files)
    assert "config.json" not in on("node0", "ls", MODEL)
    shell(
        "node0",
        f"! ls -d /run/ascend-ops-weights* && ! grep -rqs {TOKEN} /run /root {FOLDER}",
    )


def bytes_complete() -> int:
    """Return the bytes of the shards that are complete on the host."""
    found = on("node0", "find", MODEL, "-name", "model-*.safetensors", "-size", f"{SHARD}c")
    return SHARD * len(found.split())


@pytest.mark.campaign
def test_a_disk_that_is_full_is_told_and_nothing_is_lost(hub: FaultyHub, files: Path):
    shell(
        "node0",
        f"mkdir -p {FOLDER} && mount -t tmpfs -o size={TOTAL_SHARDS + (64 << 20)} tmpfs {FOLDER}",
    )
    try:
        slow(hub)
        run = Background()
        wait_for_bytes(hub, TOTAL_SHARDS // 2)
        fill_the_disk()
        assert_failed(run.ended(), "No space left")
        hub.bytes_per_second = None
        on("node0", "rm", f"{FOLDER}/filler")
        # The client has asked again and again while the disk was full. What counts is what it asks for from now on.
        before, complete = hub.sent, bytes_complete()
        download().succeeded()
        assert hub.sent - before <= TOTAL_SHARDS - complete + SLACK
        assert_complete(files=files)
    finally:
        on("node0", "umount", "-l", FOLDER)


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(hub: FaultyHub):
    shell(
        "node0",
        f"mkdir -p {FOLDER} && mount -t tmpfs -o size={TOTAL_SHARDS // 2} tmpfs {FOLDER}",
    )
    try:
        run = download()
    finally:
        on("node0", "umount", "-l", FOLDER)
    assert_failed(run, FOLDER)
    assert hub.sent == 0


def damage(shard: str, folder: str = MODEL) -> None:
    """Change a byte as a bad disk does it: the modification time does not tell."""
    change = "touch -r $1 /run/before && printf x | dd of=$1 bs=1 seek=1000 conv=notrunc status=none && touch -r /run/before $1"
    shell("node0", change, "sh", f"{folder}/{shard}")


def test_complete_weights_cost_no_more_than_a_look(hub: FaultyHub, files: Path):
    download().succeeded()
    sent, requests = hub.sent, hub.requests
    shards = [f"{MODEL}/{shard}" for shard in SHARDS]
    on("node0", "touch", "-a", "-d", "@0", *shards)  # the next that reads them changes that
    run = download()
    run.succeeded()
    assert run.changed() == {"node0": 0}
    assert (hub.sent, hub.requests) == (sent, requests)
    assert set(on("node0", "stat", "--format", "%X", *shards).split()) == {"0"}


def test_a_shard_damaged_on_disk_is_found_by_reading_and_fetched_again_alone(hub: FaultyHub, files: Path):
    download().succeeded()
    hub.sent = 0
    damage(SHARDS[1])
    said = download(weights_verify=True).succeeded()
    assert f": {SHARDS[1]}" in said  # which are fetched again
    assert f": {SHARDS[0]}" not in said
    assert hub.sent == SHARD
    assert_complete(files=files)
    run = download(weights_verify=True)
    run.succeeded()
    assert run.changed() == {"node0": 0}
    assert hub.sent == SHARD


@pytest.mark.campaign
def test_shards_cut_off_and_swapped_are_fetched_again_alone(hub: FaultyHub, files: Path):
    download().succeeded()
    hub.sent = 0
    first, second, third, _fourth = SHARDS
    shell(
        "node0",
        f"cd {MODEL} && truncate -s -1 {first} && cp {second} x && cp {third} {second} && mv x {third}",
    )
    download().succeeded()
    assert hub.sent == 3 * SHARD
    assert_complete(files=files)


# More than one run


@pytest.mark.campaign
def test_a_second_run_at_once_is_refused(hub: FaultyHub, files: Path):
    slow(hub, 60)
    run = Background()
    wait_for_bytes(hub, 1)
    second = download()
    hub.bytes_per_second = None
    assert_failed(second, MODEL, "interrupt it")
    run.ended().succeeded()
    assert hub.sent <= TOTAL_SHARDS + SLACK // 8
    assert_complete(files=files)


def client() -> str:
    """Return the id of the container that downloads on the first host."""
    return on("node0", "docker", "ps", "--quiet", "--filter", "name=ascend-ops-weights").strip()


def test_a_run_that_was_killed_is_taken_over(hub: FaultyHub, files: Path):
    slow(hub, 60)
    command = ["ansible-playbook", "tests/integration/weights.yml", *options()]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
    ) as run:
        wait_for_bytes(hub, TOTAL_SHARDS // 6)
        first = client()
        os.killpg(run.pid, signal.SIGKILL)
    second = Background()
    time.sleep(20)  # ten seconds after the last poll, the second run takes the work over
    assert client() == first
    hub.bytes_per_second = None
    second.ended().succeeded()
    assert hub.sent <= TOTAL_SHARDS + SLACK
    assert_complete(files=files)


# Distribution


def test_fan_out_takes_each_byte_once_and_is_closed_to_others(hub: FaultyHub, files: Path):
    slow(hub)
    run = Background(weights_distribution="fanout", weights_hosts="node0,node1")
    wait_for_bytes(hub, TOTAL_SHARDS // 2)
    inspect = "docker inspect --format '{{json .Config.Env}} {{json .Args}}' $(docker ps -q --filter name=ascend-ops-weights)"
    inspected = shell("node0", inspect)
    assert "snapshot_download" in inspected
    assert TOKEN not in inspected
    assert not re.search(r"\b[0-9a-f]{64}\b", inspected)  # the key of the run is one
    for path in ("/state", f"/files/{SHARDS[0]}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{NET}.10:{SHARE_PORT}{path}", timeout=5)
        assert refused.value.code == HTTPStatus.FORBIDDEN
    run.ended().succeeded()
    assert hub.sent == TOTAL_SHARDS + sum(
        (files / name).stat().st_size for name in ("config.json", "model.safetensors.index.json")
    )
    for node in NODES:
        assert_complete(node, files)
        assert not listens(f"{NET}.{10 + NODES.index(node)}", SHARE_PORT)


@pytest.mark.campaign
def test_fan_out_goes_on_after_a_client_was_killed(hub: FaultyHub, files: Path):
    slow(hub)
    run = Background(weights_distribution="fanout", weights_hosts="node0,node1")
    wait_for_bytes(hub, TOTAL_SHARDS // 3)
    kill_the_client("node1")
    run.ended().succeeded()
    assert hub.sent <= TOTAL_SHARDS + SLACK
    for node in NODES:
        assert_complete(node, files)


@pytest.mark.campaign
def test_fan_out_gives_what_one_host_has_without_the_hub(hub: FaultyHub, files: Path):
    download().succeeded()
    hub.sent = 0
    download(weights_distribution="fanout", weights_hosts="node0,node1").succeeded()
    assert hub.sent == 0
    assert_complete("node1", files)


@pytest.mark.campaign
def test_hosts_that_share_a_folder_write_it_once(hub: FaultyHub, files: Path):
    shared = {
        "weights_distribution": "shared",
        "weights_hosts": "node0,node1",
        "vllm_model_dir": f"{SHARED}/GLM-4.7",
        "vllm_model_cache_dir": f"{SHARED}/.cache",
        "vllm_container_extra_mounts": ["/opt/shared"],
    }
    run = download(**shared)
    run.succeeded()
    assert hub.sent == TOTAL_SHARDS + sum(
        (files / name).stat().st_size for name in ("config.json", "model.safetensors.index.json")
    )
    assert run.changed() == {"node0": 1, "node1": 0}
    assert_complete("node1", files, f"{SHARED}/GLM-4.7")
    damage(SHARDS[1], f"{SHARED}/GLM-4.7")
    run = download(**shared, weights_verify=True)
    run.succeeded()
    assert run.changed() == {"node0": 1, "node1": 0}
    assert_complete("node1", files, f"{SHARED}/GLM-4.7")


@pytest.mark.campaign
def test_weights_brought_by_hand_are_verified_by_a_checksum_file(hub: FaultyHub):
    download().succeeded()
    shell(
        "node0",
        f"cd {MODEL} && rm .ascend_ops_manifest.json && sha256sum *.json *.safetensors > {FOLDER}/SHA256SUMS",
    )
    requests = hub.requests
    by_hand = {"weights_distribution": "present", "weights_checksums": f"{FOLDER}/SHA256SUMS"}
    download(**by_hand).succeeded()
    damage(SHARDS[2])
    assert_failed(download(**by_hand, weights_verify=True), SHARDS[2])
    assert SHARDS[2] in on("node0", "ls", MODEL)
    assert hub.requests == requests
