# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves in a temporary container that image, driver and network let the NPUs of all hosts compute together.

Runs in the serving image, with what the service gets: devices, mounts, environment, network. Two parts:

npus
    The image starts threads and imports torch and torch_npu; torch_npu sees exactly the NPUs of the service; two
    tensors are added on each of them.
collective
    One process for each NPU of all hosts joins a group, and the group does an all-reduce and an all-to-all. All
    NPUs of all hosts must have passed the first part.

Each process is started afresh, as vLLM's are: torch_npu cannot use its devices in a forked one. Ends with 0 if both
parts passed. The last line of the output is the result: ``[smoke test] result: {"npus": {"state": ...}, ...}``, with
the state ``passed``, ``failed`` or ``not run``, and a text.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

PREFIX = "[smoke test] "
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
IMPORT_SECONDS = 300  # the first import of torch_npu from a slow disk takes a minute or more
NPU_SECONDS = 120
JOIN_SECONDS = IMPORT_SECONDS + NPU_SECONDS  # until all hosts have done the first part
HCCL_SECONDS = (
    120  # that HCCL waits for a connection, and then tells what it has waited for: the least that it accepts
)
EXCHANGE_SECONDS = HCCL_SECONDS + 60
LEAVE_SECONDS = 10
GRACE_SECONDS = 15
ELEMENTS = 1 << 18  # 1 MB, which no small packet carries
LONGEST = 600  # characters of a problem
MISSING = "there is no module "
OWN_FAILED = "the NPUs of this host did not pass"
LATE = "no answer within "
OTHER_FAILED = "another NPU failed"

Result = dict  # {"state": ..., "text": ...}


class Group(NamedTuple):
    """The processes of all hosts, and where they meet."""

    head: str
    port: int
    first_rank: int  # of this host
    size: int


class Member(NamedTuple):
    """The process of one NPU of this host."""

    process: Any
    connection: Connection


def say(text: str) -> None:
    """Print a line."""
    print(PREFIX + text, flush=True)


def result(state: str, text: str = "") -> Result:
    """Return the result of a part."""
    return {"state": state, "text": text}


# In the process of an NPU


def work(connection: Connection, index: int, count: int) -> None:
    """Import torch_npu, add two tensors on NPU number *index*, and join the group that comes through *connection*.

    After each step, send an empty text, or the problem, which ends the process.
    """
    try:
        import torch_npu  # noqa: F401

        connection.send("")
        add(index, count)
        connection.send("")
        group = connection.recv()
        if group is not None:
            exchange(group, index)
            connection.send("")
    except EOFError:  # the main process has ended
        pass
    except BaseException as error:
        sys.stderr.write(traceback.format_exc())  # as one text, so that those of other processes stay apart
        sys.stderr.flush()
        is_missing = isinstance(error, ModuleNotFoundError) and error.name in ("torch", "torch_npu")
        connection.send(MISSING + str(error.name) if is_missing else described(error))


def described(error: BaseException) -> str:
    """Return an exception as text of bounded length."""
    return f"{type(error).__name__}: {error}".strip()[:LONGEST]


def add(index: int, count: int) -> None:
    """Add two tensors on the NPU, among *count* ones."""
    import torch

    seen = torch.npu.device_count()
    if seen != count:
        raise RuntimeError(f"torch_npu sees {seen} NPUs, and the service has {count}")
    torch.npu.set_device(index)
    one = torch.ones(ELEMENTS, device=f"npu:{index}")
    require((one + one).cpu().eq(2).all(), "1 + 1")


def exchange(group: Group, index: int) -> None:
    """Do an all-reduce and an all-to-all in the group, and check what arrives."""
    import torch
    import torch.distributed as dist

    timeout = datetime.timedelta(seconds=EXCHANGE_SECONDS)
    rank, size = group.first_rank + index, group.size
    store = dist.TCPStore(group.head, group.port, None, False, timeout)
    dist.init_process_group(
        "hccl", store=dist.PrefixStore("npus", store), rank=rank, world_size=size, timeout=timeout
    )
    ranks = torch.full((ELEMENTS,), float(rank), device=f"npu:{index}")
    dist.all_reduce(ranks)
    require(ranks.cpu().eq(size * (size - 1) / 2).all(), f"the all-reduce on rank {rank}")

    given = torch.arange(size, dtype=torch.float32, device=f"npu:{index}") + rank * size
    taken = torch.empty_like(given)
    dist.all_to_all_single(taken, given)
    expected = torch.arange(size, dtype=torch.float32) * size + rank
    require(taken.cpu().eq(expected).all(), f"the all-to-all on rank {rank}")


def require(is_right: Any, what: str) -> None:
    """Raise an exception unless the result is right."""
    if not bool(is_right):
        raise ArithmeticError(f"{what} gave a wrong result")


# In the main process


def start(count: int) -> list[Member]:
    """Start the processes of all NPUs of this host."""
    context = multiprocessing.get_context("spawn")
    members = []
    for index in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, index, count), daemon=True)
        process.start()
        theirs.close()
        members.append(Member(process, ours))
    return members


def answers(members: list[Member], seconds: float, is_over: Callable[[], bool] = lambda: False) -> list[str]:
    """Return the problem of each process, empty for none, as soon as all have answered or the time is over.

    After a problem, or when *is_over* says so, it is over in GRACE_SECONDS: the others may wait for what has failed.
    """
    found: dict[int, str] = {}
    end, late = time.monotonic() + seconds, f"{LATE}{seconds:.0f} s"
    indices = {member.connection: index for index, member in enumerate(members)}
    while indices and time.monotonic() < end:
        for connection in wait(list(indices), 1):
            index = indices.pop(connection)
            found[index] = answer(members[index])
        if late != OTHER_FAILED and (any(found.values()) or is_over()):
            end, late = min(end, time.monotonic() + GRACE_SECONDS), OTHER_FAILED
    return [found.get(index, late) for index in range(len(members))]


def answer(member: Member) -> str:
    """Return the problem that a process has sent, or how it has ended."""
    try:
        return str(member.connection.recv())
    except EOFError:
        member.process.join()
        code = member.process.exitcode
        return f"its process ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def summary(problems: list[str], names: list[str]) -> str:
    """Return each problem once, after the names of those that have it."""
    texts: dict[str, list[str]] = {}
    for name, problem in zip(names, problems, strict=True):
        if problem:
            texts.setdefault(problem, []).append(name)
    return "; ".join(f"{', '.join(owners)}: {text}" for text, owners in texts.items())


def test_npus(members: list[Member]) -> Result:
    """Return the result of the first part."""
    names = [f"NPU {index}" for index in range(len(members))]
    imported = answers(members, IMPORT_SECONDS)
    if any(imported):
        can_run = any(problem and not problem.startswith((MISSING, LATE)) for problem in imported)
        return result(FAILED if can_run else NOT_RUN, "import of torch_npu: " + summary(imported, names))
    added = answers(members, NPU_SECONDS)
    return result(FAILED, summary(added, names)) if any(added) else result(PASSED, f"{len(members)} NPUs")


def thread_problem() -> str:
    """Return why the image cannot start threads, empty if it can. An old Docker forbids it."""
    try:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    except RuntimeError as error:
        traceback.print_exc()
        return described(error)
    return ""


class Meeting:
    """Where the main processes of all hosts meet: a store in the process of the head."""

    def __init__(self, options: argparse.Namespace) -> None:
        os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"  # this process needs no NPU
        import torch.distributed as dist

        timeout = datetime.timedelta(seconds=JOIN_SECONDS)
        is_head = options.host == 0
        self._store = dist.TCPStore(options.head, options.port, None, is_head, timeout, False)
        self._own = options.host
        self._hosts = range(options.hosts)

    def tell(self, step: str, value: Any, seconds: float) -> list[Any]:
        """Tell the other hosts a value, and return those of all hosts."""
        self._store.set(f"{step}/{self._own}", json.dumps(value))
        keys = [f"{step}/{number}" for number in self._hosts]
        self._store.wait(keys, datetime.timedelta(seconds=seconds))
        return [json.loads(self._store.get(key)) for key in keys]

    def fail(self) -> None:
        """Tell the other hosts that this one has failed."""
        self._store.set("failed", "")

    def has_failed(self) -> bool:
        """Return whether a host has failed."""
        return bool(self._store.check(["failed"]))

    def leave(self, seconds: float) -> None:
        """Wait until all hosts are done: their processes need each other, and the store."""
        try:
            self.tell("done", True, seconds)
            self._store.set(f"left/{self._own}", "")
            if self._own == 0:
                keys = [f"left/{number}" for number in self._hosts]
                self._store.wait(keys, datetime.timedelta(seconds=LEAVE_SECONDS))
        except Exception as error:  # another host has ended; its own result tells why
            say(f"another host has not ended in time: {described(error)}")


def test_collective(options: argparse.Namespace, members: list[Member], npus: Result) -> Result:
    """Return the result of the second part."""
    if npus["state"] != PASSED and options.hosts == 1:
        return result(NOT_RUN, OWN_FAILED)
    try:
        meeting = Meeting(options)
        hosts = meeting.tell("npus", [options.npus, npus["state"]], JOIN_SECONDS)
    except Exception as error:
        if npus["state"] != PASSED:
            return result(NOT_RUN, OWN_FAILED)
        traceback.print_exc()
        return result(
            FAILED, f"the hosts did not meet at {options.head} port {options.port}: {described(error)}"
        )
    others = [str(number) for number, (_count, state) in enumerate(hosts) if state != PASSED]
    if others:
        meeting.leave(LEAVE_SECONDS)
        return result(NOT_RUN, f"the NPUs of host number {', '.join(others)} did not pass")
    counts = [count for count, _state in hosts]
    group = Group(options.head, options.port, sum(counts[: options.host]), sum(counts))
    found = result(PASSED, "one NPU") if group.size == 1 else test_group(group, members, meeting)
    meeting.leave(EXCHANGE_SECONDS)
    return found


def test_group(group: Group, members: list[Member], meeting: Meeting) -> Result:
    """Return the result of the exchange, as the processes of this host see it."""
    begin = time.monotonic()
    for member in members:
        member.connection.send(group)
    problems = answers(members, EXCHANGE_SECONDS, meeting.has_failed)
    if set(problems) - {"", OTHER_FAILED}:
        meeting.fail()
        names = [f"rank {group.first_rank + index}" for index in range(len(members))]
        return result(FAILED, summary(problems, names))
    if any(problems):
        return result(NOT_RUN, OTHER_FAILED)
    return result(PASSED, f"{group.size} NPUs in {time.monotonic() - begin:.1f} s")


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--npus", type=int, required=True, help="NPUs of this host")
    parser.add_argument("--host", type=int, required=True, help="number of this host, 0 for the head")
    parser.add_argument("--hosts", type=int, required=True, help="number of hosts")
    parser.add_argument("--head", required=True, help="address of the head")
    parser.add_argument(
        "--port", type=int, required=True, help="TCP port of the head where all processes meet"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Do both parts, print the result, and return the exit code."""
    options = parsed(arguments)
    os.environ["HCCL_CONNECT_TIMEOUT"] = str(HCCL_SECONDS)
    problem = thread_problem()
    members = [] if problem else start(options.npus)
    npus = result(FAILED, problem) if problem else test_npus(members)
    say(f"NPUs: {npus['state']} {npus['text']}")
    collective = test_collective(options, members, npus)
    say(f"collective: {collective['state']} {collective['text']}")
    for member in members:
        member.process.kill()
    print(f"{PREFIX}result: {json.dumps({'npus': npus, 'collective': collective})}", flush=True)
    return 0 if npus["state"] == collective["state"] == PASSED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
