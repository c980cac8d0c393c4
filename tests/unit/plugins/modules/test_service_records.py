# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CANN's own log beside the container's: when it is read, how much of it, and what it adds to the diagnosis."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.docker import Docker
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import diagnosis, records
from ansible_collections.ascend_ops.vllm.plugins.modules import service_records
from docker_daemon import docker_daemon

# Of vllm-ascend's issues and of CANN's maintenance guide; the file's other lines are INFO and EVENT.
PORT = (
    "[ERROR] HCCL(60570,):2026-11-25-04:00:02.911.312 [hccl_socket.cc:106] [60570][HcclSocket][Listen] socket type[0], "
    "listen on ip[192.0.2.195] and specific port[16666] fail. Please check the port status and whether the port is "
    "being used by other process."
)
LATER = "[ERROR] RUNTIME(60571,python3):2026-11-25-04:00:03.000.001 [stream.cc:1] 60571 X:[INIT][DEFAULT]it failed"
EVENT = "[EVENT] HCCL(60570,):2026-11-25-04:00:01.000.000 [a.cc:1] [60570]Entry-HcclCommInitRootInfo"
OPAQUE = "RuntimeError: The Inner error is reported as above. Please check the plog."
FAILED = [
    "Traceback (most recent call last):",
    OPAQUE,
    "[supervisor] stopping: vLLM on host 0 exited with code 0",
]
OUT_OF_MEMORY = [
    "RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB",
    "[supervisor] stopping: vLLM on host 0 exited with code 0",
]
UP = {"Running": True, "ExitCode": 0}
DOWN = {"Running": False, "ExitCode": 1}


def log(lines: list[str]) -> str:
    return "\n".join(f"2026-11-25T04:00:0{second}.0Z {line}" for second, line in enumerate(lines))


def archive(files: dict[str, tuple[float, str]]) -> bytes:
    """What Docker sends for a folder with these files, each with its time."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        folder = tarfile.TarInfo("log/debug/plog")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for path, (at, text) in files.items():
            entry = tarfile.TarInfo(f"log/{path}")
            entry.size, entry.mtime = len(text), int(at)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return body.getvalue()


PLOGS = {
    "debug/plog/plog-1_1.log": (30.0, f"{EVENT}\n{LATER}\n"),
    "debug/plog/plog-2_1.log": (20.0, f"{PORT}\n"),
    "debug/device-0/device-1_1.log": (40.0, "x\n"),
}


def gather(folder: Path, lines: list[str], state: dict[str, Any], **container: Any) -> dict[str, Any]:
    """Run the parts of the module that ask Docker."""
    variables = container.get("env", [])
    where = container.get("npu_log", "%2Froot%2Fascend%2Flog")
    text = b"".join(framed(f"{line}\n".encode()) for line in log(lines).split("\n"))
    answers = {
        "/containers/vllm/json": {"State": state, "Config": {"Env": variables}},
        "/containers/vllm/logs?stdout=1&stderr=1&timestamps=1&tail=5000": text,
        f"/containers/vllm/archive?path={where}": archive(PLOGS),
    }
    with docker_daemon(folder, answers) as daemon, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{daemon.socket}")
        found, errors = service_records.container_records("vllm", 5000)
        params = {"container": "vllm", "npu_log": "/root/ascend/log"}
        found["npu_log"], more = service_records.npu_records(params, found)
    assert errors + more == []
    return found


def framed(text: bytes) -> bytes:
    return b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    ("lines", "state", "is_read"),
    [
        (FAILED, DOWN, True),
        (FAILED, UP, True),
        (["starting"], DOWN, True),
        (["starting"], UP, False),
        (OUT_OF_MEMORY, DOWN, False),
        (["WARNING 11-25 04:00:00 [x.py:1] Rectify the fault based on the error information in the ascend log."], UP, True),
    ],
)  # fmt: skip
def test_when_it_is_read(tmp_path, lines, state, is_read):
    assert gather(tmp_path, lines, state)["npu_log"] == (f"{PORT}\n{LATER}" if is_read else "")


def test_its_folder_is_that_of_the_environment(tmp_path):
    found = gather(tmp_path, FAILED, DOWN, env=["ASCEND_PROCESS_LOG_PATH=/var/npu"], npu_log="%2Fvar%2Fnpu")
    assert found["npu_log"]


def test_it_tells_the_cause_that_the_containers_log_leaves_open(tmp_path):
    facts = {records.RECORDS: {**gather(tmp_path, FAILED, DOWN), "kernel": "", "errors": []}}
    first = diagnosis.diagnose({"node0": records.lines(facts)})[0]
    assert (first.id, first.is_cause) == ("hccl_port_taken", True)
    assert time.strftime("%H:%M:%S", time.gmtime(first.at)) == "04:00:02"


def test_what_was_before_the_log_begins_is_left_out(tmp_path):
    found = gather(tmp_path, FAILED, DOWN)
    found.update(kernel="", log=log(FAILED).replace("T04:", "T05:"))
    ids = [one.id for one in diagnosis.diagnose({"node0": records.lines({records.RECORDS: found})})]
    assert "hccl_port_taken" not in ids


@pytest.mark.parametrize(
    ("count", "tail", "whole", "expected"),
    [
        (1, 9, 9999, ({"log/b": "6789abcde"}, True)),
        (9, 99, 9999, ({"log/a": "01", "log/b": "0123456789abcde"}, True)),
        (9, 99, 10, ({"log/a": "01"}, False)),
    ],
)
def test_bounds(tmp_path, count, tail, whole, expected):
    files = {"a": (1.0, "01"), "b": (2.0, "0123456789abcde")}
    with docker_daemon(tmp_path, {"/containers/vllm/archive?path=%2Flog": archive(files)}) as daemon:
        docker = Docker(daemon.socket)
        assert docker.newest_files("vllm", "/log", count, tail, whole) == expected
        assert docker.newest_files("vllm", "/nowhere", count, tail, whole) == ({}, True)
