# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fnmatch

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.commands import Streams
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.client import (
    container_name,
    fetched,
    is_lost,
    pattern,
    was_interrupted,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File
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
