# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

import pytest
from actions import Clock
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.commands import Streams
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import client
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import (
    Client,
    Container,
    Fanout,
    HostPython,
    container_name,
    fetched,
    is_damaged,
    is_lost,
    pattern,
    was_interrupted,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import Choice, File, Request
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text("ab[]*?!-./", min_size=1, max_size=8), min_size=1, unique=True))
def test_a_pattern_matches_its_file_and_no_other(paths: list[str]):
    for path in paths:
        matched = [other for other in paths if fnmatch.fnmatchcase(other, pattern(File(path, 0, "")))]
        assert matched == [path]


IN_USE = 'docker: Conflict. The container name "/x" is already in use by container "0a".'
NO_IMAGE = "docker: No such image: image:tag"
NO_MODULE = "\"ModuleNotFoundError: No module named 'modelscope'\""
NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
)
DONE = '{"replaced": ["a"], "compared": true}'
FAILURES = {
    "another run": (Streams(125, "", IN_USE), "/models"),
    "no image": (Streams(125, "", NO_IMAGE), NO_IMAGE),
    "no client": (Streams(0, NO_MODULE, ""), "image:tag"),
    "a broken file": (Streams(0, '"FileDownloadError: 1 of 8; a: Hash mismatch"', "noise"), "Hash mismatch"),
    "a token refused": (Streams(0, '"FileDownloadError: 1 of 8; a: 403 Client Error"', ""), "O(token)"),
    "killed": (Streams(137, "", "line\n" * 20 + "Killed"), "Killed"),
    "a full disk": (Streams(0, '"OSError: [Errno 28] No space left on device"', ""), "O(dir)"),
    "a certificate": (Streams(0, '"SSLError: [SSL: CERTIFICATE_VERIFY_FAILED]"', ""), "TLS"),
    "a commit": (Streams(0, '"NotExistError: The model: a/b has no revision: 9f1e"', ""), "O(revision)"),
    "an old client": (
        Streams(0, "\"TypeError: snapshot_download() got an unexpected keyword argument 'max_workers'\"", ""),
        "1.22",
    ),
    "no name": (Streams(0, '"ConnectionError: NameResolutionError: cdn.example.com"', ""), "name servers"),
    "the CDN refuses": (
        Streams(0, '"HTTPError: 403 Client Error: Forbidden for url: https://cdn-lfs.example.com/x"', ""),
        "clock",
    ),
    "too many requests": (Streams(0, '"HTTPError: 429 Client Error: Too Many Requests"', ""), "O(workers)"),
    "no connection": (
        Streams(0, "\"ConnectionError: HTTPSConnectionPool(host='cdn'): Max retries exceeded\"", ""),
        "no_proxy",
    ),
    "a file that a server does not have": (
        Streams(
            0,
            '"FetchError: a cannot be received from http://s/a: 404 Client Error: Not Found for url: http://s/a"',
            "",
        ),
        "O(exclude)",
    ),
    "a file with another content": (
        Streams(0, '"FetchError: a cannot be received from http://s/a: its SHA-256 is 1, expected 2"', ""),
        "the SHA-256 of the listing",
    ),
    "a broken disk": (Streams(0, '"OSError: [Errno 5] Input/output error"', ""), "dmesg"),
    "a share that has gone": (Streams(0, '"OSError: [Errno 116] Stale file handle"', ""), "mount"),
    "a file that is too large": (Streams(0, '"OSError: [Errno 27] File too large"', ""), "ulimit"),
    "no locks": (Streams(0, '"OSError: [Errno 37] No locks available"', ""), "O(cache_dir)"),
    "less than is listed": (
        Streams(
            0,
            '"FetchError: a cannot be received from http://s/a: BusyError: 416 Client Error: Requested Range Not '
            'Satisfiable for url: http://s/a"',
            "",
        ),
        "less of a file",
    ),
    "an empty answer": (
        Streams(
            0,
            '"FileIntegrityError: File a integrity check failed, expected sha256 signature is 9716, actual is '
            'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, the download may be incomplete"',
            "",
        ),
        "sends nothing",
    ),
    "a client that counts only": (
        Streams(
            0,
            '"FileDownloadError: 1 file(s) failed to download out of 5. ConnectionError: Max retries exceeded"',
            "",
        ),
        "no_proxy",
    ),
    "silent": (Streams(1, "", ""), "code 1"),
}


def refusal(outcome: Streams) -> str:
    with pytest.raises(ProblemError) as error:
        fetched(outcome, "/models", "image image:tag")
    return str(error.value)


@pytest.mark.parametrize(("outcome", "named"), FAILURES.values(), ids=FAILURES)
def test_a_failed_client_is_explained(outcome: Streams, named: str):
    assert named in refusal(outcome)


@pytest.mark.parametrize(
    ("outcome", "interrupted"),
    [
        (Streams(137, "", ""), True),
        (Streams(-9, "", ""), True),
        (Streams(125, "", "error waiting for container: unexpected EOF"), True),
        (Streams(125, "", NO_DAEMON), True),
        (Streams(125, "", f"docker: Error response from daemon: {IN_USE}"), True),
        (Streams(125, "", "docker: Error response from daemon: No such image: image:tag"), False),
        (Streams(1, "", "Traceback"), False),
        (Streams(0, "", ""), False),
        (Streams(124, "", ""), False),
        (Streams(0, '"FileDownloadError: a: Hash mismatch"', ""), False),
        (Streams(0, DONE, ""), False),
    ],
)
def test_only_a_client_that_was_ended_from_outside_is_started_again(outcome: Streams, interrupted: bool):
    assert was_interrupted(outcome) is interrupted


LOST = (
    "no name",
    "the CDN refuses",
    "too many requests",
    "no connection",
    "less than is listed",
    "an empty answer",
    "a client that counts only",
)


@pytest.mark.parametrize("name", FAILURES)
def test_a_client_that_lost_the_hub_is_started_again(name: str):
    assert is_lost(FAILURES[name][0]) is (name in LOST)


def test_what_a_fanout_reports_is_no_failure_of_the_client():
    assert not is_lost(Streams(0, '"RuntimeError: a cannot be received from b: ConnectionError"', ""))


@pytest.mark.parametrize(
    "outcome",
    [Streams(0, DONE, "a warning"), Streams(125, DONE, "error waiting for container: unexpected EOF")],
)
def test_a_client_that_reports_success_is_trusted(outcome: Streams):
    assert fetched(outcome, "/models", "image image:tag") == (["a"], True)


def test_a_folder_has_one_container_however_its_path_is_written():
    assert container_name("/models/a/") == container_name("/models//a") != container_name("/models/b")


def test_golden_messages(golden):
    golden("client", {name: refusal(outcome) for name, (outcome, _named) in FAILURES.items()})


# The process that downloads


FILES = [File("a", 3, "x"), File("b", 4, "y")]
DAMAGED = "\"FileNotFoundError: [Errno 2] No such file or directory: '/models/._____temp/a'\""
SETTINGS = {"cache_dir": "cache", "workers": 8, "endpoint": "http://hub"}


class Program:
    """A program in the place of Python, which does another thing each time that it is started."""

    def __init__(self, folder: Path, *does: str) -> None:
        self.folder = folder
        self.path = folder / "program"
        for number, what in enumerate(does):
            (folder / f"does{number}").write_text(what, encoding="utf-8")
        script = """#!/bin/bash
cd {folder}
number=$(ls | grep -c "^job")
read -r job; read -r work
echo "$job" >job$number; echo "$work" >work$number
[[ -e does$number ]] || exit 99
source ./does$number
"""
        self.path.write_text(script.format(folder=folder), encoding="utf-8")
        self.path.chmod(0o755)

    def client(self, fanout: Fanout | None = None) -> Client:
        (self.folder / "model").mkdir()
        runtime = HostPython(str(self.path), lambda name: f"/private/{name}", "/ca.pem")
        request = Request("a/b", "v1", Choice(["*"], []))
        given = {**SETTINGS, "cache_dir": str(self.folder / "cache")}
        return Client(runtime, request, Folder(str(self.folder / "model")), given, fanout)

    def got(self, kind: str) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob(f"{kind}[0-9]*"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


@pytest.fixture(name="clock", autouse=True)
def clock_without_pauses(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    return clock


def says(outcome: str, code: int = 0) -> str:
    return f"cat <<'END'\n{outcome}\nEND\nexit {code}"


def test_the_downloader_learns_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("OTHER", "x")
    program = Program(tmp_path, says(DONE))
    one = program.client()
    assert one.start() is one.start()
    assert one.fetch(FILES, FILES[1:], "c0ffee") == (["a"], True)
    (job,), (work,) = program.got("job"), program.got("work")
    assert (job["repo"], job["dir"], job["workers"], job["share"]) == (
        "a/b",
        str(tmp_path / "model"),
        8,
        None,
    )
    assert (job["home"], job["ca_bundle"], job["endpoint"]) == ("/private/home", "/ca.pem", "http://hub")
    assert job["proxies"]["HTTPS_PROXY"] == "http://proxy:3128"
    assert "OTHER" not in job["proxies"]
    assert (work["missing"], work["revision"], work["patterns"]) == (
        ["b"],
        "c0ffee",
        {"a": "[a]", "b": "[b]"},
    )
    assert [file["path"] for file in work["files"]] == ["a", "b"]
    assert (tmp_path / "cache").is_dir()


@pytest.mark.parametrize(("hosts", "workers"), [(2, 4), (3, 2), (100, 1)])
def test_the_hosts_of_a_fan_out_share_the_bandwidth(tmp_path, hosts, workers):
    program = Program(tmp_path, says(DONE))
    peers = [f"10.0.0.{number}" for number in range(hosts)]
    program.client(Fanout(peers, "10.0.0.1", 8084, "key")).fetch(FILES, FILES, "v1")
    (job,) = program.got("job")
    assert job["workers"] == workers
    assert job["share"] == {"addresses": peers, "index": 1, "port": 8084, "key": "key"}


LOST_HUB = says('"ConnectionError: NameResolutionError: cdn.example.com"')


@pytest.mark.parametrize("first", [says(DAMAGED), says("", 137), LOST_HUB], ids=["damaged", "killed", "lost"])
def test_it_is_started_again_for_what_is_still_missing(tmp_path, first):
    program = Program(tmp_path, f"echo -n 123 >model/a; {first}", says(DONE))
    assert program.client().fetch(FILES, FILES, "v1").compared
    assert [work["missing"] for work in program.got("work")] == [["a", "b"], ["b"]]


def test_a_file_that_arrives_damaged_each_time_is_a_problem(tmp_path):
    program = Program(tmp_path, *[says(DAMAGED)] * 9)
    with pytest.raises(ProblemError):
        program.client().fetch(FILES, FILES, "v1")
    assert len(program.got("work")) == client.DAMAGES


def test_a_failure_of_another_kind_is_a_problem_at_once(tmp_path):
    program = Program(tmp_path, says('"OSError: [Errno 28] No space left on device"'), says(DONE))
    with pytest.raises(ProblemError):
        program.client().fetch(FILES, FILES, "v1")
    assert len(program.got("work")) == 1


def test_a_hub_that_stays_lost_is_a_problem_in_the_end_unless_bytes_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "OUTAGE_SECONDS", 2.5 * client.PAUSE_SECONDS)
    more = "echo -n 1 >>model/b.incomplete; "
    program = Program(tmp_path, LOST_HUB, LOST_HUB, more + LOST_HUB, LOST_HUB, LOST_HUB, LOST_HUB, says(DONE))
    with pytest.raises(ProblemError):
        program.client().fetch(FILES, FILES, "v1")
    assert len(program.got("work")) == 6


@pytest.mark.parametrize(("outcome", "damaged"), [(DAMAGED, True), (DONE, False)])
def test_a_damaged_file_is_known_by_what_older_clients_say(outcome, damaged):
    assert is_damaged(Streams(0, outcome, "")) is damaged


def test_a_container_has_the_folders_and_the_authorities_to_trust():
    plain = Container("docker", "image:tag", ["/models", "/cache"])
    assert plain.ca_bundle == ""
    command = plain.python()
    assert (command[:2], command[-1]) == (["docker", "run"], "image:tag")
    assert {"--volume=/models:/models", "--volume=/cache:/cache"} <= set(command)
    assert not [one for one in command if one.endswith(":ro")]
    trusting = Container("docker", "image:tag", ["/models"], "/etc/ca.pem")
    assert f"--volume=/etc/ca.pem:{trusting.ca_bundle}:ro" in trusting.python()


@pytest.mark.parametrize(
    ("says", "refused"), [("echo linux/arm64", False), ("echo 'Error: No such image: x' >&2; exit 1", True)]
)
def test_an_image_that_is_not_there_is_a_problem_and_not_pulled(tmp_path, says, refused):
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    docker.chmod(0o755)
    container = Container(str(docker), "image:tag", ["/models"])
    if refused:
        with pytest.raises(ProblemError, match="image:tag"):
            container.require()
    else:
        container.require()
